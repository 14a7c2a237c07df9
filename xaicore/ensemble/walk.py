"""The way from inputs to maps: one pass for all methods, and that again for each changed version of the pictures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from xaicore.backend import Backend
from xaicore.capture import Capture
from xaicore.ensemble.changes import Change
from xaicore.ensemble.options import Ensemble
from xaicore.errors import InputError, MethodError
from xaicore.evidence import Coupling, Evidence, InputPictures, Passes, Plan, Progress, aim_again, arranged, first_pass
from xaicore.evidence.first import AimFor
from xaicore.evidence.passes import Settle
from xaicore.layers import Grid, Place, Tokens
from xaicore.maps import fuse
from xaicore.methods import Method, Reducing, apply
from xaicore.outputs import is_dense
from xaicore.targets import Aim, Target

__all__ = ["Maps", "Walk"]

INPUT = "the input"
"""What a result names as its layer, where its method explains none."""

Maps = dict[tuple[str, str], np.ndarray]
"""{(method, layer): maps (N * views * K, *S)}."""


@dataclass(frozen=True, eq=False)
class Walk:
    """One call of `Explainer`, once its arguments are read.

    Attributes:
        backend: runs the model.
        place: where it is explained.
        plan: what all the methods need.
        methods, layers: what is computed, and where.
        tokens: the attentions that are captured, and what their tokens are; None where no method reads any.
        target: what was asked for.
        settle: reads kinds of outputs.
        ensemble: the versions of the pictures, and how layers are joined.
        activation, batch_size, only_size, progress, coupling: of further passes, as in `Passes`.
        grids: of all layers whose outputs are maps, where biases are read.
    """

    backend: Backend
    place: Place | None
    plan: Plan
    methods: Sequence[Method]
    layers: tuple[str, ...]
    tokens: Tokens | None
    target: Target
    settle: Settle
    ensemble: Ensemble
    activation: str | None
    batch_size: int
    only_size: int | None
    progress: Progress | bool | None
    coupling: Coupling
    grids: Mapping[str, Grid]

    def run(self, x: Any, aim_for: AimFor) -> tuple[Capture, Aim, Maps]:
        """The pass over the inputs as they are, what it aimed at, and the maps.

        Raises:
            XaicoreError: outputs cannot be explained, or a method has no map.
        """
        if not self.ensemble.has_versions:
            captured, aim = self._pass(x, aim_for, self.plan)
            return captured, aim, self._maps(x, captured, aim)
        if self.ensemble.moves_pictures and self.place is not None and any(self.place.frame.padding):
            raise MethodError(
                "the model puts padding behind the end of its pictures, so that changed versions of them lie elsewhere "
                "in its maps: leave augment= out"
            )
        pictures = InputPictures(self.backend, self.backend.with_batch_axis(x), self.place)
        changes = self.ensemble.changes(pictures.letters)
        captured, aim = self._pass(x, aim_for, Plan.of([]))
        if (
            self.ensemble.moves_pictures
            and is_dense(captured.outputs)
            and not (self.target.stays or self.target.follows)
        ):
            raise InputError(
                f"augment= mirrors and scales the pictures, and target {self.target!s} is at positions of the outputs "
                f"{captured.outputs.shape}, which may move with them: leave augment= out; smooth= moves nothing"
            )
        size = captured.input_size if self.place is None else self.place.frame.size
        versions = ((c, self._again(self._changed(pictures, c), _moved(aim, c, size))) for c in changes)
        return captured, aim, _average(versions, pictures.letters)

    def joined(self, method: Method, maps: Maps) -> list[tuple[str, np.ndarray]]:
        """(layer, maps) of one method: of its layers together, or of each where they are kept apart."""
        layers = self._layers(method)
        each = [maps[method.name, layer] for layer in layers]
        how = method.fusion or self.ensemble.fuse
        if how is None:
            return list(zip(layers, each, strict=True))
        return [(" + ".join(layers), fuse(each, how))]

    def _layers(self, method: Method) -> tuple[str, ...]:
        tokens = self._tokens(method)
        return self.layers if method.has_layer else (INPUT if tokens is None else tokens.name,)

    def _tokens(self, method: Method) -> Tokens | None:
        return None if self.tokens is None or not method.has_attention else self.tokens.last(method.blocks)

    def _pass(self, x: Any, aim_for: AimFor, plan: Plan) -> tuple[Capture, Aim]:
        names: tuple[str, ...] = ()
        if plan.has_layer:
            names = self.layers if self.place is None else self.place.captured
        tokens = self.tokens if plan.has_attention else None
        reductions = None if self._reducing is None or not plan.has_layer else self._reducing.reductions()
        return first_pass(
            self.backend, x, plan, names, tokens, self.settle, aim_for, self.target.needs_parts, reductions
        )

    @cached_property
    def _reducing(self) -> Reducing | None:
        """What the backend computes of the layers, where all methods leave it to it."""
        return Reducing.of(self.backend, self.place, self.methods)

    def _changed(self, pictures: InputPictures, change: Change) -> Any:
        changed = change.of(pictures.array, pictures.letters)
        return pictures.changed(changed, np.arange(len(pictures.array) // pictures.views))

    def _again(self, x: Any, aim: Aim) -> Maps:
        """The maps of changed inputs, for the targets that were chosen at first."""
        captured, again = self._pass(x, lambda answer: aim_again(self.target, aim, answer), self.plan)
        return self._maps(x, captured, again)

    def _maps(self, x: Any, captured: Capture, aim: Aim) -> Maps:
        if self._reducing is not None:
            found = {layer: self._reducing.maps(captured, layer) for layer in self.layers}
            return {(method.name, layer): found[layer][method.name] for method in self.methods for layer in self.layers}
        capture = arranged(captured, self.place)
        passes = Passes(
            *(self.backend, x, self.place, self.target, aim, self.settle, captured),
            *(self.activation, self.batch_size, self.only_size, self.progress, self.coupling),
        )
        aimed = aim.repeated(1 if self.place is None else self.place.views)
        maps = {}
        for method in self.methods:
            tokens = self._tokens(method)
            for layer in self._layers(method):
                evidence = Evidence(capture, captured, layer, aimed, passes, self.place, tokens, self.grids)
                maps[method.name, layer] = apply(method, evidence)
        return maps


def _moved(aim: Aim, change: Change, size: Sequence[int]) -> Aim:
    """The same targets where they lie in a changed version of pictures of this size."""
    if aim.boxes is None or len(size) != 2:
        return aim
    return replace(aim, boxes=change.moved(aim.boxes, size))


def _average(versions: Iterable[tuple[Change, Maps]], letters: str) -> Maps:
    """The mean over versions of the pictures, at each position over those that show it."""
    sums: Maps = {}
    counts: Maps = {}
    for change, maps in versions:
        for key, one in maps.items():
            back, known = change.back(one, letters)
            sums[key] = sums.get(key, 0) + np.where(known, back, 0).astype(np.float64)
            counts[key] = counts.get(key, 0) + known.astype(np.int64)
    return {key: (sums[key] / counts[key]).astype(np.float32) for key in sums}
