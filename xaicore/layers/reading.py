"""What the layers of a model mean for a picture: which outputs are maps of it, and on which grid.

A map has its channels where `channel_axes` finds them, and positions that follow the picture: a convolution's do; those
of another layer must be a size that a convolution had before, a halving of one, or the picture's size divided by a
stride. Tokens lie on such a grid too; the rest of them are prefix tokens (a class token, registers), which come first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from types import MappingProxyType

from xaicore.backend import Layer
from xaicore.errors import InputError
from xaicore.facts import Facts, LayerFacts
from xaicore.layers.axes import channel_axes
from xaicore.layers.grid import POSITIONS, Grid
from xaicore.layers.inputs import Frame, made_frame, read_input, stated_frame, usual_frame
from xaicore.layers.joined import Parts, is_joined, like_alone, picture_tokens, with_others
from xaicore.layers.moves import new_of_each
from xaicore.layers.order import settle_order
from xaicore.layers.prefixes import settle_prefixes
from xaicore.layers.queries import without_queries
from xaicore.layers.sizes import finer, prefix_of_signal, strided, token_grid
from xaicore.layers.states import last_states, reversed_layers

__all__ = ["Reading", "frames_of_runs", "listing", "read", "read_grids"]

STATED = ("convolution", "pooling")
"""The kinds of layers whose positions are those of the picture, whatever their size."""


@dataclass(frozen=True)
class Reading:
    """What the facts of a pass mean.

    Attributes:
        frames: {position of an input: how it is a picture}, of those that are.
        grids: {layer: its grid}, of the layers and aliases whose outputs are maps of a picture.
        pictures: {layer: the position of the input that its grid lies over}, of the same layers.
        states: {layer: the frame of a clip that its map lies over}, of the maps of a whole clip; as `last_states`.
        reversed: {layer: the layer that reverses its steps}, as `reversed_layers`; these have no grid.
    """

    frames: Mapping[int, Frame]
    grids: Mapping[str, Grid]
    pictures: Mapping[str, int]
    states: Mapping[str, int | None] = field(default_factory=dict)
    reversed: Mapping[str, str] = field(default_factory=dict)

    @property
    def main_pictures(self) -> list[int]:
        """The inputs with the most positions: pictures beside signals, volumes beside pictures."""
        most = max((len(frame.size) for frame in self.frames.values()), default=0)
        return [i for i, frame in self.frames.items() if len(frame.size) == most]

    def frame_under(self, name: str, position: int) -> Frame:
        """How this input is a picture under the map of a layer: one of a clip's frames under that of a whole clip."""
        frame = self.frames[position]
        return frame if self.states.get(name) is None else frame.by_frame()


def read(facts: Facts, channels_last: bool = False, input_axes: str | None = None) -> Reading:
    """Read the facts of a pass.

    Args:
        facts: of the pass.
        channels_last: how the framework's models usually take pictures, where no layer tells.
        input_axes: the caller's notation, for the inputs that have as many axes as it has letters.

    Raises:
        InputError: no input has as many axes as `input_axes` has letters.
    """
    if input_axes is not None and all(len(seen.shape) != len(input_axes) for seen in facts.inputs):
        shapes = ", ".join(str(seen.shape) for seen in facts.inputs)
        raise InputError(f"input_axes={input_axes!r} for inputs {shapes}: expected a letter per axis")
    of_name = facts.named
    frames = {}
    for i, seen in enumerate(facts.inputs):
        if input_axes is not None and len(seen.shape) == len(input_axes):
            frames[i] = stated_frame(input_axes, seen, facts.count)
            continue
        frame = read_input(seen, facts.count)
        if frame is None and not _is_text(seen.reader_source, of_name):
            frame = made_frame(seen, facts.count)
        if frame is None and seen.reader_shape is None:
            frame = usual_frame(seen.shape, channels_last)
        if frame is not None:
            frames[i] = frame
    grids: dict[str, Grid] = {}
    pictures: dict[str, int] = {}
    for i in sorted(frames, key=lambda i: len(frames[i].size), reverse=True):
        for name, grid in read_grids(facts.layers, frames[i].size, facts.count, frames[i].rows, frames[i], i).items():
            reads = of_name[name].reads
            is_over_one = not frames[i].frames or frames_of_runs(of_name[name], i, frames[i]) is not None
            is_nearer = name not in grids or _is_nearer(grid, frames[i], grids[name], frames[pictures[name]])
            if is_nearer and (reads is None or i in reads) and is_over_one:
                grids[name], pictures[name] = grid, i
    grids = without_queries(grids, facts)
    pictures = {name: pictures[name] for name in grids}
    return _with_states(Reading(frames, grids, pictures, reversed=reversed_layers(facts.layers)), facts)


