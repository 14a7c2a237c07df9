"""Errors of frameworks that say: too little memory; and how many rows the next batch then has."""

from __future__ import annotations

from xaicore.errors import MethodError

__all__ = ["fewer_rows", "is_out_of_memory"]

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


def fewer_rows(error: Exception, rows: int, is_fixed: bool = False) -> int:
    """Half as many rows as the batch had that failed with this error.

    Args:
        error: raised again, unless it says that memory ran out.
        rows: of that batch.
        is_fixed: the model takes no fewer.

    Raises:
        MethodError: the batch cannot be halved.
    """
    if not is_out_of_memory(error):
        raise error
    if rows == 1 or is_fixed:
        what = f"{rows} images, and the model takes no fewer" if is_fixed else "a single changed version of an image"
        raise MethodError(
            f"memory does not suffice for {what}: use a method of one pass, such as 'gradcam', or a device with more "
            "memory"
        ) from error
    return rows // 2
