"""The map in docs/contributing.md is the house: rooms, what stands above what, how large a room may be."""

from __future__ import annotations

import ast
import graphlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CORE = ROOT / "xaicore"
PAGE = (ROOT / "docs" / "contributing.md").read_text()
PLACES = sorted(set(re.findall(r"`((?:xaicore|backends|loggers|tests)/[a-z][a-z_./0-9]+)`", PAGE)))
ROOMS = [Path(room).stem for room in re.findall(r"^\| `xaicore/([\w./]+)` \|", PAGE, re.M)]
PACKAGES = [*sorted(CORE.rglob("*.py")), *sorted((ROOT / "backends").rglob("*.py"))]
PACKAGES += sorted((ROOT / "loggers").rglob("*.py"))

UPWARDS = {
    ("explanation", "loggers"),  # Explanation.save, when it is called
    ("hookspecs", "models"),  # the types of a request for a model, and of the answer
    ("logger", "explanation"),  # the type of what a logger gets
}


def room_of(path: Path) -> str:
    return path.relative_to(CORE).parts[0].removesuffix(".py")


def imported(path: Path) -> Iterator[str]:
    """The rooms that a module imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            package, _, rest = name.partition(".")
            room = rest.partition(".")[0]
            if package == "xaicore" and room in ROOMS:
                yield room


def test_every_room_is_on_the_map_and_nothing_else() -> None:
    built = {room_of(path) for path in CORE.rglob("*.py")} - {"__init__", "__main__"}
    assert built == set(ROOMS)
    assert len(ROOMS) == len(built)


@pytest.mark.parametrize("path", sorted(CORE.rglob("*.py")), ids=lambda path: str(path.relative_to(CORE)))
def test_a_module_imports_only_from_rooms_above_it(path: Path) -> None:
    room = room_of(path)
    if room in ("__init__", "__main__"):
        return
    below = {other for other in imported(path) if ROOMS.index(other) > ROOMS.index(room)}
    assert {(room, other) for other in below} <= UPWARDS


def test_exceptions_are_still_needed() -> None:
    found = {(room_of(path), other) for path in CORE.glob("*.py") for other in imported(path)}
    assert found >= UPWARDS


def test_few_modules_lie_flat() -> None:
    assert len([path for path in CORE.glob("*.py") if not path.stem.startswith("__")]) <= 18


def modules_of(package: Path) -> dict[str, Path]:
    """{dotted name: file} of a package's modules."""
    parts = {path: path.relative_to(package.parent).with_suffix("").parts for path in package.rglob("*.py")}
    return {".".join(names[:-1] if names[-1] == "__init__" else names): path for path, names in parts.items()}


def arrows(name: str, path: Path, modules: dict[str, Path]) -> set[str]:
    """The modules of its package that a module imports as it is imported itself, or later; types count, too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: a relative import"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {other if other in modules else node.module for other in names}
    return (found & modules.keys()) - {name}


def circle(graph: dict[str, set[str]]) -> list[str]:
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as exc:
        return exc.args[1]
    return []


def test_a_circle_is_found() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": set()}) == []
    assert set(circle({"a": {"b"}, "b": {"c"}, "c": {"a"}})) == {"a", "b", "c"}


PLUGINS = sorted(path.parent for path in (*ROOT.glob("backends/*/__init__.py"), *ROOT.glob("loggers/*/__init__.py")))


@pytest.mark.parametrize("package", [CORE, *PLUGINS], ids=lambda package: package.name)
def test_no_package_has_a_circle_of_imports(package: Path) -> None:
    modules = modules_of(package)
    graph = {name: arrows(name, path, modules) for name, path in modules.items()}
    for module, other in UPWARDS if package == CORE else ():
        graph[f"xaicore.{module}"].discard(f"xaicore.{other}")
    # The root has the names that it exports; it comes last, and nothing may need it.
    assert circle(graph) == []


@pytest.mark.parametrize("path", PACKAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_is_too_long_to_be_about_one_thing(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 300


@pytest.mark.parametrize("path", PLACES)
def test_every_place_on_the_map_exists(path: str) -> None:
    assert (ROOT / path).exists()
