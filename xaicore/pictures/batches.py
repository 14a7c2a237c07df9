"""Pictures, read and prepared batch by batch. A picture that cannot be read is reported, counted and skipped."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from xaicore.pictures.preparation import Preparation, stack
from xaicore.pictures.reading import PictureError
from xaicore.pictures.sources import Source

__all__ = ["PictureBatch", "PictureBatches"]


@dataclass(frozen=True)
class PictureBatch:
    """N pictures, ready to be explained.

    Attributes:
        ids: N names, those of files as they were found.
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
        sources: the pictures.
        truth: their true classes, or None.
        prepare: makes inputs of them.
        size: pictures per batch; fewer in the last one, and where some are broken.
        warn: called with a message for each broken picture, which is skipped. None: its error is raised.
        alone: how the caller explains one picture at a time, for the message where their sizes differ.

    Attributes:
        read: how many pictures were tried so far.
        broken: how many of these could not be read.
        skipped: {id: why it could not be read} of these.
    """

    sources: Sequence[Source]
    truth: np.ndarray | None
    prepare: Preparation
    size: int
    warn: Callable[[str], None] | None = None
    alone: str = "explain them one by one"
    read: int = field(default=0, init=False)
    broken: int = field(default=0, init=False)
    skipped: dict[str, str] = field(default_factory=dict, init=False)

    def __iter__(self) -> Iterator[PictureBatch]:
        for start in range(0, len(self.sources), self.size):
            batch = self._batch(range(start, min(start + self.size, len(self.sources))))
            if batch is not None:
                yield batch

    def _batch(self, positions: range) -> PictureBatch | None:
        kept, xs, images = [], [], []
        for i in positions:
            self.read += 1
            try:
                x, image = self.prepare(self.sources[i].read(), self.sources[i].id)
            except PictureError as exc:
                if self.warn is None:
                    raise
                self.broken += 1
                self.skipped[self.sources[i].id] = str(exc)
                self.warn(str(exc))
                continue
            kept.append(i)
            xs.append(x)
            images.append(image)
        if not kept:
            return None
        ids = [self.sources[i].id for i in kept]
        seen = [image for image in images if image is not None]
        return PictureBatch(
            ids,
            stack(xs, ids, "inputs", self.alone),
            stack(seen, ids, "pictures", self.alone) if len(seen) == len(kept) else None,
            None if self.truth is None else self.truth[kept],
        )
