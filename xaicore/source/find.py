"""What a caller's data set is: elements by position, or a stream; what it says of itself is compared with both ends."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from xaicore.backend import Backend
from xaicore.data.truth import UNKNOWN, join_truth
from xaicore.errors import InputError
from xaicore.pictures import PictureError
from xaicore.pictures.example import remedy
from xaicore.source.about import About, about_of
from xaicore.source.elements import Element, digest_of
from xaicore.source.ends import UNGUARDED, Guard, ends_of
from xaicore.source.indexed import Elements, indexed, is_loader
from xaicore.source.inputs import Inputs
from xaicore.source.labels import LabelReader
from xaicore.source.sets import DataSet
from xaicore.source.streams import Begin, Stream, begins_alike, first_of, may_count, read_through, stream_of

__all__ = ["Known", "UnpreparedError", "find_set"]


class UnpreparedError(InputError):
    """Arrays of uint8 without a preparation, which could be a model's own input."""


@dataclass(frozen=True, eq=False)
class Known:
    """What is known of the caller's side.

    Attributes:
        class_names: of the model, or None.
        is_prepared: there is a preparation for pictures.
        is_told: the caller passes the true classes, and the labels of the data set are not read.
        backend: of the model, which restores random state that reading draws from; None where there is no model.
        count: counts a stream, called with the elements so far; None: it is read once, and nobody knows where it ends.
        guard: reads elements by their position.
    """

    class_names: Sequence[str] | None
    is_prepared: bool
    is_told: bool = False
    backend: Backend | None = None
    count: Callable[[int], object] | None = lambda count: None
    guard: Guard = UNGUARDED

    def undisturbed(self, source: Any) -> AbstractContextManager[None]:
        """Restores what reading draws from."""
        return nullcontext() if self.backend is None else self.backend.undisturbed(source)


def find_set(source: Any, known: Known) -> DataSet | None:
    """The data set that a source is; None where it is none.

    Args:
        source: as `indexed` and `stream_of` take it.
        known: what is known of the model and the caller's arguments.

    Raises:
        InputError: it has no order, its elements are neither pictures nor inputs, change from one reading to the next,
            or have labels that the model has no classes for; the message says what to type.
    """
    with known.undisturbed(source):  # a data set of batches is asked for two of them
        elements = indexed(source, known.guard.read_batch)
    if elements is not None:
        return _of_positions(source, elements, known)
    begin = stream_of(source)
    return None if begin is None else _of_stream(source, begin, known)


def _of_positions(source: Any, elements: Elements, known: Known) -> DataSet:
    with known.undisturbed(source):
        ((start, first), (end, last)), digest = ends_of(source, elements, known.guard)
    _check(first, start, known)
    about, reader = _about(source, len(elements), first, known)
    truth = None if about.labels is None else reader.placed(about.labels, "source")
    if not known.is_told:
        ends = [reader.read(first.label, f"source[{start}]"), reader.read(last.label, f"source[{end}]")]
        if truth is not None and not _are_equal(ends, [truth[start : start + 1], truth[end : end + 1]]):
            truth = None  # the elements have other labels than the list
    return DataSet(
        source,
        elements,
        reader,
        first.is_input,
        _names(about),
        _files(about),
        truth,
        about.class_names if known.class_names is None else tuple(known.class_names),
        digest,
        not known.is_told,
        lost=frozenset(known.guard.lost),
    )


def _of_stream(source: Any, begin: Begin, known: Known) -> DataSet:
    if known.count is None:
        return _of_passing(source, begin, known)
    with known.undisturbed(source):
        found = read_through(begin, known.count)
    assert found.first is not None
    assert found.last is not None
    _check(found.first, 0, known)
    about, reader = _about(source, len(found), found.first, known)
    if about.paths is None and len(set(found.keys)) == len(found):
        about = replace(about, keys=tuple(found.keys))
    labels, truth = [] if known.is_told else found.labels, None
    classes = [reader.read(label, f"source[{n}]") for n, label in enumerate(labels)]
    if any(one is not None for one in classes):
        truth = join_truth([np.array([UNKNOWN]) if one is None else one for one in classes])
    return DataSet(
        source,
        Stream(begin, len(found)),
        reader,
        found.first.is_input,
        _names(about),
        _files(about),
        truth,
        about.class_names if known.class_names is None else tuple(known.class_names),
        (digest_of(found.first) + digest_of(found.last)).hex(),
        False,
        bytes(found.digests),
    )


def _of_passing(source: Any, begin: Begin, known: Known) -> DataSet:
    """A stream of which the first element is read by now, and the next ones where it has paths to go with them."""
    with known.undisturbed(source):
        first = first_of(begin)
    _check(first, 0, known)
    about, reader = _about(source, None, first, known)
    if about.paths is not None:
        with known.undisturbed(source):
            if not (may_count(source, len(about.paths)) and begins_alike(begin)):
                about = replace(about, paths=None)
    names = about.class_names if known.class_names is None else tuple(known.class_names)
    found = Stream(begin, None)
    return DataSet(source, found, reader, first.is_input, _names(about), None, None, names, "", not known.is_told)


def _about(source: Any, count: int | None, first: Element, known: Known) -> tuple[About, LabelReader]:
    """What the data set says, and the reader of its labels; nothing of these where the caller tells the classes."""
    inner = source.dataset if is_loader(source) else source
    about = about_of(inner, count, first)
    if known.is_told:
        about = replace(about, labels=None, class_names=None)
    own = about.class_names if first.label is not None else None
    return about, LabelReader.between(own, known.class_names)


def _names(about: About) -> tuple[str, ...] | None:
    return about.keys if about.paths is None else tuple(Path(path).as_posix() for path in about.paths)


def _files(about: About) -> tuple[str, ...] | None:
    return about.paths if about.paths is not None and os.path.isfile(about.paths[0]) else None


def _are_equal(labels: Sequence[np.ndarray | None], known: Sequence[np.ndarray]) -> bool:
    return all(one is not None and np.array_equal(one, other) for one, other in zip(labels, known, strict=True))


def _check(first: Element, n: int, known: Known) -> None:
    """Refuse what is a batch, and pictures that nobody prepares.

    Raises:
        PictureError: the element is a batch.
        InputError: it is a picture, and there is no preparation.
    """
    if first.is_input and not known.is_told and _is_batch(first, known.backend):
        raise PictureError(
            f"source[{n}] is x {first.x.shape} with {len(first.label)} labels, which may be a batch: expected one "
            "image per element, and its label. Where it is one image with several labels, pass truth=[...], a "
            "row per image"
        )
    if first.is_input or known.is_prepared:
        return
    error = InputError if first.is_pil else UnpreparedError
    raise error(
        f"source[{n}] is a picture {first.x.shape}, and nothing says how this model's pictures are prepared: pass "
        "preprocess=f, a function from a picture, (H, W, 3) uint8 RGB, to one input of the model without a batch axis, "
        "or to (input, picture as the network sees it); or have the data set return the model's own inputs, floats. "
        f"{remedy(known.backend)}"
    )


def _is_batch(first: Element, backend: Backend | None) -> bool:
    """Whether there is a label for each part of x, and the model does not take it as one image."""
    if isinstance(first.x, Inputs) or getattr(first.label, "shape", ())[:1] != first.x.shape[:1]:
        return False
    return backend is None or np.ndim(backend.with_batch_axis(first.x)) == first.x.ndim
