"""Targets on score maps: a class in a region of the picture, as segmentation nets score it.

N images, K targets per image, outputs (N, C, *S) with the class axis at 1.
"""

from __future__ import annotations

import copy
import reprlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from xaicore.errors import TargetError
from xaicore.outputs import Answer, is_dense
from xaicore.targets.naming import class_text, named_class
from xaicore.targets.positions import aim_at_positions, is_multi_label, of_aim, position_probabilities
from xaicore.targets.target import Aim, Target
from xaicore.trees import as_array

__all__ = ["Region"]


class Region(Target):
    """A class in a region of a score map (N, C, *S): the mean of its logits there (Seg-Grad-CAM, Vinogradova 2020).

    The score is the mean probability of the class in the region. In a map of one output, class 1 is the output itself
    and class 0 its opposite.

    Args:
        classes: an index or name, or several: K targets; or (N, K) indices.
        where: "predicted", the positions where the model predicts the class: it is the most probable one, or its
            sigmoid exceeds 0.5; a mask, bool (*S), of the picture's size, or one per image (N, ...); a box x0, y0, x1,
            y1 in pixels of the picture, end exclusive, or (N, 4); or None, all positions.

    Raises:
        TargetError: `where` is none of these.
    """

    def __init__(self, classes: Any, where: Any = "predicted") -> None:
        is_one = isinstance(classes, str) or np.ndim(classes) == 0
        self.classes: Sequence[Any] | np.ndarray = (classes,) if is_one else classes
        # Applied to what turns out to be a row per image: whether a mask (2, H, W) is one for all is up to the outputs.
        self._chosen: tuple[slice | np.ndarray, ...] = ()
        self.where = where if where is None or isinstance(where, str) else as_array(where, "where")
        is_known = where is None or self._is_predicted or self._is_box or self._is_mask
        if not is_known or not len(self.classes):
            raise TargetError(
                f"Region({classes!r}, where={reprlib.repr(where)}): expected a class or several, and 'predicted', a "
                "mask of bool, a box (x0, y0, x1, y1), or None"
            )

    @property
    def _is_predicted(self) -> bool:
        return isinstance(self.where, str) and self.where == "predicted"

    @property
    def _is_mask(self) -> bool:
        return isinstance(self.where, np.ndarray) and self.where.dtype == bool and self.where.ndim > 0

    @property
    def _is_box(self) -> bool:
        where = self.where
        return isinstance(where, np.ndarray) and where.dtype != bool and where.ndim in (1, 2) and where.shape[-1] == 4

    def aim(self, outputs: np.ndarray, kind: str, answer: Answer | None = None) -> Aim:
        """The mean logit of each class over its region.

        Raises:
            TargetError: the outputs are no score map, a class does not exist, a mask or box does not fit, or no image
                has the class.
        """
        if not is_dense(outputs) or kind == "values":
            raise TargetError(f"{self} needs a score map (N, classes, H, W), and outputs {outputs.shape} are {kind}")
        answer = answer or Answer(outputs, kind)
        classes = self._indices(answer)
        masks = self._masks(answer, classes)
        if not masks.any():
            raise TargetError(f"{self}: {self._nowhere(answer)}")
        names = np.vectorize(lambda index: class_text(int(index), answer), otypes=[object])(classes)
        aim = aim_at_positions(answer, classes, masks, names)
        if self._is_box:
            boxes = np.broadcast_to(self._boxes[:, None], (*classes.shape, 4))
            aim = Aim(aim.direction, aim.classes, aim.scores, aim.names, boxes)
        return aim

    def again(self, aim: Aim) -> Target:
        """The same classes in the same regions."""
        return of_aim(aim, str(self))

    def take(self, chosen: slice | np.ndarray) -> Target:
        """The target of some of the images, by position."""
        taken = copy.copy(self)
        taken._chosen = (*self._chosen, chosen)
        return taken

    def _of_images(self, rows: np.ndarray) -> np.ndarray:
        """Those of the images that `take` chose, of a row for each of the caller's; one row serves all."""
        for chosen in self._chosen if len(rows) > 1 else ():
            rows = rows[chosen]
        return rows

    def _indices(self, answer: Answer) -> np.ndarray:
        """(N, K) indices."""
        count = len(answer.outputs)
        if isinstance(self.classes, np.ndarray) and self.classes.ndim == 2:
            own = self._of_images(self.classes)
            if len(own) not in (1, count):
                raise TargetError(f"{self} has classes for {len(own)} images, and there are {count}")
            rows = [[named_class(int(index), answer, str(self)) for index in row] for row in own]
        else:
            given = (one.item() if isinstance(one, np.generic) else one for one in self.classes)
            rows = [[named_class(one, answer, str(self)) for one in given]]
        return np.broadcast_to(np.array(rows, np.int64), (count, len(rows[0])))

    @property
    def _boxes(self) -> np.ndarray:
        """(N or 1, 4) float64."""
        return self._of_images(np.asarray(self.where, np.float64).reshape(-1, 4))

    def _masks(self, answer: Answer, classes: np.ndarray) -> np.ndarray:
        """(N, K, *S) bool."""
        outputs = answer.outputs
        shape = (*classes.shape, *outputs.shape[2:])
        if self.where is None:
            return np.ones(shape, bool)
        if isinstance(self.where, str):
            return _predicted(answer, classes)
        found = _inside(self._boxes, answer, str(self)) if self._is_box else self._given(answer)
        return np.broadcast_to(found[:, None], shape)

    def _given(self, answer: Answer) -> np.ndarray:
        """The caller's masks on the grid of the outputs, (N or 1, *S)."""
        assert isinstance(self.where, np.ndarray)
        grid, count = answer.outputs.shape[2:], len(answer.outputs)
        masks = self._of_images(self.where) if self.where.ndim > len(grid) else self.where[None]
        size = masks.shape[1:]
        if len(masks) not in (1, count) or size not in (grid, answer.size):
            sizes = " or ".join(str(one) for one in dict.fromkeys((grid, answer.size)) if one)
            raise TargetError(
                f"{self}: a mask of shape {self.where.shape}; expected {sizes}, the outputs' or the picture's, for all "
                f"images or for each of {count}"
            )
        if size == grid:
            return masks
        for axis, (length, own) in enumerate(zip(grid, size, strict=True), 1):  # the position at each centre
            centres = ((np.arange(length) + 0.5) * own / length).astype(np.int64)
            masks = np.take(masks, centres, axis)
        return masks

    def _nowhere(self, answer: Answer) -> str:
        if not self._is_predicted:
            return "the region holds no position of the outputs, which have a grid of " + str(answer.outputs.shape[2:])
        found = _found(answer)
        shown = ", ".join(f"{index} {_name(index, answer)}".strip() for index in found[:10]) or "none"
        return f"the model predicts the class nowhere; it predicts {shown}. Pass where= a mask or box, or None"

    def __str__(self) -> str:
        which = ", ".join(map(str, self.classes)) if len(self.classes) < 5 else f"{len(self.classes)} classes"
        where = "box" if self._is_box else "mask" if self._is_mask else self.where or "anywhere"
        return f"region of {which}, {where}"


