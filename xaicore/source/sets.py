"""A data set of a framework as a source of pictures: what each element is called, and what is known of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np

from xaicore.pictures import PictureError, Source
from xaicore.source.elements import DIGEST, Element, digest_of, read_element
from xaicore.source.indexed import Elements
from xaicore.source.items import ENDS_PROCESS, Content
from xaicore.source.labels import LabelReader
from xaicore.source.streams import Stream

__all__ = ["DataSet", "InSet"]


@dataclass(frozen=True, eq=False)
class DataSet:
    """A data set of a framework, and what it says of itself.

    Attributes:
        origin: what the caller passed.
        elements: by their position.
        reader: of their labels.
        is_input: they are the model's own inputs, and not pictures.
        names: N ids that the data set has for them, or None.
        files: N paths, where names are those of files.
        truth: (N,) int64 true classes, or None where they are unknown before the elements are read.
        class_names: of the model, or those of the data set where the model has none.
        digest: of the first and the last element.
        is_labelled: true classes are read with the elements; else the truth has them, or the caller.
        digests: of all elements of a stream, as `Contents` has them; None where elements have positions.
        lost: the positions of elements that end the process which reads them.
    """

    origin: Any
    elements: Elements
    reader: LabelReader
    is_input: bool
    names: tuple[str, ...] | None
    files: tuple[str, ...] | None
    truth: np.ndarray | None
    class_names: tuple[str, ...] | None
    digest: str
    is_labelled: bool
    digests: bytes | None = None
    lost: frozenset[int] = frozenset()

    @property
    def is_open(self) -> bool:
        """Whether nobody knows how many elements there are before the last one is read."""
        return isinstance(self.elements, Stream) and self.elements.is_open

    @property
    def sources(self) -> Sequence[Source]:
        """The elements as sources."""
        return _Sources(self)


@dataclass(frozen=True, eq=False)
class InSet:
    """An element of a data set."""

    data: DataSet
    position: int

    @property
    def id(self) -> str:
        """How the caller would index it."""
        return f"source[{self.position}]"

    @property
    def file(self) -> str | None:
        """The picture's file, where the data set has pictures of files."""
        return None if self.data.files is None or self.data.is_input else self.data.files[self.position]

    def read(self) -> Any:
        """uint8 RGB (H, W, 3), or the model's own input or inputs; raises `PictureError`."""
        return self._read().x

    def read_content(self) -> Content:
        """The same, its name, and the true class as `LabelReader` reads it where it is the element's to say."""
        found = self._read()
        if not self.data.is_labelled:
            return Content(found.x, name=found.name)
        truth = self.data.reader.read(found.label, self.id)
        known = None if self.data.truth is None else self.data.truth[self.position : self.position + 1]
        if known is not None and truth is not None and not np.array_equal(truth, known):
            raise PictureError(
                f"{self.id} has the class {truth.tolist()}, and the data set's list of labels has {known.tolist()}"
            )
        return Content(found.x, truth, found.name)

    def _read(self) -> Element:
        if self.position in self.data.lost:
            raise PictureError(f"{self.id}: {ENDS_PROCESS}")
        found = read_element(self.data.elements[self.position], self.id)
        if found.is_input != self.data.is_input:
            kinds = ("a picture", "floats, the model's own input")
            raise PictureError(
                f"{self.id} is {kinds[found.is_input]}, and source[0] is {kinds[self.data.is_input]}: expected "
                "elements of one kind"
            )
        known = None if self.data.digests is None else self.data.digests[DIGEST * self.position :][:DIGEST]
        if known is not None and digest_of(found) != known:
            raise PictureError(
                f"{self.id} is another one than when the elements were counted: the source has another order, or other "
                "values, each time it is read"
            )
        return found


class _Sources(Sequence[Source]):
    def __init__(self, data: DataSet) -> None:
        self._data, self._count = data, None if data.is_open else len(data.elements)

    def __len__(self) -> int:
        return len(self._data.elements)

    def rest(self) -> None:
        """Let go of what a pass over a stream holds."""
        if isinstance(self._data.elements, Stream):
            self._data.elements.rest()

    @overload
    def __getitem__(self, position: int) -> Source: ...
    @overload
    def __getitem__(self, position: slice) -> Sequence[Source]: ...
    def __getitem__(self, position: int | slice) -> Source | Sequence[Source]:
        if isinstance(position, slice):
            return [self[n] for n in range(*position.indices(len(self)))]
        if self._count is not None and not 0 <= position < self._count:  # where a loop over a sequence ends
            raise IndexError(position)
        return InSet(self._data, position)
