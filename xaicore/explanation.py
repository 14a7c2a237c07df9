"""The result: plain NumPy, whatever framework the model lives in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xaicore import localize, maps, overlay
from xaicore.errors import InputError
from xaicore.outputs import is_dense, raw_score
from xaicore.show.pictures import Pictures

if TYPE_CHECKING:
    import os

__all__ = ["Explanation"]

PER_IMAGE_OR_ROW = ("maps", "targets", "scores", "predicted", "outputs", "empty", "truth", "ceilings")


@dataclass(frozen=True, eq=False)
class Explanation:
    """Maps of N images and K targets each: row m = n * K + k of M = N * K explains target k of image n.

    Attributes:
        maps: (M, *S) float32 >= 0: the method's map at the layer's own resolution, before normalising.
        image_index: (M,) which image a row belongs to.
        targets: (M,) int64 classes; -1 where the target is no class.
        scores: (M,) probability of the target where it has one; else its score.
        predicted: (N,) int64 predicted classes, or None where outputs are no class scores.
        outputs: (N, ...) float32, as the backend gave them.
        outputs_kind: "logits", "probabilities" or "values".
        empty: (M,) bool: no positive evidence at all, the map is zeros.
        input_size: the spatial shape of the model's input, (H, W) for pictures.
        ids: (N,) names of the images.
        truth: (N,) int64 true classes, -1 where unknown, or None.
        class_names: a name a class, or None.
        method: the method's name.
        layer: the layer's name; several fused ones joined by " + ".
        model: the model's class.
        target: what was asked for, such as "predicted" or "top 5".
        group: None for images that their ids tell apart; else the name of a set that changes from step to step,
            such as "worst", of which image n at one step replaces image n of the same step only.
        ceilings: (M,) the map values that are 1 in heatmaps, so that several steps share a scale; None: each
            map's own maximum.
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

    def __len__(self) -> int:
        """The number of rows, M = N * K."""
        return len(self.maps)

    def __repr__(self) -> str:
        n, m = len(self.ids), len(self)
        return (
            f"<Explanation of {n} image{'s' * (n != 1)}, {m // n} target{'s' * (m != n)} each ({self.target}): "
            f"{self.method} at {self.layer} of {self.model}, maps {self.maps.shape[1:]}>"
        )

    @property
    def images(self) -> np.ndarray | None:
        """The pictures (N, H, W, 3) uint8 RGB, in the frame that the network sees; None if it saw none.

        Where the caller gave none, they are made of the input on first use: as it is when it is uint8 or lies
        in [0, 1], else rescaled by the batch's minimum and maximum.
        """
        return self.pictures.array

    @property
    def images_from(self) -> str | None:
        """Where `images` come from: "user", "input" or "rescaled"; None where there are none."""
        return self.pictures.source

    def class_name(self, index: int) -> str:
        """The name of a class, else its number; "" for no class."""
        if index < 0:
            return ""
        names = self.class_names or ()
        return names[index] if index < len(names) else str(int(index))

    def heatmaps(self, size: Sequence[int] | None = None, normalize: str = "max") -> np.ndarray:
        """The maps at the pictures' resolution, (M, H, W) float32 in [0, 1].

        They are resized first and normalised then, so that the maximum is exactly 1; a map without positive
        evidence is zeros. Where there are `ceilings`, "max" divides by them and cuts off what is above.

        Args:
            size: (height, width); the pictures' when None, else `input_size`.
            normalize: "max", "minmax", or "none" for the method's own scale, which is not limited to 1.

        Raises:
            InputError: the size or `normalize` is not known.
        """
        if size is None:
            # Made pictures have the input's size, so there is no need to make them for this.
            given = self.pictures.given
            size = self.input_size if given is None else given.shape[1:3]
        return maps.normalize(maps.resize(self.maps, size), normalize, self.ceilings)

    def overlays(self, colormap: str = "viridis", alpha: float = 0.5, outline: float | None = None) -> np.ndarray:
        """Heatmaps over their pictures, (M, H, W, 3) uint8 RGB.

        Args:
            colormap: "viridis", "inferno", "magma", "cividis", ... (`xaicore.overlay.colormaps()`).
            alpha: the opacity at the maximum; elsewhere it shrinks with the evidence.
            outline: draw a line around this share of the pixels with the most evidence, such as 0.2.

        Raises:
            InputError: there are no pictures, or an argument is out of range.
        """
        images = self.images
        if images is None:
            raise InputError(
                f"no pictures to lay the heatmaps over: the input (spatial shape {self.input_size}) is not one or "
                "three channels of a picture; pass images=, uint8 (N, H, W, 3)"
            )
        images, heatmaps = images[self.image_index], self.heatmaps(images.shape[1:3])
        over = overlay.blend(images, heatmaps, colormap, alpha)
        return over if outline is None else overlay.outline(over, heatmaps, outline)

    def masks(self, threshold: float = 0.2) -> np.ndarray:
        """Where a heatmap exceeds `threshold` of its maximum, bool (M, H, W).

        Raises:
            InputError: the threshold is not in [0, 1).
        """
        return localize.masks(self.heatmaps(), threshold)

    def boxes(self, threshold: float = 0.2) -> np.ndarray:
        """The box of the largest component of each mask: int64 (M, 4), x0, y0, x1, y1 in pixels, end exclusive.

        As in CAM's localisation (Zhou et al. 2016), which uses 20 %. An empty map has the box 0, 0, 0, 0.

        Raises:
            InputError: the threshold is not in [0, 1), or the maps are not two-dimensional.
        """
        return localize.boxes(self.masks(threshold))

    def save(self, directory: str | os.PathLike[str]) -> Path:
        """Write pictures, overlays, raw maps and an index.html; returns the path of the latter.

        Raises:
            LoggerError: the folder cannot be written.
        """
        from xaicore.loggers import open_loggers

        root = Path(directory).expanduser()
        with open_loggers({"disk": {"root": root}}, name=root.resolve().name, on_error="raise") as log:
            log(self)
        return root / "index.html"

    def show(self) -> None:
        """Display the result: in the notebook, else in the web browser."""
        from xaicore.show import html

        html.show(self)

    def _repr_html_(self) -> str:
        from xaicore.show import html

        return html.render(self)

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
        return replace(
            self,
            maps=self.maps[rows],
            image_index=np.repeat(np.arange(len(chosen)), per_image),
            targets=self.targets[rows],
            scores=self.scores[rows],
            predicted=None if self.predicted is None else self.predicted[chosen],
            outputs=self.outputs[chosen],
            empty=self.empty[rows],
            ids=tuple(self.ids[n] for n in chosen),
            truth=None if self.truth is None else self.truth[chosen],
            pictures=self.pictures.take(chosen),
            ceilings=None if self.ceilings is None else self.ceilings[rows],
        )

    @staticmethod
    def concatenate(parts: Sequence[Explanation]) -> Explanation:
        """One explanation of all their images, in order: the way back from `take`.

        The parts are of one model, method, layer and K; pictures made of inputs stay as each part has made them.

        Raises:
            InputError: there are none, two images share an id, or the parts do not fit together.
        """
        if not parts:
            raise InputError("nothing to concatenate: expected one explanation or more")
        first = parts[0]
        if len(parts) == 1:
            return first
        ids = tuple(name for part in parts for name in part.ids)
        kinds = {(p.method, p.layer, p.maps.shape[1:], len(p) // len(p.ids), p.outputs.shape[1:]) for p in parts}
        if len(kinds) > 1 or len(set(ids)) < len(ids):
            what = f"ids that come twice in {ids}" if len(kinds) == 1 else "another method, layer, size, K or classes"
            raise InputError(f"{len(parts)} explanations with {what}: expected parts of one, with an id an image")
        counts = np.cumsum([0, *(len(part.ids) for part in parts[:-1])])

        def joined(name: str) -> np.ndarray | None:
            arrays = [getattr(part, name) for part in parts]
            return None if any(array is None for array in arrays) else np.concatenate(arrays)

        index = [part.image_index + start for part, start in zip(parts, counts, strict=True)]
        arrays: dict[str, Any] = {name: joined(name) for name in PER_IMAGE_OR_ROW}
        pictures = Pictures.of(joined("images"), first.images_from)
        return replace(first, **arrays, image_index=np.concatenate(index), ids=ids, pictures=pictures)

    def raw_score(self, m: int) -> float:
        """The target's output as the model has it, before softmax or sigmoid; its score where it is no class.

        In a one-output classifier the raw score of class 0 is the negative logit (or 1 - p).
        """
        target = int(self.targets[m])
        if target < 0 or is_dense(self.outputs):
            return float(self.scores[m])
        return raw_score(self.outputs[self.image_index[m]], self.outputs_kind, target)

    def row(self, m: int) -> dict[str, Any]:
        """What is known of row m, as plain values: id, target, score, prediction, truth, and so on."""
        n = int(self.image_index[m])
        per_image = len(self) // len(self.ids)
        target = int(self.targets[m])
        predicted = None if self.predicted is None else int(self.predicted[n])
        truth = None if self.truth is None or self.truth[n] < 0 else int(self.truth[n])
        return {
            "id": self.ids[n],
            "k": m % per_image,
            "target": target,
            "target_name": self.class_name(target),
            "score": float(self.scores[m]),
            "raw_score": self.raw_score(m),
            "predicted": predicted,
            "predicted_name": None if predicted is None else self.class_name(predicted),
            "truth": truth,
            "truth_name": None if truth is None else self.class_name(truth),
            "empty": bool(self.empty[m]),
            "method": self.method,
            "layer": self.layer,
            "group": self.group,
        }
