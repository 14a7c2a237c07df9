"""Where explanations go: the contract of loggers.

A logger gets finished NumPy data and only ships it. It knows no framework, no model and no other logger.
"""

from __future__ import annotations

import datetime
import importlib
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from xaicore.errors import LoggerError

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

    def to_json(self) -> str:
        """The run as a JSON object in ASCII; a value of `config` for which JSON has no form becomes its text."""
        about = {"name": self.name, "started": self.started, "config": dict(self.config)}
        return json.dumps({**about, "versions": dict(self.versions)}, indent=2, default=str)


class Logger(ABC):
    """Takes explanations somewhere. Opened once, closed once; `log` is called in between, from one thread.

    Attributes:
        name: the name that users type, for messages.
        where: the place where people see the results: "gallery: runs/a/index.html". Set it in `open`; it is reported
            once per run. None: there is no such place.
    """

    api_version: ClassVar[int] = 1
    name: ClassVar[str] = ""
    where: str | None = None

    def open(self, run: Run) -> None:  # noqa: B027 (a logger may need no opening)
        """Get ready: connect, make folders. Raise when that fails: the user wants to know before the work."""

    @abstractmethod
    def log(self, explanation: Explanation, step: int | None = None) -> None:
        """Ship one explanation. A repeated step replaces what was there."""

    def skip(self, name: str, reason: str) -> None:  # noqa: B027 (a logger may keep only what was explained)
        """Remember that the image with this id was not explained, and why: "a.jpg is an empty file"."""

    def flush(self) -> None:  # noqa: B027 (a logger may hold nothing back)
        """Ship what was held back: a step is complete, and no explanation of it will follow."""

    def close(self) -> None:  # noqa: B027 (a logger may have nothing to close)
        """Ship what is left, and finish what `open` started, and nothing else."""

    def join(self, runs: Sequence[str | os.PathLike[str]]) -> None:
        """Show runs that this logger wrote before side by side, and set `where`. Called in place of `open`.

        Raises:
            LoggerError: this logger cannot, or not these.
        """
        name = self.name or type(self).__name__
        raise LoggerError(
            f"the {name} logger does not show runs side by side; the disk logger does: xaicore gallery RUN..."
        )

    def not_open(self) -> LoggerError:
        """Return the error to raise where this logger is used before `open` or after `close`."""
        name = self.name or type(self).__name__
        return LoggerError(f"the {name} logger is not open; write: with xaicore.open_loggers({name!r}) as log")


if not TYPE_CHECKING:

    def __getattr__(name):
        """The fan-out moved to `xaicore.loggers`, which imports this module; plugins may look for it here."""
        if name in ("Loggers", "open_loggers"):
            return getattr(importlib.import_module("xaicore.loggers"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
