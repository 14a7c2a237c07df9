"""What is known of inputs of some shapes."""

from __future__ import annotations

from typing import TypeVar

__all__ = ["Recent"]

Key = TypeVar("Key")
Value = TypeVar("Value")

MOST = 16
"""Shapes that are kept, so that pictures of ever new sizes do not fill the memory."""


class Recent(dict[Key, Value]):
    """A dictionary that forgets its oldest entry when it grows beyond `MOST`."""

    def __setitem__(self, key: Key, value: Value) -> None:
        super().__setitem__(key, value)
        if len(self) > MOST:
            del self[next(iter(self))]
