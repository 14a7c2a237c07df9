"""What others build on does not change unsaid: entries, deprecations, versions of the contract."""

from __future__ import annotations

import ast
import json
import re
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import surface
from toynet import ToyBackend, ToyNet
from workshop import Workshop, draw

import xaicore
from xaicore import PluginError, backend, hookspecs, plugins, versions
from xaicore.dataset.schema import COLUMNS

NOW = surface.surface()
BEFORE = json.loads(surface.SNAPSHOT.read_text())["entries"]


def test_every_change_is_in_the_changelog() -> None:
    """Of entries, since the last release; after a release, tests/toys/surface.py --write takes them down."""
    changed = surface.changes(BEFORE, NOW)
    untold = surface.untold(changed, surface.CHANGELOG.read_text())
    told = "\n".join(f"{entry} {how}" for entry, how in untold.items())
    wanted = "Name each in a point of CHANGELOG.md, in backticks, with what it belongs to"
    assert not untold, f"\n{told}\n{wanted}: `Explainer` takes `axes=`"


def test_the_surface_has_what_others_build_on() -> None:
    assert NOW["xaicore.explain(method)"] == "by name alone, default 'gradcam'"
    assert NOW["xaicore.Backend.capture"] == "an abstract method"
    assert NOW["xaicore.Backend.capture(direction)"] == "argument 3, default None"
    assert NOW["xaicore.Logger.api_version"] == "an attribute, 1"
    assert NOW["xaicore.Capture.link"] == "field 5, default None"
    assert NOW["xaicore.targets.Box"] == "a class < Target"
    assert NOW["hook xaicore_backend(output)"] == "argument 1, required"
    assert NOW["group xaicore.loggers"] == "logger"
    assert NOW["method rise(masks)"] == "4000"
    assert NOW["command explain --top-k"] == "a value"
    assert NOW["file run.json versions"] == "a dict"
    assert {"file manifest.jsonl score", "file manifest.jsonl truth_name", "file overlays"} <= set(NOW)
    assert NOW["file manifest.jsonl score"] == "a key, float"
    assert NOW["file dataset/run.json plan.shards"] == "a int"
    assert NOW["file dataset/parts/*.parquet map"] == "a column, list<halffloat>"
    assert NOW["file dataset/parts/*.parquet metadata format"] == "a int"
    assert {f"file dataset/parts/*.parquet {name}" for name in COLUMNS} <= set(NOW)
    assert NOW["group xaicore_keras.engines"] == "an engine of Keras"
    assert NOW["xaicore_keras.Engine.survey"] == "an abstract method"
    assert NOW["variable XAICORE_PLUGINS"] == "a variable of the environment"
    assert all(f"hook {name}" in NOW for name in vars(hookspecs) if name.startswith("xaicore_"))
    assert all(f"power {name}" in NOW for name in backend.POWERS)


class Grown(ToyBackend):
    """The same contract with changes of every kind."""

    attention_span = 3

    def capture(self, inputs: Any, layers: Any, direction: Any = None, more: Any = None) -> Any:
        return super().capture(inputs, layers, direction)

    def predict(self, x: Any) -> Any:  # type: ignore[override]
        return super().predict(x)


def test_changes_are_seen() -> None:
    before = dict(surface.described("xaicore.Backend", ToyBackend))
    after = dict(surface.described("xaicore.Backend", Grown))
    for entries in (before, after):
        entries.pop("xaicore.Backend")
    inherited = {entry: how for entry, how in before.items() if entry not in after}
    changed = surface.changes(before, {**inherited, **after})
    assert changed == {
        "xaicore.Backend.attention_span": "is new: an attribute, 3",
        "xaicore.Backend.capture(more)": "is new: argument 4, default None",
        "xaicore.Backend.predict": "is new: a method",
        "xaicore.Backend.predict(x)": "is new: argument 1, required",
    }
    assert surface.changes({"a": "x", "b": "y"}, {"b": "z"}) == {"a": "is gone; it was x", "b": "was y, and is z"}


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("xaicore.explain", {"explain"}),
        ("xaicore.explain(method)", {"explain", "method"}),
        ("xaicore.targets.Box", {"Box"}),
        ("xaicore.targets.Box(near)", {"Box", "near"}),
        ("xaicore.Explainer.compare(methods)", {"compare", "methods"}),
        ("xaicore.Capture.link", {"Capture", "link"}),
        ("hook xaicore_backend(model)", {"xaicore_backend", "model"}),
        ("command explain --top-k", {"--top-k"}),
        ("command methods", {"methods"}),
        ("file run.json drawing.alpha", {"alpha"}),
        ("file overlays", {"overlays"}),
        ("file dataset/parts/*.parquet score", {"score", "explain_dataset"}),
        ("file dataset/run.json plan.shards", {"shards", "explain_dataset"}),
        ("xaicore_keras.Engine", {"xaicore_keras", "Engine"}),
        ("method rise(masks)", {"rise", "masks"}),
        ("variable XAICORE_PLUGINS", {"XAICORE_PLUGINS"}),
    ],
)
def test_what_the_changelog_has_to_name(entry: str, words: set[str]) -> None:
    assert surface.words_for(entry) == words


