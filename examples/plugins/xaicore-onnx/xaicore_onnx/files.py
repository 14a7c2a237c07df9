"""Models by file: `--model model.onnx`."""

from __future__ import annotations

import os

import onnx

from xaicore import InputError, ModelSpec, NamedModel

__all__ = ["load"]


def load(spec: ModelSpec) -> NamedModel:
    """The model of a file. ONNX does not say how pictures are prepared.

    Raises:
        InputError: there is no such file, it is no ONNX file, or other weights are asked for.
    """
    path = os.path.expanduser(spec.text)
    if not os.path.isfile(path):
        raise InputError(f"spec={spec.text!r}: no such file (in {os.getcwd()})")
    if spec.weights is not None or not spec.pretrained:
        given = "none" if spec.weights is None else spec.weights
        raise InputError(f"weights={given!r}: {spec.text!r} holds its weights; leave weights out")
    try:
        model = onnx.load(path)
    except Exception as exc:  # protobuf has errors of its own
        raise InputError(f"spec={spec.text!r} is no ONNX file: {type(exc).__name__}: {exc}") from exc
    made_by = f", made by {model.producer_name}" if model.producer_name else ""
    return NamedModel(model, f"{os.path.basename(path)}, ONNX{made_by}")
