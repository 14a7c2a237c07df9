"""The private names of ONNX Runtime that are used, seen in 1.20 to 1.32: a session does not give its graph away."""

from __future__ import annotations

import onnx
import onnxruntime

from xaicore import InputError

__all__ = ["graph_of"]


def graph_of(session: onnxruntime.InferenceSession) -> onnx.ModelProto:
    """The graph that a session was made of.

    Raises:
        InputError: the session no longer knows it.
    """
    path, content = getattr(session, "_model_path", None), getattr(session, "_model_bytes", None)
    if path:
        return onnx.load(path)
    if content:
        return onnx.load_from_string(content)
    raise InputError("this InferenceSession does not say which graph it was made of: pass onnx.load('model.onnx')")
