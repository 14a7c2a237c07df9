"""Pictures of which the class is known and, of some, where in them the thing is that they show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

import xaicore

SIZE = 224
"""Height and width of every picture: what the network was trained with."""


class Thing(NamedTuple):
    """Where one thing is in a picture: its class, and its box in pixels, end exclusive."""

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
        truth: (N,) int64 classes; -1 for a picture that shows several.
        ids: N names.
        things: for each picture, what is in it as far as that is known.
    """

    images: np.ndarray
    truth: np.ndarray
    ids: tuple[str, ...]
    things: tuple[tuple[Thing, ...], ...]

    def __len__(self) -> int:
        """How many there are."""
        return len(self.ids)

    @staticmethod
    def of(pictures: Sequence[Picture]) -> Pictures:
        """Single pictures together."""
        images, truth, ids, things = zip(*pictures, strict=True)
        return Pictures(np.stack(images), np.array(truth, np.int64), ids, things)

    def take(self, chosen: Sequence[int] | np.ndarray) -> Pictures:
        """Some of them, by position."""
        return Pictures.of([Picture(self.images[n], self.truth[n], self.ids[n], self.things[n]) for n in chosen])


class Picture(NamedTuple):
    """One of `Pictures`."""

    image: np.ndarray
    truth: int
    id: str
    things: tuple[Thing, ...] = ()


@dataclass(frozen=True, eq=False)
class Data:
    """What a report is about.

    Attributes:
        about: where the pictures come from, a sentence or two.
        names: a name a class.
        train: pictures to learn from.
        validation: pictures to judge by, of which training sees none.
        watched: pictures whose heatmaps are logged; some with several things in them.
    """

    about: str
    names: tuple[str, ...]
    train: Pictures
    validation: Pictures
    watched: Pictures

    @property
    def outputs(self) -> int:
        """Outputs of the classifier: one, a sigmoid, for two classes; else one a class."""
        return 1 if len(self.names) == 2 else len(self.names)

    @property
    def targets(self) -> Any:
        """What is explained: both of two classes, or the two most probable ones."""
        return [[0, 1]] if len(self.names) == 2 else xaicore.targets.TopK(2)


def network_input(images: np.ndarray) -> np.ndarray:
    """(N, H, W, 3) uint8 to what the network takes, the same in float32 from -1 to 1."""
    return (images.astype(np.float32) - 127) / 128
