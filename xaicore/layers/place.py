"""The layers that are explained, their grids, and the picture that their maps lie over."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from xaicore.errors import LayerError
from xaicore.facts import Facts, LayerFacts
from xaicore.layers.choice import choose_layer, is_reached, joined_states
from xaicore.layers.grid import Grid
from xaicore.layers.inputs import Frame
from xaicore.layers.reading import Reading
from xaicore.layers.runs import Source, runs_of, split_run
from xaicore.layers.stated import stated_grid
from xaicore.layers.views import are_in_order, view_names

__all__ = ["Place", "find_place", "interleaved", "picture_place"]

EXAMPLES = {
    2: "input_axes='nt'",
    3: "input_axes='nhw' or input_axes='nct'",
    5: "input_axes='ncdhw'",
    6: "input_axes='ntdhwc'",
}
"""What an input of this many axes may be, for messages."""


@dataclass(frozen=True)
class Place:
    """Where a model is explained, for inputs of one shape.

    An image may have several views: the frames of a clip, which the model convolves one by one, or the inputs that go
    through the same layers one after the other. The layer "conv#*" has a map for each.

    Attributes:
        grids: {layer: its grid}.
        runs: {layer: the names that a backend captures it by}: "conv", "conv#2", or one name per view.
        frame: how the inputs under the maps are pictures.
        sources: the picture under each of these maps: one, or one per view.
        unreached: the layers at whose positions the gradient of the output does not arrive.
        streams: {layer: the layer whose norms tell its outlier tokens}, if these are left out.
        in_order: the rows of an input follow each other, as the frames of a clip do.
        in_time: the model reads the slices of a volume one after another, so that these are frames.
    """

    grids: Mapping[str, Grid]
    runs: Mapping[str, tuple[str, ...]]
    frame: Frame
    sources: tuple[Source, ...]
    in_order: bool = False
    unreached: tuple[str, ...] = ()
    streams: Mapping[str, str] = field(default_factory=dict)
    in_time: bool = False

    @property
    def captured(self) -> tuple[str, ...]:
        """The names to capture."""
        explained = (name for names in self.runs.values() for name in names)
        return tuple(dict.fromkeys((*explained, *self.streams.values())))

    @property
    def views(self) -> int:
        """Maps per image."""
        return self.frame.rows * len(self.sources)

    @property
    def view_names(self) -> tuple[str, ...]:
        """The names of an image's views; empty where it has one."""
        return view_names(self.frame.rows, self.in_order, self.sources)

    @property
    def positions(self) -> str:
        """A letter per axis of a picture: "hw", or "thw" where the first axis of a volume is known to be time."""
        letters = self.frame.positions
        return f"t{letters[1:]}" if self.in_time else letters

    @property
    def frames(self) -> int:
        """The number of frames that follow each other; 1 where nothing says so."""
        return (self.views if self.sources[0].frame is not None else self.frame.rows) if self.in_order else 1

    def arrange(self, arrays: Mapping[str, np.ndarray], targets: bool = False) -> dict[str, np.ndarray]:
        """Arrays of the layers as (N * views, C, *size), or (N * views, K, C, *size).

        Raises:
            LayerError: the runs of a layer have maps of different sizes.
        """
        arranged = {}
        for name, runs in self.runs.items():
            grid = self.grid_of(name)
            if all(run in arrays for run in runs):
                maps = [grid.arrange(arrays[run], targets) for run in runs]
                self.check_runs(name, [one.shape for one in maps])
                arranged[name] = interleaved(maps)
        return arranged

    def grid_of(self, name: str) -> Grid:
        """The grid of an explained layer.

        Raises:
            LayerError: it has none.
        """
        if name not in self.grids:
            raise LayerError(
                f"layer {name!r} gives several maps, or none that is an array: name a layer inside of it, "
                "layer=...; layer=None finds one"
            )
        return self.grids[name]

    def check_runs(self, name: str, shapes: Sequence[tuple[int, ...]]) -> None:
        """Refuse a layer whose runs have maps of different shapes.

        Raises:
            LayerError: they differ.
        """
        if len(set(shapes)) > 1:
            gave = ", ".join(map(str, shapes))
            raise LayerError(f"the runs of {name!r} gave {gave}: name them one by one, layer={self.runs[name][0]!r}")

    def pictures(self, inputs: Sequence[np.ndarray]) -> np.ndarray:
        """The model's inputs as the pictures under the maps, (N * views, C, *size)."""
        arrays = [(inputs[source.position], source.frame) for source in self.sources]
        return interleaved([self.frame.arrange(a if a.ndim == self.frame.ndim else a[None], i) for a, i in arrays])


