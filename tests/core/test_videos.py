"""Frames of videos: which, how they are called, and what is said of what is none."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import pytest
from toynet import ToyBackend
from workshop import Workshop

import xaicore
from xaicore.pictures import PictureError, read_picture
from xaicore.pictures.video import frames_of


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def film(path: str, count: int, rate: float = 10) -> str:
    """A video whose frame number i has the grey value 4 i; Motion JPEG, which every OpenCV can write."""
    video = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*"MJPG"), rate, (64, 48))
    for number in range(count):
        video.write(np.full((48, 64, 3), 4 * number, np.uint8))
    video.release()
    return path


class Opened:
    """What OpenCV opens, wrapped: its own class cannot be derived from."""

    opened: ClassVar[list[Opened]] = []

    def __init__(self, path: str, open_video: Callable[[str], cv2.VideoCapture] = cv2.VideoCapture) -> None:
        self.video = open_video(path)
        self.opened.append(self)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.video, name)


def numbers(path: str) -> list[int]:
    """The frames' numbers, by their pixels."""
    return [round(float(frame.read().mean()) / 4) for frame in frames_of(Path(path))]


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (1, [0]),
        (3, [0, 1, 2]),
        (16, list(range(16))),
        (32, list(range(1, 32, 2))),
        (48, list(range(1, 48, 3))),
        (20, [0, 1, 3, 4, 5, 6, 8, 9, 10, 11, 13, 14, 15, 16, 18, 19]),
    ],
)
def test_frames_are_in_the_middle_of_equal_parts(count: int, expected: list[int]) -> None:
    assert numbers(film("a.avi", count)) == expected


def test_frames_are_called_by_their_times() -> None:
    ids = [frame.id for frame in frames_of(Path(film("a.avi", 48)))]
    assert ids[:3] == ["a.avi at 0.1 s", "a.avi at 0.4 s", "a.avi at 0.7 s"]
    assert [frame.id for frame in frames_of(Path(film("fast.avi", 3, 50)))] == [
        "fast.avi at 0.00 s",
        "fast.avi at 0.02 s",
        "fast.avi at 0.04 s",
    ]


def test_colours_of_a_frame_are_rgb() -> None:
    video = cv2.VideoWriter("red.avi", cv2.VideoWriter_fourcc(*"MJPG"), 5, (64, 48))
    video.write(np.full((48, 64, 3), (0, 0, 255), np.uint8))
    video.release()
    assert np.abs(frames_of(Path("red.avi"))[0].read().mean(axis=(0, 1)) - [255, 0, 0]).max() < 5


def test_a_file_that_does_not_say_how_long_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    class Silent(Opened):
        def get(self, what: int) -> float:
            return 0.0

    film("a.avi", 20)
    monkeypatch.setattr(cv2, "VideoCapture", Silent)
    assert numbers("a.avi") == [0, 1, 3, 4, 5, 6, 8, 9, 10, 11, 13, 14, 15, 16, 18, 19]
    assert frames_of(Path("a.avi"))[-1].id == "a.avi at frame 19"


def test_what_is_no_video(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("words.mp4").write_text("just words")
    Path("empty.mp4").write_bytes(b"")
    for name in ("words.mp4", "empty.mp4"):
        message = (
            f"{name} is no video that OpenCV {cv2.__version__} can decode, or its codec is missing: turn it into pic"
        )
        with pytest.raises(PictureError, match="^" + re.escape(message)):
            frames_of(Path(name))


def test_a_video_whose_frames_cannot_be_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    class Blind(Opened):
        def read(self) -> tuple[bool, None]:
            return False, None

    frame = frames_of(Path(film("a.avi", 3)))[1]
    Opened.opened.clear()
    monkeypatch.setattr(cv2, "VideoCapture", Blind)
    with pytest.raises(PictureError, match=r"^a\.avi at 0\.1 s cannot be decoded: the video is broken there$"):
        frame.read()
    assert [video.isOpened() for video in Opened.opened] == [False]  # released, so that the file can be deleted


def test_an_explainer_takes_a_video() -> None:
    def prepare(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        seen = picture[:6, :8]
        return np.float32(seen.transpose(2, 0, 1)) / 255, seen

    explainer = xaicore.Explainer(None, backend=ToyBackend(), preprocess=prepare)
    film("p.avi", 32)
    for x in ("p.avi", "*.avi", [Path("p.avi")]):
        found = explainer(x)
        assert (len(found.ids), found.ids[0], found.ids[-1]) == (16, "p.avi at 0.1 s", "p.avi at 3.1 s")
        assert [round(float(image.mean()) / 4) for image in found.images] == list(range(1, 32, 2))


def test_the_command_line_takes_videos_beside_pictures(shop: Workshop) -> None:
    for folder in ("0", "1"):
        Path(folder).mkdir()
    film("0/clip.avi", 2)
    cv2.imwrite("1/still.png", np.zeros((48, 64, 3), np.uint8))
    result = shop.explain("0/clip.avi", "1", "--truth", "folder")
    assert result.exit_code == 0, result.stderr
    rows = shop.logged()
    assert [row["id"] for row in rows] == ["0/clip.avi at 0.0 s", "0/clip.avi at 0.1 s", "1/still.png"]
    assert [row["truth"] for row in rows] == [0, 0, 1]
    assert np.array_equal(read_picture(Path("1/still.png")), np.zeros((48, 64, 3)))
