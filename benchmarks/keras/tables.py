"""Prints two tables for the framework that Keras runs on: ratios, and the seconds of each subject's first call."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Iterator, Mapping
from typing import Any

import keras
from rich.console import Console
from rich.table import Table

from benchmarks.keras.nets import NETS, build, pictures
from benchmarks.keras.options import parse
from benchmarks.keras.subjects import BY_HAND, OURS, PEERS, SUBJECTS
from benchmarks.measure import can_measure_memory
from benchmarks.report import Report, usable

MODULES = {"tf-keras-vis": "tf_keras_vis", "xplique": "xplique"}
LIMITS = {
    ("xaicore", 8): 1.1,
    ("xaicore, 5 classes", 8): 1.15,
    ("xaicore, 5 classes", 8, "VGG16"): 1.3,
    ("resume", 8): 0.1,
}


def main() -> None:
    """Measure, and print the tables; after a failure, print the figures so far."""
    options = parse(__doc__)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # hides warnings about the peers' repeated traces
    console = Console()
    backend = keras.backend.backend()
    versions = f"Keras {keras.__version__} on {backend} {importlib.import_module(backend).__version__}"
    report = Report(f"{versions}: ratios to a bare forward pass, median of the undisturbed rounds", LIMITS)
    for name in ("bare", *OURS):
        _try_out(name)  # so that no figure includes what happens once per process
    others = [] if options.no_peers else [*BY_HAND, *_usable_peers(console, backend)]
    first_calls: dict[str, dict[str, float]] = {}
    try:
        with console.status("measuring") as status:
            for net in options.nets:
                status.update(f"{backend}: measuring {net}")
                first_calls.update(_time_rows(report, net, [*OURS, *others], options.rounds))
                if not options.no_memory and can_measure_memory():
                    report.memory_rows("benchmarks.keras.memory", net, ["xaicore", *others])
    finally:
        console.print(report.table)
        title = f"{versions}: seconds of the first call, tracing and compiling included"
        console.print(_first_calls(title, first_calls, ["bare", *OURS, *others]))
    if not options.no_memory and not can_measure_memory():
        console.print("memory: not measured, this system does not let a process reset its peak")


def _usable_peers(console: Console, backend: str) -> list[str]:
    if backend != "tensorflow":
        console.print(f"{', '.join(PEERS)}: skipped, they need TensorFlow")
        return []
    return usable(console, MODULES, _try_out, "pip install --no-deps: see the Makefile")


def _try_out(name: str) -> Any:
    layers = [
        keras.Input((32, 32, 3)),
        keras.layers.Conv2D(4, 3, activation="relu", name="conv"),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(10, activation="softmax"),
    ]
    model = keras.Sequential(layers)
    return SUBJECTS[name](keras.Model(model.inputs, model.outputs), "conv")(pictures(2, 32))


def _time_rows(report: Report, net: str, subjects: list[str], rounds: int) -> Iterator[tuple[str, dict[str, float]]]:
    """Add the rows of one net. Yields ("net batch", {subject: seconds of its first call}) for each batch size."""
    model = build(net)
    bare = SUBJECTS["bare"](model, NETS[net])
    runs = {name: SUBJECTS[name](model, NETS[net]) for name in subjects}
    for batch in (1, 8):
        yield f"{net} {batch}", report.time_rows(net, batch, pictures(batch), bare, runs, rounds)


def _first_calls(title: str, columns: Mapping[str, Mapping[str, float]], subjects: list[str]) -> Table:
    table = Table(title=title)
    table.add_column("subject", no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right")
    for name in subjects:
        table.add_row(name, *(f"{seconds[name]:.2f}" for seconds in columns.values()))
    return table


if __name__ == "__main__":
    main()
