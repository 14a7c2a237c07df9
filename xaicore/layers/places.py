"""Facts of a model and what they mean, kept for inputs of each shape."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from xaicore import trees
from xaicore.backend import Backend
from xaicore.errors import InputError, LayerError, MethodError
from xaicore.facts import ByShape, Facts, InputFacts, LayerFacts
from xaicore.layers.attention import Tokens, attention_grid, queries_read, read_blocks, stated_tokens
from xaicore.layers.choice import choose_layer, default_layer, reached_maps
from xaicore.layers.grid import POSITIONS, Grid, check_axes, check_grid, check_input_axes
from xaicore.layers.inputs import Frame, stated_frame, usual_frame
from xaicore.layers.joined import picture_tokens
from xaicore.layers.outliers import check_outliers, token_streams
from xaicore.layers.place import Place, find_place, picture_place
from xaicore.layers.reading import Reading, read

__all__ = ["Places"]


class Places:
    """Finds where a model is explained.

    Args:
        backend: reports facts, or lists layers.
        layers: the layers to explain; empty to find one on the first call, which then stays.
        axes, grid, input_axes, outliers: the caller's notation and choice, as in `Explainer`.
        needs_classifier: the layer to find is the one whose spatial mean a classifier reads, as CAM needs it.

    Attributes:
        layers: the layers that are explained; empty until one is found.

    Raises:
        InputError: a notation makes no sense.
    """

    def __init__(
        self,
        backend: Backend,
        layers: tuple[str, ...],
        axes: str | None = None,
        grid: Sequence[int] | None = None,
        input_axes: str | None = None,
        outliers: str | None = None,
        needs_classifier: bool = False,
    ) -> None:
        self.layers = layers
        self._backend = backend
        self._axes = None if axes is None else check_axes(axes, "axes")
        self._grid = None if grid is None else check_grid(grid)
        self._input_axes = None if input_axes is None else check_input_axes(input_axes)
        self._outliers = check_outliers(outliers)
        self._needs_classifier = needs_classifier
        self._known: ByShape[tuple[Facts | None, Place | None]] = ByShape()

    def find(self, x: Any, needs_layer: bool = True) -> tuple[Facts | None, Place | None]:
        """The facts and the place for inputs of this shape; none for a backend that reports no facts.

        Args:
            x: what the model takes.
            needs_layer: False where the picture is enough: a model without any map then has a place without layers.

        Raises:
            LayerError: no layer fits, or the axes of one are not settled.
            InputError: a notation does not fit the inputs, or the backend reports no facts that it could complete.
        """
        shapes = tuple(np.shape(leaf)[1:] for leaf in trees.leaves(x) if hasattr(leaf, "shape"))
        of_layer = (*trees.places(x), shapes, True)
        key = of_layer if needs_layer or of_layer in self._known else (*of_layer[:-1], False)
        if key not in self._known:
            self._known[key] = self._find(x, needs_layer)
        return self._known[key]

    def frame_before(self, shape: tuple[int, ...]) -> Frame:
        """The axes of an input of this shape, before any pass: those that the caller states, else the framework's.

        Raises:
            InputError: the input has neither one, two nor three positions, or not the axes that are stated.
        """
        if self._input_axes is not None and len(self._input_axes) == len(shape):
            return stated_frame(self._input_axes, InputFacts(shape))
        frame = None if self._input_axes is not None else usual_frame(shape, self._backend.channels_last)
        if frame is None:
            expected = (
                f"the axes {self._input_axes!r}" if self._input_axes else "(N, C, ...) with one to three positions"
            )
            raise InputError(f"an input of shape {shape}: expected {expected}")
        return frame

    def find_attention(self, x: Any, count: int | None, needs_layer: bool = False) -> Tokens:
        """The last `count` attentions, or all where it is None, and what their tokens are.

        Args:
            x: what the model takes.
            count: how many attentions are read.
            needs_layer: a layer is explained, too, as in `find`.

        Raises:
            MethodError: the model has none, they do not attend over the picture's tokens, or nothing settles the grid.
        """
        facts, place = self.find(x, needs_layer)
        if facts is None or place is None:
            raise MethodError(f"backend {self._name!r} reports no facts, so that tokens have no known grid")
        position = place.sources[0].position
        blocks = read_blocks(self._backend.attention(x), count, facts, position)
        if self._grid is None:
            reading = read(facts, self._backend.channels_last, self._input_axes)
            grid = attention_grid(blocks, reading, position)
        else:
            grid = stated_tokens(blocks, self._grid, picture_tokens(facts.layers, position))
        return Tokens(blocks, grid, queries_read(blocks, grid, facts, position))

    def grids(self, x: Any) -> dict[str, Grid]:
        """{layer: its grid} of all layers that are maps of the picture; channels first for a backend without facts."""
        facts, place = self.find(x, needs_layer=False)
        if facts is None or place is None:
            axes = {2 + len(letters): f"nc{letters}" for letters in POSITIONS.values()}
            layers = (one for one in self._backend.layers(x) if one.spatial and len(one.shape) in axes)
            return {one.name: Grid(axes[len(one.shape)], one.shape[2:]) for one in layers}
        reading = read(facts, self._backend.channels_last, self._input_axes)
        main = {source.position for source in place.sources}
        return {name: grid for name, grid in reading.grids.items() if reading.pictures[name] in main}

    def before(self, x: Any) -> list[tuple[LayerFacts, Grid]]:
        """The maps that may be explained instead of the layer that was found, which ran before it; the last one first.

        Of maps of one shape that follow each other, the last one.
        """
        facts, _ = self.find(x)
        if facts is None:
            return []
        reading = read(facts, self._backend.channels_last, self._input_axes)
        maps = list(reached_maps(facts.layers, reading.grids, reading.main_pictures))
        at = [layer.name for layer in maps].index(self.layers[0])
        pairs = zip(maps[at:], maps[at + 1 :], strict=False)
        return [(layer, reading.grids[layer.name]) for later, layer in pairs if layer.shape != later.shape]

    @property
    def _name(self) -> str:
        return self._backend.name or type(self._backend).__name__

    def move(self, layer: str) -> None:
        """Explain this layer from now on."""
        self.layers = (layer,)
        self._known.clear()

    def _refuse_notation(self) -> None:
        notation = {"axes": self._axes, "grid": self._grid, "input_axes": self._input_axes, "outliers": self._outliers}
        given = ", ".join(f"{name}={value!r}" for name, value in notation.items() if value is not None)
        if given:
            raise InputError(
                f"{given}: backend {self._name!r} reports no facts of layers, so that its arrays are read as "
                "they are, with the channels first"
            )

    def _find(self, x: Any, needs_layer: bool) -> tuple[Facts | None, Place | None]:
        facts = self._backend.observe(x)
        if facts is None:
            self._refuse_notation()
            if needs_layer:
                self.layers = self.layers or (default_layer(self._backend.layers(x)),)
            return None, None
        reading = read(facts, self._backend.channels_last, self._input_axes)
        layers = self.layers
        if not layers and self._needs_classifier and reading.frames:
            layers = (self._classified(x, facts, reading),)
        try:
            place = find_place(facts, reading, layers, self._backend.layer_name, self._axes, self._grid)
        except LayerError:
            if needs_layer or layers or len(reading.main_pictures) != 1:
                raise
            return facts, picture_place(facts, reading)
        self.layers = self.layers or tuple(place.runs)
        if self._outliers is not None:
            place = replace(place, streams=token_streams(facts, place, self._backend.layer_name))
        return facts, place

    def _classified(self, x: Any, facts: Facts, reading: Reading) -> str:
        """The last map whose spatial mean the classifier turns into the outputs; a pooling layer may have made it.

        Where there is none, the layer that is explained by default: CAM then says what it misses.
        """
        default = choose_layer(facts.layers, reading.grids, reading.main_pictures, reading.states)
        names = [layer.name for layer in facts.layers]
        candidates = [name for name in names[names.index(default) :] if name in reading.grids]
        for name in reversed(candidates):
            with contextlib.suppress(MethodError):
                self._backend.classifier_weights(x, name)
                return name
        return default
