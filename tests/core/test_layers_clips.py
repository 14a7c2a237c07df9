"""Recurrent layers over a clip, from facts alone: the frame under the map of a last state, and reversed steps."""

from __future__ import annotations

from typing import Any

import pytest

from xaicore import LayerError
from xaicore.facts import Facts, InputFacts, LayerFacts
from xaicore.layers import find_place, read

CLIP = (1, 4, 6, 9, 3)


def lstm(name: str, *shape: int, **facts: Any) -> LayerFacts:
    facts.setdefault("takes", (0,))
    return LayerFacts(name, "ConvLSTM", shape, "convolution", len(shape) - 1, is_recurrent=True, **facts)


def conv(name: str, *shape: int, **facts: Any) -> LayerFacts:
    return LayerFacts(name, "Conv", shape, "convolution", len(shape) - 1, **facts)


def clip(*layers: LayerFacts, reader: str = "lstm") -> Facts:
    return Facts(layers, (InputFacts(CLIP, CLIP, 4, (True,), reader=reader),))


def place(facts: Facts, *names: str) -> tuple[str, ...]:
    """(the layer, how the input is a picture, the source under its map)."""
    found = find_place(facts, read(facts, True), names, lambda name: name)
    return next(iter(found.runs)), found.frame.axes, str(found.sources[0])


@pytest.mark.parametrize(("backwards", "frame"), [(False, 3), (True, 0)])
def test_a_last_state_lies_over_the_frame_that_was_read_last(backwards: bool, frame: int) -> None:
    state = lstm("lstm", 1, 6, 9, 5, reads_backwards=backwards)
    behind = conv("conv", 1, 3, 5, 7, takes=("lstm",))
    under = f"frame {frame} of input 0"
    assert place(clip(state)) == ("lstm", "nrhwc", under)
    assert place(clip(state, behind)) == ("conv", "nrhwc", under)
    assert place(clip(state, behind), "lstm") == ("lstm", "nrhwc", under)


def test_what_may_have_read_something_else_lies_over_no_frame() -> None:
    """A layer that takes more than the state, or nobody knows what, has no settled picture."""
    state = lstm("lstm", 1, 6, 9, 5)
    for takes in ((), ("lstm", 0), ("lstm", "other")):
        other = conv("other", 1, 6, 9, 5)
        assert place(clip(state, other, conv("conv", 1, 6, 9, 7, takes=takes)))[0] == "lstm"


@pytest.mark.parametrize(
    ("span", "ends", "backwards", "frame"),
    [
        ((0, 3), (0.375, 0.625), False, 3),
        ((0, 2), (0.125, 0.625), False, 2),  # every second frame
        ((1, 3), (0.375, 0.875), True, 1),
        ((0, 3), (0.625, 0.375), False, 0),  # flipped
        ((1, 3), (0.875, 0.375), True, 3),
    ],
)
def test_the_last_of_the_frames_that_the_layer_takes(
    span: tuple[int, int], ends: tuple[float, float], backwards: bool, frame: int
) -> None:
    """By the part of the clip that its argument depends on, and the direction in which it moves."""
    state = lstm("lstm", 1, 6, 9, 5, takes=(), reads_backwards=backwards)
    middle = {axis: (0.5, 0.5) for axis in range(5)}
    moves = {1: middle | {1: ends}, 2: middle | {2: (0.25, 0.75)}, 3: middle | {3: (0.25, 0.75)}}
    spans = {1: span, 2: (0, 5), 3: (0, 8), 4: (0, 2)}
    seen = InputFacts(CLIP, CLIP, 4, (False,), (moves,), None, (spans,), "lstm")
    found = find_place(Facts((state,), (seen,)), read(Facts((state,), (seen,)), True, "ndhwc"), (), lambda name: name)
    assert found.sources[0].frame == frame


def test_a_layer_of_which_nobody_knows_which_frames_it_takes() -> None:
    with pytest.raises(LayerError, match="no layer gives a map of the picture"):
        place(clip(lstm("lstm", 1, 6, 9, 5, takes=())))
    fewer = conv("conv", 1, 2, 6, 9, 5)  # a stride over time
    with pytest.raises(LayerError, match="'last' gives"):
        place(clip(fewer, lstm("last", 1, 6, 9, 5, takes=("conv",)), reader="conv"), "last")


def test_a_map_for_each_frame_is_preferred() -> None:
    steps = lstm("lstm", 1, 4, 6, 9, 5)
    state = lstm("last", 1, 6, 9, 5, takes=("lstm",))
    assert place(clip(steps, state)) == ("lstm", "ndhwc", "input 0")
    assert place(clip(steps, state), "last") == ("last", "nrhwc", "frame 3 of input 0")


