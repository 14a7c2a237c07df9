"""What the wheel holds: the packages, and nothing that would collide with somebody else's."""

from __future__ import annotations

import configparser
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """Built of a copy, so that no `build` folder of the source's takes part or is left behind."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for folder in ("xaicore", "backends", "loggers", "tests", "examples", "benchmarks"):
        shutil.copytree(ROOT / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    # What pip runs, without a pip: setuptools is here, so that nothing is downloaded.
    code = f"from setuptools.build_meta import build_wheel; build_wheel({str(target)!r})"
    subprocess.run([sys.executable, "-c", code], cwd=source, check=True, capture_output=True)
    (path,) = target.iterdir()
    return zipfile.ZipFile(path)


def test_top_level_names(wheel: zipfile.ZipFile) -> None:
    tops = {name.partition("/")[0] for name in wheel.namelist()}
    info = {name for name in tops if name.endswith(".dist-info")}
    assert len(info) == 1
    assert tops - info == {"xaicore", "xaicore_torch", "xaicore_keras", "xaicore_disk"}


def test_every_module_and_its_types_are_inside(wheel: zipfile.ZipFile) -> None:
    inside = set(wheel.namelist())
    for folder, package in (
        (ROOT, "xaicore"),
        (ROOT / "backends", "xaicore_torch"),
        (ROOT / "backends", "xaicore_keras"),
        (ROOT / "loggers", "xaicore_disk"),
    ):
        here = {path.relative_to(folder).as_posix() for path in (folder / package).rglob("*.py")}
        assert f"{package}/__init__.py" in here
        assert here == {name for name in inside if name.startswith(f"{package}/") and name.endswith(".py")}
        assert f"{package}/py.typed" in inside


def test_templates_are_inside(wheel: zipfile.ZipFile) -> None:
    templates = {path.relative_to(ROOT / "loggers").as_posix() for path in (ROOT / "loggers").rglob("*.jinja")}
    assert "xaicore_disk/index.html.jinja" in templates
    assert templates <= set(wheel.namelist())


def test_entry_points(wheel: zipfile.ZipFile) -> None:
    (path,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    parser = configparser.ConfigParser()
    parser.read_string(wheel.read(path).decode())
    assert {section: dict(parser[section]) for section in parser.sections()} == {
        "console_scripts": {"xaicore": "xaicore.cli:main"},
        "xaicore.backends": {"torch": "xaicore_torch", "keras": "xaicore_keras"},
        "xaicore.loggers": {"disk": "xaicore_disk"},
    }
