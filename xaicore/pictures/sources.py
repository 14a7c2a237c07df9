"""What a caller's `x` means: pictures to be read and prepared, or the model's own input."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from xaicore.backend import Backend
from xaicore.errors import InputError, type_name
from xaicore.pictures.example import remedy
from xaicore.pictures.files import is_video, picture_id, pictures_at
from xaicore.pictures.reading import is_pil, read_array, read_picture, read_pil
from xaicore.pictures.video import frames_of

__all__ = ["File", "InMemory", "Source", "find_sources", "sources_of"]

PATH, PIL, ARRAY = "a path", "a PIL image", "a uint8 array"


class Source(Protocol):
    """One picture that can be read, as often as asked and in any process.

    Attributes:
        id: names it in messages and, of a file, in results.
    """

    @property
    def id(self) -> str:
        """The name."""

    def read(self) -> np.ndarray:
        """uint8 RGB (H, W, 3); raises `PictureError`."""


@dataclass(frozen=True)
class File:
    """A picture on disk."""

    path: Path

    @property
    def id(self) -> str:
        """The path as it was found."""
        return picture_id(self.path)

    def read(self) -> np.ndarray:
        """The file's pixels."""
        return read_picture(self.path)


@dataclass(frozen=True, eq=False)
class InMemory:
    """An image of Pillow or a uint8 array, called as the caller would index it, such as "x[3]"."""

    image: Any
    id: str

    def read(self) -> np.ndarray:
        """The image's pixels."""
        return read_pil(self.image, self.id) if is_pil(self.image) else read_array(self.image, self.id)


def find_sources(x: Any, is_prepared: bool, backend: Backend | None = None, name: str = "x") -> Sequence[Source] | None:
    """The pictures of a call; None where x is the model's own input.

    Args:
        x: a path, a folder, a pattern, a video, an image of Pillow, or a list of paths or images. With a preparation,
            also a uint8 array (H, W, 3), (H, W) or (N, H, W, 3), or a list of arrays of any size. A column of a table
            is a list.
        is_prepared: the caller has a preparation for pictures. Without one, arrays are the model's own input.
        backend: of the model, for the code that a message offers.
        name: what the caller calls x.

    Raises:
        InputError: paths or images without a preparation, a list of several kinds, or a path without a picture.
    """
    x = _listed(x) if is_prepared else x
    kinds = {_kind(one) for one in (x if isinstance(x, (list, tuple)) else [x])}
    if isinstance(x, list) and not x and is_prepared:
        raise InputError(f"{name} is an empty list: expected one picture or more")
    if not kinds & {PATH, PIL} and not (is_prepared and ARRAY in kinds and not isinstance(x, tuple)):
        return None
    if isinstance(x, tuple):
        raise InputError(
            f"{name} is a tuple, which is positional arguments of the model: pass pictures as a list, list({name})"
        )
    if len(kinds) > 1:
        names = sorted({_kind(one) or type_name(one).removeprefix("builtins.") for one in x})
        raise InputError(
            f"{name} is a list of {' and '.join(names)}: expected pictures of one kind, all paths, all PIL images or "
            "all uint8 arrays"
        )
    if not is_prepared:
        raise InputError(_unprepared(x, backend, name))
    return _sources(x, kinds.pop(), name)


def sources_of(file: Path) -> Sequence[Source]:
    """The picture in a file, or the frames of a video.

    Raises:
        PictureError: the video cannot be decoded.
    """
    return frames_of(file) if is_video(file) else [File(file)]


def _kind(value: Any) -> str | None:
    if isinstance(value, (str, os.PathLike)):
        return PATH
    if is_pil(value):
        return PIL
    return ARRAY if isinstance(value, np.ndarray) and value.dtype == np.uint8 else None


def _listed(x: Any) -> Any:
    """A column of paths or images, such as a Series of pandas or an array of strings, as a list."""
    is_column = getattr(getattr(x, "dtype", None), "kind", None) in ("O", "U")
    return x.tolist() if is_column and np.ndim(x) == 1 else x


def _sources(x: Any, kind: str | None, name: str) -> Sequence[Source]:
    if kind == PATH:
        return _sources_at(x if isinstance(x, list) else [x])
    if isinstance(x, list) or (kind == ARRAY and x.ndim == 4):
        return [InMemory(image, f"{name}[{n}]") for n, image in enumerate(x)]
    return [InMemory(x, name)]


def _sources_at(paths: Iterable[str | os.PathLike[str]]) -> list[Source]:
    """The pictures at these paths, in their order; those of a folder in natural order, of a video in that of time."""
    return [source for place in paths for file in pictures_at(place) for source in sources_of(file)]


def _unprepared(x: Any, backend: Backend | None, name: str) -> str:
    first = x[0] if isinstance(x, list) else x
    what = f"the path {os.fsdecode(first)[:80]!r}" if _kind(first) == PATH else f"a {type_name(first)}"
    return (
        f"{name} is {'a list that begins with ' if isinstance(x, list) else ''}{what}, and nothing says how this "
        "model's pictures are prepared: pass preprocess=f, a function from a picture, (H, W, 3) uint8 RGB, to one "
        "input of the model without a batch axis, or to (input, picture as the network sees it). "
        f"{remedy(backend)}"
    )
