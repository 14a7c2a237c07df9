"""How many rows, pictures, mistakes and errors a table has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Counts", "number"]


@dataclass(frozen=True)
class Counts:
    """How many of what there are in a table.

    Attributes:
        rows: maps and errors.
        maps: rows with a map.
        pictures: that were explained.
        errors: pictures that were not.
        right, wrong: pictures whose prediction is, or is not, a true class; others are unknown.
        planned: the pictures of the whole run; None where that is not known, or for a part of a table.
        what: methods and layers, such as "gradcam at layer4 of ResNet".
    """

    rows: int
    maps: int
    pictures: int
    errors: int
    right: int
    wrong: int
    planned: int | None
    what: str

    @classmethod
    def of(cls, table: pa.Table, about: dict[str, Any], planned: int | None) -> Counts:
        """Those of the columns position, k, right, error, method and layer."""
        is_map = table["error"].is_null().to_numpy()
        positions = table["position"].to_numpy()
        _, first = np.unique(np.where(is_map, positions, -1), return_index=True)
        first = first[is_map[first]]
        right = table["right"].take(first).to_pylist()
        kinds = table.select(["method", "layer"]).drop_null().group_by(["method", "layer"]).aggregate([]).to_pylist()
        names = sorted(f"{row['method']} at {row['layer']}" for row in kinds)
        return cls(
            rows=len(table),
            maps=int(is_map.sum()),
            pictures=len(first),
            errors=int((~is_map).sum()),
            right=right.count(True),
            wrong=right.count(False),
            planned=planned,
            what=f"{', '.join(names)} of {about['model'].rpartition('.')[2]}" if names else "",
        )

    @property
    def is_finished(self) -> bool:
        """Whether all pictures of the run have a row, as far as is known."""
        return self.planned is None or self.pictures + self.errors >= self.planned

    def words(self) -> str:
        """In words: "4 maps of 4 pictures, gradcam at conv of Net; 3 right, 1 wrong; 1 error"."""
        what = f", {self.what}" if self.what else ""
        found = [f"{number(self.maps, 'map')} of {number(self.pictures, 'picture')}{what}"]
        if self.right or self.wrong:
            found.append(f"{self.right:,} right, {self.wrong:,} wrong")
        if self.errors:
            found.append(number(self.errors, "error"))
        if not self.is_finished:
            found.append(f"not finished: {self.pictures + self.errors:,} of {self.planned:,} pictures are done")
        return "; ".join(found)


def number(count: int, noun: str) -> str:
    """A number and its noun: "1 map", "1,200 maps"."""
    return f"{count:,} {noun}{'s' * (count != 1)}"
