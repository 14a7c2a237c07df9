"""The errors that xaicore and its plugins raise on purpose.

A message says what was passed, what was expected and what to do. Each class also derives from the built-in error that
a caller would expect, so that callers' `except ValueError` still works.
"""

import os
from collections.abc import Iterable
from pathlib import Path

__all__ = [
    "BackendError",
    "DependencyError",
    "InputError",
    "LayerError",
    "LoggerError",
    "MethodError",
    "OutputError",
    "PluginError",
    "TargetError",
    "XaicoreError",
    "did_you_mean",
    "nearest",
    "nearest_file",
    "type_name",
]


class XaicoreError(Exception):
    """The base class of all errors of xaicore and its plugins."""


class DependencyError(XaicoreError, ImportError):
    """A required library is missing or does not import."""


class PluginError(XaicoreError):
    """A plugin is missing, disabled, broken, claimed by two distributions, or does not keep the contract."""


class BackendError(XaicoreError, RuntimeError):
    """A backend cannot do what was asked, or the model itself raised."""


class InputError(XaicoreError, ValueError):
    """Inputs, pictures, ids, labels or options have the wrong type, shape, length or value."""


class OutputError(BackendError, InputError):
    """The model has no such output, or several and the caller chose none."""


class LayerError(XaicoreError, ValueError):
    """A layer does not exist, never ran, has no map, or does not reach the outputs."""


class TargetError(XaicoreError, ValueError):
    """A target is out of range, has the wrong length, or has no meaning for these outputs."""


class MethodError(XaicoreError, ValueError):
    """A method is unknown, or does not apply to the model."""


class LoggerError(XaicoreError, OSError):
    """A logger cannot write or send an explanation."""


def nearest(name: str, known: Iterable[str], count: int = 3, cutoff: float = 0.6) -> list[str]:
    """The known names that resemble an unknown one, the most similar first; capital letters do not count.

    Args:
        name: the unknown name.
        known: the names that there are.
        count: how many names at most.
        cutoff: the least similarity, from 0 (no letter in common) to 1 (the same name).
    """
    from difflib import get_close_matches  # imported late: most programs never need it

    spelt: dict[str, list[str]] = {}
    for one in known:
        spelt.setdefault(one.lower(), []).append(one)
    return [one for lower in get_close_matches(name.lower(), spelt, count, cutoff) for one in spelt[lower]][:count]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: "; did you mean 'a' or 'b'?", or "" if no name resembles it."""
    near = nearest(name, known)
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""


def type_name(value: object) -> str:
    """The module and name of an object's class, such as "builtins.dict", for messages."""
    return f"{type(value).__module__}.{type(value).__qualname__}"


def nearest_file(path: str) -> str:
    """ "; did you mean 'photos/cat.jpg'?", by the first part that does not exist; "" where no name resembles it."""
    *parents, name = Path(os.path.expanduser(path)).parts or ("",)
    folder = Path()
    for part in parents:
        if not (folder / part).is_dir():
            name = part
            break
        folder = folder / part
    try:
        names = os.listdir(folder)
    except OSError:
        return ""
    near = [str(folder / other) for other in nearest(name, names)]
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
