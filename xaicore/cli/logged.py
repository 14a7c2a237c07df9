"""`xaicore explain` without `--table`: overlays and maps for the loggers."""

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
from xaicore.cli.labels import read_labels
from xaicore.cli.memory import uncollected
from xaicore.cli.methods_typed import read_methods, without_gradients
from xaicore.cli.model import RANDOM, Model, load_model
from xaicore.cli.request import Request
from xaicore.cli.screen import Bar, count, remark
from xaicore.cli.source import Named
from xaicore.cli.summary import report
from xaicore.cli.work import Work
from xaicore.data.names import as_class_names
from xaicore.errors import InputError
from xaicore.explainer import Explainer
from xaicore.logger import Run
from xaicore.methods import Method
from xaicore.pictures import Preparation
from xaicore.source.reading import Reading, default_readers

__all__ = ["explain_logged"]


def explain_logged(screen: Console, request: Request, loggers: Sequence[str], out: str | None, name: str | None) -> int:
    """Explain the pictures, and print what came of it; how many pictures and loggers failed.

    Args:
        screen: the console of stderr.
        request: what is explained.
        loggers: names of plugins.
        out: the folder of the disk logger, or None.
        name: of the run, or None.

    Raises:
        XaicoreError: the request is not possible, and nothing was explained.
        Stopped: something failed during the work.
    """
    with ExitStack() as stack:
        named = Named.find(request.paths)
        class_names = read_labels(request.labels)
        methods = read_methods(request.methods)
        run_name = name or (Path(out).resolve().name if out else Run().name)
        options = _loggers(loggers, Path(out) if out else Path("runs", run_name), out)
        loaded = stack.enter_context(uncollected(partial(load_model, request.model, *request.loading)))
        if class_names is None:
            class_names = as_class_names(loaded.class_names)
        listing = named.listing(request.truth, class_names)
        target = request.target(listing, class_names)
        bar = Bar(screen, len(listing))
        explainer = Explainer(loaded.model, methods[0], **request.options, progress=bar.show_passes)
        methods = _possible(screen, methods, explainer)
        prepare = loaded.preparation(explainer.backend)
        _remark(screen, request, loaded, prepare, len(listing))
        reading = Reading.of(listing, prepare, default_readers())
        config = _config(request, loaded, prepare, methods, explainer)
        skip = partial(_report_skipped, screen)
        work = Work(
            *(explainer, methods, target, class_names, reading, request.batch_size),
            *(skip, options, run_name, config),
        )
        try:
            work.run(bar)
        finally:
            report(work.summary, screen, work.title, len(work.skipped), work.failed, work.where.values())
    return len(work.skipped) + len(work.failed)


def _loggers(names: Sequence[str], root: Path, out: str | None) -> dict[str, Mapping[str, Any]]:
    """{name: options} of the loggers. A name that no plugin has fails here, before the model is loaded."""
    for name in names:
        plugins.installed().find("logger", name)
    if out and "disk" not in names:
        raise InputError(f"--out {out} is for the disk logger, which is off: add --logger disk, or drop --out")
    return {name: {"root": root} if name == "disk" else {} for name in names}


def _possible(screen: Console, methods: list[Method], explainer: Explainer) -> list[Method]:
    """The methods that are typed; where none is, one that the backend has the powers for."""
    backend, source = explainer.backend, click.get_current_context().get_parameter_source("methods")
    if source is not ParameterSource.DEFAULT or backend.has_gradients:
        return methods
    found = without_gradients(backend)
    remark(screen, f"backend {backend.name!r} has no gradients: took --method {found.name}")
    return [found]


def _remark(screen: Console, request: Request, loaded: Model, prepare: Preparation, pictures: int) -> None:
    """Say what is explained, and what was taken where nothing is typed."""
    if request.model is None:
        remark(screen, f"no --model is given: took {loaded.name}; `xaicore models` lists others")
    if loaded.is_pretrained is False:
        remark(screen, RANDOM, "yellow")
    remark(screen, f"{count(pictures, 'picture')}; model {loaded.title}; preprocess {prepare.name}", "dim")


def _config(
    request: Request, loaded: Model, prepare: Preparation, methods: Sequence[Method], explainer: Explainer
) -> dict[str, Any]:
    """What describes the run to the loggers, as it is typed."""
    return {
        "model": loaded.name,
        "methods": [method.name for method in methods],
        "preprocess": prepare.name,
        "normalize": "max",
        "backend": explainer.backend.name,
        "output": request.output,
        **request.reading,
        "augment": list(request.augment),
        "fuse": request.fuse,
    }


def _report_skipped(screen: Console, reason: str) -> None:
    remark(screen, f"skipped: {reason}", "yellow")
