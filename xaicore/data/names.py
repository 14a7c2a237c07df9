"""Names: one id per image, one name per class, and classes that are given by name."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from xaicore.data.names_file import read_names
from xaicore.errors import InputError, did_you_mean
from xaicore.outputs import label_count
from xaicore.trees import as_array

__all__ = [
    "PYTHON",
    "Arguments",
    "as_class_names",
    "as_ids",
    "check_class_names",
    "class_index",
    "class_indices",
    "read_ids",
]


class Arguments(NamedTuple):
    """What the caller's arguments are called, for messages."""

    targets: str
    truth: str
    class_names: str
    target: str
    """What one class of `targets` is called."""


PYTHON = Arguments("targets", "truth", "class_names", "target")


def read_ids(ids: Any) -> tuple[str, ...] | None:
    """The names of images in one form; None where there are none. A string is the name of a single image.

    Raises:
        InputError: `ids` is no sequence of names.
    """
    if ids is None:
        return None
    return (_text(ids),) if isinstance(ids, (str, bytes)) else _texts(ids, "ids")


def as_ids(ids: Any, count: int) -> tuple[str, ...]:
    """N different names, one per image; "0", "1", ... for None.

    Raises:
        InputError: there are more or fewer than N, or an id repeats.
    """
    names = read_ids(ids)
    if names is None:
        return tuple(map(str, range(count)))
    if len(names) != count:
        raise InputError(f"{len(names)} ids for {count} images: expected one per image")
    repeated = [name for name, times in Counter(names).items() if times > 1]
    if repeated:
        raise InputError(
            f"ids repeat: {', '.join(repeated[:5])}; expected a different one for each image, by ids=; "
            "without it, the ids of files are their paths"
        )
    return names


def as_class_names(names: Any, argument: str = "class_names") -> tuple[str, ...] | None:
    """One name per class, in class order, from a sequence, an array, {index: name}, or a file of names.

    Args:
        names: what the caller passed.
        argument: what the caller's argument is called.

    Raises:
        InputError: `names` is none of these, the file cannot be read, or the indices have gaps.
    """
    if names is None:
        return None
    if isinstance(names, (str, os.PathLike)):
        argument = f"{argument}={os.fsdecode(names)!r}"
        names = read_names(names, argument)
    if isinstance(names, Mapping):
        by_index = {str(index): name for index, name in names.items()}
        expected = set(map(str, range(len(names))))
        if by_index.keys() != expected:
            wrong = next((index for index in names if str(index) not in expected), None)
            raise InputError(
                f"{argument} is a dict with keys such as {wrong!r}: expected {{index: name}} with the indices 0 to "
                f"{len(names) - 1}"
            )
        names = [by_index[str(index)] for index in range(len(names))]
    return _texts(names, argument)


def check_class_names(names: tuple[str, ...] | None, outputs: np.ndarray, kind: str) -> None:
    """Compare the number of names with the outputs (N, *O).

    Raises:
        InputError: there are more or fewer names than classes.
    """
    classes = label_count(outputs, kind)
    if names is not None and len(names) != classes:
        raise InputError(f"{len(names)} class names for outputs {outputs.shape}: expected {classes}, one per class")


def class_index(
    name: str,
    names: Sequence[str] | None,
    argument: str,
    names_argument: str = "class_names",
    words: Sequence[str] = (),
) -> int:
    """The index of the class with this name.

    Args:
        name: the name to look up.
        names: one name per class, or None where the caller gave none.
        argument, names_argument: what the caller's arguments are called.
        words: what else the argument takes, for the message where no class has a name like this one.

    Raises:
        InputError: there are no names, or no class or several classes have this name.
    """
    also = f"; {' and '.join(map(repr, words))} are {argument}, too" if words else ""
    if names is None:
        raise InputError(f"{argument}: {name!r} is no class index; to use names, pass {names_argument}{also}")
    found = [index for index, known in enumerate(names) if known == name]
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(f"{argument}: {name!r} names the classes {', '.join(map(str, found))}: pass an index")
    begin = f"{', '.join(map(repr, names[:3]))}{', ...' if len(names) > 3 else ''}"
    known = f": they are {begin}; pass one of them, an index, or other names by {names_argument}"
    hint = did_you_mean(name, names) or also or known
    raise InputError(f"{argument}: none of the {len(names)} class names is {name!r}{hint}")


def class_indices(value: Any, names: Sequence[str] | None, argument: str, names_argument: str = "class_names") -> Any:
    """Replace every class name in a string, a list or an array by the index of its class; keep all else.

    Raises:
        InputError: the values cannot be read, or `class_index` finds no index.
    """
    if isinstance(value, (str, bytes)):
        return class_index(_text(value), names, argument, names_argument)
    array = as_array(value, argument)
    if array.dtype.kind not in "USO":
        return array
    items = value if isinstance(value, (list, tuple)) else array.tolist()
    if isinstance(items, (str, bytes)):
        return class_index(_text(items), names, argument, names_argument)
    if isinstance(items, (list, tuple)):
        return [class_indices(item, names, argument, names_argument) for item in items]
    return array


def _texts(values: Any, name: str) -> tuple[str, ...]:
    if hasattr(values, "shape"):
        values = as_array(values, name).tolist()
    if not isinstance(values, Iterable) or isinstance(values, (str, bytes)):
        raise InputError(f"{name}={values!r}: expected a sequence of names")
    return tuple(map(_text, values))


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
