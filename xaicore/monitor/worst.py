"""The current worst predictions of a data set: those that give the true class the least probability."""

from __future__ import annotations

import dataclasses
import heapq
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from xaicore import trees
from xaicore.data.batches import read_batches
from xaicore.data.choose import from_arrays
from xaicore.data.sample import Sample
from xaicore.data.truth import check_classes, most_suspicious
from xaicore.errors import InputError
from xaicore.monitor.batched import BatchedExplainer
from xaicore.monitor.deadline import Deadline
from xaicore.outputs import is_dense, probabilities, settle_kind

__all__ = ["Pool"]

NO_TRUTH = "the worst predictions need true classes: pool=(x, truth), or a loader of (x, truth)"


class Pool:
    """Images among which each search finds the current worst predictions.

    Args:
        source: (x, truth), x inputs or pictures; a `Sample` with truth; or a loader of (x, truth). A loader's
            ids are positions, which identify an image only if the loader does not shuffle.
        batched: explains what is found; its model predicts, in batches of its size.

    Raises:
        InputError: there are no images, or labels of another number; or the targets are one class per image of another
            sample, or boxes.
    """

    def __init__(self, source: Any, batched: BatchedExplainer) -> None:
        if not batched.fits_any_sample:
            raise InputError(
                "per-image targets cannot be used for the worst predictions: use 'predicted', 'truth' or [[a, b]]"
            )
        if not batched.has_classes:
            raise InputError("the worst predictions need a score per class, which boxes of a detector do not have")
        class_names = batched.class_names
        self.source, self._batched, self._backend = source, batched, batched.explainer.backend
        if isinstance(source, (str, os.PathLike)):
            raise InputError(f"pool={os.fspath(source)!r}: {NO_TRUTH}")
        if isinstance(source, tuple) and len(source) == 2:
            pictures = batched.explainer.read(source[0])
            x = source[0] if pictures is None else pictures
            self.source = from_arrays(x, source[1], None, None, class_names, copy=False)
        elif isinstance(source, Sample):
            self.source = from_arrays(source, None, None, None, class_names, copy=False)
        elif hasattr(source, "__next__"):
            raise InputError(f"pool is a {type(source).__name__}, which can be read once: pass a loader, or (x, truth)")
        elif hasattr(source, "shape"):
            raise InputError("pool is an array: expected (x, truth), a Sample with truth, or a loader of (x, truth)")

    def probe(self) -> None:
        """Predict the image whose class index is the most likely to be out of range, where the pool holds arrays.

        Raises:
            InputError: true classes are missing or out of range.
        """
        if isinstance(self.source, Sample):
            if self.source.truth is None:
                raise InputError(NO_TRUTH)
            position = most_suspicious(self.source.truth) if self.source.truth.ndim == 1 else 0
            self._true_probabilities(self.source.take(slice(position, position + 1)))

    def worst(self, k: int, deadline: Deadline) -> tuple[Sample | None, bool]:
        """The current k worst predictions, the worst first, and whether all images were searched.

        One pass without gradients per batch; memory holds k images beside the batch.

        Args:
            k: how many; fewer if the pool has fewer.
            deadline: once it has passed, no further batch begins.

        Raises:
            InputError: true classes are missing or out of range.
            BackendError: the model fails.
        """
        heap: list[_Candidate] = []
        searched, is_complete = 0, True
        for batch in self._batches():
            if searched and deadline.passed:
                is_complete = False
                break
            p = self._true_probabilities(batch)
            for n in np.argsort(p, kind="stable")[:k]:
                if np.isfinite(p[n]):
                    candidate = _Candidate(-float(p[n]), -(searched + int(n)), batch.take(np.array([n])))
                    heapq.heappush(heap, candidate) if len(heap) < k else heapq.heappushpop(heap, candidate)
            searched += len(batch)
        found = [candidate.image for candidate in sorted(heap, reverse=True)]
        return (Sample.concatenate(found) if found else None), is_complete

    def _batches(self) -> Iterator[Sample]:
        """Batches of NumPy arrays with truth and ids."""
        position = 0
        for batch in self._source_batches():
            if batch.truth is None:
                raise InputError(NO_TRUTH)
            ids = batch.ids or tuple(str(position + n) for n in range(len(batch)))
            yield dataclasses.replace(batch, ids=ids)
            position += len(batch)

    def _source_batches(self) -> Iterator[Sample]:
        to_numpy = self._backend.to_numpy
        if not isinstance(self.source, Sample):
            for batch in read_batches(self.source, to_numpy, self._batched.class_names):
                yield Sample(*batch)
            return
        for start in range(0, len(self.source), self._batched.batch_size):
            chosen = self.source.take(slice(start, start + self._batched.batch_size))
            yield dataclasses.replace(chosen, x=trees.convert(chosen.x, to_numpy))

    def _true_probabilities(self, batch: Sample) -> np.ndarray:
        """(N,) the probability of the true class, the least one of several; infinite where none is known."""
        assert batch.truth is not None
        capture = self._backend.capture(batch.x, ())
        explainer = self._batched.explainer
        facts, outputs = self._backend.observe(batch.x), capture.outputs
        kind, link = settle_kind(
            *(outputs, capture.outputs_kind, capture.link),
            trained_for=None if facts is None else facts.trained_for,
            chosen=explainer.kind,
            activation=explainer.activation,
            is_binary=True,  # true classes call it so
        )
        if kind == "values" or is_dense(outputs):
            raise InputError(f"outputs {outputs.shape} are no class scores: there are no worst predictions")
        try:
            check_classes(batch.truth, outputs, kind)
        except InputError as exc:
            raise InputError(f"pool: {exc}") from exc
        p = probabilities(outputs, kind, link, explainer.activation)
        if batch.truth.ndim == 2:
            return np.where(batch.truth, p, np.inf).min(axis=1)
        of_truth = np.take_along_axis(p, np.maximum(batch.truth, 0)[:, None], axis=1)[:, 0]
        return np.where(batch.truth < 0, np.inf, of_truth)


@dataclass(order=True)
class _Candidate:
    """One image; the heap's root has the most probable true class, and is the first to be dropped."""

    badness: float
    order: int
    image: Sample = field(compare=False)
