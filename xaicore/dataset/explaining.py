"""One batch explained, whatever is wrong with some of its pictures.

A batch always has the shape that the plan gives it: where a picture is broken, a copy of another takes its place, and
where one picture makes the model fail, the others are explained again with copies in its place. A row therefore
depends on its own picture alone: libraries choose their arithmetic by the shape of a batch, down to the last bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xaicore.data.labels import Labels
from xaicore.dataset.journal import Journal
from xaicore.dataset.rows import rows_of
from xaicore.errors import XaicoreError
from xaicore.explainer import Explainer
from xaicore.pictures import check_single
from xaicore.source.inputs import Inputs, batch_of
from xaicore.source.items import Prepared
from xaicore.source.listing import Listing
from xaicore.targets import Target

__all__ = ["Explained", "explain_batch"]


@dataclass(frozen=True)
class Explained:
    """What became of some items of a batch.

    Attributes:
        items: them.
        rows: of all of them, see `rows`; None where there is an error.
        error: one line; "" where there is none.
        cause: what was raised in explaining, None where the picture could not be read.
    """

    items: Sequence[Prepared]
    rows: Any
    error: str = ""
    cause: Exception | None = None


@dataclass(frozen=True)
class Work:
    """How items are explained: the explainer, the target and the labels of the whole data set."""

    explainer: Explainer
    target: Target
    listing: Listing

    def run(self, items: Sequence[Prepared], kept: Sequence[int]) -> Any:
        """The rows of the items at `kept`; copies of the first of them take the others' places in the batch."""
        rows = np.full(len(items), kept[0])
        rows[list(kept)] = kept
        positions = np.array([items[row].item.position for row in rows])
        images = [items[row].image for row in rows]
        labels = Labels(
            tuple(one.item.id for one in items),
            self.listing.truth_of([items[row] for row in rows]),
            self.explainer.class_names,
        )
        x = batch_of([_x(items[row]) for row in rows])
        check_single(x, self.explainer.backend.with_batch_axis)
        explanation = self.explainer.run(
            x,
            [self.explainer.method],
            self.target.take(positions),
            None
            if any(image is None for image in images)
            else np.stack([image for image in images if image is not None]),
            labels,
        )[0]
        explanation = explanation if len(kept) == len(items) else explanation.take(kept)
        chosen = [items[n].item for n in kept]
        boxes = None if self.listing.boxes is None else self.listing.boxes.take([one.position for one in chosen])
        return rows_of(
            explanation,
            positions=[one.position for one in chosen],
            paths=[one.path for one in chosen],
            boxes=None if boxes is None else boxes.boxes,
            box_classes=None if boxes is None else boxes.classes,
        )


def explain_batch(work: Work, items: Sequence[Prepared], journal: Journal) -> list[Explained]:
    """Explain a batch; all items are in the result, in any order."""
    found = [Explained([one], None, one.error) for one in items if one.x is None]
    for group in _by_shape(items):
        kept = [n for n, one in enumerate(group) if one.x is not None]
        suspects = [n for n in kept if group[n].item.position in journal.suspects]
        rest = [n for n in kept if n not in suspects]
        if rest:
            found += _explain(work, group, rest)
        for n in suspects:
            with journal.alone(group[n].item.position):
                found += _explain(work, group, [n])
    return found


def _explain(work: Work, items: Sequence[Prepared], kept: Sequence[int]) -> list[Explained]:
    """Explain the items at `kept`; after an error each half of them, down to the picture that raises it."""
    chosen = [items[n] for n in kept]
    try:
        return [Explained(chosen, work.run(items, kept))]
    except Exception as exc:
        if len(kept) == 1:
            words = str(exc) if isinstance(exc, XaicoreError) else f"{type(exc).__name__}: {exc}"
            return [Explained(chosen, None, f"{chosen[0].item.id}: {words}", exc)]
    half = len(kept) // 2
    return _explain(work, items, kept[:half]) + _explain(work, items, kept[half:])


def _by_shape(items: Sequence[Prepared]) -> list[list[Prepared]]:
    """The items in groups of one shape of input and picture; broken ones are in the only group, or in none."""
    shapes: dict[Any, list[Prepared]] = {}
    for one in items:
        if one.x is not None:
            shapes.setdefault((one.x.shape, None if one.image is None else one.image.shape), []).append(one)
    return [list(items)] if len(shapes) == 1 else list(shapes.values())


def _x(item: Prepared) -> np.ndarray | Inputs:
    assert item.x is not None
    return item.x
