"""From the axes of an output, as the model gives it, to those of `Capture.outputs`, and back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

__all__ = ["AS_GIVEN", "Arrangement"]


@dataclass(frozen=True)
class Arrangement:
    """Where the axes of an output lie.

    Attributes:
        order: its axes in the order images, classes, then the others; None where they are in this order.
        adds_classes: it has no axis of classes: `Capture.outputs` has one of length 1.
    """

    order: tuple[int, ...] | None = None
    adds_classes: bool = False

    @classmethod
    def with_classes_at(cls, axis: int | None, ndim: int) -> Arrangement:
        """Images on axis 0, classes on this one; on axis 1 where it is not known."""
        if axis is None or axis < 2:
            return AS_GIVEN
        return cls((0, axis, *(other for other in range(1, ndim) if other != axis)))

    @property
    def class_axis(self) -> int:
        """The axis of the classes, in the output as the model gives it; 1 where it has none."""
        return 1 if self.order is None or self.adds_classes or len(self.order) < 2 else self.order[1]

    @property
    def class_axis_of_rows(self) -> int:
        """The same, in the output with the images moved to axis 0."""
        axis = self.class_axis
        return axis if self.order is None or self.adds_classes or axis > self.order[0] else axis + 1

    def outputs(self, array: np.ndarray) -> np.ndarray:
        """`Capture.outputs` of an output."""
        if self.order is not None:
            array = array.transpose(self.order)
        return array[:, None] if self.adds_classes else array

    def tensor(self, y: torch.Tensor) -> torch.Tensor:
        """The output itself in these axes."""
        y = y if self.order is None else y.permute(self.order)
        return y[:, None] if self.adds_classes else y

    def directions(self, direction: np.ndarray) -> np.ndarray:
        """Directions (N, K, *O) of `Capture.outputs` as (K, *output), in the axes of the output."""
        rows = direction.swapaxes(0, 1)
        if self.adds_classes:
            rows = rows[:, :, 0]
        if self.order is None:
            return rows
        return rows.transpose(0, *(1 + axis for axis in np.argsort(self.order)))


AS_GIVEN = Arrangement()
