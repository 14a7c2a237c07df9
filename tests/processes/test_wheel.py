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
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository, so that nothing is left behind in it."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for folder in ("xaicore", "backends", "loggers", "tests", "examples", "benchmarks"):
        shutil.copytree(ROOT / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    return source


def build(kind: str, source: Path, target: Path) -> zipfile.ZipFile:
    """What pip runs, without a pip: hatchling is here, so that nothing is downloaded."""
    code = f"from hatchling.build import build_{kind}; build_{kind}({str(target)!r})"
    subprocess.run([sys.executable, "-c", code], cwd=source, check=True, capture_output=True)
    (path,) = target.iterdir()
    return zipfile.ZipFile(path)


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    return build("wheel", source, tmp_path_factory.mktemp("wheel"))


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
    packages = {path.relative_to(ROOT).as_posix() for path in (ROOT / "xaicore").rglob("*.jinja")}
    packages |= {path.relative_to(ROOT).as_posix() for path in (ROOT / "xaicore").rglob("*.css")}
    assert {"xaicore/dataset/template/page.html.jinja", "xaicore/dataset/template/page.css"} <= packages
    assert "xaicore/cli/templates/backend/package/backend.py.jinja" in packages
    assert packages <= set(wheel.namelist())


def test_entry_points(wheel: zipfile.ZipFile) -> None:
    (path,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    parser = configparser.ConfigParser()
    parser.read_string(wheel.read(path).decode())
    assert {section: dict(parser[section]) for section in parser.sections()} == {
        "console_scripts": {"xaicore": "xaicore.cli:main"},
        **{f"xaicore.{kind}": {name: f"xaicore_{name}" for name in names} for kind, names in PLUGINS.items()},
        "xaicore_keras.engines": {
            name: f"xaicore_keras.engines.{name}:{kind}Engine"
            for name, kind in {"tensorflow": "TensorFlow", "jax": "Jax", "torch": "Torch"}.items()
        },
    }


def found(name: str, places: Path, beside: Path) -> str | None:
    """Where Python finds a module from this folder with nothing on its path but what `places` adds by .pth files."""
    look = f"import importlib.util, site; site.addsitedir({str(places)!r}); spec = importlib.util.find_spec({name!r})"
    code = f"{look}; print(spec and spec.origin)"
    done = subprocess.run([sys.executable, "-ESc", code], cwd=beside, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_an_editable_install_is_on_the_path(source: Path, tmp_path: Path) -> None:
    """So that type checkers find it, which know no finders; and before a folder called `xaicore` that lies beside."""
    (places := tmp_path / "places").mkdir()
    (target := tmp_path / "target").mkdir()
    (tmp_path / "beside" / "xaicore").mkdir(parents=True)
    editable = build("editable", source, target)
    (path,) = (name for name in editable.namelist() if name.endswith(".pth"))
    roots = editable.read(path).decode().split()
    assert [Path(root) for root in roots] == [source, source / "backends", source / "loggers"]
    editable.extract(path, places)
    assert found("xaicore", places, tmp_path / "beside") == str(source / "xaicore" / "__init__.py")
    assert found("xaicore_torch", places, tmp_path) == str(source / "backends" / "xaicore_torch" / "__init__.py")
