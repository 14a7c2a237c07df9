"""Axes, grids and frames follow from facts alone: shapes, what a layer says of itself, and what flows where."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xaicore import InputError, LayerError
from xaicore.facts import InputFacts, LayerFacts
from xaicore.layers import Grid, channel_axes, check_axes, choose_layer, read_grids
from xaicore.layers.inputs import Frame, read_input

PICTURE = (64, 96)


def conv(name: str, *shape: int, **facts: Any) -> LayerFacts:
    return LayerFacts(name, "Conv", shape, "convolution", 1, reached=everywhere(shape), **facts)


def norm(name: str, *shape: int, axis: int | None = None, **facts: Any) -> LayerFacts:
    axis = len(shape) - 1 if axis is None else axis
    facts.setdefault("reached", everywhere(shape))
    return LayerFacts(name, "Norm", shape, "norm", axis, **facts)


def block(name: str, *shape: int, **facts: Any) -> LayerFacts:
    facts.setdefault("reached", everywhere(shape))
    return LayerFacts(name, "Block", shape, is_leaf=False, **facts)


def everywhere(shape: tuple[int, ...]) -> dict[int, list[bool]]:
    return {axis: [True] * n for axis, n in enumerate(shape)}


def only_token(shape: tuple[int, ...], token: int = 0) -> dict[int, list[bool]]:
    return everywhere(shape) | {1: [i == token for i in range(shape[1])]}


# Channels.


def test_a_layer_that_says_where_its_channels_are() -> None:
    assert channel_axes([conv("a", 1, 8, 4, 6), norm("b", 1, 4, 6, 8)]) == {"a": 1, "b": 3}


def test_a_norm_of_ones_own_has_them_where_its_vectors_fit() -> None:
    own = LayerFacts("own", "OwnNorm", (1, 4, 6, 8), vectors=(8,))
    first = LayerFacts("first", "Norm2d", (1, 8, 4, 6), vectors=(8,))
    unclear = LayerFacts("unclear", "OwnNorm", (1, 8, 6, 8), vectors=(8,))
    assert channel_axes([own, first, unclear]) == {"own": 3, "first": 1, "unclear": None}


def test_what_keeps_the_shape_of_what_it_takes_keeps_its_channels() -> None:
    relu = LayerFacts("relu", "ReLU", (1, 8, 4, 6), takes=("conv",))
    turned = LayerFacts("turned", "Permute", (1, 4, 6, 8), takes=("relu",))
    assert channel_axes([conv("conv", 1, 8, 4, 6), relu, turned]) == {"conv": 1, "relu": 1, "turned": None}


def test_whoever_takes_an_output_may_say_where_its_channels_are() -> None:
    turned = LayerFacts("turned", "Permute", (1, 4, 6, 8))
    dense = LayerFacts("dense", "Linear", (1, 4, 6, 32), "dense", 3, takes=("turned",))
    assert channel_axes([turned, dense]) == {"turned": 3, "dense": 3}


def test_a_residual_sum_is_laid_out_like_what_it_adds() -> None:
    layers = [
        norm("block.norm", 1, 24, 48),
        LayerFacts("block.drop", "DropPath", (1, 24, 48)),
        block("block", 1, 24, 48),
        block("other", 1, 24, 48),
    ]
    assert channel_axes(layers) == {"block.norm": 2, "block.drop": 2, "block": 2, "other": 2}
    assert channel_axes(layers[2:]) == {"block": None, "other": None}


def test_other_names_of_an_output_share_its_axis() -> None:
    assert channel_axes([conv("features", 1, 8, 4, 6, aliases=("features.3",))])["features.3"] == 1


# Grids.


def patches(*after: LayerFacts, size: tuple[int, int] = (4, 6)) -> list[LayerFacts]:
    return [conv("patches", 1, 48, *size), *after]


def test_maps_of_convolutions_and_of_layers_with_their_channels_last() -> None:
    grids = read_grids([conv("conv", 1, 8, 32, 48), norm("norm", 1, 16, 24, 8)], PICTURE)
    assert grids == {"conv": Grid("nchw", (32, 48)), "norm": Grid("nhwc", (16, 24))}


@pytest.mark.parametrize("prefix", [0, 1, 2, 5])
def test_tokens_lie_on_the_grid_of_the_patches_behind_their_prefix(prefix: int) -> None:
    tokens = norm("norm", 1, 24 + prefix, 48)
    assert read_grids(patches(tokens), PICTURE)["norm"] == Grid("nlc", (4, 6), prefix)


def test_merged_tokens_lie_on_a_halving_of_the_grid() -> None:
    layers = patches(norm("first", 1, 48, 48), norm("last", 1, 12, 96), size=(6, 8))
    grids = read_grids(layers, (96, 128))
    assert (grids["first"], grids["last"]) == (Grid("nlc", (6, 8)), Grid("nlc", (3, 4)))


def test_halvings_may_be_rounded_up() -> None:
    layers = [conv("stem", 1, 128, 14, 14), norm("stage", 1, 49, 48), norm("last", 1, 16, 48)]
    grids = read_grids(layers, (224, 224))
    assert (grids["stage"], grids["last"]) == (Grid("nlc", (7, 7)), Grid("nlc", (4, 4)))


def test_patches_that_no_convolution_made_cover_the_picture() -> None:
    assert read_grids([norm("norm", 1, 24, 48)], (32, 48))["norm"] == Grid("nlc", (4, 6))
    assert read_grids([norm("norm", 1, 25, 48)], (32, 48))["norm"] == Grid("nlc", (4, 6), 1)


def test_channels_before_tokens_and_tokens_before_images() -> None:
    grids = read_grids(patches(norm("mixer", 1, 48, 24, axis=1), norm("old", 25, 1, 48)), PICTURE)
    assert (grids["mixer"], grids["old"]) == (Grid("ncl", (4, 6)), Grid("lnc", (4, 6), 1))


@pytest.mark.parametrize(
    "layer",
    [
        norm("windows", 6, 4, 48),  # of another number of images
        norm("heads", 1, 3, 24, 16),  # heads and tokens are no height and width
        LayerFacts("weights", "Softmax", (1, 3, 24, 24)),
        norm("pooled", 1, 48),
        norm("one", 1, 1, 1, 48),
        norm("odd", 1, 77, 48),  # the words of a caption
        LayerFacts("ids", "Embed", (1, 48, 4, 6), channel_axis=1, is_float=False),
    ],
    ids=lambda layer: layer.name,
)
def test_outputs_that_are_no_map(layer: LayerFacts) -> None:
    assert layer.name not in read_grids(patches(layer), PICTURE)


def test_signals_and_volumes() -> None:
    signal = [conv("conv", 1, 8, 50), LayerFacts("lstm", "LSTM", (1, 50, 20), "recurrent", 2), norm("slow", 1, 33, 8)]
    assert read_grids(signal, (100,)) == {
        "conv": Grid("nct", (50,)),
        "lstm": Grid("ntc", (50,)),
        "slow": Grid("ntc", (33,)),
    }
    volume = [conv("patches", 1, 8, 2, 4, 6), norm("norm", 1, 49, 8)]
    assert read_grids(volume, (8, 64, 96))["norm"] == Grid("nlc", (2, 4, 6), 1)


def test_a_class_token_before_a_signals_patches_is_no_position() -> None:
    signal = [conv("patches", 1, 24, 12), norm("norm", 1, 13, 24), norm("first", 1, 24, 13, axis=1)]
    grids = read_grids(signal, (96,))
    assert (grids["norm"], grids["first"]) == (Grid("nlc", (12,), 1), Grid("nct", (13,)))


def test_nets_of_clips_may_keep_the_number_of_frames() -> None:
    clip = [conv("patches", 1, 8, 8, 56, 56), norm("stage", 1, 8, 28, 28, 8)]
    clip += [norm("first", 1, 25089, 8), norm("tokens", 1, 1569, 8)]
    grids = read_grids(clip, (16, 224, 224))
    assert (grids["stage"], grids["tokens"]) == (Grid("ndhwc", (8, 28, 28)), Grid("nlc", (8, 14, 14), 1))


def test_tokens_that_fit_several_grids_or_no_halving_have_none() -> None:
    clip = [conv("patches", 1, 8, 8, 56, 56), norm("both", 1, 392, 8)]  # 2 x 14 x 14, 8 x 7 x 7
    assert "both" not in read_grids(clip, (16, 224, 224))
    assert "odd" not in read_grids([conv("stem", 1, 8, 28, 28), norm("odd", 1, 64, 8)], (224, 224))  # not 8 x 8


def test_frames_that_are_convolved_one_by_one() -> None:
    assert read_grids([conv("conv", 5, 8, 4, 6)], PICTURE, count=5)["conv"] == Grid("nchw", (4, 6))


AXES = st.sampled_from(["nchw", "nhwc", "nhcw", "nct", "ntc", "ncdhw", "ndhwc", "nlc", "ncl", "lnc", "nhw"])


@given(AXES, st.integers(1, 3), st.integers(0, 3), st.data())
def test_an_array_is_arranged_by_its_letters(axes: str, targets: int, prefix: int, data: st.DataObject) -> None:
    lengths = {letter: data.draw(st.integers(1, 3)) for letter in "nchwdt"}
    size = (lengths["h"], lengths["w"]) if "l" in axes else tuple(lengths[a] for a in axes if a not in "nc")
    positions = tuple(letter for letter in axes if letter not in "nc")
    canonical = np.random.default_rng(0).normal(size=(lengths["n"], targets, lengths["c"] if "c" in axes else 1, *size))
    flat = canonical
    if "l" in axes:
        flat = canonical.reshape(*canonical.shape[:3], -1)
        flat = np.concatenate([np.full((*flat.shape[:3], prefix), np.nan), flat], axis=-1)
    letters = "nkc" + "".join(positions)
    if "c" not in axes:
        flat, letters = flat[:, :, 0], letters.replace("c", "")
    with_targets = f"{axes[0]}k{axes[1:]}"
    raw = flat.transpose([letters.index(letter) for letter in with_targets])
    grid = Grid(axes, size, prefix if "l" in axes else 0)
    np.testing.assert_array_equal(grid.arrange(raw, targets=True), canonical)
    np.testing.assert_array_equal(grid.arrange(raw.take(0, axis=1)), canonical[:, 0])


def test_an_array_that_does_not_fit_its_axes() -> None:
    with pytest.raises(InputError, match=r"shape \(1, 2, 3\) for the axes 'nchw': expected 4 axes"):
        Grid("nchw", (2, 3)).arrange(np.zeros((1, 2, 3)))
    with pytest.raises(InputError, match="9 tokens for a grid of 2 x 3 and 1 prefix tokens: expected 7"):
        Grid("nlc", (2, 3), 1).arrange(np.zeros((1, 9, 4)))


@pytest.mark.parametrize("axes", ["chw", "nn", "nc", "nxc", "", 3])
def test_a_notation_that_makes_no_sense(axes: Any) -> None:
    with pytest.raises(InputError, match=re.escape(f"axes={axes!r}: expected a letter per axis")):
        check_axes(axes, "axes")


# The layer to explain.


def chosen(layers: list[LayerFacts], size: tuple[int, ...] = PICTURE, pictures: tuple[int, ...] = (0,)) -> str:
    return choose_layer(layers, read_grids(layers, size), pictures)


def test_the_last_map_that_was_not_pooled() -> None:
    layers = [conv("conv", 1, 8, 8, 12), LayerFacts("pool", "Pool", (1, 8, 4, 6), "pooling", 1, pooled=True)]
    assert chosen(layers) == "conv"


def test_a_class_tokens_net_is_explained_where_its_patches_are_read_last() -> None:
    shape = (1, 25, 48)
    layers = patches(
        block("block", *shape),
        norm("last.norm1", *shape),
        LayerFacts("last.qkv", "Linear", (1, 25, 144), "dense", 2, reached=everywhere((1, 25, 144))),
        norm("last.norm2", *shape, reached=only_token(shape)),
        block("last", *shape, reached=only_token(shape)),
        norm("norm", *shape, reached=only_token(shape)),
    )
    assert chosen(layers) == "last.norm1"


def test_an_averaging_net_is_explained_at_its_last_norm() -> None:
    assert chosen(patches(norm("last.norm1", 1, 24, 48), block("last", 1, 24, 48), norm("norm", 1, 24, 48))) == "norm"


def test_layers_that_lead_elsewhere() -> None:
    layers = [conv("stem", 1, 8, 8, 12), LayerFacts("mask", "Conv", (1, 2, 8, 12), "convolution", 1, reached={})]
    assert chosen(layers) == "stem"
    layers = [conv("picture", 1, 8, 8, 12, reads=(0,)), conv("signal", 1, 8, 8, 12, reads=(1,))]
    assert chosen(layers) == "picture"
    assert chosen(layers, pictures=(1,)) == "signal"


def test_tokens_of_which_nobody_knows_whether_they_lead_to_the_output() -> None:
    layers = patches(norm("norm", 1, 25, 48, reached=None))
    assert chosen(layers) == "patches"


@pytest.mark.parametrize(("known", "name"), [({1: [True] * 25}, "norm"), ({2: [True] * 48}, "patches")])
def test_what_is_known_of_one_axis_alone(known: dict[int, list[bool]], name: str) -> None:
    """That of the tokens settles it; that of the channels says nothing of them."""
    assert chosen(patches(norm("norm", 1, 25, 48, reached=known))) == name


def test_a_map_of_which_one_axis_is_known_counts_as_one_that_leads_to_the_output() -> None:
    """As with channels first, where a backend that changes rows along axis 1 changes channels."""
    layer = LayerFacts("conv", "Conv", (1, 5, 8, 12), "convolution", 1, reached={1: [True] * 5})
    assert chosen([layer]) == "conv"


def test_no_layer_leads_to_the_output() -> None:
    with pytest.raises(LayerError, match=r"no layer gives a map .* none has positions, .* The last ones: a \(1, 7\)$"):
        chosen([LayerFacts("a", "Dense", (1, 7), "dense", 1)])
    with pytest.raises(LayerError, match=r"no layer gives a map .* the last ones: a \(1, 7, 5\)\. Name one: layer="):
        chosen([LayerFacts("a", "Sequence", (1, 7, 5))])


# Inputs.


@pytest.mark.parametrize(
    ("shape", "reader", "axis", "frame"),
    [
        ((2, 3, 16, 24), (1, 3, 16, 24), 1, Frame("nchw", (16, 24))),
        ((2, 16, 24, 3), (1, 3, 16, 24), 1, Frame("nhwc", (16, 24))),
        ((2, 16, 24, 3), (1, 16, 24, 3), 3, Frame("nhwc", (16, 24))),
        ((2, 3, 16, 24), (1, 16, 24, 3), 3, Frame("nchw", (16, 24))),
        ((2, 3, 3, 3), (1, 3, 3, 3), 1, Frame("nchw", (3, 3))),
        ((2, 3, 3, 3), (1, 3, 3, 3), 3, Frame("nhwc", (3, 3))),
        ((2, 3, 64, 64), (1, 3, 224, 224), 1, Frame("nchw", (64, 64))),  # resized inside
        ((2, 64, 64, 3), (1, 3, 224, 224), 1, Frame("nhwc", (64, 64))),
        ((2, 3, 16, 24), (1, 1, 16, 24), 1, Frame("nchw", (16, 24))),  # made grey inside
        ((2, 16, 24), (1, 1, 16, 24), 1, Frame("nhw", (16, 24))),
        ((2, 24, 16), (1, 1, 16, 24), 1, Frame("nwh", (16, 24))),  # transposed inside: (time, mel)
        ((2, 3, 24, 16), (1, 3, 16, 24), 1, Frame("ncwh", (16, 24))),
        ((2, 8, 3, 16, 24), (1, 3, 8, 16, 24), 1, Frame("ndchw", (8, 16, 24))),  # clips of frames
        ((2, 3, 3, 16, 16), (1, 3, 3, 16, 16), 1, Frame("ncdhw", (3, 16, 16))),
        ((2, 784), (1, 1, 28, 28), 1, Frame("n?", (28, 28), reshaped=(1, 28, 28))),
        ((2, 5, 3, 16, 24), (5, 3, 16, 24), 1, Frame("nrchw", (16, 24), 5)),
        ((2, 5, 16, 24, 3), (5, 16, 24, 3), 3, Frame("nrhwc", (16, 24), 5)),
        ((2, 3, 8, 16, 24), (1, 3, 8, 16, 24), 1, Frame("ncdhw", (8, 16, 24))),
        ((2, 1, 100), (1, 1, 100), 1, Frame("nct", (100,))),
        ((2, 100), (1, 1, 100), 1, Frame("nt", (100,))),
        ((2, 16000), (1, 1, 64, 100), 1, None),  # a waveform, whose spectrogram is convolved
        ((2, 3, 16, 24), None, None, None),
    ],
)
def test_an_input_is_read_as_the_first_convolution_reads_it(
    shape: tuple[int, ...], reader: tuple[int, ...] | None, axis: int | None, frame: Frame | None
) -> None:
    assert read_input(InputFacts(shape, reader, axis)) == frame


def frame_by_frame(axis: int, frames: Sequence[Sequence[int]], shape: tuple[int, ...]) -> InputFacts:
    """A clip whose reader takes these frames along `axis` in each of its runs, and the height and width as they are."""
    places = {1: 0.5, 2: 0.5, 3: 0.5, 4: 0.5}
    moves = {2: {at: (0.25, 0.75) if at == 3 else (0.5, 0.5) for at in places}}
    moves[3] = {at: (0.25, 0.75) if at == 4 else (0.5, 0.5) for at in places}
    spans = [{at: (0, length - 1) for at, length in enumerate(shape) if at > 0} for _ in frames]
    for span, taken in zip(spans, frames, strict=True):
        span[axis] = (min(taken), max(taken))
    ran = (False,) * len(frames)
    return InputFacts(shape, (1, 3, *shape[3:]), 1, ran, (moves,) * len(frames), reader_spans=tuple(spans))


@pytest.mark.parametrize(
    ("axis", "frames", "expected"),
    [
        (1, [[0], [1], [2]], ("nrchw", (0, 1, 2))),
        (2, [[2], [1], [0]], ("ncrhw", (2, 1, 0))),
        (1, [[0], [0, 1], [0, 2]], ("nrchw", (0, 1, 2))),  # a recurrent layer
        (1, [[0, 1], [1, 2]], None),
        (1, [[0], [0], [1]], None),
        (3, [[0], [1]], None),  # parts of a picture
    ],
)
def test_frames_that_are_taken_one_by_one(
    axis: int, frames: Sequence[Sequence[int]], expected: tuple[str, tuple[int, ...]] | None
) -> None:
    found = read_input(frame_by_frame(axis, frames, (1, 3, 3, 16, 24)))
    assert (found and (found.axes, found.frames)) == expected
    if expected:
        assert found == Frame(expected[0], (16, 24), changes=(None,) * len(frames), frames=expected[1])


def test_pictures_of_an_input() -> None:
    x = np.random.default_rng(0).normal(size=(2, 5, 3, 4, 6))
    np.testing.assert_array_equal(Frame("nrchw", (4, 6), 5).arrange(x), x.reshape(10, 3, 4, 6))
    np.testing.assert_array_equal(Frame("nhwc", (4, 6)).arrange(x[:, 0].transpose(0, 2, 3, 1)), x[:, 0])
    np.testing.assert_array_equal(Frame("nhw", (4, 6)).arrange(x[:, 0, 0]), x[:, 0, :1])
    np.testing.assert_array_equal(Frame("ncwh", (4, 6)).arrange(x[:, 0].swapaxes(2, 3)), x[:, 0])
    np.testing.assert_array_equal(Frame("ndchw", (5, 4, 6)).arrange(x), x.swapaxes(1, 2))
    np.testing.assert_array_equal(Frame("nrchw", (4, 6), frames=(1, 0)).arrange(x, 1), x[:, 1])
    flat = x[:, 0].reshape(2, -1)
    np.testing.assert_array_equal(Frame("n?", (4, 6), reshaped=(3, 4, 6)).arrange(flat), x[:, 0])
