"""Small files of large pictures: which rows have them, what they show, and that they are removed with their rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from explanations import explanation, strip
from test_disk_page import Page

import xaicore
from xaicore_disk import thumbnails
from xaicore_disk.manifest import Row, read_manifest


@pytest.fixture(autouse=True)
def few_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Large is 8 pixels, and a thumbnail has 4."""
    monkeypatch.setattr(thumbnails, "LARGE", 8)
    monkeypatch.setattr(thumbnails, "SIDE", 4)


def log(root: Path, *explanations: xaicore.Explanation, step: int = 0) -> list[Row]:
    with xaicore.open_loggers({"disk": {"root": root}}, on_error="raise", quiet=True) as loggers:
        for one in explanations:
            loggers(one, step)
    return read_manifest(root)


def halves(size: tuple[int, int], **known: Any) -> xaicore.Explanation:
    """A picture whose left half is red, with a map that has its maximum there and nothing elsewhere."""
    maps, images = np.zeros((1, 1, *size)), np.zeros((1, *size, 3), np.uint8)
    middle = size[1] // 2
    maps[..., :middle] = 3
    images[:, :, :middle, 0] = 200
    return explanation(maps, images=images, ids=["a"], **known)


def read(path: Path) -> np.ndarray:
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert image is not None
    return image if image.ndim == 2 else image[..., ::-1]


def test_large_pictures_have_small_files_of_the_map_and_the_picture(tmp_path: Path) -> None:
    (row,) = log(tmp_path, halves((8, 16)))
    assert row["thumbnail"] == row["grey"].replace("greys/", "thumbnails/")
    assert row["picture_thumbnail"] == row["picture"].replace("pictures/", "picture_thumbnails/")
    left = np.arange(8) < 4
    np.testing.assert_array_equal(read(tmp_path / row["thumbnail"]), np.tile(255 * left, (4, 1)))
    np.testing.assert_array_equal(read(tmp_path / row["picture_thumbnail"])[..., 0], np.tile(200 * left, (4, 1)))
    assert read(tmp_path / row["grey"]).shape == (8, 16)  # the others stay as they are
    assert read(tmp_path / row["picture"]).shape == (8, 16, 3)
    (seen,) = Page(tmp_path / "index.html").rows
    assert "thumbnail.png" in seen["files"].split()
    assert seen["picture_thumbnail"] == row["picture_thumbnail"]


@pytest.mark.parametrize("size", [(7, 16), (16, 7)])
def test_small_pictures_have_none(tmp_path: Path, size: tuple[int, int]) -> None:
    (row,) = log(tmp_path, halves(size))
    assert (row["thumbnail"], row["picture_thumbnail"]) == (None, None)
    assert not list(tmp_path.glob("*thumbnails"))


def test_without_a_picture_the_map_alone_has_one(tmp_path: Path) -> None:
    one = strip(np.ones((1, 1, 2, 9, 9)), None, ["a", "b"], ids=["pair"])
    (row,) = log(tmp_path, one)
    assert row["picture_thumbnail"] is None
    assert read(tmp_path / row["thumbnail"]).shape == (4, 8)


def test_frames_are_shrunk_one_by_one(tmp_path: Path) -> None:
    """Each to whole pixels, so that none has pixels of another."""
    pictures = np.zeros((1, 3, 9, 11, 3), np.uint8)
    pictures[:, 1] = 255
    (row,) = log(tmp_path, strip(np.ones((1, 1, 3, 9, 11)), pictures, ["a", "b", "c"], frames=3, ids=["clip"]))
    small = read(tmp_path / row["picture_thumbnail"])
    assert small.shape == (4, 15, 3)
    np.testing.assert_array_equal(small[..., 0], np.tile(np.repeat([0, 255, 0], 5), (4, 1)))


def test_narrow_frames_of_a_long_strip_have_none(tmp_path: Path) -> None:
    (row,) = log(tmp_path, strip(np.ones((1, 1, 3, 9, 7)), None, ["a", "b", "c"], frames=3, ids=["clip"]))
    assert row["thumbnail"] is None


def test_they_are_removed_with_their_rows(tmp_path: Path) -> None:
    log(tmp_path, halves((8, 16)))
    (row,) = log(tmp_path, explanation(np.ones((1, 1, 8, 16)), images=np.zeros((1, 8, 16, 3), np.uint8), ids=["a"]))
    for column in ("thumbnail", "picture_thumbnail"):
        assert [path.name for path in (tmp_path / f"{column}s").iterdir()] == [Path(row[column]).name]


def test_a_run_of_an_older_version_gets_them_for_its_new_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thumbnails, "LARGE", 100)
    log(tmp_path, halves((8, 16)))
    monkeypatch.setattr(thumbnails, "LARGE", 8)
    rows = log(tmp_path, halves((8, 16)), step=1)
    assert rows[0]["picture"] == rows[1]["picture"]  # which was there already
    assert (tmp_path / rows[1]["picture_thumbnail"]).is_file()
