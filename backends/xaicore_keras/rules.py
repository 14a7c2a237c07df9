"""The rules of `xaicore.backend.RULES` in Keras: what cannot follow them.

A ReLU is what Keras runs as relu or relu6. It runs a ReLU with another cap as relu and a clip, which passes gradients
plainly, as a maximum with 0 does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from xaicore import MethodError
from xaicore_keras.paths import walk

__all__ = ["RELU_RULES", "SECOND", "check_bends", "hidden_relus", "no_relus"]

RELU_RULES = ("guided", "deconv")

SECOND = "second"
"""The pull-back of second derivatives, which stands among the rules of a pass."""

_INSTEAD = "use method='gradient' (command line: --method gradient)"


def check_bends(model: Any, rules: Sequence[str]) -> None:
    """Check that the model has no layer that Keras computes by ReLUs and is none, where ReLUs follow a rule.

    Raises:
        MethodError: it has a PReLU, or a ReLU with a threshold, or one with a slope and a cap.
    """
    rule = next((rule for rule in rules if rule in RELU_RULES), None)
    for path, layer in walk(model).items() if rule else ():
        if isinstance(layer, keras.layers.PReLU):
            options = ""
        elif isinstance(layer, keras.layers.ReLU) and _is_bent(layer):
            slope, cap, threshold = layer.negative_slope, layer.max_value, layer.threshold
            options = f" with negative_slope={slope}, max_value={cap}, threshold={threshold}"
        else:
            continue
        raise MethodError(
            f"the rule {rule!r} is not defined for layer {path!r}, a {type(layer).__name__}{options}: {_INSTEAD}"
        )


def _is_bent(layer: keras.layers.ReLU) -> bool:
    return bool(layer.threshold or (layer.negative_slope and layer.max_value is not None))


def no_relus(model: Any, rule: str) -> MethodError:
    """The error for a model in which no ReLU lies between the inputs and the outputs."""
    seen = ", ".join(_activations(model)) or "none that Keras shows"
    return MethodError(
        f"the rule {rule!r} is defined for ReLUs, and no ReLU lies between the inputs and the outputs of "
        f"{type(model).__name__}; its activations: {seen}. {_INSTEAD[0].upper()}{_INSTEAD[1:]}"
    )


def hidden_relus(model: Any, where: str) -> MethodError:
    """The error for ReLUs that no rule reaches."""
    rules = " and ".join(map(repr, RELU_RULES))
    return MethodError(
        f"{type(model).__name__} runs ReLUs inside {where}, where the rules {rules} do not reach them: {_INSTEAD}"
    )


def _activations(model: Any) -> list[str]:
    """The names of a model's activations, from its layers, their arguments and its operations."""
    known = {name.replace("_", "") for name in vars(keras.activations)}
    found: dict[str, None] = {}
    for layer in walk(model).values():
        activation = vars(layer).get("activation")
        if activation not in (None, keras.activations.linear):
            found[getattr(activation, "__name__", type(activation).__name__)] = None
        elif type(layer).__name__.lower() in known:
            found[type(layer).__name__] = None
    return list(found)
