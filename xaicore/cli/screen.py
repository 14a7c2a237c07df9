"""Output to the terminal: tables on stdout; progress, remarks and warnings on stderr.

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

from xaicore.cli.options import in_options

__all__ = ["console", "count", "new_table", "plain", "progress", "remark", "text", "warnings_as_lines"]

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


@contextmanager
def progress(screen: Console, total: int) -> Iterator[Callable[[int], None]]:
    """Yield a function to call with the number of pictures done so far.

    In a terminal it moves a bar, which vanishes at the end; elsewhere it prints a line per tenth of the work.
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
