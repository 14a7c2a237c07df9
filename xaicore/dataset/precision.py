"""What another precision than the model's own changes in the maps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from xaicore.data.labels import Labels
from xaicore.explainer import Explainer
from xaicore.explanation import Explanation
from xaicore.source.inputs import batch_of
from xaicore.source.items import Item, prepared_as
from xaicore.targets import Classes, Target

__all__ = ["Difference", "difference", "same_classes"]


@dataclass(frozen=True)
class Difference:
    """How heatmaps that are computed in another way differ from the model's own, for the same classes.

    Attributes:
        pictures: how many were compared, of the first ones of the data set.
        largest: the largest difference of two values, which are from 0 to 1.
        mean: the mean difference.
        otherwise: how many of these pictures are predicted otherwise; None where outputs are no class scores.
    """

    pictures: int
    largest: float
    mean: float
    otherwise: int | None

    @classmethod
    def of(cls, pairs: Sequence[tuple[Explanation, Explanation]]) -> Difference:
        """The difference of the model's own explanations and others of the same pictures."""
        apart = [np.abs(first.heatmaps() - second.heatmaps()) for first, second in pairs]
        otherwise = [_predicted_otherwise(first, second) for first, second in pairs]
        return cls(
            sum(len(first.ids) for first, _ in pairs),
            max(float(one.max()) for one in apart),
            float(np.mean([one.mean() for one in apart])),
            None if None in otherwise else sum(one or 0 for one in otherwise),
        )

    def __str__(self) -> str:
        text = f"heatmaps of {self.pictures} pictures differ by {self.largest:.2g} at most, {self.mean:.2g} in the mean"
        return text if self.otherwise is None else f"{text}; {self.otherwise} are predicted otherwise"


def difference(own: Explainer, other: Explainer, target: Target, items: Iterable[Item]) -> Difference | None:
    """Explain pictures in both precisions; None where none of them can be read and explained.

    Args:
        own: of the model as it is.
        other: of its copy. It explains the classes that the target chose in `own`.
        target: what is explained.
        items: the pictures.
    """
    pairs = []
    for item in items:
        try:
            first = _explained(own, item, target.take(np.array([item.position])))
            pairs.append((first, _explained(other, item, same_classes(first, target))))
        except Exception:  # it will be a row with its error
            continue
    return Difference.of(pairs) if pairs else None


def same_classes(explanation: Explanation, target: Target) -> Target:
    """The classes that an explanation is of, for a second one of the same pictures; else its target."""
    if (explanation.targets < 0).any():
        return target
    return Classes(explanation.targets.reshape(len(explanation.ids), -1))


def _explained(explainer: Explainer, item: Item, target: Target) -> Explanation:
    assert explainer.preparation is not None
    x, image = prepared_as(explainer.preparation, item.source.read(), item.id)
    images = None if image is None else image[None]
    return explainer.run(batch_of([x]), [explainer.method], target, images, Labels((item.id,)))[0]


def _predicted_otherwise(first: Explanation, second: Explanation) -> int | None:
    """How many images get another predicted class; None where outputs are no class scores."""
    if first.predicted is None or second.predicted is None:
        return None
    is_other = first.predicted != second.predicted
    return int(is_other.reshape(len(is_other), -1).any(axis=1).sum())
