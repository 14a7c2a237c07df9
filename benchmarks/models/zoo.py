"""What is tried: an architecture with random weights, and what it takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["LIBRARIES", "Architecture"]

LIBRARIES = {
    "torchvision": "torchvision",
    "timm": "timm",
    "transformers": "Transformers",
    "open_clip": "open_clip",
    "own": "Written for this page, in PyTorch",
    "keras_applications": "keras.applications",
    "keras_hub": "keras-hub",
}
"""{module with its architectures: heading on the page}, in the page's order."""


@dataclass(frozen=True)
class Architecture:
    """One architecture.

    Attributes:
        name: as the library calls it.
        build: makes the model; its layers are as many and as wide as keeps it small.
        shape: of the picture as the model takes it, batch axis included.
        output: as `Explainer(output=...)` takes it.
        arguments: makes the model's arguments of the picture; None where the model takes the picture alone.
    """

    name: str
    build: Callable[[], Any]
    shape: tuple[int, ...]
    output: str | int | None = None
    arguments: Callable[[Any], Any] | None = None
