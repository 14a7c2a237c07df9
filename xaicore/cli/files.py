"""Pictures on disk: finding them, and reading their pixels."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from xaicore.errors import InputError
from xaicore.opencv import cv2

__all__ = ["SUFFIXES", "PictureError", "find_pictures", "picture_id", "read_picture"]

ENDINGS = "avif bmp dib gif jp2 jpe jpeg jpg pbm pgm png pnm ppm ras sr tif tiff webp"
SUFFIXES = frozenset(f".{ending}" for ending in ENDINGS.split())
"""Suffixes to look for in folders and patterns; a file that is named itself may have any suffix."""


class PictureError(InputError):
    """One picture cannot be read."""


def find_pictures(paths: Sequence[str]) -> list[Path]:
    """The pictures in files, folders (with all their subfolders) and patterns: in natural order, without repetitions.

    Hidden files and folders inside a folder are skipped. `**` in a pattern matches any folders.

    Raises:
        InputError: one of the paths leads to no picture.
    """
    found: dict[str, Path] = {}
    for path in paths:
        pictures = list(_pictures_of(path))
        if not pictures:
            raise InputError(_nothing(path))
        for picture in pictures:
            found.setdefault(os.path.abspath(picture), picture)
    return sorted(found.values(), key=_natural)


def picture_id(path: Path) -> str:
    """The path as it was found, with forward slashes; bytes that are not text become escapes."""
    return os.fsencode(path.as_posix()).decode("utf-8", "backslashreplace")


def read_picture(path: Path) -> np.ndarray:
    """uint8 RGB (H, W, 3), upright by its EXIF tag, without transparency; grey becomes RGB.

    Raises:
        PictureError: the file cannot be read, or is no picture.
    """
    try:
        data = np.fromfile(path, np.uint8)  # cv2.imread fails on non-ASCII paths on some systems
    except OSError as exc:
        raise PictureError(f"{path} cannot be read: {exc.strerror or exc}") from exc
    if not data.size:
        raise PictureError(f"{path} is an empty file")
    try:
        picture = cv2.imdecode(data, cv2.IMREAD_COLOR)
    except cv2.error as exc:
        raise PictureError(f"{path} cannot be decoded: {exc.err}") from exc
    if picture is None:
        raise PictureError(f"{path} is no picture that OpenCV {cv2.__version__} can decode")
    rgb: np.ndarray = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
    return rgb


def _pictures_of(path: str) -> Iterator[Path]:
    path = os.path.expanduser(path)  # the shell leaves a quoted pattern's ~ alone
    if os.path.isdir(path):
        yield from _pictures_in(path)
    elif os.path.exists(path):  # before patterns: names may have brackets
        yield Path(path)
    else:
        for match in glob.iglob(path, recursive=True):
            if os.path.isdir(match):
                yield from _pictures_in(match)
            elif _is_picture(match):
                yield Path(match)


def _pictures_in(folder: str) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            if _is_picture(name) and not name.startswith("."):
                yield Path(parent, name)


def _is_picture(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in SUFFIXES


def _nothing(path: str) -> str:
    suffixes = f"files with one of the suffixes {', '.join(sorted(SUFFIXES))}"
    if os.path.isdir(path):
        return f"no pictures in the folder {path!r} and its subfolders: expected {suffixes}"
    if glob.has_magic(path):
        return f"no pictures match the pattern {path!r}: expected {suffixes}"
    return f"no such file or folder: {path!r} (in {os.getcwd()})"


def _natural(path: Path) -> tuple[list[list[str | int]], str]:
    """A sort key: folder by folder, numbers in names by value, so that 2.jpg comes before 10.jpg."""
    parts = [re.split(r"(\d+)", part) for part in path.parts]  # numbers have odd indices
    return [[int(word) if i % 2 else word.casefold() for i, word in enumerate(part)] for part in parts], str(path)
