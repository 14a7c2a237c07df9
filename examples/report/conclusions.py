"""What the heatmaps of both models show, in numbers.

Evidence is a heatmap's sum. The share of it that lies in a box tells more than a picture does, if compared with the
share of the picture that the box takes: that much of it an even heatmap would have there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

import xaicore
from examples.report.pictures import SIZE, Data, Pictures, Thing

AsInput = Callable[[np.ndarray], np.ndarray]
"""From images (N, H, W, 3) uint8 to what the model takes."""

BATCH = 16
SHOWN = 3
"""Misclassified pictures that are described, the most confident first."""


class Evidence(NamedTuple):
    """One heatmap: for which class, of which probability, and where it is.

    Attributes:
        picture: the picture's name.
        label: the class that is explained.
        score: its probability.
        heatmap: (SIZE, SIZE) from 0 to 1.
        things: what is in the picture, as far as that is known.
    """

    picture: str
    label: int
    score: float
    heatmap: np.ndarray
    things: tuple[Thing, ...]

    def share(self, *things: Thing) -> float:
        """The share of the evidence that lies on them; nan where there is no evidence."""
        total = float(self.heatmap.sum())
        return float(self.heatmap[covered(things)].sum()) / total if total else float("nan")

    def place(self) -> str:
        """Where the most evidence is, in words."""
        if not self.heatmap.any():
            return "nowhere"
        y, x = np.unravel_index(self.heatmap.argmax(), self.heatmap.shape)
        words = f"at the {('top', 'middle', 'bottom')[3 * y // SIZE]} {('left', 'centre', 'right')[3 * x // SIZE]}"
        return words if self.heatmap.any() else "nowhere"


@dataclass(frozen=True)
class Findings:
    """What is seen of one model.

    Attributes:
        truth: (N,) classes of the pictures to judge by.
        predicted: (N,) what the model takes them for.
        seen: for each of them, the evidence for the predicted class.
        missed: for each that is misclassified, the evidence for the true class, {position: Evidence}.
        watched: for each picture with several things in it, the evidence for the first and the second class.
    """

    truth: np.ndarray
    predicted: np.ndarray
    seen: list[Evidence]
    missed: dict[int, Evidence]
    watched: list[tuple[Evidence, Evidence]]

    @staticmethod
    def of(explainer: xaicore.Explainer, data: Data, as_input: AsInput) -> Findings:
        """Look at the pictures to judge by, and at the watched ones that show several things."""
        seen, predicted = explained(explainer, data.validation, as_input)
        wrong = np.flatnonzero(predicted != data.validation.truth)
        true, _ = explained(explainer, data.validation.take(wrong), as_input, truth=True) if len(wrong) else ([], None)
        several = data.watched.take([n for n, things in enumerate(data.watched.things) if len(things) > 1])
        pairs, _ = explained(explainer, several, as_input, both=True)
        return Findings(
            data.validation.truth,
            predicted,
            seen,
            dict(zip(wrong.tolist(), true, strict=True)),
            list(zip(pairs[::2], pairs[1::2], strict=True)),
        )

    @property
    def accuracy(self) -> float:
        """The share of pictures that are classified right."""
        return float((self.predicted == self.truth).mean())

    def on_things(self, chosen: np.ndarray) -> float:
        """The mean share of the evidence that lies on what a picture shows, over some of them, (N,) bool."""
        shares = [one.share(*one.things) for one, wanted in zip(self.seen, chosen, strict=True) if wanted]
        return float(np.nanmean(shares)) if not np.isnan(shares).all() else float("nan")


def explained(
    explainer: xaicore.Explainer, pictures: Pictures, as_input: AsInput, truth: bool = False, both: bool = False
) -> tuple[list[Evidence], np.ndarray]:
    """The evidence for the predicted class, the true one, or the first and the second; and the predicted classes."""
    evidence, predicted = [], []
    for start in range(0, len(pictures), BATCH):
        batch = pictures.take(range(start, min(start + BATCH, len(pictures))))
        targets = [[0, 1]] if both else batch.truth if truth else None
        found = explainer(as_input(batch.images), targets, images=batch.images, ids=batch.ids)
        heatmaps = found.heatmaps()
        for m, n in enumerate(found.image_index):
            one = Evidence(found.ids[n], int(found.targets[m]), float(found.scores[m]), heatmaps[m], batch.things[n])
            evidence.append(one)
        predicted.append(found.predicted)
    return evidence, np.concatenate(predicted)


def conclude(data: Data, findings: Mapping[str, Findings]) -> str:
    """The report's last chapter, Markdown, of {what was trained and how it was explained: Findings}."""
    lines = [f"# Where a classifier of {', '.join(data.names)} looks", "", data.about]
    for title, found in findings.items():
        lines += ["", f"## {title}", "", *chapter(data, found)]
    return "\n".join(lines) + "\n"


