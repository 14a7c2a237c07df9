"""What the loss that a model was compiled with takes its outputs for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["trained_for"]

# By names in lower case without underscores: a name, a function and an object of one loss have the same.
_LOSSES = {
    "sigmoid": r"binary(crossentropy|focalcrossentropy)",
    "softmax": r"(sparse)?categorical(crossentropy|focalcrossentropy)",
    "values": (
        r"meansquarederror|mse|meanabsoluteerror|mae|meanabsolutepercentageerror|mape|meansquaredlogarithmicerror|msle"
        r"|huber|logcosh|poisson|cosinesimilarity"
    ),
}


def trained_for(model: Any, output: int | str | None) -> str | None:
    """The link that the loss of the chosen output applies, "softmax" or "sigmoid"; "values" for a regression's.

    None for a model that was not compiled, and for losses that are not Keras' own.
    """
    loss = _chosen(getattr(model, "loss", None), list(getattr(model, "output_names", None) or ()), output)
    if loss is None:
        return None
    names = [loss] if isinstance(loss, str) else [getattr(loss, "__name__", None), *_class_names(loss)]
    for name in filter(None, names):
        for meaning, pattern in _LOSSES.items():
            if re.fullmatch(pattern, name.lower().replace("_", "")):
                return meaning
    return None


def _class_names(loss: Any) -> list[str]:
    return [cls.__name__ for cls in type(loss).__mro__]


def _chosen(loss: Any, names: list[str], output: int | str | None) -> Any:
    """The loss of one output; the only one for a model of one output, or one for all."""
    if not isinstance(loss, (Mapping, list, tuple)):
        return loss
    by_name = dict(loss) if isinstance(loss, Mapping) else dict(zip(names or range(len(loss)), loss, strict=False))
    if output is None:
        return next(iter(by_name.values())) if len(by_name) == 1 else None
    if output in by_name:
        return _chosen(by_name[output], [], None)
    keys: Sequence[Any] = names or list(by_name)
    if isinstance(output, int) and -len(keys) <= output < len(keys):
        return _chosen(by_name.get(keys[output]), [], None)
    return None
