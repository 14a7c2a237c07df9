"""What notebooks and figures show: each picture once, and beside it the maps that lie over it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from xaicore.show.words import known

__all__ = ["Group", "Panel", "is_wide"]

WIDE = 2.2
"""In heights: from here on an image is wide, such as a curve."""


@dataclass(frozen=True, eq=False)
class Panel:
    """One map.

    Attributes:
        row: as `Explanation.row` gives it.
        images: as `Explanation.draw` gives them; empty where the map cannot be drawn.
        scale: what 1 is in its heatmap, such as "map's maximum".
        name: of its result in a comparison; "" where there is one result.
    """

    row: Mapping[str, Any]
    images: Mapping[str, np.ndarray]
    scale: str = "map's maximum"
    name: str = ""

    @property
    def shown(self) -> np.ndarray | None:
        """The overlay, (H, W, 3) uint8 RGB; without a picture, the heatmap; None where the map cannot be drawn."""
        return self.images.get("overlay", self.images.get("heatmap"))

    @property
    def is_filler(self) -> bool:
        """Whether it fills up an image that has fewer targets than others, such as a shorter sequence of words."""
        row = self.row
        return bool(row["target"] < 0 and not row["target_name"] and row["empty"])


@dataclass(frozen=True, eq=False)
class Group:
    """The maps of one image.

    Attributes:
        lines: those of a line have the same target, or are of one result.
        picture: under the maps, (H, W, 3) uint8 RGB, without the boxes of targets; None if there is none.
    """

    lines: tuple[tuple[Panel, ...], ...]
    picture: np.ndarray | None

    @property
    def panels(self) -> tuple[Panel, ...]:
        """All of them, in order."""
        return tuple(panel for line in self.lines for panel in line)

    @property
    def title(self) -> str:
        """The name of the image."""
        return str(self.panels[0].row["id"])

    @property
    def facts(self) -> tuple[str, ...]:
        """What is known of the image, and is the same in all results: "predicted dog", "truth cat", "wrong"."""
        first, *others = (known(panel.row) for panel in self.panels)
        return tuple(fact for fact in first if all(fact in other for other in others))


def is_wide(image: np.ndarray) -> bool:
    """Whether an image (H, W, ...) is much wider than high."""
    return image.shape[1] > WIDE * image.shape[0]
