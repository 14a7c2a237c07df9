"""Labels of a data set as classes of the model: a name is a name, a number counts the classes of its own list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xaicore.data.truth import UNKNOWN, as_truth
from xaicore.errors import InputError, XaicoreError
from xaicore.trees import as_array

__all__ = ["LabelReader"]

SEVERAL = "((x1, x2), label), or ((x1, x2), None) without a label"
"""How an element has several inputs."""


@dataclass(frozen=True)
class LabelReader:
    """Reads labels of one data set.

    Attributes:
        class_names: of the model, for labels that are names.
        indices: the model's class for each one of the data set; None: they are the same.
    """

    class_names: tuple[str, ...] | None = None
    indices: tuple[int, ...] | None = None

    @classmethod
    def between(cls, own: Sequence[str] | None, class_names: Sequence[str] | None) -> LabelReader:
        """The reader for a data set with class names of its own, and a model with class names.

        Args:
            own: the data set's names, in its order; None where it has none.
            class_names: the model's; None: the data set's are taken.

        Raises:
            InputError: both are known, and a class of the data set is none of the model's.
        """
        names = own if class_names is None else class_names
        known = None if names is None else tuple(names)
        if own is None or known is None or tuple(own) == known:
            return cls(known)
        lost = [n for n, name in enumerate(own) if known.count(name) != 1]
        if lost:
            n = lost[0]
            raise InputError(
                f"class {n} of the {len(own)} classes of the data set is {own[n]!r}, which names "
                f"{known.count(own[n])} of the {len(known)} classes of the model: expected the same names. Where class "
                "n of the data set is class n of the model, pass class_names= with the names of the data set; else "
                "pass truth=[...], the model's class of each picture, -1 where it has none"
            )
        return cls(known, tuple(known.index(name) for name in own))

    def read(self, label: Any, name: str) -> np.ndarray | None:
        """(1,) int64, the model's class of a label, or (1, classes) bool where several may be true; None for None.

        Raises:
            InputError: it is no label.
        """
        if label is None:
            return None
        if isinstance(label, (list, tuple, dict, set)):
            raise InputError(
                f"{name} has the label {_shown(label)}, a {type(label).__name__}: expected a class index or name, or "
                "an array of one value per class. To leave labels out, return x alone, or pass "
                "truth=[...], -1 where it is unknown"
            )
        try:
            array = as_array(label)
            if array.ndim > 1:
                raise InputError(
                    f"expected a class, or one value per class; a second input stands beside the first, {SEVERAL}"
                )
            truth = as_truth(array if array.ndim == 0 else array[None], self.class_names)
        except XaicoreError as exc:
            raise InputError(f"{name} has the label {_shown(label)}: {exc}") from exc
        assert truth is not None
        return truth if array.dtype.kind in "USO" else self.placed(truth, name)  # names are the model's already

    def placed(self, truth: np.ndarray, name: str) -> np.ndarray:
        """True classes by the data set's numbers as those of the model.

        Raises:
            InputError: a number has no name, or they are rows in another order than the model's.
        """
        if self.indices is None:
            return truth
        if truth.ndim == 2:
            raise InputError(
                f"{name} has {truth.shape[1]} labels by the data set's own order of classes, which is another one than "
                "the model's: pass truth=[...], rows in the model's order"
            )
        wrong = truth[(truth < UNKNOWN) | (truth >= len(self.indices))]
        if wrong.size:
            raise InputError(f"{name} has the label {wrong[0]}, and the data set names {len(self.indices)} classes")
        return np.where(truth < 0, UNKNOWN, np.asarray(self.indices)[truth])


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
