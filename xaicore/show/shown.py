"""A result as people see it at once: in a notebook, in the browser, as a figure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from xaicore.errors import InputError
from xaicore.show import html
from xaicore.show.drawing import Drawing
from xaicore.show.framed import FramedMaps
from xaicore.show.plot import check_count, plot
from xaicore.show.sheet import Group, Panel

if TYPE_CHECKING:
    import os

    from xaicore.show.figure import Plot

__all__ = ["ShownMaps", "about_of", "count"]

SCALES = {"max": "map's maximum", "robust": "map's 99th percentile"}
"""What 1 is in a heatmap, by `scaling`."""


class ShownMaps(FramedMaps):
    """The methods of `Explanation`, which has these attributes, that show it as a whole."""

    ids: tuple[str, ...]
    method: str
    layer: str
    model: str
    target: str

    def __len__(self) -> int:
        return len(self.maps)

    def row(self, m: int, drawing: Drawing | None = None) -> dict[str, Any]:
        """What is known of row m, as plain values."""
        raise NotImplementedError

    def rows(self) -> list[dict[str, Any]]:
        """What is known of each row, in order, as `row` gives it; `pandas.DataFrame` makes a table of it."""
        return list(self)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The rows, as `row` gives them, in order; as many as `len` counts."""
        return (self.row(m) for m in range(len(self)))

    def plot(self, path: str | os.PathLike[str] | None = None, drawing: Drawing | None = None) -> Plot:
        """A figure, as for a paper: per image a line with its picture, its overlays and a colour bar.

        The title of a picture is its id and what is known of it; that of an overlay is the target with its score, and
        whether it is right if it is the prediction. Curves, clips and volumes lie below each other.

        Args:
            path: also write it there; the suffix says how: "figure.pdf", "figure.svg", "figure.png".
            drawing: how the maps are drawn.

        Returns:
            A Matplotlib figure, which notebooks show, and which pyplot does not know: there is nothing to close.

        Raises:
            InputError: the maps cannot be drawn, are too many, or the suffix is unknown.
            DependencyError: Matplotlib is missing.
        """
        self.check_drawable("plot")
        check_count(len(self.ids), len(self) // len(self.ids))
        drawing = drawing or Drawing(slices=html.SLICES)
        return plot([self.group_of(n, drawing) for n in range(len(self.ids))], drawing, path)

    def show(self) -> None:
        """Display the result: in the notebook, else in the web browser."""
        html.show(self._repr_html_())

    def _repr_html_(self) -> str:
        drawing = Drawing(slices=html.SLICES)
        per_image = len(self) // len(self.ids)
        images, targets = html.fitting(len(self.ids), per_image, self.parts)
        groups = (self.group_of(n, drawing, targets) for n in range(images))
        about = about_of(len(self.ids), per_image, self.target)
        more = len(self) - images * targets
        title = f"{self.model.rpartition('.')[2]}: {self.method} at {self.layer}"
        return html.render(title, about, groups, more)

    def panel(self, m: int, drawing: Drawing, name: str = "") -> Panel:
        """Row m as notebooks and figures show it; `name` is that of this result among others."""
        scale = SCALES[self.scaling] if self.ceilings is None else "fixed scale"
        return Panel(self.row(m, drawing), self.draw(m, drawing), scale, name)

    def group_of(self, n: int, drawing: Drawing, targets: int | None = None) -> Group:
        """Image n as notebooks and figures show it, with this many of its targets; None: with all."""
        per_image = len(self) // len(self.ids)
        first = n * per_image
        line = tuple(self.panel(first + k, drawing) for k in range(per_image)[:targets])
        return Group((line,), self.picture(first, drawing) if self.drawable else None)

    @property
    def parts(self) -> int:
        """The tiles of a map in a notebook: views, or slices."""
        return self.views * (html.SLICES if self.form == "volume" else 1)

    def check_drawable(self, what: str) -> None:
        """Refuse maps that cannot be drawn.

        Raises:
            InputError: the maps are not of signals, pictures or volumes.
        """
        if not self.drawable:
            raise InputError(
                f"{what} of maps {self.maps.shape[1:]} over an input {self.input_size}: expected maps of signals, "
                "pictures or volumes; the maps themselves are in explanation.maps"
            )


def about_of(images: int, per_image: int, target: str) -> str:
    """What was explained: "3 images, 2 targets each: top 2"."""
    each = " each" if images > 1 else ""
    return f"{count(images, 'image')}, {count(per_image, 'target')}{each}: {target}"


def count(number: int, noun: str) -> str:
    """A number and its noun: "1 image", "3 images"."""
    return f"{number} {noun}{'s' * (number != 1)}"
