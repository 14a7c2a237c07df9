"""Names of Keras' layers: paths from the model inwards, as `vgg16/block5_conv3`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from xaicore import LayerError, unknown_layer
from xaicore_keras.private import child_layers, functional_of

__all__ = ["check_reachable", "loop_around", "walk"]

_LOOPS = (keras.layers.RNN,)
# They run a graph or a framework's own module, in which Keras knows no layers.
_IMPORTED = {"TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer", "NNXLayer"}


def walk(model: Any) -> dict[str, Any]:
    """{path: layer or operation}, depth first; what is reached twice keeps its first path.

    The operations of a functional model (`keras.ops` on symbolic tensors) are called and hooked like layers.
    """
    paths: dict[str, Any] = {}
    seen: set[int] = set()

    def visit(parent: Any, prefix: str) -> None:
        for layer in _children(parent):
            if id(layer) in seen:
                continue
            seen.add(id(layer))
            path = _unused(prefix + layer.name, paths)
            paths[path] = layer
            visit(layer, f"{path}/")

    visit(model, "")
    return paths


def _children(parent: Any) -> list[Any]:
    if not isinstance(parent, keras.Layer):
        return []
    layers = child_layers(parent)
    operations = [operation for operation in getattr(parent, "operations", ()) if operation not in layers]
    functional = functional_of(parent)  # its layers are called, it is not
    return [
        child
        for child in (*operations, *layers)
        if child is not functional and not isinstance(child, keras.layers.InputLayer)
    ]


def _unused(path: str, known: Mapping[str, Any]) -> str:
    """The path, or `path~2` and so on for further layers of one name in one parent."""
    number, unused = 1, path
    while unused in known:
        number += 1
        unused = f"{path}~{number}"
    return unused


def loop_around(path: str, layers: Mapping[str, Any]) -> str | None:
    """The outermost ancestor that calls its inner layers once per step; None without one."""
    return next((name for name, layer in _ancestors(path, layers) if isinstance(layer, _LOOPS)), None)


def check_reachable(path: str, layers: Mapping[str, Any], model: str) -> None:
    """Check that the model has a layer of this path, and that it has one output per pass.

    Raises:
        LayerError: there is none, or it runs once per step inside a loop.
    """
    loop = loop_around(path, layers)
    if loop is not None:
        raise LayerError(
            f"layer {path!r} runs inside {loop!r} ({type(layers[loop]).__name__}), once per step, and has no single "
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
