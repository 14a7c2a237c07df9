"""The logger `wandb`: the user's run or one of its own, with one entry per step in the run's history."""

from __future__ import annotations

import contextlib
import shlex
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import wandb

import xaicore
from xaicore_wandb.entry import COLUMNS, Photos, cells, history, images_of
from xaicore_wandb.run import INIT_OPTIONS, counted_as_active, start_run

__all__ = ["WandbLogger"]

SHIPPING = threading.Lock()
"""Loggers that share a run share its table: one must not add rows between another's rows and their `run.log`."""


class WandbLogger(xaicore.Tracker):
    """Logs heatmaps, overlays and a table of them to Weights & Biases.

    It joins the active run (`run`, else `wandb.run`) and leaves it active. If there is none it starts one, apart from
    any that you start later, and finishes it in `close`. That run stays on this machine, with or without an API key,
    because connecting can block for minutes and pictures can be private: `wandb sync` uploads it. For an online run,
    pass `mode="online"`, set WANDB_MODE=online, or call `wandb.init()` yourself before.

    A step is one call of `run.log`, without `step=`: it takes one number of the run's own counter, and all keys of
    xaicore are drawn over `xaicore/epoch`. An entry that you hold open at that time, with `commit=False` or `step=`,
    is committed with it. wandb drops entries with a `step=` behind its counter: if you number entries yourself, log
    those of an epoch before xaicore does and give the monitor `beside=False`, or give your metrics an axis of their
    own with `define_metric`.

        xaicore/overlay/<method>          overlays with captions; xaicore/overlay/<group>/<method> for a group
        xaicore/heatmap/<method>          heatmaps alone
        xaicore/table                     a row per map, of all steps
        xaicore/right, xaicore/score      means over the fixed pictures

    Beyond 108 images, a key continues as <key>/2, <key>/3, ... Entries are final: a repeated step is another entry. An
    explanation without a step is an entry at once. W&B's workspace shows the rows of the table's latest 100 entries.
    Offline, the table's images wait for `wandb sync` in wandb's data folder (WANDB_DATA_DIR), not in the run's. A
    killed process loses the last 0.1 s of the logger's own run, and the last 15 s of yours, unless you start it with
    `Settings(x_transaction_log_flush_interval=...)`.

    Args:
        run: the run to join, where it is not `wandb.run`.
        options: `colormap`, `alpha`, `outline` and `diverging` as in `xaicore.Drawing`, and what `wandb.init` takes for
            a run that is started: `project`, `entity`, `name`, `id`, `resume`, `group`, `job_type`, `tags`, `notes`,
            `dir`, `mode`. The latter have no effect on a run that is joined.

    Raises:
        PluginError: an option is unknown.
        InputError: an option has a value out of range.
    """

    name = "wandb"
    more_options = INIT_OPTIONS

    def __init__(self, run: wandb.Run | None = None, **options: Any) -> None:
        super().__init__(**{name: value for name, value in options.items() if name not in INIT_OPTIONS})
        self._given, self._init = run, {name: options[name] for name in INIT_OPTIONS if name in options}

    def connect(self, run: xaicore.Run) -> None:
        """Join the active run, or start one."""
        joined = wandb.run if self._given is None else self._given
        self._started = joined is None
        self._run = start_run(run.name, self._init) if joined is None else joined
        self._photos = Photos()
        if self._run.url:
            self.where = f"wandb: {self._run.url}"
        elif self._started and self._run.offline:  # of a run of the user's, wandb reports the folder
            self.where = f"wandb sync {shlex.quote(str(self._run.settings.sync_dir))}"
        self._run.define_metric("xaicore/epoch")
        self._run.define_metric("xaicore/*", step_metric="xaicore/epoch", step_sync=False)  # else wandb adds epochs
        about = {"name": run.name, "started": run.started, "versions": dict(run.versions), **run.config}
        # A resumed run has this key already.
        self._run.config.update({"xaicore": about}, allow_val_change=True)  # type: ignore[no-untyped-call]

    def log(self, explanation: xaicore.Explanation, step: int | None = None) -> None:
        """Draw an explanation; it is shipped with the others of its step.

        Raises:
            LoggerError: the logger is not open, or the run has been finished.
        """
        self.check_open()
        if not self._run.disabled:
            super().log(explanation, step)

    def log_map(self, row: dict[str, Any], images: Mapping[str, np.ndarray]) -> None:
        """Make wandb's images of a map, to be shipped with its step."""
        row["images"] = images_of(row, images)
        row["photo"] = self._photos.get(images["picture"]) if "picture" in images else None

    def log_step(self, step: int | None, rows: Sequence[dict[str, Any]]) -> None:
        """Ship a step as one entry of the run's history.

        Raises:
            LoggerError: the run has been finished.
        """
        photos, self._photos = self._photos, Photos()
        with (
            contextlib.closing(photos),
            counted_as_active(self._run) if self._started else contextlib.nullcontext(),
        ):
            if getattr(self._run, "_is_finished", False):  # older versions of wandb would look for a server now
                raise xaicore.LoggerError(
                    f"step {step} is lost: the run {self._run.id} is finished; close xaicore's loggers before it"
                )
            _ship(self._run, history(step, rows), [cells(row) for row in rows])

    def disconnect(self) -> None:
        """Finish the run if `connect` started it."""
        if self._started:
            self._run.finish()


def _ship(run: wandb.Run, entry: dict[str, Any], rows: Sequence[Sequence[Any]]) -> None:
    """Call `run.log` once, images first: the media panels do not store images that a table has had before."""
    with SHIPPING:
        table = _table(run)
        old = len(table.data)
        try:
            for row in rows:
                table.add_data(*row)
            run.log({**entry, "xaicore/table": table})
        finally:
            # An incremental table keeps all rows with their images, but only counts the sent ones: they are emptied.
            table.data[old:] = [[]] * (len(table.data) - old)


def _table(run: wandb.Run) -> wandb.Table:
    """The run's only table: a second one would replace the first.

    It is kept in the run, which it refers to: a dictionary of tables would keep all runs alive.
    """
    table: wandb.Table = vars(run).setdefault(
        "_xaicore_table", wandb.Table(columns=list(COLUMNS), log_mode="INCREMENTAL")
    )
    return table
