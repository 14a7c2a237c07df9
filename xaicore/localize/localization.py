"""How well maps localise: the measures of every row, and their means with confidence intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from xaicore.localize.intervals import Estimate, mean, proportion

__all__ = ["Localization"]

TITLES = {
    "top1_error": "top-1 localisation error",
    "top5_error": "top-5 localisation error",
    "gt_known_error": "GT-known localisation error",
    "pointing": "pointing game",
    "energy": "share of evidence in the box",
    "iou": "overlap of the box (IoU)",
    "precision": "precision of several boxes",
    "recall": "recall of several boxes",
}


@dataclass(frozen=True, eq=False, repr=False)
class Localization:
    """Measures of M rows of N images, from `evaluate`.

    A row counts if its image has a true box of the class that the row explains. Where it does not, `best_iou`, `share`
    and `area` are nan.

    Attributes:
        title: the method, its layer and the model.
        ids: (M,) the images' names, row by row.
        targets: (M,) the explained classes, -1 for none.
        image_index: (M,) which image a row belongs to.
        counts: (M,) bool.
        boxes: (M, 4) int64: the box of each map, of its largest component.
        points: (M, 2) int64: x and y of the maximum.
        best_iou: (M,) the largest overlap of the map's box with a true box of its class.
        found: (M,) bool: that overlap is `min_iou` or more.
        pointed: (M,) bool: the maximum lies in a true box, or at most `tolerance` pixels from it.
        share: (M,) of the positive evidence, the share in the true boxes; 0 for a map without evidence.
        area: (M,) the share of the picture that the true boxes cover, which is the `share` of a uniform map.
        instances: (M, 3) int64: how many boxes the map has, how many are true, and how many match.
        top1_wrong: (N,) float64: 1 where the predicted class is wrong or its box is, 0 where both are right, nan where
            the image has no true box; None where this is not known, see `notes`.
        top5_wrong: the same for the five classes with the highest scores, one of which has to be right.
        threshold: of the masks, a share of the maximum.
        components: how many boxes a map has at most, for `instances`; None for all.
        min_iou: the overlap from which a box is right.
        tolerance: of the pointing game, in pixels.
        confidence: of the intervals.
        notes: what could not be measured, and why.
    """

    title: str
    ids: tuple[str, ...]
    targets: np.ndarray
    image_index: np.ndarray
    counts: np.ndarray
    boxes: np.ndarray
    points: np.ndarray
    best_iou: np.ndarray
    found: np.ndarray
    pointed: np.ndarray
    share: np.ndarray
    area: np.ndarray
    instances: np.ndarray
    top1_wrong: np.ndarray | None
    top5_wrong: np.ndarray | None
    threshold: float
    components: int | None
    min_iou: float
    tolerance: float
    confidence: float
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        """The number of rows, M."""
        return len(self.ids)

    @property
    def top1_error(self) -> Estimate | None:
        """The share of images whose predicted class is wrong, or its box is (Zhou et al. 2016); None if not known."""
        return self._error(self.top1_wrong)

    @property
    def top5_error(self) -> Estimate | None:
        """The share of images where none of the five best classes is right with its box; None if not known."""
        return self._error(self.top5_wrong)

    @property
    def gt_known_error(self) -> Estimate | None:
        """The share of rows whose box is wrong, their class being given."""
        return proportion(~self.found[self.counts], self.confidence)

    @property
    def pointing(self) -> Estimate | None:
        """The share of rows whose maximum is in a true box: the pointing game (Zhang et al. 2016, 2018)."""
        return proportion(self.pointed[self.counts], self.confidence)

    @property
    def energy(self) -> Estimate | None:
        """The mean share of evidence in the true boxes: the energy-based pointing game (Wang et al. 2020)."""
        return self._mean(self.share)

    @property
    def iou(self) -> Estimate | None:
        """The mean overlap of a map's box with the true box that it fits best."""
        return self._mean(self.best_iou)

    @property
    def precision(self) -> Estimate | None:
        """The share of the maps' boxes that match a true one; None where no map has a box."""
        predicted, _, matched = self.instances[self.counts].sum(axis=0)
        return proportion(np.arange(predicted) < matched, self.confidence)

    @property
    def recall(self) -> Estimate | None:
        """The share of true boxes that one of the map's boxes matches."""
        _, true, matched = self.instances[self.counts].sum(axis=0)
        return proportion(np.arange(true) < matched, self.confidence)

    @property
    def uniform(self) -> float:
        """The `energy` of a uniform map: the mean share of the picture that the true boxes cover."""
        return float(np.mean(self.area[self.counts]))

    @property
    def estimates(self) -> dict[str, Estimate | None]:
        """{name: figure and interval}, in the order of the table."""
        return {name: getattr(self, name) for name in TITLES}

    def row(self, m: int) -> dict[str, Any]:
        """What was measured of row m, as plain values; None where the row does not count.

        Keys: id, target, counts, box, point (None without evidence), iou, found, pointed, share, area, predicted_boxes,
        true_boxes, matched_boxes.
        """
        counts = bool(self.counts[m])
        predicted, true, matched = self.instances[m].tolist()
        measured = {
            "iou": float(self.best_iou[m]),
            "found": bool(self.found[m]),
            "pointed": bool(self.pointed[m]),
            "share": float(self.share[m]),
            "area": float(self.area[m]),
            "predicted_boxes": predicted,
            "true_boxes": true,
            "matched_boxes": matched,
        }
        point = self.points[m].tolist()
        return {
            "id": self.ids[m],
            "target": int(self.targets[m]),
            "counts": counts,
            "box": self.boxes[m].tolist(),
            "point": None if point[0] < 0 else point,
            **(measured if counts else dict.fromkeys(measured)),
        }

    def __repr__(self) -> str:
        known = {name: one for name, one in self.estimates.items() if one is not None}
        figures = ", ".join(f"{name} {one.value:.3f}" for name, one in known.items())
        return f"<Localization of {self._size()}: {self.title}: {figures}>"

    def __str__(self) -> str:
        """A table: a line for each measure, its interval, and the number of rows, images or boxes."""
        interval = f"{100 * self.confidence:g} % interval"
        lines = [
            f"{self.title}: {self._size()}",
            f"threshold {self.threshold:g}, IoU >= {self.min_iou:g}, pointing within {self.tolerance:g} pixels",
            f"{'':30} {'value':>6}  {interval:18} {'n':>6}",
        ]
        for name, title in TITLES.items():
            one = getattr(self, name)
            if one is None:
                lines.append(f"{title:30} {'-':>6}")
            else:
                lines.append(f"{title:30} {one.value:6.3f}  {f'{one.low:.3f} to {one.high:.3f}':18} {one.count:6}")
        lines.append(f"A uniform map has a share of {self.uniform:.3f} in the box.")
        return "\n".join([*lines, *self.notes])

    def _size(self) -> str:
        counted = int(self.counts.sum())
        return f"{counted} of {len(self)} rows, {len(np.unique(self.image_index[self.counts]))} images"

    def _error(self, wrong: np.ndarray | None) -> Estimate | None:
        return None if wrong is None else proportion(wrong[~np.isnan(wrong)] > 0, self.confidence)

    def _mean(self, values: np.ndarray) -> Estimate | None:
        return mean(values[self.counts], self.image_index[self.counts], self.confidence)
