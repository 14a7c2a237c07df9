"""The worst predictions of a data set now: those that give the true class the least probability."""

from __future__ import annotations

import dataclasses
import heapq
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from xaicore import trees
from xaicore.backend import Backend
from xaicore.data.sample import Sample, of_arrays, read_batches
from xaicore.errors import InputError
from xaicore.outputs import is_dense, probabilities

__all__ = ["Pool"]


class Pool:
    """Where the worst predictions are looked for, anew each time.

    Args:
        source: (x, truth), a `Sample` with truth, or a loader of (x, truth). A loader's ids are positions, which
            mean little where it shuffles.
        size: pictures a pass, of arrays.
        backend: whose model predicts.
        activation: what makes probabilities of outputs, as in `Explainer`.

    Raises:
        InputError: there are no pictures, or labels of another number.
    """

    def __init__(self, source: Any, size: int, backend: Backend, activation: str | None) -> None:
        self.source, self._size, self._backend, self._activation = source, size, backend, activation
        if isinstance(source, tuple) and len(source) == 2:
            self.source = of_arrays(source[0], source[1], None, None, backend.to_numpy, copy=False)
        elif isinstance(source, Sample):
            self.source = of_arrays(source, None, None, None, backend.to_numpy, copy=False)
        elif hasattr(source, "__next__"):
            raise InputError(f"pool is a {type(source).__name__}, which can be read once: pass a loader, or (x, truth)")
        elif hasattr(source, "shape"):
            raise InputError("pool is an array: expected (x, truth), a Sample with truth, or a loader of (x, truth)")

    def check(self) -> None:
        """Look at the picture of the highest class, where there are arrays.

        Raises:
            InputError: true classes are missing or out of range.
        """
        if isinstance(self.source, Sample):
            if self.source.truth is None:
                raise InputError("the worst predictions need true classes: pool=(x, truth), or a loader of (x, truth)")
            at = int(self.source.truth.argmax())
            self._truth_probabilities(self.source.take(slice(at, at + 1)))

    def worst(self, k: int, ends: float) -> tuple[Sample | None, bool]:
        """The k worst predictions now, the worst first, and whether all pictures were looked at.

        One pass without gradients a batch; memory holds k pictures beside the batch.

        Args:
            k: how many; fewer where there are fewer.
            ends: `time.monotonic()` after which no further batch is begun.

        Raises:
            InputError: true classes are missing or out of range.
            BackendError: the model fails.
        """
        heap: list[_Candidate] = []
        seen, in_time = 0, True
        for batch in self._batches():
            if seen and time.monotonic() >= ends:
                in_time = False
                break
            p = self._truth_probabilities(batch)
            for n in np.argsort(p, kind="stable")[:k]:
                if np.isfinite(p[n]):
                    candidate = _Candidate(-float(p[n]), -(seen + int(n)), batch.take(np.array([n])))
                    heapq.heappush(heap, candidate) if len(heap) < k else heapq.heappushpop(heap, candidate)
            seen += len(batch)
        found = [one.picture for one in sorted(heap, reverse=True)]
        return (Sample.concatenate(found) if found else None), in_time

    def _batches(self) -> Iterator[Sample]:
        """Batches of NumPy arrays with truth and ids."""
        position = 0
        for part in self._parts():
            if part.truth is None:
                raise InputError("the worst predictions need true classes: pool=(x, truth), or a loader of (x, truth)")
            ids = part.ids or tuple(str(position + n) for n in range(len(part)))
            yield dataclasses.replace(part, ids=ids)
            position += len(part)

    def _parts(self) -> Iterator[Sample]:
        to_numpy = self._backend.to_numpy
        if not isinstance(self.source, Sample):
            yield from read_batches(self.source, to_numpy)
            return
        for start in range(0, len(self.source), self._size):
            part = self.source.take(slice(start, start + self._size))
            yield dataclasses.replace(part, x=trees.convert(part.x, to_numpy))

    def _truth_probabilities(self, batch: Sample) -> np.ndarray:
        """(N,) the probability of each true class; infinite where that is unknown."""
        assert batch.truth is not None
        capture = self._backend.capture(batch.x, ())
        outputs, kind = capture.outputs, capture.outputs_kind
        if kind == "values" or is_dense(outputs):
            raise InputError(f"outputs {outputs.shape} are no class scores: there are no worst predictions")
        p = probabilities(outputs, kind, capture.link, self._activation)
        if batch.truth.max() >= p.shape[1]:
            top = p.shape[1] - 1
            raise InputError(
                f"pool: truth {batch.truth.max()} for outputs {outputs.shape}: expected classes 0 to {top}"
            )
        chosen = np.take_along_axis(p, np.maximum(batch.truth, 0)[:, None], axis=1)[:, 0]
        return np.where(batch.truth < 0, np.inf, chosen)


@dataclass(order=True)
class _Candidate:
    """One picture; the heap's root has the most probable true class, and is the first to be dropped."""

    badness: float
    order: int
    picture: Sample = field(compare=False)
