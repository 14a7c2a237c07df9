"""A preparation of pictures to copy, for messages to those who have none."""

from __future__ import annotations

from xaicore.backend import Backend
from xaicore.pictures.imagenet import SIZE

__all__ = ["example", "or_imagenet", "remedy"]

USUAL = (224, 224)
"""(height, width) where the model does not say its own."""


def example(backend: Backend | None = None) -> str:
    """A function `preprocess` as one line of Python, which needs cv2, in the model's size and layout."""
    height, width = (None if backend is None else backend.picture_size) or USUAL
    x = "seen / 127.5 - 1"
    if backend is None or not backend.channels_last:
        x = f"({x}).transpose(2, 0, 1)"
    return f"def preprocess(picture): seen = cv2.resize(picture, ({width}, {height})); return {x}, seen"


def remedy(backend: Backend | None = None) -> str:
    """What to type in Python where nothing says how a model's pictures are prepared."""
    usual = or_imagenet(backend, "preprocess='imagenet'")
    scaled = f"`import cv2` and `{example(backend)}`, and preprocess=preprocess"
    return f"For a training that scaled to -1 to 1: {scaled}{usual}"


def or_imagenet(backend: Backend | None, typed: str) -> str:
    """The other remedy, as it is typed, of a model that may take pictures of this size; else nothing."""
    fits = backend is None or backend.picture_size in (None, SIZE)
    return f" or, where it was trained as most ImageNet models of PyTorch are, {typed}" if fits else ""
