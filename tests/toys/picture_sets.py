"""Folders of small pictures, and a NumPy net for them that other processes can build, too."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from toynet import ToyBackend, ToyNet

import xaicore

SIDE = 6


class DatasetBackend(ToyBackend):
    """Fails for pictures whose first value is 255, and knows its weights."""

    name = "toy"

    def capture(self, inputs, layers, direction=None):
        if (np.asarray(inputs)[:, 0, 0, 0] == 1).any():
            raise xaicore.BackendError("the model raised ValueError: too bright")
        return super().capture(inputs, layers, direction)

    def weights_hash(self):
        return f"{float(abs(self.net.u).sum()):.6f}"


def preprocess(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    seen = cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return (seen / 255).astype(np.float32).transpose(2, 0, 1), seen


def slowly(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    time.sleep(0.002)
    return preprocess(picture)


def prints(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Prints a line, and ends the process for a black picture."""
    print("a picture of", picture.shape, flush=True)
    if not picture.any():
        os._exit(3)
    return preprocess(picture)


def backend(seed: int = 0) -> DatasetBackend:
    return DatasetBackend(ToyNet(seed=seed))


class FragileBackend(DatasetBackend):
    """Ends the process where `DatasetBackend` raises, with a line in a file."""

    deaths: Path

    def capture(self, inputs, layers, direction=None):
        if (np.asarray(inputs)[:, 0, 0, 0] == 1).any():
            with open(self.deaths, "a") as file:
                file.write("died\n")
            os._exit(5)
        return super().capture(inputs, layers, direction)


def fragile(deaths: Path, kind: type[FragileBackend] = FragileBackend) -> FragileBackend:
    found = kind(ToyNet())
    found.deaths = deaths
    return found


def ends_workers() -> object:
    """A model that builds in this process, and ends those of its workers."""
    if multiprocessing.parent_process() is not None:
        os._exit(7)
    return object()


def write_pictures(folder: Path, count: int, seed: int = 0) -> list[Path]:
    """Lossless pictures 000.png, 001.png, ... without a value of 255."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{n:03}.png" for n in range(count)]
    for path in paths:
        cv2.imwrite(str(path), rng.integers(0, 250, (SIDE, SIDE, 3), dtype=np.uint8))
    return paths


@dataclass(frozen=True)
class Blank:
    """A picture of one grey."""

    id: str
    value: int

    def read(self) -> np.ndarray:
        return np.full((SIDE, SIDE, 3), self.value, np.uint8)


@dataclass(frozen=True)
class Deadly:
    """A picture whose decoder ends the process: "exit" or "kill"."""

    id: str
    how: str

    def read(self) -> np.ndarray:
        if self.how == "exit":
            os._exit(3)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError
