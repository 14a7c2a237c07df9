"""The contract of methods: a function, and what it needs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from xaicore.errors import MethodError, did_you_mean
from xaicore.evidence import NEEDS, Plan

__all__ = ["Method", "MethodLike", "plan_for"]

OF_FIRST = frozenset(
    {"activations", "gradients", "weights", "attention", "attention_gradients", "input_gradients", "guided", "deconv"}
)
"""Needs that the first pass may serve alone."""

ARRAYS = ("activations", "gradients", "weights")
"""Needs of functions of two arrays, `f(activations, second)`."""


@dataclass(frozen=True)
class Method:
    """A named function that computes maps.

    Attributes:
        name: what results are called by.
        function: `f(activations, second)` where `needs` is one of "activations", "gradients" and "weights"; for any
            other, `f(evidence)`, which takes an `xaicore.Evidence`. Keyword-only arguments are the method's options.
        needs: what it asks for: a name in `xaicore.evidence.NEEDS`, or several of them.
        signed: the maps tell evidence against the target, too: negative values stay.
        blocks: how many of the last attentions it reads, where it needs attention; None for all.
        fusion: how the maps of several layers become one, where that belongs to the method, which then takes no single
            layer: a name in `xaicore.maps.FUSIONS`. None: as the caller says.
        cost: in passes per picture, the first one included, such as "1 + C", with C channels and P positions of the
            layer, and options by their names. Left empty, that of the first pass where its needs may be served by it:
            "1, forward" without gradients.
    """

    name: str
    function: Callable[..., np.ndarray]
    needs: str | tuple[str, ...] = "gradients"
    signed: bool = False
    blocks: int | None = None
    fusion: str | None = None
    cost: str = ""

    def __post_init__(self) -> None:
        for need in self.asks:
            if need not in NEEDS:
                raise MethodError(f"method {self.name!r} needs {need!r}; expected some of {', '.join(NEEDS)}")
        if not self.cost and OF_FIRST.issuperset(self.asks):
            object.__setattr__(self, "cost", "1" if plan_for([self]).has_direction else "1, forward")

    @staticmethod
    def around(function: Callable[..., np.ndarray], name: str | None = None) -> Method:
        """The method of a function that says what it needs by its attributes, named as those of `Method`."""
        needs = getattr(function, "needs", "gradients")
        return Method(
            name or str(getattr(function, "__name__", type(function).__name__)),
            function,
            needs if isinstance(needs, str) else tuple(needs),
            getattr(function, "signed", False),
            getattr(function, "blocks", None),
            getattr(function, "fusion", None),
            getattr(function, "cost", ""),
        )

    @property
    def asks(self) -> tuple[str, ...]:
        """The needs, as a tuple."""
        return (self.needs,) if isinstance(self.needs, str) else self.needs

    @property
    def takes_arrays(self) -> bool:
        """Whether the function takes two arrays, and not an `Evidence`."""
        return self.needs in ARRAYS

    @property
    def is_formula(self) -> bool:
        """Whether the function computes with any module's arrays, `f(activations, gradients, xp)`.

        Where the gradients lie on an accelerator, so does what it computes, and its maps alone travel to the host.
        """
        return self.needs == "gradients" and "xp" in inspect.signature(self.function).parameters

    @property
    def has_layer(self) -> bool:
        """Whether it explains a layer."""
        return plan_for([self]).has_layer

    @property
    def is_of_pixels(self) -> bool:
        """Whether it reads gradients of the picture, so that neighbouring pixels of its maps differ."""
        return bool(plan_for([self]).rules)

    @property
    def has_attention(self) -> bool:
        """Whether it reads attention."""
        return plan_for([self]).has_attention

    @property
    def options(self) -> dict[str, Any]:
        """{option: its default}: the function's keyword-only arguments, and the number of attentions that it reads."""
        parameters = inspect.signature(self.function).parameters.values()
        own = {one.name: one.default for one in parameters if one.kind is one.KEYWORD_ONLY and one.name != "xp"}
        return own | ({"blocks": self.blocks} if self.has_attention else {})

    def with_options(self, **options: Any) -> Method:
        """The same method with other options; its name says which.

        Raises:
            MethodError: it has no such option, or `blocks` is no number of attentions.
        """
        known = self.options
        for name in options:
            if name not in known:
                listed = ", ".join(f"{one}={value!r}" for one, value in known.items()) or "none"
                raise MethodError(
                    f"method {self.name!r} has no option {name!r}; it has {listed}{did_you_mean(name, known)}"
                )
        if not options:
            return self
        said = ", ".join(f"{name}={value!r}" for name, value in options.items())
        own = {name: value for name, value in options.items() if name != "blocks" or not self.has_attention}
        function = partial(self.function, **own) if own else self.function
        return replace(self, name=f"{self.name} ({said})", function=function, blocks=self._blocks_read(options))

    def _blocks_read(self, options: Mapping[str, Any]) -> int | None:
        """How many of the last attentions it reads with these options: `blocks`, or those from `block` on."""
        if not self.has_attention or not options.keys() & {"blocks", "block"}:
            return self.blocks
        if "blocks" not in options:
            block = options["block"]
            return -block if isinstance(block, int) and block < 0 else None
        blocks: int | None = options["blocks"]
        if blocks is not None and not (isinstance(blocks, int) and blocks > 0):
            raise MethodError(f"blocks={blocks!r}: expected the number of the last attentions to read, or None for all")
        return blocks


MethodLike = str | Callable[..., np.ndarray] | Method


def plan_for(methods: Sequence[Method]) -> Plan:
    """One pass for several methods."""
    return Plan.of((method.asks, method.blocks) for method in methods)
