"""A sample of images, explained some at a time: the memory of one pass, and one explanation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from xaicore.data.labels import Labels
from xaicore.data.sample import Sample
from xaicore.data.truth import check_count
from xaicore.explanation import Explanation
from xaicore.targets import Box, Classes, Target

__all__ = ["in_passes"]


def in_passes(
    run: Callable[[Sample, Target, Labels], list[Explanation]],
    sample: Sample,
    target: Target,
    labels: Labels,
    size: int,
) -> list[Explanation]:
    """What `run` returns for all images, joined.

    Args:
        run: explains some of the images: one explanation per method, and per layer kept apart.
        sample: N images with ids.
        target: of all of them, or one for each.
        labels: their class names.
        size: images per pass.

    Raises:
        InputError, TargetError: true classes or targets are of another number.
    """
    check_count(sample.truth, len(sample))
    if isinstance(target, (Box, Classes)):
        target.check_count(len(sample))
    passes = []
    for start in range(0, len(sample), size):
        chosen = slice(start, start + size)
        batch = sample.take(chosen)
        passes.append(run(batch, target.take(chosen), replace(labels, ids=batch.ids, truth=batch.truth)))
    return [Explanation.concatenate(of_method) for of_method in zip(*passes, strict=True)]
