"""What both scripts share: the command line, the run's folder, and the run in Weights & Biases."""

from __future__ import annotations

import datetime
import functools
import json
import os
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

import xaicore
from examples.report.conclusions import Findings, conclude, numbers
from examples.report.folder import MIN_PER_CLASS, folder
from examples.report.pictures import Data
from examples.report.scenes import scenes

if TYPE_CHECKING:
    import wandb
    from typing_extensions import Self

SEED = 0
EPOCHS, QUICK_EPOCHS = 4, 2
TRAIN, VALIDATION = 128, 64
QUICK_TRAIN, QUICK_VALIDATION = 64, 16
PER_CLASS, QUICK_PER_CLASS = 100, 40
"""Pictures per class, with --data."""

Experiment = Callable[[Data, int, "Tracker"], Mapping[str, Findings]]
"""A function of the data, the number of epochs for each of two models, and the tracker."""


def command(framework: str) -> Callable[[Experiment], click.Command]:
    """A decorator that makes an experiment a command; the experiment's docstring is the help text."""

    def decorate(experiment: Experiment) -> click.Command:
        @click.command(context_settings={"help_option_names": ["-h", "--help"]}, help=experiment.__doc__)
        @click.option(
            "--data",
            "root",
            type=click.Path(exists=True, file_okay=False, path_type=Path),
            help="A folder with one folder of pictures per class, such as DIR/cat and DIR/dog. Without it, pictures "
            "are composed: a cat and two dogs, laid over other photographs.",
        )
        @click.option(
            "--epochs", type=click.IntRange(1), help=f"Epochs for each of the two models.  [default: {EPOCHS}]"
        )
        @click.option(
            "--logger",
            "loggers",
            multiple=True,
            help="A logger's name; may be repeated.  [default: disk, and wandb if it is installed]",
        )
        @click.option(
            "--out", type=click.Path(path_type=Path), help="A new folder for the run.  [default: runs/report-...]"
        )
        @click.option(
            "--most",
            "per_class",
            type=click.IntRange(MIN_PER_CLASS),
            help=f"At most this many pictures per class of --data.  [default: {PER_CLASS}]",
        )
        @click.option("--quick", is_flag=True, help="Fewer pictures and epochs, as a test.")
        @functools.wraps(experiment)
        def main(
            root: Path | None,
            epochs: int | None,
            loggers: tuple[str, ...],
            out: Path | None,
            per_class: int | None,
            quick: bool,
        ) -> None:
            tracker = Tracker(out or default_folder(framework), loggers or default_loggers())
            if root is None:
                data = scenes(*(QUICK_TRAIN, QUICK_VALIDATION) if quick else (TRAIN, VALIDATION), SEED)
            else:
                data = folder(root, per_class or (QUICK_PER_CLASS if quick else PER_CLASS), SEED)
            click.echo(data.description)
            try:
                with tracker:
                    tracker.conclude(data, experiment(data, epochs or (QUICK_EPOCHS if quick else EPOCHS), tracker))
            except xaicore.XaicoreError as exc:  # the message suffices, without a traceback
                raise click.ClickException(str(exc)) from exc

        return main

    return decorate


class Tracker:
    """The run's folder and, if wandb is one of the loggers, a run of Weights & Biases for metrics and heatmaps.

    Args:
        root: a folder that does not exist yet, or is empty.
        names: names of loggers.

    Attributes:
        name: the run's name.
        loggers: the loggers with their options, as `Monitor` takes them.

    Raises:
        ClickException: the folder is not empty, or wandb is not installed.
    """

    def __init__(self, root: Path, names: tuple[str, ...]) -> None:
        if root.exists() and (not root.is_dir() or any(root.iterdir())):
            raise click.ClickException(f"{root} is not an empty folder; name a new one with --out")
        if "wandb" in names and not find_spec("wandb"):
            raise click.ClickException('the logger wandb needs the package wandb; try: pip install ".[wandb]"')
        self.root, self.name = root, root.name
        self.loggers: dict[str, dict[str, Any]] = {name: {} for name in names}
        if "disk" in self.loggers:
            self.loggers["disk"]["root"] = root
        self._run: wandb.Run | None = None

    def __enter__(self) -> Self:
        self.root.mkdir(parents=True, exist_ok=True)
        if "wandb" in self.loggers:
            import wandb

            # xaicore's logger joins this run. It is offline, unless WANDB_MODE says otherwise.
            mode = os.environ.get("WANDB_MODE", "offline")
            settings = wandb.Settings(console="off", quiet=True)
            self._run = wandb.init(
                project="xaicore-report", name=self.name, dir=self.root, mode=mode, settings=settings
            )
            self._run.define_metric("epoch")
            for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
                self._run.define_metric(name, step_metric="epoch")
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._run is not None:
            self._run.finish(exit_code=int(exc_info[0] is not None))

    def watching(self, data: Data, prepare: Callable[[np.ndarray], np.ndarray]) -> dict[str, Any]:
        """The arguments of a monitor that explains the watched pictures and the four worst predictions."""
        return {
            "x": data.watched.sample(prepare),
            "class_names": data.class_names,
            "targets": data.targets,
            "worst": 4,
            "pool": data.validation.sample(prepare),
            "loggers": self.loggers,
            "name": self.name,
        }

    def metrics(self, epoch: int, values: Mapping[str, float]) -> None:
        """Log an epoch's loss and accuracy: to `metrics.jsonl`, and to the heatmaps' run in Weights & Biases."""
        row = {"epoch": epoch, **{name: float(value) for name, value in values.items()}}
        with open(self.root / "metrics.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        if self._run is not None:
            self._run.log(row)

    def conclude(self, data: Data, findings: Mapping[str, Findings]) -> None:
        """Write the conclusions to a file, print them, and print where the results are."""
        text = conclude(data, findings)
        (self.root / "conclusions.md").write_text(text, encoding="utf-8")
        click.echo(f"\n{text}")
        click.echo(f"These conclusions: {self.root / 'conclusions.md'}")
        if "disk" in self.loggers:
            click.echo(f"The gallery:       open {self.root / 'index.html'}")
        if self._run is not None:
            self._run.summary.update(numbers(data, findings))
            where = f"wandb sync {self._run.settings.sync_dir}" if self._run.offline else self._run.url
            click.echo(f"Weights & Biases:  {where}")


def default_folder(framework: str) -> Path:
    """A folder for a run that starts now."""
    return Path("runs", f"report-{framework}-{datetime.datetime.now():%Y%m%d-%H%M%S}")


def default_loggers() -> tuple[str, ...]:
    """Disk, and wandb if it is installed."""
    return ("disk", "wandb") if find_spec("wandb") else ("disk",)
