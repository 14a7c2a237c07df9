"""Measures what the heatmaps of both models show.

The evidence is the sum of a heatmap. Its share in a box is compared with the share of the picture that the box covers,
which is the share of evidence that a uniform heatmap would have there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

import xaicore
from examples.report.pictures import SIZE, Box, Data, Pictures

AsInput = Callable[[np.ndarray], np.ndarray]
"""From pictures (N, H, W, 3) uint8 to the model's input."""

BATCH = 16
DESCRIBED_MISTAKES = 3
"""The number of misclassified pictures that the conclusions describe, the most confident first."""


class Evidence(NamedTuple):
    """The evidence for one class in one picture.

    Attributes:
        picture: the picture's name.
        label: the explained class.
        score: its probability.
        heatmap: (SIZE, SIZE) from 0 to 1.
        boxes: the boxes of the picture's objects; empty if they are unknown.
    """

    picture: str
    label: int
    score: float
    heatmap: np.ndarray
    boxes: tuple[Box, ...]

    def share(self, *boxes: Box) -> float:
        """The share of the evidence inside these boxes; nan for a heatmap without evidence."""
        total = float(self.heatmap.sum())
        return float(self.heatmap[mask(boxes)].sum()) / total if total else float("nan")

    def place(self) -> str:
        """The position of the heatmap's maximum in words, such as "at the top left"."""
        if not self.heatmap.any():
            return "nowhere"
        y, x = np.unravel_index(self.heatmap.argmax(), self.heatmap.shape)
        return f"at the {('top', 'middle', 'bottom')[3 * y // SIZE]} {('left', 'centre', 'right')[3 * x // SIZE]}"


@dataclass(frozen=True)
class Findings:
    """The predictions of one model, and the evidence for them.

    Attributes:
        truth: (N,) true classes of the validation pictures.
        predicted: (N,) predicted classes of the validation pictures.
        for_predicted: for each validation picture, the evidence for the predicted class.
        for_truth: {position: the evidence for the true class} of the misclassified validation pictures.
        for_both: for each watched picture with several objects, the evidence for class 0 and for class 1.
    """

    truth: np.ndarray
    predicted: np.ndarray
    for_predicted: list[Evidence]
    for_truth: dict[int, Evidence]
    for_both: list[tuple[Evidence, Evidence]]

    @staticmethod
    def measure(explainer: xaicore.Explainer, data: Data, as_input: AsInput) -> Findings:
        """Explain the validation pictures, and the watched pictures with several objects."""
        for_predicted, predicted = collect_evidence(explainer, data.validation, as_input)
        wrong = np.flatnonzero(predicted != data.validation.truth)
        for_truth: list[Evidence] = []
        if len(wrong):
            for_truth, _ = collect_evidence(explainer, data.validation.take(wrong), as_input, truth=True)
        several = data.watched.take([n for n, boxes in enumerate(data.watched.boxes) if len(boxes) > 1])
        for_both, _ = collect_evidence(explainer, several, as_input, both=True)
        return Findings(
            data.validation.truth,
            predicted,
            for_predicted,
            dict(zip(wrong.tolist(), for_truth, strict=True)),
            list(zip(for_both[::2], for_both[1::2], strict=True)),
        )

    @property
    def accuracy(self) -> float:
        """The share of validation pictures that are classified correctly."""
        return float((self.predicted == self.truth).mean())

    def mean_share(self, selected: np.ndarray) -> float:
        """The mean share of the predicted class's evidence inside the boxes, over the selected pictures, (N,) bool."""
        evidence = (self.for_predicted[n] for n in np.flatnonzero(selected))
        shares = [one.share(*one.boxes) for one in evidence]
        return float(np.nanmean(shares)) if not np.isnan(shares).all() else float("nan")


def collect_evidence(
    explainer: xaicore.Explainer, pictures: Pictures, as_input: AsInput, truth: bool = False, both: bool = False
) -> tuple[list[Evidence], np.ndarray]:
    """The evidence in the pictures, and their predicted classes.

    Args:
        explainer: of the model.
        pictures: the pictures to explain.
        as_input: makes the model's input.
        truth: explain the true class instead of the predicted one.
        both: explain classes 0 and 1 of each picture, one after the other.
    """
    evidence, predicted = [], []
    for start in range(0, len(pictures), BATCH):
        batch = pictures.take(range(start, min(start + BATCH, len(pictures))))
        targets = [[0, 1]] if both else batch.truth if truth else None
        explanation = explainer(as_input(batch.images), targets, images=batch.images, ids=batch.ids)
        heatmaps = explanation.heatmaps()
        for m, n in enumerate(explanation.image_index):
            label, score = int(explanation.targets[m]), float(explanation.scores[m])
            evidence.append(Evidence(explanation.ids[n], label, score, heatmaps[m], batch.boxes[n]))
        predicted.append(explanation.predicted)
    return evidence, np.concatenate(predicted)


