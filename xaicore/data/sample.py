"""Images for a monitor to explain, with what is known of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from xaicore import trees
from xaicore.data.batches import read_batches
from xaicore.data.names import as_class_names, as_ids
from xaicore.data.numbers import check_whole
from xaicore.data.quota import Quota
from xaicore.data.truth import check_count, join_truth
from xaicore.errors import InputError
from xaicore.show.pictures import check_pictures

__all__ = ["Sample"]

MOST_IDLE = 100
"""A search for rare classes ends after this many batches in a row without a needed image: some loaders are endless."""


@dataclass(frozen=True, eq=False)
class Sample:
    """N images that a `Monitor` explains.

    Attributes:
        x: what the model takes, N images.
        truth: (N,) int64 true classes with -1 where unknown, (N, classes) bool where several may be true, or None.
        images: (N, H, W, 3) uint8 RGB, the pictures in the frame that the model sees, or None.
        ids: N names, or None: made of position and content, so that they are the same in a resumed run.
        kept: (N,) the positions of the images among those that the caller passed, where some could not be read; None
            for all of them.
        asked: how many the caller passed, where `kept` is given.
    """

    x: Any
    truth: np.ndarray | None = None
    images: np.ndarray | None = None
    ids: tuple[str, ...] | None = None
    kept: np.ndarray | None = None
    asked: int = 0

    def __len__(self) -> int:
        return trees.count(self.x)

    def take(self, chosen: slice | np.ndarray) -> Sample:
        """Select some images by position."""
        ids = self.ids
        if ids is not None:
            ids = ids[chosen] if isinstance(chosen, slice) else tuple(ids[n] for n in chosen)
        return Sample(
            trees.take(self.x, chosen, len(self)),
            None if self.truth is None else self.truth[chosen],
            None if self.images is None else self.images[chosen],
            ids,
        )

    @staticmethod
    def concatenate(samples: Sequence[Sample]) -> Sample:
        """Join samples in order; truth, images and ids only where every sample has them.

        Raises:
            InputError: there are none, or their images differ in size.
        """
        if not samples:
            raise InputError("no images: the loader is empty; expected batches (x, truth), or dicts with labels")
        try:
            x = trees.concatenate([sample.x for sample in samples])
        except ValueError as exc:
            shapes = sorted({tuple(leaf.shape[1:]) for sample in samples for leaf in trees.leaves(sample.x)})
            raise InputError(
                f"images of sizes {', '.join(map(str, shapes[:4]))}: expected one size; resize them, or pass those of "
                "one size"
            ) from exc
        truths = [sample.truth for sample in samples if sample.truth is not None]
        images = [sample.images for sample in samples if sample.images is not None]
        named = all(sample.ids is not None for sample in samples)
        return Sample(
            x,
            join_truth(truths) if len(truths) == len(samples) else None,
            np.concatenate(images) if len(images) == len(samples) else None,
            tuple(name for sample in samples for name in sample.ids or ()) if named else None,
        )

    @staticmethod
    def first(
        batches: Iterable[Any],
        k: int,
        to_numpy: Callable[[Any], np.ndarray] = trees.as_array,
        class_names: Any = None,
    ) -> Sample:
        """The first k images of a loader.

        Args:
            batches: a loader of batches (x, truth, ...), of dicts with labels, or of x alone.
            k: how many images; fewer where the loader has fewer.
            to_numpy: converts one tensor of x to a NumPy array.
            class_names: one name per class, for labels that are given by name.

        Raises:
            InputError: there are none, they differ in size, labels are not classes, or k is no whole number.
        """
        samples, missing = [], check_whole(k, "first", 1)
        for batch in read_batches(batches, to_numpy, as_class_names(class_names)):
            samples.append(Sample(*batch).take(slice(0, missing)))
            missing -= len(samples[-1])
            if missing <= 0:
                break
        return Sample.concatenate(samples)

    @staticmethod
    def per_class(
        batches: Iterable[Any],
        k: int,
        classes: int | None = None,
        to_numpy: Callable[[Any], np.ndarray] = trees.as_array,
        class_names: Any = None,
    ) -> Sample:
        """The first k images of each class, in the order of the classes.

        Args:
            batches: a loader, as for `first`. All of it is read, unless `classes` tells when to stop.
            k: images per class; a class with fewer has fewer. An image with several labels counts for each of them.
            classes: how many classes there are.
            to_numpy: converts one tensor of x to a NumPy array.
            class_names: one name per class, for labels that are given by name.

        Raises:
            InputError: there are none, they differ in size, or there are no labels.
        """
        quota, idle, samples = Quota(check_whole(k, "per_class", 1)), 0, []
        for batch in read_batches(batches, to_numpy, as_class_names(class_names)):
            if batch.truth is None:
                raise InputError("per_class needs true classes: expected batches (x, truth), or dicts with labels")
            chosen = quota.choose(batch.truth)
            idle = 0 if len(chosen) else idle + 1
            if len(chosen):
                samples.append(Sample(*batch).take(chosen))
            if idle >= MOST_IDLE or quota.is_full(classes):
                break
        return Sample.concatenate(samples).by_class()

    def by_class(self) -> Sample:
        """The images in the order of their true classes; of several, the lowest counts."""
        assert self.truth is not None
        keys = self.truth.argmax(axis=1) if self.truth.ndim == 2 else self.truth
        return self.take(np.argsort(keys, kind="stable"))

    def named(self, to_numpy: Callable[[Any], np.ndarray] = trees.as_array) -> Sample:
        """The same images, with ids: where they have none, position and six digits of the content's hash.

        Raises:
            InputError: there are no images; ids, truth or images are of another number; or an id repeats.
        """
        n = len(self)
        if not n:
            raise InputError("x has no images: expected one or more on the first axis")
        check_count(self.truth, n)
        if self.images is not None:
            check_pictures(self.images, n)
        if self.ids is not None:
            return replace(self, ids=as_ids(self.ids, n))
        shown = self.images if self.images is not None else trees.convert(self.x, to_numpy)
        ids = (f"{i}-{_digest(trees.take(shown, slice(i, i + 1), n))}" for i in range(n))
        return replace(self, ids=tuple(ids))


def _digest(x: Any) -> str:
    digest = hashlib.blake2b(digest_size=3)
    for leaf in trees.leaves(x):
        digest.update(np.ascontiguousarray(leaf).tobytes() if hasattr(leaf, "shape") else repr(leaf).encode())
    return digest.hexdigest()
