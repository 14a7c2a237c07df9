"""A run over a data set, written part by part as a run writes it, without a model."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as parquet
from explanations import explanation

from xaicore.dataset.rows import error_rows, joined, rows_of
from xaicore.explanation import Explanation

__all__ = ["NAMES", "PER_PART", "SIZE", "pictures_in", "run_of", "write_run"]

NAMES = ("cat", "dog", "fox", "ant")
SIZE = (24, 32)
PER_PART = 4


def pictures_in(folder: Path, count: int = 10) -> list[str]:
    """Files of `SIZE`, smooth and different."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(3)
    paths = []
    for i in range(count):
        small = rng.integers(0, 256, (3, 4, 3), np.uint8)
        path = folder / f"{i:02}.png"
        cv2.imwrite(str(path), cv2.resize(small, SIZE[::-1], interpolation=cv2.INTER_LINEAR))
        paths.append(str(path))
    return paths


def run_of(paths: list[str], k: int = 1, side: int = 5, truth: object = None, **known: object) -> Explanation:
    """Random maps of side x side over these pictures; picture 3 is surely wrong, 1 and 6 less so."""
    count = len(paths)
    rng = np.random.default_rng(1)
    predicted = np.array([0, 1, 2, 3, 0, 1, 2, 3, 0, 1])[:count]
    outputs = np.zeros((count, 4), np.float32)
    outputs[np.arange(count), predicted] = np.linspace(2, 3, count)
    outputs[3, 3] = 9
    true = predicted.copy()
    true[[1, 3, 6]] = [0, 0, 0]
    images = np.stack([cv2.imread(path)[..., ::-1] for path in paths])
    maps = rng.random((count, k, side, side)).astype(np.float32) * rng.uniform(0.5, 4, (count, 1, 1, 1))
    known = {"images": images, "class_names": list(NAMES), **known}
    return explanation(maps, SIZE, outputs=outputs, ids=paths, truth=true if truth is None else truth, **known)


def write_run(
    folder: Path, one: Explanation, paths: list[str], planned: int | None = None, boxes: object = None
) -> Path:
    """In parts of `PER_PART` pictures, and after the last a picture with an error; `planned` are all of the run."""
    (folder / "parts").mkdir(parents=True)
    count = len(one.ids)
    for part, start in enumerate(range(0, count, PER_PART)):
        some = range(start, min(start + PER_PART, count))
        tables = [
            rows_of(
                one.take(list(some)),
                positions=list(some),
                paths=[paths[i] for i in some],
                boxes=None if boxes is None else [boxes[i] for i in some],
                box_classes="any",
            )
        ]
        if some[-1] == count - 1:
            tables.append(error_rows(["broken.png"], ["broken.png is an empty file"], positions=[count]))
        parquet.write_table(joined(tables), folder / "parts" / f"part-{part:05}.parquet")
    about = {"fingerprint": {"pictures": count + 1 if planned is None else planned, "shard_size": PER_PART}}
    (folder / "run.json").write_text(json.dumps(about))
    return folder
