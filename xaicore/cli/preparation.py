"""`--preprocess imagenet`: pictures as most ImageNet models of PyTorch take them."""

from __future__ import annotations

from dataclasses import replace

from xaicore.backend import Backend
from xaicore.pictures import Preparation
from xaicore.pictures.imagenet import imagenet, imagenet_nhwc

__all__ = ["IMAGENET", "for_backend"]

IMAGENET = Preparation(imagenet, "imagenet (short side 256, centre 224 x 224, mean and standard deviation)")
"""Its name in results is the word that is typed, and what it does."""


def for_backend(prepare: Preparation, backend: Backend) -> Preparation:
    """ImageNet's preparation in the layout that the backend's model takes; any other is kept."""
    if prepare.function is imagenet and backend.channels_last:
        return replace(prepare, function=imagenet_nhwc)
    return prepare
