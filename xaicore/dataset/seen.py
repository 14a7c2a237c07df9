"""The pictures under stored maps, read from their files when they are drawn.

A map lies over the picture that the model saw, which the preprocessing cut out of the file. So a file is shown only as
the run's own preprocessing makes it, or where its sketch shows that the model saw all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xaicore.dataset.sketch import is_sketched
from xaicore.errors import InputError
from xaicore.opencv import cv2
from xaicore.pictures import Preparation
from xaicore.pictures.reading import PictureError, read_picture
from xaicore.show.pictures import Pictures, from_inputs

__all__ = ["Seen", "SeenPictures", "check_files"]

RESIZINGS = (cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_NEAREST)


@dataclass(frozen=True)
class Seen:
    """What is known of a picture that a model saw.

    Attributes:
        id: its name.
        path: its file; None where there is none.
        size: the height and width of the model's input.
        sketch: what it looked like, see `sketch`; None where that is not known.
    """

    id: str
    path: str | None
    size: tuple[int, ...]
    sketch: bytes | None

    def read(self, preparation: Preparation | None) -> np.ndarray:
        """The picture as the model saw it, uint8 RGB (*size, 3).

        Raises:
            PictureError: the file cannot be read.
            InputError: nothing shows which part of the file the model saw, or the preprocessing is another one.
        """
        assert self.path is not None
        if self.sketch is None and preparation is None:
            raise InputError(
                f"nothing says which part of {self.path} the model saw: pass preprocess=, the function that the run "
                "was made with, or images=None for maps without pictures"
            )
        whole = read_picture(Path(self.path))
        picture = whole if preparation is None else self._prepared(preparation, whole)
        for resized in self._resized(picture):
            if self.sketch is None or is_sketched(resized, self.sketch):
                return resized
        how = "the whole file" if preparation is None else f"what {preparation.name} makes of it"
        raise InputError(
            f"{self.path}: {how} is not what the model saw, so that the map would lie over another picture: pass "
            "preprocess=, the function that the run was made with, or images=None for maps without pictures"
        )

    def _prepared(self, preparation: Preparation, whole: np.ndarray) -> np.ndarray:
        x, picture = preparation(whole, self.id)
        if picture is None:
            made, _ = from_inputs(x[None], self.size, 1)
            if made is None:
                raise InputError(
                    f"preprocess {preparation.name} returns an input of shape {x.shape} for {self.id}, which is no "
                    "picture: return (input, picture), or pass images=None"
                )
            picture = made[0]
        return picture

    def _resized(self, picture: np.ndarray) -> Iterator[np.ndarray]:
        """The picture at the size of the input, in the ways that preprocessing has: they differ in fine lines."""
        height, width = self.size
        if picture.shape[:2] == self.size:
            yield picture
            return
        for how in RESIZINGS:
            yield cv2.resize(picture, (width, height), interpolation=how)


class SeenPictures(Pictures):
    """Pictures of files, (N, H, W, 3); those of a part are read when they are first drawn.

    Args:
        seen: what is known of each.
        preparation: the run's preprocessing; None for whole files.
        find: finds the run's preprocessing where there is none, and the model did not see whole files.
    """

    def __init__(
        self,
        seen: Sequence[Seen],
        preparation: Preparation | None,
        find: Callable[[], Preparation | None] = lambda: None,
    ) -> None:
        self._seen, self._preparation, self._find = tuple(seen), preparation, find
        super().__init__(len(seen), seen[0].size, None, self._read)

    @property
    def array(self) -> np.ndarray:
        """(N, H, W, 3) uint8 RGB."""
        found = self.__dict__.get("_array")
        if found is None:
            found = self.__dict__["_array"] = self._read()
        return found

    @property
    def source(self) -> str:
        """They are the user's."""
        return "user"

    def take(self, chosen: np.ndarray) -> Pictures:
        """Some of them, by position."""
        return SeenPictures([self._seen[n] for n in chosen], self._preparation, self._find)

    def __getstate__(self) -> dict[str, Any]:
        return {"given": self.array, "_made": (self.array, "user")}

    def __reduce__(self) -> tuple[Callable[..., Pictures], tuple[Any, ...]]:
        return Pictures.from_array, (self.array, "user")

    def _read(self) -> np.ndarray:
        try:
            return self._as(self._preparation)
        except PictureError:
            raise
        except InputError:
            found = self._find() if self._preparation is None else None
            if found is None:
                raise
            return self._as(found)

    def _as(self, preparation: Preparation | None) -> np.ndarray:
        return np.stack([one.read(preparation) for one in self._seen])


def check_files(seen: Sequence[Seen]) -> None:
    """Refuse pictures whose files are not there, before anything is drawn.

    Raises:
        InputError: a picture has no file, or it is gone.
    """
    for one in seen:
        if one.path is None or not Path(one.path).is_file():
            lacks = "has no file" if one.path is None else f"was at {one.path}, which is no file from {Path.cwd()}"
            raise InputError(
                f"the picture {one.id!r} {lacks}: pass images=, uint8 RGB (N, H, W, 3), or images=None for maps "
                "without pictures"
            )
