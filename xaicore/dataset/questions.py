"""The questions that the maps of a data set answer: what is wrong, where evidence is low, what classes share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from xaicore.data.numbers import check_whole
from xaicore.dataset.groups import ClassMean, Confusion, class_means, confusions
from xaicore.dataset.pictures import pictures_of
from xaicore.dataset.restore import only, restored
from xaicore.dataset.schema import COLUMNS
from xaicore.dataset.selection import Selection
from xaicore.errors import InputError, did_you_mean
from xaicore.explanation import Explanation

if TYPE_CHECKING:
    import pyarrow as pa
    from typing_extensions import Self

__all__ = ["Questions"]

MOST = 50_000
"""The most maps in one explanation, so that a slip does not read a whole run into memory."""

FEW = 10_000
"""The most ids among which a misspelt one is looked for, which takes a second."""


class Questions(Selection):
    """A selection of rows that is asked for mistakes, means, and explanations."""

    def errors(self) -> Self:
        """The pictures that could not be explained; the reasons are in the column `error`."""
        return self._take(np.flatnonzero(self.is_error()))

    def mistakes(self) -> Self:
        """The rows whose prediction is not a true class, the surest first.

        Surest is the highest score where the prediction is the target, and the lowest score of any other target.
        """
        table = self.to_arrow(("right", "score", "target", "prediction"))
        right, score, target, prediction = (table[name].to_numpy() for name in table.column_names)
        wrong = np.flatnonzero([one is False for one in right.tolist()])
        is_predicted = target[wrong] == prediction[wrong]
        order = np.argsort(np.where(is_predicted, -score[wrong], score[wrong]), kind="stable")
        return self._take(wrong[order])

    def lowest_evidence(self, n: int = 100, by: str | None = None) -> Self:
        """The n maps with the least evidence, the lowest first.

        Args:
            n: how many rows.
            by: "share", of the evidence in the true boxes, or "evidence", the mean positive value of the map in the
                method's own scale; None: "share" if any row has one.

        Raises:
            InputError: `by` is another column, or no row has a value.
        """
        n = check_whole(n, "n", 1)
        if by not in ("share", "evidence", None):
            raise InputError(
                f"by={by!r}: expected 'share', 'evidence' or None{did_you_mean(by, ('share', 'evidence'))}"
            )
        table = self.to_arrow(("share", "evidence"))
        name = by or ("share" if table["share"].null_count < len(table) else "evidence")
        values = table[name].to_numpy().astype(np.float64)
        known = np.flatnonzero(~np.isnan(values))
        if not len(known) and by == "share":
            raise InputError("no row has a share of evidence in true boxes: pass boxes= to explain_dataset")
        return self._take(known[np.argsort(values[known], kind="stable")[:n]])

    def class_means(self) -> list[ClassMean]:
        """For each explained class the mean of its maps, each divided by its maximum; the most frequent first."""
        self._check_one_method("class_means")
        return class_means(self._parts, self._numbers)

    def confusions(self, n: int = 20) -> list[Confusion]:
        """The pairs of true and predicted class that are confused most often, n at most, with their mean maps.

        Of pictures with one true class, and their first target.
        """
        self._check_one_method("confusions")
        return confusions(self._parts, self._numbers, check_whole(n, "n", 1))

    def explanation(
        self,
        ids: str | Sequence[str] | None = None,
        images: Any = "files",
        preprocess: Callable[..., Any] | str | None = None,
    ) -> Explanation:
        """The explanation of some pictures again, for plots, loggers and measures.

        Maps are equal within float16, scores within float32. Outputs are those of the model where a picture has 32 at
        most; else they are NaN, but for those of the targets.

        Args:
            ids: names of pictures; None for all of this table, without those that have an error.
            images: the pictures under the maps: "files" for those that the run read, when they are drawn; uint8 RGB
                (N, H, W, 3); None for maps alone.
            preprocess: the run's own, from a file's picture to what the model saw. None where it saw whole files, where
                this process made the run, and for models of libraries by name, whose own is found again.

        Raises:
            InputError: an id is unknown or has an error, the rows are of several methods or sizes, or too many; or a
                picture's file is gone.
        """
        table = self._rows_of(ids)
        parts = self._parts
        pictures = pictures_of(table, images, preprocess, parts.about, lambda: parts.preparation)
        return restored(table, self._parts.about, pictures)

    def sample(self, n: int, seed: int = 0) -> Self:
        """n maps at random, always the same ones, in the order of the table; all of them where there are fewer."""
        found = np.flatnonzero(~self.is_error())
        n = min(check_whole(n, "n", 1), len(found))
        return self._take(np.sort(np.random.default_rng(seed).choice(found, n, replace=False)))

    def is_error(self) -> np.ndarray:
        """Which rows have an error and no map, (rows,) bool."""
        valid: np.ndarray = self.to_arrow(("error",))["error"].is_valid().to_numpy()
        return valid

    def head(self, n: int) -> Self:
        """The first n rows; all of them where there are fewer."""
        return self._take(np.arange(min(check_whole(n, "n", 0), len(self))))

    def first_pictures(self, n: int) -> Self:
        """The rows of the first n pictures."""
        return next(self.by_pictures(n), self)

    def by_pictures(self, size: int) -> Iterator[Self]:
        """Tables of `size` pictures each, in order, and fewer in the last; those of a picture stay together."""
        places: dict[str, list[int]] = {}
        for place, name in enumerate(self.to_arrow(("id",))["id"].to_pylist()):
            places.setdefault(name, []).append(place)
        of_pictures = list(places.values())
        for start in range(0, len(of_pictures), size):
            some = of_pictures[start : start + size]
            yield self._take(np.array([place for of in some for place in of]))

    def _check_one_method(self, what: str) -> None:
        kinds = self.to_arrow(("method", "layer")).drop_null().group_by(["method", "layer"]).aggregate([])
        found = sorted(kinds.to_pylist(), key=lambda row: (row["method"], row["layer"]))
        if len(found) > 1:
            named = " and ".join(f"{row['method']} at {row['layer']}" for row in found)
            name = "method" if found[0]["method"] != found[-1]["method"] else "layer"
            raise InputError(
                f"{what} of {named}: choose one, such as table.filter(lambda row: row[{name!r}] == {found[0][name]!r})"
            )

    def _rows_of(self, ids: str | Sequence[str] | None) -> pa.Table:
        """All columns of the rows of these pictures, those of a picture one after the other."""
        some = self._take(np.flatnonzero(~self.is_error())) if ids is None else self._named(ids)
        if not len(some):
            raise InputError("this table has no maps to explain")
        if len(some) > MOST:
            raise InputError(
                f"an explanation of {len(some):,} maps would not fit into memory: pass ids=, or filter the table to "
                f"{MOST:,} at most; batches() reads all of them part by part"
            )
        names, k = (some.to_arrow((name,))[name].to_pylist() for name in ("id", "k"))
        order = names if ids is None else [ids] if isinstance(ids, str) else ids
        rank = {name: i for i, name in enumerate(dict.fromkeys(order))}
        only("pictures with this many targets:", Counter(names).values())
        places = sorted(range(len(some)), key=lambda place: (rank[names[place]], k[place]))
        return some._take(np.array(places)).to_arrow(tuple(COLUMNS))

    def _named(self, ids: str | Sequence[str]) -> Self:
        """The rows of these pictures, all of which have maps."""
        wanted = [ids] if isinstance(ids, str) else list(ids)
        some = self.of_ids(wanted)
        rows = {row["id"]: row["error"] for row in some.to_arrow(("id", "error")).to_pylist()}
        for name in wanted:
            if name not in rows:
                near = did_you_mean(name, self.to_arrow(("id",))["id"].to_pylist()) if len(self) <= FEW else ""
                raise InputError(f"there is no picture {name!r} in this table{near}")
            if rows[name] is not None:
                raise InputError(f"{name!r} has no map: {rows[name]}")
        return some
