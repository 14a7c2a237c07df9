"""Classes that a target names: by index, or by the caller's class names."""

from __future__ import annotations

from numbers import Integral

from xaicore.errors import TargetError, did_you_mean
from xaicore.outputs import Answer

__all__ = ["class_text", "named_class"]


def named_class(given: int | str, answer: Answer, target: str) -> int:
    """The index of a class, by index or name.

    Args:
        given: an index, or one of the class names.
        answer: of the pass.
        target: how the caller wrote the target, for messages.

    Raises:
        TargetError: there are no class names, none is this one, or the index is no class of the outputs.
    """
    count = max(2, answer.outputs.shape[1] if answer.outputs.ndim > 1 else 1)
    if isinstance(given, str):
        names = answer.class_names
        if not names:
            raise TargetError(f"{target}: class {given!r} is a name: pass class_names=, or the index of the class")
        if given not in names:
            raise TargetError(f"{target}: no class called {given!r}{did_you_mean(given, names)}")
        return names.index(given)
    if isinstance(given, bool) or not isinstance(given, Integral) or not 0 <= given < count:
        raise TargetError(
            f"{target}: {given!r} is no class of outputs {answer.outputs.shape}, which has classes 0 to {count - 1}"
        )
    return int(given)


def class_text(index: int, answer: Answer) -> str:
    """The name of a class, else its number; "" for -1."""
    names = answer.class_names or ()
    return "" if index < 0 else names[index] if index < len(names) else str(index)
