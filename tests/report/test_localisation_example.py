"""The tables and the figure of docs/localisation.md, without a framework."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from examples.localisation.figure import CYAN, WHITE, tile, write
from examples.localisation.scenes import PAIRS, boxes_of, classes_of, pairs
from examples.localisation.table import cell, put, table
from xaicore.localize import Estimate


def test_scenes_of_two_animals_and_their_boxes() -> None:
    some = pairs(4, 3)
    assert [name.split(" over ")[0] for name in some.ids] == [" and ".join(pair) for pair in PAIRS]
    assert [classes.tolist() for classes in classes_of(some)] == [[0, 0], [1, 1], [0, 1], [1, 0]]
    for boxes, known in zip(boxes_of(some), some.boxes, strict=True):
        assert boxes.tolist() == [[box.x0, box.y0, box.x1, box.y1] for box in known]


def test_a_table() -> None:
    figures = {"error": Estimate(0.254, 0.1, 0.456, 9), "own": 0.5, "other": None}
    assert cell(figures["error"]) == "0.25 (0.10, 0.46)"
    assert table([("`a`", figures)], {"error": "the error", "own": "own", "other": "else"}).splitlines() == [
        "| method | the error | own | else |",
        "|---|---|---|---|",
        "| `a` | 0.25 (0.10, 0.46) | 0.50 | - |",
    ]


def test_a_table_is_put_in_its_place(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- one -->\nold\n<!-- end -->\nbetween\n<!-- two -->\n<!-- end -->\nafter\n")
    put(page, "one", r"new \1")
    put(page, "two", "two")
    put(page, "two", "second")
    assert page.read_text() == (
        "before\n<!-- one -->\n\nnew \\1\n\n<!-- end -->\nbetween\n<!-- two -->\n\nsecond\n\n<!-- end -->\nafter\n"
    )
    with pytest.raises(ValueError, match=r"has 0 places <!-- three --> \.\.\. <!-- end -->: expected one"):
        put(page, "three", "")


def test_a_tile_shows_boxes_and_point(tmp_path: Path) -> None:
    overlay = np.full((100, 200, 3), 128, np.uint8)
    boxes = np.array([[20, 10, 60, 50], [0, 0, 0, 0]])
    drawn = tile(overlay, boxes, np.array([[100, 10, 190, 90]]), np.array([40, 30]), "x")
    scale = drawn.shape[0] / 100
    at = [tuple(int(v) for v in drawn[round(y * scale), round(x * scale)]) for x, y in ((20, 30), (100, 50), (40, 30))]
    assert at == [CYAN, WHITE, CYAN]
    assert (drawn[round(70 * scale), round(80 * scale)] == 128).all()
    nothing = tile(overlay, boxes[1:], np.zeros((0, 4), int), np.array([-1, -1]), "")
    assert (nothing == 128).all()
    write(tmp_path / "sheet.jpg", [drawn] * 4)
    height, width = cv2.imread(str(tmp_path / "sheet.jpg")).shape[:2]
    assert (height, width) == (2 * drawn.shape[0] + 5, 3 * drawn.shape[1] + 10)
    with pytest.raises(OSError, match="could not be written"):
        write(tmp_path / "none" / "sheet.jpg", [drawn])
