"""Pictures of a call, read and prepared as a sample of model inputs."""

from __future__ import annotations

import warnings
from typing import Any

from xaicore.backend import Backend
from xaicore.data.names import as_ids
from xaicore.data.sample import Sample
from xaicore.errors import InputError
from xaicore.pictures import File, Frame, Preparation, find_sources, read_batch
from xaicore.show.pictures import check_pictures

__all__ = ["MOST", "read_sample"]

MOST = 1000
"""Pictures of one call: 224 x 224 pixels and their inputs take 0.75 MB each."""

ALONE = "explain each in a pass of its own: xaicore.explain_each(explainer, x)"


def read_sample(
    x: Any,
    prepare: Preparation | None,
    images: Any = None,
    ids: Any = None,
    backend: Backend | None = None,
    skips: bool = False,
) -> Sample | None:
    """The pictures that x means, prepared; None where x is the model's own input.

    Args:
        x: as `find_sources` takes it.
        prepare: makes inputs of pictures; None where the caller has no such function.
        images: N pictures to show instead of those that the preparation returns, or None.
        ids: N names. None: the paths of files, "0", "1", ... of other pictures.
        backend: of the model, for the code that a message offers.
        skips: leave out files that cannot be read or prepared, as long as there are others, with one RuntimeWarning.

    Raises:
        InputError: a picture cannot be read or prepared, the prepared ones differ in shape, or they are too many.
    """
    sources = find_sources(x, prepare is not None, backend)
    if sources is None or prepare is None:
        return None
    n = len(sources)
    if n > MOST:
        raise InputError(
            f"x is {n} pictures, and a call keeps all of its results in memory: expected {MOST} at most. Call the "
            "explainer for some of them at a time, or use the command line, xaicore explain, which writes them to disk"
        )
    are_files = isinstance(sources[0], (File, Frame))
    if ids is None and are_files:
        ids = [source.id for source in sources]
    named = as_ids(ids, n)
    given = None if images is None else check_pictures(images, n)
    batch = read_batch(sources, prepare, ALONE, skips and are_files and n > 1)
    kept = batch.kept
    if batch.skipped:
        skipped = f"{len(batch.skipped)} of {n} pictures skipped: {batch.reasons}"
        warnings.warn(skipped, RuntimeWarning, stacklevel=5)
        named, given = tuple(named[i] for i in kept), None if given is None else given[kept]
    return Sample(batch.x, None, batch.images if given is None else given, named, kept, n)
