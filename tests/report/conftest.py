"""The report as a process, and what it left behind. `python -m pytest tests/report`: Keras' part runs on TensorFlow."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from processes import ROOT, environment, python

if TYPE_CHECKING:
    from stories import Left

sys.path.insert(0, str(ROOT))


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Left]:
    """Runs `python -m examples.report.<framework>` with arguments, in a folder of its own."""
    from stories import Left

    def run(framework: str, *arguments: str) -> Left:
        folder = tmp_path_factory.mktemp(framework)
        staged = {"WANDB_DATA_DIR": str(folder / "staged"), "WANDB_CACHE_DIR": str(folder / "cache")}
        variables = {"KERAS_BACKEND": "tensorflow", **staged}
        env = environment(ROOT, without="WANDB_", variables=variables)
        done = python("-m", f"examples.report.{framework}", "--out", "run", *arguments, cwd=folder, env=env)
        assert done.returncode == 0, done.stderr
        for broken in ("is switched off", "no heatmaps of step", "Traceback"):
            assert broken not in done.stderr, done.stderr
        return Left(folder / "run", done.stdout)

    return run


@pytest.fixture(scope="session")
def textures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three classes: 16 crops each of real photographs, a broken file and one that is no picture."""
    from examples.report.scenes import photo

    folder = tmp_path_factory.mktemp("data") / "textures"
    random = np.random.default_rng(0)
    for name in ("gravel", "brick", "grass"):
        whole = photo(f"skimage/data/{name}.png")
        (folder / name).mkdir(parents=True)
        for n in range(16):
            y, x = random.integers(512 - 224, size=2)
            cv2.imwrite(str(folder / name / f"{n}.jpg"), whole[y : y + 224, x : x + 224])
    (folder / "grass" / "broken.jpg").write_bytes(b"no picture")
    (folder / "grass" / "notes.txt").write_text("no picture either")
    return folder
