"""Where explanations go: the contract of loggers.

A logger gets finished NumPy data and only ships it. It knows no framework, no model and no other logger.
"""

from __future__ import annotations

import datetime
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from xaicore.explanation import Explanation

__all__ = ["Logger", "Run"]


def _now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")


def _new_name() -> str:
    return f"{datetime.datetime.now():%Y%m%d-%H%M%S}-{os.urandom(3).hex()}"


@dataclass(frozen=True)
class Run:
    """What a logger learns about the run when it is opened.

    Attributes:
        name: unique unless the user chose it.
        config: what the user wants to remember of the run; JSON values.
        started: UTC, ISO 8601.
        versions: {library: version} of what takes part; `open_loggers` fills it in.
    """

    name: str = field(default_factory=_new_name)
    config: Mapping[str, Any] = field(default_factory=dict)
    started: str = field(default_factory=_now)
    versions: Mapping[str, str] = field(default_factory=dict)


class Logger(ABC):
    """Takes results somewhere. Opened once, closed once; `log` is called in between, from one thread."""

    api_version: ClassVar[int] = 1

    def open(self, run: Run) -> None:  # noqa: B027 (a logger may need no opening)
        """Get ready: connect, make folders. Raise when that fails: the user wants to know before the work."""

    @abstractmethod
    def log(self, explanation: Explanation, step: int | None = None) -> None:
        """Ship one explanation. The same step again replaces what was there."""

    def flush(self) -> None:  # noqa: B027 (a logger may hold nothing back)
        """All explanations of a step have come: ship those that were held back to go out together."""

    def close(self) -> None:  # noqa: B027 (a logger may have nothing to close)
        """Ship what is left, and finish what `open` started, and nothing else."""
