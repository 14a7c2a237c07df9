"""Samples explained in batches, until there is no time left."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from xaicore.data.labels import Labels
from xaicore.data.sample import Sample
from xaicore.data.targets import TRUTH, read_target
from xaicore.data.truth import check_classes, most_suspicious
from xaicore.explainer import Explainer
from xaicore.explanation import Explanation
from xaicore.methods import Method
from xaicore.monitor.deadline import Deadline
from xaicore.monitor.following import Places
from xaicore.show.pictures import Pictures
from xaicore.targets import Box, Classes, Target

__all__ = ["BatchedExplainer"]

NO_PICTURES = Pictures.from_array(None, None)


class BatchedExplainer:
    """Explains samples with several methods that share one pass.

    Args:
        explainer: explains the model; its `batch_size` is the images per pass, its `class_names` are those of all.
        methods: methods with different names.
        targets: what to explain, as `Explainer` takes it.

    Raises:
        TargetError: `targets` is no target.
    """

    def __init__(
        self,
        explainer: Explainer,
        methods: Sequence[Method],
        targets: Any,
    ) -> None:
        self.explainer, self.methods = explainer, methods
        self.class_names, self.batch_size = explainer.class_names, explainer.batch_size
        is_truth = isinstance(targets, str) and targets == TRUTH
        self._target = None if is_truth else read_target(targets, None, self.class_names)
        self._places = Places()

    @property
    def fits_any_sample(self) -> bool:
        """Whether the target does not depend on the number of images: it is not one class or place per image."""
        return not getattr(self._target, "per_image", False)

    @property
    def has_classes(self) -> bool:
        """Whether the target is of the outputs' classes, as true classes are."""
        return self._target is None or self._target.of_class_axis

    def target(self, sample: Sample) -> Target:
        """The target for this sample.

        Raises:
            TargetError: the sample has another number of images, or no true classes where these are the target.
        """
        target = read_target(TRUTH, sample.truth) if self._target is None else self._target
        if isinstance(target, (Box, Classes)):
            target.check_count(len(sample))
        return target

    def __call__(self, sample: Sample, deadline: Deadline, start: int = 0) -> tuple[list[Explanation], int]:
        """One explanation per method, and layer kept apart, without pictures, of all images that there was time for.

        Args:
            sample: N images.
            deadline: once it has passed, no further pass begins; the first one always does.
            start: the position of the image to begin with; those before it come last.

        Returns:
            The explanations, and the position to begin with next time: `start` again if all were explained.

        Raises:
            XaicoreError: what `Explainer` raises.
        """
        target = self.target(sample)
        starts = list(range(0, len(sample), self.batch_size))
        turn = starts.index(start)
        batches: dict[int, list[Explanation]] = {}
        for position in (*starts[turn:], *starts[:turn]):
            if batches and deadline.passed:
                start = position
                break
            batches[position] = self._explain(sample, target, slice(position, position + self.batch_size))
        in_order = [batches[position] for position in sorted(batches)]
        return [Explanation.concatenate(of_method) for of_method in zip(*in_order, strict=True)], start

    def probe(self, sample: Sample) -> None:
        """Explain one image: the one whose class index is the most likely to be out of range.

        Raises:
            XaicoreError: what `Explainer` raises.
        """
        target = self.target(sample)
        position = 0
        if isinstance(target, Classes) and target.per_image:
            position = most_suspicious(target.classes, lowest=0) // target.classes[0].size
        elif sample.truth is not None and sample.truth.ndim == 1:
            position = most_suspicious(sample.truth)
        probed = self._explain(sample, target, slice(position, position + 1))[0]
        if target.of_class_axis:
            check_classes(sample.truth, probed.outputs, probed.outputs_kind)

    def pictures(self, sample: Sample, input_size: tuple[int, ...]) -> Pictures:
        """The sample's pictures, all on one scale where they are made of inputs."""
        if sample.images is not None:
            return Pictures.from_array(sample.images, "user")
        return self.explainer.pictures(sample.x, len(sample), input_size)

    def _explain(self, sample: Sample, target: Target, chosen: slice) -> list[Explanation]:
        """Explain some of the images in one pass: one explanation per method."""
        batch = sample.take(chosen)
        labels = Labels(batch.ids, batch.truth, self.class_names)
        target = self._places.follow(target.take(chosen), batch.ids or ())
        results = self.explainer.run(batch.x, self.methods, target, None, labels)
        self._places.learn(results[0])
        # Pictures are made once, for the sample as a whole: made of a batch, they would have a scale of their own.
        return [dataclasses.replace(one, pictures=NO_PICTURES) for one in results]
