"""Arrays of any framework, alone or nested: what a model takes is one array, or tuples, lists and dicts of arrays.

The first axis of every array counts the images. No framework is imported here: tensors are known by what they can do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from xaicore.errors import InputError, type_name

__all__ = [
    "as_array",
    "concatenate",
    "convert",
    "copied",
    "count",
    "leaves",
    "map_leaves",
    "places",
    "replaced",
    "take",
]

TO_HOST = ("detach", "cpu", "resolve_conj", "to_dense", "float", "get", "numpy")
"""Methods that bring a tensor nearer to NumPy, in the order to try them.

All belong to PyTorch except CuPy's `get` and TensorFlow's `numpy`; `float` is for bfloat16, which NumPy lacks.
"""


def as_array(value: Any, name: str = "the value") -> np.ndarray:
    """Numbers, lists, arrays and tensors of any framework on any device as one NumPy array.

    A type of floating-point numbers that NumPy lacks, such as bfloat16, becomes float32. Memory may be shared.

    Args:
        value: what the caller passed; lists may hold tensors.
        name: what to call it in the message.

    Raises:
        InputError: the values cannot be read, or rows differ in length.
    """
    try:
        array = _on_host(value)
    except Exception as exc:  # each framework raises errors of its own
        if "inhomogeneous" in str(exc):
            raise InputError(f"{name}: rows differ in length; expected one array") from exc
        kind = type_name(value).removeprefix("builtins.")
        raise InputError(f"{name}: a {kind} does not become an array: {exc}") from exc
    if array.dtype.kind == "V" and "float" in array.dtype.name:  # bfloat16 comes from JAX or TensorFlow
        return array.astype(np.float32)
    return array


def leaves(x: Any) -> Iterator[Any]:
    """The arrays, and whatever else the nest holds, in order."""
    if isinstance(x, (Mapping, tuple, list)):
        for child in x.values() if isinstance(x, Mapping) else x:
            yield from leaves(child)
    else:
        yield x


def places(x: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where each of the leaves is: the keys and positions that lead to it. A dict in another order has other places."""
    if isinstance(x, (Mapping, tuple, list)):
        for key, child in x.items() if isinstance(x, Mapping) else enumerate(x):
            yield from places(child, (*at, key))
    else:
        yield at


def count(x: Any) -> int:
    """N: the length of the array with the most axes, which is the image; 0 without an array."""
    shapes = [tuple(leaf.shape) for leaf in leaves(x) if _is_array(leaf)]
    return int(max(shapes, key=len)[0]) if shapes else 0


def take(x: Any, chosen: slice | np.ndarray, of: int) -> Any:
    """Select some of `of` images, by positions from NumPy arrays only. An array without a row per image stays whole."""
    return map_leaves(lambda leaf: leaf[chosen] if _is_array(leaf) and leaf.shape[0] == of else leaf, x)


def convert(x: Any, to_numpy: Callable[[Any], np.ndarray]) -> Any:
    """Convert every array to a NumPy array that shares no memory: a loader may reuse its buffers."""
    return map_leaves(lambda leaf: np.array(to_numpy(leaf)) if hasattr(leaf, "shape") else leaf, x)


def copied(x: Any) -> Any:
    """A copy in which no NumPy array and no tensor of PyTorch shares memory with the caller."""

    def copy(leaf: Any) -> Any:
        if hasattr(leaf, "detach") and hasattr(leaf, "clone"):
            return leaf.detach().clone()
        return leaf.copy() if isinstance(leaf, np.ndarray) else leaf

    return map_leaves(copy, x)


def map_leaves(change: Callable[[Any], Any], x: Any) -> Any:
    """The same nest, with every leaf changed, in the nest's own order; a named tuple stays one."""
    if isinstance(x, Mapping):
        return {name: map_leaves(change, child) for name, child in x.items()}
    if isinstance(x, (tuple, list)):
        return _like(x, (map_leaves(change, child) for child in x))
    return change(x)


def replaced(x: Any, others: Mapping[tuple[Any, ...], Any]) -> Any:
    """The same nest, with other leaves at these places, as `places` names them."""
    at = iter(list(places(x)))
    return map_leaves(lambda leaf: others.get(next(at), leaf), x)


def concatenate(nests: Sequence[Any]) -> Any:
    """Join batches of NumPy arrays along the first axis."""
    first = nests[0]
    if isinstance(first, Mapping):
        return {name: concatenate([nest[name] for nest in nests]) for name in first}
    if isinstance(first, (tuple, list)):
        return _like(first, (concatenate(column) for column in zip(*nests, strict=True)))
    return np.concatenate(nests) if _is_array(first) else first


def _on_host(value: Any) -> np.ndarray:
    try:
        return np.asarray(value)
    except Exception as exc:
        error = exc
    if isinstance(value, (list, tuple)):
        return np.asarray([_on_host(item) for item in value])
    for name in TO_HOST:
        if hasattr(value, name):
            value = getattr(value, name)()
            try:
                return np.asarray(value)
            except Exception as exc:
                error = exc
    raise error


def _like(x: tuple[Any, ...] | list[Any], children: Iterable[Any]) -> Any:
    """A tuple, list or named tuple of these children."""
    return getattr(type(x), "_make", type(x))(children)


def _is_array(leaf: Any) -> bool:
    return len(getattr(leaf, "shape", ())) > 0
