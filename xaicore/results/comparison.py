"""Several explanations of the same images side by side: by several methods, at several epochs, of several models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xaicore.errors import InputError, type_name
from xaicore.explanation import Explanation
from xaicore.loggers import saved
from xaicore.show import html
from xaicore.show.drawing import Drawing
from xaicore.show.plot import check_count, plot
from xaicore.show.sheet import Group
from xaicore.show.shown import about_of, count

if TYPE_CHECKING:
    import os

    from xaicore.show.figure import Plot

__all__ = ["Comparison"]

ROUNDING = 2
"""Levels of 255 by which the same picture may differ: as uint8, and as floats that were rounded."""


class Comparison(dict[str, Explanation]):
    """{name: explanation} of the same images, which shows itself side by side. `Explainer.compare` returns one.

    xaicore.Comparison({"epoch 1": first, "epoch 9": last}).plot("training.pdf")

    It shows each picture once, and beside it an overlay of each explanation; where images have several targets, a line
    of them per target. `log(comparison, step=3)` logs its explanations as one step.
    """

    def __repr__(self) -> str:
        return f"<Comparison of {', '.join(map(str, self))}>" if self else "<Comparison of nothing>"

    def plot(self, path: str | os.PathLike[str] | None = None, drawing: Drawing | None = None) -> Plot:
        """A figure with a line per image and target: the picture, an overlay of each explanation, colour bars.

        Args:
            path: also write it there, see `Explanation.plot`.
            drawing: how the maps are drawn.

        Raises:
            InputError: the explanations are not of the same images, cannot be drawn or are too many, or the suffix is
                unknown.
            DependencyError: Matplotlib is missing.
        """
        first = self._of_same_pictures()
        for one in self.values():
            one.check_drawable("plot")
        check_count(len(first.ids), len(first) // len(first.ids) * len(self))
        drawing = drawing or Drawing(slices=html.SLICES)
        return plot([self._group(n, drawing) for n in range(len(first.ids))], drawing, path)

    def show(self) -> None:
        """Display it: in the notebook, else in the web browser.

        Raises:
            InputError: the explanations are not of the same images.
        """
        html.show(self._repr_html_())

    def save(self, directory: str | os.PathLike[str], **options: Any) -> Path:
        """Write all explanations as one run, with one index.html, whose path is returned. See `Explanation.save`.

        Raises:
            InputError: two explanations are of the same method and layer, so that one would replace the other; or an
                option is out of range.
            LoggerError: the folder cannot be written.
            PluginError, DependencyError: an option is unknown, or needs another library.
        """
        self._of_same_pictures()
        return saved(self, directory, options)

    def take(self, images: slice | Sequence[int]) -> Comparison:
        """The same comparison of some of the images, by position, see `Explanation.take`."""
        return Comparison({name: one.take(images) for name, one in self.items()})

    def _repr_html_(self) -> str:
        first = self._of_same_pictures()
        drawing = Drawing(slices=html.SLICES)
        per_image = len(first) // len(first.ids)
        images, targets = html.fitting(len(first.ids), per_image, first.parts * len(self))
        groups = (self._group(n, drawing, targets) for n in range(images))
        about = about_of(len(first.ids), per_image, first.target)
        return html.render(self._title(), about, groups, (len(first) - images * targets) * len(self))

    def _title(self) -> str:
        """The models and names; the layer, if all have the same."""
        models = ", ".join(dict.fromkeys(one.model.rpartition(".")[2] for one in self.values()))
        layers = {one.layer for one in self.values()}
        return f"{models}: {', '.join(self)}{f' at {layers.pop()}' if len(layers) == 1 else ''}"

    def _group(self, n: int, drawing: Drawing, targets: int | None = None) -> Group:
        """Image n, a line per target."""
        first = self._first()
        per_image = len(first) // len(first.ids)
        rows = range(n * per_image, (n + 1) * per_image)[:targets]
        lines = tuple(tuple(one.panel(m, drawing, name) for name, one in self.items()) for m in rows)
        return Group(lines, first.picture(rows[0], drawing) if first.drawable else None)

    def _of_same_pictures(self) -> Explanation:
        """As `_first`, whose pictures are those of the others where ids do not say so: "0", "1" are of any call.

        Raises:
            InputError: pictures of one size differ.
        """
        first = self._first()
        if first.ids != tuple(map(str, range(len(first.ids)))):
            return first
        (name, _), *others = self.items()
        for other, one in others:
            n = None if one.pictures is first.pictures else _differing(first, one)
            if n is not None:
                raise InputError(
                    f"{name!r} and {other!r} have no ids of their own, and other pictures of image {first.ids[n]!r}: "
                    "explain the same images in the same order; where they are the same, prepared in two ways, pass "
                    "the same ids= to both calls"
                )
        return first

    def _first(self) -> Explanation:
        """One of the explanations, which agree in their images and in the number of targets.

        Raises:
            InputError: they do not, or there is none.
        """
        if not self:
            raise InputError("a Comparison of nothing: expected {name: Explanation}, as explainer.compare(x) returns")
        for name, one in self.items():
            if not isinstance(name, str):
                raise InputError(f"a Comparison names a result {name!r}: expected a string, such as 'epoch {name}'")
            if not isinstance(one, Explanation):
                raise InputError(f"{name!r} of a Comparison is a {type_name(one)}: expected {{name: Explanation}}")
        (name, first), *others = self.items()
        for other, one in others:
            if one.ids != first.ids:
                raise InputError(
                    f"{name!r} and {other!r} explain other images, {_short(first.ids)} and {_short(one.ids)}: compare "
                    "explanations of the same images, with the same ids= in the same order"
                )
            if len(one) != len(first):
                per_image = [len(both) // len(both.ids) for both in (first, one)]
                raise InputError(
                    f"{name!r} has {count(per_image[0], 'target')} per image, {other!r} {per_image[1]}: compare "
                    "explanations with the same number of targets"
                )
        return first


def _differing(one: Explanation, other: Explanation) -> int | None:
    """The first image whose pictures differ by more than rounding; None where no pixels can be compared.

    Inputs that were rescaled have the scale of their own batch.
    """
    ours, theirs = one.images, other.images
    if "rescaled" in (one.images_from, other.images_from) or ours is None or theirs is None:
        return None
    if ours.shape != theirs.shape:
        return None
    differs = np.abs(np.subtract(ours, theirs, dtype=np.int16)) > ROUNDING
    images = differs.reshape(len(differs), -1).any(axis=1)
    return int(images.argmax()) if images.any() else None


def _short(ids: Sequence[str]) -> str:
    """The first ids, with what is left out."""
    return ", ".join(map(repr, ids[:3])) + (" ..." if len(ids) > 3 else "")
