"""The layers that are explained, their grids, and the picture that their maps lie over."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from xaicore.errors import LayerError
from xaicore.facts import Facts, LayerFacts
from xaicore.layers.choice import choose_layer
from xaicore.layers.grid import Grid
from xaicore.layers.inputs import Frame
from xaicore.layers.moves import REORDERED
from xaicore.layers.reading import Reading
from xaicore.layers.stated import stated_grid

__all__ = ["ALL", "Place", "find_place", "split_run"]

EXAMPLES = {2: "input_axes='nt'", 3: "input_axes='nhw' or input_axes='nct'", 5: "input_axes='ncdhw'"}
"""What an input of this many axes may be, for messages."""

ALL = "*"
"""The run in a layer's name that stands for all of its runs: "conv#*"."""


@dataclass(frozen=True)
class Place:
    """Where a model is explained, for inputs of one shape.

    An image may have several views: the frames of a clip, which the model convolves one by one, or the inputs that go
    through the same layers one after the other. The layer "conv#*" has a map for each.

    Attributes:
        grids: {layer: its grid}.
        runs: {layer: the names that a backend captures it by}: "conv", "conv#2", or one name per view.
        frame: how the inputs under the maps are pictures.
        positions: the positions of these inputs among the model's inputs: one, or one per view.
    """

    grids: Mapping[str, Grid]
    runs: Mapping[str, tuple[str, ...]]
    frame: Frame
    positions: tuple[int, ...]

    @property
    def captured(self) -> tuple[str, ...]:
        """The names to capture."""
        return tuple(name for names in self.runs.values() for name in names)

    @property
    def views(self) -> int:
        """Maps per image."""
        return self.frame.rows * len(self.positions)

    def arrange(self, arrays: Mapping[str, np.ndarray], targets: bool = False) -> dict[str, np.ndarray]:
        """Arrays of the layers as (N * views, C, *size), or (N * views, K, C, *size).

        Raises:
            LayerError: the runs of a layer have maps of different sizes.
        """
        arranged = {}
        for name, runs in self.runs.items():
            if all(run in arrays for run in runs):
                maps = [self.grids[name].arrange(arrays[run], targets) for run in runs]
                if len({one.shape for one in maps}) > 1:
                    raise LayerError(f"the runs of layer {name!r} have maps of different sizes: name one, {runs[0]!r}")
                arranged[name] = _interleave(maps)
        return arranged

    def pictures(self, inputs: Sequence[np.ndarray]) -> np.ndarray:
        """The model's inputs as the pictures under the maps, (N * views, C, *size)."""
        arrays = (inputs[position] for position in self.positions)
        return _interleave([self.frame.arrange(one if one.ndim == self.frame.ndim else one[None]) for one in arrays])


def split_run(name: str) -> tuple[str, int | str | None]:
    """A layer's name and the run that is meant: 2 for "conv#2", `ALL` for "conv#*", None for "conv"."""
    layer, separator, run = name.rpartition("#")
    if not separator or not (run == ALL or (run.isdecimal() and int(run) > 0)):
        return name, None
    return layer, run if run == ALL else int(run)


