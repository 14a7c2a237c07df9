"""Recurrent layers over the frames of a clip: the map of a last state, and steps in reverse order.

A recurrent convolution, such as Keras' ConvLSTM, gives a map for each frame, or its last state alone. The last state
has read the whole clip: it tells where, not when, and its map lies over the frame that was read last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from xaicore.facts import Facts, InputFacts, LayerFacts
from xaicore.layers.axes import SEPARATORS
from xaicore.layers.grid import POSITIONS, Grid
from xaicore.layers.inputs import FRAMES, Frame

__all__ = ["is_inside", "is_recurrent", "last_states", "reversed_layers"]


def reversed_layers(layers: Sequence[LayerFacts]) -> dict[str, str]:
    """{layer: the recurrent layer that reverses its steps}: this one, the layers behind it and those around it.

    A recurrent layer of two directions (Keras' Bidirectional) puts the steps of the inner one in order again. A layer
    behind it counts if it takes its output, or if what it takes is not known.
    """
    found: dict[str, str] = {}
    for layer in layers:
        makers = [found[str(source)] for source in layer.takes if source in found]
        inside = [maker for name, maker in found.items() if is_inside(name, layer.name)]
        joins = is_recurrent(layer) and layer.reads_backwards is None
        if is_recurrent(layer) and layer.reads_backwards and len(layer.shape) > 2:
            makers = [layer.name]
        elif inside and not joins:
            makers += inside
        elif not inside and not layer.takes:
            makers += list(found.values())[-1:]
        found.update(dict.fromkeys((layer.name, *layer.aliases), makers[0]) if makers else {})
    return found


def last_states(facts: Facts, position: int, frame: Frame, grids: Mapping[str, Grid]) -> dict[str, int | None]:
    """{layer: the frame of a clip that its map lies over}, of last states and of the layers that take these alone.

    None where last states of different frames are joined: those of a layer that reads the clip in both directions.

    Args:
        facts: of a pass.
        position, frame: of the input that is the clip.
        grids: of the layers that have a map for each frame.
    """
    found: dict[str, int | None] = {}
    for layer in facts.layers if frame.clip_length else ():
        sources = [found[str(source)] for source in layer.takes if source in found]
        read = _frames_read(layer, facts.inputs[position], position, frame, grids) if is_recurrent(layer) else None
        if read is not None:
            at = None if layer.reads_backwards is None else read[0] if layer.reads_backwards else read[1]
        elif is_recurrent(layer) and any(is_inside(name, layer.name) for name in found):
            at = None
        elif sources and len(sources) == len(layer.takes):
            at = sources[0] if len(set(sources)) == 1 else None
        else:
            continue
        found.update(dict.fromkeys((layer.name, *layer.aliases), at))
    return found


def is_recurrent(layer: LayerFacts) -> bool:
    """Whether a layer reads its input step by step."""
    return layer.kind == "recurrent" or layer.is_recurrent


def is_inside(name: str, around: str) -> bool:
    """Whether the layer of this name lies inside of another."""
    return name.startswith(around) and name[len(around) :][:1] in tuple(SEPARATORS)


def _frames_read(
    layer: LayerFacts, clip: InputFacts, position: int, frame: Frame, grids: Mapping[str, Grid]
) -> tuple[int, int] | None:
    """The frames that a recurrent layer takes first and last, if it takes several and gives one axis less.

    None where nothing says which frames it takes: the layer before it may have skipped some.
    """
    every, axes = (0, frame.clip_length - 1), len(layer.shape) + 1
    taken = [grids[str(source)] for source in layer.takes if source in grids]
    if any(len(grid.axes) == axes and _keeps_frames(grid, frame) for grid in taken):
        return every
    if position in layer.takes:
        return every if len(frame.axes) == axes and clip.reader_axis != 1 else None
    if clip.reader != layer.name or clip.reader_shape is None or len(clip.reader_shape) != axes:
        return None
    span = clip.reader_spans[0] if clip.reader_spans else None
    if clip.reader_axis == 1 or span is None:
        return None
    moves = (clip.reader_moves[0] if clip.reader_moves else None) or {}
    start, end = moves.get(1, {}).get(frame.clip_axis, (0.0, 1.0))
    first, last = span[frame.clip_axis]
    return (last, first) if end < start else (first, last)


def _keeps_frames(grid: Grid, frame: Frame) -> bool:
    return grid.axes[1] == FRAMES or (grid.axes[1] == POSITIONS[3][0] and grid.size[0] == frame.clip_length)