def _with_states(reading: Reading, facts: Facts) -> Reading:
    """The reading, without the maps whose steps are reversed, and with those of whole clips."""
    grids = {name: grid for name, grid in reading.grids.items() if name not in reading.reversed}
    pictures, states = dict(reading.pictures), dict(reading.states)
    for i, frame in reading.frames.items():
        of_clip = last_states(facts, i, frame, grids)
        settled = [layer for layer in facts.layers if of_clip.get(layer.name) is not None]
        found = read_grids(settled, frame.by_frame().size, facts.count) if settled else {}
        grids = {name: grid for name, grid in grids.items() if name not in of_clip} | found
        pictures |= dict.fromkeys(found, i)
        states |= of_clip
    backwards = {name: maker for name, maker in reading.reversed.items() if name not in states}
    return replace(reading, grids=grids, pictures=pictures, states=states, reversed=backwards)


def _is_nearer(grid: Grid, frame: Frame, other: Grid, over: Frame) -> bool:
    """Whether a map that reads two inputs keeps the length of more axes of the first than of the second.

    Of two clips of different rates that a pathway joins, these are the frames that it has a position for.
    """
    if len(frame.size) != len(over.size):
        return False
    kept, before = (
        sum(length == given for length, given in zip(one.size, picture.size, strict=False))
        for one, picture in ((grid, frame), (other, over))
    )
    return kept > before


def _is_text(source: str | int | None, of_name: Mapping[str, LayerFacts]) -> bool:
    """Whether an embedding made what a layer takes, be it that others, such as a dropout, handed it on."""
    layer = of_name.get(str(source))
    for _ in of_name:
        if layer is None or layer.kind == "embedding":
            break
        taken = [of_name[str(name)] for name in layer.takes if name in of_name]
        layer = next((one for one in taken if one.shape == layer.shape), None)
    return layer is not None and layer.kind == "embedding"


def frames_of_runs(layer: LayerFacts, position: int, frame: Frame) -> tuple[int, ...] | None:
    """The frame that each run of a layer lies over, where the first convolution takes them one by one.

    None where there is not one run for each frame: behind the loop over frames, or twice within a frame.
    """
    found = new_of_each(layer.run_frames.get(position, ()))
    return None if found is None or len(found) != len(frame.frames) else tuple(frame.frames[i] for i in found)


def listing(facts: Facts, channels_last: bool = False) -> tuple[Layer, ...]:
    """The layers as users see them: maps as (N, C, *size), other outputs as the framework has them."""
    grids = read(facts, channels_last).grids
    return tuple(_described(layer, grids.get(layer.name)) for layer in facts.layers)


def _described(layer: LayerFacts, grid: Grid | None) -> Layer:
    if grid is None:
        return Layer(layer.name, layer.type, layer.shape, False, layer.pooled)
    lengths = dict(zip(grid.axes, layer.shape, strict=True))
    images, channels = lengths["n"] * lengths.get("r", 1), lengths["c"]
    return Layer(layer.name, layer.type, (images, channels, *grid.size), True, layer.pooled)


def read_grids(
    layers: Sequence[LayerFacts],
    size: tuple[int, ...],
    count: int = 1,
    rows: int = 1,
    frame: Frame | None = None,
    position: int = 0,
) -> dict[str, Grid]:
    """{layer: its grid}, of the layers and aliases whose outputs are maps of a picture, and no others.

    Args:
        layers: of one pass, in order of completion.
        size: the picture's, such as (H, W).
        count: images in that pass.
        rows: pictures per image, which a layer may have on its first axis, or on one behind the images'.
        frame, position: how the input is a picture, and its position among the inputs.
    """
    channels = channel_axes(layers)
    sequences = _sequences(layers, len(size))
    parts = {} if frame is None else picture_tokens(layers, position)
    maps: list[tuple[int, ...]] = []
    grids: dict[str, Grid] = {}
    for layer in layers:
        axis = channels[layer.name]
        grid = None if axis is None or not layer.is_float else _grid(layer, axis, size, count * rows, maps, parts)
        if grid is None and rows > 1 and axis is not None and axis > 1 and layer.shape[:2] == (count, rows):
            frame_by_frame = replace(layer, shape=(count * rows, *layer.shape[2:]))
            grid = _grid(frame_by_frame, axis - 1, size, count * rows, maps) if layer.is_float else None
            grid = None if grid is None else replace(grid, axes=f"nr{grid.axes[1:]}")
        if grid is None or (grid.size not in maps and _is_sequence(layer, grid, sequences)):
            continue
        grids.update(dict.fromkeys((layer.name, *layer.aliases), grid))
        if layer.kind == "convolution" and grid.size not in maps:
            maps.append(grid.size)
    joined = {name: grid for name, grid in grids.items() if is_joined(grid, parts)}
    settled = settle_prefixes(layers, {name: grid for name, grid in grids.items() if name not in joined})
    return settle_order(layers, settled | like_alone(joined, settled, parts), maps, frame, position)


