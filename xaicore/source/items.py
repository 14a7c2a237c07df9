"""One picture of a data set, and what becomes of it on its way to an explanation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xaicore.pictures import File, Preparation, Source
from xaicore.source.inputs import Inputs

__all__ = ["ENDS_PROCESS", "Content", "Item", "Prepared", "prepared_as"]

ENDS_PROCESS = "this picture ends the process that has it in work"
"""The error of a picture that nobody reads again."""


def prepared_as(
    prepare: Preparation, picture: np.ndarray | Inputs, name: str
) -> tuple[np.ndarray | Inputs, np.ndarray | None]:
    """What the model takes, and the picture that it sees; several inputs of the model are its own already.

    Raises:
        PictureError, InputError: the preparation fails, as it says.
    """
    return (picture, None) if isinstance(picture, Inputs) else prepare(picture, name)


@dataclass(frozen=True, eq=False)
class Content:
    """What is read of an item.

    Attributes:
        picture: uint8 RGB (H, W, 3), or the model's own input or inputs.
        truth: the true class that the source has for it, (1,) int64 or (1, classes) bool; or None.
        name: its own, where it is known once it is read; or None.
    """

    picture: np.ndarray | Inputs
    truth: np.ndarray | None = None
    name: str | None = None


@dataclass(frozen=True)
class Item:
    """One picture of a data set.

    Attributes:
        position: in the source, from 0.
        id: names it in the results.
        source: reads it.
    """

    position: int
    id: str
    source: Source

    @property
    def path(self) -> str | None:
        """The file; None for a picture in memory, and for a frame, which a file has many of."""
        return str(self.source.path) if isinstance(self.source, File) else getattr(self.source, "file", None)

    def read(self) -> Content:
        """The picture or the model's inputs, and what the source says of it.

        Raises:
            PictureError, InputError: it cannot be read, or its label is none.
        """
        content = getattr(self.source, "read_content", None)
        return Content(self.source.read()) if content is None else content()


@dataclass(frozen=True, eq=False)
class Prepared:
    """An item as the model takes it, or why it could not be read or prepared.

    Attributes:
        item: the item.
        x: one input, or those of a model of several, without a batch axis; None where there is an error.
        image: (H, W, 3) uint8 RGB as the model sees it; None where the preparation returns none.
        error: one line; "" where there is none.
        truth: the true class that the source has for it, (1,) int64 or (1, classes) bool; None where the list of all
            pictures has it, or nobody knows it.
        is_read: False where the picture itself cannot be read, so that its error says nothing of the model.
        cause: what was raised, where there is an error.
        name: its own, where it is known once it is read.
    """

    item: Item
    x: np.ndarray | Inputs | None = None
    image: np.ndarray | None = None
    error: str = ""
    truth: np.ndarray | None = None
    is_read: bool = True
    cause: Exception | None = None
    name: str | None = None
