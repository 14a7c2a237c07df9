"""The pictures under stored maps are those that the model saw, or there are none."""

from __future__ import annotations

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("pyarrow")

from maprun import SIZE, pictures_in, run_of, write_run

import xaicore
from xaicore import InputError
from xaicore.dataset import preparation
from xaicore.dataset.fingerprint import prepared
from xaicore.pictures import Preparation
from xaicore.pictures.imagenet import imagenet, imagenet_nhwc


@pytest.fixture
def paths(tmp_path):
    return pictures_in(tmp_path / "pictures", 7)


def crop(picture):
    """The upper left quarter, at the size of the input."""
    seen = picture[:12, :16].repeat(2, axis=0).repeat(2, axis=1)
    return seen.transpose(2, 0, 1).astype(np.float32), seen


def opened(folder, paths, **known):
    return xaicore.open_maps(write_run(folder, run_of(paths, **known), paths))


def test_a_picture_that_was_cut_needs_the_preprocessing(tmp_path, paths):
    cut = np.stack([crop(cv2.imread(path)[..., ::-1])[1] for path in paths])
    table = opened(tmp_path / "cut", paths, images=cut)
    assert np.array_equal(table.explanation(preprocess=crop).images, cut)
    with pytest.raises(InputError, match=r"00.png: the whole file is not what the model saw, .* pass preprocess="):
        table.explanation().overlay(0)
    with pytest.raises(InputError, match="what other makes of it is not what the model saw"):
        table.explanation(preprocess=other).overlay(0)
    bare = table.explanation(images=None)
    assert bare.images is None
    assert bare.heatmap(0).shape == SIZE


def other(picture):
    seen = np.ascontiguousarray(picture[:, ::-1])
    return seen.transpose(2, 0, 1), seen


@pytest.mark.parametrize(
    ("name", "own", "made", "is_found"),
    [
        ("zoo/net", "crop", "crop", True),
        ("zoo/net", "other", "crop", False),  # another version of the library, which prepares otherwise
        ("zoo/net", None, "crop", False),
        ("zoo/net", "crop", None, False),
        ("zoo/net.py:build", "crop", "crop", False),
        ("elsewhere/net", "crop", "crop", False),
        ("zoo/file", "crop", "crop", False),
        (None, "crop", "crop", False),
    ],
)
def test_the_preprocessing_of_a_library_is_found_again_by_name(tmp_path, paths, monkeypatch, name, own, made, is_found):
    functions = {"crop": crop, "other": other, None: None}
    cut = np.stack([crop(cv2.imread(path)[..., ::-1])[1] for path in paths])
    folder = write_run(tmp_path / "cut", run_of(paths, images=cut), paths)
    run = json.loads((folder / "run.json").read_text())
    run["fingerprint"]["prepared"] = None if made is None else prepared(Preparation.of(functions[made]))
    (folder / "run.json").write_text(json.dumps({**run, "name": name}))
    asked = []

    def find_model(spec, **options):
        asked.append((spec, options))
        return xaicore.NamedModel(None, spec, functions[own])

    library = xaicore.ModelLibrary("zoo", "zoo", list, "net", "pip install zoo")
    monkeypatch.setattr(preparation, "libraries", lambda: [library])
    monkeypatch.setattr(preparation, "find_model", find_model)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "zoo").mkdir()
    (tmp_path / "zoo" / "file").touch()
    table = xaicore.open_maps(folder)
    page = table.page(gallery=2).read_text()
    assert ("could not be laid under" not in page) == is_found
    if is_found:
        assert np.array_equal(table.explanation().images, cut)
        assert asked == [("zoo/net", {"weights": "none"})]  # once, and nothing large is downloaded
    else:
        with pytest.raises(InputError, match=r"the whole file is not what the model saw, .* pass preprocess="):
            table.explanation().overlay(0)
        assert all(spec == "zoo/net" for spec, _ in asked)


