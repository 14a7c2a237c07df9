"""kill -9 at any moment, with several writers: what the manifest says is there, whole, and what it says."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import cv2
import numpy as np
from processes import python

import xaicore
from xaicore_disk import manifest
from xaicore_disk.atomic import TEMPORARY
from xaicore_disk.manifest import read_manifest

SCRIPT = Path(__file__).with_name("disk_writers.py")


def test_killed_writers_leave_a_run_that_is_whole(tmp_path: Path) -> None:
    root = tmp_path / "run"
    done = python(str(SCRIPT), str(root), "50", "120", "0", timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a torn row in the middle would be skipped with a warning
        rows = read_manifest(root)
    assert 0 < len(rows) <= 32  # 4 steps, 2 images, 2 targets, 2 methods that take turns
    check_files(root, rows)

    with xaicore.open_loggers({"disk": {"root": root}}, on_error="raise"):
        pass
    lines = (root / "manifest.jsonl").read_bytes().splitlines()
    assert len([json.loads(line) for line in lines]) >= 119  # the last one may have been torn
    assert read_manifest(root) == rows
    check_files(root, rows)
    assert list(root.rglob(f"*{TEMPORARY}")) == []
    page = (root / "index.html").read_text()
    assert all(Path(row["map"]).stem in page for row in rows)
    assert page.rstrip().endswith("</html>")


def check_files(root: Path, rows: list[manifest.Row]) -> None:
    """They load, and the map is the one that the row was written for."""
    for row in rows:
        assert np.load(root / row["map"], allow_pickle=False).max() == np.float32(row["maximum"])
        for column in ("picture", "overlay", "heatmap", "grey"):
            assert cv2.imread(str(root / row[column])).shape == (14, 18, 3)
