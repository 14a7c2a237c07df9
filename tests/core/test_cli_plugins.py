"""`xaicore plugins` lists without importing; nothing outside the command line imports click or rich."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from processes import environment, run_code
from workshop import Workshop, read_table

from xaicore import plugins


def ours(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    return [row for row in rows if row["distribution"] == "colours"]


EXPECTED = [
    ("backend", "colours", "colours", "1.2", "colours_backend"),
    ("logger", "frail", "colours", "1.2", "colours_frail"),
    ("logger", "notes", "colours", "1.2", "colours_notes"),
]


def test_listing(shop: Workshop) -> None:
    result = shop.run("plugins")
    assert result.exit_code == 0
    rows = read_table(result.stdout)
    assert list(rows[0]) == ["kind", "name", "distribution", "version", "target"]
    assert [tuple(row.values()) for row in ours(rows)] == EXPECTED
    kinds = [row["kind"] for row in rows]
    assert kinds == sorted(kinds)


def test_json(shop: Workshop) -> None:
    rows = json.loads(shop.run("plugins", "--json").stdout)
    assert [tuple(row.values()) for row in ours(rows)] == [(*row, False) for row in EXPECTED]
    assert list(rows[0]) == ["kind", "name", "distribution", "version", "target", "disabled"]


def test_check_of_what_works(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XAICORE_PLUGINS", "colours,notes")
    plugins.installed.cache_clear()
    result = shop.run("plugins", "--check")
    assert result.exit_code == 0
    assert [row["check"] for row in read_table(result.stdout)] == ["ok", "ok"]


def test_check_of_what_is_broken(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.distribution("sick", "0.1", {"xaicore.loggers": {"sick": "sick_plugin", "mute": "json"}})
    shop.module("sick_plugin", "raise OSError('libfever.so: [red]cannot[/red] open')")
    monkeypatch.setenv("XAICORE_PLUGINS", "colours,sick,mute")
    monkeypatch.syspath_prepend(shop.here)
    plugins.installed.cache_clear()
    assert shop.run("plugins").exit_code == 0
    result = shop.run("plugins", "--check")
    assert result.exit_code == 1
    checks = {row["name"]: row["check"] for row in read_table(result.stdout)}
    assert checks == {
        "colours": "ok",
        "sick": "logger plugin 'sick' from sick 0.1 does not import: OSError: libfever.so: [red]cannot[/red] open",
        "mute": "logger plugin 'mute' from sick 0.1 has no hook: json needs a function xaicore_logger decorated "
        "with @xaicore.hookimpl",
    }
    as_json = shop.run("plugins", "--check", "--json")
    assert as_json.exit_code == 1
    assert {row["name"]: row["error"] or "ok" for row in json.loads(as_json.stdout)} == checks


@pytest.mark.parametrize(
    ("body", "check"),
    [
        ("return Later()", "logger plugin 'later' from acme 1.0 speaks api_version 2, this xaicore speaks 1: upgrade "
         "xaicore; try: pip install --upgrade xaicore"),
        ("return object()", "logger plugin 'later' from acme 1.0 gave a builtins.object; expected a subclass of "
         "xaicore.Logger"),
        ("print('building'); return Now()", None),
        ("return Now(options['key'])", None),
    ],
)  # fmt: skip
def test_check_compares_the_version_of_loggers(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch, body: str, check: str | None
) -> None:
    """A logger may print when it is built, and may need an option."""
    shop.distribution("acme", "1.0", {"xaicore.loggers": {"later": "later_plugin"}})
    source = "import xaicore\nclass Now(xaicore.Logger):\n    def log(self, explanation, step=None): ...\n"
    source += "class Later(Now):\n    api_version = 2\n"
    shop.module("later_plugin", f"{source}@xaicore.hookimpl\ndef xaicore_logger(options):\n    {body}\n")
    monkeypatch.setenv("XAICORE_PLUGINS", "later")
    monkeypatch.syspath_prepend(shop.here)
    plugins.installed.cache_clear()
    result = shop.run("plugins", "--check", "--json")
    assert result.exit_code == (check is not None)
    assert [row["error"] for row in json.loads(result.stdout)] == [check]


def test_check_of_a_name_that_is_claimed_twice(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.distribution("copycat", "3", {"xaicore.loggers": {"notes": "colours_notes"}})
    monkeypatch.setenv("XAICORE_PLUGINS", "notes")
    plugins.installed.cache_clear()
    result = shop.run("plugins", "--check")
    assert result.exit_code == 1
    claimed = "logger plugin 'notes' is claimed by colours 1.2 and copycat 3: uninstall all but one of them"
    assert [row["check"] for row in read_table(result.stdout)] == [claimed, claimed]


@pytest.mark.parametrize(
    ("requires", "extra", "check"),
    [
        (['absent-lib>=2; extra == "needy"', "numpy"], "needy", 'needs absent-lib; try: pip install "plus[needy]"'),
        (["absent-lib>=2", "other.lib"], "", "needs absent-lib, other.lib; try: pip install absent-lib other.lib"),
        (['absent-lib; extra == "another"', 'x; python_version < "3"', "numpy>=1"], "another", "ok"),
    ],
)
def test_check_names_the_libraries_that_are_missing(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch, requires: list[str], extra: str, check: str
) -> None:
    shop.distribution("plus", "3", {"xaicore.loggers": {"needy": "colours_notes"}}, requires, extra)
    monkeypatch.setenv("XAICORE_PLUGINS", "needy")
    plugins.installed.cache_clear()
    result = shop.run("plugins", "--check", "--json")
    assert result.exit_code == 0  # a library that one of many plugins lacks is no fault
    (row,) = json.loads(result.stdout)
    assert (row["install"] or "") == check.partition("try: ")[2]
    assert ", ".join(row["missing"]) == check.partition("needs ")[2].partition(";")[0]
    assert row["error"] is None


@pytest.mark.parametrize(
    ("answer", "check"),
    [("None", "ok"), ("['a', 'b or c'], 'pip install x[b]'", "needs a, b or c; try: pip install x[b]")],
)
def test_a_plugin_may_answer_itself_what_it_lacks(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch, answer: str, check: str
) -> None:
    shop.distribution("either", "1", {"xaicore.loggers": {"either": "either_plugin"}}, ["absent-lib"])
    hooks = (
        "@xaicore.hookimpl\ndef xaicore_logger(options): ...\n"
        f"@xaicore.hookimpl\ndef xaicore_missing():\n    return {answer}\n"
    )
    shop.module("either_plugin", f"import xaicore\n{hooks}")
    monkeypatch.setenv("XAICORE_PLUGINS", "either")
    monkeypatch.syspath_prepend(shop.here)
    plugins.installed.cache_clear()
    result = shop.run("plugins", "--check")
    assert result.exit_code == 0
    assert [row["check"] for row in read_table(result.stdout)] == [check]


EITHER = 'pip install "xaicore[tensorflow]", or pip install "xaicore[jax]"'


@pytest.mark.parametrize(
    ("absent", "chosen", "answer"),
    [
        ("keras", "", (["keras"], 'pip install "xaicore[keras]"')),
        ("tensorflow jax torch", "", (["one of tensorflow, jax and torch"], EITHER)),
        ("keras tensorflow jax torch", "", (["keras", "one of tensorflow, jax and torch"], EITHER)),
        ("jax torch", "", None),
        ("tensorflow jax", "torch", None),
        ("tensorflow jax", "", (["tensorflow"], 'export KERAS_BACKEND=torch, or pip install "xaicore[tensorflow]"')),
        ("torch", "torch", (["torch"], 'export KERAS_BACKEND=tensorflow, or pip install "xaicore[torch]"')),
        ("tensorflow", "file: jax", None),
        ("tensorflow jax torch", "numpy", None),  # for Keras to find
        ("keras tensorflow jax torch", "numpy", (["keras"], 'pip install "xaicore[keras]"')),
        ("jax", "file: jax", (["jax"], 'export KERAS_BACKEND=tensorflow, or pip install "xaicore[jax]"')),
    ],
)
def test_keras_needs_what_it_is_set_to_run_on(
    absent: str, chosen: str, answer: tuple[list[str], str] | None, tmp_path: Path
) -> None:
    """By KERAS_BACKEND, else by its file, else it is TensorFlow."""
    code = f"""
