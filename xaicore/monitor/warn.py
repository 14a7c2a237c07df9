"""Warnings of a training."""

from __future__ import annotations

import warnings

__all__ = ["WarnOnce"]


class WarnOnce:
    """Warns once per kind: a line per epoch would drown the training's own."""

    def __init__(self) -> None:
        self._kinds: set[str] = set()

    def __call__(self, kind: str, message: str) -> None:
        """Warn, unless that was done for this kind before. The warning names the caller's caller."""
        if kind not in self._kinds:
            self._kinds.add(kind)
            warnings.warn(f"{message} (reported once)", RuntimeWarning, stacklevel=3)
