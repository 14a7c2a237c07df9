"""Several views of an image: their names, whether they follow each other, and the strip that they form."""

from __future__ import annotations

import base64
import dataclasses
import re

import cv2
import explanations
import numpy as np
import pytest

import xaicore
from xaicore.facts import Facts, InputFacts, LayerFacts
from xaicore.layers.inputs import Frame, stated_frame
from xaicore.layers.place import Place
from xaicore.layers.runs import Source
from xaicore.layers.views import are_in_order, view_names
from xaicore.show import caption, views

CLIP = InputFacts((1, 5, 3, 16, 24), (5, 3, 16, 24), 1)


def clip(*layers: LayerFacts, count: int = 1) -> Facts:
    return Facts(layers, (CLIP,), count)


def recurrent(shape: tuple[int, ...], batch: int = 0, **known: object) -> LayerFacts:
    return LayerFacts("rnn", "LSTM", shape, "recurrent", batch_axis=batch, **known)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (recurrent((1, 5, 8)), True),
        (recurrent((5, 1, 8), batch=1), True),
        (recurrent((1, 5, 4, 6, 8)), True),  # a convolutional one, frame by frame
        (recurrent((1, 8), takes=("frames",)), True),  # its last step
        (recurrent((1, 8)), False),  # nothing says what it took
        (recurrent((1, 5)), False),  # five features, not five steps
        (recurrent((5, 1, 8)), False),  # a sequence of one step for each of five pictures
        (recurrent((5, 6, 8)), False),  # over the positions of each picture
        (recurrent((1, 5, 8), reads=(1,)), False),  # over another input
        (LayerFacts("rnn", "ConvLSTM2D", (1, 4, 6, 8), "convolution", takes=("frames",), is_recurrent=True), True),
        (LayerFacts("rnn", "Conv3D", (1, 5, 4, 6, 8), "convolution"), False),
        (LayerFacts("rnn", "Attention", (1, 5, 8), "attention"), False),
    ],
)
def test_frames_are_in_order_where_a_recurrent_layer_reads_them(layer: LayerFacts, expected: bool) -> None:
    frames = LayerFacts("frames", "TimeDistributed", (1, 5, 6))
    assert are_in_order(clip(frames, layer), 5) == expected
    assert not are_in_order(clip(frames, layer), 4)
    assert not are_in_order(clip(frames, layer), 1)


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        (((0,), (0, 1), (0, 1, 2)), True),
        (((), (0,), (0, 1)), True),  # a state that is one frame behind
        (((0,), (1,), (2,)), False),
        (((0, 1, 2),) * 3, False),
        (((0,), (0, 1)), False),  # of two of three frames
        (((0,), (0, 1, 2), (0, 1, 2, 3)), False),  # two at a time
        (((0, 1), (0, 1, 2), (0, 1, 2, 3)), False),
    ],
)
def test_frames_are_in_order_where_a_loop_carries_a_state(runs: tuple[tuple[int, ...], ...], expected: bool) -> None:
    layer = LayerFacts("cell", "Conv2d", (1, 4, 16, 24), "convolution", runs=len(runs), run_frames={0: runs})
    assert are_in_order(clip(layer), 3) == expected
    assert not are_in_order(clip(layer), 3, position=1)


def test_frames_are_in_order_where_the_caller_says_so() -> None:
    assert stated_frame("ntchw", CLIP).in_order
    assert not stated_frame("nchw", InputFacts((1, 3, 16, 24))).in_order
    assert not stated_frame("ncthw", InputFacts((1, 3, 5, 16, 24), (1, 3, 5, 16, 24), 1)).in_order  # convolved over


FIRST, SECOND = Source(0), Source(1)
ONE_BY_ONE = tuple(Source(0, frame) for frame in (0, 2))


