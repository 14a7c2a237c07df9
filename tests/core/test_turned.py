"""Pictures of the caller's under the maps of a model that swaps height and width of its input."""

from __future__ import annotations

import re

import numpy as np
import pytest

from xaicore import InputError
from xaicore.evidence.pictures import as_seen
from xaicore.facts import InputFacts
from xaicore.layers import Frame, Place
from xaicore.layers.inputs import stated_frame
from xaicore.layers.runs import Source


def place(frame: Frame) -> Place:
    return Place({}, {}, frame, (Source(0),))


@pytest.mark.parametrize(
    ("axes", "is_upright"),
    [("nchw", True), ("nwhc", False), ("ncwh", False), ("nrchw", True), ("nrcwh", False), ("ncdhw", True)]
    + [("nchwd", False), ("nct", True), ("nhw", True), ("ncthw", True), ("nctwh", False)],
)
def test_which_axes_are_swapped(axes: str, is_upright: bool) -> None:
    size = (8, 12, 16)[: sum(letter in "dhwt" for letter in axes)]
    assert Frame(axes, size).is_upright == is_upright


@pytest.mark.parametrize("shape", [(2, 28, 20, 3), (2, 280, 200, 3), (2, 14, 10)])
def test_proportions_of_what_the_model_sees(shape: tuple[int, ...]) -> None:
    images = np.zeros(shape, np.uint8)
    assert as_seen(images, place(Frame("ncwh", (28, 20)))) is images


@pytest.mark.parametrize(
    ("size", "shape"),
    [((28, 20), (2, 20, 28, 3)), ((20, 20), (2, 20, 20, 3)), ((28, 20), (2, 30, 30)), ((28, 20), (2,))]
    + [((27, 28), (2, 27, 27, 3)), ((28, 20), (2, 1, 1))],
)
def test_pictures_that_may_lie_either_way_are_refused(size: tuple[int, int], shape: tuple[int, ...]) -> None:
    """The advice works: with the axes, pictures are laid as the model sees them."""
    images = np.zeros(shape, np.uint8)
    with pytest.raises(
        InputError,
        match="^the model swaps height and width of its input, which is read as 'ncwh', and nothing says whether the "
        rf"pictures {re.escape(str(shape))} lie .* Pass input_axes='ncwh', and pictures as .*: "
        r"images\.swapaxes\(1, 2\), in preprocess picture\.swapaxes\(0, 1\), turns those",
    ):
        as_seen(images, place(Frame("ncwh", size)))
    stated = stated_frame("ncwh", InputFacts((2, 3, size[1], size[0])))
    assert stated.size == size
    assert as_seen(images, place(stated)) is images


def test_no_pictures_and_no_place_say_nothing() -> None:
    assert as_seen(None, place(Frame("ncwh", (20, 20)))) is None
    assert as_seen(3, None) == 3
