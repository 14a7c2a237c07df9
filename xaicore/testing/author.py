"""What an author of a backend supplies: nets in other forms, and what is said where one is missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from xaicore.testing.checks import ContractError, Deviation
from xaicore.testing.clauses import CLAUSES
from xaicore.testing.kit import Kit
from xaicore.testing.nets.forms import HalfNet, LeakyNet, OpenNet, SharesNet, TurnedNet
from xaicore.testing.nets.masked import MaskedNet
from xaicore.testing.nets.sequence import SequenceNet

__all__ = ["METHODS", "Built", "FormAuthor"]

Built = tuple[Any, Mapping[str, str]]
"""A model, and {layer of the kit's net: its name in the model}, of those layers that the framework tells apart."""


METHODS = {"modes": "modes", "frozen": "freeze", "alias": "alias"}
"""{what is no net: the method that supplies it}."""


class FormAuthor(Kit):
    """Nets whose numbers are those of others, or whose axes, masks or ends have another form."""

    def build_open(self, net: OpenNet) -> Built:
        """The net of these weights in your framework, whose attention is a product, a softmax and a product."""
        raise self._undeclared("open")

    def build_masked(self, net: MaskedNet) -> Built:
        """The net of these weights in your framework, whose attentions take masks and a bias."""
        raise self._undeclared("masked")

    def build_sequence(self, net: SequenceNet) -> Built:
        """The net of these weights in your framework, which answers (columns, N, classes)."""
        raise self._undeclared("sequence")

    def build_shares(self, net: SharesNet) -> Built:
        """The net of these weights in your framework, with an exponential and a division at its end."""
        raise self._undeclared("shares")

    def build_half(self, net: HalfNet) -> Built:
        """The net of these weights in your framework, which computes in float16."""
        raise self._undeclared("half")

    def build_turned(self, net: TurnedNet) -> Built:
        """The net of these weights in your framework, which takes what `turned_inputs` returns."""
        raise self._undeclared("turned")

    def build_leaky(self, net: LeakyNet) -> Built:
        """The net of these weights in your framework."""
        raise self._undeclared("leaky")

    def turned_inputs(self, picture: np.ndarray) -> Any:
        """What a model takes for grey pictures (N, 1, height, width) float32, its channel on the other side."""
        raise self._missing("turned_inputs")

    def _undeclared(self, name: str) -> ContractError:
        return ContractError(CLAUSES["kit-declared"], Deviation(*self.needed(name)))

    def needed(self, name: str) -> tuple[str, str, str]:
        """What was looked for, what an author supplies, and that it is not there."""
        is_net, method = name not in METHODS, METHODS.get(name, f"build_{name}")
        why = f"why the framework has no such {'net' if is_net else 'thing'}"
        expected = f"a method {method}, or lacks = {{{name!r}: {why!r}}}"
        return f"the {name} net" if is_net else name, expected, "neither"

    def _missing(self, name: str) -> ContractError:
        return ContractError(CLAUSES["kit-declared"], Deviation(type(self).__name__, f"a method {name}", "none"))