@pytest.mark.parametrize(
    ("rows", "in_order", "sources", "expected"),
    [
        (1, False, (FIRST,), ()),
        (3, True, (FIRST,), ("frame 0", "frame 1", "frame 2")),
        (2, False, (Source(4),), ("view 0", "view 1")),
        (1, False, (FIRST, SECOND), ("input 0", "input 1")),
        (1, False, (FIRST, FIRST, SECOND), ("run 1 on input 0", "run 2 on input 0", "run 3 on input 1")),
        (2, True, (FIRST, SECOND), ("frame 0, input 0", "frame 0, input 1", "frame 1, input 0", "frame 1, input 1")),
        (1, True, ONE_BY_ONE, ("frame 0", "frame 2")),
        (1, False, ONE_BY_ONE, ("view 0", "view 2")),
    ],
)
def test_names(rows: int, in_order: bool, sources: tuple[Source, ...], expected: tuple[str, ...]) -> None:
    assert view_names(rows, in_order, sources) == expected
    place = Place({}, {}, Frame("nrchw", (4, 4), rows), sources, in_order)
    frames = len(expected) if sources == ONE_BY_ONE else rows
    assert (place.view_names, place.frames) == (expected, frames if in_order else 1)
    assert place.views == max(1, len(expected))


def strip(count: int = 3, **known: object) -> xaicore.Explanation:
    """Two clips; frame v of clip n is of the grey 50 n + 10 v, and its map is v + n everywhere but in one corner."""
    maps = np.tile(np.arange(count, dtype=float)[:, None, None], (2, 1, 1, 4, 6)) + np.arange(2).reshape(2, 1, 1, 1, 1)
    maps[..., 0, 0] = 0
    grey = (50 * np.arange(2)[:, None] + 10 * np.arange(count)).astype(np.uint8)
    pictures = np.broadcast_to(grey[..., None, None, None], (2, count, 4, 6, 3))
    names = [f"frame {v}" for v in range(count)]
    return explanations.strip(maps, pictures, names, frames=count, ids=["a", "b"], **known)


def test_a_row_names_its_views_and_their_maxima() -> None:
    e = strip()
    rows = [e.row(m) for m in range(2)]
    assert [row["id"] for row in rows] == ["a", "b"]
    assert [row["views"] for row in rows] == [["frame 0", "frame 1", "frame 2"]] * 2
    assert [row["frames"] for row in rows] == [3, 3]
    assert [row["view_maxima"] for row in rows] == [[0, 1, 2], [1, 2, 3]]
    unordered = dataclasses.replace(e, view_names=(), frames=1).row(0)
    assert (unordered["views"], unordered["frames"]) == (["view 0", "view 1", "view 2"], None)
    assert e.take([1]).row(0) == rows[1]


def test_explanations_of_other_views_are_not_one() -> None:
    e = strip()
    other = dataclasses.replace(e.take([1]), view_names=("left", "right", "above"))
    with pytest.raises(xaicore.InputError, match="differ"):
        xaicore.Explanation.concatenate([e.take([0]), other])
    assert xaicore.Explanation.concatenate([e.take([0]), e.take([1])]).view_names == e.view_names


def test_captions_name_the_views() -> None:
    assert caption(strip(3).row(0)).endswith(" | given at conv | left to right: frame 0, frame 1, frame 2")
    assert caption(strip(16).row(0)).endswith(" | left to right: frame 0, frame 1, ... frame 15")
    assert views({"id": "of a row that somebody else made"}) == ""


def test_the_page_has_a_strip_per_row_in_order() -> None:
    e = strip()
    page = e._repr_html_()
    assert page.count("<figure") == page.count("<ol ") == 2
    found = re.findall(r'<li [^>]*>([^<]*)|<img alt="([^"]*)"[^>]*base64,([^"]*)"', page)
    labels = [name for name, kind, _ in found if not kind]
    assert labels == ["frame 0", "frame 1", "frame 2"] * 2
    assert [kind for _, kind, _ in found if kind][:4] == [
        "picture, frame 0", "overlay, frame 0", "heatmap, frame 0", "picture, frame 1",
    ]  # fmt: skip
    images = [
        cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
        for _, kind, data in found
        if kind
    ]
    drawn = [e.draw(m) for m in range(2)]
    for i, image in enumerate(images):
        m, v, kind = i // 9, i // 3 % 3, ("picture", "overlay", "heatmap")[i % 3]
        np.testing.assert_array_equal(image, drawn[m][kind][:, 6 * v : 6 * v + 6])


def test_the_page_shows_fewer_rows_of_many_views_and_escapes_their_names() -> None:
    e = dataclasses.replace(strip(16), view_names=("<b>",) * 16)
    page = e._repr_html_()
    assert page.count("<figure") == 1
    assert "and 1 more" in page
    assert "<b>" not in page.partition("<ol")[2]
