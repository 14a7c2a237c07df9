"""What is read of an `Explanation`, which is made of this room and cannot be imported here."""

from __future__ import annotations

from typing import Protocol

import numpy as np

__all__ = ["Explained"]


class Explained(Protocol):
    """The attributes and methods of an `Explanation` that measures of localisation read."""

    # As properties, since an explanation is frozen.
    @property
    def maps(self) -> np.ndarray:
        """(M, *S)."""

    @property
    def image_index(self) -> np.ndarray:
        """(M,) which image a row belongs to."""

    @property
    def targets(self) -> np.ndarray:
        """(M,) classes, -1 for none."""

    @property
    def predicted(self) -> np.ndarray | None:
        """(N,) predicted classes."""

    @property
    def outputs(self) -> np.ndarray:
        """(N, ...), the class axis at 1."""

    @property
    def truth(self) -> np.ndarray | None:
        """(N,) true classes, -1 where unknown, or (N, classes) bool."""

    @property
    def ids(self) -> tuple[str, ...]:
        """(N,) names of the images."""

    @property
    def method(self) -> str:
        """The method's name."""

    @property
    def layer(self) -> str:
        """The layer's name."""

    @property
    def model(self) -> str:
        """The model's class."""

    @property
    def views(self) -> int:
        """Pictures per image."""

    def heatmap(self, m: int, normalize: str | None = None) -> np.ndarray:
        """Row m at the picture's resolution, (H, W)."""
