"""Output to the terminal: tables on stdout; progress, remarks and warnings on stderr.

File names, class names and messages are untrusted text: nothing in them is markup, an emoji or an escape code.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from xaicore.cli.options import in_options
from xaicore.evidence.pace import Pace

__all__ = ["Bar", "console", "count", "new_table", "plain", "remark", "text", "warnings_as_lines"]

WIDE = 100_000
"""Width when the output is not a terminal, so that tables in files never wrap."""


def console(stderr: bool = False) -> Console:
    """The console of stdout or stderr, where strings are printed as they are."""
    stream = sys.stderr if stderr else sys.stdout
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="backslashreplace")  # letters that the encoding lacks become escapes
    found = Console(stderr=stderr, markup=False, emoji=False, highlight=False)
    if not found.is_terminal:
        found.width = WIDE
    return found


def plain(words: object) -> str:
    """Printable text: line ends stay, other control characters become escapes."""
    return "".join(
        c if c.isprintable() or c == "\n" else c.encode("unicode_escape", "surrogatepass").decode() for c in str(words)
    )


def new_table() -> Table:
    """An empty table, its columns two spaces apart."""
    return Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))


def text(words: object, style: str = "") -> Text:
    """One line for a cell of a table; nothing in it is markup."""
    return Text(plain(words).replace("\n", "\\n"), style)


def count(n: int, noun: str) -> str:
    """ "1 picture", "2 pictures"."""
    return f"{n} {noun}{'s' * (n != 1)}"


def remark(screen: Console, words: str, style: str = "") -> None:
    """Print one paragraph; the terminal wraps it, so that paths can be copied."""
    screen.print(Text(plain(words), style), soft_wrap=True)


@contextmanager
def warnings_as_lines(screen: Console) -> Iterator[None]:
    """Print each warning as one line, without Python's file name and source line."""

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        remark(screen, f"warning: {in_options(str(message))}", "yellow")

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


class Bar:
    """How far the work is: the pictures, and within them the passes of a method that needs many.

    In a terminal it moves a bar, which vanishes at the end; elsewhere it prints a line per tenth of the pictures, and
    one per minute, with the rate and the time left.

    Args:
        screen: where it is shown.
        total: the number of pictures.
    """

    def __init__(self, screen: Console, total: int) -> None:
        self._screen, self._total, self._pace = screen, total, Pace(total, "pictures")
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._live = Progress(*columns, console=screen, transient=True) if screen.is_terminal else None
        self._tasks: list[TaskID] = []

    def __enter__(self) -> Bar:
        if self._live is not None:
            self._live.start()
            tasks = (("explaining", self._total, True), ("", 1, False))
            self._tasks = [self._live.add_task(name, total=total, visible=seen) for name, total, seen in tasks]
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, done: int) -> None:
        """Tell how many pictures are done."""
        if self._live is not None:
            self._live.update(self._tasks[0], completed=done)
            self._live.reset(self._tasks[1], visible=False)
            return
        line = self._pace.line(done)
        if line is not None:
            remark(self._screen, line)

    def show_passes(self, done: int, total: int) -> None:
        """Tell how many of a method's changed pictures are done."""
        if self._live is not None:
            speed = self._live.tasks[1].speed
            rate = "" if speed is None else f", {speed:.3g} per second"
            seen = done < total
            self._live.update(
                self._tasks[1], completed=done, total=total, visible=seen, description=f"changed pictures{rate}"
            )
