"""The attentions of a model, as passes over one image show them."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from xaicore import LayerError
from xaicore.facts import AttentionFacts
from xaicore.layers import split_run
from xaicore.outputs import Output
from xaicore_keras.asked import Leaf
from xaicore_keras.attention import Attended, AttentionPass
from xaicore_keras.calls import Call
from xaicore_keras.engine import Engine
from xaicore_keras.inputs import Inputs
from xaicore_keras.run import run_model
from xaicore_keras.state import preserved_model

__all__ = ["Block", "choose_blocks", "find_blocks", "leaves_of"]

_PARTS = ("weights", "query", "key", "value", "output")
_PULLED = ("weights", "output")


@dataclass(frozen=True)
class Block:
    """One attention of a model. Holds names and shapes, no tensors and no layers.

    Attributes:
        facts: as `Backend.attention` lists them.
        place: where it runs, see `Attended`.
        parts: what a pass shows of it, of "weights", "query", "key", "value", "output".
        says_causal: whether the model itself said what `facts.causal` is; values show it otherwise.
    """

    facts: AttentionFacts
    place: str
    parts: tuple[str, ...]
    says_causal: bool

    @property
    def leaves(self) -> dict[str, Leaf]:
        """{part: where a pass has it}."""
        return {part: Leaf("attention", self.place, part) for part in self.parts}


def choose_blocks(blocks: Sequence[Block], names: Iterable[str]) -> list[Block]:
    """Those of these names, in this order.

    Raises:
        LayerError: there is none of a name.
    """
    known = {block.facts.name: block for block in blocks}
    for name in names:
        if name not in known:
            raise LayerError(f"no attention called {name!r}; the model has {', '.join(known) or 'none'}")
    return [known[name] for name in names]


def leaves_of(blocks: Sequence[Block], with_gradients: Mapping[str, bool]) -> dict[Leaf, bool]:
    """{part: whether it has a gradient}, of attentions by name."""
    return {
        leaf: with_gradients[block.facts.name] and part in _PULLED
        for block in blocks
        for part, leaf in block.leaves.items()
    }


class AttentionRecorder:
    """Records every attention of one pass, for `Engine.survey`, which takes its weights for outputs of layers.

    Attributes:
        calls: one for each softmax over tokens: its "layer" is an `Attended`, its output the weights.
        change: as in `CallRecorder`.
    """

    def __init__(self, model: Any) -> None:
        self.calls: list[Call] = []
        self.change: Callable[[int, Any], Any] | None = None
        self._model = model

    def seen(self) -> contextlib.AbstractContextManager[None]:
        """While this is open, a pass is recorded; what an earlier pass recorded is forgotten."""
        self.calls.clear()
        return AttentionPass(self._model, lambda place: True, self._part).seen()

    def _part(self, attended: Attended, name: str, tensor: Any) -> Any:
        if name != "weights":
            return tensor
        self.calls.append(Call(attended.place, attended, (), tensor))
        return tensor if self.change is None else self.change(len(self.calls) - 1, tensor)


def find_blocks(engine: Engine, model: Any, batch: Inputs, output: Output, inline: bool) -> tuple[Block, ...]:
    """Every attention in the order in which it runs; found on one image where the model takes one.

    Softmaxes inside of loops and compiled functions are out of reach, and left out. The caller handles the model's
    errors.
    """
    first = batch.first()
    for attempt in (first.differentiable(), first):
        with contextlib.suppress(Exception):
            return _blocks_of(engine, model, attempt, output, inline)
    return _blocks_of(engine, model, batch, output, inline)


def _blocks_of(engine: Engine, model: Any, batch: Inputs, output: Output, inline: bool) -> tuple[Block, ...]:
    recorder = AttentionRecorder(model)

    def run(tensors: Sequence[Any], weights: Sequence[Any] | None) -> Any:
        with recorder.seen():
            return run_model(model, batch.structure, tensors, output, (), weights).tensor

    with preserved_model(model):
        seen = engine.survey(run, model, batch, inline, recorder)
    numbers: Counter[str] = Counter()
    blocks = []
    for call, flow in zip(recorder.calls, seen.flows, strict=True):
        attended: Attended = call.layer
        is_within = attended.answer is not seen.output and not engine.hides(seen.output, call.output)
        if is_within and _is_attention(attended, call.shape):
            path = split_run(attended.place)[0]
            numbers[path] += 1
            rows, heads, queries, keys = call.shape
            facts = AttentionFacts(
                name=path if numbers[path] == 1 else f"{path}#{numbers[path]}",
                shape=(rows, heads, queries, keys),
                reached=None if flow.reached is None else bool(flow.reached),
                causal=bool(attended.causal),
            )
            parts = tuple(part for part in _PARTS if getattr(attended, part) is not None)
            blocks.append(Block(facts, attended.place, parts, attended.causal is not None))
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


def _causal(engine: Engine, model: Any, batch: Inputs, output: Output, inline: bool) -> dict[str, bool]:
    """{place: whether no weight of a later key differs from 0}, where a mask may say so."""
    found = {}

    def part(attended: Attended, name: str, tensor: Any) -> Any:
        if name == "weights":
            weights = keras.ops.convert_to_numpy(tensor)
            found[attended.place] = weights.shape[-1] > 1 and not np.triu(weights, 1).any()
        return tensor

    attentions = AttentionPass(model, lambda place: True, part)
    with preserved_model(model), engine.eager(model, batch, inline) as tensors, attentions.seen():
        run_model(model, batch.structure, tensors, output, ())
    return found
