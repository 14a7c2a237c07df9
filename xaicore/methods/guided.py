"""Gradients of the picture that pass a ReLU in other ways, and their product with Grad-CAM.

G (N, K, C, *S) are these gradients; the maps (N, K, *S) have the picture's resolution. Published figures show G as a
coloured picture around grey. The map is the grey of that figure, sum_c G_c, and signed: positive where more light
raises the score.

Both rules show which patterns the layers respond to, and depend little on the target and on the weights behind the
first layers (Nie et al. 2018, Adebayo et al. 2018): compare two targets before a map is taken for a reason.
"""

from __future__ import annotations

import numpy as np

from xaicore.evidence import Evidence
from xaicore.maps import relu, resize
from xaicore.methods.channelwise import gradcam

__all__ = ["deconv", "guided", "guided_gradcam"]


def guided(evidence: Evidence) -> np.ndarray:
    """Guided backpropagation (Springenberg et al. 2014): sum_c G_c. One pass.

    Back through a ReLU go positive gradients at positive inputs alone.
    """
    return _light(evidence.input_gradients("guided"))


def deconv(evidence: Evidence) -> np.ndarray:
    """Deconvolution (Zeiler & Fergus 2014): sum_c G_c. One pass.

    Back through a ReLU go positive gradients alone, whatever its input was.
    """
    return _light(evidence.input_gradients("deconv"))


def guided_gradcam(evidence: Evidence) -> np.ndarray:
    """Guided Grad-CAM (Selvaraju et al. 2017): Grad-CAM of the layer, resized to the picture, times sum_c G_c.

    G is that of guided backpropagation. One pass.
    """
    light = _light(evidence.input_gradients("guided"))
    coarse = relu(gradcam(evidence.activations, evidence.gradients))
    flat = coarse.reshape(-1, *coarse.shape[2:]).astype(np.float32)
    return resize(flat, light.shape[2:]).reshape(light.shape) * light


def _light(gradients: np.ndarray) -> np.ndarray:
    light: np.ndarray = gradients.sum(axis=2)
    return light
