"""The plugin's hooks. They import ONNX, and what needs it, when they are asked for a model of ONNX."""

from __future__ import annotations

import sys
from typing import Any

from xaicore import Backend, DependencyError, ModelSpec, NamedModel, hookimpl, models


@hookimpl
def xaicore_backend(model: Any, output: int | str | None) -> Backend | None:
    """The backend of an `onnx.ModelProto` or an `onnxruntime.InferenceSession`, else None."""
    onnx, runtime = (sys.modules.get(name) for name in ("onnx", "onnxruntime"))
    is_graph = onnx is not None and isinstance(model, onnx.ModelProto)
    if not is_graph and (runtime is None or not isinstance(model, runtime.InferenceSession)):
        return None
    from xaicore_onnx.backend import OnnxBackend
    from xaicore_onnx.private import graph_of

    if is_graph:
        return OnnxBackend(model, output)
    return OnnxBackend(graph_of(model), output, model.get_providers())


@hookimpl
def xaicore_model(spec: ModelSpec) -> NamedModel | None:
    """The model in a file that ends in .onnx, else None."""
    if spec.model is not None or not spec.text.lower().endswith(".onnx"):
        return None
    missing = [name for name in ("onnx", "onnxruntime") if not models.is_installed(name)]
    if missing:
        raise DependencyError(f"spec={spec.text!r} needs {' and '.join(missing)}: pip install {' '.join(missing)}")
    from xaicore_onnx.files import load

    return load(spec)
