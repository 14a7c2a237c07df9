"""Data sets of frameworks as sources of pictures: what each element is called, and what is known of it."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np

from xaicore.backend import Backend
from xaicore.dataset.about import about_of
from xaicore.dataset.elements import Element, digest_of, read_element
from xaicore.dataset.indexed import Elements, indexed
from xaicore.dataset.labels import LabelReader
from xaicore.errors import InputError
from xaicore.pictures import PictureError, Source
from xaicore.pictures.example import example

__all__ = ["DataSet", "InSet", "find_set"]


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

    def sources(self, truth: np.ndarray | None = None) -> Sequence[Source]:
        """The elements as sources.

        Args:
            truth: the caller's true classes, which stand for the elements' own labels.
        """
        return _Sources(self, truth is not None)


@dataclass(frozen=True, eq=False)
class InSet:
    """An element of a data set."""

    data: DataSet
    position: int
    is_labelled: bool

    @property
    def id(self) -> str:
        """How the caller would index it."""
        return f"source[{self.position}]"

    @property
    def file(self) -> str | None:
        """The picture's file, where the data set has pictures of files."""
        return None if self.data.files is None or self.data.is_input else self.data.files[self.position]

    def read(self) -> np.ndarray:
        """uint8 RGB (H, W, 3), or the model's own input; raises `PictureError`."""
        return self._read().x

    def read_labelled(self) -> tuple[np.ndarray, np.ndarray | None]:
        """The same, and the true class as `LabelReader` reads it; None where it is not the element's to say."""
        found = self._read()
        if not self.is_labelled:
            return found.x, None
        truth = self.data.reader.read(found.label, self.id)
        known = None if self.data.truth is None else self.data.truth[self.position : self.position + 1]
        if known is not None and truth is not None and not np.array_equal(truth, known):
            raise PictureError(
                f"{self.id} has the class {truth.tolist()}, and the data set's list of labels has {known.tolist()}"
            )
        return found.x, truth

    def _read(self) -> Element:
        found = read_element(self.data.elements[self.position], self.id)
        if found.is_input != self.data.is_input:
            kinds = ("a picture", "floats, the model's own input")
            raise PictureError(
                f"{self.id} is {kinds[found.is_input]}, and source[0] is {kinds[self.data.is_input]}: expected "
                "elements of one kind"
            )
        return found


class _Sources(Sequence[Source]):
    def __init__(self, data: DataSet, is_told: bool) -> None:
        self._data, self._is_labelled = data, not is_told
        self._count = len(data.elements)

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, position: int) -> Source: ...
    @overload
    def __getitem__(self, position: slice) -> Sequence[Source]: ...
    def __getitem__(self, position: int | slice) -> Source | Sequence[Source]:
        if isinstance(position, slice):
            return [self[n] for n in range(*position.indices(self._count))]
        return InSet(self._data, position, self._is_labelled)


def find_set(
    source: Any, class_names: Sequence[str] | None, is_prepared: bool, backend: Backend | None = None
) -> DataSet | None:
    """The data set that a source is; None where it is none.

    Args:
        source: as `indexed` takes it.
        class_names: of the model.
        is_prepared: there is a preparation for pictures.
        backend: of the model, which restores random state that reading draws from.

    Raises:
        InputError: it has no order, its elements are neither pictures nor inputs, change from one reading to the next,
            or have labels that the model has no classes for; the message says what to type.
    """
    elements = indexed(source)
    if elements is None:
        return None
    (first, last), digest = _ends(source, elements, backend)
    if not first.is_input and not is_prepared:
        raise InputError(_unprepared(first, backend))
    about = about_of(_innermost(source), len(elements), first)
    reader = LabelReader.between(about.class_names if first.label is not None else None, class_names)
    truth = None if about.labels is None else reader.placed(about.labels, 0, "source")
    ends = [reader.read(first.label, "source[0]"), reader.read(last.label, f"source[{len(elements) - 1}]")]
    if truth is not None and not _are_equal(ends, [truth[:1], truth[-1:]]):
        truth = None  # the elements have other labels than the list
    files = about.paths if about.paths is not None and os.path.isfile(about.paths[0]) else None
    names = None if about.paths is None else tuple(Path(path).as_posix() for path in about.paths)
    known = about.class_names if class_names is None else tuple(class_names)
    return DataSet(source, elements, reader, first.is_input, names, files, truth, known, digest)


def _are_equal(labels: Sequence[np.ndarray | None], known: Sequence[np.ndarray]) -> bool:
    return all(one is not None and np.array_equal(one, other) for one, other in zip(labels, known, strict=True))


def _innermost(source: Any) -> Any:
    """A loader's data set; what a data set is made of may have another order."""
    return source.dataset if hasattr(source, "collate_fn") else source


def _ends(source: Any, elements: Elements, backend: Backend | None) -> tuple[list[Element], str]:
    """The first and the last element, each read twice, and a digest of them."""
    found, ends = hashlib.blake2b(digest_size=16), []
    with contextlib.nullcontext() if backend is None else backend.undisturbed(source):
        for n in (0, len(elements) - 1):
            one, again = (read_element(read[n], f"source[{n}]") for read in (elements, indexed(source) or elements))
            if digest_of(one) != digest_of(again):
                raise InputError(
                    f"source[{n}] is another one each time it is read, as with random crops or flips: a map lies over "
                    "what was drawn, and a run that is resumed would draw again. Pass the data set without random "
                    "transforms, as for validation"
                )
            found.update(digest_of(one))
            ends.append(one)
    return ends, found.hexdigest()


def _unprepared(first: Element, backend: Backend | None) -> str:
    return (
        f"source[0] is a picture {first.x.shape}, and nothing says how this model's pictures are prepared: pass "
        "preprocess=f, a function from a picture, (H, W, 3) uint8 RGB, to one input of the model without a batch axis, "
        "or to (input, picture as the network sees it); or have the data set return the model's own inputs, floats. "
        f"For a training that scaled to -1 to 1: `import cv2` and `{example(backend)}`, and preprocess=preprocess"
    )
