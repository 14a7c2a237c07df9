"""All that others build on, as {entry: what it is}: public names, hooks, contracts, methods, commands, files.

    python tests/toys/surface.py            prints it, as JSON
    python tests/toys/surface.py --write    writes it into tests/api.json, at a release

An entry is read without annotations, so that it is the same on all Pythons. One that belongs to a class or function
says so: `xaicore.Explainer(method)`, `xaicore.Capture.link`.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import json
import re
import sys
import tempfile
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_origin

import click
from surface_datasets import of_datasets

import xaicore
import xaicore_keras
from xaicore import backend, cli, hookspecs, plugins
from xaicore.testing.explanations import example

ROOT = Path(__file__).resolve().parents[2]
SNAPSHOT = ROOT / "tests" / "api.json"
CHANGELOG = ROOT / "CHANGELOG.md"

Entries = Iterator[tuple[str, str]]


def surface() -> dict[str, str]:
    """{entry: what it is}, sorted."""
    of_code = [*names(xaicore, "xaicore"), *of_plugins(), *of_engines(), *of_methods(), *of_commands()]
    found = [*of_code, *of_files(), *of_datasets(), *of_variables()]
    return dict(sorted(found))


def names(module: types.ModuleType, prefix: str) -> Entries:
    """Of `__all__` of a module, and of the rooms in it."""
    for name in module.__all__:
        value = getattr(module, name)
        if isinstance(value, types.ModuleType):
            yield f"{prefix}.{name}", "a module"
            yield from names(value, f"{prefix}.{name}")
        else:
            yield from described(f"{prefix}.{name}", value)


def described(entry: str, value: Any) -> Entries:
    """A class with its members, a function with its arguments, or a value."""
    if value is Any or get_origin(value) is not None:
        yield entry, "a type"
    elif inspect.isclass(value):
        bases = [base.__name__ for base in value.__mro__[1:] if has_entry(base) or base.__module__ == "builtins"]
        yield entry, " < ".join(["a class", *(name for name in bases if name not in ("object", "BaseException"))])
        if not issubclass(value, BaseException):
            if not dataclasses.is_dataclass(value) and inspect.isfunction(value.__init__):
                yield from arguments(entry, value)
            yield from members(entry, value)
    elif inspect.isroutine(value):
        yield entry, "a function"
        yield from arguments(entry, value)
    else:
        yield entry, f"a {type(value).__name__}"


def has_entry(cls: type) -> bool:
    return cls.__module__.startswith("xaicore.") and cls.__name__ in xaicore.__all__


def members(entry: str, cls: type) -> Entries:
    """Public ones of a class, and those that it inherits from a class of xaicore that has no entry of its own."""
    abstract: frozenset[str] = getattr(cls, "__abstractmethods__", frozenset())
    for place, field in enumerate(dataclasses.fields(cls) if dataclasses.is_dataclass(cls) else ()):
        is_required = field.default is field.default_factory is dataclasses.MISSING
        default = field.default_factory if field.default is dataclasses.MISSING else field.default
        yield f"{entry}.{field.name}", f"field {place}, " + ("required" if is_required else f"default {shown(default)}")
    found: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        if base is cls or (base.__module__.startswith("xaicore.") and not has_entry(base)):
            found |= vars(base)
    for name, value in found.items():
        if name.startswith(("_", "test_")) or name in getattr(cls, "__dataclass_fields__", ()):
            continue
        value = getattr(value, "__func__", value)
        if isinstance(value, (property, functools.cached_property)):
            yield f"{entry}.{name}", "a property"
        elif inspect.isfunction(value):
            yield f"{entry}.{name}", "an abstract method" if name in abstract else "a method"
            yield from arguments(f"{entry}.{name}", value)
        else:
            yield f"{entry}.{name}", f"an attribute, {shown(value)}"


def arguments(entry: str, function: Any) -> Entries:
    """Each with its place, if it can be given by place, and its default."""
    for place, parameter in enumerate(inspect.signature(function).parameters.values()):
        if parameter.name == "self":
            continue
        kind = {"VAR_POSITIONAL": "*", "VAR_KEYWORD": "**"}.get(parameter.kind.name, "")
        is_keyword = parameter.kind is parameter.KEYWORD_ONLY
        default = "required" if parameter.default is parameter.empty else f"default {shown(parameter.default)}"
        where = "by name alone" if is_keyword else kind or f"argument {place}"
        yield f"{entry}({parameter.name})", where if kind else f"{where}, {default}"


def shown(value: Any) -> str:
    """Plain values as they are written, others by their type."""
    if isinstance(value, frozenset):
        return repr(sorted(value))
    is_plain = isinstance(value, (str, int, float, bool, tuple, list, dict, type(None)))
    return repr(value) if is_plain else getattr(value, "__name__", type(value).__name__)


def of_plugins() -> Entries:
    """Hooks, groups of entry points, powers, clauses."""
    for name, hook in vars(hookspecs).items():
        if name.startswith("xaicore_"):
            yield f"hook {name}", "a hook"
            yield from arguments(f"hook {name}", hook)
    yield from ((f"group {group}", kind) for kind, group in plugins.KINDS.items())
    yield from ((f"power {name}", "a power") for name in backend.POWERS)
    yield from ((f"clause {one.id}", f"since kit {one.since}") for one in xaicore.testing.CLAUSES.values())


ENGINES = ("Engine", "Flow", "Forward", "Seen", "along_axes", "mixture")
"""What authors of engines of Keras' backend write and call, of what imports no Keras."""


