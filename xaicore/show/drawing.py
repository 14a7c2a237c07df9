"""How maps are drawn: the options that users choose once, for all loggers alike."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np

from xaicore import overlay
from xaicore.errors import InputError, PluginError

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Drawing"]


@dataclass(frozen=True)
class Drawing:
    """How heatmaps and overlays are drawn.

    Attributes:
        colormap: of both: "inferno", "viridis", "magma", ... (`xaicore.overlay.colormaps()`).
        alpha: the overlay's opacity at the maximum, in [0, 1].
        outline: a share of the pixels, in (0, 1]: draw a line around those with the most evidence; None: no line.
        diverging: the colour map of signed maps, from evidence against the target to evidence for it: "blue-red" or
            "purple-orange" (`xaicore.overlay.diverging()`).
        axis: of a volume, which its slices are cut along: 0, 1 or 2.
        slices: of a volume, how many of its slices are drawn, evenly spaced, with the first and the last one; None: all
            of them, or as many as a montage of four million pixels holds.
        boxes: draw the box of a target that has one, in pictures and overlays.

    Raises:
        InputError: a value is unknown or out of range.
    """

    colormap: str = overlay.COLORMAP
    alpha: float = overlay.ALPHA
    outline: float | None = None
    diverging: str = "blue-red"
    axis: int = 0
    slices: int | None = None
    boxes: bool = True

    def __post_init__(self) -> None:
        # Validate now, not in the middle of a run.
        for option, known in (("colormap", overlay.colormaps()), ("diverging", overlay.diverging())):
            name = getattr(self, option)
            if str(name).lower() not in known:
                raise InputError(f"{option}={name!r}: no colour map called {name!r}; known: {', '.join(known)}")
        if self.axis not in (0, 1, 2):
            raise InputError(f"axis={self.axis!r}: expected 0, 1 or 2, the axis of a volume that slices are cut along")
        if self.slices is not None and not (isinstance(self.slices, Integral) and self.slices > 0):
            raise InputError(f"slices={self.slices!r}: expected a positive number of slices, or None for all")
        self.overlay(np.zeros((1, 1, 1, 3), np.uint8), np.zeros((1, 1, 1), np.float32))

    @classmethod
    def from_options(
        cls, options: Mapping[str, Any], logger: str, before: Sequence[str] = (), after: Sequence[str] = ()
    ) -> Self:
        """Build a drawing from a logger's options.

        Args:
            options: the drawing options that the user gave.
            logger: the logger's name.
            before, after: the logger's own options; errors list them before and after those of the drawing.

        Raises:
            PluginError: an option is unknown.
            InputError: a value is unknown or out of range.
        """
        known = [field.name for field in dataclasses.fields(cls)]
        unknown = [repr(name) for name in options if name not in known]
        if unknown:
            raise PluginError(
                f"the {logger} logger has no option {', '.join(unknown)}; known: {', '.join([*before, *known, *after])}"
            )
        return cls(**options)

    def colorize(self, heatmaps: np.ndarray, signed: bool = False) -> np.ndarray:
        """Heatmaps (..., H, W) in [0, 1] as uint8 RGB (..., H, W, 3); signed ones in [-1, 1]."""
        return overlay.colorize(heatmaps, self.diverging if signed else self.colormap)

    def overlay(
        self, pictures: np.ndarray, heatmaps: np.ndarray, signed: bool = False, level: float | None = None
    ) -> np.ndarray:
        """Heatmaps (M, H, W) in [0, 1] over pictures (M, H, W, 3) uint8 RGB: uint8 RGB (M, H, W, 3).

        Args:
            pictures: below.
            heatmaps: above.
            signed: they are in [-1, 1], negative where evidence is against the target.
            level: the smallest value inside of the outline, where the heatmaps are parts of a larger one.

        Raises:
            InputError: the shapes do not fit.
        """
        over = overlay.blend(pictures, heatmaps, self.diverging if signed else self.colormap, self.alpha)
        return over if self.outline is None else overlay.outline(over, heatmaps, self.outline, level=level)
