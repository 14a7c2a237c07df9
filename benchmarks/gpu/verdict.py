"""What a check found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Verdict:
    """A statement, and what speaks against it; "" for nothing."""

    statement: str
    fault: str

    @classmethod
    def of(cls, statement: str, check: Callable[[], str]) -> Verdict:
        """Run a check. An exception is a fault as well: the other checks still run."""
        try:
            return cls(statement, check())
        except Exception as exc:
            return cls(statement, f"{type(exc).__name__}: {exc}")
