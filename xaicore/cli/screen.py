"""What the terminal gets: tables on stdout; progress, remarks and warnings on stderr.

File names, class names and messages are untrusted text: nothing in them is markup, an emoji or an escape code.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

__all__ = ["console", "count", "new_table", "plain", "progress", "remark", "text", "warnings_as_lines"]

WIDE = 100_000
"""Columns of what is no terminal: a table in a file or a pipe is as wide as its contents."""


def console(stderr: bool = False) -> Console:
    """The console of stdout or stderr, where strings are printed as they are."""
    stream = sys.stderr if stderr else sys.stdout
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="backslashreplace")  # a name must not fail for want of a letter
    found = Console(stderr=stderr, markup=False, emoji=False, highlight=False)
    if not found.is_terminal:
        found.width = WIDE
    return found


def plain(words: object) -> str:
    """A string of printable characters: line ends stay, other control characters show as their escapes."""
    return "".join(
        c if c.isprintable() or c == "\n" else c.encode("unicode_escape", "surrogatepass").decode() for c in str(words)
    )


def new_table() -> Table:
    """An empty table, its columns two spaces apart."""
    return Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))


def text(words: object, style: str = "") -> Text:
    """A cell of a table: one line, literally."""
    return Text(plain(words).replace("\n", "\\n"), style)


def count(n: int, noun: str) -> str:
    """ "1 picture", "2 pictures"."""
    return f"{n} {noun}{'s' * (n != 1)}"


def remark(screen: Console, words: str, style: str = "") -> None:
    """One paragraph, which the terminal itself wraps, so that paths can be copied."""
    screen.print(Text(plain(words), style), soft_wrap=True)


@contextmanager
def warnings_as_lines(screen: Console) -> Iterator[None]:
    """Warnings as one line each, instead of Python's with file and source."""

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        remark(screen, f"warning: {message}", "yellow")

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


@contextmanager
def progress(screen: Console, total: int) -> Iterator[Callable[[int], None]]:
    """A function to call with the number of pictures that are done by now.

    A bar in a terminal, gone in the end; elsewhere a line for each tenth of the work.
    """
    if not screen.is_terminal:
        yield _tenths(screen, total)
        return
    columns = (TextColumn("explaining"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=screen, transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda done: bar.update(task, completed=done)


def _tenths(screen: Console, total: int) -> Callable[[int], None]:
    shown = 0

    def show(done: int) -> None:
        nonlocal shown
        if done * 10 // total > shown:
            shown = done * 10 // total
            remark(screen, f"{done} of {total} pictures")

    return show
