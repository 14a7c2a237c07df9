"""A whole data set explained, into a folder of Parquet files: what is written is done, and stays done."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from xaicore.data.flags import check_flag
from xaicore.dataset.devices import check_device
from xaicore.dataset.execution import Execution, Make
from xaicore.dataset.folder import RunFolder
from xaicore.dataset.opening import Opening
from xaicore.dataset.parts import Parts
from xaicore.dataset.recipe import Recipe
from xaicore.dataset.shard import Job
from xaicore.dataset.start import Start
from xaicore.dataset.table import MapTable
from xaicore.evidence import Progress, check_progress
from xaicore.evidence.progress import counted, reported
from xaicore.files.arrow import arrow
from xaicore.source.listing import Listing

__all__ = ["explain_dataset"]


def explain_dataset(
    model: Any,
    source: Any,
    out: str | os.PathLike[str],
    *,
    targets: Any = None,
    method: Any = "gradcam",
    preprocess: Callable[..., Any] | str | None = None,
    truth: Any = None,
    boxes: Any = None,
    box_classes: Any = None,
    ids: Any = None,
    class_names: Any = None,
    batch_size: int = 32,
    shard_size: int | None = None,
    resume: bool = False,
    workers: int | None = None,
    devices: str | Sequence[str] | None = None,
    readers: int | None = None,
    shard: str | tuple[int, int] | None = None,
    engine: str = "local",
    address: str | None = None,
    precision: str | None = None,
    compile: bool = False,
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
            the first is needed; or a data set whose elements are x, (x, label) or a dict with an image and a label,
            where x of a model of several inputs is a tuple, dict or list: a
            `Dataset` of torch or Hugging Face, a `DataLoader` without shuffling, a `PyDataset` of Keras; or, read
            forward by one process, an `IterableDataset`, a `tf.data.Dataset`, a `WebDataset`. Its pictures,
            images of Pillow or uint8 (H, W, 3), are prepared; floats are the model's own input.
        out: the folder, which is made if there is none.
        targets, method, preprocess, class_names: as in `Explainer` and its call; a model by name has the last two.
        truth: N true classes; "folder" if each picture's folder is named after its class. None: the labels of a data
            set, by name where both the data set and the model name their classes.
        boxes: the true boxes of each picture, (N, 4) or a list of N arrays (B, 4): x0, y0, x1, y1 in whole pixels of
            the picture that the model sees. The table then has the share of evidence in those of the explained class.
        box_classes: the classes of what they hold: one index per picture, or a list of N arrays (B,); "any" where a box
            belongs to whatever is explained; None: the picture's true class, "any" where no truth is known.
        ids: N names; None: the paths of files, also of a data set of files, "0", "1", ... of other pictures.
        batch_size: pictures per pass of the model.
        shard_size: pictures per file; None: 512, or fewer, so that each process has four of them. A run that dies
            loses at most those of the file in work.
        resume: go on with the run in `out`, if there is one.
        workers: this many processes, each with a model of its own: for a model by name, a function of a module that
            builds it, or one that can be pickled. They begin as `multiprocessing` spawns them, so a script needs its
            `if __name__ == "__main__":`. None: this process. With Ray, actors: None is one per GPU, without GPUs
            one per two processors.
        devices: "cuda:0,cuda:1", "mps" or "cpu,cpu": a worker per device of this machine, with its model there; one may
            be named twice. Not with Ray, where each actor has its model on a GPU of its own.
        readers: threads that read and prepare pictures beside the model; None: one per processor, 8 at most. Pass 1
            where `preprocess` cannot run twice at a time.
        shard: "i/n": make only every n-th file, from i on; for n jobs that share the folder, each with its own i.
        engine: "local", this machine, or "ray", the nodes of a Ray cluster, which all see `out` and the pictures under
            the same paths. A run may be begun with one and finished with the other.
        address: of the cluster, as `ray.init` takes it; None: one that this process is connected to, else one on this
            machine.
        precision: "bfloat16", "float16" or "float32": explain a copy of the model that computes in it; with PyTorch.
            How its heatmaps differ from the model's own is in the table's `run["precision"]`.
        compile: run batches of `batch_size` pictures by `torch.compile`; with PyTorch, for methods of activations and
            gradients. The first batch runs both ways; where they differ by more than rounding, the run is refused.
            How the heatmaps differ is in the table's `run["compile"]`.
        progress: True for a bar, or where stderr is no terminal, lines of text with the rate and the time left; False
            for none; None for a bar in terminals and notebooks; or a function `progress(done, total)` of pictures. A
            bar also shows how far a stream is counted.
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
    folder = RunFolder.at(out)
    resume, trust = check_flag(resume, "resume"), check_flag(trust, "trust")
    execution = Execution.checked(batch_size, shard_size, workers, devices, readers, shard, engine, address, compile)
    check_device(device, execution.devices)
    folder.check()
    options = {"method": method, "preprocess": preprocess, "class_names": class_names, **options}
    asked = Recipe(model, options, {"weights": weights, "trust": trust, "device": device}, precision)
    read = partial(_listed, progress, (source, truth, boxes, ids), box_classes)
    with Start(folder) as start:
        opening = Opening.of(asked, read, targets, execution, folder, start)
        shards = opening.shards
        job, make = opening.begin(resume or shard is not None)
    preparation = opening.explainer.preparation
    del opening  # workers have a model of their own
    _run(job, shards, progress, make)
    if not job.folder.missing(range(len(job.plan))):
        job.folder.finish()
    return MapTable(replace(Parts.of(job.folder.root), own=preparation))


def _listed(progress: Progress | bool | None, arguments: tuple[Any, ...], box_classes: Any, *of_model: Any) -> Listing:
    """`Listing.read`, whose arguments are the caller's and those of the model; a stream shows how far it is counted."""
    source, truth, boxes, ids = arguments
    names, is_prepared, backend, guard = of_model
    with counted(progress) as count:
        return Listing.read(source, truth, boxes, ids, names, is_prepared, backend, count, box_classes, guard)


def _run(job: Job, shards: range, progress: Progress | bool | None, make: Make) -> None:
    total = sum(len(job.plan.items(shard)) for shard in shards)
    with reported(progress, total, "pictures") as report:
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
