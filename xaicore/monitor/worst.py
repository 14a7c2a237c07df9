"""The current worst predictions of a data set: those that give the true class the least probability."""

from __future__ import annotations

import dataclasses
import heapq
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from xaicore.data.sample import Sample
from xaicore.data.truth import check_classes
from xaicore.errors import InputError
from xaicore.explanation import Explanation
from xaicore.monitor.batched import BatchedExplainer
from xaicore.monitor.deadline import Deadline
from xaicore.monitor.pool import NO_TRUTH, find_pool
from xaicore.monitor.warn import WarnOnce
from xaicore.outputs import is_dense, probabilities, settle_kind

__all__ = ["WorstPredictions"]

MOST = 3
"""Images of which a warning says why they could not be read."""


class WorstPredictions:
    """The worst predictions in a pool, found anew at each step.

    Args:
        pool: what is searched, see `find_pool`.
        batched: explains what is found; its model predicts, in batches of its size.
        count: how many are explained.
        warn: reports what a search left out.

    Attributes:
        count: see above.

    Raises:
        InputError: there are no images, or labels of another number; or the targets are one class per image of another
            sample, or boxes.
    """

    def __init__(self, pool: Any, batched: BatchedExplainer, count: int, warn: WarnOnce) -> None:
        if not batched.fits_any_sample:
            raise InputError(
                "per-image targets cannot be used for the worst predictions: use 'predicted', 'truth' or [[a, b]]"
            )
        if not batched.has_classes:
            raise InputError("the worst predictions need a score per class, which boxes of a detector do not have")
        self._batched, self._backend = batched, batched.explainer.backend
        self.count, self._warn = count, warn
        self._pool = find_pool(pool, batched.explainer)

    def probe(self) -> None:
        """Predict the image whose class index is the most likely to be out of range, where it is known before a search.

        Raises:
            InputError: true classes are missing or out of range.
        """
        with self._backend.undisturbed(self._pool.origin):
            found = self._pool.suspicious()
            if found is not None:
                self._true_probabilities(found)

    def explain(self, step: int, deadline: Deadline) -> list[Explanation]:
        """The explanations of the worst ones, one per method; none where no true class is known.

        What is left out, for lack of time or because it cannot be read, is a warning.

        Raises:
            InputError: true classes are missing or out of range.
            BackendError: the model fails.
        """
        with self._backend.undisturbed(self._pool.origin):
            worst, is_complete = self.find(deadline)
        if not is_complete:
            self._warn("pool", f"step {step}: no time to search all of the pool for its worst; raise budget=")
        broken = list(self._pool.broken.values())
        if broken:
            more = f"; and {len(broken) - MOST} more" if len(broken) > MOST else ""
            reasons = "; ".join(broken[:MOST]) + more
            self._warn("broken", f"step {step}: {len(broken)} of the pool's images are left out: {reasons}")
        if worst is None:
            which = "no other image" if broken else "no image"
            self._warn("none", f"step {step}: {which} in the pool has a known class, so there are no worst ones")
            return []
        explanations, _ = self._batched(worst, Deadline())
        pictures = self._batched.pictures(worst, explanations[0].input_size)
        return [dataclasses.replace(one, pictures=pictures, group="worst") for one in explanations]

    def find(self, deadline: Deadline) -> tuple[Sample | None, bool]:
        """The current worst predictions, the worst first, and whether all images were searched.

        One pass without gradients per batch; memory holds the images found beside the batches that are read.

        Args:
            deadline: once it has passed, no further batch begins.
        """
        heap: list[_Candidate] = []
        searched, is_complete = 0, True
        with closing(self._pool.batches(self._batched.batch_size)) as batches:  # type: ignore[type-var]
            for batch in batches:
                if searched and deadline.passed:
                    is_complete = False
                    break
                self._keep_worst(heap, batch, searched)
                searched += len(batch)
        found = [candidate.image for candidate in sorted(heap, reverse=True)]
        return (Sample.concatenate(found) if found else None), is_complete

    def _keep_worst(self, heap: list[_Candidate], batch: Sample, start: int) -> None:
        """Put the worst of a batch into the heap, whose images are called by their position where they have no name."""
        if batch.truth is None:
            raise InputError(NO_TRUTH)
        ids = batch.ids or tuple(str(start + n) for n in range(len(batch)))
        batch = dataclasses.replace(batch, ids=ids)
        p = self._true_probabilities(batch)
        for n in np.argsort(p, kind="stable")[: self.count]:
            if np.isfinite(p[n]):
                candidate = _Candidate(-float(p[n]), -(start + int(n)), batch.take(np.array([n])))
                heapq.heappush(heap, candidate) if len(heap) < self.count else heapq.heappushpop(heap, candidate)

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
