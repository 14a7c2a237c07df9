"""Explanations of images of different sizes, which show, save and log themselves as one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xaicore.errors import InputError
from xaicore.explanation import Explanation
from xaicore.loggers import saved
from xaicore.show import html
from xaicore.show.drawing import Drawing
from xaicore.show.plot import check_count, plot
from xaicore.show.shown import about_of, count

if TYPE_CHECKING:
    import os

    from xaicore.show.figure import Plot

__all__ = ["Explanations"]


class Explanations(tuple[Explanation, ...]):
    """An explanation per image, in order; `explain_each` returns them.

    Each has its own `input_size`, and its maps, pictures and boxes are in the frame of its own image. `log(result,
    step=3)` logs all as one step.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        if not self:
            return "<Explanations of nothing>"
        first = self[0]
        sizes = ", ".join(" x ".join(map(str, size)) for size in dict.fromkeys(one.input_size for one in self[:3]))
        more = ", ..." * (len(self) > 3)
        return (
            f"<Explanations of {count(len(self.ids), 'image')} ({first.target}): {first.method} at {first.layer} of "
            f"{first.model}, sizes {sizes}{more}>"
        )

    @property
    def ids(self) -> tuple[str, ...]:
        """(N,) names of the images."""
        return tuple(name for one in self for name in one.ids)

    def take(self, images: slice | Sequence[int]) -> Explanations:
        """The explanations of some of the images, by position, see `Explanation.take`.

        Raises:
            InputError: no image is left.
        """
        chosen = np.arange(len(self))[images]
        if chosen.ndim != 1 or not len(chosen):
            raise InputError(f"take({images!r}) of {len(self)} images: expected a slice or positions of some")
        return Explanations(self[n] for n in chosen)

    def plot(self, path: str | os.PathLike[str] | None = None, drawing: Drawing | None = None) -> Plot:
        """A figure with a line per image, see `Explanation.plot`.

        Raises:
            InputError: the maps cannot be drawn, are too many, or the suffix is unknown.
            DependencyError: Matplotlib is missing.
        """
        for one in self:
            one.check_drawable("plot")
        check_count(len(self), self._most())
        drawing = drawing or Drawing(slices=html.SLICES)
        return plot([one.group_of(0, drawing) for one in self], drawing, path)

    def show(self) -> None:
        """Display them: in the notebook, else in the web browser."""
        html.show(self._repr_html_())

    def save(self, directory: str | os.PathLike[str], **options: Any) -> Path:
        """Write all explanations as one run, with one index.html, whose path is returned. See `Explanation.save`.

        Raises:
            LoggerError: the folder cannot be written.
            InputError: the directory is named like a picture, or an option is out of range.
            PluginError, DependencyError: an option is unknown, or needs another library.
        """
        return saved(self, directory, options)

    def _most(self) -> int:
        """The largest number of targets of an image."""
        return max(map(len, self), default=0)

    def _repr_html_(self) -> str:
        if not self:
            return html.render("Explanations", "of nothing", [])
        first, drawing = self[0], Drawing(slices=html.SLICES)
        images, targets = html.fitting(len(self), self._most(), max(one.parts for one in self))
        groups = (one.group_of(0, drawing, targets) for one in self[:images])
        shown = sum(min(len(one), targets) for one in self[:images])
        title = f"{first.model.rpartition('.')[2]}: {first.method} at {first.layer}"
        return html.render(title, about_of(len(self), self._most(), first.target), groups, sum(map(len, self)) - shown)
