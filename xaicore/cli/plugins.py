"""`xaicore plugins`: the installed plugins, which of them are used, and whether they work."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from xaicore import plugins
from xaicore.cli.failures import Command
from xaicore.cli.screen import console, new_table, remark, text, warnings_as_lines
from xaicore.errors import PluginError, did_you_mean
from xaicore.plugins import Plugin, Plugins
from xaicore.plugins.check import Verdict, check_all
from xaicore.plugins.disabled import disabled_names, enable_command, file_of_disabled, write_disabled

__all__ = ["command"]


@click.command("plugins", cls=Command)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--check",
    is_flag=True,
    help="Import each plugin, in a process of its own, and say which libraries it lacks and what to type. Exit status "
    "1 when one is broken or claimed twice; a library that is missing is no failure.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    default=30,
    show_default=True,
    help="With --check, how many seconds a plugin may take.",
)
@click.option("--disable", multiple=True, metavar="NAME", help="Do not use plugins of this name from now on.")
@click.option("--enable", multiple=True, metavar="NAME", help="Use plugins of this name again.")
def command(as_json: bool, check: bool, timeout: float, disable: Sequence[str], enable: Sequence[str]) -> None:
    """List the installed backends, loggers and methods, or choose which are used.

    Without --check, no plugin is imported. XAICORE_PLUGINS=a,b limits the list to these names. What is disabled is
    kept in a file of the user, in the folder XAICORE_CONFIG if it is set.

    \b
    Examples:
      xaicore plugins
      xaicore plugins --check
      xaicore plugins --disable wandb
      xaicore plugins --json | jq '.[].name'
    """
    screen = console(stderr=True)
    with warnings_as_lines(screen):
        registry = plugins.installed()
        if disable or enable:
            _choose(screen, registry, disable, enable)
            if not (check or as_json):
                return
            registry = plugins.installed()
        verdicts = check_all(registry, timeout) if check else {}
    rows = [_row(plugin, verdicts) for plugin in registry.listing()]
    rows += [_row(plugin, verdicts, is_disabled=True) for plugin in registry.disabled]
    rows.sort(key=lambda row: (row["kind"], row["name"]))
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    elif rows:
        _show(rows, check)
    else:
        remark(screen, "no plugins are installed")
    if any(row.get("error") for row in rows):
        click.get_current_context().exit(1)


def _choose(screen: Console, registry: Plugins, disable: Sequence[str], enable: Sequence[str]) -> None:
    """Disable and enable plugins by name, and say so."""
    there = {plugin.name for plugin in (*registry.listing(), *registry.disabled)}
    off = set(disabled_names())
    for name in disable:
        if name not in there:
            near = did_you_mean(name, there)
            raise PluginError(f"no plugin called {name!r}; installed: {', '.join(sorted(there)) or 'none'}{near}")
    for name in enable:
        if name not in off:
            near = did_you_mean(name, off)
            raise PluginError(f"{name!r} is not disabled; disabled: {', '.join(sorted(off)) or 'none'}{near}")
    write_disabled((off | {*disable}) - {*enable})
    plugins.installed.cache_clear()
    for name in disable:
        remark(screen, f"disabled: {name}; to enable it again: {enable_command(name)}")
    for name in enable:
        remark(screen, f"enabled: {name}")
    remark(screen, f"kept in {file_of_disabled()}", "dim")


def _row(plugin: Plugin, verdicts: Mapping[Plugin, Verdict], is_disabled: bool = False) -> dict[str, Any]:
    row = {**asdict(plugin), "disabled": is_disabled}
    del row["extras"]
    if verdicts:
        row |= asdict(verdicts.get(plugin, Verdict()))
    return row


def _show(rows: Sequence[dict[str, Any]], check: bool) -> None:
    columns = ["kind", "name", "distribution", "version", "target"]
    last = ["check"] if check else ["use"] if any(row["disabled"] for row in rows) else []
    table = new_table()
    for heading in (*columns, *last):
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(text(row[key]) for key in columns), *[_verdict(row)] * len(last))
    console().print(table)


def _verdict(row: dict[str, Any]) -> Text:
    if row["disabled"]:
        return text("disabled", "dim")
    if "error" not in row:
        return text("yes")
    if row["error"]:
        return text(row["error"], "red")
    if row["missing"]:
        return text(f"needs {', '.join(row['missing'])}; try: {row['install']}", "yellow")
    return text("ok", "green")
