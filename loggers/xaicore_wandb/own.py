"""A run of our own: started offline unless the user says otherwise, and in nobody's way."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import wandb

__all__ = ["INIT", "on", "start"]

INIT = ("project", "entity", "name", "id", "resume", "group", "job_type", "tags", "notes", "dir", "mode")
"""What may be said of the run, as `wandb.init` takes it."""

FLUSH = "x_transaction_log_flush_interval"


def start(name: str, init: Mapping[str, Any]) -> wandb.Run:
    """A new run; says where it is when nobody chose its mode.

    Connecting can block for minutes, and pictures can be private, so an API key alone is no wish to be online.
    """
    settings: dict[str, Any] = {"console": "off"}  # the terminal is the user's
    if FLUSH in wandb.Settings.model_fields:
        settings[FLUSH] = 0.1  # seconds of a killed process that are lost, not 15
    told = init.get("mode") or os.environ.get("WANDB_MODE") or wandb.setup().settings.mode != "online"
    mode = {} if told else {"mode": "offline"}
    run = wandb.init(**{"name": name, **init, **mode}, settings=settings, reinit="create_new")
    _count(run, False)
    if not told:
        wandb.termlog(
            f"xaicore keeps this run on this machine, in {run.settings.sync_dir}; "
            "wandb sync uploads it, mode='online' or WANDB_MODE=online does so at once"
        )
    return run


@contextmanager
def on(run: wandb.Run) -> Iterator[None]:
    """While it is logged to, a run of ours counts as one that is on.

    wandb asks whether the last of these is offline before it looks for a server. At other times it must not count:
    `wandb.init()` would return it to the user, or finish it, instead of starting theirs.
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
