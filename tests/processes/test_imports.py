"""What `import xaicore` brings along, and what it says where OpenCV does not load."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from processes import environment, python, run_code

import xaicore

HEAVY = (
    "torch",
    "tensorflow",
    "keras",
    "jax",
    "PIL",
    "matplotlib",
    "click",
    "rich",
    "jinja2",
    "filelock",
    "importlib.metadata",
    "difflib",
    "IPython",
    "xaicore_torch",
    "xaicore_keras",
    "xaicore_disk",
)
FRAMEWORKS = ("torch", "tensorflow", "keras", "jax")


@pytest.mark.parametrize("module", ["xaicore", "xaicore.plugins, xaicore.show.html"])
def test_importing_brings_nothing_heavy(module: str) -> None:
    code = f"import sys; before = set(sys.modules); import {module}; print(*sorted(set(sys.modules) - before))"
    brought = run_code(code).split()
    assert {"xaicore", "numpy", "cv2", "pluggy"} <= set(brought)
    assert [name for name in brought if name in HEAVY] == []


def test_a_room_is_imported_when_a_name_of_it_is_first_used() -> None:
    code = """
        import sys, xaicore
        print("xaicore.monitor" in sys.modules, "xaicore.explainer" in sys.modules)
        xaicore.Monitor, xaicore.targets.TopK
        print("xaicore.monitor" in sys.modules, "xaicore.targets" in sys.modules)
    """
    assert run_code(code).split() == ["False", "False", "True", "True"]


def test_every_public_name_is_there() -> None:
    names = set(run_code("from xaicore import *\nprint(*globals())").split())
    assert set(xaicore.__all__) <= names
    assert set(xaicore.__all__) <= set(dir(xaicore))
    with pytest.raises(AttributeError, match="module 'xaicore' has no attribute 'explane'"):
        xaicore.explane


def test_types_and_values_of_a_name_come_from_the_same_room() -> None:
    """The imports that a type checker reads are those that happen later."""
    tree = ast.parse(Path(xaicore.__file__).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If) and node.test.id == "TYPE_CHECKING")
    typed = {(node.module, alias.name) for node in block.body for alias in node.names}
    modules = {("xaicore", name) for name in xaicore._MODULES if name in xaicore.__all__}
    assert typed == modules | {(room, name) for room, names in xaicore._HOLDERS.items() for name in names}


@pytest.mark.parametrize("plugin", ["xaicore_torch", "xaicore_keras"])
def test_importing_a_backend_brings_no_framework(plugin: str) -> None:
    """Nor does asking it whether a model is its own."""
    code = f"import sys, xaicore, {plugin} as p; print(p.xaicore_backend(object(), None), *sys.modules)"
    answer, *modules = run_code(code).split()
    assert answer == "None"
    assert plugin in modules
    assert [name for name in modules if name in FRAMEWORKS] == []


def test_what_engines_are_written_with_brings_no_framework() -> None:
    """Whoever writes one for another backend of Keras has its contract without TensorFlow, JAX or torch."""
    code = """
        import sys, xaicore_keras as k
        class Mine(k.Engine): ...
        print(k.Forward, k.Seen, k.Flow, k.mixture((2,)), k.along_axes, *sys.modules)
    """
    assert [name for name in run_code(code).split() if name in FRAMEWORKS] == []


@pytest.mark.parametrize("plugin", ["xaicore_torch", "xaicore_keras"])
def test_asking_a_backend_for_models_by_name_brings_no_framework(plugin: str) -> None:
    """Neither for a name that is another's, nor for its libraries, nor for where weights are."""
    code = f"""
        import sys, xaicore, {plugin} as p
        for name in ("zoo/lion", "best.zoo", "net:build"):
            assert p.xaicore_model(xaicore.ModelSpec(name, None, name)) is None
        for library in p.xaicore_model_libraries():
            [library.has_weights(name) for name in library.defaults]
        print(*sys.modules)
    """
    heavy = (*FRAMEWORKS, "torchvision", "timm", "transformers", "huggingface_hub", "h5py", "PIL")
    assert [name for name in run_code(code).split() if name in heavy] == []


