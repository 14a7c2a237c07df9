"""Pictures on disk: which files a path, a folder or a pattern means."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from xaicore.errors import InputError, nearest_file

__all__ = ["SUFFIXES", "VIDEOS", "find_pictures", "is_video", "picture_id", "pictures_at"]

PICTURE_ENDINGS = "avif bmp dib gif jp2 jpe jpeg jpg pbm pgm png pnm ppm ras sr tif tiff webp"
SUFFIXES = frozenset(f".{ending}" for ending in PICTURE_ENDINGS.split())
"""Suffixes to look for in folders and patterns; a file that is named itself may have any suffix."""

VIDEO_ENDINGS = "avi m4v mkv mov mp4 mpeg mpg webm wmv"
VIDEOS = frozenset(f".{ending}" for ending in VIDEO_ENDINGS.split())
"""Suffixes of videos, which are read frame by frame: one that is named itself, or by a pattern with its suffix."""

URL = re.compile(r"[a-z][a-z0-9+.-]+://|data:", re.IGNORECASE)


def find_pictures(paths: Sequence[str]) -> list[Path]:
    """The pictures in files, folders (with all their subfolders) and patterns: in natural order, without repetitions.

    Raises:
        InputError: one of the paths leads to no picture.
    """
    found: dict[str, Path] = {}
    for path in paths:
        for picture in pictures_at(path):
            found.setdefault(os.path.abspath(picture), picture)
    return sorted(found.values(), key=_natural)


def pictures_at(path: str | os.PathLike[str]) -> list[Path]:
    """The pictures at one path, in natural order: a file, a folder with all its subfolders, or a pattern.

    Hidden files and folders inside a folder are skipped. `**` in a pattern matches any folders.

    Raises:
        InputError: the path leads to no picture, or is a URL.
    """
    path = os.fsdecode(path)
    if URL.match(path):
        raise InputError(f"{path[:80]!r} is a URL, and xaicore downloads nothing: save the picture, and pass its path")
    pictures = sorted(_pictures_of(path), key=_natural)
    if not pictures:
        raise InputError(_nothing(path))
    return pictures


def picture_id(path: Path) -> str:
    """The path as it was found, with forward slashes; bytes that are not text become escapes."""
    return os.fsencode(path.as_posix()).decode("utf-8", "backslashreplace")


def is_video(path: Path) -> bool:
    """Whether the file's suffix is that of a video."""
    return path.suffix.lower() in VIDEOS


def _pictures_of(path: str) -> Iterator[Path]:
    path = os.path.expanduser(path)  # the shell leaves a quoted pattern's ~ alone
    if os.path.isdir(path):
        yield from _pictures_in(path)
    elif os.path.exists(path):  # before patterns: names may have brackets
        yield Path(path)
    else:
        suffixes = SUFFIXES | ({_suffix(path)} & VIDEOS)
        for match in glob.iglob(path, recursive=True):
            if os.path.isdir(match):
                yield from _pictures_in(match)
            elif _suffix(match) in suffixes:
                yield Path(match)


def _pictures_in(folder: str) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            if _suffix(name) in SUFFIXES and not name.startswith("."):
                yield Path(parent, name)


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()


def _nothing(path: str) -> str:
    """Why a path leads to no picture, and what to type."""
    suffixes = f"files with one of the suffixes {', '.join(sorted(SUFFIXES))}"
    if os.path.isdir(path):
        return f"no pictures in the folder {path!r} and its subfolders: expected {suffixes}"
    if glob.has_magic(path):
        return f"no pictures match the pattern {path!r}: expected {suffixes}"
    return f"no such file or folder: {path!r} (in {os.getcwd()}){nearest_file(path)}"


def _natural(path: Path) -> tuple[list[list[str | int]], str]:
    """A sort key: folder by folder, numbers in names by value, so that 2.jpg comes before 10.jpg."""
    parts = [re.split(r"(\d+)", part) for part in path.parts]  # numbers have odd indices
    return [[int(word) if i % 2 else word.casefold() for i, word in enumerate(part)] for part in parts], str(path)
