"""Models and weights in files of Keras."""

from __future__ import annotations

import os
import zipfile
from typing import Any

import h5py
import keras

from xaicore import InputError, ModelSpec, NamedModel
from xaicore_keras.models.pictures import own_pixels
from xaicore_keras.models.weights import load_into

__all__ = ["load"]


def load(spec: ModelSpec) -> NamedModel:
    """The model that code built, with the weights of a file; or the model in a file.

    Raises:
        InputError: the weights do not fit, or the file holds no model, or one that needs code.
    """
    if spec.model is not None:
        return _built(spec)
    path = os.path.expanduser(spec.text)
    if not spec.pretrained:
        raise InputError(f"spec={spec.text!r} is a file of a trained model: weights='none' is for a library's model")
    _check_whole(path, spec)
    model = _read(path, spec)
    words = "its own weights"
    if spec.weights is not None:
        words = f"weights {spec.weights}"
        load_into(model, os.path.expanduser(spec.weights))
    return NamedModel(model, f"{path}, {type(model).__name__} {model.name!r}, {words}", own_pixels(model))


def _built(spec: ModelSpec) -> NamedModel:
    pixels = own_pixels(spec.model)
    if spec.weights is None:
        return NamedModel(spec.model, spec.text, pixels)
    path = os.path.expanduser(spec.weights)
    load_into(spec.model, path)
    return NamedModel(spec.model, f"{spec.text}, weights {path}", pixels, is_pretrained=True)


def _check_whole(path: str, spec: ModelSpec) -> None:
    """Refuse a file that holds weights alone, or nothing of Keras'."""
    if path.lower().endswith(".keras"):
        if not zipfile.is_zipfile(path):
            raise InputError(f"spec={spec.text!r} is no file of model.save(): expected a zip archive")
        return
    try:
        with h5py.File(path) as file:
            is_whole = "model_config" in file.attrs
    except OSError as exc:
        raise InputError(f"spec={spec.text!r} is no HDF5 file: {exc}") from exc
    if not is_whole:
        raise InputError(
            f"spec={spec.text!r} holds weights alone, not how the model computes: pass the code that builds it, "
            f"spec='net.py:build' and weights={spec.text!r}, or a library's model, such as spec='keras/MobileNetV2' "
            f"and weights={spec.text!r}"
        )


def _read(path: str, spec: ModelSpec) -> Any:
    try:
        return keras.models.load_model(path, safe_mode=not spec.trust)
    except Exception as exc:  # ValueError, TypeError, ...: Keras has no class of its own for these
        words = str(exc).strip()
        if "safe_mode" in words or "unsafe" in words.lower():
            raise InputError(
                f"spec={spec.text!r} holds Python code, such as that of a Lambda layer, which runs as the model runs. "
                "If you trust where it is from, add trust=True"
            ) from exc
        reason = words.rpartition("Exception encountered: ")[2].partition("\n")[0].partition(". ")[0]
        raise InputError(
            f"spec={spec.text!r} cannot be read: {type(exc).__name__}: {reason}. Where it has layers of your own, "
            "write a function that imports them and returns keras.models.load_model(...): spec='net.py:load'"
        ) from exc
