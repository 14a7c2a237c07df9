"""Pictures to watch: some of a data set, with what is known of them."""

from __future__ import annotations

import dataclasses
import hashlib
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from xaicore import trees
from xaicore.errors import InputError
from xaicore.show.pictures import check_pictures

__all__ = ["Sample", "as_labels", "choose", "of_arrays", "read_batches"]

LABELS = ("labels", "label", "y", "targets", "target")
"""What batches that are dicts call their true classes."""

PATIENCE = 100
"""Batches in a row that bring nothing new before a search for rare classes ends; some loaders are endless."""

ToNumpy = Callable[[Any], np.ndarray]


@dataclass(frozen=True, eq=False)
class Sample:
    """N pictures that a `Monitor` watches.

    Attributes:
        x: what the model takes, N images.
        truth: (N,) int64 true classes, -1 where unknown, or None.
        images: (N, H, W, 3) uint8 RGB, the pictures in the frame that the model sees, or None.
        ids: N names, or None: made of the pictures' content, so that they are the same in a resumed run.
    """

    x: Any
    truth: np.ndarray | None = None
    images: np.ndarray | None = None
    ids: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return trees.count(self.x)

    def take(self, chosen: slice | np.ndarray) -> Sample:
        """Some of them, by position."""
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
    def concatenate(parts: Sequence[Sample]) -> Sample:
        """One behind the other; truth, images and ids only where every part has them.

        Raises:
            InputError: there are none, or pictures differ in size.
        """
        if not parts:
            raise InputError("no pictures: the loader is empty; expected batches (x, truth), or dicts with labels")

        def joined(name: str) -> np.ndarray | None:
            arrays = [getattr(part, name) for part in parts]
            return None if any(array is None for array in arrays) else np.concatenate(arrays)

        try:
            x = trees.concatenate([part.x for part in parts])
        except ValueError as exc:
            shapes = sorted({tuple(leaf.shape[1:]) for part in parts for leaf in trees.leaves(part.x)})
            raise InputError(
                f"pictures of sizes {', '.join(map(str, shapes[:4]))}: those that are watched together have one size; "
                "resize them, or pass one size only"
            ) from exc
        named = all(part.ids is not None for part in parts)
        ids = tuple(name for part in parts for name in part.ids or ()) if named else None
        return Sample(x, joined("truth"), joined("images"), ids)

    @staticmethod
    def first(batches: Iterable[Any], k: int, to_numpy: ToNumpy = np.asarray) -> Sample:
        """The first k pictures of a loader: batches (x, truth, ...), dicts with labels, or x alone.

        Raises:
            InputError: there are none, they differ in size, or labels are no classes.
        """
        parts, missing = [], _positive(k, "first")
        for part in read_batches(batches, to_numpy):
            parts.append(part.take(slice(0, missing)))
            missing -= len(parts[-1])
            if missing <= 0:
                break
        return Sample.concatenate(parts)

    @staticmethod
    def per_class(batches: Iterable[Any], k: int, classes: int | None = None, to_numpy: ToNumpy = np.asarray) -> Sample:
        """The first k pictures of each class, in the order of the classes.

        Args:
            batches: a loader, as for `first`. All of it is read, unless `classes` tells when to stop.
            k: pictures a class; a class with fewer has fewer.
            classes: how many classes there are.
            to_numpy: makes NumPy arrays of the loader's tensors.

        Raises:
            InputError: there are none, they differ in size, or there are no labels.
        """
        k, found, idle = _positive(k, "per_class"), Counter[int](), 0
        parts = []
        for part in read_batches(batches, to_numpy):
            if part.truth is None:
                raise InputError("per_class needs true classes: expected batches (x, truth), or dicts with labels")
            chosen = []
            for n, label in enumerate(part.truth.tolist()):
                if label >= 0 and found[label] < k:
                    found[label] += 1
                    chosen.append(n)
            idle = 0 if chosen else idle + 1
            if chosen:
                parts.append(part.take(np.array(chosen)))
            if idle >= PATIENCE or (classes is not None and sum(n >= k for n in found.values()) >= classes):
                break
        whole = Sample.concatenate(parts)
        assert whole.truth is not None
        return whole.take(np.argsort(whole.truth, kind="stable"))

    def named(self, to_numpy: ToNumpy) -> Sample:
        """The same, with ids: position and six digits of the content's hash where it had none.

        Raises:
            InputError: ids, truth or images of another number than x, or an id twice.
        """
        n = len(self)
        if not n:
            raise InputError("no pictures to watch: x is empty; expected one image or more on the first axis")
        for name, values in (("truth", self.truth), ("images", self.images), ("ids", self.ids)):
            if values is not None and len(values) != n:
                raise InputError(f"{name} has {len(values)} entries for {n} pictures: give one for each")
        if self.ids is None:
            shown = self.images if self.images is not None else trees.convert(self.x, to_numpy)
            ids = tuple(f"{i}-{_digest(trees.take(shown, slice(i, i + 1), n))}" for i in range(n))
        else:
            ids = tuple(map(str, self.ids))
        if len(set(ids)) < n:
            twice = [name for name, times in Counter(ids).items() if times > 1]
            raise InputError(f"ids that come twice: {', '.join(twice[:5])}; give each picture its own")
        return Sample(self.x, self.truth, self.images, ids)


