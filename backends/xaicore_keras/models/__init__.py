"""Models of Keras by name: those of keras.applications, and files. Keras is imported when it is asked for."""

from __future__ import annotations

import ast
import importlib
import json
import os
import sys
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from xaicore import DependencyError, ModelLibrary
from xaicore_keras.missing import INSTALL

if TYPE_CHECKING:
    from xaicore import ModelSpec, NamedModel

__all__ = ["FRAMEWORKS", "LIBRARY", "find_model", "keras_home"]

FILES = (".keras", ".h5", ".hdf5")
FRAMEWORKS = ("tensorflow", "jax", "torch")
WEIGHTS = {
    "EfficientNetV2B0": "efficientnetv2-b0.h5",
    "ResNet50": "resnet50_weights_tf_dim_ordering_tf_kernels.h5",
    "MobileNetV2": "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224.h5",
}
"""{model: the file that Keras saves its weights in}, the best for pictures of any kind first."""


def keras_home() -> Path:
    """The folder in which Keras keeps its settings and downloads."""
    return Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser()


def find_model(spec: ModelSpec) -> NamedModel | None:
    """The model that a spec names; None for one that is not Keras'.

    Raises:
        XaicoreError: it is one of Keras', and cannot be had.
    """
    if spec.model is not None:
        keras = sys.modules.get("keras")
        return _load("files", spec) if keras is not None and isinstance(spec.model, keras.Model) else None
    if spec.library == LIBRARY.name:
        return _load("applications", spec)
    if spec.text.lower().endswith(FILES) and os.path.isfile(os.path.expanduser(spec.text)):
        return _load("files", spec)
    return None


def _load(module: str, spec: ModelSpec) -> NamedModel:
    _choose_framework()
    try:
        import keras  # noqa: F401
    except (ImportError, ValueError) as exc:  # ValueError: KERAS_BACKEND is unknown to Keras
        raise DependencyError(f"spec={spec.text!r} needs Keras 3 and what it runs on ({exc}): {INSTALL}") from exc
    found: NamedModel = importlib.import_module(f"xaicore_keras.models.{module}").load(spec)
    return found


def _choose_framework() -> None:
    """Where what Keras would run on is missing, and the environment does not choose it, take one that is installed."""
    if "keras" in sys.modules or "KERAS_BACKEND" in os.environ:
        return
    try:
        settings = json.loads((keras_home() / "keras.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        settings = {}
    if find_spec(settings.get("backend") or "tensorflow") is not None:
        return
    there = [name for name in FRAMEWORKS if find_spec(name) is not None]
    if there:
        os.environ["KERAS_BACKEND"] = there[0]


def _names() -> Iterable[str]:
    """Read in the source of Keras, whose import takes many seconds."""
    found = find_spec("keras")
    folder = next(iter((found.submodule_search_locations if found is not None else None) or ()), "")
    try:
        source = Path(folder, "applications", "__init__.py").read_text(encoding="utf-8")
    except OSError as exc:
        raise DependencyError(f"keras.applications needs Keras 3, which is not installed: {INSTALL}") from exc
    imports = (node for node in ast.parse(source).body if isinstance(node, ast.ImportFrom))
    return [name.asname or name.name for node in imports for name in node.names if name.name[0].isupper()]


def _has_weights(name: str) -> bool:
    return name in WEIGHTS and (keras_home() / "models" / WEIGHTS[name]).is_file()


def _install() -> str:
    """One command, to be pasted into a shell: Keras alone where there is something that it runs on."""
    return "pip install keras" if any(map(find_spec, FRAMEWORKS)) else 'pip install "xaicore[tensorflow]"'


LIBRARY = ModelLibrary("keras", "keras", _names, "MobileNetV2", _install(), tuple(WEIGHTS), _has_weights, 50)
