"""The inputs of a model that takes several, of one image: in the tuple, dict or list that the model takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xaicore import trees
from xaicore.errors import type_name
from xaicore.pictures import PictureError
from xaicore.pictures.reading import is_pil

__all__ = ["Inputs", "batch_of"]

NUMBERS = "biuf"
"""The kinds of arrays that are inputs."""


@dataclass(frozen=True, eq=False)
class Inputs:
    """Several arrays of one image, without a batch axis.

    Attributes:
        value: as a call of `Explainer` takes them but for the batch axis: a tuple is positional arguments of the model,
            a dict keyword arguments, a list one argument.
    """

    value: Any

    @classmethod
    def read(cls, value: Any, name: str) -> Inputs:
        """The inputs in a part of an element; numbers become arrays.

        Args:
            value: a tuple, dict or list of arrays, tensors and numbers.
            name: what to call it in messages.

        Raises:
            PictureError: it holds something else, or no array.
        """
        found = trees.map_leaves(lambda leaf: _array(leaf, name), value)
        if not any(leaf.ndim for leaf in trees.leaves(found)):
            raise PictureError(f"{name} is a {type(value).__name__} without an array: expected the inputs of a model")
        return cls(found)

    @property
    def shape(self) -> tuple[Any, ...]:
        """Where each array is, and its shape: equal for images that fit into one batch."""
        return tuple(zip(trees.places(self.value), (leaf.shape for leaf in trees.leaves(self.value)), strict=True))

    def __str__(self) -> str:
        arrays = zip(trees.places(self.value), trees.leaves(self.value), strict=True)
        named = (f"{'.'.join(map(str, at))}: {array.dtype} {array.shape}" for at, array in arrays)
        return f"a {type(self.value).__name__} of {', '.join(named)}"


def batch_of(images: Sequence[np.ndarray | Inputs]) -> Any:
    """Inputs of N images, all of one shape, as a model takes them: arrays (N, ...), alone or nested."""
    arrays = [one for one in images if isinstance(one, np.ndarray)]
    if len(arrays) == len(images):
        return np.stack(arrays)
    nests = [one.value for one in images if isinstance(one, Inputs)]
    return trees.concatenate([trees.map_leaves(lambda leaf: leaf[None], one) for one in nests])


def _array(leaf: Any, name: str) -> np.ndarray:
    if is_pil(leaf):
        raise PictureError(
            f"{name} holds a picture, a {type_name(leaf)}, among several inputs: expected arrays or tensors as the "
            "model takes them, since nothing says which of its inputs is prepared; prepare it in the data set"
        )
    is_number = isinstance(leaf, (bool, int, float)) or hasattr(leaf, "shape")
    array = trees.as_array(leaf, name) if is_number else None
    if array is None or array.dtype.kind not in NUMBERS:
        kind = type_name(leaf).removeprefix("builtins.")
        raise PictureError(
            f"{name} holds a {kind} among several inputs: expected arrays, tensors and numbers, those that the model "
            "takes; leave the others out in the data set"
        )
    return array
