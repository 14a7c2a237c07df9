"""`xaicore methods`: all methods; with a model, those that fit it, and why the others do not."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from xaicore.cli.failures import Command
from xaicore.cli.model import load_model, model_options
from xaicore.cli.options import in_options, reading_options
from xaicore.cli.screen import WIDE, console, new_table, remark, text, warnings_as_lines
from xaicore.cli.trial import Trial
from xaicore.errors import InputError, PluginError
from xaicore.fitting import fitting_methods, method_names
from xaicore.methods import find_method

__all__ = ["command"]


@click.command("methods", cls=Command)
@click.argument("path", required=False)
@partial(model_options, required=False)
@click.option("--layer", "layers", multiple=True, metavar="NAME", help="As in explain; may be repeated.")
@reading_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    path: str | None,
    model: str | None,
    weights: str | None,
    trust: bool,
    preprocess: str | None,
    device: str | None,
    backend: str | None,
    output: str | None,
    layers: Sequence[str],
    kind: str | None,
    axes: str | None,
    grid: tuple[int, ...] | None,
    input_axes: str | None,
    as_json: bool,
) -> None:
    """List the methods, built in and of plugins: their needs, options and cost, and what each computes.

    The cost is in passes per picture; C is the number of channels of the layer, P that of its positions.

    With --model, show which of them fit the model, and why the others do not. Each begins to explain the picture PATH,
    or a picture of random dots; a method of many passes stops after the first.

    The options of a method are given to explain as in --method "rise(masks=2000, grid=9)".

    \b
    Examples:
      xaicore methods
      xaicore methods --model my.net:build
      xaicore methods photo.jpg --model my.net:build --layer features.4 --layer features.8
      xaicore methods --model my.net:build --json | jq -r '.[] | select(.fits).name'
    """
    screen = console(stderr=True)
    with warnings_as_lines(screen):
        if model is None:
            of_model = (path, weights, preprocess, device, backend, output, *layers, kind, axes, grid, input_axes)
            if any(value is not None for value in of_model):
                raise InputError("a picture, and options of a model, need the model: add --model NAME")
            rows = [_row(name) for name in method_names()]
        else:
            trial = Trial.of(path, load_model(model, preprocess, device, weights, trust), backend, output)
            with trial.run():
                found = fitting_methods(
                    *(trial.model, trial.x),
                    layer=list(layers) or None,
                    axes=axes,
                    grid=grid,
                    kind=kind,
                    input_axes=input_axes,
                    backend=trial.backend,
                )
            rows = [
                {"name": name, "fits": reason is None, "reason": None if reason is None else in_options(reason)}
                for name, reason in found.items()
            ]
    if as_json:
        click.echo(json.dumps(rows, indent=2, default=str))
        return
    printed = console()
    if model is None:
        table = _table(("name", "needs", "options", "cost", "computes"), map(_cells, rows))
        if printed.measure(table, options=printed.options.update(max_width=WIDE)).maximum > printed.width:
            table = _table(("name", "computes"), map(_narrow_cells, rows))
    else:
        table = _table(("name", "fits"), ([text(row["name"]), _verdict(row)] for row in rows))
    printed.print(table)
    if model is not None:
        remark(screen, f"{sum(row['fits'] for row in rows)} of {len(rows)} methods fit")


def _table(headings: Sequence[str], rows: Iterable[Sequence[Text]]) -> Table:
    table = new_table()
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def _row(name: str) -> dict[str, Any]:
    """What a method says of itself; of a broken plugin's, its error."""
    try:
        method = find_method(name)
    except PluginError as exc:
        return {"name": name, "needs": [], "options": {}, "cost": "", "computes": "", "error": str(exc)}
    words = (inspect.getdoc(method.function) or "").partition("\n")[0]
    said = {"needs": list(method.asks), "options": method.options, "cost": method.cost}
    return {"name": name, **said, "computes": words, "error": None}


def _cells(row: dict[str, Any]) -> list[Text]:
    options = ", ".join(f"{name}={value!r}" for name, value in row["options"].items())
    last = text(row["computes"]) if row["error"] is None else text(row["error"], "red")
    return [text(row["name"]), text(", ".join(row["needs"])), text(options), text(row["cost"]), last]


def _narrow_cells(row: dict[str, Any]) -> list[Text]:
    """Two columns, for terminals in which five would have a word per line: what is short stands below the formula."""
    name, needs, options, cost, computes = _cells(row)
    rest = ((label, cell) for label, cell in (("cost", cost), ("needs", needs), ("options", options)) if cell)
    below = Text("; ").join(Text(f"{label} {cell}", "dim") for label, cell in rest)
    return [name, Text("\n").join([computes, below]) if below else computes]


def _verdict(row: dict[str, Any]) -> Text:
    return text("yes", "green") if row["fits"] else text(f"no: {row['reason']}", "yellow")
