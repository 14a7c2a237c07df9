"""What several methods need together, so that one pass serves them all; and what a backend cannot give."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from xaicore.backend import Backend
from xaicore.errors import MethodError

__all__ = ["NEEDS", "Plan", "missing_power"]

NEEDS: dict[str, str | None] = {
    "activations": None,
    "gradients": None,
    "gradients_again": None,
    "weights": None,
    "attention": "attention",
    "attention_gradients": "attention",
    "inputs": None,
    "resume": "resume",
    "input_gradients": "input_gradients",
    "guided": "guided",
    "deconv": "guided",
    "second": "second",
    "biases": "biases",
}
"""{what a method may need: the backend's power that it takes, None where every backend has it}."""

OF_A_LAYER = frozenset({"activations", "gradients", "gradients_again", "weights", "resume", "second"})
OF_ATTENTION = frozenset({"attention", "attention_gradients"})
RULES = {"input_gradients": "plain", "guided": "guided", "deconv": "deconv"}
PULLED = frozenset({"gradients", "gradients_again", "attention_gradients"})
WITH_GRADIENTS = frozenset({"gradients", "attention_gradients", *RULES})


@dataclass(frozen=True)
class Plan:
    """One pass for several methods.

    Attributes:
        needs: of all the methods, names in `NEEDS`.
        blocks: how many of the last attentions are read; None for all.
        pulled_blocks: of how many of them gradients are needed; None for all.
    """

    needs: frozenset[str]
    blocks: int | None = 0
    pulled_blocks: int | None = 0

    @staticmethod
    def of(methods: Iterable[tuple[Iterable[str], int | None]]) -> Plan:
        """The plan for methods: what each needs, and how many attentions it reads; None for all."""
        known = [(frozenset(needs), blocks) for needs, blocks in methods]
        reading = [blocks for needs, blocks in known if needs & OF_ATTENTION]
        pulling = [blocks for needs, blocks in known if "attention_gradients" in needs]
        return Plan(frozenset().union(*(needs for needs, _ in known)), _most(reading), _most(pulling))

    @property
    def has_layer(self) -> bool:
        """Whether anything of a layer is needed."""
        return bool(self.needs & OF_A_LAYER)

    @property
    def has_attention(self) -> bool:
        """Whether attention is needed, with gradients or without."""
        return bool(self.needs & OF_ATTENTION)

    @property
    def has_biases(self) -> bool:
        """Whether the biases of all layers are needed."""
        return "biases" in self.needs

    @property
    def has_direction(self) -> bool:
        """Whether the pass is pulled back."""
        return bool(self.needs & WITH_GRADIENTS)

    @property
    def rules(self) -> tuple[str, ...]:
        """The rules of the inputs' gradients."""
        return tuple(rule for need, rule in RULES.items() if need in self.needs)


def _most(counts: Sequence[int | None]) -> int | None:
    """The largest of these; None, which stands for all, is larger than any."""
    return None if None in counts else max((count for count in counts if count is not None), default=0)


def missing_power(needs: Iterable[str], backend: Backend) -> str | None:
    """The first need that a backend cannot serve, as users call it; None where it serves all.

    Raises:
        MethodError: a need is unknown.
    """
    for need in needs:
        if need not in NEEDS:
            raise MethodError(f"a method needs {need!r}; expected some of {', '.join(NEEDS)}")
        power = NEEDS[need]
        if power is not None and power not in backend.powers:
            return need
        if need in PULLED and not backend.has_gradients:
            return "gradients"
    return None
