"""How a command fails: with one paragraph on stderr, and an exit status that tells when it happened."""

from __future__ import annotations

import os
import traceback
from typing import Any

import click

from xaicore.cli.options import message
from xaicore.cli.screen import plain
from xaicore.errors import XaicoreError

__all__ = ["Command", "Stopped"]


class Stopped(XaicoreError):
    """The work failed after it had begun: exit status 1, where any other `XaicoreError` is 2."""


class Impossible(click.ClickException):
    """An error that click prints as "Error: ..." and that exits with 2; a plain ClickException exits with 1."""

    exit_code = 2


class Command(click.Command):
    """A command with `--traceback`: without it, a `XaicoreError` prints its message only."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.append(
            click.Option(
                ["--traceback", "with_traceback"],
                is_flag=True,
                expose_value=False,
                callback=_keep,
                help="Show where an error was raised (as XAICORE_DEBUG=1 does).",
            )
        )

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; its errors become messages that name options."""
        try:
            return super().invoke(ctx)
        except XaicoreError as exc:
            if ctx.meta.get(__name__) or os.environ.get("XAICORE_DEBUG"):
                click.echo(traceback.format_exc(), err=True)
            kind = click.ClickException if isinstance(exc, Stopped) else Impossible
            raise kind(plain(message(exc))) from exc


def _keep(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    ctx.meta[__name__] = value
