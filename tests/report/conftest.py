"""The report as a process, and what it left behind. `python -m pytest tests/report`: Keras' part runs on TensorFlow."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

if TYPE_CHECKING:
    from stories import Left

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Left]:
    """Runs `python -m examples.report.<framework>` with arguments, in a folder of its own."""
    from stories import Left

    def run(framework: str, *arguments: str) -> Left:
        folder = tmp_path_factory.mktemp(framework)
        done = subprocess.run(
            [sys.executable, "-m", f"examples.report.{framework}", "--out", "run", *arguments],
            cwd=folder,
            env={
                **{name: value for name, value in os.environ.items() if not name.startswith("WANDB_")},
                "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)]),
                "PYTHONIOENCODING": "utf-8",
                "KERAS_BACKEND": "tensorflow",
                "WANDB_DATA_DIR": str(folder / "staged"),
                "WANDB_CACHE_DIR": str(folder / "cache"),
            },
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
        )
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
