"""Pictures, read and prepared batch by batch. A picture that cannot be read is reported, counted and skipped."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from xaicore.cli.files import PictureError, picture_id, read_picture
from xaicore.cli.preparation import Preparation, stack

__all__ = ["PictureBatch", "PictureBatches"]


@dataclass(frozen=True)
class PictureBatch:
    """N pictures, ready to be explained.

    Attributes:
        ids: N paths, as they were found.
        x: (N, ...), the model's input.
        images: (N, H, W, 3) uint8 RGB, as the model sees them; None if the preparation returns none.
        truth: (N,) int64, -1 where unknown; or None.
    """

    ids: list[str]
    x: np.ndarray
    images: np.ndarray | None
    truth: np.ndarray | None


@dataclass
class PictureBatches:
    """All pictures of a run; only one batch is in memory.

    Args:
        files: the pictures' paths.
        truth: their true classes, or None.
        prepare: makes inputs of them.
        size: pictures per batch; fewer in the last one, and where some are broken.
        warn: called with a message for each broken picture.

    Attributes:
        read: how many pictures were tried so far.
        broken: how many of these could not be read.
    """

    files: Sequence[Path]
    truth: np.ndarray | None
    prepare: Preparation
    size: int
    warn: Callable[[str], None]
    read: int = field(default=0, init=False)
    broken: int = field(default=0, init=False)

    def __iter__(self) -> Iterator[PictureBatch]:
        for start in range(0, len(self.files), self.size):
            batch = self._batch(range(start, min(start + self.size, len(self.files))))
            if batch is not None:
                yield batch

    def _batch(self, positions: range) -> PictureBatch | None:
        kept, xs, images = [], [], []
        for i in positions:
            self.read += 1
            try:
                picture = read_picture(self.files[i])
                x, image = self.prepare(picture, picture_id(self.files[i]))
            except PictureError as exc:
                self.broken += 1
                self.warn(str(exc))
                continue
            kept.append(i)
            xs.append(x)
            images.append(image)
        if not kept:
            return None
        ids = [picture_id(self.files[i]) for i in kept]
        seen = [image for image in images if image is not None]
        return PictureBatch(
            ids,
            stack(xs, ids, "inputs"),
            stack(seen, ids, "pictures") if len(seen) == len(kept) else None,
            None if self.truth is None else self.truth[kept],
        )