def of_engines() -> Entries:
    yield "group xaicore_keras.engines", "an engine of Keras"
    for name in ENGINES:
        yield from described(f"xaicore_keras.{name}", getattr(xaicore_keras, name))


def of_methods() -> Entries:
    """Names that users type, with their options."""
    for name, method in xaicore.METHODS.items():
        yield f"method {name}", f"needs {', '.join(method.needs)}" + ", signed" * method.signed
        yield from ((f"method {name}({option})", shown(default)) for option, default in method.options.items())


def of_commands() -> Entries:
    """Of the command line, with their options."""
    for name, command in cli.main.commands.items():
        yield f"command {name}", "a command"
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                for option in (*parameter.opts, *parameter.secondary_opts):
                    yield f"command {name} {option}", "a flag" if parameter.is_flag else "a value"


def of_files() -> Entries:
    """What the disk logger writes."""
    one = example(n=2, k=2, truth=[0, 1], class_names=["cat", "dog", "fox", "ant"])
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        with xaicore.open_loggers({"disk": {"root": run, "outline": 0.5}}, quiet=True) as log:
            log(one, 1)
            log.skip("bad.png", "an empty file")
        about = json.loads((run / "run.json").read_text())
        yield from ((f"file run.json {key}", f"a {type(value).__name__}") for key, value in about.items())
        yield from ((f"file run.json drawing.{key}", "an option") for key in about["drawing"])
        rows = map(json.loads, (run / "manifest.jsonl").read_text().splitlines())
        yield from ((f"file manifest.jsonl {key}", f"a key, {kind}") for key, kind in types_in(list(rows)).items())
        folders = {path.relative_to(run).parts[0] for path in run.rglob("*") if not path.name.startswith(".")}
        yield from ((f"file {name}", "a file or folder") for name in sorted(folders))


def types_in(rows: list[dict[str, Any]]) -> dict[str, str]:
    """{key: the types of its values}, of all rows."""
    found: dict[str, set[str]] = {}
    for row in rows:
        for key, value in row.items():
            found.setdefault(key, set()).add(type(value).__name__)
    return {key: " or ".join(sorted(found[key])) for key in sorted(found)}


def of_variables() -> Entries:
    """Variables of the environment that the core reads."""
    for path in sorted((ROOT / "xaicore").rglob("*.py")):
        for name in re.findall(r"environ(?:\.get\(|\[)\"(XAICORE_\w+)\"", path.read_text(encoding="utf-8")):
            yield f"variable {name}", "a variable of the environment"


def changes(before: dict[str, str], now: dict[str, str]) -> dict[str, str]:
    """{entry: what happened to it} of those that are not the same in both."""
    told = {}
    for entry in sorted({*before, *now}):
        old, new = before.get(entry), now.get(entry)
        if old is None:
            told[entry] = f"is new: {new}"
        elif new is None:
            told[entry] = f"is gone; it was {old}"
        elif old != new:
            told[entry] = f"was {old}, and is {new}"
    return told


def words_for(entry: str) -> set[str]:
    """What the changelog has to name in one of its points: the last name of an entry, and what it belongs to."""
    kind, _, rest = entry.partition(" ")
    if kind == "command" and "--" in rest:
        return {rest.split()[-1]}
    if rest.startswith("dataset/") and " " in rest:  # a column's name, such as "score", is said of much
        return {re.findall(r"[\w-]+", rest)[-1], "explain_dataset"}
    if kind == "file":
        return {re.findall(r"[\w-]+", rest)[-1]} if " " in rest else {*re.findall(r"\w+", rest)}
    words = re.findall(r"[\w-]+", rest or kind)
    rooms = {name for name in xaicore.__all__ if isinstance(getattr(xaicore, name), types.ModuleType)}
    return {word for word in words[-2:] if word not in {"xaicore", *rooms}} or {words[-1]}


def untold(changed: dict[str, str], changelog: str) -> dict[str, str]:
    """Those of the changes that no point in the newest section of the changelog names, in backticks.

    What is in a function or class that is new, or gone, needs no words of its own.
    """
    section = re.split(r"^## ", changelog, flags=re.M)[1]
    if "(unreleased)" not in section.partition("\n")[0]:
        return changed
    points = [
        {word for code in re.findall(r"`([^`]+)`", point) for word in re.findall(r"--[\w-]+|[\w-]+", code)}
        for point in re.split(r"^- ", section, flags=re.M)
    ]
    words = {entry: words_for(entry) for entry in changed}
    left = {entry: how for entry, how in changed.items() if not any(words[entry] <= point for point in points)}
    whole = {entry for entry, how in changed.items() if how.startswith(("is new", "is gone"))}
    return {entry: how for entry, how in left.items() if not any(is_inside(entry, other) for other in whole)}


def is_inside(entry: str, other: str) -> bool:
    return entry != other and entry.startswith(other) and entry[len(other)] in ".( "


if __name__ == "__main__":
    text = json.dumps({"version": xaicore.__version__, "entries": surface()}, indent=1) + "\n"
    if sys.argv[1:] == ["--write"]:
        SNAPSHOT.write_text(text)
    else:
        print(text, end="")
