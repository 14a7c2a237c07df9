"""The box of a target is drawn in pictures and overlays, and said in captions."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from detector import DetectorBackend

import xaicore
from xaicore.show import Drawing, caption
from xaicore.show.framed import framed
from xaicore.targets import Boxes

NOWHERE = np.full(4, np.nan)


@pytest.fixture
def found() -> xaicore.Explanation:
    """Three images with three rows each; row 5 has no box. Pictures are twice as large as what the model sees."""
    backend = DetectorBackend("ragged")
    x = np.random.default_rng(1).uniform(size=(3, 3, 60, 90)).astype(np.float32)
    x[:, :, :, :] = np.random.default_rng(1).uniform(size=(3, 3, 6, 9)).repeat(10, axis=2).repeat(10, axis=3)
    images = np.full((3, 120, 180, 3), 100, np.uint8)
    return xaicore.Explainer(backend.net, backend=backend)(x, Boxes(3), images, class_names=["cat", "dog", "bird"])


@pytest.mark.parametrize("shade", [0, 100, 255])
def test_a_line_is_seen_on_any_picture(shade: int) -> None:
    picture = np.full((40, 60, 3), shade, np.uint8)
    out = framed(picture, np.array([5.0, 2, 15, 6]), (10, 30))
    assert (picture == shade).all()
    assert (out[8:24, 10:30][[0, -1]] == 255).all()  # twice as wide, and four times as high
    assert (out[8:24, 10:30][:, [0, -1]] == 255).all()
    assert (out[7:25, 9:31][[0, -1]] == 0).all()
    assert (out[7:25, 9:31][:, [0, -1]] == 0).all()
    assert (out[9:23, 11:29] == shade).all()
    outside = np.ones((40, 60), bool)
    outside[7:25, 9:31] = False
    assert (out[outside] == shade).all()


@pytest.mark.parametrize("box", [(-50, -50, 100, 100), (0, 0, 30, 20), (29, 19, 500, 500), (-9, -9, -5, -5)])
def test_what_lies_outside_is_drawn_along_the_edge(box: tuple[float, ...]) -> None:
    for shade in (0, 255):
        out = framed(np.full((20, 30, 3), shade, np.uint8), np.array(box, float), (20, 30))
        assert (out != shade).any()
    tiny = framed(np.zeros((1, 1, 3), np.uint8), np.array(box, float), (20, 30))
    assert tiny.shape == (1, 1, 3)


def test_no_box_is_no_line() -> None:
    picture = np.zeros((4, 4, 3), np.uint8)
    assert framed(picture, NOWHERE, (4, 4)) is picture
    assert framed(picture, np.array([0.0, 0, 2, 2]), (4,)) is picture


def test_pictures_and_overlays_have_the_box_and_heatmaps_have_none(found: xaicore.Explanation) -> None:
    plain = Drawing(boxes=False)
    for m in range(len(found)):
        with_box, without = found.draw(m), found.draw(m, plain)
        assert np.array_equal(with_box["heatmap"], without["heatmap"])
        box = np.full(4, np.nan) if m == 5 else np.array(found.target_box(m))
        for kind in ("picture", "overlay"):
            assert np.array_equal(with_box[kind], framed(without[kind], box, (60, 90)))
            assert np.array_equal(with_box[kind], without[kind]) == (m == 5)
        assert np.array_equal(found.overlay(m), with_box["overlay"])
        assert np.array_equal(found.overlay(m, plain), without["overlay"])
        assert np.array_equal(found.overlays()[m], with_box["overlay"])
        assert np.array_equal(found.overlays(boxes=False)[m], without["overlay"])


def test_captions_say_the_label_and_its_score(found: xaicore.Explanation) -> None:
    texts = [caption(found.row(m)) for m in (0, 5)]
    assert texts[0].startswith(f"0 | dog {found.scores[0]:.3f} | gradcam at map")
    assert texts[1].startswith("1 | no box 0.000 | ")


def test_files_have_the_box(found: xaicore.Explanation, tmp_path: Path) -> None:
    found.save(tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "manifest.jsonl").read_text().splitlines()]
    assert rows[0]["target_box"] == pytest.approx(found.target_box(0))
    assert rows[0]["input_size"] == [60, 90]
    assert rows[5]["target_box"] is None
    page = (tmp_path / "index.html").read_text()
    assert '"target_box":[[' in page
