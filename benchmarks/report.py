"""What the benchmarks of PyTorch and of Keras share: their options, their table, and the rows of it."""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.measure import peak_memory, seconds, time_ratio

Run = Callable[[Any], Any]
"""A subject that is built: called with a batch."""

COLUMNS = ("net", "batch", "subject", "ratio", "limit", "rounds", "bare vs bare")


def parser(description: str | None, nets: Iterable[str]) -> argparse.ArgumentParser:
    """The options that every benchmark has."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--nets", nargs="+", default=list(nets), choices=list(nets), metavar="NET")
    made.add_argument("--rounds", type=int, default=15, help="rounds a figure (default: 15)")
    made.add_argument("--threads", type=int, default=2, help="threads of the framework (default: 2)")
    made.add_argument("--no-memory", action="store_true", help="leave out the memory figures")
    made.add_argument("--no-peers", action="store_true", help="leave out what others do")
    return made


class Report:
    """A table of ratios; those above their limit are marked.

    Args:
        title: of the table.
        limits: {(subject, batch): ratio}, or {(subject, batch, net): ratio} where a net has its own.
    """

    def __init__(self, title: str, limits: Mapping[tuple[Any, ...], float]) -> None:
        self.limits = limits
        self.table = Table(title=title)
        for heading in COLUMNS:
            is_name = heading in ("net", "subject")
            self.table.add_column(heading, justify="left" if is_name else "right", no_wrap=is_name)

    def row(self, net: str, batch: int, name: str, ratio: float, rounds: str, control: str) -> None:
        """One figure; a batch of 0 is none."""
        limit = self.limits.get((name, batch, net), self.limits.get((name, batch)))
        shown = f"{ratio:.3f}" if limit is None or ratio <= limit else f"{ratio:.3f} !"
        self.table.add_row(net, str(batch or "-"), name, shown, f"{limit or ''}", rounds, control)

    def time_rows(
        self, net: str, batch: int, x: Any, bare: Run, runs: Mapping[str, Run], rounds: int
    ) -> dict[str, float]:
        """One row a subject; answers the seconds that the first call of each took, "bare" among them."""
        forward = partial(bare, x)
        first = {"bare": seconds(forward)}
        control, _ = time_ratio(forward, forward, rounds)
        for name, run in runs.items():
            first[name] = seconds(partial(run, x))
            ratio, counted = time_ratio(partial(run, x), forward, rounds)
            self.row(net, batch, name, ratio, f"{counted}/{rounds}", f"{control:.3f}")
        return first

    def memory_rows(self, module: str, net: str, subjects: Iterable[str], batch: int = 32) -> None:
        """One row a subject; `module` is run for each call."""
        bare = min(peak_memory(module, net, "bare", batch) for _ in range(3))
        for name in subjects:
            peak = min(peak_memory(module, net, name, batch) for _ in range(3))
            self.row(net, batch, f"{name}, memory", peak / bare, "3", f"{bare:.0f} MiB")


def usable(console: Console, modules: Mapping[str, str], try_out: Callable[[str], Any], hint: str) -> list[str]:
    """The peers of {name: module} that are installed and work; the others are left out with a word."""
    found = []
    for name, module in modules.items():
        if importlib.util.find_spec(module) is None:
            console.print(f"{name}: left out, not installed ({hint})", markup=False)
            continue
        try:
            try_out(name)
        except Exception as exc:  # a peer that does not import here must not stop the table
            console.print(f"{name}: left out, {type(exc).__name__}: {exc}", markup=False)
            continue
        found.append(name)
    return found
