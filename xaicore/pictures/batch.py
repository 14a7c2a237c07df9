"""The pictures of one call, read and prepared as one batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from xaicore.errors import InputError
from xaicore.pictures.preparation import Preparation, stack
from xaicore.pictures.reading import PictureError
from xaicore.pictures.sources import Source

__all__ = ["PictureBatch", "read_batch"]

MOST = 3
"""Pictures of which a message says why they could not be read."""


@dataclass(frozen=True, eq=False)
class PictureBatch:
    """N pictures, ready to be explained.

    Attributes:
        x: (N, ...), the model's input.
        images: (N, H, W, 3) uint8 RGB, as the model sees them; None if the preparation returns none.
        kept: (N,) their positions among all that were tried.
        skipped: {id: why it could not be read} of the others.
    """

    x: np.ndarray
    images: np.ndarray | None
    kept: np.ndarray
    skipped: Mapping[str, str]

    @property
    def reasons(self) -> str:
        """Why pictures were skipped, of the first ones."""
        return _reasons(self.skipped)


def read_batch(
    sources: Sequence[Source], prepare: Preparation, alone: str = "explain them one by one", skips: bool = False
) -> PictureBatch:
    """Read pictures, and make inputs of them.

    Args:
        sources: the pictures.
        prepare: makes inputs of them.
        alone: how the caller explains one picture at a time, for the message where their sizes differ.
        skips: leave out pictures that cannot be read or prepared, as long as there are others.

    Raises:
        PictureError: one cannot be read or prepared, and is not skipped.
        InputError: none can, or the prepared ones differ in shape.
    """
    kept, xs, images, skipped = [], [], [], {}
    for position, source in enumerate(sources):
        try:
            x, image = prepare(source.read(), source.id)
        except PictureError as exc:
            if not skips:
                raise
            skipped[source.id] = str(exc)
            continue
        kept.append(position)
        xs.append(x)
        images.append(image)
    if not kept:
        raise InputError(f"none of the {len(sources)} pictures could be read. {_reasons(skipped)}")
    ids = [sources[position].id for position in kept]
    seen = [image for image in images if image is not None]
    return PictureBatch(
        stack(xs, ids, "inputs", alone),
        stack(seen, ids, "pictures", alone) if len(seen) == len(kept) else None,
        np.array(kept),
        skipped,
    )


def _reasons(skipped: Mapping[str, str]) -> str:
    shown = "; ".join(list(skipped.values())[:MOST])
    return shown + (f"; and {len(skipped) - MOST} more" if len(skipped) > MOST else "")
