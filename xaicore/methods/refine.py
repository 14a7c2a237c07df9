"""Several layers, whose maps are multiplied."""

from typing import Any

import numpy as np

from xaicore.methods.channelwise import gradcam_plus_plus

__all__ = ["refinecam"]


def refinecam(activations: Any, gradients: Any, xp: Any = np) -> Any:
    """RefineCAM (Domeniconi et al. 2026): prod_l L_l / max(L_l), L_l the positive part of layer l's Grad-CAM++ map.

    This is the map of one layer; `fuse` divides each layer's by its maximum, resizes it to the finest and multiplies.
    The product shows what all layers agree on, at the finest one's resolution: name one layer per resolution. grad-cam
    multiplies maps that it has stretched from minimum to maximum and resized to the picture: its own loop that should
    divide them by the maximum assigns to a variable that nothing reads.
    """
    return gradcam_plus_plus(activations, gradients, xp)
