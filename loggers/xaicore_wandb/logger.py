"""The logger: the user's run or one of its own, and one entry a step in the run's history."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import wandb

import xaicore
from xaicore_wandb import own
from xaicore_wandb.entry import COLUMNS, Photos, cells, history, images_of

__all__ = ["WandbLogger"]

SHIPPING = threading.Lock()
"""Two loggers that share a run share its table: rows of one must not come between another's rows and their log."""


class WandbLogger(xaicore.Tracker):
    """Logs heatmaps, overlays and a table of them to Weights & Biases.

    It joins the run that is on (`run`, else `wandb.run`) and leaves it on. Where there is none it starts one, apart
    from any that you start later, and finishes it in `close`. That run stays on this machine, whether there is an
    API key or not, because connecting can block for minutes and pictures can be private: `wandb sync` uploads it.
    To have it online say so: `mode="online"`, the variable WANDB_MODE=online, or a `wandb.init()` of your own before.

    A step is one call of `run.log`, without `step=`: it takes one number of the run's own counter, and what belongs
    to xaicore is drawn over `xaicore/epoch`. An entry that you hold open at that time, with `commit=False` or
    `step=`, is committed with it. wandb drops entries with a `step=` behind its counter: if you number entries
    yourself, log those of an epoch before xaicore does and give the monitor `beside=False`, or let `define_metric`
    give you an axis of your own.

        xaicore/overlay/<method>          overlays with captions; xaicore/overlay/<group>/<method> for a group
        xaicore/heatmap/<method>          heatmaps alone
        xaicore/table                     a row a map, of all steps
        xaicore/right, xaicore/score      means over the fixed pictures

    What would be more than 108 images a key goes on in <key>/2, <key>/3, ... Nothing is taken back: a step that
    comes again is another entry. An explanation without a step is an entry at once. W&B's workspace shows the rows
    of the table's latest 100 entries. Offline, the table's images wait for `wandb sync` in wandb's data folder
    (WANDB_DATA_DIR), not in the run's. A process that is killed loses the last 0.1 s in a run of the logger's, and
    the last 15 s in yours, unless you start it with `Settings(x_transaction_log_flush_interval=...)`.

    Args:
        run: the run to join, where it is not `wandb.run`.
        options: `colormap`, `alpha` and `outline` as in `xaicore.Drawing`, and what `wandb.init` takes for a run that
            is started: `project`, `entity`, `name`, `id`, `resume`, `group`, `job_type`, `tags`, `notes`, `dir`,
            `mode`. The latter have no effect on a run that is joined.

    Raises:
        PluginError: an option is unknown.
        InputError: an option has a value that it cannot have.
    """

    name = "wandb"
    more_options = own.INIT

    def __init__(self, run: wandb.Run | None = None, **options: Any) -> None:
        super().__init__(**{name: value for name, value in options.items() if name not in own.INIT})
        self._given, self._init = run, {name: options[name] for name in own.INIT if name in options}

    def connect(self, run: xaicore.Run) -> None:
        """Join the run that is on, or start one."""
        joined = wandb.run if self._given is None else self._given
        self._started = joined is None
        self._run = own.start(run.name, self._init) if joined is None else joined
        self._photos = Photos()
        if self._run.url:  # where a run stays on this machine, wandb reports its folder
            self.where = f"wandb: {self._run.url}"
        self._run.define_metric("xaicore/epoch")
        self._run.define_metric("xaicore/*", step_metric="xaicore/epoch", step_sync=False)  # never a made-up epoch
        about = {"name": run.name, "started": run.started, "versions": dict(run.versions), **run.config}
        # A resumed run has one already.
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
        with contextlib.closing(photos), own.on(self._run) if self._started else contextlib.nullcontext():
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
    """One `run.log`, images first: those that a table has had before are not stored for the media panels."""
    with SHIPPING:
        table = _table(run)
        old = len(table.data)
        try:
            for row in rows:
                table.add_data(*row)
            run.log({**entry, "xaicore/table": table})
        finally:
            # An incremental table keeps all rows, with their images, to ship the new ones; it counts the old.
            table.data[old:] = [[]] * (len(table.data) - old)


def _table(run: wandb.Run) -> wandb.Table:
    """The run's table; one a run, for a second one would take the place of the first.

    It lives in the run because it holds the run, so that a dictionary of them would never let go.
    """
    table: wandb.Table = vars(run).setdefault(
        "_xaicore_table", wandb.Table(columns=list(COLUMNS), log_mode="INCREMENTAL")
    )
    return table
