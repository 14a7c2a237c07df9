"""Class names and true classes, read from files; classes to explain, read from options."""

from __future__ import annotations

import csv
import io
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from xaicore.cli.options import LABELS
from xaicore.data import names as data_names
from xaicore.data.names_file import read_names, read_text
from xaicore.data.targets import PREDICTED, TRUTH, read_target
from xaicore.data.truth import UNKNOWN
from xaicore.errors import InputError

__all__ = ["class_index", "read_labels", "read_targets", "read_truth"]

FOLDER = "folder"
"""The value of `--truth` for pictures in folders that are named after their classes."""

NUMBER = re.compile(r"-?\d+(\.0*)?")
"""A whole number, also as a float: tables with empty cells are often written with floats."""


def read_labels(file: str | None) -> tuple[str, ...] | None:
    """Class names in class order: one per line, or in a .json file a list or {index: name}.

    Raises:
        InputError: the file cannot be read, or does not hold class names.
    """
    if file is None:
        return None
    return data_names.as_class_names(read_names(file, f"--labels {file}"), f"--labels {file}")


def class_index(value: str, names: Sequence[str] | None, option: str) -> int:
    """The index of a class that is given as a number, 3 or 3.0, or as a name.

    Raises:
        InputError: no class, or more than one, has this name; or there is no such number.
    """
    value = value.strip()
    index = _number(value, names)
    if index is None:
        return data_names.class_index(value, names, option, LABELS.class_names)
    if names is not None and not 0 <= index < len(names):
        raise InputError(
            f"{option}: class {index} is out of range: the class names are of classes 0 to {len(names) - 1}"
        )
    if index < 0:
        raise InputError(f"{option}: class {index} is out of range, classes are 0, 1, ...")
    return index


def read_targets(
    values: Sequence[str], truth: np.ndarray | None, names: Sequence[str] | None
) -> str | int | list[list[int]] | None:
    """The values of `--target` as `Explainer` takes them: None, a word, a class, or [[a, b]] for all pictures.

    Raises:
        InputError: a class is unknown, or a word stands beside other values.
        TargetError: the word is "truth", and the true class of a picture is unknown.
    """
    words = [value for value in values if value in (PREDICTED, TRUTH)]
    if words and len(values) > 1:
        raise InputError(f"--target {words[0]} beside other values: pass it alone, or pass classes only")
    if words:
        read_target(words[0], truth, names, LABELS)  # raises where it has no meaning
        return words[0]
    classes = [class_index(value, names, LABELS.targets) for value in values]
    return None if not classes else classes[0] if len(classes) == 1 else [classes]


def read_truth(source: str | None, pictures: Sequence[Path], names: Sequence[str] | None) -> np.ndarray | None:
    """The true class of each picture, (N,) int64, -1 where unknown; None without a source.

    Args:
        source: "folder": the picture's folder is named after its class (number or name). Else a CSV file with rows
            `file,class`. A file is a path relative to the current folder or to the CSV's, or the picture's bare name;
            an empty class and -1 are unknown. A first row `file,class` is a heading.
        pictures: N paths.
        names: one name per class, or None.

    Raises:
        InputError: the file cannot be read, a class does not exist, or no row belongs to any of the pictures.
    """
    if source is None:
        return None
    if source == FOLDER:
        classes = [_folder_class(picture, names) for picture in pictures]
    else:
        classes = _Table(source, names).classes(pictures)
    return np.array(classes, np.int64)


class _Table:
    """The classes in a CSV file, by path and by bare name."""

    def __init__(self, source: str, names: Sequence[str] | None) -> None:
        self._source = source
        self._first = "nothing"
        self._by_path: dict[str, int] = {}
        self._by_name: dict[str, int] = {}
        starts = {os.getcwd(), os.path.dirname(os.path.abspath(source))}
        for line, file, value in _rows(source):
            index = _true_class(value, names, f"--truth {source}, line {line}")
            if not self._by_path:
                self._first = repr(file)
            for start in starts:
                self._keep(self._by_path, os.path.normpath(os.path.join(start, file)), index, line)
            if os.path.basename(file) == file:
                self._keep(self._by_name, file, index, line)

    def _keep(self, known: dict[str, int], key: str, index: int, line: int) -> None:
        if known.setdefault(key, index) != index:
            raise InputError(
                f"--truth {self._source}, line {line}: {os.path.basename(key)!r} has another class in an earlier line"
            )

    def classes(self, pictures: Sequence[Path]) -> list[int]:
        """The class of each picture, -1 where no row belongs to it. Paths go before bare names."""
        found = [self._by_path.get(os.path.abspath(picture)) for picture in pictures]
        matched = {picture.name for picture, index in zip(pictures, found, strict=True) if index is not None}
        left = Counter(picture.name for picture in pictures if picture.name in self._by_name.keys() - matched)
        for name, count in left.items():
            if count > 1:
                raise InputError(
                    f"--truth {self._source}: {count} pictures are called {name!r}; write paths relative to the "
                    "current folder or to the table's"
                )
        found = [
            self._by_name[picture.name] if picture.name in left else index
            for picture, index in zip(pictures, found, strict=True)
        ]
        if all(index is None for index in found):
            raise InputError(
                f"--truth {self._source}: no row belongs to any of the {len(pictures)} pictures; the table begins "
                f"with {self._first}, the pictures with {pictures[0].as_posix()!r}"
            )
        return [UNKNOWN if index is None else index for index in found]


def _rows(source: str) -> Iterator[tuple[int, str, str]]:
    """Yield (line, file, class), stripped, without the heading and empty lines."""
    reader = csv.reader(io.StringIO(read_text(source, f"--truth {source}"), newline=""), skipinitialspace=True)
    for row in reader:
        cells = [cell.strip() for cell in row]
        if not any(cells) or (reader.line_num == 1 and [cell.lower() for cell in cells] == ["file", "class"]):
            continue
        if len(cells) != 2 or not cells[0]:
            raise InputError(f"--truth {source}, line {reader.line_num}: {row!r}: expected two fields, file,class")
        yield reader.line_num, cells[0], cells[1]


def _folder_class(picture: Path, names: Sequence[str] | None) -> int:
    folder = os.path.basename(os.path.dirname(os.path.abspath(picture)))
    return _true_class(folder, names, f"--truth {FOLDER}, {picture.as_posix()}")


def _true_class(value: str, names: Sequence[str] | None, option: str) -> int:
    """A class's index; `UNKNOWN` for an empty text and for its own number."""
    return UNKNOWN if not value or _number(value, names) == UNKNOWN else class_index(value, names, option)


def _number(value: str, names: Sequence[str] | None) -> int | None:
    """The class's number, None where the text is a name. Digits alone are always a number."""
    is_name = names is not None and value in names and not value.isdecimal()
    return int(value.partition(".")[0]) if NUMBER.fullmatch(value) and not is_name else None