def test_keras_runs_on_what_is_installed() -> None:
    code = """
        import os, sys, xaicore_keras.models as m
        os.environ["KERAS_HOME"] = "/nowhere"
        os.environ.pop("KERAS_BACKEND", None)
        m.find_spec = lambda name: name in ("jax", "torch") or None
        m._choose_framework()
        print(os.environ.pop("KERAS_BACKEND", None))
        m.find_spec = lambda name: True
        m._choose_framework()
        print(os.environ.get("KERAS_BACKEND"))
    """
    assert run_code(code).split() == ["jax", "None"]


OFFERED = [
    ("xaicore_torch", "cam_model", "torch", r'PyTorch \(.*\): pip install "xaicore\[torch\]"'),
    (
        "xaicore_keras",
        "cam_model",
        "keras",
        r'Keras 3.*pip install "xaicore\[tensorflow\]", or pip install "xaicore\[jax\]"',
    ),
    (
        "xaicore_keras",
        "HeatmapCallback",
        "keras",
        r'Keras 3.*pip install "xaicore\[tensorflow\]", or pip install "xaicore\[jax\]"',
    ),
]


@pytest.mark.parametrize(("plugin", "name"), [row[:2] for row in OFFERED])
def test_what_a_backend_offers_is_known_without_its_framework(plugin: str, name: str) -> None:
    code = f"import sys, {plugin} as p; print({name!r} in p.__all__, *sys.modules)"
    answer, *modules = run_code(code).split()
    assert answer == "True"
    assert [name for name in modules if name in FRAMEWORKS] == []


@pytest.mark.parametrize(("plugin", "name", "framework", "message"), OFFERED)
def test_without_its_framework_the_pip_command_is_named(plugin: str, name: str, framework: str, message: str) -> None:
    code = f"""
        import sys
        sys.modules[{framework!r}] = None
        try:
            from {plugin} import {name}
        except ImportError as error:
            print(type(error).__name__, error)
    """
    assert re.match(rf"DependencyError {name} needs {message}", run_code(code), re.S)


def test_explaining_brings_nothing_heavy_either() -> None:
    """NumPy from here on: neither a result nor its pictures need anything else."""
    code = """
import sys
before = set(sys.modules)
import numpy as np
import xaicore
from toynet import ToyBackend
e = xaicore.explain(None, np.random.default_rng(0).uniform(size=(2, 3, 8, 8)), backend=ToyBackend())
e.overlays(), e.boxes(), e._repr_html_()
print(*sorted(set(sys.modules) - before))
"""
    assert [name for name in run_code(code).split() if name in HEAVY] == []


def test_opencv_that_does_not_load_names_the_build_that_does(tmp_path: Path) -> None:
    missing = "libGL.so.1: cannot open shared object file: No such file or directory"
    (tmp_path / "cv2.py").write_text(f"raise ImportError({missing!r})\n")
    path = environment(tmp_path)
    result = python("-c", "import xaicore", env=path)
    assert result.returncode == 1
    assert f"xaicore.errors.DependencyError: OpenCV does not import: {missing}." in result.stderr
    assert "pip install --force-reinstall opencv-python-headless" in result.stderr
    caught = run_code("try:\n    import xaicore\nexcept ImportError as e:\n    print(type(e).__name__)", env=path)
    assert caught.strip() == "DependencyError"


def test_names_that_moved_are_still_found_where_plugins_looked_for_them() -> None:
    assert (
        run_code("from xaicore.logger import Loggers, open_loggers\nprint(open_loggers.__module__)")
        == "xaicore.loggers\n"
    )
    code = "from xaicore.backend import default_layer, unknown_layer\nimport xaicore\n"
    assert run_code(f"{code}print(unknown_layer is xaicore.unknown_layer, default_layer is xaicore.default_layer)") == (
        "True True\n"
    )
    for module in (xaicore.logger, xaicore.backend):
        with pytest.raises(AttributeError, match=f"module '{module.__name__}' has no attribute 'layer_default'"):
            module.layer_default
