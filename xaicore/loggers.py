"""The fan-out of explanations to several loggers.

A logger that fails stops neither the work that it follows nor the other loggers.
"""

from __future__ import annotations

import contextlib
import functools
import os
import platform
import sys
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from xaicore import plugins
from xaicore.errors import InputError, LoggerError, XaicoreError
from xaicore.logger import Logger, Run
from xaicore.opencv import cv2

if TYPE_CHECKING:
    from typing_extensions import Self

    from xaicore.explanation import Explanation

__all__ = ["Loggers", "Spec", "open_loggers", "saved"]

Loggable: TypeAlias = "Explanation | Mapping[str, Explanation] | Sequence[Explanation]"


class Loggers:
    """Several loggers as one: `with open_loggers(...) as log: log(explanation, step=3)`.

    A logger whose `log`, `flush` or `close` raises warns once, gets no more explanations, and is listed in
    `failed`; the others go on. With `on_error="raise"` it raises instead, after the others have had their turn.
    Each one that was opened is closed, also after it failed.

    On opening, a line on stderr reports where each logger's results can be seen, once per run; `quiet=True` or the
    environment variable XAICORE_QUIET=1 switches these lines off.
    """

    def __init__(self, loggers: Mapping[str, Logger], run: Run, on_error: str = "warn", quiet: bool = False) -> None:
        if on_error not in ("warn", "raise"):
            raise InputError(f"on_error={on_error!r}: expected 'warn' or 'raise'")
        self.run = run
        self.failed: dict[str, Exception] = {}
        self._loggers = dict(loggers)
        self._on_error, self._quiet = on_error, quiet
        self._open: list[str] = []

    def __enter__(self) -> Self:
        for name, logger in self._loggers.items():
            try:
                logger.open(self.run)
            except BaseException as exc:
                self._close()
                if isinstance(exc, XaicoreError) or not isinstance(exc, Exception):
                    raise
                raise LoggerError(f"logger {name!r} does not open: {type(exc).__name__}: {exc}") from exc
            self._open.append(name)
        if not self._quiet and os.environ.get("XAICORE_QUIET", "0") in ("", "0"):
            for where in self.where.values():
                _report(self.run.name, where)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._settle("close", self._close())

    def __call__(self, explanation: Loggable, step: int | None = None) -> None:
        """Hand one explanation, or several as `Explainer.compare` and `explain_each` return them, to every logger that
        still works.

        Raises:
            LoggerError: the loggers are not open.
            InputError: two explanations are of the same method and layer, so that one would replace the other.
        """
        if not self._open and self._loggers:
            raise LoggerError("these loggers are not open; write: with open_loggers(...) as log: log(explanation)")
        if isinstance(explanation, Mapping):
            _check_apart(explanation)
            explanation = tuple(explanation.values())
        for one in explanation if isinstance(explanation, Sequence) else [explanation]:
            self._settle("log", self._each(self._working(), "log", one, step=step))

    def skip(self, name: str, reason: str) -> None:
        """Tell every logger that the image with this id was not explained, and why."""
        self._settle("skip", self._each(self._working(), "skip", name, reason))

    def flush(self) -> None:
        """Report that a step is complete: trackers with one entry per step write it now."""
        self._settle("flush", self._each(self._working(), "flush"))

    @property
    def names(self) -> tuple[str, ...]:
        """The loggers' names, also of those that have failed."""
        return tuple(self._loggers)

    @property
    def where(self) -> dict[str, str]:
        """{logger: where its results can be seen}, once it is open; loggers that have no such place are left out."""
        places = ((name, logger.where) for name, logger in self._loggers.items())
        return {name: where for name, where in places if isinstance(where, str)}

    @property
    def all_failed(self) -> bool:
        """Whether there were loggers and none of them works any more."""
        return bool(self._loggers) and len(self.failed) == len(self._loggers)

    def _working(self) -> list[str]:
        return [name for name in self._open if name not in self.failed]

    def _close(self) -> dict[str, Exception]:
        opened, self._open = self._open, []
        return self._each(opened, "close")

    def _each(self, names: Iterable[str], action: str, *args: Any, **kwargs: Any) -> dict[str, Exception]:
        """Call all of these loggers; returns those that failed for the first time."""
        failed: dict[str, Exception] = {}
        for name in names:
            try:
                getattr(self._loggers[name], action)(*args, **kwargs)
            except Exception as exc:
                if name not in self.failed:
                    failed[name] = exc
        self.failed.update(failed)
        return failed

    def _settle(self, action: str, failed: Mapping[str, Exception]) -> None:
        for name, exc in failed.items():
            if self._on_error == "raise":
                raise exc
            warnings.warn(
                f"logger {name!r} is switched off: {action} raised {type(exc).__name__}: {exc}",
                RuntimeWarning,
                stacklevel=3,
            )


