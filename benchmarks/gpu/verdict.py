"""What a check found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.console import Console


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


def show(console: Console, verdicts: Sequence[Verdict]) -> int:
    """Print a line for each; returns how many failed."""
    for verdict in verdicts:
        console.print(f"{'FAILED' if verdict.fault else 'ok':6}  {verdict.statement}  {verdict.fault}", markup=False)
    return sum(bool(verdict.fault) for verdict in verdicts)
