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
RULES = {"input_gradients": "plain", "guided": "guided", "deconv": "deconv"}
WITH_GRADIENTS = frozenset({"gradients", "attention_gradients", *RULES})


@dataclass(frozen=True)
class Plan:
    """One pass for several methods.

    Attributes:
        needs: of all the methods, names in `NEEDS`.
        blocks: how many of the last attentions are read; None for all.
    """

    needs: frozenset[str]
    blocks: int | None = None

    @staticmethod
    def of(needs: Iterable[Iterable[str]], blocks: Sequence[int | None] = ()) -> Plan:
        """The plan for methods with these needs, and with these numbers of attentions."""
        most = None if None in blocks else max((count for count in blocks if count is not None), default=0)
        return Plan(frozenset(need for one in needs for need in one), most)

    @property
    def has_layer(self) -> bool:
        """Whether anything of a layer is needed."""
        return bool(self.needs & OF_A_LAYER)

    @property
    def has_attention(self) -> bool:
        """Whether attention is needed, with gradients or without."""
        return bool(self.needs & {"attention", "attention_gradients"})

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


def missing_power(needs: Iterable[str], backend: Backend) -> str | None:
    """The first need that a backend cannot serve; None where it serves all.

    Raises:
        MethodError: a need is unknown.
    """
    for need in needs:
        if need not in NEEDS:
            raise MethodError(f"a method needs {need!r}; expected some of {', '.join(NEEDS)}")
        power = NEEDS[need]
        if power is not None and power not in backend.powers:
            return need
    return None
