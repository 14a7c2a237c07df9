"""Labelled pictures, some of them with the boxes of their objects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

import xaicore

SIZE = 224
"""Height and width of every picture: the network's training resolution."""


class Box(NamedTuple):
    """An object's class and its bounding box in pixels; x1 and y1 are exclusive."""

    label: int
    x0: int
    y0: int
    x1: int
    y1: int


@dataclass(frozen=True, eq=False)
class Pictures:
    """N pictures.

    Attributes:
        images: (N, SIZE, SIZE, 3) uint8 RGB.
        truth: (N,) int64 classes; -1 for a picture that shows several classes.
        ids: N unique names.
        boxes: for each picture, the boxes of its objects; empty if they are unknown.
    """

    images: np.ndarray
    truth: np.ndarray
    ids: tuple[str, ...]
    boxes: tuple[tuple[Box, ...], ...]

    def __len__(self) -> int:
        """The number of pictures."""
        return len(self.ids)

    @staticmethod
    def stack(pictures: Sequence[Picture]) -> Pictures:
        """Stack single pictures along a new first axis."""
        images, truth, ids, boxes = zip(*pictures, strict=True)
        return Pictures(np.stack(images), np.array(truth, np.int64), ids, boxes)

    def take(self, positions: Sequence[int] | np.ndarray) -> Pictures:
        """The pictures at these positions."""
        return Pictures.stack([Picture(self.images[n], self.truth[n], self.ids[n], self.boxes[n]) for n in positions])

    def sample(self, prepare: Callable[[np.ndarray], np.ndarray]) -> xaicore.Sample:
        """The pictures as a monitor takes them; `prepare` turns them into the network's input."""
        return xaicore.Sample(prepare(self.images), self.truth, self.images, self.ids)


class Picture(NamedTuple):
    """One picture, with the fields of `Pictures`."""

    image: np.ndarray
    truth: int
    id: str
    boxes: tuple[Box, ...] = ()


@dataclass(frozen=True, eq=False)
class Data:
    """The data of a report.

    Attributes:
        description: where the pictures come from, in a few sentences.
        class_names: one name per class.
        train: pictures for training.
        validation: pictures for validation.
        watched: pictures whose heatmaps are logged; some show several objects.
    """

    description: str
    class_names: tuple[str, ...]
    train: Pictures
    validation: Pictures
    watched: Pictures

    @property
    def outputs(self) -> int:
        """The classifier's number of outputs: 1 (a sigmoid) for two classes, else one per class."""
        return 1 if len(self.class_names) == 2 else len(self.class_names)

    @property
    def targets(self) -> Any:
        """The explained classes: both of two, or the two most probable of more."""
        return [[0, 1]] if len(self.class_names) == 2 else xaicore.targets.TopK(2)


def network_input(images: np.ndarray) -> np.ndarray:
    """From pictures (N, H, W, 3) uint8 to the network's input, the same shape in float32, from -1 to 1."""
    return (images.astype(np.float32) - 127) / 128