def _name(index: int, answer: Answer) -> str:
    return class_text(int(index), answer) if answer.class_names else ""


def _found(answer: Answer) -> list[int]:
    """The classes that are predicted anywhere."""
    classes = np.arange(max(2, answer.outputs.shape[1]))
    masks = _predicted(answer, np.broadcast_to(classes, (len(answer.outputs), len(classes))))
    return np.flatnonzero(masks.any(axis=(0, *range(2, masks.ndim)))).tolist()


def _predicted(answer: Answer, classes: np.ndarray) -> np.ndarray:
    """(N, K, *S): where each class is predicted."""
    p = position_probabilities(answer)
    n = np.arange(len(classes))[:, None]
    if answer.outputs.shape[1] > 1 and is_multi_label(answer):
        found: np.ndarray = p[n, classes] > 0.5
        return found
    labels = p.argmax(axis=1)
    return labels[:, None] == classes.reshape(*classes.shape, *(1 for _ in labels.shape[1:]))


def _inside(boxes: np.ndarray, answer: Answer, target: str) -> np.ndarray:
    """(N or 1, H, W): the positions of the outputs whose centres lie in a box of the picture."""
    grid, size = answer.outputs.shape[2:], answer.size
    if len(grid) != 2 or len(size) != 2:
        raise TargetError(f"{target}: boxes need a picture and a score map of two axes; the map has {grid}")
    if (
        len(boxes) not in (1, len(answer.outputs))
        or (boxes[:, :2] >= boxes[:, 2:]).any()
        or not np.isfinite(boxes).all()
    ):
        raise TargetError(
            f"{target}: boxes {boxes.tolist()}: expected x0 < x1, y0 < y1 in pixels of the picture {size}, one box for "
            "all images or one each"
        )
    y, x = ((np.arange(length) + 0.5) * own / length for length, own in zip(grid, size, strict=True))
    across = (x >= boxes[:, :1]) & (x < boxes[:, 2:3])
    down = (y >= boxes[:, 1:2]) & (y < boxes[:, 3:])
    inside: np.ndarray = down[:, :, None] & across[:, None]
    return inside
