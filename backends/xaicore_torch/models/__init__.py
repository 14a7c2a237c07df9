"""Models of PyTorch by name: one module per library, and one for files. A library is imported when it is asked for."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING

from xaicore import DependencyError
from xaicore.models import is_installed
from xaicore_torch.models.folders import folder_library
from xaicore_torch.models.libraries import LIBRARIES

if TYPE_CHECKING:
    from xaicore import ModelSpec, NamedModel

__all__ = ["LIBRARIES", "find_model"]

FILES = (".pt", ".pth", ".bin", ".ckpt", ".safetensors", ".pt2")


def find_model(spec: ModelSpec) -> NamedModel | None:
    """The model that a spec names; None for one that is not PyTorch's.

    Raises:
        XaicoreError: it is one of PyTorch's, and cannot be had.
    """
    if spec.model is not None:
        return _load("files", spec)
    library = spec.library if spec.library in LIBRARIES else folder_library(spec.text)
    if library is not None:
        known = LIBRARIES[library]
        if not is_installed(known.package):
            raise DependencyError(f"spec={spec.text!r} needs {known.package}, which is not installed: {known.install}")
        return _load({"hf": "transformers", "efficientnet-lite": "lite"}.get(library, library), spec)
    if spec.text.lower().endswith(FILES) and os.path.isfile(os.path.expanduser(spec.text)):
        return _load("files", spec)
    return None


def _load(module: str, spec: ModelSpec) -> NamedModel:
    import torch

    with torch.random.fork_rng(devices=[]):  # weights are random until they are loaded
        found: NamedModel = importlib.import_module(f"xaicore_torch.models.{module}").load(spec)
    return found
