"""Keras 3 for xaicore, on TensorFlow, JAX, torch and its other backends. Imports Keras only for a model of Keras."""

import importlib
import sys
from typing import TYPE_CHECKING, Any

from xaicore import Backend, DependencyError, hookimpl
from xaicore_keras.missing import INSTALL, missing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xaicore import ModelLibrary, ModelSpec, NamedModel
    from xaicore.outputs import Output
    from xaicore.targets import Score
    from xaicore_keras.callback import HeatmapCallback
    from xaicore_keras.engine import Engine, Forward
    from xaicore_keras.engines.forward import ForwardEngine
    from xaicore_keras.seen import Flow, Seen, along_axes, mixture
    from xaicore_keras.surgery import cam_model

__all__ = [
    "Engine",
    "Flow",
    "Forward",
    "ForwardEngine",
    "HeatmapCallback",
    "Score",
    "Seen",
    "along_axes",
    "cam_model",
    "mixture",
    "xaicore_backend",
    "xaicore_missing",
    "xaicore_model",
    "xaicore_model_libraries",
]


@hookimpl
def xaicore_backend(model: Any, output: "int | str | Output | None") -> Backend | None:
    """A backend for any `keras.Model` of Keras 3; whoever has one has imported Keras."""
    keras = sys.modules.get("keras")
    if keras is None or not isinstance(model, keras.Model):
        return None
    from xaicore_keras.backend import KerasBackend

    return KerasBackend(model, output)


@hookimpl
def xaicore_missing() -> tuple[list[str], str] | None:
    """Keras, and the framework that it runs on."""
    return missing()


@hookimpl
def xaicore_model(spec: "ModelSpec") -> "NamedModel | None":
    """A model of keras.applications, or in a file of Keras."""
    from xaicore_keras.models import find_model

    return find_model(spec)


@hookimpl
def xaicore_model_libraries() -> "Sequence[ModelLibrary]":
    """keras.applications."""
    from xaicore_keras.models import LIBRARY

    return [LIBRARY]


def __getattr__(name: str) -> Any:
    modules = {
        **dict.fromkeys(("Engine", "Forward"), "xaicore_keras.engine"),
        **dict.fromkeys(("Flow", "Seen", "along_axes", "mixture"), "xaicore_keras.seen"),
        "ForwardEngine": "xaicore_keras.engines.forward",
        "HeatmapCallback": "xaicore_keras.callback",
        "Score": "xaicore.targets",
        "cam_model": "xaicore_keras.surgery",
    }
    if name not in modules:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(importlib.import_module(modules[name]), name)
    except ImportError as exc:
        raise DependencyError(f"{name} needs Keras 3 and what it runs on ({exc}): {INSTALL}") from exc
