"""A run that the logger starts: offline unless the user chooses otherwise, and invisible to `wandb.init`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import wandb

__all__ = ["INIT_OPTIONS", "counted_as_active", "start_run"]

INIT_OPTIONS = ("project", "entity", "name", "id", "resume", "group", "job_type", "tags", "notes", "dir", "mode")
"""Options of a run that is started, as `wandb.init` takes them."""

FLUSH = "x_transaction_log_flush_interval"


def start_run(name: str, init: Mapping[str, Any]) -> wandb.Run:
    """Start a run, offline unless the user has chosen a mode.

    Connecting can block for minutes, and pictures can be private, so an API key alone does not choose to be online.
    """
    settings: dict[str, Any] = {"console": "off"}  # the terminal is the user's
    if FLUSH in wandb.Settings.model_fields:
        settings[FLUSH] = 0.1  # a killed process loses these seconds, not 15
    chosen = init.get("mode") or os.environ.get("WANDB_MODE") or wandb.setup().settings.mode != "online"
    mode = {} if chosen else {"mode": "offline"}
    run = wandb.init(**{"name": name, **init, **mode}, settings=settings, reinit="create_new")
    _count(run, False)
    return run


@contextmanager
def counted_as_active(run: wandb.Run) -> Iterator[None]:
    """Let the logger's run count as wandb's active one while it is logged to.

    wandb asks whether the last active run is offline before it looks for a server. At other times the run must not
    count: `wandb.init()` would return it to the user, or finish it, instead of starting theirs.
    """
    _count(run, True)
    try:
        yield
    finally:
        _count(run, False)


def _count(run: wandb.Run, counts: bool) -> None:
    act = getattr(wandb.setup(), "add_active_run" if counts else "remove_active_run", None)
    if act is not None:
        act(run)
