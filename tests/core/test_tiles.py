"""Slices of volumes: which are drawn, where they lie, and that each is drawn as a picture would be."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from explanations import explanation
from hypothesis import given
from hypothesis import strategies as st

import xaicore
from xaicore import Drawing, overlay
from xaicore.facts import Facts, InputFacts, LayerFacts
from xaicore.layers.inputs import Frame
from xaicore.layers.place import Place, _in_time
from xaicore.layers.runs import Source
from xaicore.show import caption
from xaicore.show.tiles import PIXELS, cut, montage, slices_of

SIZES = st.integers(1, 5)


@given(count=st.integers(1, 9), columns=st.integers(1, 9), height=SIZES, width=SIZES, rest=st.sampled_from([(), (3,)]))
def test_a_montage_can_be_cut_again(count: int, columns: int, height: int, width: int, rest: tuple[int, ...]) -> None:
    tiles = 1 + np.arange(count * height * width * max(1, *rest, 1)).reshape(count, height, width, *rest)
    image = montage(tiles, columns)
    np.testing.assert_array_equal(cut(image, count, columns), tiles)
    lines = -(-count // columns)
    assert image.shape == (lines * height, columns * width, *rest)
    for i, tile in enumerate(tiles):
        y, x = i // columns * height, i % columns * width
        np.testing.assert_array_equal(image[y : y + height, x : x + width], tile)
    assert (image == 0).sum() == (lines * columns - count) * tiles[0].size


@given(size=st.tuples(st.integers(1, 600), SIZES, SIZES), axis=st.integers(0, 2), most=st.integers(1, 700))
def test_slices_are_evenly_spaced_with_the_first_and_the_last(size: tuple[int, ...], axis: int, most: int) -> None:
    indices = np.array(slices_of(size, axis, most).indices)
    assert len(indices) == min(most, size[axis])
    if len(indices) > 1:
        assert (indices[0], indices[-1]) == (0, size[axis] - 1)
        gaps = np.diff(indices)
        assert gaps.min() > 0
        assert gaps.max() - gaps.min() <= 1


@pytest.mark.parametrize(("size", "count"), [((64, 64, 64), 64), ((128, 128, 128), 128), ((300, 512, 512), 16)])
def test_all_slices_are_drawn_unless_a_montage_would_be_too_large(size: tuple[int, ...], count: int) -> None:
    tiling = slices_of(size)
    assert len(tiling.indices) == tiling.parts == count
    assert count * size[1] * size[2] <= PIXELS
    lines = -(-count // tiling.columns)
    assert 0.5 <= tiling.columns * size[2] / (lines * size[1]) <= 2
    assert len(slices_of(size, most=size[0]).indices) == size[0]


def test_frames_lie_in_a_line_and_are_called_so() -> None:
    tiling = slices_of((16, 112, 112), letters="thw")
    assert (tiling.columns, tiling.part, tiling.names[3]) == (16, "frame", "frame 3")
    assert slices_of((16, 112, 112), 1, letters="thw").part == "slice"
    assert slices_of((16, 112, 112), letters="dhw").part == slices_of((16, 112, 112)).part == "slice"
    assert slices_of((300, 112, 112), letters="thw").columns < 30  # a line of them would be wider than browsers take


def volumes(n: int = 2, k: int = 2, seed: int = 0, **known: object) -> xaicore.Explanation:
    """Maps of 3 x 4 x 5 over random volumes of 7 x 8 x 6."""
    rng = np.random.default_rng(seed)
    known.setdefault("images", rng.integers(0, 256, (n, 7, 8, 6, 3), np.uint8))
    return explanation(rng.random((n, k, 3, 4, 5)) * rng.uniform(0.1, 9), (7, 8, 6), **known)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("signed", [False, True])
def test_each_slice_is_drawn_as_the_picture_of_that_slice(axis: int, signed: bool) -> None:
    one = volumes(signed=signed)
    one = dataclasses.replace(one, maps=one.maps - one.maps.mean()) if signed else one
    for m in range(len(one)):
        heat = np.moveaxis(one.heatmaps()[m], axis, 0)
        pictures = np.moveaxis(one.images[one.image_index[m]], axis, 0)
        expected = overlay.blend(pictures, heat, "blue-red" if signed else "magma", 0.8)
        drawn = one.slices(m, axis, Drawing("magma", 0.8))
        np.testing.assert_array_equal(drawn["overlay"], expected)
        np.testing.assert_array_equal(drawn["picture"], pictures)
        drawing = Drawing("magma", 0.8, axis=axis)
        tiling = one.tiling(drawing)
        assert [int(name.removeprefix("slice ")) for name in tiling.names] == list(range(len(heat)))
        images = one.draw(m, drawing)
        np.testing.assert_array_equal(cut(images["overlay"], len(heat), tiling.columns), expected)
        np.testing.assert_array_equal(cut(one.heatmap(m, drawing=drawing), len(heat), tiling.columns), heat)
        np.testing.assert_array_equal(cut(one.picture(m, drawing), len(heat), tiling.columns), pictures)
        np.testing.assert_array_equal(one.overlay(m, drawing), images["overlay"])
        np.testing.assert_array_equal(one.overlays("magma", 0.8, axis=axis)[m], images["overlay"])


def test_an_outline_is_around_a_share_of_the_volume_not_of_each_slice() -> None:
    heat = np.zeros((1, 1, 4, 5, 6))
    heat[0, 0, 2, 1:4, 1:5] = 1
    heat[0, 0, 1, 1:4, 1:5] = 0.5  # the most evidence of its slice
    one = explanation(heat, images=np.zeros((1, 4, 5, 6, 3), np.uint8))
    drawn = one.slices(0, drawing=Drawing(alpha=0, outline=0.1))["overlay"]
    assert [int((image == 255).all(axis=-1).sum()) for image in drawn] == [0, 0, 10, 0]
    line = one.outline(0, Drawing(outline=0.1))
    np.testing.assert_array_equal(cut(line, 4, 2), (drawn == 255).all(axis=-1))


def test_a_row_says_which_slices_lie_where() -> None:
    one = volumes(ids=["a", "b"])
    row = one.row(0, Drawing(slices=4))
    assert row["views"] == ["slice 0", "slice 2", "slice 4", "slice 6"]
    assert (row["frames"], row["columns"], row["part"]) == (4, 3, "slice")
    tall = one.heatmaps((7, 4, 5), "none")[0].reshape(7, -1).max(axis=1)[[0, 2, 4, 6]]
    assert row["view_maxima"] == pytest.approx(tall)
    assert caption(row).endswith(" | 3 per line: slice 0, slice 2, slice 4, slice 6")
    one = dataclasses.replace(one, positions="thw")
    row = one.row(0)
    assert (row["views"][:2], row["columns"], row["part"]) == (["frame 0", "frame 1"], 7, "frame")
    assert caption(row).endswith(" | left to right: frame 0, frame 1, ... frame 6")


def test_several_views_of_a_volume_lie_side_by_side_in_each_slice() -> None:
    one = volumes(k=1)
    maps = np.stack([one.maps, 2 * one.maps], axis=1)
    pictures = np.random.default_rng(1).integers(0, 256, (2, 2, 7, 8, 6, 3), np.uint8)
    made = type(one.pictures)(2, one.input_size, pictures, lambda: pictures, views=2)
    both = dataclasses.replace(one, maps=maps, views=2, view_names=("left", "right"), pictures=made)
    row = both.row(1, Drawing(slices=3))
    assert row["views"] == [f"slice {i}, {side}" for i in (0, 3, 6) for side in ("left", "right")]
    assert (row["frames"], row["columns"] % 2, row["part"]) == (3, 0, "slice")
    drawn = both.slices(1)
    heat = both.heatmaps()[1]
    assert drawn["overlay"].shape == (7, 8, 12, 3)
    for v in range(2):
        expected = overlay.blend(pictures[1, v], heat[v])
        np.testing.assert_array_equal(drawn["overlay"][:, :, 6 * v : 6 * v + 6], expected)
        tiles = cut(both.draw(1)["overlay"], 14, both.tiling().columns)
        np.testing.assert_array_equal(tiles[v::2], expected)


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
def test_volumes_are_made_of_the_input_as_pictures_are(channels: int, last: bool) -> None:
    x = np.random.default_rng(0).uniform(-1, 3, (2, channels, 4, 5, 6)).astype(np.float32)
    one = explanation(np.moveaxis(x, 1, -1) if last else x, (4, 5, 6))
    assert (one.images.shape, one.images_from) == ((2, 4, 5, 6, 3), "rescaled")
    expected = np.rint((np.moveaxis(x, 1, -1) - x.min()) / (x.max() - x.min()) * 255)
    np.testing.assert_array_equal(one.images, np.broadcast_to(expected, one.images.shape))
    many = explanation(np.ones((1, 4, 4, 5, 6)))
    assert many.images is None
    assert list(many.draw(0)) == ["heatmap"]
    with pytest.raises(xaicore.InputError, match=r"pass images=, uint8 \(N, D, H, W, 3\)"):
        many.overlay(0)


def test_grey_volumes_are_given_and_others_refused() -> None:
    grey = np.random.default_rng(0).integers(0, 256, (2, 7, 8, 6), np.uint8)
    one = volumes(images=grey)
    np.testing.assert_array_equal(one.images, np.repeat(grey[..., None], 3, axis=-1))
    np.testing.assert_array_equal(volumes(n=1, images=one.images[0]).images, one.images[:1])
    larger = volumes(images=np.zeros((2, 14, 16, 12), np.uint8))
    assert larger.heatmaps().shape == (4, 14, 16, 12)
    expected = r"expected 2 volumes of one size, RGB or grey, uint8 \(2, D, H, W, 3\) or \(2, D, H, W\)"
    for images in (np.zeros((2, 8, 6, 3), np.uint8)[..., 0], np.zeros((3, 7, 8, 6), np.uint8), grey.astype(float)):
        with pytest.raises(xaicore.InputError, match=expected):
            volumes(images=images)


def test_no_box_is_drawn_across_slices() -> None:
    one = volumes(n=1, k=1)
    boxed = dataclasses.replace(one, target_boxes=np.array([[1.0, 1, 4, 4]]))
    np.testing.assert_array_equal(boxed.draw(0)["overlay"], one.draw(0)["overlay"])


def test_what_has_no_slices_says_so() -> None:
    with pytest.raises(xaicore.InputError, match=r"slices of maps \(5, 7\) over an input \(5, 7\): expected volumes"):
        explanation(np.ones((1, 1, 5, 7))).slices(0)
    with pytest.raises(xaicore.InputError, match="axis=3: expected 0, 1 or 2"):
        volumes().slices(0, 3)


def test_some_volumes_keep_what_they_were() -> None:
    one = volumes()
    for again in (one.take([1]), xaicore.Explanation.concatenate([one.take([1]), one.take([0])])):
        np.testing.assert_array_equal(again.draw(0)["overlay"], one.draw(2)["overlay"])


@pytest.mark.parametrize(("shape", "is_time"), [((5, 16, 24), True), ((5, 5, 24), False), ((4, 16, 24), False)])
def test_slices_are_frames_where_a_recurrent_layer_reads_them(shape: tuple[int, ...], is_time: bool) -> None:
    clip = InputFacts((1, 3, *shape), (1, 3, *shape), 1)
    facts = Facts((LayerFacts("rnn", "LSTM", (1, 5, 8), "recurrent"),), (clip,))
    frame = Frame("ncdhw", shape)
    assert _in_time(facts, frame, 0) == is_time
    place = Place({}, {}, frame, (Source(0),), in_time=is_time)
    assert place.positions == ("thw" if is_time else "dhw")
