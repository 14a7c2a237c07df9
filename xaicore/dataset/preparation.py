"""The preparation of a run, found again by the name of its model."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from typing import Any

from xaicore.dataset.fingerprint import agree, prepared
from xaicore.models import find_model, libraries
from xaicore.pictures import Preparation

__all__ = ["found_again"]


def found_again(run: Mapping[str, Any]) -> Preparation | None:
    """The preparation that the run's model has by its name, if it makes of a test picture what the run's made of it.

    Only names of libraries are looked up: opening the folder of another person's run must not run code that it names.
    The model is built with random weights, so that nothing large is downloaded.

    Args:
        run: what run.json says.

    Returns:
        None where the name is not known, or is not that of a library; where the library is not there or says nothing of
        pictures; and where it says something else than the run had.
    """
    name, made = run.get("name"), run.get("fingerprint", {}).get("prepared")
    if not isinstance(name, str) or made is None or not _is_of_library(name):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the weights are random
            found = Preparation.of(find_model(name, weights="none").preprocess)
    except Exception:  # whatever a library raises: the caller is asked then
        return None
    return found if found is not None and agree(prepared(found), made) else None


def _is_of_library(name: str) -> bool:
    """Whether this is a name such as "torchvision/resnet50", and no code and no file."""
    library = name.partition("/")[0]
    return ":" not in name and not os.path.exists(name) and any(one.name == library for one in libraries())
