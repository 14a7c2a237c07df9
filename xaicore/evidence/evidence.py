"""What a method computes its maps from."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from xaicore.capture import Attention, Capture
from xaicore.errors import MethodError
from xaicore.evidence.arranging import arranged
from xaicore.evidence.biases import bias_terms
from xaicore.evidence.checks import check_finite, check_map
from xaicore.evidence.means import mean_gradients
from xaicore.evidence.passes import Change, Passes
from xaicore.evidence.scores import is_unchanged
from xaicore.layers import Grid, Place, Tokens, split_run
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
        grids: of all layers that are maps of the picture, where the method needs biases.
    """

    capture: Capture
    captured: Capture
    layer: str
    aim: Aim
    passes: Passes
    place: Place | None = None
    tokens: Tokens | None = None
    grids: Mapping[str, Grid] = field(default_factory=dict)

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
    def unmasked(self) -> np.ndarray:
        """(N, C, *S), the activations with the outlier tokens that are left out of the others; to change them."""
        if self.place is None or not self.place.streams:
            return self.activations
        check_map(self.layer, self.capture)
        runs = self.place.runs[self.layer]
        return self.place.arrange({run: self.captured.activations[run] for run in runs})[self.layer]

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
        """The pictures as the model takes them, (N, C, *size) float32.

        Raises:
            MethodError: the model makes them itself.
        """
        self._check_pictures()
        return self.passes.pictures.array

    def _check_pictures(self) -> None:
        if self.passes.pictures.is_made:
            raise MethodError(
                "the model makes the picture under its maps of another input, so that no input can be explained as a "
                "picture: use a method on a layer, such as 'gradcam', or explain the rest of the model"
            )

    def input_gradients(self, rule: str = "plain", pictures: np.ndarray | None = None) -> np.ndarray:
        """Gradients of the scores with respect to the pictures, (N, K, C, *size).

        Args:
            rule: "plain", "guided" or "deconv".
            pictures: (N, C, *size), where they are wanted at other pictures: one more pass. None: those of the first.
        """
        self._check_pictures()
        if pictures is None:
            found = self.passes.pictures.gradients(self.capture.input_gradients[rule])
        else:
            found = self.passes.input_gradients(rule, pictures)
        check_finite(found, "the gradients of the input")
        return found

    def own_scores(self, as_confidence: bool = False) -> np.ndarray:
        """Scores (N, K) float64 of the pictures as they are, on the scale of `scores` and `resumed`."""
        return self.passes.own_scores(as_confidence)

    def mean_gradients(
        self, rows: int, change: Callable[[np.ndarray, slice], np.ndarray], rule: str = "plain"
    ) -> np.ndarray:
        """The mean gradient (N, K, C, *size) of the scores over R changed versions of each picture: R passes.

        Args:
            rows: R.
            change: `change(pictures, rows)` returns some of the changed versions of one image's pictures,
                (rows, views, C, *size) of (views, C, *size), for a slice of rows; there is mostly one view.
            rule: "plain", "guided" or "deconv".
        """
        views = self.passes.pictures.views
        images = self.pictures.reshape(-1, views, *self.pictures.shape[1:])

        def changed(n: int, chosen: slice) -> np.ndarray:
            made = change(images[n], chosen)
            return made.reshape(-1, *made.shape[2:])

        found = mean_gradients(self.passes, rule, rows, changed)
        check_finite(found, "the gradients of the input")
        return found

    def bias_terms(self) -> Iterator[Mapping[str, np.ndarray]]:
        """For each image, {layer: its bias times the gradients at its output}, (1, K, *layer): two passes each.

        The arrays have the framework's axes: see `placed`.

        Raises:
            MethodError: an image has several pictures.
        """
        if self.passes.pictures.views > 1:
            raise MethodError(
                f"an image has {self.passes.pictures.views} pictures here, and biases belong to all of them: use a "
                "method that needs no biases, such as 'integrated-gradients'"
            )
        for n in range(len(self.passes.aim.classes)):
            yield bias_terms(self.passes, n)

    def placed(self, layer: str, terms: np.ndarray) -> np.ndarray | None:
        """Terms of a layer as maps (1, K, C, *S) of the picture; None where it has no positions, as a dense layer."""
        grid = self.grids.get(split_run(layer)[0])
        return None if grid is None else grid.arrange(terms, targets=True)

    def scores(self, rows: int, change: Change, as_confidence: bool = False) -> np.ndarray:
        """Scores (N, R, K) float64 of R changed versions of each picture.

        Args:
            rows: R.
            change: `change(n, rows)` returns some of the changed pictures of image n, (rows, C, *size), for a slice of
                rows. Where memory runs out, it is asked again for fewer.
            as_confidence: a class scores its probability. Else its output as the model has it, its logit wherever that
                can be reached, so that a single output behind a sigmoid tells pictures apart, too.

        Raises:
            MethodError: an image has several pictures, the model makes them itself, or memory does not suffice for one.
        """
        pictures = self.passes.pictures
        if pictures.views > 1:
            raise MethodError(
                f"an image has {pictures.views} pictures here, which are scored together: use a method "
                "that needs no changed inputs, such as 'gradcam'"
            )
        if pictures.is_made:
            raise MethodError(
                "the model makes the picture under the map of its input, so that there is no picture to change: use a "
                "method that needs no changed inputs, such as 'gradcam'"
            )
        found = self.passes.scores(rows, change, as_confidence)
        self._warn_unchanged(found, as_confidence, "the picture")
        return found

    def resumed(self, rows: int, change: Change, as_confidence: bool = False) -> np.ndarray:
        """Scores (N, R, K) float64 of R changed versions of the layer's activations; the model runs from there on.

        Args:
            rows: R.
            change: `change(n, rows)` returns some of the changed activations of image n, (rows, C, *S), for a slice of
                rows; `unmasked` has the activations to change. Prefix tokens stay as they are.
            as_confidence: as in `scores`.

        Raises:
            MethodError: an image has several maps at this layer, or memory does not suffice for one.
        """
        runs = (self.layer,) if self.place is None else self.place.runs[self.layer]
        if self.passes.pictures.views > 1 or len(runs) > 1:
            raise MethodError(
                f"layer {self.layer!r} has several maps of an image, which are scored together: use a method that "
                "needs no changed activations, such as 'gradcam'"
            )

        def put(n: int, rows: slice) -> np.ndarray:
            maps = change(n, rows)
            if self.place is None:
                return maps
            return self.place.grids[self.layer].put(self.captured.activations[runs[0]][n : n + 1], maps)

        found = self.passes.resumed(runs[0], rows, put, as_confidence)
        self._warn_unchanged(found, as_confidence, f"layer {self.layer!r}")
        return found

    def _warn_unchanged(self, scores: np.ndarray, as_confidence: bool, what: str) -> None:
        still = is_unchanged(scores, self.own_scores(as_confidence)) if scores.size else np.zeros(0, bool)
        if self.passes.aim.boxes is not None:  # a row without a box says so itself
            still &= ~np.isnan(self.passes.aim.boxes).any(axis=-1)
        if still.any():
            warnings.warn(
                f"{still.sum()} of {still.size} scores do not depend on {what}, whatever is changed in it: their maps "
                "show nothing",
                RuntimeWarning,
                stacklevel=2,
            )

    def gradients_again(
        self, pictures: np.ndarray | None = None, direction: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Activations (N, C, *S) and gradients (N, K, C, *S) of the layer, from one more pass.

        Args:
            pictures: (N, C, *size), where they are wanted at other pictures. None: those of the first pass.
            direction: d score / d outputs of other scores, (images, K, *O), for the outputs of `captured`, one row per
                image. None: that of the targets, whose classes stay those of the first pass.
        """
        names = (self.layer,) if self.place is None else self.place.captured
        capture = arranged(self.passes.capture(names, pictures, direction), self.place)
        check_map(self.layer, capture)
        return capture.activations[self.layer], capture.gradients[self.layer]

    @property
    def second(self) -> np.ndarray:
        """The Hessian of each score times the layer's activations, (N, K, C, *S).

        Raises:
            MethodError: the score is no weighted sum of the outputs, so that it curves behind them, too.
        """
        if self.captured.outputs_kind == "probabilities" or self.passes.aim.scores is not None:
            raise MethodError(
                "second derivatives need a score that is a sum of outputs, and here it is computed from "
                f"{self.captured.outputs_kind}: explain a model that returns logits, or use 'gradcam'"
            )

        def direction(outputs: np.ndarray, kind: str) -> np.ndarray:
            return self.passes.aim.direction

        runs = (self.layer,) if self.place is None else self.place.runs[self.layer]
        found = {run: self.passes.backend.second(self.passes.x, run, direction) for run in runs}
        products = arranged(replace(self.captured, gradients=found), self.place).gradients[self.layer]
        check_finite(products, f"the second derivatives at layer {self.layer!r}")
        return products
