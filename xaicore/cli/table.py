"""`xaicore explain --table`: a data set into a folder of Parquet files."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import lru_cache, partial
from typing import Any

import click
from rich.console import Console

from xaicore import plugins
from xaicore.backend import PRECISIONS
from xaicore.cli.failures import Stopped
from xaicore.cli.labels import read_labels
from xaicore.cli.methods_typed import read_methods
from xaicore.cli.model import RANDOM, as_output, check_weights, load_model
from xaicore.cli.options import OPTIONS
from xaicore.cli.request import Request
from xaicore.cli.screen import Bar, console, count, remark
from xaicore.cli.source import Named
from xaicore.data.names import as_class_names
from xaicore.dataset.devices import check_device
from xaicore.dataset.engines import ENGINES
from xaicore.dataset.folder import RunFolder
from xaicore.dataset.run import explain_dataset
from xaicore.dataset.table import MapTable
from xaicore.errors import InputError, XaicoreError
from xaicore.models import NamedModel, default_model

__all__ = ["RUN_OPTIONS", "check_table", "explain_table", "load_named", "table_options"]


RUN_OPTIONS = (
    "resume",
    "workers",
    "devices",
    "shard",
    "address",
    "precision",
    "compile",
    "shard_size",
    "readers",
    "box_classes",
    "engine",
)
"""What `table_options` adds, but for `--table` itself: arguments of `explain_dataset`."""

NAMED = 3
"""Pictures with an error that are named at the end."""


def table_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a run over a data set."""
    options = (
        click.option(
            "--table",
            is_flag=True,
            help="Write a row per map into Parquet files in --out, for data sets of any size; needs "
            "xaicore[dataset]. See docs/datasets.md.",
        ),
        click.option("--resume", is_flag=True, help="With --table: go on with the run in --out, if there is one."),
        click.option(
            "--workers",
            type=click.IntRange(min=1),
            metavar="N",
            help="With --table: processes, each with a model of its own.  [default: this one]",
        ),
        click.option(
            "--devices",
            metavar="DEVICE,...",
            help="With --table: a process per device, with its model there, such as cuda:0,cuda:1 or cpu,cpu.",
        ),
        click.option(
            "--engine",
            type=click.Choice(ENGINES),
            help="With --table: ray hands the work to the nodes of a Ray cluster; --workers are its actors then.  "
            "[default: local]",
        ),
        click.option(
            "--address",
            metavar="HOST:PORT",
            help="Of the Ray cluster; auto for the one of this node.  [default: one on this machine]",
        ),
        click.option(
            "--precision",
            type=click.Choice(PRECISIONS),
            help="With --table: explain a copy of the model that computes in it, with PyTorch.  [default: the model's]",
        ),
        click.option(
            "--compile",
            is_flag=True,
            help="With --table: run batches of --batch-size pictures by torch.compile, with PyTorch.",
        ),
        click.option(
            "--shard",
            metavar="I/N",
            help="With --table: make only every N-th file, from I on, for N jobs that share --out: 0/8 to 7/8.",
        ),
        click.option(
            "--shard-size",
            type=click.IntRange(min=1),
            metavar="N",
            help="With --table: pictures per file; a run that dies loses at most those of the file in work.  [default: "
            "512, or fewer, so that each process has four files]",
        ),
        click.option(
            "--readers",
            type=click.IntRange(min=1),
            metavar="N",
            help="With --table: threads that read and prepare pictures; 1 where --preprocess cannot run twice at a "
            "time.  [default: one per processor, 8 at most]",
        ),
        click.option(
            "--box-classes",
            type=click.Choice(["any"]),
            help="With --table: the boxes in a table of pictures are of any class.  [default: of the true class]",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def check_table(
    table: bool, run: Mapping[str, Any], others: Mapping[str, Any], out: str | None, methods: Sequence[str]
) -> None:
    """Refuse options that do not go with `--table`, or that need it.

    Args:
        table: whether it is given.
        run: {argument: value} of its own options.
        others: {option: value} of those that are for loggers.
        out: of `--out`.
        methods: of `--method`.

    Raises:
        InputError: one does not.
    """
    if not table:
        given = next((name for name, value in run.items() if value), None)
        if given is not None:
            raise InputError(f"{OPTIONS.get(given, f'--{given}')} is for runs over a data set: add --table")
        return
    given = next((option for option, value in others.items() if value), None)
    if given is not None:
        raise InputError(f"{given} is for loggers, and --table writes files of its own: leave one of them out")
    if out is None:
        raise InputError("--table needs the folder of the run: add --out DIR")
    if len(methods) > 1:
        raise InputError(f"--table takes one --method, and there are {len(methods)}: make a run of each")


@lru_cache(maxsize=1)
def load_named(
    model: str,
    preprocess: str | None,
    device: str | None,
    weights: str | None,
    trust: bool,
    backend: str | None,
    output: int | str | None,
) -> NamedModel:
    """A model with the preparation that the command line takes: once in each process, also in workers."""
    loaded = load_model(model, preprocess, device, weights, trust)
    prepare = loaded.preparation(plugins.installed().backend(loaded.model, output, backend))
    return NamedModel(
        loaded.model, loaded.title, prepare.function, loaded.class_names, loaded.is_pretrained, loaded.name
    )


def explain_table(screen: Console, request: Request, run: Mapping[str, Any], out: str) -> int:
    """Explain the pictures, and print what came of it; how many have an error.

    Args:
        screen: the console of stderr.
        request: what is explained.
        run: {name: value} of `RUN_OPTIONS`.
        out: the folder of the run.

    Raises:
        XaicoreError: the request is not possible, and nothing was explained.
        Stopped: something failed during the work.
    """
    check_device(request.device, run["devices"])
    method = read_methods(request.methods)[0]
    RunFolder.at(out).check()
    model = _named_model(screen, request)
    named = Named.find(request.paths)
    class_names = read_labels(request.labels)
    loaded = _loaded(screen, model, request)
    names = class_names or as_class_names(loaded.class_names)
    listing = named.listing(request.truth, names, run["box_classes"])
    arguments = {name: value for name, value in run.items() if name not in ("engine", "box_classes")}
    with _course(screen) as show:
        found = explain_dataset(
            _loading(model, request),
            listing,  # which has the classes of boxes
            out,
            targets=request.target(listing, names),
            method=method,
            class_names=class_names,
            engine=run["engine"] or "local",
            progress=show,
            **arguments,
            **request.options,
        )
    return _report(found, out)


def _named_model(screen: Console, request: Request) -> str:
    """The name of the model, the default one where none is typed."""
    if request.model is not None:
        return request.model
    check_weights(request.model, request.weights)
    model, _ = default_model(request.device)
    remark(screen, f"no --model is given: took {model}; `xaicore models` lists others")
    return model


def _loading(model: str, request: Request) -> Callable[[], NamedModel]:
    """What loads the model, here and in other processes."""
    return partial(load_named, model, *request.loading, request.backend, as_output(request.output))


def _loaded(screen: Console, model: str, request: Request) -> NamedModel:
    """The model, anew, with remarks on its weights and its preparation."""
    load_named.cache_clear()
    found = _loading(model, request)()
    if found.is_pretrained is False:
        remark(screen, RANDOM, "yellow")
    return found


@contextmanager
def _course(screen: Console) -> Iterator[Callable[[int, int], None]]:
    """Yield what shows how many pictures are done; once it is called, an error is one of the work that has begun."""
    bar: Bar | None = None
    with ExitStack() as stack:

        def show(done: int, total: int) -> None:
            nonlocal bar
            bar = bar or stack.enter_context(Bar(screen, total))
            bar.show(done)

        try:
            yield show
        except KeyboardInterrupt as exc:
            raise Stopped(str(exc) or "interrupted; --resume goes on") from None
        except XaicoreError as exc:
            if bar is None:
                raise
            raise Stopped(str(exc)) from exc


def _report(found: MapTable, out: str) -> int:
    counts, screen = found.counts, console()
    remark(screen, f"{count(counts.pictures, 'picture')} explained: {count(counts.maps, 'map')}")
    if counts.right or counts.wrong:
        remark(screen, f"{counts.right} of {counts.right + counts.wrong} right")
    precision = found.run.get("precision")
    if precision:
        remark(screen, f"in {found.run['fingerprint']['options']['precision']}, {precision['text']}")
    compiled = found.run.get("compile")
    if compiled:
        remark(screen, f"compiled, {compiled['text']}")
    if counts.errors:
        _report_errors(screen, found, counts.errors, out)
    remark(screen, f"table {out}: xaicore.open_maps({out!r})", "bold")
    return int(counts.errors)


def _report_errors(screen: Console, found: MapTable, number: int, out: str) -> None:
    """Name the first pictures that have an error, and say what lists the others."""
    remark(screen, f"{count(number, 'picture')} with an error:", "yellow")
    for row in found.errors().head(NAMED).to_arrow(("id", "error")).to_pylist():
        reason = row["error"] if row["id"] in row["error"] else f"{row['id']}: {row['error']}"
        remark(screen, f"  {reason}", "yellow")
    if number > NAMED:
        code = f"import xaicore; print(*xaicore.open_maps({out!r}).errors().to_arrow(['error'])['error'], sep='\\n')"
        remark(screen, f"  and {number - NAMED} more: python -c {shlex.quote(code)}", "yellow")
