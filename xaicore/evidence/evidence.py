"""What a method computes its maps from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from xaicore.capture import Attention, Capture
from xaicore.errors import MethodError
from xaicore.evidence.checks import check_finite, check_map
from xaicore.evidence.passes import Passes
from xaicore.layers import Place, Tokens
from xaicore.targets import Aim, Classes

__all__ = ["Evidence"]


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a method may ask for, at one layer: N pictures, K targets each.

    A method names in `needs` what it asks for. What belongs to the first pass is there already; the rest costs passes
    of its own, in batches of bounded memory.

    Attributes:
        capture: the first pass, arrays of layers as (N, C, *S) and (N, K, C, *S).
        captured: the same as the backend gave it, in the framework's axes.
        layer: the layer that is explained, where the method needs one.
        aim: the targets, of the pictures.
        passes: runs the model again.
        place: where the model is explained.
        tokens: the attentions that the method reads, and what their tokens are, where it needs any.
    """

    capture: Capture
    captured: Capture
    layer: str
    aim: Aim
    passes: Passes
    place: Place | None = None
    tokens: Tokens | None = None

    @property
    def size(self) -> tuple[int, ...]:
        """The positions of a picture, (H, W)."""
        return self.capture.input_size

    @property
    def activations(self) -> np.ndarray:
        """(N, C, *S), of the layer."""
        check_map(self.layer, self.capture)
        return self.capture.activations[self.layer]

    @property
    def gradients(self) -> np.ndarray:
        """(N, K, C, *S), of each score with respect to the layer's activations."""
        check_map(self.layer, self.capture)
        return self.capture.gradients[self.layer]

    @property
    def weights(self) -> np.ndarray:
        """(N, K, C): the classifier's row for each target, that is the direction times the dense layer's weight.

        Raises:
            MethodError: no dense classifier reads the layer's spatial mean.
        """
        aim = self.aim
        if self.capture.outputs_kind == "probabilities":  # the rows belong to the logits behind them
            aim = Classes(aim.classes).aim(self.capture.outputs, "logits")
        weights = self.passes.backend.classifier_weights(self.passes.x, self.layer)
        rows: np.ndarray = aim.direction.reshape(*aim.classes.shape, -1) @ weights
        return rows

    @property
    def attention(self) -> Mapping[str, Attention]:
        """{name: attention}, those that the method reads, in the order in which they ran."""
        blocks = () if self.tokens is None else self.tokens.blocks
        return {block.name: self.capture.attention[block.name] for block in blocks}

    def as_map(self, values: np.ndarray) -> np.ndarray:
        """Values of tokens (N, K, T) as maps (N, K, *size); prefix tokens are left out.

        Raises:
            MethodError: the method needs no attention, so that no grid of tokens is known.
        """
        if self.tokens is None:
            raise MethodError("no grid of tokens is known: a method that reads them needs 'attention'")
        grid = self.tokens.grid
        maps: np.ndarray = values[..., grid.tokens].reshape(*values.shape[:2], *grid.size)
        return maps

    @property
    def pictures(self) -> np.ndarray:
        """The pictures as the model takes them, (N, C, *size) float32."""
        return self.passes.pictures.array

    def input_gradients(self, rule: str = "plain", pictures: np.ndarray | None = None) -> np.ndarray:
        """Gradients of the scores with respect to the pictures, (N, K, C, *size).

        Args:
            rule: "plain", "guided" or "deconv".
            pictures: (N, C, *size), where they are wanted at other pictures: one more pass. None: those of the first.
        """
        if pictures is None:
            found = self.passes.pictures.gradients(self.capture.input_gradients[rule])
        else:
            found = self.passes.input_gradients(rule, pictures)
        check_finite(found, "the gradients of the input")
        return found

    def scores(self, rows: int, change: Any) -> np.ndarray:
        """Scores (N, R, K) float64 of R changed versions of each picture.

        Args:
            rows: R.
            change: `change(n, rows)` returns some of the changed pictures of image n, (rows, C, *size), for a slice of
                rows.

        Raises:
            MethodError: an image has several pictures.
        """
        if self.passes.pictures.views > 1:
            raise MethodError(
                f"an image has {self.passes.pictures.views} pictures here, which are scored together: use a method "
                "that needs no changed inputs, such as 'gradcam'"
            )
        return self.passes.scores(rows, change)

    def resumed(self, rows: int, change: Any) -> np.ndarray:
        """Scores (N, R, K) float64 of R changed versions of the layer's activations; the model runs from there on.

        Args:
            rows: R.
            change: `change(n, rows)` returns some of the changed activations of image n, (rows, C, *S), for a slice of
                rows.

        Raises:
            MethodError: an image has several maps at this layer.
        """
        runs = (self.layer,) if self.place is None else self.place.runs[self.layer]
        if self.passes.pictures.views > 1 or len(runs) > 1:
            raise MethodError(
                f"layer {self.layer!r} has several maps of an image, which are scored together: use a method that "
                "needs no changed activations, such as 'gradcam'"
            )

        def put(n: int, maps: np.ndarray) -> np.ndarray:
            if self.place is None:
                return maps
            return self.place.grids[self.layer].put(self.captured.activations[runs[0]][n : n + 1], maps)

        return self.passes.resumed(runs[0], put, rows, change)

    @property
    def second(self) -> np.ndarray:
        """The Hessian of each score times the layer's activations, (N, K, C, *S)."""

        def direction(outputs: np.ndarray, kind: str) -> np.ndarray:
            return self.passes.aim.direction

        runs = (self.layer,) if self.place is None else self.place.runs[self.layer]
        found = {run: self.passes.backend.second(self.passes.x, run, direction) for run in runs}
        return found[runs[0]] if self.place is None else self.place.arrange(found, targets=True)[self.layer]
