"""Images of different sizes: one pass for each, so that its map lies over its own picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xaicore.data.labels import Labels
from xaicore.data.names import as_ids
from xaicore.data.passes import has_no_box
from xaicore.data.targets import read_target
from xaicore.data.truth import check_count
from xaicore.errors import BackendError, InputError, XaicoreError, type_name
from xaicore.evidence import reported
from xaicore.explainer import Explainer
from xaicore.explanation import Explanation
from xaicore.pictures import File, Frame, Source, check_single, find_sources, read_batch
from xaicore.results import Explanations
from xaicore.targets import Box, Classes, Target
from xaicore.trees import as_array

__all__ = ["explain_each"]


def explain_each(
    explainer: Explainer,
    x: Any,
    targets: Any = None,
    images: Any = None,
    ids: Any = None,
    truth: Any = None,
    class_names: Any = None,
) -> Explanations:
    """Explain images of different sizes, each in a pass of its own: what a call for it alone returns.

    Args:
        explainer: of the model.
        x: a list with the input of each of N images, (C, H, W) or as a call takes it. A model that takes a list of
            pictures, as detectors do, gets lists of one. With `preprocess`, pictures as a call takes them.
        targets: as in a call, of all N images. Where `Boxes(k)` finds fewer than k boxes in an image, or none, rows
            that say "no box" follow.
        images: N pictures in the frame that the model sees, (H, W, 3) uint8 RGB each, or None.
        ids, truth, class_names: as in a call, of all N images.

    Returns:
        An explanation per image, in order.

    Raises:
        InputError: `explainer` is none, x is no list, an argument is of another number, or layers are kept apart.
        LayerError, TargetError, BackendError, MethodError: as in a call; the message names the image.
    """
    if not isinstance(explainer, Explainer):
        raise InputError(
            f"explainer is a {type_name(explainer)}: expected an explainer of the model, such as "
            "xaicore.explain_each(xaicore.Explainer(model), x)"
        )
    if explainer.ensemble.keeps_apart(explainer.layers) and explainer.method.fusion is None:
        raise InputError(
            f"the maps of {len(explainer.layers)} layers are kept apart, and each image has one explanation: pass "
            "xaicore.Explainer(..., fuse='mean'), or one layer"
        )
    inputs = _Inputs.of(explainer, x, ids)
    labels = Labels.read(inputs.ids, truth, explainer.class_names if class_names is None else class_names)
    target = read_target(targets, labels.truth, labels.class_names)
    check_count(labels.truth, len(inputs.ids))
    if isinstance(target, (Box, Classes)):
        target.check_count(len(inputs.ids))
    if images is not None and len(images) != len(inputs.ids):
        raise InputError(f"{len(images)} images for {len(inputs.ids)} inputs: expected a picture for each")
    passes = _Passes(explainer.quiet().of_inputs(), inputs, labels, images)
    found = []
    with reported(explainer.progress, len(inputs.ids)) as report:
        for n in range(len(inputs.ids)):
            found.append(passes.run(n, target.apart().take(slice(n, n + 1))))
            report(n + 1, len(inputs.ids))
    if has_no_box(found):
        passes.run(0, target)  # raises, and says what the detector found instead
    return Explanations(found)


@dataclass(frozen=True)
class _Inputs:
    """N inputs, read and prepared one at a time.

    Attributes:
        ids: their names.
        sources: the pictures that x means; None where x is the model's own inputs.
    """

    explainer: Explainer
    x: Sequence[Any]
    ids: tuple[str, ...]
    sources: Sequence[Source] | None

    @classmethod
    def of(cls, explainer: Explainer, x: Any, ids: Any) -> _Inputs:
        """The inputs that x means, with an id for each.

        Raises:
            InputError: x is no list of inputs, or there is another number of ids.
        """
        sources = find_sources(x, explainer.preparation is not None, explainer.backend)
        if sources is None and (not isinstance(x, list) or not x):
            raise InputError(
                f"x is {'an empty list' if isinstance(x, list) else f'a {type_name(x)}'}: expected a list with the "
                "input of each image, such as [a, b]"
            )
        if sources is not None and ids is None and isinstance(sources[0], (File, Frame)):
            ids = [source.id for source in sources]
        return cls(explainer, x, as_ids(ids, len(x if sources is None else sources)), sources)

    def read(self, n: int) -> tuple[Any, np.ndarray | None]:
        """Input n, and its picture if the preparation returns one."""
        if self.sources is None or self.explainer.preparation is None:
            return self.x[n], None
        batch = read_batch([self.sources[n]], self.explainer.preparation)
        check_single(batch.x, self.explainer.backend.with_batch_axis)
        return batch.x, batch.images


@dataclass
class _Passes:
    """A pass for each input; the first one shows whether the model takes a list of pictures."""

    explainer: Explainer
    inputs: _Inputs
    labels: Labels
    images: Any
    takes_list: bool | None = None

    def run(self, n: int, target: Target) -> Explanation:
        """The explanation of input n.

        Raises:
            XaicoreError: as in a call for it alone, of the same class of `xaicore.errors`; the message names the image.
        """
        x, image = self.inputs.read(n)
        truth, names = self.labels.truth, self.labels.class_names
        image = image if self.images is None else as_array(self.images[n], "images")[None]
        options = (target, image, [self.inputs.ids[n]], None if truth is None else truth[n : n + 1], names)
        try:
            return self._explain(x, options)
        except XaicoreError as exc:
            if len(self.inputs.ids) == 1:
                raise
            kind = next(one for one in type(exc).__mro__ if one.__module__ == XaicoreError.__module__)
            raise kind(f"in the pass of {self.inputs.ids[n]!r}, which is image 0 there: {exc}") from exc

    def _explain(self, x: Any, options: tuple[Any, ...]) -> Explanation:
        if self.takes_list is None:
            is_one = self.inputs.sources is None and hasattr(x, "shape")
            self.takes_list = is_one and not isinstance(self.explainer.backend.with_batch_axis([x]), list)
            if self.takes_list:
                try:
                    return self.explainer([x], *options)
                except (InputError, BackendError):  # without a list, it raises again where that was not why
                    self.takes_list = False
        return self.explainer([x] if self.takes_list else x, *options)
