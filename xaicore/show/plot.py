"""The way to a figure: Matplotlib is imported when somebody wants one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from xaicore.errors import DependencyError, InputError
from xaicore.show.drawing import Drawing
from xaicore.show.sheet import Group

if TYPE_CHECKING:
    from xaicore.show.figure import Plot

__all__ = ["check_count", "plot"]

MOST = 120
"""Maps in a figure; more are neither readable nor quick to draw."""


def check_count(images: int, per_image: int) -> None:
    """Refuse more maps than a figure can show.

    Raises:
        InputError: there are too many maps.
    """
    if images * per_image <= MOST:
        return
    if per_image > MOST:
        do = "name fewer targets"
    else:
        do = f"plot some of the images, as in take(slice(0, {MOST // per_image})).plot()"
    raise InputError(f"plot of {images * per_image} maps, {per_image} per image: expected {MOST} at most; {do}")


def plot(groups: Sequence[Group], drawing: Drawing, path: str | os.PathLike[str] | None = None) -> Plot:
    """A figure of the maps of images, see `Explanation.plot`.

    Args:
        groups: one per image.
        drawing: how they were drawn, for the colour bars.
        path: where to write it; None: nowhere.

    Raises:
        DependencyError: Matplotlib is missing.
        InputError: Matplotlib writes no files with this suffix, or the file cannot be written.
    """
    try:
        from xaicore.show.figure import figure_of
    except ImportError as exc:
        raise DependencyError(f'plot() needs Matplotlib: pip install "xaicore[plot]", or matplotlib ({exc})') from exc
    figure = figure_of(groups, drawing)
    if path is not None:
        known = figure.canvas.get_supported_filetypes()
        suffix = os.path.splitext(path)[1].removeprefix(".").lower()
        if suffix not in known:
            raise InputError(f"path={os.fspath(path)!r}: expected a file name that ends in .{', .'.join(known)}")
        try:
            figure.savefig(os.path.expanduser(path))
        except OSError as exc:
            raise InputError(f"path={os.fspath(path)!r} cannot be written: {exc.strerror or exc}") from exc
    return figure
