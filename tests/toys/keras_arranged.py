"""The Keras backend with channels first, as tests compute by hand; the backend itself has them where the model does."""

from dataclasses import replace

import numpy as np

from xaicore.layers import channel_axes, split_run
from xaicore_keras.backend import KerasBackend as RawBackend


class KerasBackend(RawBackend):
    def capture(self, inputs, layers, direction=None):
        given = super().capture(inputs, layers, direction)
        if not given.activations:
            return given
        axes = self._channel_axes(inputs)
        return replace(
            given,
            activations={name: np.moveaxis(a, axes(name), 1) for name, a in given.activations.items()},
            gradients={name: np.moveaxis(g, axes(name) + 1, 2) for name, g in given.gradients.items()},
        )

    def resume(self, inputs, layer, activations):
        return super().resume(inputs, layer, np.moveaxis(activations, 1, self._channel_axes(inputs)(layer)))

    def _channel_axes(self, inputs):
        known = channel_axes(self.observe(inputs).layers)
        return lambda name: known[split_run(name)[0]]