def choose(
    x: Any,
    truth: Any,
    images: Any,
    ids: Sequence[Any] | None,
    first: int | None,
    per_class: int | None,
    class_names: Sequence[str] | None,
    to_numpy: ToNumpy,
) -> Sample:
    """The pictures that a monitor's arguments mean; see there.

    Raises:
        InputError: the arguments do not go together, or there is no picture.
    """
    if first is not None and per_class is not None:
        raise InputError(f"first={first} and per_class={per_class}: give one of them")
    if first is None and per_class is None:
        return of_arrays(x, truth, images, ids, to_numpy)
    if hasattr(x, "shape") or isinstance(x, (Sample, Mapping)) or truth is not None:
        whole = of_arrays(x, truth, images, ids, to_numpy, copy=False)
        batches = [dataclasses.replace(whole, x=trees.convert(whole.x, to_numpy))]
    elif isinstance(x, tuple) or images is not None or ids is not None:
        raise InputError(f"a {type(x).__name__} with first= or per_class=: pass arrays with truth=, or a loader alone")
    else:
        batches = x
    if first is not None:
        found = Sample.first(batches, first, to_numpy)
        if len(found) < first:
            warnings.warn(f"first={first}, but there are only {len(found)} pictures", RuntimeWarning, stacklevel=3)
        return found
    found = Sample.per_class(batches, per_class or 0, None if class_names is None else len(class_names), to_numpy)
    missing = [name for label, name in enumerate(class_names or ()) if not np.any(found.truth == label)]
    if missing:
        warnings.warn(f"no picture of class {', '.join(missing[:8])} was found", RuntimeWarning, stacklevel=3)
    return found


def of_arrays(
    x: Any, truth: Any, images: Any, ids: Sequence[Any] | None, to_numpy: ToNumpy, copy: bool = True
) -> Sample:
    """All of x, with what is known of it; copied where it is to stay as it is now.

    Raises:
        InputError: x is no array, or labels or pictures do not fit it.
    """
    if isinstance(x, Sample):
        truth, images = x.truth if truth is None else truth, x.images if images is None else images
        x, ids = x.x, x.ids if ids is None else ids
    n = trees.count(x)
    if not n:
        raise InputError(_no_arrays(x, truth))
    pictures = None if images is None else check_pictures(images, n)
    return Sample(
        trees.copied(x) if copy else x,
        None if truth is None else as_labels(to_numpy(truth), n),
        pictures.copy() if copy and pictures is not None else pictures,
        None if ids is None else tuple(map(str, ids)),
    )


