"""`xaicore gallery`: several runs on one page."""

from __future__ import annotations

from collections.abc import Sequence

import click

from xaicore import plugins
from xaicore.cli.failures import Command
from xaicore.cli.screen import console, remark, warnings_as_lines

__all__ = ["command"]


@click.command("gallery", cls=Command)
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option("--out", metavar="DIR", help="The page's folder.  [default: the folder in which the runs lie]")
def command(runs: Sequence[str], out: str | None) -> None:
    """Show runs side by side, on one page: two models, two trainings.

    A RUN is a folder that `xaicore explain --out` or a training's disk logger wrote, or a folder of such folders.
    Pictures with the same id are the same picture. The page shows the files where they are: move it together with its
    runs, and repeat the command when a run has gone on.

    \b
    Examples:
      xaicore gallery runs/resnet18 runs/resnet50
      xaicore gallery runs
      xaicore gallery runs/a /data/b --out runs/both
    """
    logger = plugins.installed().logger("disk", {} if out is None else {"root": out})
    with warnings_as_lines(console(stderr=True)):
        logger.join(runs)
    if logger.where is not None:
        remark(console(), logger.where)
