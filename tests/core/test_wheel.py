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

PLUGINS = {"backends": ("torch", "keras"), "loggers": ("disk", "wandb", "tensorboard", "mlflow")}


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
    assert tops - info == {"xaicore", *(f"xaicore_{name}" for names in PLUGINS.values() for name in names)}


def test_every_module_and_its_types_are_inside(wheel: zipfile.ZipFile) -> None:
    inside = set(wheel.namelist())
    ours = [(ROOT / folder, f"xaicore_{name}") for folder, names in PLUGINS.items() for name in names]
    for folder, package in ((ROOT, "xaicore"), *ours):
        here = {path.relative_to(folder).as_posix() for path in (folder / package).rglob("*.py")}
        assert f"{package}/__init__.py" in here
        assert here == {name for name in inside if name.startswith(f"{package}/") and name.endswith(".py")}
        assert f"{package}/py.typed" in inside


def test_templates_are_inside(wheel: zipfile.ZipFile) -> None:
    gallery = ROOT / "loggers" / "xaicore_disk" / "page"
    parts = {path.name for kind in ("*.jinja", "*.css", "*.js") for path in gallery.glob(kind)}
    assert {"index.html.jinja", "gallery.css", "gallery.js"} <= parts
    assert {f"xaicore_disk/page/{name}" for name in parts} <= set(wheel.namelist())


def test_entry_points(wheel: zipfile.ZipFile) -> None:
    (path,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    parser = configparser.ConfigParser()
    parser.read_string(wheel.read(path).decode())
    assert {section: dict(parser[section]) for section in parser.sections()} == {
        "console_scripts": {"xaicore": "xaicore.cli:main"},
        **{f"xaicore.{kind}": {name: f"xaicore_{name}" for name in names} for kind, names in PLUGINS.items()},
    }
