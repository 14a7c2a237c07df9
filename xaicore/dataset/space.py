"""A test picture before the work begins: whether the results fit on the disk."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

import numpy as np

from xaicore.data.labels import Labels
from xaicore.dataset.fingerprint import PROBE
from xaicore.dataset.rows import rows_of
from xaicore.errors import LoggerError
from xaicore.explainer import Explainer
from xaicore.explanation import Explanation
from xaicore.source.inputs import batch_of
from xaicore.source.items import Item, prepared_as
from xaicore.source.reading import as_is
from xaicore.targets import Target

__all__ = ["bytes_per_picture", "check_space", "explained_probe"]


def explained_probe(explainer: Explainer, target: Target, item: Item) -> Explanation | None:
    """The explanation of a test picture under an item's name, without a true class; None where it fails.

    Of a data set of the model's own inputs, the item itself is explained.

    Raises:
        InputError: the names of the classes do not fit the outputs.
    """
    assert explainer.preparation is not None
    try:
        picture = item.source.read() if explainer.preparation.function is as_is else PROBE
        x, image = prepared_as(explainer.preparation, picture, "a test picture")
        arguments = (batch_of([x]), [explainer.method], target.take(np.array([0])))
    except Exception:  # the run shows it
        return None
    explained = partial(explainer.run, *arguments, None if image is None else image[None])
    try:
        return explained(Labels((item.id,), None, explainer.class_names))[0]
    except Exception as exc:
        failed = exc
    try:
        explained(Labels((item.id,)))
    except Exception:  # the model may take other pictures, or find nothing in this one
        return None
    raise failed


def bytes_per_picture(explanation: Explanation, item: Item) -> int:
    """What the rows of a picture take, by those of an explanation under its name."""
    return int(rows_of(explanation, paths=[item.path]).nbytes)


def check_space(folder: Path, pictures: int, each: int | None) -> None:
    """Compare what is needed with what is free.

    Args:
        folder: of the run, which need not exist.
        pictures: how many are still to be explained.
        each: bytes per picture; None: not known.

    Raises:
        LoggerError: there is less.
    """
    place = folder
    while not place.exists():
        place = place.parent
    free, needed = shutil.disk_usage(place).free, pictures * (each or 0)
    if needed > free:
        raise LoggerError(
            f"out={str(folder)!r}: the rows of {pictures} pictures need about {_size(needed)}, and {_size(free)} are "
            "free on that disk: free some, or pass another out"
        )


def _size(count: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
