"""A sample of images, explained some at a time: the memory of one pass, and one explanation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from xaicore.data.labels import Labels
from xaicore.data.sample import Sample
from xaicore.data.truth import check_count
from xaicore.explanation import Explanation
from xaicore.targets import Box, Classes, Target

__all__ = ["has_no_box", "in_passes"]


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
        target: of all images that the caller passed, also of those that could not be read; or one for each of them.
        labels: true classes of the same images, and class names.
        size: images per pass.

    Raises:
        InputError, TargetError: true classes or targets are of another number.
    """
    asked = len(sample) if sample.kept is None else sample.asked
    check_count(labels.truth, asked)
    if isinstance(target, (Box, Classes)):
        target.check_count(asked)
    truth = labels.truth
    if sample.kept is not None and len(sample) < asked:
        truth, target = None if truth is None else truth[sample.kept], target.take(sample.kept)
    sample = replace(sample, truth=truth)

    def run_some(chosen: slice, target: Target) -> list[Explanation]:
        batch = sample.take(chosen)
        return run(batch, target.take(chosen), replace(labels, ids=batch.ids, truth=batch.truth))

    if len(sample) <= size:
        return run_some(slice(None), target)
    passes = [run_some(slice(start, start + size), target.apart()) for start in range(0, len(sample), size)]
    if has_no_box([explanations[0] for explanations in passes]):
        run_some(slice(size), target)  # raises, and says what the detector found instead
    return [Explanation.concatenate(of_method) for of_method in zip(*passes, strict=True)]


def has_no_box(explanations: Sequence[Explanation]) -> bool:
    """Whether a target has a place in other images, and none in any of these."""
    return all(one.target_boxes is not None and np.isnan(one.target_boxes).all() for one in explanations)
