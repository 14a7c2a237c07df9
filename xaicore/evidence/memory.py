"""Errors of frameworks that say: too little memory."""

from __future__ import annotations

__all__ = ["is_out_of_memory"]

NAMES = {"OutOfMemoryError", "ResourceExhaustedError"}
"""Classes of PyTorch and TensorFlow."""

WORDS = ("RESOURCE_EXHAUSTED", "not enough memory", "can't allocate memory", "out of memory")
"""Of the messages of JAX, and of PyTorch's allocator on a processor; both raise a plain RuntimeError."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error, or one that it was raised from, says that memory ran out. No framework is imported."""
    cause: BaseException | None = error
    while cause is not None:
        names = {cls.__name__ for cls in type(cause).__mro__}
        if isinstance(cause, MemoryError) or names & NAMES:
            return True
        if isinstance(cause, RuntimeError) and any(words in str(cause) for words in WORDS):
            return True
        cause = cause.__cause__
    return False
