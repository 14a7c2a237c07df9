"""Rows in groups: the mean map of each class, and of each pair of classes that is confused."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from xaicore.dataset.means import Means, finest
from xaicore.dataset.parts import Parts
from xaicore.files.arrow import arrow

__all__ = ["ClassMean", "Confusion", "class_means", "confusions"]


@dataclass(frozen=True, eq=False)
class ClassMean:
    """The maps of one target.

    Attributes:
        target: the explained class; None for a target that is no class.
        name: what it is called.
        count: of maps.
        right: the share of these whose picture is predicted right; None where that is not known.
        score: the mean score.
        share: the mean share of evidence in true boxes; None where there are none.
        map: the mean of the maps, each divided by its maximum, float32 at the layer's resolution.
    """

    target: int | None
    name: str
    count: int
    right: float | None
    score: float
    share: float | None
    map: np.ndarray = field(repr=False)


@dataclass(frozen=True, eq=False)
class Confusion:
    """Pictures of one class that are taken for another.

    Attributes:
        truth, prediction: the two classes.
        truth_name, prediction_name: what they are called.
        count: of pictures.
        of: the pictures of the true class in all.
        wrong_map: the mean map of the mistakes, each divided by its maximum.
        right_map: the mean map of the true class where it is predicted right; None where it never is.
    """

    truth: int
    prediction: int
    truth_name: str
    prediction_name: str
    count: int
    of: int
    wrong_map: np.ndarray = field(repr=False)
    right_map: np.ndarray | None = field(repr=False)


def class_means(parts: Parts, rows: np.ndarray) -> list[ClassMean]:
    """See `MapTable.class_means`."""
    table = parts.read(("target", "target_name", "right", "score", "share"), rows)
    names = table["target_name"].combine_chunks().dictionary_encode()
    codes = names.indices.fill_null(-1).to_numpy()
    targets = table["target"].fill_null(-1).to_numpy().astype(np.int64)
    places = np.flatnonzero(codes >= 0)  # an error has no target
    keys, first, group_of = np.unique(
        targets[places] * (len(names.dictionary) + 1) + codes[places], return_index=True, return_inverse=True
    )
    means = _means(parts, rows[places], group_of, len(keys))
    columns = [table[name].cast("float64").to_numpy()[places] for name in ("right", "score", "share")]
    averages = zip(*(_averages(values, group_of, len(keys)) for values in columns), strict=True)
    found = []
    for group, (right, score, share) in enumerate(averages):
        place = int(places[first[group]])
        mean, target = means.of(group), table["target"][place].as_py()
        assert mean is not None
        assert score is not None
        count = int((group_of == group).sum())
        found.append(ClassMean(target, table["target_name"][place].as_py(), count, right, score, share, mean))
    return sorted(found, key=lambda one: -one.count)


def confusions(parts: Parts, rows: np.ndarray, n: int) -> list[Confusion]:
    """See `MapTable.confusions`."""
    table = parts.read(("k", "truth", "prediction"), rows)
    lengths = arrow().compute.list_value_length(table["truth"]).fill_null(0).to_numpy()
    is_known = table["prediction"].is_valid().to_numpy() & (table["k"].to_numpy() == 0) & (lengths == 1)
    rows, some = rows[is_known], table.filter(arrow().array(is_known))
    truth = arrow().compute.list_flatten(some["truth"]).to_numpy().astype(np.int64)
    prediction = some["prediction"].to_numpy().astype(np.int64)
    width = int(prediction.max(initial=0)) + 1
    keys, first, counts = np.unique(truth * width + prediction, return_index=True, return_counts=True)
    pairs = [(int(key // width), int(key % width)) for key in keys]
    number = dict(zip(pairs, counts.tolist(), strict=True))
    totals = Counter[int]()
    for (true, _), count in number.items():
        totals[true] += count
    wrong = sorted((pair for pair in pairs if pair[0] != pair[1]), key=lambda pair: (-number[pair], pair))[:n]
    groups = list(dict.fromkeys([*wrong, *((true, true) for true, _ in wrong)]))
    group_of = np.full(len(rows), -1)
    for group, (true, taken) in enumerate(groups):
        group_of[(truth == true) & (prediction == taken)] = group
    means = _means(parts, rows[group_of >= 0], group_of[group_of >= 0], len(groups))
    examples = rows[first[[pairs.index(pair) for pair in wrong]]] if wrong else rows[:0]
    names = parts.read(("truth_names", "prediction_name"), examples).to_pylist()
    found = []
    for group, (true, taken) in enumerate(wrong):
        mean, right = means.of(group), means.of(groups.index((true, true)))
        assert mean is not None
        called = (names[group]["truth_names"][0], names[group]["prediction_name"])
        found.append(Confusion(true, taken, *called, number[true, taken], totals[true], mean, right))
    return found


def _means(parts: Parts, rows: np.ndarray, groups: np.ndarray, count: int) -> Means:
    """The mean maps of groups of rows."""
    group_of = np.full(len(parts), -1, np.int32)
    group_of[rows] = groups
    shape = finest(shapes["map_shape"] for _, shapes in parts.scan(("map_shape",), rows))
    means = Means(group_of, count, shape)
    for numbers, table in parts.scan(("map", "map_shape"), rows):
        means.add(numbers, table)
    return means


def _averages(values: np.ndarray, group_of: np.ndarray, count: int) -> list[float | None]:
    """The mean of the known values of each group, None where there are none."""
    known = ~np.isnan(values)
    counts = np.bincount(group_of[known], minlength=count)
    sums = np.bincount(group_of[known], values[known], minlength=count)
    return [float(total / number) if number else None for total, number in zip(sums, counts, strict=True)]