def _interleave(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """R arrays (N, ...) as one (N * R, ...), in which the R rows of an image are neighbours."""
    return arrays[0] if len(arrays) == 1 else np.stack(arrays, axis=1).reshape(-1, *arrays[0].shape[1:])


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
    of_name = {name: layer for layer in facts.layers for name in (layer.name, *layer.aliases)}
    plain_names = {name: split_run(name)[0] for name in layers}
    known_names = {name: plain if plain in of_name else layer_name(plain) for name, plain in plain_names.items()}
    if not reading.frames:
        raise _no_picture(facts)
    if not layers:
        layers = (choose_layer(facts.layers, reading.grids, reading.main_pictures),)
    grids: dict[str, Grid] = {}
    runs: dict[str, tuple[str, ...]] = {}
    positions: dict[str, tuple[int, ...]] = {}
    for name in layers:
        plain, run = split_run(name)
        known = known_names.get(name, plain)
        if known not in of_name:
            runs[name] = (name,)  # it never ran: the backend says so
            continue
        layer = of_name[known]
        runs[name], positions[name] = _runs(plain, run, layer, facts, reading)
        frame = reading.frames[positions[name][0]]
        if axes is None and grid is None and known in reading.grids:
            grids[name] = reading.grids[known]
        else:
            grids[name] = stated_grid(name, layer, facts, frame, axes, grid, _maps(facts, reading, len(frame.size)))
    if len(set(positions.values())) > 1:
        over = ", ".join(f"{name!r} over input {' and '.join(map(str, at))}" for name, at in positions.items())
        raise LayerError(f"the layers lie over different inputs: {over}. Name layers of one input")
    at = next(iter(positions.values()), (reading.main_pictures[0],))
    return Place(grids, runs, reading.frames[at[0]], at)


def _no_picture(facts: Facts) -> LayerError:
    for one in facts.inputs:
        if one.reader_shape is not None and len(one.reader_shape) > len(one.shape) + 1:
            return LayerError(
                f"the model turns its input {one.shape} into {one.reader_shape} before its first convolution, and the "
                "map would lie over the latter. Explain the rest of the model, with these as inputs"
            )
        if one.reader_shape is not None and len(one.reader_shape) < len(one.shape):
            times = f"{len(one.reader_runs)} times" if len(one.reader_runs) > 1 else "once"
            return LayerError(
                f"the model's first convolution runs {times}, on {one.reader_shape}, for an input {one.shape}: nothing "
                "says which part of the input, such as a frame or view, each of its maps belongs to. Explain a model "
                f"that convolves all frames or views as one batch, reshaped to (N * {one.shape[1]}, ...)"
            )
        if one.reader_shape is not None and one.reader_shape[0] > facts.count:
            return LayerError(
                f"the model's first convolution takes {one.reader_shape} for an input {one.shape}: several copies or "
                "parts of a picture in one batch, and nothing says which map belongs to which. Explain a model that "
                "runs once for each"
            )
    shapes = ", ".join(str(one.shape) for one in facts.inputs)
    most = max((len(one.shape) for one in facts.inputs), default=4)
    example = EXAMPLES.get(most, "input_axes='nchw' or input_axes='nhwc'")
    return LayerError(
        f"nothing in the model says which axes of the inputs {shapes} are positions: say so, such as {example}"
    )


def _runs(
    name: str, run: int | str | None, layer: LayerFacts, facts: Facts, reading: Reading
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """(names to capture, positions of the inputs under them): of one run, or of all of them.

    Raises:
        LayerError: there is no such run, or no run belongs to a picture.
    """
    usual = reading.pictures.get(layer.name, _read_picture(layer, reading))
    if reading.frames[usual].runs:
        return _looped_runs(name, run, layer, usual, reading), (usual,)
    each = [[i for i in reads if i in reading.frames] for reads in layer.run_reads or ()]
    inputs = [reads[0] if len(reads) == 1 else usual for reads in each] or [usual] * layer.runs
    if run == ALL:
        for i, position in enumerate(inputs):
            _check_changes(name, i + 1, layer, position, reading)
        if len({(reading.frames[i].axes, reading.frames[i].size) for i in inputs}) > 1:
            raise LayerError(f"layer {name!r} ran on inputs of different sizes: name its runs one by one, '{name}#1'")
        return tuple(f"{name}#{i + 1}" for i in range(layer.runs)), tuple(inputs)
    if isinstance(run, int):
        if run > layer.runs:
            raise LayerError(f"layer {name!r} ran {layer.runs} times for this input: there is no run {run}")
        _check_changes(name, run, layer, inputs[run - 1], reading)
        return (f"{name}#{run}",), (inputs[run - 1],)
    if len({tuple(reads) for reads in each}) > 1:
        of_run = ", ".join(f"run {i + 1} reads input {' and '.join(map(str, one))}" for i, one in enumerate(each))
        raise LayerError(
            f"layer {name!r} ran {layer.runs} times: {of_run}. Say which run: layer='{name}#1', or layer='{name}#*' "
            "for a map of each"
        )
    _check_changes(name, None, layer, usual, reading)
    unchanged = facts.inputs[usual].reader_runs
    changes = reading.frames[usual].changes or (None,) * len(unchanged)
    moves = facts.inputs[usual].reader_moves or (None,) * len(unchanged)
    straight = [
        took or (seen is not None and change is None)
        for took, seen, change in zip(unchanged, moves, changes, strict=True)
    ]
    if layer.runs > 1 and len(straight) > 1 and not all(straight):
        if not any(straight) or layer.runs % len(straight):
            raise LayerError(
                f"layer {name!r} ran {layer.runs} times, on changed copies of input {usual}, such as flipped ones: no "
                f"run belongs to the picture itself. Say which run: layer='{name}#1'"
            )
        return (f"{name}#{(straight.index(True) + 1) * layer.runs // len(straight)}",), (usual,)
    return (name,), (usual,)


def _looped_runs(
    name: str, run: int | str | None, layer: LayerFacts, position: int, reading: Reading
) -> tuple[str, ...]:
    """The names to capture of a layer that runs once for each frame of an input.

    Raises:
        LayerError: it does not, or a single run is named.
    """
    frames = reading.frames[position]
    if layer.runs != frames.rows or isinstance(run, int):
        raise LayerError(
            f"layer {name!r} ran {layer.runs} times, and the input has {frames.rows} frames or views, read one by one: "
            "name a layer that runs once for each, without the number of a run"
        )
    for i in frames.runs:
        _check_changes(name, i, layer, position, reading)
    return tuple(f"{name}#{i}" for i in frames.runs)


def _check_changes(name: str, run: int | None, layer: LayerFacts, position: int, reading: Reading) -> None:
    """Refuse a run on a flipped, cropped or padded copy of the input: the input is not the picture under its map.

    Raises:
        LayerError: it is one.
    """
    changes = reading.frames[position].changes
    if run is None:
        changed = changes[0] if changes and all(changes) else None
    else:
        changed = changes[(run - 1) * len(changes) // layer.runs] if changes and run <= layer.runs else None
    if changed is not None:
        axes = reading.frames[position].axes.replace("r", "t")
        anyway = "" if changed == REORDERED else f"; input_axes={axes!r} lays the map over the input nevertheless"
        raise LayerError(
            f"layer {name!r} reads input {position} changed: the model {changed} before its first convolution, so the "
            f"map does not lie over the input. Explain the rest of the model, behind this change{anyway}"
        )


def _maps(facts: Facts, reading: Reading, axes: int) -> list[tuple[int, ...]]:
    """The sizes of the convolutions' maps that have this many axes."""
    grids = (reading.grids[one.name] for one in facts.layers if one.kind == "convolution" and one.name in reading.grids)
    return [grid.size for grid in grids if len(grid.size) == axes]


def _read_picture(layer: LayerFacts, reading: Reading) -> int:
    """The picture that a layer without a grid reads."""
    candidates = [i for i in reading.main_pictures if layer.reads is None or i in layer.reads]
    return next(iter(candidates), reading.main_pictures[0])