def chapter(data: Data, found: Findings) -> Iterator[str]:
    """What is to be said of one model."""
    right = found.predicted == found.truth
    yield f"- Accuracy: {right.sum()} of {len(right)} pictures to judge by are right, {percent(right.mean())}."
    if any(data.validation.things):
        area = np.mean([covered(things).mean() for things in data.validation.things])
        split = [f"{percent(found.on_things(right))} where the prediction is right"] if right.any() else []
        split += [f"{percent(found.on_things(~right))} where it is wrong"] if not right.all() else []
        yield (
            f"- Of the evidence for the predicted class, {percent(found.on_things(np.ones_like(right)))} lies in the "
            f"box of what the picture shows, which takes {percent(area)} of the picture: {', '.join(split)}."
        )
    wrong = sorted(found.missed, key=lambda n: -found.seen[n].score)
    yield f"- Misclassified: {len(wrong)}{', such as' if len(wrong) > SHOWN else ''}{':' if wrong else ''}"
    yield from (f"  - {mistake(data.names, found.seen[n], found.missed[n])}" for n in wrong[:SHOWN])
    yield "- Several things of one class:"
    yield from (f"  - {line}" for pair in found.watched for line in several(data.names, pair))
    yield "- Both classes in one picture:"
    yield from (f"  - {line}" for pair in found.watched for line in both(data.names, pair))


def mistake(names: tuple[str, ...], predicted: Evidence, true: Evidence) -> str:
    """Where a wrong prediction comes from."""
    head = f'"{predicted.picture}" is taken for {names[predicted.label]} ({predicted.score:.2f})'
    if not predicted.things:
        return (
            f"{head}: the most evidence for {names[predicted.label]} is {predicted.place()}, for "
            f"{names[true.label]} {true.place()}."
        )
    box = f"the {names[true.label]}'s box ({percent(covered(predicted.things).mean())} of the picture)"
    return (
        f"{head}: of the evidence for {names[predicted.label]}, {percent(predicted.share(*predicted.things))} lies in "
        f"{box}; of that for {names[true.label]}, {percent(true.share(*true.things))}."
    )


def several(names: tuple[str, ...], pair: tuple[Evidence, Evidence]) -> Iterator[str]:
    """How the evidence for a class is spread over its things, where all are of this class."""
    labels = {thing.label for thing in pair[0].things}
    for one in pair:
        if labels == {one.label}:
            shares = " + ".join(percent(one.share(thing)) for thing in one.things)
            areas = " + ".join(percent(covered([thing]).mean()) for thing in one.things)
            yield (
                f'"{one.picture}" ({names[one.label]} {one.score:.2f}): {shares} of the evidence for '
                f"{names[one.label]} lie in the boxes, which take {areas} of the picture."
            )


def both(names: tuple[str, ...], pair: tuple[Evidence, Evidence]) -> Iterator[str]:
    """How much of the evidence for each class lies on things of this class, and how much on those of the other."""
    labels = {thing.label for thing in pair[0].things}
    if len(labels) > 1:
        told = []
        for one in pair:
            own = [thing for thing in one.things if thing.label == one.label]
            other = [thing for thing in one.things if thing.label != one.label]
            told.append(
                f"of the evidence for {names[one.label]} ({one.score:.2f}), {percent(one.share(*own))} lies on "
                f"{names[one.label]} and {percent(one.share(*other))} on {names[other[0].label]}"
            )
        yield f'"{pair[0].picture}": {"; ".join(told)}.'


def numbers(data: Data, findings: Mapping[str, Findings]) -> dict[str, float]:
    """The few that are worth comparing between runs."""
    found = {f"{title}/accuracy": one.accuracy for title, one in findings.items()}
    if any(data.validation.things):
        everywhere = np.ones(len(data.validation), bool)
        found |= {f"{title}/evidence on the thing": one.on_things(everywhere) for title, one in findings.items()}
    return found


def covered(things: tuple[Thing, ...] | list[Thing]) -> np.ndarray:
    """(SIZE, SIZE) bool, where boxes are."""
    inside = np.zeros((SIZE, SIZE), bool)
    for thing in things:
        inside[thing.y0 : thing.y1, thing.x0 : thing.x1] = True
    return inside


def percent(share: float) -> str:
    """As people write it."""
    return "none" if np.isnan(share) else f"{100 * share:.0f} %"
