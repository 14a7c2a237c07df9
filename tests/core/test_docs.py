"""The documentation cannot drift from the code."""

import dataclasses
import inspect
import re
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from explanations import example

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
    makers = {hook.__name__ for hook in HOOKS} - {
        "xaicore_missing",
        "xaicore_model",
        "xaicore_model_libraries",
    }  # which a plugin may have besides
    assert {f"xaicore_{kind}" for kind in plugins.KINDS} - {"xaicore_method"} == makers  # a method is a function
    assert all(f'"{group}"' in PLUGINS for group in plugins.KINDS.values())


@pytest.mark.parametrize("contract", [xaicore.Backend, xaicore.Logger, xaicore.Tracker])
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


CONTRACTS = [
    *(xaicore.Facts, xaicore.LayerFacts, xaicore.InputFacts, xaicore.targets.Aim),
    *(xaicore.ModelSpec, xaicore.NamedModel, xaicore.ModelLibrary),
]


@pytest.mark.parametrize("contract", CONTRACTS)
def test_every_field_of_the_facts_and_of_an_aim_is_documented(contract):
    """In a table of its own, whose rows are these fields in their order."""
    table = PLUGINS.split(f"`{contract.__name__}`:\n\n")[1].split("\n\n")[0]
    rows = [cell for row in table.splitlines()[2:] for cell in re.findall(r"`(\w+)`", row.split("|")[1])]
    assert rows == [field.name for field in dataclasses.fields(contract)]


def test_what_loggers_use_of_show_is_documented():
    assert all(f"`{name}(" in PLUGINS for name in set(xaicore.show.__all__) - {"Drawing"})
    assert "`xaicore.Drawing`" in PLUGINS


def test_the_example_of_a_tracker_works(monkeypatch):
    """It runs as it is printed, with a client that writes down what it is called with."""
    said = []

    class Client:
        url = "http://tracker/heat"

        def image(self, key, image, step, caption):
            said.append((key, image.shape, step, caption))

        def number(self, key, value, step):
            said.append((key, value, step))

        def stop(self):
            said.append("stop")

    client = types.ModuleType("mytracker")
    client.start = lambda project, name: said.append((project, name)) or Client()
    monkeypatch.setitem(sys.modules, "mytracker", client)
    (code,) = (block for block in re.findall(r"```python\n(.*?)```", PLUGINS, re.S) if "(xaicore.Tracker)" in block)
    exec(code, names := {})
    one = example(n=2, k=1, ids=["a/b", "c"], truth=[0, 1])
    one = dataclasses.replace(one, predicted=np.array([0, 0]))
    worst = dataclasses.replace(one.take([1]), group="worst")
    logger = names["MyLogger"](project="cold", alpha=0.3)
    with xaicore.open_loggers(logger, name="n", on_error="raise") as log:
        log(one, 5)
        log(worst, 5)
        assert log.where == {"MyLogger": "mytracker: http://tracker/heat"}
    place = xaicore.show.safe_name("a/b")
    maps = [(f"xaicore/{place}/0", one, 0), ("xaicore/c/0", one, 1), ("xaicore/worst 0/0", worst, 0)]
    assert said == [
        ("cold", "n"),
        *(
            (f"{key}/given/{kind}", (14, 18, 3), 5, xaicore.show.caption(which.row(m)))
            for key, which, m in maps
            for kind in ("overlay", "heatmap")
        ),
        *((f"{key}/score", which.row(m)["score"], 5) for key, which, m in maps),
        ("xaicore/fixed/right", 0.5, 5),
        ("xaicore/worst/right", 0.0, 5),
        "stop",
    ]
    said.clear()
    with xaicore.open_loggers(names["MyLogger"](), name="n", on_error="raise") as log:
        log(dataclasses.replace(worst, method="../m", group="a/../b"), 5)
    safe = xaicore.show.safe_name
    assert [entry[0] for entry in said[1:-1]] == [
        *(f"xaicore/{safe('a/../b')} 0/0/{safe('../m')}/{kind}" for kind in ("overlay", "heatmap")),
        f"xaicore/{safe('a/../b')} 0/0/score",
        f"xaicore/{safe('a/../b')}/right",
    ]
    with pytest.raises(xaicore.PluginError, match="the mytracker logger has no option 'x'; known: project, colormap"):
        names["MyLogger"](x=1)


def test_every_measure_of_localisation_is_documented():
    page = (ROOT / "docs" / "localisation.md").read_text()
    result = xaicore.localize.evaluate(example(n=1, k=1, truth=[0]), [[0, 0, 5, 5]], classes="any")
    measures = re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", page, re.M)))
    assert sorted(measures[: len(result.estimates)]) == sorted(result.estimates)
    options = set(inspect.signature(xaicore.localize.evaluate).parameters) - {"explanation"}
    assert all(f"`{name}" in page or f"{name})" in page for name in options - {"threshold"})


@pytest.mark.parametrize("page", ["README.md", "docs/comparison.md"])
def test_figures_beside_other_libraries_are_those_of_the_benchmarks(page):
    measured = set(re.findall(r"\d+\.\d+", (ROOT / "docs" / "benchmarks.md").read_text()))
    rows = re.findall(r"^\| [^|]*(?:batch|CAM|memory)[^|]* \|(.*)$", (ROOT / page).read_text(), re.M)
    figures = {figure for row in rows for figure in re.findall(r"\d+\.\d+", row)}
    assert {"1.04", "0.92", "1.80", "6.50", "0.004"} <= figures <= measured


def test_the_readme_counts_the_methods():
    """docs/methods names them, see test_docs_methods.py."""
    assert f"**{len(xaicore.METHODS)} methods, " in README


def test_the_reference_has_every_public_name():
    """Of `xaicore`, and of its rooms, by the directives of docs/api."""
    reference = "\n".join(page.read_text() for page in (ROOT / "docs" / "api").glob("*.md"))
    written = set(re.findall(r"^\.\. auto(?:class|function|data):: (\w+)$", reference, re.M))
    rooms = set(re.findall(r"^\.\. automodule:: xaicore\.(\w+)$", reference, re.M))
    inside = {name for room in rooms for name in getattr(getattr(xaicore, room), "__all__", ())}
    assert set(xaicore.__all__) - {"METHODS", "__version__"} <= written | rooms | inside


def test_every_page_is_on_the_site():
    """In a list of contents, from which the site's navigation is made."""
    docs = ROOT / "docs"
    listed = set()
    for page in docs.rglob("*.md"):
        for entries in re.findall(r"^```{toctree}\n(.*?)^```", page.read_text(), re.S | re.M):
            listed |= {
                (page.parent / name).relative_to(docs).as_posix() for name in re.findall(r"^[\w/-]+$", entries, re.M)
            }
    pages = {
        path.relative_to(docs).with_suffix("").as_posix()
        for path in docs.rglob("*")
        if path.suffix in (".md", ".ipynb")
    }
    assert pages - {"index"} == listed


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))])
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)#]+)\)|src=\"([^\"]+)\"", page.read_text()):
        target = "".join(link)
        assert target.startswith("http") or (page.parent / target).exists(), target
