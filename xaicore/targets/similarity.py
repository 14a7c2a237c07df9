"""A likeness to a vector, such as the embedding of another picture or of a text."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np

from xaicore.errors import TargetError
from xaicore.outputs import is_dense
from xaicore.targets.target import Aim, Target
from xaicore.trees import as_array

__all__ = ["Similarity"]

MEASURES = ("cosine", "dot")


class Similarity(Target):
    """How like an output vector z is to a vector v: their cosine, or their product. That is the score, too.

    z is what the model returns; of a model that ends in a softmax or sigmoid, the logits behind it.

    Args:
        vector: (D,); one per image (N, D); or (1, K, D) and (N, K, D), K vectors for each image. Arrays, or tensors of
            any framework.
        measure: "cosine", z v / (|z| |v|), or "dot", z v.
        position: where outputs (N, D, *S) have a vector at each position: its index along *S, such as the token of a
            patch; a negative one counts from the end.
        names: what the K vectors stand for, such as texts.

    Raises:
        TargetError: the vector has another shape, is not finite or zero, or the measure is unknown.
    """

    def __init__(
        self,
        vector: Any,
        measure: str = "cosine",
        position: int | Sequence[int] | None = None,
        names: str | Sequence[str] | None = None,
    ) -> None:
        given = np.asarray(as_array(vector, "vector"), np.float64)
        if measure not in MEASURES:
            raise TargetError(f"Similarity(measure={measure!r}): expected 'cosine' or 'dot'")
        if given.ndim not in (1, 2, 3) or not given.size or not np.isfinite(given).all():
            raise TargetError(
                f"Similarity of a vector of shape {given.shape}: expected finite numbers (D,), (N, D), or (N, K, D)"
            )
        self.vectors = given[None, None] if given.ndim == 1 else given[:, None] if given.ndim == 2 else given
        if not np.linalg.norm(self.vectors, axis=-1).all():
            raise TargetError("Similarity to a vector of zeros, which has no direction")
        self.measure = measure
        self.position = position
        self.names = None if names is None else (names,) if isinstance(names, str) else tuple(names)
        if self.names is not None and len(self.names) != self.vectors.shape[1]:
            raise TargetError(f"Similarity to {self.vectors.shape[1]} vectors with {len(self.names)} names")

    def aim(self, outputs: np.ndarray, kind: str) -> Aim:
        """The gradient of the similarity by the output vector.

        Raises:
            TargetError: the outputs have another length, vectors at several positions, or are zero.
        """
        z, where = self._vectors_of(outputs)
        count, k, length = len(z), self.vectors.shape[1], z.shape[-1]
        if self.vectors.shape[-1] != length or len(self.vectors) not in (1, count):
            raise TargetError(
                f"{self}: vectors of shape {self.vectors.shape} (images, K, D) for outputs {outputs.shape}; expected "
                f"D = {length}, for all images or for each of {count}"
            )
        v = np.broadcast_to(self.vectors, (count, k, length))
        dot = (v * z[:, None]).sum(axis=-1)
        if self.measure == "dot":
            scores, gradient = dot, v
        else:
            own = np.linalg.norm(z, axis=-1)[:, None]
            if not own.all():
                raise TargetError(f"{self}: the output of image {int(np.argmin(own))} is zero, and has no cosine")
            unit = v / np.linalg.norm(v, axis=-1, keepdims=True)
            scores = dot / np.linalg.norm(v, axis=-1) / own
            gradient = (unit - scores[..., None] * (z / own)[:, None]) / own[..., None]
        direction = np.zeros((count, k, *outputs.shape[1:]), np.float64)
        at: Any = (slice(None),) * 3 + where
        direction[at] = gradient.reshape(direction[at].shape)
        names = np.broadcast_to(np.array(self.names or ("similarity",) * k, object), (count, k))
        return Aim(direction.astype(np.float32), np.full((count, k), -1, np.int64), scores, names)

    def again(self, aim: Aim) -> Target:
        """The vectors of the images that `aim` is of."""
        return self if aim.rows is None else self.take(aim.rows)

    def take(self, chosen: slice | np.ndarray) -> Target:
        """The target of some of the images, by position."""
        if len(self.vectors) == 1:
            return self
        taken = copy.copy(self)
        taken.vectors = self.vectors[chosen]
        return taken

    def _vectors_of(self, outputs: np.ndarray) -> tuple[np.ndarray, tuple[Any, ...]]:
        """(N, D), and the position along *S that they are of."""
        places = outputs.shape[2:]
        given = self.position
        position = () if given is None else (given,) if isinstance(given, int) else tuple(given)
        if outputs.ndim < 2 or (not is_dense(outputs) and not position):
            return outputs.reshape(len(outputs), -1).astype(np.float64), (slice(None),) * len(places)
        if len(position) != len(places) or any(not -n <= i < n for i, n in zip(position, places, strict=True)):
            raise TargetError(
                f"{self}: outputs {outputs.shape} have a vector at each of the positions {places}; pass position=, an "
                "index along each"
            )
        at: Any = (slice(None), slice(None), *position)
        return outputs[at].astype(np.float64), position

    def __str__(self) -> str:
        return "similarity" if self.names is None else f"similarity to {', '.join(self.names[:3])}"
