"""The attentions of a model, as passes over one image show them."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from xaicore.facts import AttentionFacts
from xaicore_keras.attention import Attended, AttentionPass
from xaicore_keras.calls import Call
from xaicore_keras.engine import Engine
from xaicore_keras.inputs import Inputs
from xaicore_keras.run import run_model
from xaicore_keras.state import preserved_model

__all__ = ["Block", "find_blocks"]

_PARTS = ("weights", "query", "key", "value", "output")


@dataclass(frozen=True)
class Block:
    """One attention of a model. Holds names and shapes, no tensors and no layers.

    Attributes:
        facts: as `Backend.attention` lists them.
        path, number: where it runs, see `Attended`.
        parts: what a pass shows of it, of "weights", "query", "key", "value", "output".
        dtype: of its weights.
        says_causal: whether the model itself said what `facts.causal` is; values show it otherwise.
    """

    facts: AttentionFacts
    path: str
    number: int
    parts: tuple[str, ...]
    dtype: str
    says_causal: bool

    @property
    def place(self) -> tuple[str, int]:
        """The path and the number."""
        return self.path, self.number


class AttentionRecorder:
    """Records every attention of one pass, for `Engine.survey`, which takes its weights for outputs of layers.

    Attributes:
        calls: one for each softmax over tokens, whose output is the weights.
        change: as in `CallRecorder`.
        found: the softmaxes over tokens.
    """

    def __init__(self, model: Any) -> None:
        self.calls: list[Call] = []
        self.change: Callable[[int, Any], Any] | None = None
        self.found: list[Attended] = []
        self._model = model

    def seen(self) -> contextlib.AbstractContextManager[None]:
        """While this is open, a pass is recorded; what an earlier pass recorded is forgotten."""
        self.calls.clear()
        attentions = AttentionPass(self._model, lambda path, number: True, self._part)
        self.found = attentions.found
        return attentions.seen()

    def _part(self, attended: Attended, name: str, tensor: Any) -> Any:
        if name != "weights":
            return tensor
        self.calls.append(Call(attended.path, None, (), tensor))
        return tensor if self.change is None else self.change(len(self.calls) - 1, tensor)


def find_blocks(engine: Engine, model: Any, batch: Inputs, output: int | str | None, inline: bool) -> tuple[Block, ...]:
    """Every attention that a pass over these inputs runs, in this order.

    Softmaxes inside of loops and compiled functions are out of reach, and left out. The caller handles the model's
    errors.
    """
    recorder = AttentionRecorder(model)

    def run(tensors: Sequence[Any], weights: Sequence[Any] | None) -> Any:
        with recorder.seen():
            return run_model(model, batch.structure, tensors, output, (), weights).tensor

    with preserved_model(model):
        seen = engine.survey(run, model, batch, inline, recorder)
    numbers: Counter[str] = Counter()
    blocks = []
    for attended, call, flow in zip(recorder.found, recorder.calls, seen.flows, strict=True):
        is_within = call.output is not seen.output and not engine.hides(seen.output, call.output)
        if is_within and _is_attention(attended, call.shape):
            numbers[attended.path] += 1
            number = numbers[attended.path]
            name = attended.path if number == 1 else f"{attended.path}#{number}"
            reached = None if flow.reached is None else bool(flow.reached)
            parts = tuple(part for part in _PARTS if getattr(attended, part) is not None)
            rows, heads, queries, keys = call.shape
            facts = AttentionFacts(name, (rows, heads, queries, keys), reached, bool(attended.causal))
            blocks.append(Block(facts, attended.path, attended.number, parts, call.dtype, attended.causal is not None))
    if all(block.says_causal for block in blocks):
        return tuple(blocks)
    causal = _causal(engine, model, batch, output, inline)
    return tuple(
        block if block.says_causal else replace(block, facts=replace(block.facts, causal=causal[block.place]))
        for block in blocks
    )


def _is_attention(attended: Attended, shape: Sequence[int]) -> bool:
    """Whether a softmax mixes tokens: its weights are multiplied with values, or are as many queries as keys.

    A softmax over classes at every position is neither.
    """
    return attended.output is not None or shape[-1] == shape[-2]


def _causal(
    engine: Engine, model: Any, batch: Inputs, output: int | str | None, inline: bool
) -> dict[tuple[str, int], bool]:
    """{(path, number): whether no weight of a later key differs from 0}, where a mask may say so."""
    found = {}

    def part(attended: Attended, name: str, tensor: Any) -> Any:
        if name == "weights":
            weights = keras.ops.convert_to_numpy(tensor)
            found[attended.path, attended.number] = weights.shape[-1] > 1 and not np.triu(weights, 1).any()
        return tensor

    attentions = AttentionPass(model, lambda path, number: True, part)
    with preserved_model(model), engine.eager(model, batch, inline) as tensors, attentions.seen():
        run_model(model, batch.structure, tensors, output, ())
    return found
