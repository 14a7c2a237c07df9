"""The result: plain NumPy, whatever framework the model lives in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xaicore.errors import InputError
from xaicore.outputs import is_dense, joined_rows, raw_score, true_classes
from xaicore.show.drawing import Drawing
from xaicore.show.pictures import Pictures
from xaicore.show.shown import ShownMaps

if TYPE_CHECKING:
    import os

__all__ = ["Explanation"]

PER_IMAGE = ("predicted", "outputs", "truth")
PER_ROW = ("maps", "targets", "scores", "empty", "ceilings", "names", "target_boxes")


@dataclass(frozen=True, eq=False)
class Explanation(ShownMaps):
    """Maps of N images and K targets each: row m = n * K + k of M = N * K explains target k of image n.

    Attributes:
        maps: (M, *S) float32: the method's map at the layer's own resolution, or at the picture's for methods on the
            input, before normalising; >= 0 unless `signed`. With several views per image, (M, views, *S).
        image_index: (M,) which image a row belongs to.
        targets: (M,) int64 classes; -1 where the target is no class.
        scores: (M,) probability of the target where it has one; else its score.
        predicted: (N,) int64 predicted classes, or None where outputs are no class scores.
        outputs: (N, ...) float32, as the backend gave them.
        outputs_kind: "logits", "probabilities" or "values".
        empty: (M,) bool: no evidence at all, the map is zeros.
        input_size: the spatial shape of the model's input, (H, W) for pictures.
        ids: (N,) names of the images.
        truth: (N,) int64 true classes, -1 where unknown; (N, classes) bool where an image has several; or None.
        class_names: one name per class, or None.
        method: the method's name.
        layer: the layer's name; several fused ones joined by " + ".
        model: the model's class.
        target: what was asked for, such as "predicted" or "top 5".
        group: None for images that their ids identify; else the name of a set that changes from step to step, such as
            "worst": image n of a step replaces only image n of the same step.
        ceilings: (M,) the map values that are 1 in heatmaps, so that several steps share a scale; None: each
            map's own largest magnitude.
        views: pictures per image: the frames of a clip, which the model convolves one by one, or the inputs that go
            through the same layers.
        view_names: the views' names in the order of their maps, such as "frame 0"; empty where there is one view.
        frames: how many frames the views have that follow each other; 1 where nothing says that they do. View v is of
            frame v // (views // frames).
        signed: negative values of the maps are evidence against the target.
        of_pixels: the method computes the maps of the picture's gradients, pixel by pixel, see `scaling`.
        names: (M,) what each target is called, such as a word; None: by its class.
        target_boxes: (M, 4) where each target lies in the picture: x0, y0, x1, y1 in pixels of `input_size`, NaN where
            it lies nowhere; None for targets that have no place.
        positions: a letter per axis of `input_size` where the model or the caller says what they are, such as "hw", or
            "thw" for a video; "" where nothing does.
    """

    maps: np.ndarray
    image_index: np.ndarray
    targets: np.ndarray
    scores: np.ndarray
    predicted: np.ndarray | None
    outputs: np.ndarray
    outputs_kind: str
    empty: np.ndarray
    input_size: tuple[int, ...]
    ids: tuple[str, ...]
    truth: np.ndarray | None
    class_names: tuple[str, ...] | None
    method: str
    layer: str
    model: str
    target: str
    pictures: Pictures = field(repr=False)
    group: str | None = None
    ceilings: np.ndarray | None = None
    views: int = 1
    view_names: tuple[str, ...] = ()
    frames: int = 1
    signed: bool = False
    of_pixels: bool = False
    names: np.ndarray | None = None
    target_boxes: np.ndarray | None = None
    positions: str = ""

    def __len__(self) -> int:
        """The number of rows, M = N * K."""
        return len(self.maps)

    def __repr__(self) -> str:
        n, m = len(self.ids), len(self)
        return (
            f"<Explanation of {n} image{'s' * (n != 1)}, {m // n} target{'s' * (m != n)} each ({self.target}): "
            f"{self._first_named()}{self.method} at {self.layer} of {self.model}, maps {self.maps.shape[1:]}, "
            f"outputs are {self.outputs_kind}>"
        )

    def _first_named(self) -> str:
        """The first three targets with their scores: "tabby 0.870; ", without names "class 281 0.870; "."""
        kind = "class " if self.class_names is None and self.names is None else ""
        found = [(self.target_name(m), self.scores[m]) for m in range(min(len(self), 3))]
        named = [f"{kind}{name} {score:.3f}" if name else f"{self.target} {score:.3f}" for name, score in found]
        return f"{', '.join(named)}{', ...' * (len(self) > 3)}; "

    def class_name(self, index: int) -> str:
        """The name of a class, else its number; "" for no class."""
        if index < 0:
            return ""
        names = self.class_names or ()
        return names[index] if index < len(names) else str(int(index))

    def target_name(self, m: int) -> str:
        """What the target of row m is called: its own name, else that of its class; "" for neither."""
        return self.class_name(int(self.targets[m])) if self.names is None else str(self.names[m])

    def target_box(self, m: int) -> tuple[float, float, float, float] | None:
        """Where the target of row m lies in the picture: x0, y0, x1, y1 in pixels of `input_size`; None for nowhere."""
        box = None if self.target_boxes is None else self.target_boxes[m]
        return None if box is None or np.isnan(box).any() else tuple(map(float, box))  # type: ignore[return-value]

    def true_classes(self, n: int) -> tuple[int, ...] | None:
        """The true classes of image n, none or several in a multi-label data set; None where they are unknown."""
        return true_classes(self.truth, n)

    @property
    def right(self) -> tuple[bool | None, ...]:
        """Per image, whether the predicted class is a true one; None where either is unknown."""
        return tuple(self._right(n) for n in range(len(self.ids)))

    def _right(self, n: int) -> bool | None:
        true = self.true_classes(n)
        return None if true is None or self.predicted is None else int(self.predicted[n]) in true

    def save(self, directory: str | os.PathLike[str], **options: Any) -> Path:
        """Write pictures, overlays, raw maps and an index.html; returns the path of the latter.

        Args:
            directory: made if there is none.
            options: of the disk logger, such as `animation="webp"` and, for volumes, `spacing=(2.5, 0.8, 0.8)`.

        Raises:
            LoggerError: the folder cannot be written.
            InputError: the directory is named like a picture, or an option is out of range.
            PluginError, DependencyError: an option is unknown, or needs another library.
        """
        from xaicore.loggers import saved

        return saved(self, directory, options)

    def take(self, images: slice | Sequence[int]) -> Explanation:
        """The same explanation of some of the images, by position: `take(slice(0, 8))`, `take([3, 5])`.

        Raises:
            InputError: no image is left.
        """
        chosen = np.arange(len(self.ids))[images]
        if chosen.ndim != 1 or not len(chosen):
            raise InputError(f"take({images!r}) of {len(self.ids)} images: expected a slice or positions of some")
        per_image = len(self) // len(self.ids)
        rows = (chosen[:, None] * per_image + np.arange(per_image)).reshape(-1)

        def taken(names: Sequence[str], index: np.ndarray) -> dict[str, Any]:
            arrays = ((name, getattr(self, name)) for name in names)
            return {name: None if array is None else array[index] for name, array in arrays}

        return replace(
            self,
            **taken(PER_IMAGE, chosen),
            **taken(PER_ROW, rows),
            image_index=np.repeat(np.arange(len(chosen)), per_image),
            ids=tuple(self.ids[n] for n in chosen),
            pictures=self.pictures.take(chosen),
        )

    @staticmethod
    def concatenate(explanations: Sequence[Explanation]) -> Explanation:
        """One explanation of all their images, in order: the way back from `take`.

        They are of one model, method, layer and K; pictures made from inputs keep the scale of their own explanation.

        Raises:
            InputError: there are none, two images share an id, or the explanations differ in more than their images.
        """
        if not explanations:
            raise InputError("nothing to concatenate: expected one explanation or more")
        first = explanations[0]
        if len(explanations) == 1:
            return first
        ids = tuple(name for one in explanations for name in one.ids)
        _check_alike(explanations, ids)
        starts = np.cumsum([0, *(len(one.ids) for one in explanations[:-1])])

        def joined(name: str) -> np.ndarray | None:
            arrays = [getattr(one, name) for one in explanations]
            join = joined_rows if name == "outputs" else np.concatenate
            return None if any(array is None for array in arrays) else join(arrays)

        index = [one.image_index + start for one, start in zip(explanations, starts, strict=True)]
        arrays: dict[str, Any] = {name: joined(name) for name in (*PER_IMAGE, *PER_ROW)}
        pictures = Pictures.from_array(joined("images"), first.images_from)
        return replace(first, **arrays, image_index=np.concatenate(index), ids=ids, pictures=pictures)

    def raw_score(self, m: int) -> float:
        """The target's output as the model has it, before softmax or sigmoid; its score where it is no class or a box.

        In a one-output classifier the raw score of class 0 is the negative logit (or 1 - p).
        """
        target = int(self.targets[m])
        if target < 0 or is_dense(self.outputs) or self.target_boxes is not None:
            return float(self.scores[m])
        return raw_score(self.outputs[self.image_index[m]], self.outputs_kind, target)

    def row(self, m: int, drawing: Drawing | None = None) -> dict[str, Any]:
        """What is known of row m, as plain values; of a volume, which slices `draw(m, drawing)` shows.

        Keys: id, k, target, target_name, target_box (x0, y0, x1, y1), score, raw_score, predicted, predicted_name,
        truth (in a multi-label data set a list), truth_name (of a list: joined by ", "; "none" where it is empty),
        empty, method, layer, group, slot (the position in a group, else None), model, asked (the targets that were
        asked for), maximum and minimum (of the map), signed, right, views (their names, in the order in which they lie
        side by side; the slices of a volume are views), frames (how many follow each other), view_maxima (the largest
        magnitude in the map of each view), columns (views per line) and part ("frame" or "slice", what the views that
        follow each other are). Unknown values are None; so are the last five where there is one view.
        """
        n = int(self.image_index[m])
        target = int(self.targets[m])
        predicted = None if self.predicted is None else int(self.predicted[n])
        true = self.true_classes(n)
        several = self.truth is not None and self.truth.ndim > 1
        return {
            "id": self.ids[n],
            "k": m % (len(self) // len(self.ids)),
            "target": target,
            "target_name": self.target_name(m),
            "target_box": self.target_box(m),
            "score": float(self.scores[m]),
            "raw_score": self.raw_score(m),
            "predicted": predicted,
            "predicted_name": None if predicted is None else self.class_name(predicted),
            "truth": None if true is None else list(true) if several else true[0],
            "truth_name": None if true is None else ", ".join(map(self.class_name, true)) or "none",
            "empty": bool(self.empty[m]),
            "method": self.method,
            "layer": self.layer,
            "group": self.group,
            "slot": None if self.group is None else n,
            "model": self.model,
            "asked": self.target,
            "maximum": float(self.maps[m].max()),
            "minimum": float(self.maps[m].min()),
            "signed": self.signed,
            "right": self._right(n),
            **self._views_of(m, drawing),
        }


def _check_alike(explanations: Sequence[Explanation], ids: Sequence[str]) -> None:
    """Refuse explanations that cannot be concatenated.

    Raises:
        InputError: they differ in more than their images, or two images share an id.
    """
    alike = {
        (
            *(one.method, one.signed, one.layer, one.maps.shape[1:]),
            *(len(one) // len(one.ids), one.view_names),
            one.outputs.shape[1:] if one.target_boxes is None else None,  # a detector finds more in some images
        )
        for one in explanations
    }
    if len(alike) > 1:
        raise InputError("the explanations differ in method, layer, map size, K or classes: pass those of one call")
    repeated = [name for name, count in Counter(ids).items() if count > 1]
    if repeated:
        raise InputError(
            f"ids {', '.join(map(repr, repeated[:5]))} are in several explanations: give each image an id of its own"
        )