def conclude(data: Data, findings: Mapping[str, Findings]) -> str:
    """The conclusions as Markdown, with a section for each entry of {model and method: findings}."""
    lines = [f"# Where a classifier of {', '.join(data.class_names)} looks", "", data.description]
    for title, of_model in findings.items():
        lines += ["", f"## {title}", "", *section(data, of_model)]
    return "\n".join(lines) + "\n"


def section(data: Data, findings: Findings) -> Iterator[str]:
    """The lines of one model: accuracy, evidence in the boxes, mistakes, pictures with several objects."""
    names, right = data.class_names, findings.predicted == findings.truth
    yield f"- Accuracy: {right.sum()} of {len(right)} validation pictures, {percent(right.mean())}."
    if any(data.validation.boxes):
        area = np.mean([mask(boxes).mean() for boxes in data.validation.boxes])
        split = [f"{percent(findings.mean_share(right))} where the prediction is right"] if right.any() else []
        split += [f"{percent(findings.mean_share(~right))} where it is wrong"] if not right.all() else []
        yield (
            f"- Of the evidence for the predicted class, {percent(findings.mean_share(np.ones_like(right)))} lies in "
            f"the box of the object, which takes {percent(area)} of the picture: {', '.join(split)}."
        )
    wrong = sorted(findings.for_truth, key=lambda n: -findings.for_predicted[n].score)
    more = ", such as" if len(wrong) > DESCRIBED_MISTAKES else ""
    yield f"- Misclassified: {len(wrong)}{more}{':' if wrong else ''}"
    for n in wrong[:DESCRIBED_MISTAKES]:
        yield f"  - {mistake(names, findings.for_predicted[n], findings.for_truth[n])}"
    yield "- Several objects of one class:"
    yield from (f"  - {line}" for pair in findings.for_both for line in one_class(names, pair))
    yield "- Both classes in one picture:"
    yield from (f"  - {line}" for pair in findings.for_both for line in both_classes(names, pair))


def mistake(names: tuple[str, ...], predicted: Evidence, true: Evidence) -> str:
    """Where the evidence for a wrong prediction lies, and that for the true class."""
    prediction = f'"{predicted.picture}" is classified as {names[predicted.label]} ({predicted.score:.2f})'
    if not predicted.boxes:
        return (
            f"{prediction}: the most evidence for {names[predicted.label]} is {predicted.place()}, for "
            f"{names[true.label]} {true.place()}."
        )
    box = f"the {names[true.label]}'s box ({percent(mask(predicted.boxes).mean())} of the picture)"
    return (
        f"{prediction}: of the evidence for {names[predicted.label]}, {percent(predicted.share(*predicted.boxes))} "
        f"lies in {box}; of that for {names[true.label]}, {percent(true.share(*true.boxes))}."
    )


def one_class(names: tuple[str, ...], pair: tuple[Evidence, Evidence]) -> Iterator[str]:
    """How the evidence for a class is distributed over its objects, if the picture shows only this class."""
    labels = {box.label for box in pair[0].boxes}
    for evidence in pair:
        if labels == {evidence.label}:
            shares = " + ".join(percent(evidence.share(box)) for box in evidence.boxes)
            areas = " + ".join(percent(mask([box]).mean()) for box in evidence.boxes)
            yield (
                f'"{evidence.picture}" ({names[evidence.label]} {evidence.score:.2f}): {shares} of the evidence for '
                f"{names[evidence.label]} lie in the boxes, which take {areas} of the picture."
            )


def both_classes(names: tuple[str, ...], pair: tuple[Evidence, Evidence]) -> Iterator[str]:
    """How the evidence for each class is distributed over both classes' objects, if the picture shows both."""
    labels = {box.label for box in pair[0].boxes}
    if len(labels) > 1:
        shares = []
        for evidence in pair:
            own = [box for box in evidence.boxes if box.label == evidence.label]
            other = [box for box in evidence.boxes if box.label != evidence.label]
            shares.append(
                f"of the evidence for {names[evidence.label]} ({evidence.score:.2f}), "
                f"{percent(evidence.share(*own))} lies on {names[evidence.label]} and "
                f"{percent(evidence.share(*other))} on {names[other[0].label]}"
            )
        yield f'"{pair[0].picture}": {"; ".join(shares)}.'


def numbers(data: Data, findings: Mapping[str, Findings]) -> dict[str, float]:
    """The figures to compare between runs: {name: value}."""
    figures = {f"{title}/accuracy": of_model.accuracy for title, of_model in findings.items()}
    if any(data.validation.boxes):
        all_pictures = np.ones(len(data.validation), bool)
        for title, of_model in findings.items():
            figures[f"{title}/evidence in the box"] = of_model.mean_share(all_pictures)
    return figures


def mask(boxes: tuple[Box, ...] | list[Box]) -> np.ndarray:
    """(SIZE, SIZE) bool: True inside any of the boxes."""
    inside = np.zeros((SIZE, SIZE), bool)
    for box in boxes:
        inside[box.y0 : box.y1, box.x0 : box.x1] = True
    return inside


def percent(share: float) -> str:
    """The share in percent, such as "35 %"; "none" for nan."""
    return "none" if np.isnan(share) else f"{100 * share:.0f} %"
