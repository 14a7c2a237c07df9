"""The weights of a model that was never called."""

from __future__ import annotations

import keras

from xaicore_keras.inputs import Inputs
from xaicore_keras.private import all_layers

__all__ = ["build"]


def build(model: keras.Model, batch: Inputs) -> None:
    """Build a model as its own first call would, by one image.

    Also a functional or Sequential model may have layers that only a call builds, inside of layers of the user's.
    """
    if isinstance(model, keras.Sequential) and not model.built:  # a call would fix the batch size in its input
        model.build((None, *batch.picture.shape[1:]))
    if not all(layer.built for layer in all_layers(model)):
        args, kwargs = batch.structure.pack(batch.first().tensors)
        model(*args, **kwargs, training=False)
