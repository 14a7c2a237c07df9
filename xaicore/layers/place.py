"""The layers that are explained, their grids, and the picture that their maps lie over."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from xaicore.backend import Facts, LayerFacts
from xaicore.errors import LayerError
from xaicore.layers.axes import channel_axes
from xaicore.layers.choice import choose_layer
from xaicore.layers.grid import Grid
from xaicore.layers.inputs import Frame
from xaicore.layers.reading import Reading

__all__ = ["Place", "find_place"]


@dataclass(frozen=True)
class Place:
    """Where a model is explained, for inputs of one shape.

    Attributes:
        grids: {layer: its grid}.
        frame: how the input under the maps is a picture.
        position: of that input among the model's inputs.
    """

    grids: Mapping[str, Grid]
    frame: Frame
    position: int

    def arrange(self, arrays: Mapping[str, np.ndarray], targets: bool = False) -> dict[str, np.ndarray]:
        """Arrays of the layers as (N, C, *size), or (N, K, C, *size)."""
        return {
            name: self.grids[name].arrange(array, targets) if name in self.grids else array
            for name, array in arrays.items()
        }


def find_place(
    facts: Facts,
    reading: Reading,
    layers: Sequence[str],
    layer_name: Callable[[str], str],
    axes: str | None = None,
    grid: tuple[int, ...] | None = None,
) -> Place:
    """The grids of the chosen layers, or of the one that is found, and the picture that they lie over.

    Args:
        facts, reading: of a pass.
        layers: the caller's choice; empty to find one.
        layer_name: turns a name of the caller's into one of the facts.
        axes, grid: the caller's notation of the layers' axes, and the positions of their tokens.

    Raises:
        LayerError: no layer fits, the axes of one are not settled, or the layers lie over different inputs.
    """
    if not reading.frames:
        shapes = ", ".join(str(one.shape) for one in facts.inputs)
        raise LayerError(
            f"nothing in the model says which axes of the inputs {shapes} are positions: say so, such as "
            "input_axes='nchw' or input_axes='nhwc'"
        )
    if not layers:
        layers = (choose_layer(facts.layers, reading.grids, reading.main_pictures),)
    of_name = {name: layer for layer in facts.layers for name in (layer.name, *layer.aliases)}
    grids: dict[str, Grid] = {}
    positions: dict[str, int] = {}
    for name in layers:
        known = name if name in of_name else layer_name(name)
        if known not in of_name:
            continue  # it never ran: the backend says so
        position = reading.pictures.get(known, _read_picture(of_name[known], reading))
        frame = reading.frames[position]
        if axes is None and grid is None and known in reading.grids:
            grids[name] = reading.grids[known]
        else:
            grids[name] = _stated_grid(name, of_name[known], facts, frame, axes, grid)
        positions[name] = position
    if len(set(positions.values())) > 1:
        over = ", ".join(f"{name!r} over input {position}" for name, position in positions.items())
        raise LayerError(f"the layers lie over different inputs: {over}. Name layers of one input")
    position = next(iter(positions.values()), reading.main_pictures[0])
    return Place(grids, reading.frames[position], position)


def _read_picture(layer: LayerFacts, reading: Reading) -> int:
    """The picture that a layer without a grid reads."""
    candidates = [i for i in reading.main_pictures if layer.reads is None or i in layer.reads]
    return next(iter(candidates), reading.main_pictures[0])


def _stated_grid(
    name: str, layer: LayerFacts, facts: Facts, frame: Frame, axes: str | None, grid: tuple[int, ...] | None
) -> Grid:
    """The grid that the caller's notation says.

    Raises:
        LayerError: the notation does not fit the layer, or there is none and the facts do not settle the axes.
    """
    shape, expected = layer.shape, len(frame.size)
    seen = f"layer {name!r} gives {shape} for an input of size {frame.size}"
    if axes is None:
        channel = channel_axes(facts.layers).get(layer.name)
        if grid is not None and channel is not None and len(shape) == 3:
            axes = "nlc" if channel == 2 else "ncl"
        elif channel is None or len(shape) not in (3, expected + 2):
            raise LayerError(f"{seen}, {_advice(layer, channel, expected)}")
        else:
            raise LayerError(
                f"{seen}, and {'these tokens' if len(shape) == 3 else 'these positions'} do not follow the picture: "
                f"say on which grid they lie, such as grid={_example(shape, channel, expected)}, or name another layer"
            )
    if len(axes) != len(shape):
        raise LayerError(f"{seen}, which axes={axes!r} does not describe: expected {len(shape)} letters")
    if "l" not in axes:
        return Grid(axes, tuple(length for length, letter in zip(shape, axes, strict=True) if letter not in "nc"))
    tokens = shape[axes.index("l")]
    if grid is None:
        raise LayerError(f"{seen}: axes={axes!r} has tokens; say on which grid they lie, such as grid=(14, 14)")
    if len(grid) != expected or not 0 <= tokens - prod(grid) < tokens:
        raise LayerError(
            f"{seen}: {tokens} tokens do not hold grid={grid}; expected {expected} numbers whose product is at most "
            f"{tokens}, prefix tokens included"
        )
    return Grid(axes, tuple(grid), tokens - prod(grid))


def _advice(layer: LayerFacts, channel: int | None, expected: int) -> str:
    if len(layer.shape) == expected + 2 or len(layer.shape) == 3:
        letters = "nchw" if expected == 2 else "nct" if expected == 1 else "ncdhw"
        example = letters if len(layer.shape) == expected + 2 else "nlc"
        return f"and nothing says which axis has its channels: say so, such as axes={example!r}, or name another layer"
    return (
        f"which is no map of it: expected (N, channels, *positions) with {expected} spatial axes, or tokens. Name a "
        "convolution or a block of them, or no layer to have one found"
    )


def _example(shape: tuple[int, ...], channel: int, expected: int) -> tuple[int, ...]:
    """A grid that is likely, for the message."""
    positions = [n for axis, n in enumerate(shape) if axis not in (0, channel)]
    side = max(1, round(positions[0] ** (1 / expected)))
    return (side,) * expected
