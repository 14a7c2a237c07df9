"""The models of keras.applications, each with the `preprocess_input` of its module, and ImageNet's names."""

from __future__ import annotations

import importlib
import json
import os
import warnings
from collections.abc import Callable
from typing import Any

import keras

from xaicore import BackendError, InputError, ModelSpec, NamedModel
from xaicore.models import downloading, unknown_name
from xaicore_keras.models import LIBRARY, keras_home
from xaicore_keras.models.pictures import Pixels, picture_size
from xaicore_keras.models.weights import load_fitting

__all__ = ["load"]

NAMES = "imagenet_class_index.json"
URL = "https://storage.googleapis.com/download.tensorflow.org/data/imagenet_class_index.json"
"""Where `decode_predictions` has the names of ImageNet's classes from."""


def load(spec: ModelSpec) -> NamedModel:
    """The model `keras/NAME`, with ImageNet's weights, or with those of a file.

    Raises:
        InputError: there is no such model, or the file of weights does not fit.
        BackendError: the weights cannot be downloaded.
    """
    known = {name.lower(): name for name in LIBRARY.names()}
    name = known.get(spec.name.lower())
    if name is None:
        raise unknown_name(LIBRARY, spec.name)
    build: Callable[..., Any] = getattr(keras.applications, name)
    names = None
    if not spec.pretrained:
        model, words = build(weights=None), "random weights"
    elif spec.weights is not None and spec.weights != "imagenet":
        file = os.path.expanduser(spec.weights)
        if not os.path.isfile(file):
            raise InputError(f"weights={spec.weights!r}: no such file, and Keras' weights of this model are imagenet")
        model, words = load_fitting(build, file), f"weights {file}"
    else:
        model, words = _with_imagenet(build, spec), "weights imagenet"
        names = _imagenet_names()
    module = _module_of(build)
    size = picture_size(model)
    preprocess = None if size is None else Pixels(size, module.preprocess_input, f"{module.__name__}:preprocess_input")
    return NamedModel(model, f"{name}, keras.applications, {words}", preprocess, names, spec.pretrained)


def _module_of(build: Callable[..., Any]) -> Any:
    """The public module of a model, such as keras.applications.mobilenet_v2: that of its function has another path."""
    return importlib.import_module(f"keras.applications.{build.__module__.rpartition('.')[2]}")


def _with_imagenet(build: Callable[..., Any], spec: ModelSpec) -> Any:
    remedy = (
        f"Download that file where there is a network, and save it in {keras_home() / 'models'}; or pass "
        "weights='none' for random weights"
    )
    with downloading(f"the weights of {spec.text!r}", "https://storage.googleapis.com", remedy, reach=False):
        return build(weights="imagenet")


def _imagenet_names() -> list[str] | None:
    """The names of the 1000 classes, as `decode_predictions` has them; None, with a warning, where they are missing."""
    file = keras_home() / "models" / NAMES
    if not file.is_file():
        remedy = f"Without the names, classes are numbers: save that file as {file}, or pass class names yourself"
        try:
            with downloading("the names of ImageNet's classes", URL, remedy):
                file = keras.utils.get_file(NAMES, URL, cache_subdir="models")
        except BackendError as exc:
            warnings.warn(str(exc), RuntimeWarning, stacklevel=2)
            return None
    with open(file, encoding="utf-8") as stream:
        index = json.load(stream)
    return [index[str(i)][1].replace("_", " ") for i in range(len(index))]
