"""Files of weights for Keras models, compared with the model."""

from __future__ import annotations

import io
import os
import tempfile
import zipfile
from collections.abc import Callable
from typing import Any

import h5py

from xaicore import InputError
from xaicore.models import misfit, other_classes

__all__ = ["load_fitting", "load_into"]


def load_into(model: Any, path: str) -> None:
    """Set all weights of a model.

    Args:
        model: the model, built.
        path: `.weights.h5`, or what older versions or whole models were saved in.

    Raises:
        InputError: there is no such file, or weights are missing, left over, or of another shape.
    """
    if not os.path.isfile(path):
        raise InputError(f"weights={path!r}: no such file (in {os.getcwd()})")
    if not model.built:
        raise InputError(
            f"weights={path!r}: {model.name!r} has no weights yet to load them into; build it in the function that "
            "makes it, model.build((None, height, width, 3))"
        )
    theirs = _shapes_in(path)
    if theirs is not None and len(theirs) != len(model.weights):  # Keras itself ignores what is left over in the file
        _check_fit(model, theirs, path)
    try:
        model.load_weights(path)
    except Exception as exc:  # ValueError, OSError, KeyError, ...: by format and version
        if theirs is not None:
            _check_fit(model, theirs, path)
        first = str(exc).strip().partition("\n")[0]
        raise InputError(f"weights={path!r} does not fit {model.name!r}: {type(exc).__name__}: {first}") from exc


def load_fitting(build: Callable[..., Any], path: str) -> Any:
    """A model of keras.applications with the weights of a file, also where these are for another number of classes.

    Raises:
        InputError: the weights do not fit.
    """
    model, theirs = build(weights=None), _shapes_in(path)
    count = None if theirs is None else other_classes(_shapes_of(model), theirs)
    if count is not None:
        model = build(weights=None, classes=count)
    load_into(model, path)
    return model


def _check_fit(model: Any, theirs: dict[str, tuple[int, ...]], path: str) -> None:
    problem = misfit(_shapes_of(model), theirs)
    if problem is not None:
        raise InputError(f"weights={path!r} does not fit {model.name!r}: {problem}")


def _shapes_of(model: Any) -> dict[str, tuple[int, ...]]:
    """{name in a file of weights: shape} of a model's weights."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "own.weights.h5")
        model.save_weights(path)
        return _shapes_in(path) or {}


def _shapes_in(path: str) -> dict[str, tuple[int, ...]] | None:
    """{name: shape} of the weights in a `.weights.h5` or `.keras` file; None for another format."""
    if not path.endswith((".weights.h5", ".keras")):
        return None
    shapes: dict[str, tuple[int, ...]] = {}

    def keep(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and not name.startswith("optimizer/"):
            shapes[name.removeprefix("layers/").replace("/vars/", "/")] = tuple(item.shape)

    try:
        with h5py.File(_weights_in_archive(path) if path.endswith(".keras") else path) as file:
            file.visititems(keep)
    except OSError as exc:
        raise InputError(f"weights={path!r} is no HDF5 file: {exc}") from exc
    return shapes


def _weights_in_archive(path: str) -> io.BytesIO:
    """The `.weights.h5` in what `model.save()` wrote."""
    try:
        with zipfile.ZipFile(path) as archive:
            return io.BytesIO(archive.read("model.weights.h5"))
    except (zipfile.BadZipFile, KeyError) as exc:
        raise InputError(f"weights={path!r} is no file of model.save(): {exc}") from exc