def _no_arrays(x: Any, truth: Any) -> str:
    """What to do with an x that is no array, or one without pictures."""
    if hasattr(x, "shape"):
        return f"x of shape {tuple(x.shape)} has no pictures: expected N inputs as the model takes them"
    if isinstance(x, (list, tuple)) and x:
        return (
            f"x is a {type(x).__name__} of {type(x[0]).__name__}: expected one array of N inputs as the model takes "
            "them; apply its transform to each picture and stack them"
        )
    if truth is not None:
        return f"x is a {type(x).__name__} with truth=: a loader brings its own labels, and arrays have a shape"
    if hasattr(x, "__iter__") or hasattr(x, "__getitem__"):
        return (
            f"x is a {type(x).__name__}, no array: of a loader, say how many to watch, first=16 or per_class=2; "
            "pictures are one array of N inputs as the model takes them"
        )
    return f"x is a {type(x).__name__}: expected N inputs as the model takes them, or a loader with first="


def read_batches(batches: Iterable[Any], to_numpy: ToNumpy = np.asarray) -> Iterator[Sample]:
    """A loader's batches as samples of NumPy arrays; a data set's single pictures are batches of one.

    Raises:
        InputError: it is no iterable of batches.
    """
    try:
        iterator = iter(batches)
    except TypeError as exc:
        raise InputError(
            f"a {type(batches).__name__} is no loader: expected an iterable of batches (x, truth), or arrays"
        ) from exc
    for batch in islice(iterator, _length(batches)):
        if isinstance(batch, Sample):
            yield batch
            continue
        x, labels = _split(batch)
        x = trees.convert(x, to_numpy)
        if not trees.count(x):
            raise InputError(
                f"a batch of type {type(batch).__name__} holds no array: expected (x, truth), a dict with labels, or x"
            )
        if labels is not None and np.ndim(to_numpy(labels)) == 0:
            yield Sample(trees.convert(x, lambda leaf: leaf[None]), as_labels([to_numpy(labels)], 1))
        else:
            yield Sample(x, None if labels is None else as_labels(to_numpy(labels), trees.count(x)))


def _length(batches: Any) -> int | None:
    """Where it is known: data sets that iterate by index may never say that they end."""
    try:
        return len(batches)
    except TypeError:
        return None


def _split(batch: Any) -> tuple[Any, Any]:
    if isinstance(batch, (tuple, list)):
        return (batch[0], batch[1] if len(batch) > 1 else None) if batch else (None, None)
    if isinstance(batch, Mapping):
        name = next((name for name in LABELS if name in batch), None)
        return {key: value for key, value in batch.items() if key != name}, None if name is None else batch[name]
    return batch, None


def as_labels(labels: Any, count: int) -> np.ndarray:
    """(N,) int64 classes of integers, whole floats, columns (N, 1), or rows (N, classes) that sum to 1.

    Raises:
        InputError: another number than of pictures, or no classes.
    """
    array = np.asarray(labels)
    expected = f"expected {count} class indices, or one-hot rows ({count}, classes)"
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim == 2 and array.dtype.kind in "fiub" and np.allclose(array.sum(axis=1), 1, atol=1e-3):
        array = array.argmax(axis=1)
    if array.shape != (count,):
        raise InputError(f"truth of shape {array.shape} for {count} pictures: {expected}; one picture is x[None]")
    if array.dtype.kind not in "fiub" or not np.array_equal(array, np.floor(array)):
        raise InputError(f"truth of type {array.dtype}, such as {array[:3].tolist()}: {expected}")
    return array.astype(np.int64)


def _positive(k: int, name: str) -> int:
    if k < 1:
        raise InputError(f"{name}={k}: expected one picture or more")
    return k


def _digest(x: Any) -> str:
    found = hashlib.blake2b(digest_size=3)
    for leaf in trees.leaves(x):
        found.update(np.ascontiguousarray(leaf).tobytes() if hasattr(leaf, "shape") else repr(leaf).encode())
    return found.hexdigest()
