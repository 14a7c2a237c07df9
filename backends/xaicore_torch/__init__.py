"""PyTorch for xaicore. Imports torch only for a model that is one of torch's."""

import importlib
import sys
from typing import TYPE_CHECKING, Any

from xaicore import Backend, DependencyError, hookimpl

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xaicore import ModelLibrary, ModelSpec, NamedModel
    from xaicore.outputs import Output
    from xaicore.targets import Score
    from xaicore_torch.generation import Generated, generated
    from xaicore_torch.surgery import cam_model

__all__ = [
    "Generated",
    "Score",
    "cam_model",
    "generated",
    "xaicore_backend",
    "xaicore_model",
    "xaicore_model_libraries",
]


@hookimpl
def xaicore_backend(model: Any, output: "int | str | Output | None") -> Backend | None:
    """A backend for any `torch.nn.Module` but Keras' layers, which are such modules on Keras' torch backend."""
    torch, keras = sys.modules.get("torch"), sys.modules.get("keras")
    if torch is None or not isinstance(model, torch.nn.Module):
        return None
    if keras is not None and isinstance(model, keras.Layer):
        return None
    from xaicore_torch.backend import TorchBackend

    return TorchBackend(model, output)


@hookimpl
def xaicore_model(spec: "ModelSpec") -> "NamedModel | None":
    """A model of torchvision, timm or Transformers, or in a file of PyTorch."""
    if spec.model is not None and (spec.weights is None or xaicore_backend(spec.model, None) is None):
        return None
    from xaicore_torch.models import find_model

    return find_model(spec)


@hookimpl
def xaicore_model_libraries() -> "Sequence[ModelLibrary]":
    """torchvision, timm and Transformers, and a package that holds a small network with its weights."""
    from xaicore_torch.models import LIBRARIES

    return list(LIBRARIES.values())


def __getattr__(name: str) -> Any:
    modules = {
        "Generated": "xaicore_torch.generation",
        "Score": "xaicore.targets",
        "cam_model": "xaicore_torch.surgery",
        "generated": "xaicore_torch.generation",
    }
    if name not in modules:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(importlib.import_module(modules[name]), name)
    except ImportError as exc:
        raise DependencyError(f'{name} needs PyTorch ({exc}): pip install "xaicore[torch]"') from exc
