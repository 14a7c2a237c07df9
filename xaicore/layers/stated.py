"""The grid of a layer as the caller describes it with `axes=` and `grid=`, or advice to do so."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from xaicore.errors import LayerError
from xaicore.facts import Facts, InputFacts, LayerFacts
from xaicore.layers.axes import channel_axes
from xaicore.layers.grid import POSITIONS, Grid
from xaicore.layers.inputs import Frame
from xaicore.layers.joined import joined_grid, no_words, picture_tokens, with_others
from xaicore.layers.sizes import token_grid

__all__ = ["stated_grid"]


def stated_grid(
    name: str,
    layer: LayerFacts,
    facts: Facts,
    frame: Frame,
    axes: str | None,
    grid: tuple[int, ...] | None,
    maps: Sequence[tuple[int, ...]] = (),
    position: int = 0,
) -> Grid:
    """The grid that the caller's notation describes; tokens without one lie on the grid that their number fits.

    `maps` are the sizes of the convolutions' maps, `position` is that of the picture among the inputs.

    Raises:
        LayerError: the notation does not fit the layer, or there is none and the facts do not settle the axes.
    """
    shape, expected = layer.shape, len(frame.size)
    seen = f"layer {name!r} gives {shape} for an input of size {frame.size}"
    images = facts.count * frame.rows
    is_likely = axes is None
    if axes is None:
        channel = channel_axes(facts.layers).get(layer.name)
        if channel is None or len(shape) not in (3, expected + 2):
            raise LayerError(f"{seen}, {_advice(layer, channel, expected, bool(maps))}")
        axes = _likely_axes(shape, channel, images, expected)
    if len(axes) != len(shape):
        raise LayerError(f"{seen}, which axes={axes!r} does not describe: expected {len(shape)} letters")
    _check_layout(seen, _positions(axes, shape), frame, facts.inputs[position], grid)
    if is_likely:
        if grid is not None and "l" not in axes:
            raise LayerError(f"{seen}, which are no tokens: grid={grid} is for these alone. Pass grid=None")
        if shape[axes.index("n")] == images and not (grid is not None and "l" in axes):
            raise LayerError(f"{seen}, {_settling(axes, shape, frame.size)}, or name another layer")
    if shape[axes.index("n")] != images:
        raise LayerError(
            f"{seen}: {shape[axes.index('n')]} maps for {images} pictures in the inputs. If the model stacks several "
            "pictures into one batch, nothing says which map belongs to which picture. Name a layer after the batch is "
            "split again, or explain a model that runs its layers once for each picture"
        )
    if "l" not in axes:
        positions = set(axes) - set("nc")
        if len(positions) != expected:
            raise LayerError(
                f"{seen}: axes={axes!r} has {len(positions)} axes of positions for an input with {expected}; tokens in "
                "one row are l, as in axes='nlc'"
            )
        if grid is not None:
            raise LayerError(f"{seen}: axes={axes!r} has no tokens, and grid={grid} is for these alone. Pass grid=None")
        return Grid(axes, _positions(axes, shape))
    tokens = shape[axes.index("l")]
    part = picture_tokens(facts.layers, position).get(tokens, (0, tokens - 1))
    if part is None:
        raise no_words(f"layer {name!r}", tokens)
    if part != (0, tokens - 1) and grid is not None and len(grid) == expected:
        return joined_grid(axes, tuple(grid), part, tokens, f"layer {name!r}")
    fitting = token_grid(part[1] - part[0] + 1, frame.size, maps) if grid is None else None
    if fitting is not None:
        return with_others(Grid(axes, *fitting), part, tokens)
    if grid is None:
        raise LayerError(
            f"{seen}: axes={axes!r} has tokens; say on which grid they lie, such as grid={_example(tokens, frame.size)}"
        )
    if len(grid) != expected or not 0 <= tokens - prod(grid) < tokens:
        raise LayerError(
            f"{seen}: {tokens} tokens do not hold grid={grid}; expected {expected} numbers whose product is at most "
            f"{tokens}, prefix tokens included"
        )
    return Grid(axes, tuple(grid), tokens - prod(grid))


def _check_layout(
    seen: str, positions: tuple[int, ...], frame: Frame, given: InputFacts, grid: tuple[int, ...] | None
) -> None:
    """Refuse positions that are those of the input with its channels on the other side, where only custom says which.

    Raises:
        LayerError: they are.
    """
    if given.reader_shape is not None or frame.is_stated:
        return
    other = f"n{frame.axes[2:]}c" if frame.axes[1] == "c" else f"nc{frame.axes[1:-1]}"
    size = _positions(other, given.shape)
    are_these = positions == size or (positions == (prod(size),) and grid in (None, size))
    if frame.size not in (positions, size) and are_these:
        raise LayerError(
            f"{seen}: the input {given.shape} is read as {frame.axes!r}, and these are its positions if it is "
            f"{other!r}. Pass input_axes={other!r}"
        )


def _positions(axes: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(length for length, letter in zip(shape, axes, strict=True) if letter not in "nc")


def _advice(layer: LayerFacts, channel: int | None, expected: int, has_maps: bool) -> str:
    if len(layer.shape) == expected + 2 or len(layer.shape) == 3:
        letters = "nchw" if expected == 2 else "nct" if expected == 1 else "ncdhw"
        example = letters if len(layer.shape) == expected + 2 else "nlc"
        return f"and nothing says which axis has its channels: say so, such as axes={example!r}, or name another layer"
    advice = "Name a convolution or a block of them, or pass layer=None" if has_maps else "Name a layer that is"
    return (
        f"which is no map of it: expected (N, channels, *positions) with {expected} spatial axes, or tokens. {advice}"
    )


def _likely_axes(shape: tuple[int, ...], channel: int, images: int, expected: int) -> str:
    if len(shape) == expected + 2:
        positions = POSITIONS[expected]
        return f"nc{positions}" if channel == 1 else f"n{positions}c"
    if channel == 2:
        return "lnc" if shape[0] != images and shape[1] == images else "nlc"
    return "ncl"


def _settling(axes: str, shape: tuple[int, ...], size: tuple[int, ...]) -> str:
    """What to type for tokens or positions that do not follow the picture."""
    if "l" not in axes:
        return f"and these positions do not follow the picture: if they lie over it nevertheless, pass axes={axes!r}"
    example = _example(shape[axes.index("l")], size)
    return f"and these tokens do not follow the picture: say on which grid they lie, such as grid={example}"


def _example(tokens: int, size: tuple[int, ...]) -> tuple[int, ...]:
    """The grid of the smallest square patches of a picture that are no more than these tokens, for the message."""
    grids = (tuple(max(1, length // patch) for length in size) for patch in range(1, max(size) + 1))
    return next(grid for grid in grids if prod(grid) <= tokens)
