"""What the outputs of layers have beyond their derivatives times what they took: biases, whatever the classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import keras
import numpy as np

from xaicore.layers import offset
from xaicore.outputs import Output
from xaicore_keras.advice import model_errors
from xaicore_keras.calls import tensors_in
from xaicore_keras.engine import Engine
from xaicore_keras.head import Head, logits_of
from xaicore_keras.hooks import Around, wrapped
from xaicore_keras.inputs import Inputs
from xaicore_keras.paths import loop_around, walk
from xaicore_keras.private import child_layers
from xaicore_keras.run import run_model
from xaicore_keras.state import preserved_model
from xaicore_keras.survey import Survey

__all__ = ["find_biases"]

EPSILONS = {"float16": 2.0**-10, "bfloat16": 2.0**-7}
"""Of types less exact than float32."""


def find_biases(
    engine: Engine, model: Any, batch: Inputs, survey: Survey, output: Output, inline: bool
) -> Mapping[str, np.ndarray]:
    """{layer: f(z) - f'(z) z}, (1, *layer) float32, where that is not zero; "layer#2" is a second run.

    f is an innermost layer or operation with its activation, and z what it takes; f of the head is without its link.
    A layer that takes or gives anything but one floating-point tensor, or has no forward derivative, has no such bias.

    Args:
        engine: that runs the model.
        model: any.
        batch: what it takes, one image.
        survey: for inputs of this form.
        output: which of several outputs is explained.
        inline: the user's own compiled functions run as plain ones.
    """
    found: dict[str, list[np.ndarray | None]] = {}
    head = survey.head

    def asking(path: str, layer: Any) -> Around:
        def around(call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            runs = found.setdefault(path, [])
            function = call
            if head is not None and (head.path, head.call) == (path, len(runs) + 1):
                function = partial(_logits, layer, head)
            answer = function(*args, **kwargs)
            runs.append(_bias(engine, function, args, kwargs, answer))
            return answer

        return around

    with model_errors(batch), preserved_model(model), engine.eager(model, batch, inline) as tensors:
        arounds = [(layer, asking(path, layer)) for path, layer in _innermost(model).items() if path in survey.specs]
        with wrapped(arounds):
            run_model(model, batch.structure, tensors, output, ())
    return {
        (path if len(runs) == 1 else f"{path}#{run}"): bias
        for path, runs in found.items()
        for run, bias in enumerate(runs, start=1)
        if bias is not None
    }


def _logits(layer: Any, head: Head, *args: Any, **kwargs: Any) -> Any:
    return logits_of(layer, head, args, kwargs)


def _innermost(model: Any) -> dict[str, Any]:
    """{path: layer or operation} of those inside of which nothing lies but their activation."""
    layers = walk(model)
    activations = {id(getattr(layer, "activation", None)) for layer in layers.values()}

    def is_innermost(layer: Any) -> bool:
        inner = child_layers(layer) if isinstance(layer, keras.Layer) else []
        return all(id(child) in activations for child in inner) and id(layer) not in activations

    return {path: one for path, one in layers.items() if is_innermost(one) and loop_around(path, layers) is None}


def _bias(
    engine: Engine, call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], answer: Any
) -> np.ndarray | None:
    """f(z) - f'(z) z; None where it is zero, and where the layer has no such bias."""
    taken = [tensor for tensor in tensors_in((args, kwargs)) if _is_float(tensor)]
    if len(taken) != 1 or not keras.ops.is_tensor(answer) or not _is_float(answer):
        return None
    (z,) = taken

    def function(tensor: Any) -> Any:
        new_args, new_kwargs = keras.tree.map_structure(lambda leaf: tensor if leaf is z else leaf, (args, kwargs))
        return call(*new_args, **new_kwargs)

    try:
        output, linear = engine.pushed(function, z)
    except Exception:  # no forward derivative: each framework has errors of its own
        return None

    def at_zero() -> np.ndarray:
        return _to_host(function(keras.ops.zeros_like(z)))

    epsilon = EPSILONS.get(keras.backend.standardize_dtype(z.dtype), 0.0)
    return offset(_to_host(output), _to_host(linear), at_zero, epsilon)


def _is_float(tensor: Any) -> bool:
    return keras.backend.is_float_dtype(keras.backend.standardize_dtype(tensor.dtype))


def _to_host(tensor: Any) -> np.ndarray:
    return keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32"))
