"""Further passes of the model: scores and gradients for changed inputs, scores for changed activations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from types import MappingProxyType
from typing import Any

import numpy as np

from xaicore import trees
from xaicore.backend import Backend, Direction
from xaicore.capture import Capture
from xaicore.errors import MethodError
from xaicore.evidence.batches import Part, next_parts
from xaicore.evidence.checks import check_captured
from xaicore.evidence.coupling import Coupling
from xaicore.evidence.memory import fewer_rows
from xaicore.evidence.pictures import InputPictures
from xaicore.evidence.progress import Progress, reported
from xaicore.evidence.scores import aim_again, confidence_again, score_again
from xaicore.layers import Place
from xaicore.outputs import Answer, Parts
from xaicore.targets import Aim, Target

__all__ = ["BATCH_SIZE", "Change", "Passes", "Settle"]

BATCH_SIZE = 16
"""Rows of a batch of changed inputs or activations, unless the caller says how many."""

Settle = Callable[[Answer], Answer]
"""`settle(answer)` adds to outputs what is known of them: their kind and link, as in the first pass."""

Change = Callable[[int, slice], np.ndarray]
"""`change(n, rows)` makes some of the R changed pictures or activations of image n, (rows, C, *size)."""

Run = Callable[[np.ndarray, np.ndarray], Capture]
"""`run(images, changed)` runs the model for changed rows; row i belongs to image images[i]."""


@dataclass(frozen=True, eq=False)
class Passes:
    """Passes over changed versions of the same N images, in batches of bounded memory.

    A batch for which memory does not suffice is halved, and so are those after it.

    Attributes:
        backend: runs the model.
        x: the inputs of the first pass.
        place: where the model is explained.
        target, aim: what was asked for, and what it was in the first pass.
        settle: reads kinds of outputs as in the first pass.
        first: what the first pass gave.
        activation: the caller's choice, which turns outputs into probabilities.
        batch_size: the most rows of a batch.
        only_size: the number of images of a model that takes no other; None where it takes any.
        progress: what is told how many rows are done, see `reported`.
        coupling: what is known of rows that influence each other; they run one by one.
    """

    backend: Backend
    x: Any
    place: Place | None
    target: Target
    aim: Aim
    settle: Settle
    first: Capture
    activation: str | None = None
    batch_size: int = BATCH_SIZE
    only_size: int | None = None
    progress: Progress | bool | None = None
    coupling: Coupling = field(default_factory=Coupling)

    @cached_property
    def pictures(self) -> InputPictures:
        """The inputs as pictures."""
        return InputPictures(self.backend, self._batch, self.place)

    @cached_property
    def _batch(self) -> Any:
        return self.backend.with_batch_axis(self.x)

    def own_scores(self, as_confidence: bool = False) -> np.ndarray:
        """Scores (N, K) float64 of the images as they are, see `scores`."""
        return self._score(np.arange(len(self.aim.classes)), self.first, as_confidence)

    def scores(self, rows: int, change: Change, as_confidence: bool = False) -> np.ndarray:
        """Scores (N, R, K) float64 of R changed pictures of each image.

        Args:
            rows: R.
            change: makes the pictures.
            as_confidence: a class scores its probability, and not its output as the model has it.
        """

        def run(images: np.ndarray, changed: np.ndarray) -> Capture:
            if self.only_size is not None:
                missing = np.full(self.only_size - len(images), len(images) - 1)
                filled = np.concatenate([np.arange(len(images)), missing])
                images, changed = images[filled], changed[filled]
            take: Any = self.backend.capture  # whose keywords a backend without the powers lacks
            captured: Capture = take(self.pictures.changed(changed, images), (), **self.asking)
            return captured

        return self._each(rows, change, run, self.only_size or self.batch_size, as_confidence, "")

    def resumed(self, layer: str, rows: int, change: Change, as_confidence: bool = False) -> np.ndarray:
        """Scores (N, R, K) float64 of R changed activations of a layer, for each image.

        Args:
            layer: where the model starts.
            rows: R.
            change: makes the activations, in the framework's axes.
            as_confidence: as in `scores`.
        """
        count, first = len(self.aim.classes), self.first
        if self.target.needs_parts and "resume_parts" not in self.backend.powers:
            raise MethodError(
                f"target {self.target!s} reads all outputs of the model, and backend {self.backend.name!r} returns one "
                f"of a pass from layer {layer!r} on: use a method without such passes, such as 'gradcam'"
            )

        def run(images: np.ndarray, changed: np.ndarray) -> Capture:
            inputs = trees.take(self._batch, slice(images[0], images[-1] + 1), count)
            parts: Parts = MappingProxyType({})
            if self.target.needs_parts:
                outputs, parts = self.backend.resume_parts(inputs, layer, changed)
            else:
                outputs = self.backend.resume(inputs, layer, changed)
            return Capture(outputs, first.outputs_kind, {}, first.input_size, link=first.link, parts=parts)

        return self._each(rows, change, run, self.batch_size, as_confidence, layer)

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
        take: Any = self.backend.capture  # whose keywords a backend without the powers lacks
        capture: Capture
        if direction is None:
            capture = take(inputs, layers, self.aimed(), **self.asking)
        else:
            capture = take(inputs, layers, lambda *_: direction)
        check_captured(layers, capture, True, self.backend.name)
        settled = self.settle(capture.answer)
        return replace(capture, outputs_kind=settled.kind, link=settled.link)

    @property
    def asking(self) -> dict[str, Any]:
        """What a pass in which the targets are aimed at is asked for: all outputs, where the targets read them."""
        return {"parts": True} if self.target.needs_parts else {}

    def aimed(self, images: np.ndarray | None = None) -> Direction:
        """The direction of the targets for other outputs of these images, all of them where none are given."""
        aim = self.aim if images is None else self.aim.take(images)

        def direction(outputs: np.ndarray, kind: str, parts: Parts = MappingProxyType({})) -> np.ndarray:
            return aim_again(self.target, aim, self.settle(Answer(outputs, kind, parts=parts))).direction

        return direction

    def input_gradients(self, rule: str, pictures: np.ndarray) -> np.ndarray:
        """Gradients (N * views, K, C, *size) at changed pictures (N * views, C, *size), one version of each image."""
        take: Any = self.backend.capture  # whose keywords a backend without the power lacks
        capture: Capture = take(self._changed(pictures), (), self.aimed(), rules=(rule,), **self.asking)
        return self.pictures.gradients(capture.input_gradients[rule])

    def _changed(self, pictures: np.ndarray) -> Any:
        return self.pictures.changed(pictures, np.arange(len(self.aim.classes)))

    def _each(self, rows: int, change: Change, run: Run, size: int, as_confidence: bool, start: str) -> np.ndarray:
        """Scores (N, R, K) of all rows, batch by batch, by passes that start at a layer, or at the inputs: ""."""
        count, k = self.aim.classes.shape
        total, done = count * rows, 0
        scores = np.empty((total, k))
        size = self.coupling.most_rows(start, count, size)
        with reported(self.progress, total) as report:
            while done < total:
                parts = next_parts(done, count, rows, size, is_even=bool(start))
                images = np.repeat([n for n, _ in parts], [chosen.stop - chosen.start for _, chosen in parts])
                try:
                    changed = _joined(change, parts)
                    capture = run(images, changed)
                    again = partial(_first_again, run, images, changed)
                    if self.coupling.see(start, capture.outputs[: len(images)], again):
                        size = self.coupling.most_rows(start, count, size)
                        continue
                except Exception as exc:
                    size = fewer_rows(exc, len(images), self.only_size is not None)
                    continue
                scores[done : done + len(images)] = self._score(images, capture, as_confidence)
                done += len(images)
                report(done, total)
        return scores.reshape(count, rows, k)

    def _score(self, images: np.ndarray, capture: Capture, as_confidence: bool) -> np.ndarray:
        """Scores (R, K) of rows of these images; rows behind them only fill the batch."""
        parts, count = capture.parts, len(images)
        if len(capture.outputs) > count:  # not else: parts may be copied to the host when they are read
            parts = {name: part[:count] for name, part in parts.items()}
        given = Answer(capture.outputs[: len(images)], capture.outputs_kind, capture.link, parts)
        answer, aim = self.settle(given), self.aim.take(images)
        if as_confidence:
            return confidence_again(self.target, aim, answer, self.activation)
        return score_again(self.target, aim, answer)


def _first_again(run: Run, images: np.ndarray, changed: np.ndarray, rows: int) -> np.ndarray:
    """The outputs of a batch that holds the first of these rows so often."""
    return run(images[:1].repeat(rows), changed[:1].repeat(rows, axis=0)).outputs


def _joined(change: Change, parts: Sequence[Part]) -> np.ndarray:
    changed = [change(n, rows) for n, rows in parts]
    return changed[0] if len(changed) == 1 else np.concatenate(changed)
