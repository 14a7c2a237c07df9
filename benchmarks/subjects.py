"""The subjects of the benchmark: the bare forward pass, xaicore, and the peers.

A subject is built once for a model and then called with a batch. Apart from the bare pass, it returns one heatmap per
image and class at the input's resolution.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

Run = Callable[[torch.Tensor], Any]


def bare(model: nn.Module) -> Run:
    """The forward pass alone."""

    def run(x: torch.Tensor) -> Any:
        with torch.inference_mode():
            return model(x)

    return run


def xaicore_one(model: nn.Module) -> Run:
    """Grad-CAM of the predicted class, with the upsampled map."""
    import xaicore

    explainer = xaicore.Explainer(model)
    return lambda x: explainer(x).heatmaps()


def xaicore_five(model: nn.Module) -> Run:
    """Grad-CAM of the five most probable classes, with the upsampled maps."""
    import xaicore

    explainer = xaicore.Explainer(model)
    five = xaicore.targets.TopK(5)
    return lambda x: explainer(x, five).heatmaps()


def _last_layer(model: nn.Module) -> nn.Module:
    """The layer that xaicore explains; the peers get the same one."""
    import xaicore

    x = torch.zeros(1, 3, 224, 224)
    name = xaicore.default_layer(xaicore.Explainer(model).backend.layers(x))
    return model.get_submodule(name)


def grad_cam(model: nn.Module) -> Run:
    """pytorch-grad-cam."""
    from pytorch_grad_cam import GradCAM

    cam = GradCAM(model=model, target_layers=[_last_layer(model)])
    return lambda x: cam(input_tensor=x)


def torchcam(model: nn.Module) -> Run:
    """torchcam."""
    from torchcam.methods import GradCAM

    cam = GradCAM(model, target_layer=_last_layer(model))

    def run(x: torch.Tensor) -> Any:
        scores = model(x)
        maps = cam(scores.argmax(dim=1).tolist(), scores)[0]
        return nn.functional.interpolate(maps[:, None], x.shape[2:], mode="bilinear")

    return run


def captum(model: nn.Module) -> Run:
    """captum's LayerGradCam; it needs the class as an argument, hence a second forward pass."""
    from captum.attr import LayerAttribution, LayerGradCam

    cam = LayerGradCam(model, _last_layer(model))

    def run(x: torch.Tensor) -> Any:
        with torch.no_grad():
            classes = model(x).argmax(dim=1)
        maps = cam.attribute(x, target=classes, relu_attributions=True)
        return LayerAttribution.interpolate(maps, x.shape[2:], "bilinear")

    return run


OURS = {"xaicore": xaicore_one, "xaicore, 5 classes": xaicore_five}
PEERS = {"grad-cam": grad_cam, "torchcam": torchcam, "captum": captum}
SUBJECTS: dict[str, Callable[[nn.Module], Run]] = {"bare": bare, **OURS, **PEERS}
