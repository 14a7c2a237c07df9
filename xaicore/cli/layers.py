"""`xaicore layers`: the layers of a model, how each is a map of the picture, and the one to explain."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import click
import numpy as np
from rich.table import Table

from xaicore.backend import Backend, Capture
from xaicore.cli.failures import Command
from xaicore.cli.model import load_model, model_options
from xaicore.cli.options import message, reading_options
from xaicore.cli.screen import console, new_table, remark, text, warnings_as_lines
from xaicore.cli.trial import Trial
from xaicore.errors import LayerError
from xaicore.evidence import check_outputs
from xaicore.facts import Facts
from xaicore.layers import Frame, Grid, Places, as_layers, check_axes, find_place, never_ran, read, split_run
from xaicore.layers.grid import POSITIONS
from xaicore.outputs import settle_kind

__all__ = ["command"]


@dataclass(frozen=True)
class Row:
    """A layer: its output's shape as the framework has it, and its grid, None where it is no map of the picture."""

    name: str
    type: str
    shape: tuple[int, ...]
    grid: Grid | None
    pooled: bool
    aliases: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The fields; those of the grid stand beside them, None where there is none."""
        grid = dict.fromkeys(field.name for field in fields(Grid)) if self.grid is None else asdict(self.grid)
        return {
            "name": self.name,
            "type": self.type,
            "shape": list(self.shape),
            "spatial": self.grid is not None,
            "pooled": self.pooled,
            **grid,
        }


@dataclass(frozen=True)
class Listing:
    """The layers, the name of the one to explain or why there is none, and how each input is a picture."""

    rows: list[Row]
    chosen: str | None
    error: str | None
    inputs: list[str]

    def for_outputs(self, outputs: np.ndarray, layer_is_found: bool) -> Listing:
        """The same, without a layer to explain where a layer that is found would say little of these outputs."""
        try:
            check_outputs(outputs, layer_is_found)
        except LayerError as exc:
            return replace(self, chosen=None, error=self.error or message(exc))
        return self

    def to_json(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return {"default": self.chosen, "error": self.error, "layers": [row.to_json() for row in self.rows]}


@click.command("layers", cls=Command)
@click.argument("path", required=False)
@model_options
@click.option("--layer", metavar="NAME", help="Show how this layer would be explained.  [default: one is found]")
@reading_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    path: str | None,
    model: str,
    weights: str | None,
    trust: bool,
    preprocess: str | None,
    device: str | None,
    backend: str | None,
    output: str | None,
    layer: str | None,
    kind: str | None,
    axes: str | None,
    grid: tuple[int, ...] | None,
    input_axes: str | None,
    as_json: bool,
) -> None:
    """List a model's layers in the order in which they finish, and mark the one that explain would choose.

    The model runs on the picture PATH or on a picture of random dots. A layer with axes and a grid is a map of the
    picture: n images, c channels, h w d t positions, l tokens, of which those before the grid are prefix tokens. The
    options --axes, --grid and --input-axes are those of explain; here they show what it would make of them.

    \b
    Examples:
      xaicore layers --model my.net:build
      xaicore layers photo.jpg --model my.net:build --preprocess my.data:prepare --json
      xaicore layers --model my.net:build --layer blocks.11.norm1 --axes nlc --grid 14x14
    """
    screen = console(stderr=True)
    with warnings_as_lines(screen):
        trial = Trial.of(path, load_model(model, preprocess, device, weights, trust), backend, output)
        of_model, x = trial.backend, trial.x
        with trial.run():
            facts = of_model.observe(x)
            listing = (
                _from_shapes(of_model, x, Places(of_model, as_layers(layer), axes, grid, input_axes))
                if facts is None
                else _from_facts(of_model, facts, layer, axes, grid, input_axes)
            )
            capture = of_model.capture(x, ())
            listing = listing.for_outputs(capture.outputs, layer is None)
            outputs = _outputs(capture, facts, kind)
    if as_json:
        click.echo(json.dumps({**listing.to_json(), "outputs": outputs}, indent=2))
        return
    console().print(_table(listing))
    chooses = "explain chooses" if layer is not None else "without --layer, explain chooses"
    remark(screen, f"{chooses} {listing.chosen}" if listing.error is None else listing.error)
    for line in listing.inputs:
        remark(screen, line)
    remark(screen, f"outputs {tuple(outputs['shape'])} are {outputs['kind']}")


def _from_facts(
    backend: Backend,
    facts: Facts,
    layer: str | None,
    axes: str | None,
    grid: tuple[int, ...] | None,
    input_axes: str | None,
) -> Listing:
    axes = None if axes is None else check_axes(axes, "axes")
    input_axes = None if input_axes is None else check_axes(input_axes, "input_axes")
    reading = read(facts, backend.channels_last, input_axes)
    chosen, error, grids = None, None, dict(reading.grids)
    try:
        place = find_place(facts, reading, () if layer is None else (layer,), backend.layer_name, axes, grid)
        if layer is not None and not place.grids:
            raise never_ran(layer)
        ((chosen, stated),) = place.grids.items()
        known = backend.layer_name(split_run(chosen)[0])
        grids.update({one.name: stated for one in facts.layers if known in (one.name, *one.aliases)})
    except LayerError as exc:
        error = message(exc)
    rows = [Row(one.name, one.type, one.shape, grids.get(one.name), one.pooled, one.aliases) for one in facts.layers]
    inputs = [_described(i, seen.shape, reading.frames.get(i)) for i, seen in enumerate(facts.inputs)]
    return Listing(rows, chosen, error, inputs)


def _from_shapes(backend: Backend, x: Any, places: Places) -> Listing:
    """Of a backend that reports no facts: its shapes have the channels first."""
    layers = backend.layers(x)
    rows = []
    for one in layers:
        size = one.shape[2:]
        grid = Grid(f"nc{POSITIONS[len(size)]}", size) if one.spatial and len(size) in POSITIONS else None
        rows.append(Row(one.name, one.type, one.shape, grid, one.pooled))
    try:
        places.find(x)
    except LayerError as exc:
        return Listing(rows, None, message(exc), [])
    return Listing(rows, places.layers[0], None, [])


def _described(position: int, shape: tuple[int, ...], frame: Frame | None) -> str:
    seen = f"input {position} {shape}"
    if frame is None:
        return f"{seen} is no picture"
    size = " x ".join(map(str, frame.size))
    if frame.reshaped is not None:
        return f"{seen} is reshaped to pictures of {size}"
    return f"{seen} is read as {frame.axes}, {size}"


def _outputs(capture: Capture, facts: Facts | None, kind: str | None) -> dict[str, Any]:
    """The shape of the outputs, and what they are without further labels or options."""
    settled, link = settle_kind(
        capture.outputs,
        capture.outputs_kind,
        capture.link,
        trained_for=None if facts is None else facts.trained_for,
        chosen=kind,
        is_binary=facts is None,
    )
    return {"shape": list(capture.outputs.shape), "kind": settled, "link": link}


def _table(listing: Listing) -> Table:
    table = new_table()
    for heading in ("", "name", "type", "output", "axes", "grid", "prefix", "pooled"):
        table.add_column(heading, overflow="fold")
    chosen = None if listing.chosen is None else split_run(listing.chosen)[0]
    for row in listing.rows:
        is_chosen = chosen in (row.name, *row.aliases)
        grid = row.grid
        cells = [
            "->" if is_chosen else "",
            row.name,
            row.type,
            " x ".join(map(str, row.shape)),
            "" if grid is None else grid.axes,
            "" if grid is None else " x ".join(map(str, grid.size)),
            "" if grid is None or not grid.prefix else str(grid.prefix),
            "yes" if row.pooled else "",
        ]
        table.add_row(*(text(cell, "bold green" if is_chosen else "") for cell in cells))
    return table
