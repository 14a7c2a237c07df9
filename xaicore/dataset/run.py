"""A whole data set explained, into a folder of Parquet files: what is written is done, and stays done."""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from xaicore.data.names import as_class_names
from xaicore.data.numbers import check_whole
from xaicore.data.targets import TRUTH, read_target
from xaicore.dataset.arrow import arrow
from xaicore.dataset.engines import check_engine, local, processes, ray
from xaicore.dataset.fingerprint import describe
from xaicore.dataset.folder import RunFolder
from xaicore.dataset.listing import Listing
from xaicore.dataset.plan import Plan, read_share, usual_shard_size
from xaicore.dataset.precision import difference
from xaicore.dataset.reading import default_readers
from xaicore.dataset.recipe import Recipe
from xaicore.dataset.settings import check_stream, settings_of
from xaicore.dataset.shard import Job
from xaicore.dataset.space import bytes_per_picture, check_space
from xaicore.dataset.table import MapTable, open_maps
from xaicore.errors import InputError
from xaicore.evidence import Progress, check_progress
from xaicore.evidence.progress import reported
from xaicore.explainer import Explainer
from xaicore.pictures import File
from xaicore.targets import Target

__all__ = ["explain_dataset"]

COMPARED = 8
"""Pictures that are explained in two precisions, to say what the other one changes."""


def explain_dataset(
    model: Any,
    source: Any,
    out: str | os.PathLike[str],
    *,
    targets: Any = None,
    method: Any = "gradcam",
    preprocess: Callable[..., Any] | None = None,
    truth: Any = None,
    boxes: Any = None,
    ids: Any = None,
    class_names: Any = None,
    batch_size: int = 32,
    shard_size: int | None = None,
    resume: bool = False,
    workers: int | None = None,
    readers: int | None = None,
    shard: str | tuple[int, int] | None = None,
    engine: str = "local",
    address: str | None = None,
    precision: str | None = None,
    progress: Progress | bool | None = None,
    weights: str | None = None,
    trust: bool = False,
    device: str | None = None,
    **options: Any,
) -> MapTable:
    """Explain all pictures of a data set into a folder of Parquet files, a row per map; see docs/datasets.md.

    A picture that cannot be read, prepared or explained is a row with its error. A run that ends before its end, for
    whatever reason, is finished by the same call with `resume=True`.

    Args:
        model: a model; a name, as `xaicore.load` takes it, such as "torchvision/resnet50" or "net.py:build"; or a
            function without arguments that returns a model or an `xaicore.NamedModel`.
        source: a folder with its subfolders, a pattern, a list of paths, of images of Pillow or of uint8 arrays, a list
            of (path, class); a .csv or .parquet file with the columns file, class, id, x0, y0, x1 and y1, of which
            the first is needed; or a data set whose elements are x, (x, label) or a dict with an image and a label: a
            `Dataset` of torch or Hugging Face, a `DataLoader` without shuffling, a `PyDataset` of Keras; or, read
            forward by one process, an `IterableDataset`, a `tf.data.Dataset`, a `WebDataset`. Its pictures,
            images of Pillow or uint8 (H, W, 3), are prepared; floats are the model's own input.
        out: the folder, which is made if there is none.
        targets, method, preprocess, class_names: as in `Explainer` and its call; a model by name has the last two.
        truth: N true classes; "folder" if each picture's folder is named after its class. None: the labels of a data
            set, by name where both the data set and the model name their classes.
        boxes: the true boxes of each picture, (N, 4) or a list of N arrays (B, 4): x0, y0, x1, y1 in whole pixels of
            the picture that the model sees. The table then has the share of evidence in them.
        ids: N names; None: the paths of files, also of a data set of files, "0", "1", ... of other pictures.
        batch_size: pictures per pass of the model.
        shard_size: pictures per file; None: 512, or fewer, so that each process has four of them. A run that dies
            loses at most those of the file in work.
        resume: go on with the run in `out`, if there is one.
        workers: this many processes, each with a model of its own: for a model by name, a function of a module that
            builds it, or one that can be pickled. They begin as `multiprocessing` spawns them, so a script needs its
            `if __name__ == "__main__":`. None: this process. With Ray, actors: None is one per GPU, without GPUs
            one per two processors.
        readers: threads that read and prepare pictures beside the model; None: one per processor, 8 at most. Pass 1
            where `preprocess` cannot run twice at a time.
        shard: "i/n": make only every n-th file, from i on; for n jobs that share the folder, each with its own i.
        engine: "local", this machine, or "ray", the nodes of a Ray cluster, which all see `out` and the pictures under
            the same paths. A run may be begun with one and finished with the other.
        address: of the cluster, as `ray.init` takes it; None: one that this process is connected to, else one on this
            machine.
        precision: "bfloat16", "float16" or "float32": explain a copy of the model that computes in it; with PyTorch.
            How its heatmaps differ from the model's own is in the table's `run["precision"]`.
        progress: True for a bar, False for none, None for one in terminals and notebooks; or a function
            `progress(done, total)` of pictures.
        weights, trust, device: of a model by name, as in `xaicore.find_model`.
        options: as in `Explainer`: layer, output, activation, kind, smooth and so on.

    Returns:
        The table of all rows that are written, also by other jobs; `xaicore.open_maps(out)` opens it again.

    Raises:
        InputError: there are no pictures, an id repeats, labels do not fit, `out` is of another run, or nothing could
            be explained; the message says what to type.
        LoggerError: `out` cannot be written, or its disk has too little space.
        XaicoreError: the model, the method or an option does not fit, as `Explainer` says.
        DependencyError: pyarrow is not installed.
    """
    arrow()
    check_progress(progress)
    check_engine(engine, address)
    batch_size = check_whole(batch_size, "batch_size", 1)
    readers = default_readers() if readers is None else check_whole(readers, "readers", 1)
    workers = None if workers is None else check_whole(workers, "workers", 1)
    part, parts = read_share(shard)
    options = {"method": method, "preprocess": preprocess, "class_names": class_names, **options}
    asked = Recipe(model, options, {"weights": weights, "trust": trust, "device": device}, precision)
    recipe = asked.carried()
    explainer = recipe.explainer()
    names = explainer.class_names
    listing = Listing.read(source, truth, boxes, ids, names, explainer.preparation is not None, explainer.backend)
    check_stream(listing, engine, workers)
    with explainer.backend.undisturbed(listing.origin):
        said = settings_of(listing, names, preprocess)
    if said:
        asked, recipe = asked.having(said), recipe.having(said)
        explainer = recipe.explainer()
        names = explainer.class_names
    target = _read_target(targets, listing, names)
    folder = RunFolder(Path(out))
    folder.check_outside(str(one.path) for one in listing.sources if isinstance(one, File))
    usual = usual_shard_size(len(listing), batch_size, parts * (workers or 1))
    plan = Plan(len(listing), _shard_size(shard_size, folder, usual))
    apart = ("method", "preprocess", "class_names")
    given = {**options, "precision": precision}
    known = {name: value for name, value in given.items() if name not in apart and value is not None}
    fingerprint = describe(explainer, recipe.spec, known, target, listing, plan)
    shards = plan.share(part, parts)
    is_alone = engine == "local" and workers is None
    job = Job(recipe if is_alone else asked, listing, target, plan, folder, batch_size, readers)
    make: Callable[..., None] = local.run
    if engine == "ray":
        make = partial(ray.run, address=address, workers=workers)
    elif workers is not None:
        processes.send(job, workers)
        make = partial(processes.run, workers=workers)
    left = sum(len(plan.items(one)) for one in folder.missing(shards))
    with explainer.backend.undisturbed(listing.origin):
        each = bytes_per_picture(explainer.quiet(), target, listing[0])
    check_space(folder.root, left, each)
    about = _about(plan, explainer, batch_size)
    if precision is not None and folder.read() is None:
        own = replace(recipe, precision=None).explainer().quiet()
        with explainer.backend.undisturbed(listing.origin):
            about["precision"] = _difference(own, explainer.quiet(), target, listing)
    folder.open(fingerprint, about, resume or shard is not None)
    del recipe, explainer  # workers have their own
    _run(job, shards, progress, make)
    if not folder.missing(range(len(plan))):
        folder.finish()
    return open_maps(folder.root)


