"""Further passes of the model: scores and gradients for changed inputs, scores for changed activations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from xaicore import trees
from xaicore.backend import Backend
from xaicore.capture import Capture
from xaicore.evidence.checks import check_captured
from xaicore.evidence.pictures import InputPictures
from xaicore.evidence.scores import aim_again, score_again
from xaicore.layers import Place
from xaicore.targets import Aim, Target

__all__ = ["BATCH_SIZE", "Passes", "Progress", "Settle"]

BATCH_SIZE = 32
"""Rows of a batch of changed inputs or activations, unless the caller says how many."""

Settle = Callable[[np.ndarray, str, "str | None"], "tuple[str, str | None]"]
"""`settle(outputs, kind, link)` returns the kind and the link of outputs, as they were settled for the first pass."""

Progress = Callable[[int, int], None]
"""`progress(done, total)` is called after each batch of rows."""

Change = Callable[[int, slice], np.ndarray]
"""`change(n, rows)` makes some of the R changed pictures or activations of image n, (rows, C, *size)."""

Put = Callable[[int, np.ndarray], np.ndarray]
"""`put(n, maps)` turns maps (rows, C, *size) of image n into activations in the framework's axes."""


@dataclass(frozen=True, eq=False)
class Passes:
    """Passes over changed versions of the same N images, in batches of bounded memory.

    Attributes:
        backend: runs the model.
        x: the inputs of the first pass.
        place: where the model is explained.
        target, aim: what was asked for, and what it was in the first pass.
        settle: reads kinds of outputs as in the first pass.
        batch_size: rows of a batch.
        progress: what is told how many rows are done.
    """

    backend: Backend
    x: Any
    place: Place | None
    target: Target
    aim: Aim
    settle: Settle
    batch_size: int = BATCH_SIZE
    progress: Progress | None = None

    @cached_property
    def pictures(self) -> InputPictures:
        """The inputs as pictures."""
        return InputPictures(self.backend, self._batch, self.place)

    @cached_property
    def _batch(self) -> Any:
        return self.backend.with_batch_axis(self.x)

    def scores(self, rows: int, change: Change) -> np.ndarray:
        """Scores (N, R, K) float64 of R changed pictures of each image."""

        def run(n: int, changed: np.ndarray) -> Capture:
            chosen = np.full(len(changed), n)
            return self.backend.capture(self.pictures.changed(changed, chosen), ())

        return self._each(rows, change, run)

    def resumed(
        self, layer: str, put: Callable[[int, np.ndarray], np.ndarray], rows: int, change: Change
    ) -> np.ndarray:
        """Scores (N, R, K) float64 of R changed activations of a layer, for each image.

        Args:
            layer: where the model starts.
            put: see `Put`.
            rows: R.
            change: makes the maps.
        """
        count = len(self.aim.classes)
        first = self.backend.capture(trees.take(self._batch, slice(0, 1), count), ())

        def run(n: int, changed: np.ndarray) -> Capture:
            inputs = trees.take(self._batch, slice(n, n + 1), count)
            outputs = self.backend.resume(inputs, layer, put(n, changed))
            return Capture(outputs, first.outputs_kind, {}, first.input_size, link=first.link)

        return self._each(rows, change, run)

    def capture(
        self, layers: Sequence[str], pictures: np.ndarray | None = None, direction: np.ndarray | None = None
    ) -> Capture:
        """One pass with activations and gradients of layers, in the framework's axes.

        Args:
            layers: what to capture.
            pictures: (N * views, C, *size), one changed version of each; None: the inputs as they are.
            direction: (N, K, *O), of other scores than the targets'; None: the targets'.
        """
        inputs = self.x if pictures is None else self._changed(pictures)
        capture = self.backend.capture(inputs, layers, self._aimed if direction is None else lambda *_: direction)
        check_captured(layers, capture, True, self.backend.name)
        kind, link = self.settle(capture.outputs, capture.outputs_kind, capture.link)
        return replace(capture, outputs_kind=kind, link=link)

    def input_gradients(self, rule: str, pictures: np.ndarray) -> np.ndarray:
        """Gradients (N * views, K, C, *size) at changed pictures (N * views, C, *size), one version of each image."""
        take: Any = self.backend.capture  # whose keywords a backend without the power lacks
        capture: Capture = take(self._changed(pictures), (), self._aimed, rules=(rule,))
        return self.pictures.gradients(capture.input_gradients[rule])

    def _changed(self, pictures: np.ndarray) -> Any:
        return self.pictures.changed(pictures, np.arange(len(self.aim.classes)))

    def _aimed(self, outputs: np.ndarray, kind: str) -> np.ndarray:
        """The direction of the targets, for other outputs of the same images."""
        return aim_again(self.target, self.aim, outputs, *self.settle(outputs, kind, None)).direction

    def _each(self, rows: int, change: Change, run: Callable[[int, np.ndarray], Capture]) -> np.ndarray:
        count, k = self.aim.classes.shape
        scores = np.empty((count, rows, k))
        done = 0
        for n in range(count):
            for chosen in _slices(rows, self.batch_size):
                capture = run(n, change(n, chosen))
                scores[n, chosen] = self._score(n, capture)
                done += len(capture.outputs)
                if self.progress is not None:
                    self.progress(done, count * rows)
        return scores

    def _score(self, n: int, capture: Capture) -> np.ndarray:
        kind, link = self.settle(capture.outputs, capture.outputs_kind, capture.link)
        return score_again(self.target, self.aim.of(n, len(capture.outputs)), capture.outputs, kind, link)


def _slices(rows: int, size: int) -> Iterator[slice]:
    return (slice(start, min(start + size, rows)) for start in range(0, rows, size))
