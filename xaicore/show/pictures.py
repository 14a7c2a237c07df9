"""The pictures under the heatmaps: the user's, or made from the model's inputs.

Made on demand, because it costs time that a caller who wants maps alone should not pay.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from xaicore.errors import InputError
from xaicore.trees import as_array

__all__ = ["Pictures"]


DARKEST_WHITE = 32
"""Inputs whose largest value is at least this, and at most 255, are pixels; standardised ones are far below."""


class Pictures:
    """Pictures (N, H, W, 3) uint8 RGB, or None if there are none.

    Args:
        count: N.
        input_size: the spatial shape of the model's input, which tells its layout.
        given: the user's pictures, (N, H, W, 3) or (N, H, W) uint8, or None.
        inputs: returns the model's input as an array, called once and only when no pictures were given.
        views: pictures per image, which lie side by side: (N, H, views * W, 3).
    """

    def __init__(
        self,
        count: int,
        input_size: tuple[int, ...],
        given: Any,
        inputs: Callable[[], np.ndarray],
        views: int = 1,
    ) -> None:
        self._count, self._size, self._views = count, input_size, views
        self._inputs: Callable[[], np.ndarray] | None = inputs
        self.given = None if given is None else check_pictures(_strips(given, views), count)

    @cached_property
    def _made(self) -> tuple[np.ndarray | None, str | None]:
        if self.given is not None:
            return self.given, "user"
        assert self._inputs is not None
        made, source = from_inputs(self._inputs(), self._size, self._count * self._views)
        if made is not None and self._views > 1:
            made = _strips(made.reshape(self._count, self._views, *made.shape[1:]), self._views)
        self._inputs = None  # lets the input go
        return made, source

    @property
    def array(self) -> np.ndarray | None:
        """(N, H, W, 3) uint8 RGB or None."""
        return self._made[0]

    @property
    def source(self) -> str | None:
        """Where they come from: "user", "input" or "rescaled"; None where there are none."""
        return self._made[1]

    @classmethod
    def from_array(cls, array: np.ndarray | None, source: str | None) -> Pictures:
        """Pictures (N, H, W, 3) uint8 that exist already, and their source; None, None for no pictures."""
        pictures = cls.__new__(cls)
        pictures.__setstate__({"given": array if source == "user" else None, "_made": (array, source)})
        return pictures

    def take(self, chosen: np.ndarray) -> Pictures:
        """Some of them, by position; those made of the input keep the scale of the whole batch."""
        array, source = self._made
        return Pictures.from_array(None if array is None else array[chosen], source)

    def __getstate__(self) -> dict[str, Any]:
        return {"given": self.given, "_made": self._made}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _inputs=None)


def _strips(images: Any, views: int) -> Any:
    """Pictures (N, views, H, W, ...) as (N, H, views * W, ...); all others as they are."""
    array = None if views == 1 else as_array(images, "images")
    if array is None or array.ndim != 5:
        return images
    return np.concatenate(list(array.swapaxes(0, 1)), axis=2)


def check_pictures(images: Any, count: int) -> np.ndarray:
    """The user's pictures, arrays or tensors on any device, as (N, H, W, 3) uint8; grey ones get three channels.

    Raises:
        InputError: another number, type or shape.
    """
    expected = f"expected {count} RGB pictures of one size, uint8 ({count}, H, W, 3)"
    if isinstance(images, Sequence):
        shapes = sorted({as_array(image, "images").shape for image in images})
        if len(shapes) > 1:
            raise InputError(f"images of shapes {', '.join(map(str, shapes[:4]))}: {expected}")
    array = as_array(images, "images")
    if count == 1 and array.ndim == 3 and array.shape[-1] == 3:
        array = array[None]
    if array.ndim == 3:
        array = np.repeat(array[..., None], 3, axis=-1)
    if array.ndim != 4 or array.shape[-1] != 3 or len(array) != count:
        raise InputError(f"images of shape {array.shape}: {expected}, in the frame that the model sees")
    if array.dtype != np.uint8:
        raise InputError(f"images of type {array.dtype}: {expected}; images in [0, 1] are (255 * images).round()")
    return array


def from_inputs(x: np.ndarray, size: tuple[int, ...], count: int) -> tuple[np.ndarray | None, str | None]:
    """Pictures made from a model's input, and "input" or "rescaled"; (None, None) if the input is no picture."""
    if len(size) != 2 or x.ndim not in (3, 4) or not x.size or x.dtype.kind not in "uif":
        return None, None
    x = x[None] if x.ndim == 3 else x
    if len(x) != count:
        return None, None
    if x.shape[2:] == size and x.shape[1] in (1, 3):
        x = np.moveaxis(x, 1, -1)
    elif x.shape[1:3] != size or x.shape[-1] not in (1, 3):
        return None, None
    x = np.repeat(x, 3, axis=-1) if x.shape[-1] == 1 else x
    if x.dtype == np.uint8:
        return np.ascontiguousarray(x), "input"
    low, high = float(x.min()), float(x.max())
    if low >= 0 and DARKEST_WHITE <= high <= 255:  # pixels, for a model that scales them itself
        return np.rint(x).astype(np.uint8), "input"
    source = "input"
    if low < 0 or high > 1:
        x, source = (x.astype(np.float32) - low) / max(high - low, 1e-12), "rescaled"
    return np.rint(np.ascontiguousarray(x, np.float32) * 255).astype(np.uint8), source