def _check_apart(explanations: Mapping[str, Explanation]) -> None:
    """Refuse explanations of which one would replace another in a step.

    Raises:
        InputError: two have the same method, layer and group.
    """
    seen: dict[tuple[str, str, str | None], str] = {}
    for name, one in explanations.items():
        other = seen.setdefault((one.method, one.layer, one.group), name)
        if other != name:
            raise InputError(
                f"{other!r} and {name!r} are both of {one.method} at {one.layer}, and a step has one map per picture, "
                f"method and layer: log each with a step of its own, as in log(results[{name!r}], step=1), or save "
                f"each in a folder of its own, as in results[{name!r}].save('runs/b')"
            )


@functools.lru_cache(maxsize=1000)
def _report(run: str, where: str) -> None:
    """Print where a run's results can be seen; cached, so that a run that is opened again does not repeat it."""
    bars = getattr(sys.modules.get("tqdm"), "tqdm", None)
    with contextlib.suppress(OSError, ValueError):  # a terminal that is gone must not stop the work
        if bars is None:
            print(f"xaicore: {where}", file=sys.stderr, flush=True)
        else:  # a trainer may show a bar already: the line goes above it
            bars.write(f"xaicore: {where}", file=sys.stderr)


def versions() -> dict[str, str]:
    """{library: version} of xaicore, of what it stands on, and of the frameworks that are imported."""
    found = {
        "xaicore": sys.modules["xaicore"].__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "opencv": cv2.__version__,
    }
    for name in plugins.installed().names("backend"):
        if name in sys.modules:
            found[name] = str(getattr(sys.modules[name], "__version__", "unknown"))
    return found


Spec = str | Logger | Iterable[str | Logger] | Mapping[str, Mapping[str, Any] | None]


def open_loggers(
    loggers: Spec,
    *,
    name: str | None = None,
    config: Mapping[str, Any] | None = None,
    on_error: str = "warn",
    quiet: bool = False,
) -> Loggers:
    """Find and build loggers now; they open on entering the returned context manager.

    Args:
        loggers: a plugin's name, a `Logger`, a list of these, or {name: options}.
        name: the run's name; a new one when None.
        config: what the run should remember, JSON values.
        on_error: "warn" (once, then the logger is off) or "raise" for what fails in `log`, `flush` and `close`.
        quiet: do not report on stderr where the results can be seen.

    Raises:
        PluginError: a logger is missing, broken, or does not take its options.
        InputError: `loggers` is none of the above.
    """
    built: dict[str, Logger] = {}
    for key, value in _named(loggers):
        if isinstance(value, Logger):
            plugins.check_instance(value, "logger", key)
        built[_unique(key, built)] = value if isinstance(value, Logger) else plugins.installed().logger(key, value)
    named = {} if name is None else {"name": name}
    return Loggers(built, Run(**named, config=dict(config or {}), versions=versions()), on_error, quiet)


def saved(explanation: Loggable, directory: str | os.PathLike[str], options: Mapping[str, Any]) -> Path:
    """Write explanations as one run of the disk logger; the path of its index.html.

    Args:
        explanation: one, or several as `Loggers` take them.
        directory: made if there is none.
        options: of the disk logger.

    Raises:
        LoggerError, InputError, PluginError, DependencyError: as `open_loggers` and the logger say.
    """
    root = Path(directory).expanduser()
    loggers = {"disk": {**options, "root": root}}
    with open_loggers(loggers, name=root.resolve().name, on_error="raise", quiet=True) as log:
        log(explanation)
    return root / "index.html"


def _named(loggers: Spec) -> Iterable[tuple[str, Logger | Mapping[str, Any]]]:
    if isinstance(loggers, Mapping):
        for name, options in loggers.items():
            if not isinstance(options, (Mapping, Logger, type(None))):
                raise InputError(f"logger {name!r} has options {options!r}: expected a dict of them, or None")
            yield name, {} if options is None else options
    elif isinstance(loggers, str):
        yield loggers, {}
    elif isinstance(loggers, Logger):
        yield type(loggers).__name__, loggers
    elif isinstance(loggers, Iterable):
        for one in loggers:
            if not isinstance(one, (str, Logger)):
                raise InputError(f"loggers holds {one!r}: expected plugin names or Logger instances")
            yield from _named(one)
    else:
        raise InputError(
            f"loggers={loggers!r}: expected a plugin's name, a list of names, {{name: options}}, or a Logger"
        )


def _unique(name: str, taken: Mapping[str, Any]) -> str:
    count = sum(other.partition("#")[0] == name for other in taken)
    return f"{name}#{count + 1}" if count else name
