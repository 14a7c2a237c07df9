"""Recurrent layers over the frames of a clip: the map of a last state, and steps in reverse order.

A recurrent convolution, such as Keras' ConvLSTM, gives a map for each frame, or its last state alone. The last state
has read the whole clip: it tells where, not when, and its map lies over the frame that was read last.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from xaicore.facts import Facts, LayerFacts
from xaicore.layers.axes import SEPARATORS
from xaicore.layers.grid import Grid
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
    frames = frame.clip_length
    found: dict[str, int | None] = {}
    for layer in facts.layers if frames else ():
        sources = [found[str(source)] for source in layer.takes if source in found]
        if is_recurrent(layer) and (_drops_frames(layer, facts, position, frame, grids) or _holds(layer, found)):
            at = None if layer.reads_backwards is None else 0 if layer.reads_backwards else frames - 1
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


def _holds(layer: LayerFacts, states: Collection[str]) -> bool:
    return any(is_inside(name, layer.name) for name in states)


def _drops_frames(layer: LayerFacts, facts: Facts, position: int, frame: Frame, grids: Mapping[str, Grid]) -> bool:
    """Whether a recurrent layer takes a map for each frame, and gives one axis less."""
    reader = facts.inputs[position]
    taken = [grids[str(source)].axes for source in layer.takes if source in grids]
    taken += [frame.axes for source in layer.takes if source == position]
    if reader.reader == layer.name and reader.reader_shape is not None and reader.reader_axis != 1:
        return len(reader.reader_shape) == len(layer.shape) + 1
    return any(len(axes) == len(layer.shape) + 1 and axes[1] in ("d", "t", FRAMES) for axes in taken)
