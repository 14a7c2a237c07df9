"""A batch of pictures as a model takes it, beside those of them that it cannot have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xaicore.errors import InputError, XaicoreError
from xaicore.pictures import PictureError
from xaicore.pictures.preparation import stack
from xaicore.source.inputs import Inputs, batch_of
from xaicore.source.items import Prepared
from xaicore.source.listing import Listing

__all__ = ["Ready"]


@dataclass(frozen=True, eq=False)
class Ready:
    """N pictures, ready to be explained.

    Attributes:
        ids: N names.
        x: (N, ...), the model's input, or several of them; None where N is 0.
        images: (N, H, W, 3) uint8 RGB, as the model sees them; None if the preparation returns none.
        truth: (N,) int64, -1 where unknown, (N, classes) bool, or None.
        broken: the items that could not be read or prepared.
    """

    ids: list[str]
    x: Any
    images: np.ndarray | None
    truth: np.ndarray | None
    broken: Sequence[Prepared]

    @classmethod
    def of(cls, items: Sequence[Prepared], listing: Listing, alone: str) -> Ready:
        """The items of a batch.

        Args:
            items: read and prepared, or broken.
            listing: has their true classes.
            alone: how the caller explains one picture at a time.

        Raises:
            InputError: inputs or pictures differ in shape, or the preparation returned something unexpected, as it
                would for every picture.
        """
        kept, broken = [one for one in items if one.x is not None], [one for one in items if one.x is None]
        for one in broken:
            is_of_all = one.is_read and isinstance(one.cause, XaicoreError) and not isinstance(one.cause, PictureError)
            if is_of_all and one.cause is not None:
                raise one.cause
        if not kept:
            return cls([], None, None, None, broken)
        ids = [one.item.id for one in kept]
        seen = [one.image for one in kept if one.image is not None]
        return cls(
            ids,
            _stacked([one.x for one in kept if one.x is not None], ids, alone),
            stack(seen, ids, "pictures", alone) if len(seen) == len(kept) else None,
            listing.truth_of(kept),
            broken,
        )

    def __len__(self) -> int:
        return len(self.ids)


def _stacked(images: Sequence[np.ndarray | Inputs], ids: Sequence[str], alone: str) -> Any:
    arrays = [one for one in images if isinstance(one, np.ndarray)]
    if len(arrays) == len(images):
        return stack(arrays, ids, "inputs", alone)
    for one, name in zip(images, ids, strict=True):
        if one.shape != images[0].shape:
            raise InputError(f"{ids[0]} is {images[0]}, and {name} is {one}: a batch needs one shape; {alone}")
    return batch_of(images)
