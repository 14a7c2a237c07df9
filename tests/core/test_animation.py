"""Animated files: the frames that they hold, pixel by pixel, and the message where none can be made."""

from __future__ import annotations

import dataclasses
import io
import sys

import numpy as np
import pytest
from explanations import explanation, strip
from PIL import Image

import xaicore
from xaicore import Drawing
from xaicore.opencv import cv2
from xaicore.show.animation import encode

FRAMES = np.random.default_rng(0).integers(0, 256, (5, 12, 16, 3), np.uint8)


def read(data: bytes) -> tuple[np.ndarray, list[int]]:
    """The frames of a file, and their milliseconds."""
    image, frames, times = Image.open(io.BytesIO(data)), [], []
    for i in range(image.n_frames):
        image.seek(i)
        frames.append(np.asarray(image.convert("RGB")))
        times.append(image.info["duration"])
    assert image.info["loop"] == 0  # for ever
    return np.array(frames), times


def without_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)


def test_a_webp_has_the_frames_without_loss() -> None:
    frames, times = read(encode(FRAMES, "webp", 80))
    np.testing.assert_array_equal(frames, FRAMES)
    assert times == [80] * 5


def test_a_webp_needs_no_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    if not hasattr(cv2, "imencodeanimation"):
        pytest.skip("OpenCV before 4.12 encodes none")
    with monkeypatch.context() as without:
        without_pillow(without)
        data = encode(FRAMES, "webp", 80)
    frames, times = read(data)
    np.testing.assert_array_equal(frames, FRAMES)
    assert times == [80] * 5


def test_a_gif_has_frames_of_256_colours() -> None:
    frames, times = read(encode(FRAMES // 64 * 64, "gif", 120))
    np.testing.assert_allclose(frames.astype(int), FRAMES // 64 * 64, atol=8)
    assert times == [120] * 5


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    without_pillow(monkeypatch)
    with pytest.raises(xaicore.DependencyError) as caught:
        encode(FRAMES, "gif")
    assert str(caught.value) == (
        "an animated gif needs Pillow: pip install pillow; format='webp' needs nothing more than OpenCV 4.12"
    )
    monkeypatch.delattr(cv2, "imencodeanimation", raising=False)
    with pytest.raises(xaicore.DependencyError, match=r"^an animated webp needs Pillow: pip install pillow$"):
        encode(FRAMES)


def test_options_that_make_no_sense_are_refused() -> None:
    with pytest.raises(xaicore.InputError, match="format='mp4': expected one of 'webp', 'gif'"):
        encode(FRAMES, "mp4")
    with pytest.raises(xaicore.InputError, match="milliseconds=0: expected the time of a frame"):
        encode(FRAMES, milliseconds=0)


def test_a_volume_is_animated_slice_by_slice() -> None:
    rng = np.random.default_rng(0)
    one = explanation(rng.random((1, 2, 3, 4, 5)), (7, 8, 6), images=rng.integers(0, 256, (1, 7, 8, 6, 3), np.uint8))
    frames, _ = read(one.animation(1))
    np.testing.assert_array_equal(frames, one.slices(1)["overlay"])
    frames, _ = read(one.animation(1, "heatmap", drawing=Drawing("magma", axis=2, slices=3)))
    np.testing.assert_array_equal(frames, one.slices(1, 2, Drawing("magma"))["heatmap"][[0, 2, 5]])


def test_a_clip_is_animated_frame_by_frame_with_all_its_inputs() -> None:
    rng = np.random.default_rng(0)
    maps, pictures = rng.random((1, 1, 6, 4, 5)), rng.integers(0, 256, (1, 6, 8, 10, 3), np.uint8)
    names = [f"frame {i}, {side}" for i in range(3) for side in ("left", "right")]
    one = strip(maps, pictures, names, frames=3)
    frames, _ = read(one.animation(0))
    overlay = one.overlay(0)
    np.testing.assert_array_equal(frames, [overlay[:, 20 * i : 20 * i + 20] for i in range(3)])
    unordered = dataclasses.replace(one, frames=1)
    with pytest.raises(xaicore.InputError, match="expected a volume, or frames that follow each other"):
        unordered.animation(0)


def test_what_has_no_such_image_says_which_there_are() -> None:
    one = explanation(np.ones((1, 4, 4, 5, 6)))
    with pytest.raises(xaicore.InputError, match="kind='overlay': expected one of 'heatmap'"):
        one.animation(0)
    with pytest.raises(xaicore.InputError, match=r"animation of maps \(5, 7\): expected a volume"):
        explanation(np.ones((1, 1, 5, 7))).animation(0)
