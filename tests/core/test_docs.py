"""The documentation cannot drift from the code."""

import inspect
import re
from pathlib import Path

import pytest

import xaicore
from xaicore import hookspecs, plugins

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = (ROOT / "docs" / "plugins.md").read_text()
README = (ROOT / "README.md").read_text()

HOOKS = [function for name, function in vars(hookspecs).items() if name.startswith("xaicore_")]


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook.__name__)
def test_every_hook_has_a_heading_with_its_signature(hook):
    assert f"\n### {hook.__name__}({', '.join(inspect.signature(hook).parameters)})\n" in PLUGINS


def test_every_kind_of_plugin_has_a_hook_and_its_group_is_documented():
    assert {f"xaicore_{kind}" for kind in plugins.KINDS} == {hook.__name__ for hook in HOOKS}
    assert all(f'"{group}"' in PLUGINS for group in plugins.KINDS.values())


@pytest.mark.parametrize("contract", [xaicore.Backend, xaicore.Logger])
def test_every_method_of_a_contract_is_documented(contract):
    methods = [name for name, value in vars(contract).items() if not name.startswith("_") and callable(value)]
    assert methods
    text = " ".join(PLUGINS.split())
    for name in (name for name in methods if name not in ("predict", "to_numpy")):
        parameters = [p for p in inspect.signature(getattr(contract, name)).parameters if p != "self"]
        arguments = ", ".join(rf"{parameter}(=None)?" for parameter in parameters)
        assert re.search(rf"{name}\((self)?(, )?{arguments}\)", text), name


def test_every_field_of_a_capture_and_a_layer_is_documented():
    for field in xaicore.Capture.__dataclass_fields__:
        assert f"| `{field}` |" in PLUGINS
    assert f"Layer({', '.join(xaicore.Layer.__dataclass_fields__)})" in PLUGINS


def test_the_readme_names_every_method():
    assert all(f"`{name}`" in README for name in xaicore.METHODS)


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))])
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)#]+)\)|src=\"([^\"]+)\"", page.read_text()):
        target = "".join(link)
        assert target.startswith("http") or (page.parent / target).exists(), target
