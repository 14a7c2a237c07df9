"""`xaicore layers`: the layers of a model, and the one to explain."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click
import numpy as np
from rich.table import Table

from xaicore import plugins
from xaicore.backend import Layer
from xaicore.cli.failures import Command
from xaicore.cli.files import picture_id, read_picture
from xaicore.cli.model import as_output, load_model, model_options
from xaicore.cli.screen import console, new_table, remark, text, warnings_as_lines
from xaicore.errors import LayerError
from xaicore.layers import default_layer

__all__ = ["command"]


@click.command("layers", cls=Command)
@click.argument("path", required=False)
@model_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    path: str | None,
    model: str,
    preprocess: str | None,
    device: str | None,
    backend: str | None,
    output: str | None,
    as_json: bool,
) -> None:
    """List a model's layers in the order in which they finish, and mark the one that explain would choose.

    The model runs once, on the picture PATH or on a picture of random dots.

    \b
    Examples:
      xaicore layers --model my.net:build
      xaicore layers photo.jpg --model my.net:build --preprocess my.data:prepare --json
    """
    screen = console(stderr=True)
    with warnings_as_lines(screen):
        file = "random dots" if path is None else picture_id(Path(path))
        picture = _dots() if path is None else read_picture(Path(path))
        found = load_model(model, preprocess, device)
        of_model = plugins.installed().backend(found.model, as_output(output), backend)
        x, _ = found.prepare.for_backend(of_model)(picture, file)
        layers = of_model.layers(x[None])
        chosen, error = _default(layers)
    if as_json:
        rows = [{**asdict(layer), "shape": list(layer.shape)} for layer in layers]
        click.echo(json.dumps({"default": chosen, "error": error, "layers": rows}, indent=2))
        return
    console().print(_table(layers, chosen))
    remark(screen, f"without --layer, explain chooses {chosen}" if error is None else error)


def _dots() -> np.ndarray:
    """A picture to run a model on: upright, so that swapped axes show."""
    return np.random.default_rng(0).integers(0, 256, (480, 320, 3), np.uint8)


def _default(layers: Sequence[Layer]) -> tuple[str | None, str | None]:
    try:
        return default_layer(layers), None
    except LayerError as exc:
        return None, str(exc)


def _table(layers: Sequence[Layer], chosen: str | None) -> Table:
    table = new_table()
    for heading in ("", "name", "type", "shape", "spatial", "pooled"):
        table.add_column(heading, overflow="fold")
    for layer in layers:
        is_chosen = layer.name == chosen
        cells = [
            "->" if is_chosen else "",
            layer.name,
            layer.type,
            " x ".join(map(str, layer.shape)),
            "yes" if layer.spatial else "",
            "yes" if layer.pooled else "",
        ]
        table.add_row(*(text(cell, "bold green" if is_chosen else "") for cell in cells))
    return table
