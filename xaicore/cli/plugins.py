"""`xaicore plugins`: the installed plugins, from their metadata alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import click
from rich.text import Text

from xaicore import plugins
from xaicore.cli.failures import Command
from xaicore.cli.lacks import lacks
from xaicore.cli.screen import console, new_table, remark, text, warnings_as_lines
from xaicore.errors import PluginError
from xaicore.plugins import Plugin, Plugins

__all__ = ["command"]


@click.command("plugins", cls=Command)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--check",
    is_flag=True,
    help="Import each plugin, and say which libraries it lacks and what to type. Exit status 1 when one is broken or "
    "claimed twice; a library that is missing is no failure.",
)
def command(as_json: bool, check: bool) -> None:
    """List the installed backends and loggers.

    Without --check, no plugin is imported. XAICORE_PLUGINS=a,b limits the list to these names.

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
    if not check:
        return row
    missing, install, error = list[str](), None, None
    try:
        registry.find(plugin.kind, plugin.name)  # raises where two distributions claim the name
        missing, install = lacks(registry, plugin)
    except PluginError as exc:
        error = str(exc)
    return {**row, "missing": missing, "install": install, "error": error}


def _show(rows: Sequence[dict[str, Any]], check: bool) -> None:
    table = new_table()
    for heading in ("kind", "name", "distribution", "version", "target", *(["check"] if check else [])):
        table.add_column(heading, overflow="fold")
    for row in rows:
        cells = [text(row[key]) for key in ("kind", "name", "distribution", "version", "target")]
        if check:
            cells.append(_verdict(row))
        table.add_row(*cells)
    console().print(table)


def _verdict(row: dict[str, Any]) -> Text:
    if row["error"]:
        return text(row["error"], "red")
    if row["missing"]:
        return text(f"needs {', '.join(row['missing'])}; try: {row['install']}", "yellow")
    return text("ok", "green")
