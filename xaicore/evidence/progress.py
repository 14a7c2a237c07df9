"""How far long work is: a bar of tqdm's or rich's, whichever is installed, or the caller's own function."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from xaicore.errors import DependencyError, InputError
from xaicore.evidence.pace import Pace

__all__ = ["Progress", "check_progress", "counted", "reported"]

Progress = Callable[[int, int], object]
"""`progress(done, total)` is called after each batch."""

PATIENCE = 2.0
"""Seconds of work without a bar: what takes no longer needs none."""


def check_progress(progress: Any) -> None:
    """Refuse a `progress=` that is none, or a bar that nothing can draw.

    Raises:
        InputError: it is neither None, a bool nor a function.
        DependencyError: it is True, and neither tqdm nor rich is installed.
    """
    if not (progress is None or isinstance(progress, bool) or callable(progress)):
        raise InputError(f"progress={progress!r}: expected None, True, False or a function progress(done, total)")
    if progress is True and not _library():
        raise DependencyError("progress=True needs tqdm or rich: pip install tqdm, or pass progress(done, total)")


@contextmanager
def reported(progress: Progress | bool | None, total: int, what: str = "rows") -> Iterator[Progress]:
    """Yield what is called with (done, total) as the work goes on.

    Args:
        progress: the caller's function; True for a bar, or lines of text where stderr is no terminal; False for none;
            None for a bar in terminals and notebooks.
        total: how much work there is.
        what: is counted, in the plural.
    """
    if callable(progress):
        yield progress
        return
    with _bar_where_wanted(progress, total, what) as show:
        yield lambda done, total: show(done)


@contextmanager
def counted(progress: Progress | bool | None) -> Iterator[Callable[[int], object]]:
    """Yield what is called with a count that grows, of which nobody knows the end; a bar shows it where bars are shown.

    A caller's own function, which is of the work behind the count, is not called.
    """
    with _bar_where_wanted(False if callable(progress) else progress, None, "elements") as show:
        yield show


@contextmanager
def _bar_where_wanted(progress: bool | None, total: int | None, what: str) -> Iterator[Callable[[int], object]]:
    is_shown = progress or (progress is None and (_in_notebook() or sys.stderr.isatty()))
    bar = _Bar(total, what) if is_shown else None
    try:
        yield (lambda done: None) if bar is None else bar.show
    finally:
        if bar is not None:
            bar.close()


class _Bar:
    """A bar that appears once the work has taken a while, and vanishes at its end; it shows the rate and the time left.

    Elsewhere than in terminals and notebooks, it is lines of text, see `Pace`.

    Args:
        total: how much work there is; None: nobody knows.
        what: is counted, in the plural.
    """

    def __init__(self, total: int | None, what: str) -> None:
        self._total, self._started = total, time.monotonic()
        self._what, self._pace = what, Pace(total, what)
        self._is_open = False
        self._open_nothing(0)

    def show(self, done: int) -> None:
        """Move the bar to `done`."""
        if not self._is_open:
            self._pace.note(done)
            if time.monotonic() - self._started < PATIENCE:
                return
            self._is_open = True
            if not (_in_notebook() or sys.stderr.isatty()):
                self._open_lines(done)
            else:
                openers = {"tqdm": self._open_tqdm, "rich": self._open_rich, None: self._open_nothing}
                openers[_library()](done)
        self._update(done)

    def close(self) -> None:
        """Remove the bar."""
        self._close()

    def _open_nothing(self, done: int) -> None:
        self._update: Callable[[int], object] = lambda done: None
        self._close: Callable[[], object] = lambda: None

    def _open_lines(self, done: int) -> None:
        """Where nobody sees a bar move, such as a log file."""

        def update(done: int) -> None:
            line = self._pace.line(done)
            if line is not None:
                print(line, file=sys.stderr, flush=True)

        self._update = update

    def _open_tqdm(self, done: int) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # in a notebook without widgets, it is a line of text
            unit = self._what.removesuffix("s")
            bar = importlib.import_module("tqdm.auto").tqdm(total=self._total, initial=done, leave=False, unit=unit)
        self._update, self._close = (lambda done: bar.update(done - bar.n)), bar.close

    def _open_rich(self, done: int) -> None:
        from rich.console import Console
        from rich.errors import LiveError
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"), TimeRemainingColumn())
        bar = Progress(*columns, console=Console(stderr=not _in_notebook()), transient=True)
        task = bar.add_task("", total=self._total, completed=done, rate="")

        def update(done: int) -> None:
            rate = done / (time.monotonic() - self._started)
            bar.update(task, completed=done, rate=f"{rate:.3g} {self._what}/s")

        self._update, self._close = update, bar.stop
        try:
            bar.start()
        except LiveError:  # inside of a bar of the caller's
            self._open_nothing(done)


def _library() -> str | None:
    return next((name for name in ("tqdm", "rich") if importlib.util.find_spec(name)), None)


def _in_notebook() -> bool:
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return hasattr(shell, "kernel")
