"""Two tables for the backend that Keras runs on: ratios, and what the first call of each subject takes."""

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
    """Measure and print; what was measured before something failed, too."""
    options = parse(__doc__)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # a peer's new traces are not ours to warn of
    console = Console()
    backend = keras.backend.backend()
    running = f"Keras {keras.__version__} on {backend} {importlib.import_module(backend).__version__}"
    report = Report(f"{running}: ratios against a bare forward pass, median of the undisturbed rounds", LIMITS)
    for name in ("bare", *OURS):
        _try_out(name)  # so that no net pays for what happens once a process
    others = [] if options.no_peers else [*BY_HAND, *_usable_peers(console, backend)]
    firsts: dict[str, dict[str, float]] = {}
    try:
        with console.status("measuring") as status:
            for net in options.nets:
                status.update(f"{backend}: measuring {net}")
                firsts.update(_time_rows(report, net, [*OURS, *others], options.rounds))
                if not options.no_memory and can_measure_memory():
                    report.memory_rows("benchmarks.keras.memory", net, ["xaicore", *others])
    finally:
        console.print(report.table)
        title = f"{running}: seconds of the first call, tracing and compiling included"
        console.print(_first_calls(title, firsts, ["bare", *OURS, *others]))
    if not options.no_memory and not can_measure_memory():
        console.print("memory: left out, this system does not let a process reset its peak")


def _usable_peers(console: Console, backend: str) -> list[str]:
    if backend != "tensorflow":
        console.print(f"{', '.join(PEERS)}: left out, they are for TensorFlow")
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
    """Yields, for each batch size, what the first calls took."""
    model = build(net)
    bare = SUBJECTS["bare"](model, NETS[net])
    runs = {name: SUBJECTS[name](model, NETS[net]) for name in subjects}
    for batch in (1, 8):
        yield f"{net} {batch}", report.time_rows(net, batch, pictures(batch), bare, runs, rounds)


def _first_calls(title: str, firsts: Mapping[str, Mapping[str, float]], subjects: list[str]) -> Table:
    table = Table(title=title)
    table.add_column("subject", no_wrap=True)
    for column in firsts:
        table.add_column(column, justify="right")
    for name in subjects:
        table.add_row(name, *(f"{seconds[name]:.2f}" for seconds in firsts.values()))
    return table


if __name__ == "__main__":
    main()
