"""The preparation of a run, found again by the name of its model, or as ImageNet's."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from typing import Any

from xaicore.dataset.fingerprint import agree, prepared
from xaicore.models import find_model, libraries
from xaicore.pictures import Preparation
from xaicore.pictures.imagenet import imagenet, imagenet_nhwc

__all__ = ["found_again"]


def found_again(run: Mapping[str, Any]) -> Preparation | None:
    """The preparation that makes of a test picture what the run's made of it: that of the model's name, or ImageNet's.

    Only names of libraries are looked up: opening the folder of another person's run must not run code that it names.
    The model is built with random weights, so that nothing large is downloaded.

    Args:
        run: what run.json says.

    Returns:
        None where the name is not known, or is not that of a library; where the library is not there or says nothing of
        pictures; and where it says something else than the run had.
    """
    made = run.get("fingerprint", {}).get("prepared")
    if made is None:
        return None
    known = [_of_library(run.get("name")), Preparation.of(imagenet), Preparation.of(imagenet_nhwc)]
    return next((one for one in known if one is not None and agree(prepared(one), made)), None)


def _of_library(name: Any) -> Preparation | None:
    if not isinstance(name, str) or not _is_of_library(name):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the weights are random
            return Preparation.of(find_model(name, weights="none").preprocess)
    except Exception:  # whatever a library raises: the caller is asked then
        return None


def _is_of_library(name: str) -> bool:
    """Whether this is a name such as "torchvision/resnet50", and no code and no file."""
    library = name.partition("/")[0]
    return ":" not in name and not os.path.exists(name) and any(one.name == library for one in libraries())
