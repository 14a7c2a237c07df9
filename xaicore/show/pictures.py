"""The pictures under the heatmaps: the user's, or made from the model's inputs. Volumes and signals have some, too.

Made on demand, because it costs time that a caller who wants maps alone should not pay.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from xaicore.errors import InputError
from xaicore.show import curves
from xaicore.trees import as_array

__all__ = ["Pictures"]


DARKEST_WHITE = 32
"""Inputs whose largest value is at least this, and at most 255, are pixels; standardised ones are far below."""


class Pictures:
    """Pictures (N, H, W, 3) uint8 RGB, or None if there are none; of volumes (N, D, H, W, 3), of signals their curves.

    Args:
        count: N.
        input_size: the spatial shape of the model's input, which tells its layout.
        given: the user's pictures, (N, H, W, 3) or (N, H, W) uint8, or None; volumes (N, D, H, W, 3) or (N, D, H, W).
        inputs: returns the model's input as an array, called once and only when no pictures were given.
        views: pictures per image, which lie side by side: (N, H, views * W, 3); volumes as (N, views, D, H, W, 3).

    Raises:
        InputError: the user's pictures have another number, type or shape, or are for signals.
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
        self.given = None if given is None else _check(given, count, input_size, views)

    @cached_property
    def _made(self) -> tuple[np.ndarray | None, str | None]:
        if self.given is not None:
            return self.given, "user"
        assert self._inputs is not None
        made, source = from_inputs(self._inputs(), self._size, self._count * self._views)
        if made is not None and self._views > 1:
            made = made.reshape(self._count, self._views, *made.shape[1:])
            made = made if len(self._size) == 3 else _strips(made, self._views)
        self._inputs = None  # lets the input go
        return made, source

    @property
    def array(self) -> np.ndarray | None:
        """(N, H, W, 3) uint8 RGB or None; volumes are (N, D, H, W, 3)."""
        return self._made[0]

    @property
    def source(self) -> str | None:
        """Where they come from: "user", "input", "rescaled" or "curve"; None where there are none."""
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


def _check(images: Any, count: int, size: tuple[int, ...], views: int) -> np.ndarray:
    """The user's pictures for maps over an input of this spatial shape.

    Raises:
        InputError: they do not fit.
    """
    if len(size) == 1:
        raise InputError(
            f"images= with signals of {size[0]} samples: a map of a signal lies over its curve, which is drawn of the "
            "input. Leave images= out"
        )
    if len(size) == 3:
        return check_volumes(images, count, views)
    return check_pictures(_strips(images, views), count)


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
    return _checked(images, count, 4, expected, "in the frame that the model sees")


def check_volumes(images: Any, count: int, views: int = 1) -> np.ndarray:
    """The user's volumes as (N, D, H, W, 3) uint8, several views as (N, views, D, H, W, 3); see `check_pictures`.

    Raises:
        InputError: another number, type or shape.
    """
    shape = f"({count}, {f'{views}, ' if views > 1 else ''}D, H, W"
    expected = f"expected {count} volumes of one size, RGB or grey, uint8 {shape}, 3) or {shape})"
    checked = _checked(images, count, 5 + (views > 1), expected, "with the axes in the order of the maps")
    if views > 1 and checked.shape[1] != views:
        raise InputError(f"images of shape {checked.shape}: {expected}")
    return checked


def _checked(images: Any, count: int, ndim: int, expected: str, how: str) -> np.ndarray:
    if isinstance(images, Sequence):
        shapes = sorted({as_array(image, "images").shape for image in images})
        if len(shapes) > 1:
            raise InputError(f"images of shapes {', '.join(map(str, shapes[:4]))}: {expected}")
    array = as_array(images, "images")
    if count == 1 and array.ndim == ndim - 1 and array.shape[-1] == 3:
        array = array[None]
    if array.ndim == ndim - 1:
        array = np.repeat(array[..., None], 3, axis=-1)
    if array.ndim != ndim or array.shape[-1] != 3 or len(array) != count:
        raise InputError(f"images of shape {array.shape}: {expected}, {how}")
    if array.dtype != np.uint8:
        raise InputError(f"images of type {array.dtype}: {expected}; images in [0, 1] are (255 * images).round()")
    return array


def from_inputs(x: np.ndarray, size: tuple[int, ...], count: int) -> tuple[np.ndarray | None, str | None]:
    """Pictures made from a model's input, and where they come from; (None, None) if the input is none.

    A picture or volume has one or three channels, a signal any number, of floating-point numbers.
    """
    if not 1 <= len(size) <= 3 or not x.size or x.dtype.kind not in "uif":
        return None, None
    x = x[None] if x.ndim == len(size) + 1 else x
    if x.ndim != len(size) + 2 or len(x) != count:
        return None, None
    if len(size) == 1:
        return _curves_of(x, size)
    if x.shape[2:] == size and x.shape[1] in (1, 3):
        x = np.moveaxis(x, 1, -1)
    elif x.shape[1:-1] != size or x.shape[-1] not in (1, 3):
        return None, None
    return _pixels(np.repeat(x, 3, axis=-1) if x.shape[-1] == 1 else x)


def _curves_of(x: np.ndarray, size: tuple[int, ...]) -> tuple[np.ndarray | None, str | None]:
    """The curves of signals (N, C, T) or (N, T, C); none of whole numbers, which may be words."""
    if x.dtype.kind != "f" or size not in (x.shape[2:], x.shape[1:-1]):
        return None, None
    return curves.draw(x if x.shape[2:] == size else np.moveaxis(x, -1, 1)), "curve"


def _pixels(x: np.ndarray) -> tuple[np.ndarray, str]:
    """Inputs as uint8: as they are, or rescaled by the minimum and maximum of all of them."""
    if x.dtype == np.uint8:
        return np.ascontiguousarray(x), "input"
    low, high = float(x.min()), float(x.max())
    if low >= 0 and DARKEST_WHITE <= high <= 255:  # pixels, for a model that scales them itself
        return np.rint(x).astype(np.uint8), "input"
    source = "input"
    if low < 0 or high > 1:
        x, source = (x.astype(np.float32) - low) / max(high - low, 1e-12), "rescaled"
    return np.rint(np.ascontiguousarray(x, np.float32) * 255).astype(np.uint8), source
