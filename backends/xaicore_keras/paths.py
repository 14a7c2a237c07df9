"""Names of Keras' layers: paths from the model inwards, as `vgg16/block5_conv3`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from xaicore import LayerError, unknown_layer

__all__ = ["check_reachable", "is_attention", "loop_around", "walk"]

_ATTENTION = (
    keras.layers.MultiHeadAttention,
    keras.layers.GroupQueryAttention,
    keras.layers.Attention,
    keras.layers.AdditiveAttention,
)
_LOOPS = (keras.layers.TimeDistributed, keras.layers.RNN)
# Layers that run a graph or a framework's own module, in which Keras knows no layers.
_IMPORTED = {"TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer", "NNXLayer"}


def walk(model: Any) -> dict[str, Any]:
    """{path: layer or operation}, depth first; what is reached twice keeps its first path.

    A functional model's operations (`keras.ops` on symbolic tensors) are called and hooked like layers.
    """
    found: dict[str, Any] = {}
    seen: set[int] = set()

    def visit(parent: Any, prefix: str) -> None:
        for layer in _inside(parent):
            if id(layer) in seen:
                continue
            seen.add(id(layer))
            path = _unused(prefix + layer.name, found)
            found[path] = layer
            visit(layer, f"{path}/")

    visit(model, "")
    return found


def _inside(parent: Any) -> list[Any]:
    if not isinstance(parent, keras.Layer):
        return []
    # Private, but the only view of layers that lie in lists and dictionaries of a layer that is no model.
    layers = parent._flatten_layers(include_self=False, recursive=False)
    functional = getattr(parent, "_functional", None)  # a Sequential's own, which is not called but run through
    operations = [part for part in getattr(parent, "operations", ()) if part not in layers]
    return [
        part
        for part in (*operations, *layers)
        if part is not functional and not isinstance(part, keras.layers.InputLayer)
    ]


def _unused(path: str, known: Mapping[str, Any]) -> str:
    """Two layers of one name under one parent: the second is `name~2`."""
    number, unused = 1, path
    while unused in known:
        number += 1
        unused = f"{path}~{number}"
    return unused


def is_attention(path: str, layers: Mapping[str, Any]) -> bool:
    """Whether a layer is an attention's own: its queries, keys and weights are no maps of the picture."""
    return any(isinstance(layer, _ATTENTION) for _, layer in _ancestors(path, layers))


def loop_around(path: str, layers: Mapping[str, Any]) -> str | None:
    """The outermost ancestor that calls its inner layers once a step."""
    return next((name for name, layer in _ancestors(path, layers) if isinstance(layer, _LOOPS)), None)


def check_reachable(path: str, layers: Mapping[str, Any], model: str) -> None:
    """That there is a layer of this path, with one output a pass.

    Raises:
        LayerError: there is none, or it runs once a step inside of a loop.
    """
    loop = loop_around(path, layers)
    if loop is not None:
        raise LayerError(
            f"layer {path!r} runs inside {loop!r} ({type(layers[loop]).__name__}), once a step, and has no single "
            f"output: name {loop!r} or a layer after it"
        )
    for name, ancestor in _ancestors(path, layers):
        if type(ancestor).__name__ in _IMPORTED and path not in layers:
            raise LayerError(
                f"no layer called {path!r}: {name!r} is a {type(ancestor).__name__}, an imported graph in which Keras "
                f"knows no layers. Name {name!r} itself or a layer before it"
            )
    if path not in layers:
        raise unknown_layer(path, [known for known in layers if loop_around(known, layers) is None], model)


def _ancestors(path: str, layers: Mapping[str, Any]) -> list[tuple[str, Any]]:
    parts = path.split("/")
    names = ["/".join(parts[:depth]) for depth in range(1, len(parts))]
    return [(name, layers[name]) for name in names if name in layers]
