"""Which runs of a layer are explained, and the picture under each: an input, or one frame of it."""

from __future__ import annotations

from dataclasses import dataclass

from xaicore.errors import LayerError
from xaicore.facts import Facts, InputFacts, LayerFacts
from xaicore.layers.messages import no_run, unknown_layer
from xaicore.layers.moves import REORDERED
from xaicore.layers.reading import Reading, frames_of_runs

__all__ = ["ALL", "Source", "find_run", "runs_of", "split_run"]

ALL = "*"
"""The run in a layer's name that stands for all of its runs: "conv#*"."""


@dataclass(frozen=True)
class Source:
    """The picture under a map: the position of an input, and one of its frames where layers run on each by itself."""

    position: int
    frame: int | None = None

    def __str__(self) -> str:
        return f"input {self.position}" if self.frame is None else f"frame {self.frame} of input {self.position}"


def split_run(name: str) -> tuple[str, int | str | None]:
    """A layer's name and the run that is meant: 2 for "conv#2", `ALL` for "conv#*", None for "conv"."""
    layer, separator, run = name.rpartition("#")
    if not separator or not (run == ALL or (run.isdecimal() and int(run) > 0)):
        return name, None
    return layer, run if run == ALL else int(run)


def find_run(name: str, facts: Facts, model: str) -> tuple[str, int]:
    """The layer and the run, counted from 1, that a name means in `Backend.capture`; for backends.

    "conv#2" is the second run of `conv`, and "conv" its last one. An alias is the layer that the facts list for it.

    Args:
        name: what the core asks for.
        facts: of the model, for inputs of these shapes.
        model: what to call it in the message.

    Raises:
        LayerError: the model has no such layer, or it ran less often.
    """
    base, run = split_run(name)
    if base not in facts.named:
        raise unknown_layer(name, list(facts.named), model)
    layer = facts.named[base]
    number = run if isinstance(run, int) else layer.runs
    if number > layer.runs:
        raise no_run(base, number, layer.runs)
    return layer.name, number


def runs_of(
    name: str, run: int | str | None, layer: LayerFacts, facts: Facts, reading: Reading
) -> tuple[tuple[str, ...], tuple[Source, ...]]:
    """(names to capture, the pictures under them): of one run, or of all of them.

    Raises:
        LayerError: there is no such run, or no run belongs to a picture.
    """
    usual = reading.pictures.get(layer.name, _read_picture(layer, reading))
    each = [[i for i in reads if i in reading.frames] for reads in layer.run_reads or ()]
    inputs = [reads[0] if len(reads) == 1 else usual for reads in each] or [usual] * layer.runs
    if reading.frames[usual].frames:
        return _runs_by_frame(name, run, layer, usual, reading)
    if run == ALL:
        for i, position in enumerate(inputs):
            _check_changes(name, i + 1, layer, position, reading)
        if len({(reading.frames[i].axes, reading.frames[i].size) for i in inputs}) > 1:
            raise LayerError(f"layer {name!r} ran on inputs of different sizes: name one run, layer='{name}#1'")
        return tuple(f"{name}#{i + 1}" for i in range(layer.runs)), tuple(map(Source, inputs))
    if isinstance(run, int):
        _check_run(name, run, layer)
        _check_changes(name, run, layer, inputs[run - 1], reading)
        return (f"{name}#{run}",), (Source(inputs[run - 1]),)
    if len({tuple(reads) for reads in each}) > 1:
        of_run = ", ".join(f"run {i + 1} reads input {' and '.join(map(str, one))}" for i, one in enumerate(each))
        raise LayerError(
            f"layer {name!r} ran {layer.runs} times: {of_run}. Say which run: layer='{name}#1', or layer='{name}#*' "
            "for a map of each"
        )
    _check_changes(name, None, layer, usual, reading)
    if layer.runs > 1 and _takes_parts(facts.inputs[usual]):
        raise LayerError(
            f"layer {name!r} ran {layer.runs} times, on different parts of input {usual}. Say which run: "
            f"layer='{name}#1', or layer='{name}#*' for a map of each"
        )
    unchanged = facts.inputs[usual].reader_runs
    changes = reading.frames[usual].changes or (None,) * len(unchanged)
    moves = facts.inputs[usual].reader_moves or (None,) * len(unchanged)
    straight = [
        took or (seen is not None and change is None)
        for took, seen, change in zip(unchanged, moves, changes, strict=True)
    ]
    if layer.runs > 1 and len(straight) > 1 and not all(straight):
        if not any(straight) or layer.runs % len(straight):
            _check_changes(name, 1, layer, usual, reading)  # which no other run's name could mend
            raise LayerError(
                f"layer {name!r} ran {layer.runs} times, on changed copies of input {usual}, such as flipped ones: no "
                f"run belongs to the picture itself. Say which run: layer='{name}#1'"
            )
        return (f"{name}#{(straight.index(True) + 1) * layer.runs // len(straight)}",), (Source(usual),)
    return (name,), (Source(usual),)


def _takes_parts(one: InputFacts) -> bool:
    """Whether the runs of the first convolution take different parts of the input, such as some of its channels."""
    return None not in one.reader_spans and any(span != one.reader_spans[0] for span in one.reader_spans)


def _runs_by_frame(
    name: str, run: int | str | None, layer: LayerFacts, position: int, reading: Reading
) -> tuple[tuple[str, ...], tuple[Source, ...]]:
    """(names, pictures) where the first convolution takes one frame after another: the runs in the frames' order.

    Raises:
        LayerError: there is no such run, or the runs lie over no frames.
    """
    frames = frames_of_runs(layer, position, reading.frames[position])
    if frames is None:
        others = [one for one, over in reading.pictures.items() if over == position and one in reading.grids]
        advice = (
            f"Name a layer that runs once for each: layer={others[-1]!r}"
            if others
            else "Flatten the frames into one batch before the convolution: x.flatten(0, 1)"
        )
        raise LayerError(
            f"layer {name!r} ran {layer.runs} times, and the first convolution {len(reading.frames[position].frames)} "
            f"times, once for each frame of input {position}: it has no map of its own for each frame. {advice}"
        )
    if isinstance(run, int):
        _check_run(name, run, layer)
    chosen = (run,) if isinstance(run, int) else sorted(range(1, layer.runs + 1), key=lambda one: frames[one - 1])
    for one in chosen:
        _check_changes(name, one, layer, position, reading)
    return tuple(f"{name}#{one}" for one in chosen), tuple(Source(position, frames[one - 1]) for one in chosen)


def _check_run(name: str, run: int, layer: LayerFacts) -> None:
    if run > layer.runs:
        raise no_run(name, run, layer.runs)


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
        is_lost = changed == REORDERED or "?" in axes
        anyway = "" if is_lost else f"; input_axes={axes!r} lays the map over the input nevertheless"
        raise LayerError(
            f"layer {name!r} reads input {position} changed: the model {changed} before its first convolution, so the "
            f"map does not lie over the input. Explain the rest of the model, behind this change{anyway}"
        )


def _read_picture(layer: LayerFacts, reading: Reading) -> int:
    """The picture that a layer without a grid reads."""
    candidates = [i for i in reading.main_pictures if layer.reads is None or i in layer.reads]
    return next(iter(candidates), reading.main_pictures[0])