def test_rows_of_a_picture_are_no_frames() -> None:
    """A recurrent layer that reads a picture's rows has a last state of the columns, which is no map of one row."""
    shape = (1, 6, 9, 3)
    rows = LayerFacts("rnn", "RNN", (1, 9, 5), "recurrent", 2, is_recurrent=True)
    facts = Facts((conv("conv", *shape), rows), (InputFacts(shape, shape, 3, (True,), reader="rnn"),))
    assert place(facts)[0] == "conv"
    with pytest.raises(LayerError, match="'rnn' gives"):
        place(facts, "rnn")


def joined() -> tuple[LayerFacts, ...]:
    forth, back = lstm("both/forth", 1, 6, 9, 5), lstm("both/back", 1, 6, 9, 5, reads_backwards=True)
    return forth, back, lstm("both", 1, 6, 9, 10, reads_backwards=None), conv("conv", 1, 6, 9, 7, takes=("both",))


@pytest.mark.parametrize("names", [(), ("both",), ("conv",)])
def test_joined_last_states_of_both_directions(names: tuple[str, ...]) -> None:
    facts = clip(*joined(), reader="both/forth")
    with pytest.raises(LayerError, match=r"in different directions.*layer='both/forth' or layer='both/back'"):
        place(facts, *names)
    assert place(facts, "both/forth")[2] == "frame 3 of input 0"
    assert place(facts, "both/back")[2] == "frame 0 of input 0"


def test_steps_in_reverse_order() -> None:
    before = conv("before", 1, 4, 6, 9, 5)
    steps = lstm("lstm", 1, 4, 6, 9, 5, takes=("before",), reads_backwards=True)
    behind = conv("behind", 1, 4, 6, 9, 5, takes=("lstm",))
    unknown, beside = conv("unknown", 1, 4, 6, 9, 5), conv("beside", 1, 4, 6, 9, 5, takes=("before",))
    around = LayerFacts("around", "Block", (1, 4, 6, 9, 5), takes=("before",), channel_axis=4)
    inner = lstm("around/lstm", 1, 4, 6, 9, 5, takes=("before",), reads_backwards=True)
    assert place(clip(before, steps, behind, unknown, reader="before"))[0] == "before"
    assert place(clip(before, steps, beside, reader="before"))[0] == "beside"
    assert place(clip(before, inner, around, reader="before"))[0] == "before"
    for name, others in {"lstm": (), "behind": (behind,), "unknown": (unknown,)}.items():
        with pytest.raises(LayerError, match=rf"{name!r} has its steps in reverse order: .*layer='before'$"):
            place(clip(before, steps, *others, reader="before"), name)
    with pytest.raises(LayerError, match=r"'lstm' has its steps in reverse order: it .* No other layer has a map"):
        place(clip(lstm("lstm", 1, 4, 6, 9, 5, reads_backwards=True)))


def test_a_layer_of_two_directions_puts_the_steps_in_order() -> None:
    forth, back = lstm("both/forth", 1, 4, 6, 9, 5), lstm("both/back", 1, 4, 6, 9, 5, reads_backwards=True)
    facts = clip(forth, back, lstm("both", 1, 4, 6, 9, 10, reads_backwards=None), reader="both/forth")
    assert place(facts)[0] == "both"
    with pytest.raises(LayerError, match="'both/back' has its steps in reverse order"):
        place(facts, "both/back")


@pytest.mark.parametrize("fast_first", [False, True])
def test_a_pathway_that_reads_two_clips_lies_over_the_one_whose_frames_it_keeps(fast_first: bool) -> None:
    shapes = [(1, 2, 16, 20, 3), (1, 8, 16, 20, 3)]
    layers = (conv("slow", 1, 2, 8, 10, 4, reads=(0, 1)), conv("fast", 1, 8, 8, 10, 4, reads=(0, 1)))
    inputs = [InputFacts(shape, shape, 4, (True,)) for shape in (reversed(shapes) if fast_first else shapes)]
    pictures = read(Facts(layers, tuple(inputs)), True).pictures
    assert pictures == {"slow": int(fast_first), "fast": int(not fast_first)}


def test_of_two_pictures_the_first_where_a_map_keeps_the_axes_of_neither() -> None:
    shapes = [(1, 16, 20, 3), (1, 12, 10, 3), (1, 8, 3)]  # the last one is a signal
    layer = conv("joined", 1, 8, 8, 4, reads=(0, 1, 2))
    inputs = tuple(InputFacts(shape, shape, len(shape) - 1, (True,)) for shape in shapes)
    assert read(Facts((layer,), inputs), True).pictures == {"joined": 0}


def test_tokens_that_are_as_many_as_the_steps_of_a_signal_lie_over_the_picture() -> None:
    shapes = [(1, 16, 16, 3), (1, 16, 3)]
    tokens = LayerFacts("tokens", "Norm", (1, 16, 8), "norm", 2, reads=(0, 1))
    inputs = tuple(InputFacts(shape, shape, len(shape) - 1, (True,)) for shape in shapes)
    reading = read(Facts((conv("patches", 1, 4, 4, 8, reads=(0,)), tokens), inputs), True)
    assert (reading.pictures["tokens"], reading.grids["tokens"].size) == (0, (4, 4))
