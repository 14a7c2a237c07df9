"""The true boxes of a data set's pictures, and the classes of what they hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xaicore.errors import InputError
from xaicore.localize.truth import read_classes

__all__ = ["TrueBoxes"]

ANY = "any"
"""`box_classes="any"`: a box belongs to whatever is explained in its picture."""


@dataclass(frozen=True, eq=False)
class TrueBoxes:
    """The true boxes of N pictures.

    Attributes:
        boxes: N arrays (B, 4): x0, y0, x1, y1 in pixels of the picture that the model sees.
        classes: N arrays (B,), "any", or None: the pictures' true classes.
    """

    boxes: tuple[np.ndarray, ...]
    classes: str | tuple[np.ndarray, ...] | None = None

    @classmethod
    def read(cls, boxes: Any, classes: Any, ids: Sequence[str]) -> TrueBoxes | None:
        """The boxes that a caller's arguments mean; None without any.

        Args:
            boxes: (N, 4), or a list of N arrays (B, 4), also empty ones.
            classes: `box_classes`: one class per picture, N arrays (B,), "any", or None.
            ids: N names.

        Raises:
            InputError: they are of another number, or no boxes, or no classes of them.
        """
        if boxes is None:
            if classes is not None:
                raise InputError(
                    f"box_classes={_shown(classes)}: there are no true boxes: pass a table of pictures with the "
                    "columns x0, y0, x1 and y1 (in Python, also boxes=, N arrays (B, 4)), or leave their classes out"
                )
            return None
        found = _as_boxes(boxes, len(ids))
        if classes is None:
            return cls(found)
        known = read_classes(classes, found, None, ids, "box_classes")
        return cls(found, ANY if known is None else known)

    def take(self, positions: Sequence[int]) -> TrueBoxes:
        """Those of some pictures."""
        classes = self.classes
        if isinstance(classes, tuple):
            classes = tuple(classes[n] for n in positions)
        return TrueBoxes(tuple(self.boxes[n] for n in positions), classes)

    @property
    def arrays(self) -> tuple[np.ndarray, ...]:
        """All that is known, for a hash of it."""
        if self.classes is None:
            return self.boxes
        return (*self.boxes, *([np.array(self.classes)] if isinstance(self.classes, str) else self.classes))


def _as_boxes(boxes: Any, count: int) -> tuple[np.ndarray, ...]:
    try:
        found = tuple(np.asarray(one).reshape(-1, 4) for one in boxes)
    except (TypeError, ValueError):
        found = ()
    if len(found) != count or any(one.dtype.kind not in "iuf" for one in found):
        raise InputError(
            f"boxes={_shown(boxes)}: expected boxes of {count} pictures, ({count}, 4) or a list of {count} arrays (B, "
            "4): x0, y0, x1, y1 in whole pixels of the picture that the model sees"
        )
    return found


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
