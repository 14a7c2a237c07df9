"""Ways back through a ReLU: which ones there are, and what cannot follow them.

A gradient g at the output y of a unit y = min(max(x, 0), cap) becomes, at its input x:

    plain       g                if 0 < x < cap, else 0
    guided      max(g, 0)        if 0 < x < cap, else 0      Springenberg et al., ICLR workshop 2015
    deconv      max(g, 0)        if     x < cap, else 0      Zeiler & Fergus, ECCV 2014

Both papers define this for the ReLU alone, whose cap is infinite. A ReLU with a cap, such as ReLU6, is a ReLU that a
plain minimum follows. No paper defines it for a GELU, SiLU, ELU or leaky ReLU: between ReLUs, these pass gradients
plainly, and a net without any ReLU is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from xaicore import BackendError
from xaicore_keras.paths import walk

__all__ = ["RELU_RULES", "SECOND", "check_bends", "hidden_relus", "no_relus"]

RELU_RULES = ("guided", "deconv")

SECOND = "second"
"""The pull-back of second derivatives, which stands among the rules of a pass."""

_INSTEAD = "use method='gradient' (the rule 'plain')"


def check_bends(model: Any, rules: Sequence[str]) -> None:
    """Check that the model has no layer that Keras computes by ReLUs and is none, where ReLUs follow a rule.

    Raises:
        BackendError: it has a PReLU, or a ReLU with a threshold, or one with a slope and a cap.
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
        raise BackendError(
            f"the rule {rule!r} is not defined for layer {path!r}, a {type(layer).__name__}{options}: {_INSTEAD}"
        )


def _is_bent(layer: keras.layers.ReLU) -> bool:
    return bool(layer.threshold or (layer.negative_slope and layer.max_value is not None))


def no_relus(model: Any, rule: str) -> BackendError:
    """The error for a model in which no ReLU lies between the inputs and the outputs."""
    seen = ", ".join(_activations(model)) or "none that Keras shows"
    return BackendError(
        f"the rule {rule!r} is defined for ReLUs, and no ReLU lies between the inputs and the outputs of "
        f"{type(model).__name__}; its activations: {seen}. {_INSTEAD[0].upper()}{_INSTEAD[1:]}"
    )


def hidden_relus(model: Any, where: str) -> BackendError:
    """The error for ReLUs that no rule reaches."""
    rules = " and ".join(map(repr, RELU_RULES))
    return BackendError(
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