def _run(job: Job, shards: range, progress: Progress | bool | None, make: Callable[..., None]) -> None:
    total = sum(len(job.plan.items(shard)) for shard in shards)
    with reported(progress, total) as report:
        finished = 0

        def done(count: int) -> None:
            nonlocal finished
            finished += count
            report(finished, total)

        try:
            make(job, shards, done)
        except KeyboardInterrupt:
            left = len(job.folder.missing(shards))
            raise KeyboardInterrupt(
                f"{len(shards) - left} of {len(shards)} parts are in {job.folder.root}; the same call with resume=True "
                "makes the others"
            ) from None


def _read_target(targets: Any, listing: Listing, names: Any) -> Target:
    """What `targets` means for the whole data set."""
    if isinstance(targets, str) and targets == TRUTH and listing.truth is None and listing.origin is not None:
        raise InputError(
            "targets='truth' needs all true classes before the run, and this data set has no list of them: pass "
            "truth=[label for _, label in source]"
        )
    target = read_target(targets, listing.truth, as_class_names(names))
    check = getattr(target, "check_count", None)
    if check is not None:
        check(len(listing))
    return target


def _shard_size(asked: int | None, folder: RunFolder, usual: int) -> int:
    """The caller's, else the run's, else the usual one."""
    if asked is not None:
        return check_whole(asked, "shard_size", 1)
    found = folder.read()
    return usual if found is None else int(found["fingerprint"]["shard_size"])


def _difference(own: Explainer, other: Explainer, target: Target, listing: Listing) -> dict[str, Any] | None:
    """What the precision changes in the first pictures, as run.json has it."""
    found = difference(own, other, target, listing, COMPARED)
    return None if found is None else {**asdict(found), "text": str(found)}


def _about(plan: Plan, explainer: Explainer, batch_size: int) -> dict[str, Any]:
    """What run.json has beside the fingerprint."""
    return {
        "plan": {"pictures": plan.count, "shard_size": plan.shard_size, "shards": len(plan)},
        "batch_size": batch_size,
        "backend": type(explainer.backend).__module__,
        "versions": {
            "xaicore": importlib.metadata.version("xaicore"),
            "numpy": np.__version__,
            "pyarrow": arrow().__version__,
        },
    }
