"""torchvision: detectors, masks, segmentation."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torchvision.models import detection, segmentation

import xaicore
from benchmarks.targets.case import Case

__all__ = ["CASES", "PACKAGES"]

PACKAGES = ("torch", "torchvision")

DETECTORS = (
    "fasterrcnn_resnet50_fpn fasterrcnn_resnet50_fpn_v2 fasterrcnn_mobilenet_v3_large_320_fpn maskrcnn_resnet50_fpn "
    "keypointrcnn_resnet50_fpn retinanet_resnet50_fpn retinanet_resnet50_fpn_v2 fcos_resnet50_fpn ssd300_vgg16 "
    "ssdlite320_mobilenet_v3_large"
)


def _detector(name: str) -> tuple[torch.nn.Module, Any]:
    size = {} if name.startswith("ssd") else {"min_size": 128, "max_size": 256}
    settings = {"keypointrcnn_resnet50_fpn": {"num_classes": 2}}.get(name, {"num_classes": 5})
    model = getattr(detection, name)(weights=None, weights_backbone=None, **settings, **size)
    holder = getattr(model, "roi_heads", model)
    holder.score_thresh = 0.0  # random weights are sure of nothing
    x = [torch.rand(3, 90, 120), torch.rand(3, 90, 120)]
    _settle(model, torch.stack(x))
    return model, x


def _settle(model: torch.nn.Module, x: torch.Tensor) -> None:
    """Weights and statistics with which features neither vanish nor grow, so that boxes and their scores differ."""
    has_norms = any(isinstance(module, torch.nn.BatchNorm2d) for module in model.modules())
    for name, module in model.named_modules():
        if isinstance(module, (torch.nn.Conv2d, torch.nn.Linear)):
            torch.nn.init.kaiming_normal_(module.weight)
            if name.rpartition(".")[2] in ("cls_logits", "cls_score", "bbox_pred") or "classification_head" in name:
                module.weight.data.mul_(0.1)
            if name.startswith("backbone.") and not has_norms:
                module.weight.data.mul_(0.7)
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # the mean of all passes
    model.backbone.train()
    with torch.no_grad():
        model.backbone(torch.nn.functional.interpolate(x, (320, 320)) * 4 - 2)
    model.backbone.eval()


def _boxes(model: torch.nn.Module, x: Any) -> tuple[Any, xaicore.Target, Any]:
    def score(answer: Any, n: int, k: int) -> torch.Tensor:
        return answer[n]["scores"].sort(descending=True).values[k]

    return x, xaicore.targets.Boxes(3), score


def _mask(model: torch.nn.Module, x: Any) -> tuple[Any, xaicore.Target, Any]:
    def of_best(answer: Any) -> torch.Tensor:
        return torch.stack([one["masks"][0].mean() for one in answer])

    return x, xaicore.targets.Score(of_best, ["mask"]), lambda answer, n, k: answer[n]["masks"][0].mean()


def _segmenter(name: str) -> tuple[torch.nn.Module, Any]:
    return getattr(segmentation, name)(weights=None, weights_backbone=None, num_classes=5), torch.rand(2, 3, 64, 96)


def _region(model: torch.nn.Module, x: Any) -> tuple[Any, xaicore.Target, Any]:
    target = xaicore.targets.Region(2, where=(16, 8, 48, 40))
    return x, target, lambda answer, n, k: answer["out"][n, 2, 8:40, 16:48].mean()


def _best(name: str) -> Case:
    layer = "backbone.body.16" if "mobilenet" in name else "backbone.body.layer4"
    options = {} if name.startswith("ssd") else {"layer": layer}  # that of SSD is found
    return Case(name, "`Boxes(3)`", partial(_detector, name), _boxes, options)


def _on_map(name: str, layer: str) -> Case:
    options = {"layer": layer, "output": "out"}
    return Case(name, "`Region(2, box)`", partial(_segmenter, name), _region, options)


CASES = [
    *(_best(name) for name in DETECTORS.split()),
    Case(
        "maskrcnn_resnet50_fpn",
        "`Score` of a mask",
        partial(_detector, "maskrcnn_resnet50_fpn"),
        _mask,
        {"layer": "backbone.body.layer4"},
    ),
    _on_map("deeplabv3_mobilenet_v3_large", "backbone.16"),
    _on_map("fcn_resnet50", "backbone.layer4"),
    _on_map("lraspp_mobilenet_v3_large", "backbone.16"),
]
