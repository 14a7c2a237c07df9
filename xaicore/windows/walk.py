"""Volumes, pictures and signals that are too large for one pass: windows that overlap, and one map of them all.

A window is a pass of its own, with a score of its own. Its maps are brought to the resolution of the input, and their
weighted mean, in the method's own scale, is the map of the whole: no window is normalised by itself, so that windows
without evidence stay dark.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from xaicore import maps, trees
from xaicore.data.labels import Labels
from xaicore.data.numbers import check_whole
from xaicore.data.targets import read_target
from xaicore.data.truth import check_count
from xaicore.errors import InputError
from xaicore.evidence import Progress, check_progress, reported
from xaicore.explainer import Explainer
from xaicore.explanation import Explanation
from xaicore.layers import Frame
from xaicore.outputs import predicted_classes
from xaicore.show.pictures import Pictures
from xaicore.targets import Classes, Target
from xaicore.windows.plan import Plan, Stitch, plan_windows

__all__ = ["sliding"]

NO_PICTURES = Pictures.from_array(None, None)
"""Those of windows, which nobody sees."""


def sliding(
    explainer: Explainer,
    x: Any,
    window: int | tuple[int, ...],
    overlap: float = 0.5,
    batch_size: int = 4,
    targets: Any = None,
    images: Any = None,
    ids: Any = None,
    truth: Any = None,
    class_names: Any = None,
    progress: Progress | bool | None = None,
) -> Explanation:
    """Explain inputs that do not fit into memory at once, window by window: the memory of one batch of windows.

    The maps have the resolution of the input, (N * K, *size). `outputs` and `scores` are the means of the windows'; the
    predicted class is that of the mean. An input that is no larger than one window has the heatmaps of
    `explainer(x)`.

    Args:
        explainer: of a model with one input, one row of outputs per image, and one map per image.
        x: a batch of N inputs, an array or a tensor, such as (N, C, D, H, W); or pictures, as `Explainer` takes them.
        window: the length of a window along each axis of the positions, in the order of the input, or one for all.
        overlap: of neighbouring windows along each axis, as a share of the window.
        batch_size: the most windows in one pass.
        targets: the same for all windows of an input: None or "predicted", the class with the highest mean output,
            which takes one more pass of all windows; "truth"; a class, one per input, (N, K) or (1, K) of them; or a
            target from `xaicore.targets` that does not choose by the outputs.
        images, ids, truth, class_names: as in `Explainer`, of the N inputs.
        progress: as in `Explainer`, of the windows of all inputs; None: as the explainer was told.

    Raises:
        InputError: an argument does not fit the input, a window has other outputs than one row of scores, or a target
            chose other classes in one window than in another.
        LayerError, TargetError, BackendError, MethodError: as in `Explainer`.
    """
    check_progress(progress)
    pictures = explainer.read(x, images, ids)
    if pictures is not None:
        x, images, ids = pictures.x, pictures.images, pictures.ids
    explainer = explainer.of_inputs()
    labels = Labels.read(ids, truth, explainer.class_names if class_names is None else class_names)
    target = read_target(targets, labels.truth, labels.class_names)
    array = _array_of(explainer, x)
    check_count(labels.truth, len(array))
    frame = explainer.places.frame_before(array.shape)
    axes = [frame.axes.index(letter) for letter in frame.positions]
    plan = plan_windows(frame.size, window, overlap)
    cut = _Cut(array, axes, plan, check_whole(batch_size, "batch_size", 1))
    asked = targets is None or (isinstance(targets, str) and targets == "predicted")
    if isinstance(target, Classes):
        target.check_count(len(array))
    count = len(array) * len(plan.starts)
    found = []
    with reported(explainer.progress if progress is None else progress, 2 * count if asked else count) as report:
        walk = _Walk(explainer.quiet(), cut, frame, labels.class_names, report, 2 * count if asked else count)
        for n in range(len(array)):
            one = target.take(slice(n, n + 1)) if isinstance(target, Classes) else target
            found.append(walk.run(n, walk.predicted(n) if asked else _of_all_windows(one)))
    return _joined(found, array, frame, labels, images, str(target))


@dataclass(frozen=True)
class _Cut:
    """An input (N, ...) in windows along these axes."""

    array: np.ndarray
    axes: list[int]
    plan: Plan
    batch_size: int

    def batches(self, n: int) -> Iterator[tuple[tuple[tuple[int, ...], ...], np.ndarray]]:
        """The windows of input n: where they start, and (B, ...)."""
        for first in range(0, len(self.plan.starts), self.batch_size):
            starts = self.plan.starts[first : first + self.batch_size]
            yield starts, np.stack([self._window(n, start) for start in starts])

    def first(self, n: int) -> np.ndarray:
        """The first window of input n, as a batch."""
        return self._window(n, self.plan.starts[0])[None]

    def _window(self, n: int, start: tuple[int, ...]) -> np.ndarray:
        where: list[Any] = [slice(None)] * self.array.ndim
        for axis, positions in zip(self.axes, self.plan.at(start), strict=True):
            where[axis] = positions
        where[0] = n
        return self.array[tuple(where)]


@dataclass
class _Whole:
    """What the windows of one input give together: maps (K, *size), and means over the windows."""

    maps: np.ndarray
    outputs: np.ndarray
    scores: np.ndarray
    first: Explanation = field(repr=False)


@dataclass
class _Walk:
    """The windows of an input, batch by batch; `report(done, total)` is told of each."""

    explainer: Explainer
    cut: _Cut
    frame: Frame
    class_names: tuple[str, ...] | None
    report: Progress
    total: int
    done: int = 0

    def predicted(self, n: int) -> Target | None:
        """The class with the highest mean output; None, the value itself, where outputs are no class scores."""
        kind = self.explainer(self.cut.first(n), class_names=self.class_names).outputs_kind
        outputs = []
        for starts, windows in self.cut.batches(n):
            outputs.append(self.explainer.backend.predict(windows))
            self._report(len(starts))
            del windows  # before the next batch is cut: one at a time is held
        classes = predicted_classes(np.concatenate(outputs).mean(axis=0, keepdims=True), kind)
        return None if classes is None else Classes(int(classes[0]))

    def run(self, n: int, target: Target | None) -> _Whole:
        """Explain all windows of input n."""
        stitch: Stitch | None = None
        outputs: list[np.ndarray] = []
        scores: list[np.ndarray] = []
        first: Explanation | None = None
        for starts, windows in self.cut.batches(n):
            result = replace(self.explainer(windows, target, class_names=self.class_names), pictures=NO_PICTURES)
            self._check(windows, result)
            count = len(result) // len(starts)
            stitch = stitch or Stitch(self.cut.plan, count)
            first = first or result.take([0])
            _check_alike(first, result)
            resized = maps.resize(result.maps, self.cut.plan.window).reshape(len(starts), count, *self.cut.plan.window)
            for start, of_window in zip(starts, resized, strict=True):
                stitch.add(start, of_window)
            outputs.append(result.outputs)
            scores.append(result.scores.reshape(-1, count))
            self._report(len(starts))
            del windows, result
        assert stitch is not None
        assert first is not None
        mean_outputs, mean_scores = (np.concatenate(one).mean(axis=0) for one in (outputs, scores))
        return _Whole(stitch.maps(), mean_outputs, mean_scores, first)

    def _report(self, count: int) -> None:
        self.done += count
        self.report(self.done, self.total)

    def _check(self, windows: np.ndarray, result: Explanation) -> None:
        """Refuse windows that cannot be stitched.

        Raises:
            InputError: several maps per window, other positions than the axes that were cut, or dense outputs.
        """
        window, axes = self.cut.plan.window, self.frame.axes
        _, place = self.explainer.places.find(windows, needs_layer=False)
        seen = axes if place is None or set(place.frame.axes) != set(axes) else place.frame.axes
        if result.views != 1 or result.input_size != window or _positions(seen) != _positions(axes):
            raise InputError(
                f"a window {window}, cut along the axes {self.cut.axes} of the input as {axes!r}, has maps over "
                f"{result.views} x {result.input_size}: expected one map over the window. Say which axes are "
                f"positions, such as Explainer(input_axes={seen!r})"
            )
        if result.outputs.ndim != 2:
            raise InputError(
                f"outputs of shape {result.outputs.shape} for {len(result.ids)} windows: expected one row of scores "
                "per window. Explain a model that ends in the score of a window"
            )


def _positions(axes: str) -> list[str]:
    return [letter for letter in axes if letter not in "nc"]


def _check_alike(first: Explanation, result: Explanation) -> None:
    """Refuse windows that are explained for other targets than the first one.

    Raises:
        InputError: a target chose other classes, or words, or has a place of its own in each window.
    """
    if result.target_boxes is not None and np.isfinite(result.target_boxes).any():
        raise InputError(f"the target {result.target} lies in one place of a window: explain that part of the input")
    for chosen, asked in ((first.targets, result.targets), (first.names, result.names)):
        if chosen is None or asked is None:
            continue
        rows = asked.reshape(-1, len(chosen))
        differs = (rows != chosen).any(axis=1)
        if differs.any():
            raise InputError(
                f"the target {result.target} chose {chosen.tolist()} in one window and {rows[differs][0].tolist()} in "
                "another: name the classes, such as targets=3 or targets=[[3, 7]]"
            )


def _array_of(explainer: Explainer, x: Any) -> np.ndarray:
    """The only input, as NumPy reads it; a memory map stays one.

    Raises:
        InputError: there are several.
    """
    arrays = [leaf for leaf in trees.leaves(x) if hasattr(leaf, "shape") and np.ndim(leaf)]
    if len(arrays) != 1:
        raise InputError(f"{len(arrays)} inputs: windows are cut of one array or tensor (N, ...)")
    return arrays[0] if isinstance(arrays[0], np.ndarray) else explainer.backend.to_numpy(arrays[0])


def _of_all_windows(target: Target) -> Target:
    """A target of one input as that of all its windows."""
    return Classes(np.reshape(target.classes, (1, -1))) if isinstance(target, Classes) else target


def _joined(
    found: list[_Whole],
    array: np.ndarray,
    frame: Frame,
    labels: Labels,
    images: Any,
    asked: str,
) -> Explanation:
    """One explanation of the inputs."""
    first = found[0].first
    outputs = np.stack([one.outputs for one in found])
    checked = labels.checked(outputs, first.outputs_kind)
    assert checked.ids is not None
    count = len(found[0].maps)
    whole = np.concatenate([one.maps for one in found])
    return replace(
        first,
        maps=whole,
        image_index=np.repeat(np.arange(len(found)), count),
        targets=np.concatenate([one.first.targets for one in found]),
        scores=np.concatenate([one.scores for one in found]),
        names=None if first.names is None else np.concatenate([one.first.names for one in found]),
        target_boxes=None,
        predicted=predicted_classes(outputs, first.outputs_kind),
        outputs=outputs,
        empty=np.logical_not((whole != 0).reshape(len(whole), -1).any(axis=1)),
        input_size=frame.size,
        ids=checked.ids,
        truth=checked.truth,
        target=asked,
        pictures=Pictures(len(found), frame.size, images, lambda: frame.arrange(array)),
    )
