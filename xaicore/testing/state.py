"""Whether a model and the process around it are what they were, to the last bit."""

from __future__ import annotations

import contextlib
import random
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

__all__ = ["bits", "differences", "guard", "random_state"]


def random_state() -> dict[str, Any]:
    """The global random state of Python and of NumPy."""
    return {"Python": random.getstate(), "NumPy": np.random.get_state()}  # noqa: NPY002 (the state to be kept)


def bits(value: Any) -> Any:
    """The same thing with every number as its bytes, so that == is bitwise: arrays and tensors of any framework."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        content = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        return str(value.dtype), tuple(value.shape), content
    if isinstance(value, np.ndarray):
        return str(value.dtype), value.shape, value.tobytes()
    if isinstance(value, dict):
        return {key: bits(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [bits(one) for one in value]
    if hasattr(value, "__array__"):
        with contextlib.suppress(Exception):  # a placeholder has no values: it is compared by identity
            return bits(np.asarray(value))
    return value.hex() if isinstance(value, float) else value


def differences(before: Any, after: Any, where: str = "") -> list[str]:
    """What differs, as paths: plain values are compared by value, other objects by identity."""
    if before is after:
        return []
    if isinstance(before, dict) and isinstance(after, dict):
        keys = dict.fromkeys([*before, *after])
        return [found for key in keys for found in differences(before.get(key), after.get(key), f"{where}.{key}")]
    if type(before) is type(after) and type(before) in (list, tuple) and len(before) == len(after):
        pairs = enumerate(zip(before, after, strict=True))
        return [found for n, pair in pairs for found in differences(*pair, f"{where}[{n}]")]
    if isinstance(before, np.ndarray) and isinstance(after, np.ndarray):
        return [] if bits(before) == bits(after) else [f"{where}: an array with other values"]
    if isinstance(before, bytes) and isinstance(after, bytes):
        return [] if before == after else [f"{where}: an array with other values"]
    is_plain = isinstance(before, (str, bytes, int, float, bool, type(None))) and type(before) is type(after)
    return [] if is_plain and before == after else [f"{where}: {before!r:.200} is now {after!r:.200}"]


def guard(fingerprint: Callable[[Any], Any]) -> Callable[[Any], contextlib.AbstractContextManager[None]]:
    """`with guard(fingerprint)(model): ...` fails when the fingerprint is another one afterwards."""

    @contextlib.contextmanager
    def unchanged(model: Any) -> Iterator[None]:
        before = fingerprint(model)
        try:
            yield
        finally:
            different = differences(before, fingerprint(model))
            assert not different, "changed:\n" + "\n".join(different)

    return unchanged
