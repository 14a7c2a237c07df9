"""The form of a model's answer: nested tuples, lists, dicts and dataclasses, as parts with a name each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, TypeAlias

from xaicore.outputs.choice import is_called_boxes

__all__ = ["Part", "parts_of"]

Part: TypeAlias = Any
"""A tensor of any framework, with a row per image; or a list of one tensor per image, each in its own number."""


def parts_of(answer: Any, is_tensor: Callable[[Any], bool], count: int) -> dict[int | str, Part]:
    """{name or position: part} of all that a model returned for `count` images, in its order; for backends.

    A part inside of another is named by its way: "aux.logits", "hidden_states.3". What holds no tensor is left out.
    A list is of one entry per image, and so one part, where it has `count` entries that are not a row per image: in a
    detector's list of dicts, each of the dicts' keys is a part; in a dict of lists, each list is.

    Args:
        answer: a tensor, or tuples, lists, mappings, dataclasses and named tuples of tensors, nested; of another
            object, the attribute `logits` alone.
        is_tensor: whether something is a tensor with a `shape`.
        count: N.
    """
    found: dict[int | str, Part] = {}
    if is_tensor(answer):
        return {0: answer}
    children = _children(answer, is_tensor, count)
    if children is None:
        children = {"logits": getattr(answer, "logits", None)}
    for name, child in children.items():
        if is_tensor(child) or _is_ragged(child, is_tensor):
            found[name] = list(child) if isinstance(child, _PerImage) else child
        elif child is not answer and _children(child, is_tensor, count) is not None:
            inner = parts_of(child, is_tensor, count)
            found |= {f"{name}.{other}": part for other, part in inner.items()}
    return found


class _PerImage(list[Any]):
    """A list of one tensor per image."""


def _is_ragged(value: Any, is_tensor: Callable[[Any], bool]) -> bool:
    return isinstance(value, _PerImage) and all(map(is_tensor, value))


def _children(value: Any, is_tensor: Callable[[Any], bool], count: int) -> dict[int | str, Any] | None:
    """{name or position: what lies there}; None for what is no nest."""
    named = _named(value)
    if named is not None:
        return _with_lists_per_image(named, is_tensor, count)
    if not isinstance(value, (tuple, list)):
        return None
    columns = _columns(value, is_tensor)
    if columns and isinstance(value, list) and len(value) == count:
        joined = _with_lists_per_image(columns, is_tensor, count)
        if all(isinstance(part, _PerImage) for part in joined.values()):
            return joined
    return dict(enumerate(value))


def _named(value: Any) -> dict[int | str, Any] | None:
    """What lies in a mapping, a named tuple or a dataclass, by name; None for anything else."""
    if isinstance(value, Mapping):
        return {key if isinstance(key, (int, str)) else str(key): child for key, child in value.items()}
    if hasattr(value, "_asdict"):
        return dict(value._asdict())
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name, None) for field in fields(value)}
    return None


def _columns(rows: Sequence[Any], is_tensor: Callable[[Any], bool]) -> dict[int | str, Any]:
    """{key: [its tensor in each row]} of dicts with the same keys; empty where the rows are something else."""
    named = [_named(row) for row in rows]
    keys = [name for name, child in (named[0] or {}).items() if is_tensor(child)] if named else []
    if any(row is None or not all(is_tensor(row.get(key)) for key in keys) for row in named):
        return {}
    return {key: [row[key] for row in named if row is not None] for key in keys}


def _with_lists_per_image(
    named: dict[int | str, Any], is_tensor: Callable[[Any], bool], count: int
) -> dict[int | str, Any]:
    """The same, with every list of one tensor per image marked as one.

    A list of `count` tensors may also be one of heads or stages with a row per image each. It is not where some have
    another number of rows, or where they have the rows of boxes (Q, 4) beside them.
    """
    lists = {
        name: child
        for name, child in named.items()
        if isinstance(child, list) and len(child) == count and all(is_tensor(one) and len(one.shape) for one in child)
    }
    rows = {name: [int(one.shape[0]) for one in child] for name, child in lists.items()}
    of_boxes = [
        rows[name]
        for name, child in lists.items()
        if is_called_boxes(name) and all(len(one.shape) == 2 and one.shape[1] == 4 for one in child)
    ]
    return {
        name: _PerImage(child)
        if name in lists and count and (set(rows[name]) != {count} or rows[name] in of_boxes) and _same_axes(child)
        else child
        for name, child in named.items()
    }


def _same_axes(tensors: Sequence[Any]) -> bool:
    return len({len(tensor.shape) for tensor in tensors}) == 1
