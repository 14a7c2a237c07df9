"""What the caller knows of N images: their names, their true classes, and the names of the classes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from xaicore.data.names import PYTHON, Arguments, as_class_names, as_ids, check_class_names, read_ids
from xaicore.data.truth import as_truth, check_classes, check_count
from xaicore.errors import InputError
from xaicore.targets import Classes, Target

__all__ = ["Labels", "calls_binary"]


@dataclass(frozen=True, eq=False)
class Labels:
    """The labels of N images in one form, whatever form the caller passed.

    Attributes:
        ids: N names; None: "0", "1", ...
        truth: (N,) int64 true classes with -1 where unknown, (N, classes) bool where several may be true, or None.
        class_names: one name per class, or None.
        arguments: what the caller's arguments are called.
    """

    ids: tuple[str, ...] | None = None
    truth: np.ndarray | None = None
    class_names: tuple[str, ...] | None = None
    arguments: Arguments = PYTHON

    @classmethod
    def read(cls, ids: Any, truth: Any, class_names: Any, arguments: Arguments = PYTHON) -> Labels:
        """Read a caller's arguments.

        Raises:
            InputError: an argument has none of the forms that it may have.
        """
        names = as_class_names(class_names, arguments.class_names)
        return cls(read_ids(ids), as_truth(truth, names, arguments), names, arguments)

    def checked(self, outputs: np.ndarray, kind: str) -> Labels:
        """The labels for outputs (N, *O) of this kind, with an id for each image.

        Raises:
            InputError: there are more or fewer than N, an id repeats, or a class does not exist.
        """
        check_count(self.truth, len(outputs))
        check_classes(self.truth, outputs, kind, self.arguments.truth)
        check_class_names(self.class_names, outputs, kind)
        return replace(self, ids=as_ids(self.ids, len(outputs)))

    def counted(self, count: int, class_count: int | None) -> Labels:
        """The labels for N images, with an id for each, where classes are no axis of the outputs.

        Args:
            count: N.
            class_count: how many classes the model's configuration names, if it does.

        Raises:
            InputError: there are more or fewer than N, an id repeats, or the names are of another number.
        """
        check_count(self.truth, count)
        names = self.class_names
        if names is not None and class_count is not None and len(names) != class_count:
            raise InputError(f"{len(names)} class names, and the model's configuration names {class_count} classes")
        return replace(self, ids=as_ids(self.ids, count))


def calls_binary(target: Target, labels: Labels) -> bool:
    """Whether a target or labels call a single output a binary classifier.

    Two class names do, given classes 0 or 1, and true classes that are all 0 or 1.
    """
    if labels.class_names is not None and len(labels.class_names) == 2:
        return True
    if isinstance(target, Classes) and target.classes.size and set(np.unique(target.classes)) <= {0, 1}:
        return True
    truth = labels.truth
    return truth is not None and truth.ndim == 1 and set(np.unique(truth)) <= {-1, 0, 1} and bool((truth >= 0).any())
