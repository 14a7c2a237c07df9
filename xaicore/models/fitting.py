"""How weights in a file differ from those of a model, in one line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

__all__ = ["misfit"]

SHOWN = 3
"""Names of each kind that a message shows."""


def misfit(model: Mapping[str, Sequence[int]], file: Mapping[str, Sequence[int]]) -> str | None:
    """What is missing in a file of weights, left over, or of another shape; None where all fit. For plugins.

    Args:
        model: {name: shape} of the model's weights.
        file: {name: shape} of the file's.
    """
    missing = [name for name in model if name not in file]
    left_over = [name for name in file if name not in model]
    differing = [
        f"{name} {_shape(shape)} instead of {_shape(model[name])}"
        for name, shape in file.items()
        if name in model and tuple(shape) != tuple(model[name])
    ]
    parts = [
        _some("missing in the file", missing),
        _some("not in the model", left_over),
        _some("of another shape", differing),
    ]
    return "; ".join(part for part in parts if part) or None


def _some(words: str, names: Sequence[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{words}: {', '.join(names[:SHOWN])}{more}"


def _shape(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "a number"
