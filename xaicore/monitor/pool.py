"""The pool of the worst predictions: inputs in memory, a source that is read beside the model, or a loader."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from xaicore import trees
from xaicore.data.batches import read_batches
from xaicore.data.choose import from_arrays
from xaicore.data.sample import Sample
from xaicore.data.truth import most_suspicious
from xaicore.errors import InputError
from xaicore.explainer import Explainer
from xaicore.pictures import PictureError, check_single
from xaicore.source.find import UnpreparedError
from xaicore.source.indexed import OrderError
from xaicore.source.listing import Listing
from xaicore.source.reading import Reading, default_readers
from xaicore.source.ready import Ready

__all__ = ["NO_TRUTH", "Pool", "find_pool"]

NO_TRUTH = (
    "the worst predictions need true classes: pool=(x, truth), pool=(x, 'folder') where each picture's folder is named "
    "after its class, or a data set or loader of (x, truth)"
)

KEPT = 2**30
"""Bytes of a pool's prepared pictures that stay in memory from one step to the next: 1400 of 224 x 224 pixels."""

ALONE = "take those of one size"


class Pool(Protocol):
    """N images with their true classes."""

    @property
    def origin(self) -> Any:
        """The caller's loader or data set, whose random state reading draws from; None where there is none."""

    @property
    def broken(self) -> dict[str, str]:
        """{id: why it could not be read} of the last pass."""

    def batches(self, size: int) -> Iterator[Sample]:
        """Batches of NumPy arrays in order, `size` images or what a loader has; raises InputError."""

    def suspicious(self) -> Sample | None:
        """The image whose class is the most likely to be none of the model's; None where that is not known."""


def find_pool(source: Any, explainer: Explainer) -> Pool:
    """What a caller's pool is.

    Args:
        source: (x, truth), x inputs, pictures or a data set; a `Sample`; what `Listing` takes, if it has true classes;
            or any other loader of batches (x, truth), whose images are called "0", "1", ... in their order.
        explainer: of the model; its preparation is that of pictures.

    Raises:
        InputError: there are no images or no true classes, or labels do not fit.
    """
    x, truth = source if isinstance(source, tuple) and len(source) == 2 else (source, None)
    if hasattr(source, "__next__"):
        raise InputError(f"pool is a {type(source).__name__}, which can be read once: pass a loader, or (x, truth)")
    if hasattr(source, "shape") and hasattr(source, "dtype"):  # a data set of Hugging Face has a shape
        raise InputError("pool is an array: expected (x, truth), a Sample with truth, or a loader of (x, truth)")
    if isinstance(source, (list, dict)) and not source:
        raise InputError(f"pool={source!r} has no images: {NO_TRUTH}")
    listing = None if isinstance(x, Sample) else _listing(x, truth, explainer)
    if listing is not None:
        found = _Read.of(listing, explainer)
        if not found.has_labels():
            shown = f"={os.fspath(x)!r}" if isinstance(x, (str, os.PathLike)) else f" is a {type(x).__name__}"
            raise InputError(f"pool{shown}: {NO_TRUTH}")
        return found
    if isinstance(source, (tuple, Sample)):
        sample = from_arrays(x, truth, None, None, explainer.class_names, copy=False)
        return _InMemory(sample, explainer)
    return _Loader(source, explainer)


@dataclass(frozen=True, eq=False)
class _InMemory:
    """Arrays of the model's own inputs."""

    sample: Sample
    explainer: Explainer
    origin: Any = None
    broken: dict[str, str] = field(default_factory=dict)

    def batches(self, size: int) -> Iterator[Sample]:
        for start in range(0, len(self.sample), size):
            yield self._taken(slice(start, start + size))

    def suspicious(self) -> Sample | None:
        truth = self.sample.truth
        if truth is None:
            raise InputError(NO_TRUTH)
        position = most_suspicious(truth) if truth.ndim == 1 else 0
        return self._taken(slice(position, position + 1))

    def _taken(self, chosen: slice) -> Sample:
        found = self.sample.take(chosen)
        return dataclasses.replace(found, x=trees.convert(found.x, self.explainer.backend.to_numpy))


@dataclass(frozen=True, eq=False)
class _Kept:
    """A batch that is read.

    Attributes:
        tried: how many positions it takes.
        sample: those that can be explained; None where there are none.
        broken: {id: why it could not be read} of the others.
    """

    tried: int
    sample: Sample | None
    broken: dict[str, str]

    @property
    def size(self) -> int:
        """Bytes."""
        if self.sample is None:
            return 0
        return int(self.sample.x.nbytes + (0 if self.sample.images is None else self.sample.images.nbytes))


