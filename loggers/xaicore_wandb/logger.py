"""The logger: the user's run or one of its own, and one entry a step in the run's history."""

from __future__ import annotations

import contextlib
import threading
from typing import Any

import numpy as np
import wandb

import xaicore
from xaicore_wandb import own
from xaicore_wandb.entry import COLUMNS, Entry

__all__ = ["WandbLogger"]

OPTIONS = ("run", "colormap", "alpha", "outline", *own.INIT)

SHIPPING = threading.Lock()
"""Two loggers that share a run share its table: rows of one must not come between another's rows and their log."""


class WandbLogger(xaicore.Logger):
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
        colormap: of overlays and heatmaps.
        alpha: the overlay's opacity at the maximum.
        outline: a line around this share of the pixels with the most evidence, or None.
        init: of a run that is started, as `wandb.init` takes them: `project`, `entity`, `name`, `id`, `resume`,
            `group`, `job_type`, `tags`, `notes`, `dir`, `mode`. Of no effect on a run that is joined.

    Raises:
        PluginError: an option is unknown.
        InputError: an option has a value that it cannot have.
    """

    def __init__(
        self,
        run: wandb.Run | None = None,
        colormap: str = "viridis",
        alpha: float = 0.5,
        outline: float | None = None,
        **init: Any,
    ) -> None:
        unknown = [name for name in init if name not in own.INIT]
        if unknown:
            raise xaicore.PluginError(
                f"the wandb logger has no option {', '.join(map(repr, unknown))}; known: {', '.join(OPTIONS)}"
            )
        self._drawing: dict[str, Any] = {"colormap": colormap, "alpha": alpha, "outline": outline}
        _check(**self._drawing)
        self._given, self._init = run, init
        self._run: wandb.Run | None = None
        self._entry: Entry | None = None
        self._started = False

    def open(self, run: xaicore.Run) -> None:
        """Join the run that is on, or start one."""
        joined = wandb.run if self._given is None else self._given
        self._started = joined is None
        self._run = own.start(run.name, self._init) if joined is None else joined
        self._run.define_metric("xaicore/epoch")
        self._run.define_metric("xaicore/*", step_metric="xaicore/epoch", step_sync=False)  # never a made-up epoch
        about = {"name": run.name, "started": run.started, "versions": dict(run.versions), **run.config}
        # A resumed run has one already.
        self._run.config.update({"xaicore": about}, allow_val_change=True)  # type: ignore[no-untyped-call]

    def log(self, explanation: xaicore.Explanation, step: int | None = None) -> None:
        """Draw an explanation; it is shipped with the others of its step."""
        if self._opened().disabled:
            return
        step = None if step is None else int(step)
        if self._entry is not None and self._entry.step != step:
            self.flush()
        if self._entry is None:
            self._entry = Entry(step, **self._drawing)
        self._entry.add(explanation)
        if step is None:  # nothing says what else belongs to it
            self.flush()

    def flush(self) -> None:
        """Ship what has come of the step.

        Raises:
            LoggerError: the run has been finished.
        """
        run, entry, self._entry = self._opened(), self._entry, None
        if entry is None:
            return
        with entry, own.on(run) if self._started else contextlib.nullcontext():
            if getattr(run, "_is_finished", False):  # older versions of wandb would look for a server now
                raise xaicore.LoggerError(
                    f"step {entry.step} is lost: the run {run.id} is finished; close xaicore's loggers before it"
                )
            _ship(run, entry)

    def close(self) -> None:
        """Ship what is left; finish the run if `open` started it."""
        try:
            self.flush()
        finally:
            run, self._run = self._run, None
            if run is not None and self._started:
                run.finish()

    def _opened(self) -> wandb.Run:
        if self._run is None:
            raise xaicore.LoggerError("the wandb logger is not open; write: with xaicore.open_loggers('wandb') as log")
        return self._run


def _check(**drawing: Any) -> None:
    """The core knows what it takes; asked now, it spares the user an error in the middle of a run."""
    picture, heatmap = np.zeros((1, 1, 1, 3), np.uint8), np.zeros((1, 1, 1), np.float32)
    xaicore.overlay.blend(picture, heatmap, drawing["colormap"], drawing["alpha"])
    if drawing["outline"] is not None:
        xaicore.overlay.outline(picture, heatmap, drawing["outline"])


def _ship(run: wandb.Run, entry: Entry) -> None:
    """One `run.log`, images first: those that a table has had before are not stored for the media panels."""
    with SHIPPING:
        table = _table(run)
        old = len(table.data)
        try:
            for row in entry.rows():
                table.add_data(*row)
            run.log({**entry.history(), "xaicore/table": table})
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
