"""From a picture to a model's input, by the user's function."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from xaicore.backend import Backend
from xaicore.errors import BackendError, InputError, XaicoreError, type_name
from xaicore.pictures.imagenet import imagenet, imagenet_nhwc
from xaicore.pictures.reading import PictureError
from xaicore.trees import as_array

__all__ = ["IMAGENET", "Preparation", "check_single", "stack"]

IMAGENET = "imagenet"
"""The word that stands for the preparation of most ImageNet models of PyTorch."""

OF_IMAGENET = "imagenet (short side 256, centre 224 x 224, mean and standard deviation)"
"""Its name in results: the word that is typed, and what it does."""


@dataclass(frozen=True)
class Preparation:
    """A function from a picture, (H, W, 3) uint8 RGB, to `(x, picture)` or `x` alone, and its name.

    x is one input without a batch axis, an array or a tensor; picture, uint8 RGB, is the part of the picture that the
    network sees.
    """

    function: Callable[[np.ndarray], Any]
    name: str

    @classmethod
    def of(cls, preprocess: Any) -> Preparation | None:
        """What `preprocess=` means; None for None.

        Raises:
            InputError: it is neither a function nor "imagenet".
        """
        if preprocess is None or isinstance(preprocess, Preparation):
            return preprocess
        if preprocess is imagenet_nhwc:
            return cls(imagenet_nhwc, OF_IMAGENET)
        if preprocess is imagenet or (isinstance(preprocess, str) and preprocess == IMAGENET):
            return cls(imagenet, OF_IMAGENET)
        if isinstance(preprocess, str) and preprocess.rpartition(":")[0]:
            module, _, name = preprocess.rpartition(":")
            module = Path(module).stem if module.endswith(".py") else module
            raise InputError(
                f"preprocess={preprocess!r} is text, which the command line takes: import the function, `from {module} "
                f"import {name}`, and pass preprocess={name}"
            )
        if not callable(preprocess):
            raise InputError(
                f"preprocess={preprocess!r} is a {type_name(preprocess)}: expected a function from a picture, (H, W, "
                "3) uint8 RGB, to one input of the model without a batch axis, or to (input, picture); or 'imagenet', "
                "as most ImageNet models of PyTorch take them"
            )
        return cls(preprocess, getattr(preprocess, "__name__", type(preprocess).__name__))

    def for_backend(self, backend: Backend) -> Preparation:
        """ImageNet's preparation in the layout that the backend's model takes; any other is kept."""
        if self.function is imagenet and backend.channels_last:
            return replace(self, function=imagenet_nhwc)
        return self

    @contextmanager
    def blamed(self) -> Iterator[None]:
        """Name the function in the error of a model that does not take what it made."""
        try:
            yield
        except BackendError as exc:
            if type(exc) is not BackendError:
                raise
            made = f"These inputs were made by the preprocessing {self.name}"
            raise BackendError(f"{exc}. {made}: what it returns is one image of them, without the first axis") from exc

    def __call__(self, picture: np.ndarray, file: str) -> tuple[np.ndarray, np.ndarray | None]:
        """One input, and its picture if the function returns one.

        Raises:
            PictureError: the function raised, perhaps for this picture only; the message names the file.
            InputError: the function returned something unexpected, as it would for every picture.
        """
        origin = f"preprocess {self.name}, {file}"
        try:
            result = self.function(picture)
        except XaicoreError:
            raise
        except Exception as exc:
            raise PictureError(f"{origin}: {type(exc).__name__}: {exc}{_hint(exc, picture)}") from exc
        x, seen = result if isinstance(result, tuple) and len(result) == 2 else (result, None)
        x = as_array(x, f"{origin}: x")
        if x.dtype.kind not in "uifb" or not x.ndim:
            key = next(iter(result), None) if isinstance(result, Mapping) else None
            advice = "" if key is None else f"; return an array in it, such as result[{key!r}], without a batch axis"
            expected = f"expected an array x, or a tuple (x, picture){advice}"
            raise InputError(f"{origin}: returned a {type_name(result)}; {expected}")
        return x, None if seen is None else _seen(seen, origin)


def stack(arrays: Sequence[np.ndarray], ids: Sequence[str], kind: str, instead: str) -> np.ndarray:
    """Stack arrays of one shape along a new batch axis.

    Args:
        arrays: what a preparation returned.
        ids: the pictures' names.
        kind: what the arrays are, "inputs" or "pictures".
        instead: how the caller explains one picture at a time.

    Raises:
        InputError: the shapes differ.
    """
    for array, name in zip(arrays, ids, strict=True):
        if array.shape != arrays[0].shape:
            raise InputError(
                f"preprocess returned {kind} of shape {arrays[0].shape} for {ids[0]} and {array.shape} for {name}: a "
                f"batch needs one shape. Crop or resize in preprocess, or {instead}"
            )
    return np.stack(arrays)


def check_single(x: Any, with_batch_axis: Callable[[Any], Any]) -> None:
    """Refuse inputs (N, 1, ...) of a preparation that returned batches of one.

    Args:
        x: N stacked inputs; several arrays are a model's own, which nothing prepared.
        with_batch_axis: the backend's, which adds the axis where the model shows that it is missing.

    Raises:
        InputError: each has four axes or more, the first of length 1, and the model does not take it as one image.
    """
    if not isinstance(x, np.ndarray) or x.ndim < 5 or x.shape[1] != 1 or np.ndim(with_batch_axis(x[0])) == x.ndim:
        return
    raise InputError(
        f"preprocess returned an input of shape {x.shape[1:]}, which is a batch of one: expected one input without a "
        f"batch axis, {x.shape[2:]}; return x[0]"
    )


def _seen(picture: Any, origin: str) -> np.ndarray:
    seen = as_array(picture, f"{origin}: the picture")
    if seen.dtype != np.uint8 or seen.ndim != 3 or seen.shape[-1] != 3:
        raise InputError(
            f"{origin}: returned a picture of shape {seen.shape} and type {seen.dtype}; expected uint8 RGB (H, W, "
            "3), as the network sees it, before scaling"
        )
    return seen


def _hint(error: Exception, picture: np.ndarray) -> str:
    """What a function that expects an image of Pillow or a tensor does with an array."""
    if not isinstance(error, (TypeError, AttributeError)):
        return ""
    return (
        f". It is given a NumPy array {picture.shape} uint8; a transform of PIL images is preprocess=lambda picture: "
        "transform(PIL.Image.fromarray(picture))"
    )