CHANGELOG = """# Changes

## 0.2.0 (unreleased)

- `Explainer` takes
  `axes=`.
- `xaicore plugins --fix` mends.

## 0.1.0

- `Explainer` takes `grid=`.
"""


@pytest.mark.parametrize(
    ("entry", "is_told"),
    [
        ("xaicore.Explainer(axes)", True),
        ("xaicore.Explainer(grid)", False),  # an older version's
        ("xaicore.explain(axes)", False),
        ("command plugins --fix", True),
        ("command plugins --axes", False),
    ],
)
def test_an_entry_is_told_in_a_point_of_the_newest_version(entry: str, is_told: bool) -> None:
    changed = {entry: "is new: a value"}
    assert surface.untold(changed, CHANGELOG) == ({} if is_told else changed)
    assert surface.untold(changed, CHANGELOG.replace(" (unreleased)", "")) == changed  # nothing may change at a release


def test_what_is_in_a_new_class_needs_no_words_of_its_own() -> None:
    new = {"xaicore.Fresh": "is new: a class", "xaicore.Fresh(a)": "is new: argument 1", "xaicore.Fresh.b": "is new: b"}
    assert surface.untold(new, CHANGELOG) == {"xaicore.Fresh": "is new: a class"}
    assert surface.untold(new, CHANGELOG.replace("`Explainer` takes", "`Fresh` and `Explainer` take")) == {}
    changed = {**new, "xaicore.Fresh": "was a function, and is a class"}
    assert surface.untold(changed, CHANGELOG) == changed


def test_a_key_has_the_types_of_all_rows() -> None:
    assert surface.types_in([{"b": 1, "a": "x"}, {"b": None}, {"b": 2.0}]) == {
        "a": "str",
        "b": "NoneType or float or int",
    }


def test_a_column_of_another_type_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COLUMNS, "score", ("double", "as before"))
    changed = surface.changes(NOW, {**NOW, **dict(surface.of_datasets())})
    entry = "file dataset/parts/*.parquet score"
    assert changed == {entry: "was a column, float, and is a column, double"}
    assert surface.untold(changed, CHANGELOG) == changed
    assert surface.untold(changed, CHANGELOG.replace("`axes=`", "`axes=`; `explain_dataset` widens `score`")) == {}


# Deprecations.


TEXT = "f(a=) is deprecated since xaicore 0.2 and is removed in 0.3; use f(b=)"


@pytest.mark.parametrize(
    ("module", "is_ours"),
    [("xaicore.show.drawing", True), ("xaicore", True), ("xaicore_torch.backend", False), ("xaicoreal", False)],
)
def test_a_deprecation_warns_at_the_callers_line(module: str, is_ours: bool) -> None:
    """The first line outside of xaicore, however deep inside it is found; a plugin is outside."""
    inside: dict[str, Any] = {"__name__": module, "deprecated": versions.deprecated}
    exec("def old():\n    deprecated('f(a=)', 'f(b=)', '0.2')\ndef outer():\n    return old()", inside)

    def caller() -> None:
        inside["outer"]()

    with pytest.warns(DeprecationWarning, match=f"^{re.escape(TEXT)}$") as caught:
        caller()
    (warning,) = caught
    here = (__file__, caller.__code__.co_firstlineno + 1)
    assert (warning.filename, warning.lineno) == (here if is_ours else ("<string>", 2))


def test_what_is_deprecated_is_removed_in_the_next_version() -> None:
    now = ".".join(xaicore.__version__.split(".")[:2])
    for folder in ("xaicore", "backends", "loggers"):
        for path in sorted((surface.ROOT / folder).rglob("*.py")):
            assert set(deprecated_since(path.read_text(encoding="utf-8"))) <= {now}, path


