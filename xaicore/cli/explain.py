"""`xaicore explain`: reads pictures, and writes overlays, maps and a table."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import click

from xaicore.cli.failures import Command
from xaicore.cli.logged import explain_logged
from xaicore.cli.model import model_options
from xaicore.cli.options import ensemble_options, reading_options
from xaicore.cli.request import Request
from xaicore.cli.screen import console, warnings_as_lines
from xaicore.cli.table import RUN_OPTIONS, check_table, explain_table, table_options
from xaicore.layers import OUTLIERS
from xaicore.methods import METHODS

__all__ = ["command"]


@click.command("explain", cls=Command)
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@partial(model_options, required=False)
@click.option(
    "--method",
    "methods",
    multiple=True,
    default=["gradcam"],
    show_default="gradcam; without gradients reciprocam",
    metavar="NAME",
    help='With options as in "rise(masks=2000)"; `xaicore methods` lists both. May be repeated: all share one pass of '
    f"the model. Known: {', '.join(METHODS)}.",
)
@click.option(
    "--layer",
    "layers",
    multiple=True,
    metavar="NAME",
    help="May be repeated: their maps are fused.  [default: the last map that leads to the output]",
)
@click.option(
    "--target",
    "targets",
    multiple=True,
    metavar="CLASS",
    help="Explain this class, a number or a name; may be repeated. Or one of two words: truth, the class "
    "in --truth, and predicted.  [default: predicted]",
)
@click.option("--top-k", type=click.IntRange(min=1), metavar="K", help="Explain the K classes with the highest scores.")
@click.option(
    "--labels",
    metavar="FILE",
    help="Class names: a file with one per line, or .json with a list or {index: name}.  [default: the model's own]",
)
@click.option(
    "--truth",
    metavar="FILE|folder",
    help="True classes: a CSV file with rows file,class; or the word folder, if each picture's folder is named after "
    "its class.",
)
@click.option(
    "--activation",
    type=click.Choice(["softmax", "sigmoid"]),
    help="Turns outputs into probabilities; sigmoid for several labels per picture.  [default: the model's own]",
)
@reading_options
@click.option(
    "--outliers",
    type=click.Choice(OUTLIERS),
    help="mask leaves out a transformer's outlier tokens, whose norm is far above the others'.  [default: they count]",
)
@ensemble_options
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    default=8,
    show_default=True,
    metavar="N",
    help="Pictures per pass, and for methods of many passes, changed pictures in each of them.",
)
@click.option(
    "--logger",
    "loggers",
    multiple=True,
    default=["disk"],
    show_default=True,
    metavar="NAME",
    help="Where results go; `xaicore plugins` lists the loggers. May be repeated.",
)
@click.option("--out", metavar="DIR", help="The folder of the disk logger, or of --table.  [default: runs/NAME]")
@table_options
@click.option("--name", metavar="NAME", help="The run's name.  [default: the last part of --out, else date and time]")
def command(table: bool, loggers: Sequence[str], out: str | None, name: str | None, **typed: Any) -> None:
    """Explain pictures: files, folders with their subfolders, and quoted patterns such as "photos/**/*.jpg"; or one CSV
    or Parquet file with a column file, and maybe class and id.

    A video is 16 of its frames, evenly spaced. The id of a picture is its path, so that the same command with the same
    --out replaces its earlier results.

    \b
    Examples:
      xaicore explain cat.jpg
      xaicore explain photos --model torchvision/resnet50
      xaicore explain photos --model my.net:build --weights best.pt --labels names.txt
      xaicore explain "photos/**/*.jpg" --model my.net:build --method gradcam --method hirescam
      xaicore explain photos --model my.net:build --method "rise(masks=2000)"
      xaicore explain photos --model my.net:build --top-k 3 --truth folder --out runs/a
      xaicore explain photos --model my.net:build --table --out runs/all --resume

    A picture that cannot be read is reported and skipped. Exit status: 0 all pictures are explained; 1 a picture, the
    model or a logger failed during the work; 2 the request is not possible, and nothing was explained.
    """
    screen = console(stderr=True)
    run = {option: typed.pop(option) for option in RUN_OPTIONS}
    others = {"--logger": list(loggers) != ["disk"], "--name": name}
    check_table(table, run, others, out, typed["methods"])
    request = Request(**typed)
    with warnings_as_lines(screen):
        if table:
            failed = explain_table(screen, request, run, str(out))
        else:
            failed = explain_logged(screen, request, loggers, out, name)
    click.get_current_context().exit(1 if failed else 0)
