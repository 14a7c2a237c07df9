"""The weights of a model that was never called."""

from __future__ import annotations

import keras

from xaicore_keras.inputs import Inputs, known_inputs
from xaicore_keras.private import all_layers

__all__ = ["build"]


def build(model: keras.Model, batch: Inputs) -> None:
    """Build a model as its own first call would, by one image."""
    if isinstance(model, keras.Sequential):
        if not model.built:  # a call would fix the batch size in its input
            model.build((None, *batch.picture.shape[1:]))
    elif known_inputs(model) is None and not all(layer.built for layer in all_layers(model)):
        args, kwargs = batch.structure.pack(batch.first().tensors)
        model(*args, **kwargs, training=False)
