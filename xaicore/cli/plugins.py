"""`xaicore plugins`: what is installed, from the metadata alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import click

from xaicore import plugins
from xaicore.cli.failures import Command
from xaicore.cli.screen import console, new_table, remark, text, warnings_as_lines
from xaicore.errors import PluginError
from xaicore.plugins import Plugin, Plugins

__all__ = ["command"]


@click.command("plugins", cls=Command)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--check", is_flag=True, help="Import each one; exit status 1 when one is broken or claimed twice.")
def command(as_json: bool, check: bool) -> None:
    """List the installed backends and loggers.

    Nothing is imported but with --check. XAICORE_PLUGINS=a,b limits what is found to these names.

    \b
    Examples:
      xaicore plugins
      xaicore plugins --check
      xaicore plugins --json | jq '.[].name'
    """
    screen = console(stderr=True)
    registry = plugins.installed()
    with warnings_as_lines(screen):
        rows = [_row(registry, plugin, check) for plugin in registry.listing()]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    elif rows:
        _show(rows, check)
    else:
        remark(screen, "no plugins are installed")
    if any(row.get("error") for row in rows):
        click.get_current_context().exit(1)


def _row(registry: Plugins, plugin: Plugin, check: bool) -> dict[str, Any]:
    row = asdict(plugin)
    del row["extras"]
    return {**row, "error": _error(registry, plugin)} if check else row


def _error(registry: Plugins, plugin: Plugin) -> str | None:
    try:
        registry.find(plugin.kind, plugin.name)  # claimed once
        registry.load(plugin)
    except PluginError as exc:
        return str(exc)
    return None


def _show(rows: Sequence[dict[str, Any]], check: bool) -> None:
    table = new_table()
    for heading in ("kind", "name", "distribution", "version", "target", *(["check"] if check else [])):
        table.add_column(heading, overflow="fold")
    for row in rows:
        cells = [text(row[key]) for key in ("kind", "name", "distribution", "version", "target")]
        if check:
            cells.append(text(row["error"] or "ok", "red" if row["error"] else "green"))
        table.add_row(*cells)
    console().print(table)
