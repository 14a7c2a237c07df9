"""The options and the table that the benchmarks of PyTorch and of Keras share."""

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
"""A subject built for a model; it takes a batch."""

COLUMNS = ("net", "batch", "subject", "ratio", "limit", "rounds", "bare vs bare")


def parser(description: str | None, nets: Iterable[str]) -> argparse.ArgumentParser:
    """A parser for the options that all benchmarks have."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument("--nets", nargs="+", default=list(nets), choices=list(nets), metavar="NET")
    options.add_argument("--rounds", type=int, default=15, help="rounds per figure (default: 15)")
    options.add_argument("--threads", type=int, default=2, help="threads of the framework (default: 2)")
    options.add_argument("--no-memory", action="store_true", help="do not measure memory")
    options.add_argument("--no-peers", action="store_true", help="do not measure other libraries")
    return options


class Report:
    """A table of ratios; a ratio above its limit is marked with "!".

    Args:
        title: the table's title.
        limits: {(subject, batch): ratio}; {(subject, batch, net): ratio} takes precedence.
    """

    def __init__(self, title: str, limits: Mapping[tuple[Any, ...], float]) -> None:
        self.limits = limits
        self.table = Table(title=title)
        for heading in COLUMNS:
            is_name = heading in ("net", "subject")
            self.table.add_column(heading, justify="left" if is_name else "right", no_wrap=is_name)

    def row(self, net: str, batch: int, name: str, ratio: float, rounds: str, control: str) -> None:
        """Add one figure; `batch` is 0 for a figure without a batch."""
        limit = self.limits.get((name, batch, net), self.limits.get((name, batch)))
        shown = f"{ratio:.3f}" if limit is None or ratio <= limit else f"{ratio:.3f} !"
        self.table.add_row(net, str(batch or "-"), name, shown, f"{limit or ''}", rounds, control)

    def time_rows(
        self, net: str, batch: int, x: Any, bare: Run, runs: Mapping[str, Run], rounds: int
    ) -> dict[str, float]:
        """Add one row per subject. Returns {name: seconds of the first call}, for the subjects and "bare"."""
        forward = partial(bare, x)
        first_calls = {"bare": seconds(forward)}
        control, _ = time_ratio(forward, forward, rounds)
        for name, run in runs.items():
            first_calls[name] = seconds(partial(run, x))
            ratio, undisturbed = time_ratio(partial(run, x), forward, rounds)
            self.row(net, batch, name, ratio, f"{undisturbed}/{rounds}", f"{control:.3f}")
        return first_calls

    def memory_rows(self, module: str, net: str, subjects: Iterable[str], batch: int = 32) -> None:
        """Add one row per subject; each call is a run of `module` in a process of its own."""
        bare = min(peak_memory(module, net, "bare", batch) for _ in range(3))
        for name in subjects:
            peak = min(peak_memory(module, net, name, batch) for _ in range(3))
            self.row(net, batch, f"{name}, memory", peak / bare, "3", f"{bare:.0f} MiB")


def usable(console: Console, modules: Mapping[str, str], try_out: Callable[[str], Any], hint: str) -> list[str]:
    """The names in {peer: module} whose library is installed and works; prints the reason for each other one."""
    names = []
    for name, module in modules.items():
        if importlib.util.find_spec(module) is None:
            console.print(f"{name}: skipped, not installed ({hint})", markup=False)
            continue
        try:
            try_out(name)
        except Exception as exc:  # a peer that does not import here must not stop the table
            console.print(f"{name}: skipped, {type(exc).__name__}: {exc}", markup=False)
            continue
        names.append(name)
    return names
