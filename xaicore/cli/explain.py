"""`xaicore explain`: reads pictures, and writes overlays, maps and a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource
from rich.console import Console

from xaicore import plugins
from xaicore.cli.failures import Command
from xaicore.cli.labels import read_labels, read_targets
from xaicore.cli.memory import uncollected
from xaicore.cli.methods_typed import read_methods, without_gradients
from xaicore.cli.model import as_output, load_model, model_options
from xaicore.cli.options import ensemble_options, reading_options
from xaicore.cli.preparation import UNKNOWN, for_backend, is_built_in
from xaicore.cli.screen import Bar, console, count, remark, warnings_as_lines
from xaicore.cli.source import Named
from xaicore.cli.summary import report
from xaicore.cli.table import check_table, explain_table, table_options
from xaicore.cli.work import Work
from xaicore.data.names import as_class_names
from xaicore.errors import InputError
from xaicore.explainer import Explainer
from xaicore.layers import OUTLIERS
from xaicore.logger import Run
from xaicore.methods import METHODS
from xaicore.source.reading import Reading, default_readers
from xaicore.targets import TopK

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
def command(
    paths: Sequence[str],
    model: str | None,
    weights: str | None,
    trust: bool,
    preprocess: str | None,
    device: str | None,
    backend: str | None,
    output: str | None,
    methods: Sequence[str],
    layers: Sequence[str],
    targets: Sequence[str],
    top_k: int | None,
    labels: str | None,
    truth: str | None,
    activation: str | None,
    kind: str | None,
    axes: str | None,
    grid: tuple[int, ...] | None,
    input_axes: str | None,
    outliers: str | None,
    smooth: int | tuple[int, float] | None,
    augment: Sequence[str],
    fuse: str,
    batch_size: int,
    loggers: Sequence[str],
    out: str | None,
    table: bool,
    resume: bool,
    workers: int | None,
    devices: str | None,
    engine: str | None,
    address: str | None,
    precision: str | None,
    compile: bool,
    shard: str | None,
    shard_size: int | None,
    readers: int | None,
    box_classes: str | None,
    name: str | None,
) -> None:
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
    others = {"--logger": list(loggers) != ["disk"], "--name": name}
    run = {"resume": resume, "workers": workers, "devices": devices, "shard": shard, "address": address}
    run |= {"precision": precision, "compile": compile}
    run |= {"shard_size": shard_size, "readers": readers, "box_classes": box_classes}
    check_table(table, {**run, "engine": engine}, others, out, methods)
    if targets and top_k is not None:
        raise InputError(f"--target {targets[0]} and --top-k {top_k}: pass one of them")
    if table:
        run["engine"] = engine or "local"
        options = {
            "method": read_methods(methods)[0],
            "layer": layers or None,
            "backend": backend,
            "output": as_output(output),
            "activation": activation,
            "kind": kind,
            "axes": axes,
            "grid": grid,
            "input_axes": input_axes,
            "outliers": outliers,
            "smooth": smooth,
            "augment": augment or None,
            "fuse": None if fuse == "none" else fuse,
            "batch_size": batch_size,
        }
        loading = (preprocess, device, weights, trust)
        with warnings_as_lines(screen):
            broken = explain_table(screen, paths, model, loading, str(out), labels, truth, targets, top_k, run, options)
        click.get_current_context().exit(1 if broken else 0)
    with warnings_as_lines(screen), ExitStack() as stack:
        named = Named.find(paths)
        class_names = read_labels(labels)
        found = read_methods(methods)
        run_name = name or (Path(out).resolve().name if out else Run().name)
        root = Path(out) if out else Path("runs", run_name)
        logger_options = _loggers(loggers, root, out)
        loaded = stack.enter_context(uncollected(partial(load_model, model, preprocess, device, weights, trust)))
        if class_names is None:
            class_names = as_class_names(loaded.class_names)
        listing = named.listing(truth, class_names)
        target = read_targets(targets, listing.truth, class_names) if top_k is None else TopK(top_k)
        bar = Bar(screen, len(listing))
        explainer = Explainer(
            *(loaded.model, found[0], layers or None, backend, as_output(output), activation),
            *(kind, axes, grid, input_axes, outliers),
            smooth=smooth,
            augment=augment,
            fuse=None if fuse == "none" else fuse,
            batch_size=batch_size,
            progress=bar.show_passes,
        )
        of_backend, source = explainer.backend, click.get_current_context().get_parameter_source("methods")
        if source is ParameterSource.DEFAULT and not of_backend.has_gradients:
            found = [without_gradients(of_backend)]
            remark(screen, f"backend {of_backend.name!r} has no gradients: took --method {found[0].name}")
        if model is None:
            remark(screen, f"no --model is given: took {loaded.name}; `xaicore models` lists others")
        if loaded.is_pretrained is False:
            remark(screen, "the weights are random: heatmaps show nothing that was learned", "yellow")
        summary = f"{count(len(listing), 'picture')}; model {loaded.title}; preprocess {loaded.prepare.name}"
        remark(screen, summary, "dim")
        if is_built_in(loaded.prepare.function):
            remark(screen, UNKNOWN, "yellow")
        prepare = for_backend(loaded.prepare, explainer.backend)
        reading = Reading.of(listing, prepare, default_readers())
        config = {
            "model": loaded.name,
            "methods": [method.name for method in found],
            "preprocess": loaded.prepare.name,
            "normalize": "max",
            "backend": explainer.backend.name,
            "activation": activation,
            "output": output,
            "kind": kind,
            "axes": axes,
            "grid": grid,
            "input_axes": input_axes,
            "outliers": outliers,
            "smooth": smooth,
            "augment": list(augment),
            "fuse": fuse,
        }
        skip = partial(_report_skipped, screen)
        work = Work(explainer, found, target, class_names, reading, batch_size, skip, logger_options, run_name, config)
        try:
            work.run(bar)
        finally:
            report(work.summary, screen, work.title, len(work.skipped), work.failed, work.where.values())
    if work.skipped or work.failed:
        click.get_current_context().exit(1)


def _loggers(names: Sequence[str], root: Path, out: str | None) -> dict[str, Mapping[str, Any]]:
    """{name: options} of the loggers. A name that no plugin has fails here, before the model is loaded."""
    for name in names:
        plugins.installed().find("logger", name)
    if out and "disk" not in names:
        raise InputError(f"--out {out} is for the disk logger, which is off: add --logger disk, or drop --out")
    return {name: {"root": root} if name == "disk" else {} for name in names}


def _report_skipped(screen: Console, reason: str) -> None:
    remark(screen, f"skipped: {reason}", "yellow")