@pytest.mark.parametrize("usual", [imagenet, imagenet_nhwc])
def test_the_preprocessing_of_imagenet_is_found_again(tmp_path, paths, usual):
    """The command line has it by a word; Python has no function to pass for it."""
    cut = np.stack([cv2.resize(usual(cv2.imread(path)[..., ::-1])[1], SIZE[::-1]) for path in paths])
    folder = write_run(tmp_path / "cut", run_of(paths, images=cut), paths)
    run = json.loads((folder / "run.json").read_text())
    run["fingerprint"]["prepared"] = prepared(Preparation.of(usual))
    (folder / "run.json").write_text(json.dumps({**run, "name": "net.py:build"}))
    shown = xaicore.open_maps(folder).explanation().images
    assert np.abs(shown.astype(int) - cut).max() < 40  # resized otherwise; another part of the file differs by 200
    assert np.abs(shown.astype(int) - cut).mean() < 5


def test_whole_files_need_no_preprocessing(tmp_path, paths, monkeypatch):
    monkeypatch.setattr(preparation, "found_again", None)
    assert xaicore.open_maps(write_run(tmp_path / "run", run_of(paths), paths)).explanation().images is not None


def test_without_a_sketch_nothing_says_what_was_seen(tmp_path, paths):
    table = opened(tmp_path / "unknown", paths, images=None)
    with pytest.raises(InputError, match=r"nothing says which part of .*00\.png the model saw: pass preprocess="):
        table.explanation().overlay(0)
    assert table.explanation(preprocess=crop).images.shape == (7, *SIZE, 3)


def test_a_preprocessing_without_a_picture_shows_the_input(tmp_path, paths):
    table = opened(tmp_path / "input", paths, images=None)
    whole = np.stack([cv2.imread(path)[..., ::-1] for path in paths])
    back = table.explanation(preprocess=lambda picture: picture.transpose(2, 0, 1) / np.float32(255))
    assert np.array_equal(back.images, whole)
    flat = table.explanation(preprocess=lambda picture: picture.reshape(-1) / np.float32(255))
    with pytest.raises(InputError, match=r"preprocess <lambda> returns an input of shape \(2304,\) for .*00.png"):
        flat.images


@pytest.mark.parametrize("how", ["AREA", "LINEAR", "CUBIC", "NEAREST"])
def test_larger_files_that_were_seen_whole_are_recognised(tmp_path, paths, how):
    """Of a picture of fine lines, each way of resizing makes another one."""
    lines = np.full((96, 112, 3), 60, np.uint8)
    lines[::4] = 210
    seen = []
    for n, path in enumerate(paths):
        cv2.imwrite(path, lines + np.uint8(n))
        seen.append(cv2.resize(lines + np.uint8(n), SIZE[::-1], interpolation=getattr(cv2, f"INTER_{how}")))
    table = opened(tmp_path / "whole", paths, images=np.stack(seen))
    assert np.array_equal(table.explanation().images, seen)


def test_files_are_read_when_they_are_drawn(tmp_path, paths):
    table = opened(tmp_path / "lazy", paths)
    back = table.explanation()
    Path(paths[1]).write_bytes(b"no picture")
    assert back.heatmap(1).shape == SIZE
    assert back.take([0]).overlay(0).shape == (*SIZE, 3)
    with pytest.raises(InputError, match=r"01\.png is no picture that OpenCV"):
        back.overlay(1)


def test_files_that_are_gone_are_refused_at_once(tmp_path, paths):
    table = opened(tmp_path / "gone", paths)
    Path(paths[2]).unlink()
    message = f"the picture {paths[2]!r} was at {paths[2]}, which is no file from {Path.cwd()}: pass images="
    with pytest.raises(InputError, match=re.escape(message)):
        table.explanation()
    assert table.explanation(images=None).images is None
    assert table.explanation(paths[0]).images.shape == (1, *SIZE, 3)


def test_pictures_without_a_file_are_given_by_the_caller(tmp_path, paths):
    one = run_of(paths)
    table = xaicore.open_maps(write_run(tmp_path / "memory", one, [None] * 7))
    with pytest.raises(InputError, match=r"the picture '.*00\.png' has no file: pass images=, uint8 RGB"):
        table.explanation()
    assert np.array_equal(
        table.explanation(images=one.images).overlay(1), table.explanation(images=one.images).overlay(1)
    )
    assert np.array_equal(table.explanation(images=one.images).images, one.images)
    with pytest.raises(InputError, match="expected 7 RGB pictures of one size"):
        table.explanation(images=one.images[:2])
    with pytest.raises(InputError, match="images='file': expected 'files', pictures as uint8 RGB"):
        table.explanation(images="file")
