"""What both scripts have around their training: the command line, the run's folder, and one run at Weights & Biases."""

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

import xaicore
from examples.report.conclusions import Findings, conclude, numbers
from examples.report.folder import folder
from examples.report.pictures import Data
from examples.report.scenes import scenes

if TYPE_CHECKING:
    import wandb
    from typing_extensions import Self

SEED = 0
EPOCHS, QUICK_EPOCHS = 4, 2
TRAIN, VALIDATION = 128, 64
QUICK_TRAIN, QUICK_VALIDATION = 64, 16
MOST, QUICK_MOST = 100, 40
"""Pictures a class, of a folder."""

Story = Callable[[Data, int, "Tracker"], Mapping[str, Findings]]


def command(framework: str) -> Callable[[Story], click.Command]:
    """Makes a command of a story: a function of the data, the epochs for each of two models, and the tracker."""

    def decorate(story: Story) -> click.Command:
        @click.command(context_settings={"help_option_names": ["-h", "--help"]}, help=story.__doc__)
        @click.option(
            "--data",
            "root",
            type=click.Path(exists=True, file_okay=False, path_type=Path),
            help="A folder that has a folder of pictures for each class, such as DIR/cat and DIR/dog. Without it, a "
            "cat and two dogs are laid over other photographs.",
        )
        @click.option("--epochs", type=click.IntRange(1), help=f"For each of the two models.  [default: {EPOCHS}]")
        @click.option(
            "--logger",
            "loggers",
            multiple=True,
            help="A logger's name; may be repeated.  [default: disk, and wandb if it is installed]",
        )
        @click.option("--out", type=click.Path(path_type=Path), help="A new folder.  [default: runs/report-...]")
        @click.option("--most", type=click.IntRange(4), help=f"Pictures a class, of --data.  [default: {MOST}]")
        @click.option("--quick", is_flag=True, help="Fewer pictures and epochs: to see that it runs.")
        @functools.wraps(story)
        def main(
            root: Path | None,
            epochs: int | None,
            loggers: tuple[str, ...],
            out: Path | None,
            most: int | None,
            quick: bool,
        ) -> None:
            tracker = Tracker(out or default_folder(framework), loggers or default_loggers())
            if root is None:
                data = scenes(*(QUICK_TRAIN, QUICK_VALIDATION) if quick else (TRAIN, VALIDATION), SEED)
            else:
                data = folder(root, most or (QUICK_MOST if quick else MOST), SEED)
            click.echo(data.about)
            try:
                with tracker:
                    tracker.conclude(data, story(data, epochs or (QUICK_EPOCHS if quick else EPOCHS), tracker))
            except xaicore.XaicoreError as exc:  # its message says what to do
                raise click.ClickException(str(exc)) from exc

        return main

    return decorate


class Tracker:
    """The run's folder and, where wandb is among the loggers, one run there that holds metrics and heatmaps.

    Args:
        root: a folder that is not there yet, or is empty.
        names: of loggers.

    Attributes:
        name: the run's.
        loggers: what a `Monitor` takes.

    Raises:
        ClickException: the folder holds something, or wandb is asked for and not installed.
    """

    def __init__(self, root: Path, names: tuple[str, ...]) -> None:
        if root.exists() and (not root.is_dir() or any(root.iterdir())):
            raise click.ClickException(f"{root} holds something already; name a new folder with --out")
        if "wandb" in names and not find_spec("wandb"):
            raise click.ClickException('the logger wandb needs the package wandb; try: pip install "xaicore[wandb]"')
        self.root, self.name = root, root.name
        self.loggers: dict[str, dict[str, Any]] = {name: {} for name in names}
        if "disk" in self.loggers:
            self.loggers["disk"]["root"] = root
        self._run: wandb.Run | None = None

    def __enter__(self) -> Self:
        self.root.mkdir(parents=True, exist_ok=True)
        if "wandb" in self.loggers:
            import wandb

            # The logger joins the run that is on. This one stays here unless WANDB_MODE says otherwise.
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

    def metrics(self, epoch: int, values: Mapping[str, float]) -> None:
        """Log loss and accuracy of an epoch: to `metrics.jsonl`, and beside the heatmaps at Weights & Biases."""
        row = {"epoch": epoch, **{name: float(value) for name, value in values.items()}}
        with open(self.root / "metrics.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        if self._run is not None:
            self._run.log(row)

    def conclude(self, data: Data, findings: Mapping[str, Findings]) -> None:
        """Say and write down what was found, and where to look."""
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
    """One that no other run has."""
    return Path("runs", f"report-{framework}-{datetime.datetime.now():%Y%m%d-%H%M%S}")


def default_loggers() -> tuple[str, ...]:
    """Disk, and wandb where it is installed."""
    return ("disk", "wandb") if find_spec("wandb") else ("disk",)
