"""What a model takes: one array, or tuples, lists and dicts of them, whose first axis is the images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

__all__ = ["concatenate", "convert", "copied", "count", "leaves", "take"]


def leaves(x: Any) -> Iterator[Any]:
    """The arrays (and what else there is) in it, in order."""
    if isinstance(x, (Mapping, tuple, list)):
        for part in x.values() if isinstance(x, Mapping) else x:
            yield from leaves(part)
    else:
        yield x


def count(x: Any) -> int:
    """N: the length of the array with the most axes, which is the picture; 0 where there is no array."""
    shapes = [tuple(leaf.shape) for leaf in leaves(x) if _is_array(leaf)]
    return int(max(shapes, key=len)[0]) if shapes else 0


def take(x: Any, chosen: slice | np.ndarray, of: int) -> Any:
    """Some of `of` images, positions of NumPy arrays only. What has no row an image stays whole."""
    return _map(lambda leaf: leaf[chosen] if _is_array(leaf) and leaf.shape[0] == of else leaf, x)


def convert(x: Any, to_numpy: Callable[[Any], np.ndarray]) -> Any:
    """The same with NumPy arrays, copied: a loader may use its buffers again."""
    return _map(lambda leaf: np.array(to_numpy(leaf)) if hasattr(leaf, "shape") else leaf, x)


def copied(x: Any) -> Any:
    """The same with copies of what can be written to: NumPy arrays and torch's tensors."""

    def copy(leaf: Any) -> Any:
        if hasattr(leaf, "detach") and hasattr(leaf, "clone"):
            return leaf.detach().clone()
        return leaf.copy() if isinstance(leaf, np.ndarray) else leaf

    return _map(copy, x)


def concatenate(parts: Sequence[Any]) -> Any:
    """Batches of NumPy arrays, one behind the other."""
    first = parts[0]
    if isinstance(first, Mapping):
        return {name: concatenate([part[name] for part in parts]) for name in first}
    if isinstance(first, (tuple, list)):
        return _like(first, (concatenate(column) for column in zip(*parts, strict=True)))
    return np.concatenate(parts) if _is_array(first) else first


def _map(change: Callable[[Any], Any], x: Any) -> Any:
    if isinstance(x, Mapping):
        return {name: _map(change, part) for name, part in x.items()}
    if isinstance(x, (tuple, list)):
        return _like(x, (_map(change, part) for part in x))
    return change(x)


def _like(x: tuple[Any, ...] | list[Any], parts: Iterable[Any]) -> Any:
    """A tuple, list or named tuple of these parts."""
    return getattr(type(x), "_make", type(x))(parts)


def _is_array(leaf: Any) -> bool:
    return len(getattr(leaf, "shape", ())) > 0
