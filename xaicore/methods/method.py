"""The contract of methods: a function, and what it needs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from xaicore.errors import MethodError, did_you_mean
from xaicore.evidence import NEEDS, Plan

__all__ = ["Method", "MethodLike", "plan_for"]

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
    """

    name: str
    function: Callable[..., np.ndarray]
    needs: str | tuple[str, ...] = "gradients"
    signed: bool = False
    blocks: int | None = None

    def __post_init__(self) -> None:
        for need in self.asks:
            if need not in NEEDS:
                raise MethodError(f"method {self.name!r} needs {need!r}; expected some of {', '.join(NEEDS)}")

    @staticmethod
    def around(function: Callable[..., np.ndarray], name: str | None = None) -> Method:
        """The method of a function that says what it needs by its attributes `needs`, `signed` and `blocks`."""
        needs = getattr(function, "needs", "gradients")
        return Method(
            name or str(getattr(function, "__name__", type(function).__name__)),
            function,
            needs if isinstance(needs, str) else tuple(needs),
            getattr(function, "signed", False),
            getattr(function, "blocks", None),
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
    def has_layer(self) -> bool:
        """Whether it explains a layer."""
        return Plan.of([self.asks]).has_layer

    @property
    def is_of_pixels(self) -> bool:
        """Whether it reads gradients of the picture, so that neighbouring pixels of its maps differ."""
        return bool(Plan.of([self.asks]).rules)

    @property
    def has_attention(self) -> bool:
        """Whether it reads attention."""
        return Plan.of([self.asks]).has_attention

    @property
    def options(self) -> dict[str, Any]:
        """{option: its default}: the function's keyword-only arguments."""
        parameters = inspect.signature(self.function).parameters.values()
        return {one.name: one.default for one in parameters if one.kind is one.KEYWORD_ONLY}

    def with_options(self, **options: Any) -> Method:
        """The same method with other options; its name says which.

        Raises:
            MethodError: it has no such option.
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
        return replace(self, name=f"{self.name} ({said})", function=partial(self.function, **options))


MethodLike = str | Callable[..., np.ndarray] | Method


def plan_for(methods: Sequence[Method]) -> Plan:
    """One pass for several methods."""
    return Plan.of([method.asks for method in methods], [one.blocks for one in methods if one.has_attention])
