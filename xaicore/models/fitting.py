"""How weights in a file differ from those of a model, in one line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

__all__ = ["misfit", "other_classes"]

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


def other_classes(model: Mapping[str, Sequence[int]], file: Mapping[str, Sequence[int]]) -> int | None:
    """The number of classes in a file, where all that differs is one length of its last layer; else None. For plugins.

    Args:
        model, file: as in `misfit`.
    """
    if model.keys() != file.keys():
        return None
    pairs = set()
    for name, shape in file.items():
        if len(shape) != len(model[name]):
            return None
        differing = {(ours, theirs) for ours, theirs in zip(model[name], shape, strict=True) if ours != theirs}
        if len(differing) > 1:
            return None
        pairs |= differing
    return next(iter(pairs))[1] if len(pairs) == 1 else None


def _some(words: str, names: Sequence[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{words}: {', '.join(names[:SHOWN])}{more}"


def _shape(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "a number"