def deprecated_since(source: str) -> list[str]:
    calls = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    named = [call for call in calls if re.fullmatch(r"(versions\.)?deprecated", ast.unparse(call.func))]
    return [ast.literal_eval(call.args[2]) for call in named]


def test_calls_are_found() -> None:
    assert deprecated_since("def f():\n    deprecated('a', 'b', '0.1')\n    versions.deprecated('c', 'd', '0.2')") == [
        "0.1",
        "0.2",
    ]


# Versions of the contract.


@pytest.mark.parametrize(
    ("version", "said"),
    [
        (0, "backend= speaks api_version 0, this xaicore speaks 1: upgrade the plugin"),
        (
            2,
            "backend= speaks api_version 2, this xaicore speaks 1: upgrade xaicore; try: pip install --upgrade xaicore",
        ),
        ("1", "backend= has api_version '1'; expected a whole number, as in: api_version = 1"),
        (None, "backend= has api_version None; expected a whole number, as in: api_version = 1"),
    ],
)
def test_a_backend_of_another_version_is_refused(version: Any, said: str, x: Any) -> None:
    backend = type("Other", (ToyBackend,), {"api_version": version})(ToyNet())
    with pytest.raises(PluginError, match=f"^{re.escape(said)}$"):
        xaicore.explain(None, x, backend=backend)


@pytest.mark.parametrize(("version", "older"), [(0, "the plugin"), (2, "xaicore; try: pip install --upgrade xaicore")])
def test_a_logger_of_another_version_is_refused(version: int, older: str) -> None:
    logger = type("Other", (xaicore.Logger,), {"api_version": version, "log": lambda self, explanation, step: None})()
    with pytest.raises(
        PluginError, match=f"^Other speaks api_version {version}, this xaicore speaks 1: upgrade {older}$"
    ):
        xaicore.open_loggers(logger)


@pytest.mark.parametrize(
    ("theirs", "advice"),
    [
        (0, "upgrade the plugin; try: pip install --upgrade colours"),
        (2, "upgrade xaicore; try: pip install --upgrade xaicore"),
    ],
)
@pytest.mark.parametrize("kind", ["backend", "logger"])
def test_a_plugin_of_another_version_says_what_to_upgrade(shop: Workshop, theirs: int, advice: str, kind: str) -> None:
    """By its name, as a user meets it."""
    old = (shop.site / "colours_backend.py").read_text()
    base = {"backend": "xaicore.Backend", "logger": "xaicore.Logger"}[kind]
    (shop.site / "colours_backend.py").write_text(old.replace(f"({base}):", f"({base}):\n    api_version = {theirs}\n"))
    name = {"backend": "colours", "logger": "notes"}[kind]
    said = f"{kind} plugin '{name}' from colours 1.2 speaks api_version {theirs}, this xaicore speaks 1: {advice}"
    draw(shop.here / "red.png")
    result = shop.explain("red.png", "--backend", "colours")
    assert result.exit_code == 2
    assert result.stderr.strip().endswith(said)
    assert shop.notes() == []


@pytest.mark.parametrize(
    ("hook", "said"),
    [
        (
            "xaicore_backend(model, precision): ...",
            "its xaicore_backend takes an argument 'precision', and is called with model, output: leave it out; or, ",
        ),
        (
            "xaicore_backends(model): ...",
            "unknown hook 'xaicore_backends'; hooks are xaicore_backend, xaicore_logger, xaicore_missing, "
            "xaicore_model, xaicore_model_libraries; ",
        ),
    ],
)
def test_a_hook_of_a_later_version_says_what_to_upgrade(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch, hook: str, said: str
) -> None:
    later = "if the plugin was written for a later xaicore: pip install --upgrade xaicore"
    (shop.site / "later.py").write_text(f"import xaicore\n@xaicore.hookimpl\ndef {hook}\n")
    shop.distribution("later", "3.0", {"xaicore.backends": {"later": "later"}})
    monkeypatch.delitem(sys.modules, "later", raising=False)
    with pytest.raises(PluginError) as caught:
        plugins.installed().backend(object(), name="later")
    assert str(caught.value) == f"backend plugin 'later' from later 3.0 does not keep the contract: {said}{later}"


def test_the_version_of_today_is_taken(x: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(xaicore.explain(None, x, backend=ToyBackend(ToyNet()))) == 3


def test_the_page_has_every_kind_of_entry() -> None:
    page = (Path(surface.ROOT) / "docs" / "versions.md").read_text()
    kinds = {entry.partition(" ")[0] for entry in NOW if " " in entry}
    assert all(f"`{kind}`" in page for kind in kinds)
