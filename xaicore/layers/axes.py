"""Which axis of a layer's output holds the channels.

Many layers do not say: a norm of the user's own, an activation, a block. What flows into them and out of them tells.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from xaicore.facts import LayerFacts

__all__ = ["channel_axes"]

SEPARATORS = "./"


def channel_axes(layers: Sequence[LayerFacts]) -> dict[str, int | None]:
    """{layer: the axis of its output that holds the channels}, None where the facts do not settle it.

    The first witness counts: (1) the layer itself; (2) its own vectors, if exactly one axis has their length; (3) the
    layer whose output it takes without changing the shape, or the layers whose outputs it joins along one axis; (4) a
    layer that takes this very output and says where its channels are; (5) the last layer inside of it, or (6) beside
    it, whose output has this shape: a residual sum adds equal layouts.
    """
    known: dict[str, int] = {}
    around: dict[tuple[str, tuple[int, ...]], int] = {}  # by path and shape: the axis of the last such layer inside
    shapes = {name: layer.shape for layer in layers for name in (layer.name, *layer.aliases)}
    takers = _stated_by_takers(layers)
    for layer in layers:
        witnesses = (
            _within(layer.channel_axis, len(layer.shape)),
            _axis_of_vectors(layer),
            _axis_of_source(layer, shapes, known),
            takers.get(layer.name),
            around.get((layer.name, layer.shape)),
            around.get((_parent_of(layer.name), layer.shape)),
        )
        axis = next((axis for axis in witnesses if axis is not None), None)
        if axis is not None:
            known.update(dict.fromkeys((layer.name, *layer.aliases), axis))
            around.update(((path, layer.shape), axis) for path in _paths_around(layer.name))
    return {name: known.get(name) for name in shapes}


def _parent_of(name: str) -> str:
    """The path of the layer around this one; empty for a layer of the model itself."""
    return re.match(rf"(?:(.*)[{re.escape(SEPARATORS)}])?", name)[1] or ""  # type: ignore[index]  # it matches ""


def _within(axis: int | None, rank: int) -> int | None:
    return None if axis is None or rank < 2 else axis % rank


def _axis_of_vectors(layer: LayerFacts) -> int | None:
    lengths = set(layer.vectors)
    axes = [axis for axis, length in enumerate(layer.shape) if axis != layer.batch_axis and length in lengths]
    return axes[0] if len(lengths) == len(axes) == 1 else None


def _axis_of_source(layer: LayerFacts, shapes: dict[str, tuple[int, ...]], known: dict[str, int]) -> int | None:
    for source in layer.takes:
        if isinstance(source, str) and source in known and shapes[source] == layer.shape:
            return known[source]
    return _axis_of_joined(layer, shapes, known)


def _axis_of_joined(layer: LayerFacts, shapes: dict[str, tuple[int, ...]], known: dict[str, int]) -> int | None:
    """The axis of several sources of one layout, each of them this output but for the length of one axis."""
    sources = [source for source in layer.takes if isinstance(source, str) and source in known]
    axes = {known[source] for source in sources}
    is_joined = all(_differs_in_one(shapes[source], layer.shape) for source in sources)
    return axes.pop() if len(sources) == len(layer.takes) > 1 == len(axes) and is_joined else None


def _differs_in_one(shape: tuple[int, ...], other: tuple[int, ...]) -> bool:
    return len(shape) == len(other) and sum(a != b for a, b in zip(shape, other, strict=True)) == 1


def _stated_by_takers(layers: Sequence[LayerFacts]) -> dict[str, int]:
    """{layer: where the first layer that takes its output, and keeps its number of axes, says the channels are}."""
    ranks = {name: len(layer.shape) for layer in layers for name in (layer.name, *layer.aliases)}
    outer = {alias: layer.name for layer in layers for alias in layer.aliases}
    stated: dict[str, int] = {}
    for layer in layers:
        axis = _within(layer.channel_axis, len(layer.shape))
        for source in layer.takes:
            if axis is not None and isinstance(source, str) and ranks.get(source) == len(layer.shape):
                stated.setdefault(outer.get(source, source), axis)
    return stated


def _paths_around(name: str) -> Iterator[str]:
    while name:
        name = _parent_of(name)
        yield name