def interleaved(arrays: Sequence[np.ndarray]) -> np.ndarray:
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
    of_name = facts.named
    plain_names = {name: split_run(name)[0] for name in layers}
    known_names = {name: plain if plain in of_name else layer_name(plain) for name, plain in plain_names.items()}
    if not reading.frames:
        raise _no_picture(facts)
    if not layers:
        _check_stacked(facts, reading)
        if reading.reversed and not reading.grids:
            name, maker = next(iter(reading.reversed.items()))
            raise _reversed_steps(name, maker, reading)
        layers = (choose_layer(facts.layers, reading.grids, reading.main_pictures, reading.states),)
    grids: dict[str, Grid] = {}
    frames: dict[str, Frame] = {}
    runs: dict[str, tuple[str, ...]] = {}
    sources: dict[str, tuple[Source, ...]] = {}
    explained: dict[str, LayerFacts] = {}
    for name in layers:
        plain, run = split_run(name)
        known = known_names.get(name, plain)
        if known not in of_name:
            runs[name] = (name,)  # it never ran: the backend says so
            continue
        layer = explained[name] = of_name[known]
        _check_steps(name, layer, reading)
        runs[name], sources[name] = runs_of(plain, run, layer, facts, reading)
        if reading.states.get(known) is not None:
            sources[name] = tuple(replace(one, frame=reading.states[known]) for one in sources[name])
        frame = frames[name] = reading.frame_under(known, sources[name][0].position)
        if axes is None and grid is None and known in reading.grids:
            grids[name] = reading.grids[known]
        else:
            maps, of_input = _maps(facts, reading, len(frame.size)), sources[name][0].position
            grids[name] = stated_grid(name, layer, facts, frame, axes, grid, maps, of_input)
    if len(set(sources.values())) > 1:
        over = ", ".join(f"{name!r} over {' and '.join(map(str, at))}" for name, at in sources.items())
        raise LayerError(f"the layers lie over different inputs: {over}. Name layers of one input")
    at = next(iter(sources.values()), (Source(reading.main_pictures[0]),))
    position = at[0].position
    frame = next(iter(frames.values()), reading.frames[position])
    rows = frame.rows if at[0].frame is None else len(at)
    in_order = frame.in_order or are_in_order(facts, rows, position)
    in_time = _in_time(facts, frame, position)
    return Place(grids, runs, frame, at, in_order, _unreached(facts, reading, explained, grids), in_time=in_time)


def picture_place(facts: Facts, reading: Reading) -> Place:
    """The place of the only picture, for methods that need no layer."""
    (position,) = reading.main_pictures
    frame = reading.frames[position]
    in_order = frame.in_order or are_in_order(facts, frame.rows, position)
    return Place({}, {}, frame, (Source(position),), in_order, in_time=_in_time(facts, frame, position))


def _in_time(facts: Facts, frame: Frame, position: int) -> bool:
    """Whether a recurrent layer reads the slices of a volume; a cube's axes are not told apart by their lengths."""
    is_clip = len(frame.size) == 3 and not frame.is_made and frame.size.count(frame.size[0]) == 1
    return is_clip and are_in_order(facts, frame.size[0], position)


def _check_steps(name: str, layer: LayerFacts, reading: Reading) -> None:
    """Refuse a layer whose steps are not those of the clip in their order.

    Raises:
        LayerError: a recurrent layer before it reverses them, or joins last states of different frames.
    """
    if reading.states.get(layer.name, 0) is None:
        raise joined_states(name, reading.states)
    if layer.name in reading.reversed and len(layer.shape) > 2:
        raise _reversed_steps(name, reading.reversed[layer.name], reading)


def _reversed_steps(name: str, maker: str, reading: Reading) -> LayerError:
    others = [f"Name another layer: layer={one!r}" for one in reading.grids]
    other = others[-1] if others else "No other layer has a map"
    behind = "it" if name == maker else f"{maker!r} before it"
    return LayerError(
        f"layer {name!r} has its steps in reverse order: {behind} reads them from the last to the first and gives "
        f"them in that order, so that each lies elsewhere in the input. {other}"
    )


def _unreached(
    facts: Facts, reading: Reading, explained: Mapping[str, LayerFacts], grids: Mapping[str, Grid]
) -> tuple[str, ...]:
    """The explained layers at whose positions no gradient arrives, where it arrives at other maps."""
    if not any(layer.reached for layer in facts.layers if layer.name in reading.grids):
        return ()
    once = {name: layer for name, layer in explained.items() if layer.runs == 1 and layer.reached is not None}
    return tuple(name for name, layer in once.items() if not is_reached(layer, grids[name]))


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
                "that convolves all frames or views as one batch, reshaped to (N * frames, ...)"
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


def _check_stacked(facts: Facts, reading: Reading) -> None:
    """Refuse a model none of whose maps belong to one picture, since it stacks several into one batch.

    Raises:
        LayerError: there is no grid at all, and the first convolution takes more pictures than the inputs hold.
    """
    for i, frame in reading.frames.items():
        taken = facts.inputs[i].reader_shape
        if not reading.grids and taken is not None and taken[0] > facts.count * frame.rows:
            raise LayerError(
                f"the model's first convolution takes {taken}, {taken[0]} pictures for each that input {i} "
                f"{facts.inputs[i].shape} holds: nothing says which map belongs to which. Explain a model that runs "
                "once for each"
            )


def _maps(facts: Facts, reading: Reading, axes: int) -> list[tuple[int, ...]]:
    """The sizes of the convolutions' maps that have this many axes."""
    grids = (reading.grids[one.name] for one in facts.layers if one.kind == "convolution" and one.name in reading.grids)
    return [grid.size for grid in grids if len(grid.size) == axes]
