"""The model's inputs as the pictures that maps lie over, and changed pictures as inputs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from xaicore import trees
from xaicore.backend import Backend
from xaicore.errors import InputError, MethodError
from xaicore.layers import Frame, Place
from xaicore.layers.grid import POSITIONS
from xaicore.layers.runs import Source

__all__ = ["InputPictures", "as_seen", "made_inside", "picture_input"]


class InputPictures:
    """The pictures under the maps of inputs x.

    Args:
        backend: reads the arrays of its framework.
        x: what the model takes, a batch.
        place: where the model is explained; None for a backend that reports no facts, whose input with the most axes
            has its channels first, or last where the backend says so.
    """

    def __init__(self, backend: Backend, x: Any, place: Place | None) -> None:
        self._leaves = [
            (at, backend.to_numpy(leaf))
            for at, leaf in zip(trees.places(x), trees.leaves(x), strict=True)
            if hasattr(leaf, "shape") and np.ndim(leaf)
        ]
        self._x = x
        arrays = [array for _, array in self._leaves]
        if place is None:
            position = max(range(len(arrays)), key=lambda i: arrays[i].ndim)
            letters = POSITIONS.get(arrays[position].ndim - 2, "dhwt"[: max(arrays[position].ndim - 2, 0)])
            axes = f"n{letters}c" if backend.channels_last else f"nc{letters}"
            shape = dict(zip(axes, arrays[position].shape, strict=True))
            self._frame = Frame(axes, tuple(shape[letter] for letter in letters))
            self._sources: tuple[Source, ...] = (Source(position),)
        else:
            self._frame, self._sources = place.frame, place.sources
        self.views = self._frame.rows * len(self._sources)

    @property
    def letters(self) -> str:
        """A letter per axis of a picture's positions, such as "hw"."""
        return self._frame.positions

    @property
    def is_made(self) -> bool:
        """Whether the model makes the pictures of its inputs, so that no input can be changed in their place."""
        return self._frame.is_made

    @cached_property
    def array(self) -> np.ndarray:
        """(N * views, C, *size) float32; whole numbers keep their values.

        Raises:
            MethodError: the model makes the pictures of its inputs.
        """
        if self.is_made:
            raise MethodError(
                "the model makes the pictures of its inputs, so that none can be changed: explain the rest of the "
                "model, behind these pictures, or use a method of one pass, such as 'gradcam', without smooth= and "
                "augment="
            )
        arranged = [self._frame.arrange(self._leaves[one.position][1], one.frame) for one in self._sources]
        return _interleaved(arranged).astype(np.float32, copy=False)

    def gradients(self, of_inputs: Any) -> np.ndarray:
        """Gradients (N, K, *input), one for each input, as (N * views, K, C, *size).

        Raises:
            MethodError: an input that the pictures lie in has none.
        """
        arranged = []
        for source in self._sources:
            one = of_inputs[source.position]
            if one is None:
                is_whole = self._leaves[source.position][1].dtype.kind in "iub"
                why = "since it holds whole numbers: pass floating-point pixels" if is_whole else "use method='gradcam'"
                raise MethodError(f"input {source.position} has no gradient, {why}")
            n, k, *rest = one.shape
            rows = self._frame.arrange(one.reshape(n * k, *rest), source.frame)
            rows = rows.reshape(n, k, -1, *rows.shape[1:]).swapaxes(1, 2)
            arranged.append(rows.reshape(-1, k, *rows.shape[3:]))
        return _interleaved(arranged)

    def changed(self, pictures: np.ndarray, chosen: np.ndarray) -> Any:
        """The inputs of some images, with other pictures.

        Args:
            pictures: (R * views, C, *size).
            chosen: (R,) positions of images, in any order, also repeated: row i of the new batch has the other inputs
                of image chosen[i].
        """
        each = pictures.reshape(-1, self._frame.rows, len(self._sources), *pictures.shape[1:])
        count = len(self._leaves[self._sources[0].position][1])
        arrays = {}
        for i, (at, leaf) in enumerate(self._leaves):
            placed = [(each[:, :, s], one.frame) for s, one in enumerate(self._sources) if one.position == i]
            if len(placed) == 1 and placed[0][1] is None:  # the picture is all of the input
                whole = placed[0][0].reshape(-1, *pictures.shape[1:])
                arrays[at] = _like(leaf, self._frame.restore(whole, leaf.shape[1:]))
                continue
            array = leaf[chosen] if len(leaf) == count else leaf
            for part, frame in placed:
                array = _put(array, self._frame, frame, part)
            arrays[at] = array
        return trees.replaced(self._x, arrays)