@dataclass(eq=False)
class _Read:
    """Pictures, and data sets in one order: read and prepared beside the model, broken ones left out.

    Attributes:
        kept: the first batches of the caller's pictures, which no later step reads again.
        room: bytes for more of them; 0 once one did not fit.
    """

    reading: Reading
    explainer: Explainer
    broken: dict[str, str] = field(default_factory=dict)
    kept: list[_Kept] = field(default_factory=list)
    room: int = field(default_factory=lambda: KEPT)

    @classmethod
    def of(cls, listing: Listing, explainer: Explainer) -> _Read:
        readers = default_readers()
        if listing.origin is not None:  # code of the training's own: only its workers are known to run side by side
            readers = max(1, min(readers, getattr(listing.origin, "num_workers", 0)))
        return cls(Reading.of(listing, explainer.preparation, readers), explainer)

    @property
    def origin(self) -> Any:
        return self.reading.listing.origin

    def batches(self, size: int) -> Iterator[Sample]:
        self.broken.clear()
        for one in self._read(size):
            self.broken.update(one.broken)
            if one.sample is not None:
                yield one.sample

    def _read(self, size: int) -> Iterator[_Kept]:
        yield from list(self.kept)
        start = sum(one.tried for one in self.kept)
        with closing(self.reading.batches(size, ALONE, start)) as batches:  # type: ignore[type-var]
            for batch in batches:
                why = {one.item.id: one.error for one in batch.broken}
                sample = self._sample(batch) if len(batch) else None
                one = _Kept(len(batch) + len(batch.broken), sample, why)
                self._keep(one)
                yield one

    def _keep(self, one: _Kept) -> None:
        """Keep a batch where there is room: decoding a picture takes far longer than predicting it."""
        self.room = self.room - one.size if self.origin is None and one.size <= self.room else 0
        if self.room:
            self.kept.append(one)

    def has_labels(self) -> bool:
        """Whether true classes are known, or the first element has one; true where it cannot be read."""
        listing = self.reading.listing
        if listing.truth is not None or listing.origin is None:
            return listing.truth is not None
        with self.explainer.backend.undisturbed(listing.origin), listing.awake():
            first = self.reading.item(0)
        return bool(first.error) or first.truth is not None

    def suspicious(self) -> Sample | None:
        truth = self.reading.listing.truth
        with self.reading.listing.awake():
            item = self.reading.item(most_suspicious(truth) if truth is not None and truth.ndim == 1 else 0)
        found = Ready.of([item], self.reading.listing, ALONE)
        return self._sample(found) if len(found) else None

    def _sample(self, batch: Ready) -> Sample:
        assert batch.x is not None
        check_single(batch.x, self.explainer.backend.with_batch_axis)
        return Sample(batch.x, batch.truth, batch.images, tuple(batch.ids))


@dataclass(frozen=True, eq=False)
class _Loader:
    """Batches of an order of its own, read here, as the loader reads them."""

    origin: Any
    explainer: Explainer
    broken: dict[str, str] = field(default_factory=dict)

    def batches(self, size: int) -> Iterator[Sample]:
        for batch in read_batches(self.origin, self.explainer.backend.to_numpy, self.explainer.class_names):
            yield Sample(*batch)

    def suspicious(self) -> Sample | None:
        return None


def _listing(x: Any, truth: Any, explainer: Explainer) -> Listing | None:
    """The listing of pictures, or of a data set in one order; None for inputs in memory, and for other loaders."""
    is_prepared, of_backend = explainer.preparation is not None, explainer.backend
    if truth is None and isinstance(x, (list, tuple)) and not _is_labelled_pictures(x):
        return None
    try:
        return Listing.find(x, truth, None, None, explainer.class_names, is_prepared, of_backend, None)
    except (OrderError, PictureError, UnpreparedError):
        if truth is not None or isinstance(x, (str, os.PathLike)) or not _is_loader(x):
            raise
        return None


def _is_labelled_pictures(x: Any) -> bool:
    """Whether it is a list of (path, class) or (picture, class), and not one of batches."""
    pairs = isinstance(x, list) and x and all(isinstance(one, tuple) and len(one) == 2 for one in x)
    return bool(pairs) and all(np.ndim(label) == 0 for _, label in x)


def _is_loader(x: Any) -> bool:
    """Whether a loop reads it."""
    return hasattr(x, "__iter__") or hasattr(x, "__getitem__")