import importlib.machinery, sys, types
for name in ("keras", "tensorflow", "jax", "torch"):
    module = types.ModuleType(name)
    module.__spec__ = importlib.machinery.ModuleSpec(name, None)
    sys.modules[name] = None if name in {absent.split()!r} else module
import xaicore_keras
print(xaicore_keras.xaicore_missing())
"""
    variables = {"KERAS_HOME": str(tmp_path)}
    if chosen.startswith("file: "):
        (tmp_path / "keras.json").write_text(json.dumps({"backend": chosen.removeprefix("file: ")}))
    elif chosen:
        variables["KERAS_BACKEND"] = chosen
    env = environment(without="KERAS_", variables=variables)
    assert run_code(code, env=env).strip() == str(answer)


@pytest.mark.parametrize(
    ("there", "command"), [("", 'pip install "xaicore[tensorflow]"'), ("torch", "pip install keras")]
)
def test_the_install_command_of_keras_models_is_one(there: str, command: str) -> None:
    code = f"""
import importlib.machinery, sys, types
for name in ("keras", "tensorflow", "jax", "torch"):
    module = types.ModuleType(name)
    module.__spec__ = importlib.machinery.ModuleSpec(name, None)
    sys.modules[name] = module if name in {there.split()!r} else None
from xaicore_keras.models import LIBRARY
print(LIBRARY.install)
"""
    assert run_code(code, env=environment()).strip() == command


def test_none_installed(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XAICORE_PLUGINS", "")
    plugins.installed.cache_clear()
    result = shop.run("plugins")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "no plugins are installed\n")
    assert shop.run("plugins", "--json").stdout == "[]\n"


def loaded_after(shop: Workshop, code: str) -> set[str]:
    """The modules that a process has after running this."""
    printed = run_code(f"{code}\nimport sys\nprint(*sys.modules)", env=environment(shop.site))
    return set(printed.splitlines()[-1].split())


FRAMEWORKS = {"torch", "keras", "tensorflow", "jax", "wandb", "matplotlib"}


def test_importing_xaicore_imports_neither_click_nor_rich(shop: Workshop) -> None:
    loaded = loaded_after(shop, "import xaicore; xaicore.explain")
    assert "xaicore.explainer" in loaded
    assert not loaded & {"click", "rich", "jinja2", "filelock", "xaicore.cli", *FRAMEWORKS}


def test_listing_imports_no_plugin_and_no_framework(shop: Workshop) -> None:
    code = "from xaicore.cli import main\nmain(['plugins'], standalone_mode=False)"
    loaded = loaded_after(shop, code)
    assert "xaicore.cli.plugins" in loaded
    assert not loaded & {"colours_backend", "colours_notes", "xaicore_torch", "xaicore_disk", *FRAMEWORKS}