def _sequences(layers: Sequence[LayerFacts], positions: int) -> set[int]:
    """The lengths of sequences that a model makes of a picture, such as its columns: no tokens on a grid.

    A recurrent layer takes one, or a map is reshaped so that positions end up among the channels.
    """
    shapes = {name: layer.shape for layer in layers for name in (layer.name, *layer.aliases)}
    lengths: set[int] = set()
    for layer in layers if positions > 1 else ():
        steps = [layer.shape] if layer.kind == "recurrent" else []
        for source in [shapes[name] for name in layer.takes if name in shapes]:
            is_map = len(source) == positions + 2 and prod(source) == prod(layer.shape)
            tokens = {prod(source[1:]) // length for length in source[1:] if length}
            if is_map and len(layer.shape) == 3 and tokens.isdisjoint(layer.shape[1:]):
                lengths.add(layer.shape[1])
            steps += [source] if layer.kind == "recurrent" else []
        lengths.update(shape[1] for shape in steps if len(shape) == 3)
    return lengths


def _is_sequence(layer: LayerFacts, grid: Grid, sequences: set[int]) -> bool:
    return "l" in grid.axes and layer.shape[grid.axes.index("l")] in sequences


def _grid(
    layer: LayerFacts,
    channel: int,
    size: tuple[int, ...],
    count: int,
    maps: Sequence[tuple[int, ...]],
    parts: Parts = MappingProxyType({}),
) -> Grid | None:
    batch = _batch_axis(layer, channel, count)
    positions = [axis for axis in range(len(layer.shape)) if axis not in (batch, channel)]
    lengths = tuple(layer.shape[axis] for axis in positions)
    if layer.shape[batch] != count or channel == batch or prod(lengths) < 2:
        return None
    if len(size) == 1 and layer.kind not in STATED and positions[0] < channel:
        prefix = prefix_of_signal(lengths[0], maps)
        if prefix:
            return Grid(_letters(layer, batch, channel, "l"), (lengths[0] - prefix,), prefix)
    if len(lengths) == len(size) and (layer.kind in STATED or lengths in {*finer(maps), *strided(size, lengths)}):
        return Grid(_letters(layer, batch, channel, POSITIONS[len(size)]), lengths)
    if len(lengths) == 1 and lengths[0] in parts:
        part = parts[lengths[0]]
        found = None if part is None else token_grid(part[1] - part[0] + 1, size, maps)
        letters = _letters(layer, batch, channel, "l")
        return None if found is None or part is None else with_others(Grid(letters, *found), part, lengths[0])
    if len(lengths) == 1:
        found = token_grid(lengths[0], size, maps)
        if found is not None and (maps or len(size) > 1 or found[1] == 0):  # 101 steps are no 100 and a class token
            return Grid(_letters(layer, batch, channel, "l"), *found)
        if len(size) == 1:  # a signal's features over time, at whatever rate
            return Grid(_letters(layer, batch, channel, "t"), lengths)
    return None


def _batch_axis(layer: LayerFacts, channel: int, count: int) -> int:
    """The axis of the images: 1 for tokens (L, N, C), as older transformers have them."""
    shape = layer.shape
    is_swapped = len(shape) == 3 and channel == 2 and shape[0] != count and shape[1] == count
    return 1 if is_swapped else layer.batch_axis


def _letters(layer: LayerFacts, batch: int, channel: int, positions: str) -> str:
    rest = iter(positions)
    return "".join("n" if axis == batch else "c" if axis == channel else next(rest) for axis in range(len(layer.shape)))