def picture_input(backend: type[Backend], x: Any, place: Place | None = None) -> np.ndarray:
    """The input that the maps lie over, (N, C, *size) where its axes are known; else the one with the most axes."""
    arrays = [backend.to_numpy(leaf) for leaf in trees.leaves(x) if leaf is not None]
    return max(arrays, key=np.ndim) if place is None else place.pictures([one for one in arrays if one.ndim])


def as_seen(images: Any, place: Place | None) -> Any:
    """The caller's pictures (N, H, W, ...) as they lie under the maps.

    The padding that the model puts behind their end is added, in proportion.

    Raises:
        InputError: the model swaps the positions of its input, and nothing says which way the pictures lie.
    """
    if images is None or place is None:
        return images
    frame = place.frame
    if not frame.is_upright and not frame.is_stated and not _fits(np.shape(images), frame.size):
        axes = frame.axes.replace("r", "t")
        raise InputError(
            f"the model swaps height and width of its input, which is read as {axes!r}, and nothing says whether the "
            f"pictures {np.shape(images)} lie as this input does or as the model sees it. Pass input_axes={axes!r}, "
            "and pictures as the model sees them: images.swapaxes(1, 2), in preprocess picture.swapaxes(0, 1), turns "
            "those that lie as the input does"
        )
    return _with_padding(images, frame) if any(frame.padding) else images


def _fits(shape: Sequence[int], size: tuple[int, ...]) -> bool:
    """Whether pictures (N, H, W, ...) have the proportions of such an input, and not those of a turned one, too."""
    if len(size) != 2 or len(shape) < 3 or size[0] == size[1]:
        return False
    return abs(shape[1] * size[1] - shape[2] * size[0]) <= max(size) < abs(shape[1] * size[0] - shape[2] * size[1])


def _with_padding(images: Any, frame: Frame) -> np.ndarray:
    array, size = trees.as_array(images, "images"), frame.size
    if array.ndim < 1 + len(size) or array.shape[1 : 1 + len(size)] == size:
        return array
    own = zip(array.shape[1:], frame.padding, size, strict=False)
    missing = [(0, round(length * n / (whole - n))) for length, n, whole in own]
    return np.pad(array, [(0, 0), *missing, *[(0, 0)] * (array.ndim - 1 - len(size))])


def made_inside(backend: Backend, x: Any, frame: Frame) -> np.ndarray:
    """The pictures that the model makes of x, as its first convolution takes them."""
    if frame.taken_by is not None:
        return backend.input_of(x, frame.taken_by)
    name = str(frame.made_by)
    return backend.capture(x, (name,)).activations[name]


def _interleaved(arrays: list[np.ndarray]) -> np.ndarray:
    return arrays[0] if len(arrays) == 1 else np.stack(arrays, axis=1).reshape(-1, *arrays[0].shape[1:])


def _put(array: np.ndarray, frame: Frame, of: int | None, pictures: np.ndarray) -> np.ndarray:
    """An input (R, ...) with other pictures (R, rows, C, *size) where the frame finds them."""
    one = array[:1]
    at = frame.arrange(np.arange(one.size).reshape(one.shape), of).reshape(-1)
    changed = array.reshape(len(array), -1).copy()
    changed[:, at] = _like(array, pictures.reshape(len(array), -1))
    return changed.reshape(array.shape)


def _like(array: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Values in the type of an array; whole numbers are rounded, and kept in its range."""
    if array.dtype.kind in "iu":
        limits = np.iinfo(array.dtype)
        values = np.clip(np.rint(values), limits.min, limits.max)
    return values.astype(array.dtype, copy=False)
