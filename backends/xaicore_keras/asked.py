"""What one pass is asked for: tensors that it returns, and tensors that directions are pulled back to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from xaicore_keras.rules import RELU_RULES, SECOND

__all__ = ["Asked", "Leaf", "Tap"]

Tap = Callable[[Any], Any]
"""`tap(tensor)` takes a tensor of the pass and returns what the model continues with."""


@dataclass(frozen=True)
class Leaf:
    """A tensor of a pass.

    Attributes:
        kind: "layer", "input", "attention" or "output".
        name: of a layer or attention; "conv#2" is the second call of "conv", or the second softmax over tokens in it.
            The position of an input. The name or position of an output of the model.
        part: of an attention: "weights", "query", "key", "value" or "output".
    """

    kind: str
    name: str | int
    part: str = ""


@dataclass(frozen=True)
class Asked:
    """What one pass is asked for. Hashable, since each trace serves one of them.

    Attributes:
        read: the leaves whose values are returned.
        pulls: (rule, the leaves that directions are pulled back to under this rule) for each rule; empty for a pass
            without gradients.
    """

    read: tuple[Leaf, ...] = ()
    pulls: tuple[tuple[str, tuple[Leaf, ...]], ...] = ()

    @classmethod
    def of(
        cls,
        layers: Sequence[str],
        inputs: Sequence[int] = (),
        rules: Sequence[str] = (),
        is_pulled: bool = False,
        attention: Mapping[Leaf, bool] = MappingProxyType({}),
        parts: Iterable[int | str] = (),
    ) -> Asked:
        """The outputs of layers, parts of attentions, outputs of the model, and gradients.

        Args:
            layers: whose outputs are returned.
            inputs: the positions of the inputs that have gradients.
            rules: by which directions are pulled back to the inputs.
            is_pulled: whether there are directions; they are pulled back to layers and attentions plainly.
            attention: {part of an attention: whether it has a gradient}.
            parts: the outputs of the model that are returned beside the one that is explained.
        """
        answers = (Leaf("output", name) for name in parts)
        outputs = tuple(Leaf("layer", name) for name in layers)
        ends = tuple(Leaf("input", position) for position in inputs)
        pulls: dict[str, tuple[Leaf, ...]] = {"plain": (*outputs, *(leaf for leaf, has in attention.items() if has))}
        for rule in rules:
            pulls[rule] = (*pulls.get(rule, ()), *ends)
        return cls(
            (*outputs, *attention, *answers),
            tuple((rule, leaves) for rule, leaves in pulls.items() if leaves and is_pulled),
        )

    @classmethod
    def second(cls, layer: str) -> Asked:
        """The output of a layer, and second derivatives there."""
        read = (Leaf("layer", layer),)
        return cls(read, ((SECOND, read),))

    @property
    def has_rules(self) -> bool:
        """Whether ReLUs follow a rule of their own."""
        return any(rule in RELU_RULES for rule, _ in self.pulls)

    @property
    def has_parts(self) -> bool:
        """Whether outputs of the model are returned as it gives them, beside the one that is explained."""
        return any(leaf.kind == "output" for leaf in self.read)

    @property
    def leaves(self) -> tuple[Leaf, ...]:
        """Those that are returned, those that are pulled back to."""
        return tuple(dict.fromkeys((*self.read, *self.pulled)))

    @property
    def pulled(self) -> tuple[Leaf, ...]:
        """Those that are pulled back to, under any rule."""
        return tuple(dict.fromkeys(leaf for _, leaves in self.pulls for leaf in leaves))

    def ends(self, rule: str) -> tuple[Leaf, ...]:
        """Those that are pulled back to under this rule."""
        return dict(self.pulls).get(rule, ())
