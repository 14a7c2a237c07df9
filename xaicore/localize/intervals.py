"""Proportions and means with their confidence intervals."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from statistics import NormalDist

import numpy as np

from xaicore.errors import InputError

__all__ = ["Estimate", "check_confidence", "mean", "proportion"]

RESAMPLES, SEED = 2000, 0
"""Of the bootstrap."""


@dataclass(frozen=True)
class Estimate:
    """A figure and its confidence interval.

    Attributes:
        value: the proportion or the mean.
        low: the interval's lower end.
        high: its upper end; nan, as `low`, where one image alone says nothing of the spread.
        count: of how many rows, images or boxes.
    """

    value: float
    low: float
    high: float
    count: int

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}], n = {self.count}"


def proportion(hits: np.ndarray, confidence: float) -> Estimate | None:
    """The share of True in hits (n,) bool, with Wilson's interval; None for no hits and no misses.

    With z the normal quantile and p the share, the interval is (p + z^2 / 2n -+ z sqrt(p (1 - p) / n + z^2 / 4n^2)) /
    (1 + z^2 / n). It stays in [0, 1] and has a width where p is 0 or 1. Hits count as independent.
    """
    n = len(hits)
    if not n:
        return None
    p, z = float(np.mean(hits)), NormalDist().inv_cdf((1 + confidence) / 2)
    middle = p + z * z / (2 * n)
    half = z * (p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5
    low, high = ((middle + sign * half) / (1 + z * z / n) for sign in (-1, 1))
    # At p = 0 and p = 1 an end is p itself; rounding must not put it on the other side.
    return Estimate(p, max(0.0, min(low, p)), min(1.0, max(high, p)), n)


def mean(values: np.ndarray, groups: np.ndarray, confidence: float) -> Estimate | None:
    """The mean of values (n,), with a percentile bootstrap over groups (n,) int; None for no values.

    2000 resamples with seed 0. Images are drawn, with all their rows, since the rows of an image are not independent.
    """
    if not len(values):
        return None
    _, group = np.unique(groups, return_inverse=True)
    sums, counts = np.bincount(group, values), np.bincount(group)
    value, images = float(np.mean(values)), len(sums)
    if images == 1:
        return Estimate(value, float("nan"), float("nan"), len(values))
    rng = np.random.default_rng(SEED)
    drawn = (rng.integers(images, size=images) for _ in range(RESAMPLES))
    means = [float(sums[chosen].sum() / counts[chosen].sum()) for chosen in drawn]
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Estimate(value, float(low), float(high), len(values))


def check_confidence(confidence: float) -> None:
    """Refuse what is no level of confidence.

    Raises:
        InputError: it is not in (0, 1).
    """
    if not (isinstance(confidence, Real) and 0 < confidence < 1):
        raise InputError(f"confidence={confidence!r}: expected a share of intervals, 0 < confidence < 1, such as 0.95")
