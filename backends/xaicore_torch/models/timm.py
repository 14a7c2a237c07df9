"""timm's models: their weights, `create_transform` of their data configuration, and their label names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import timm
import timm.data

from xaicore import InputError, ModelSpec, NamedModel
from xaicore.models import downloading, unknown_name
from xaicore_torch.models.folders import folder_library, model_folder
from xaicore_torch.models.libraries import LIBRARIES, hub_folder, snapshot
from xaicore_torch.models.pictures import NormalisingTransform
from xaicore_torch.models.weights import load_fitting, path_of

__all__ = ["load"]

FILES = ("model.safetensors", "pytorch_model.bin")


def load(spec: ModelSpec) -> NamedModel:
    """The model `timm/NAME`, `timm/hf-hub:OWNER/NAME`, or of a folder that timm saved.

    Raises:
        InputError: there is no such model or tag, or the file of weights does not fit.
        BackendError: the weights cannot be downloaded.
    """
    name = _checked(spec)
    if not spec.pretrained:
        model, words = timm.create_model(name, pretrained=False), "random weights"
    elif spec.weights is not None:
        file = path_of(spec)
        model = load_fitting(lambda **options: timm.create_model(name, **options), "num_classes", file, spec)
        words = f"weights {file}"
    else:
        model = _pretrained(name, spec)
        words = f"weights {model.pretrained_cfg.get('tag') or name}"
    model = model.eval()
    names = _labels(model) if spec.pretrained and spec.weights is None else None
    architecture = model.pretrained_cfg.get("architecture") or name
    return NamedModel(model, f"{architecture}, timm, {words}", _picture(model), names, spec.pretrained)


def _checked(spec: ModelSpec) -> str:
    """The name as `create_model` takes it."""
    folder = model_folder(spec.text) if folder_library(spec.text) == "timm" else model_folder(spec.name)
    if folder is not None:
        return f"local-dir:{folder}"
    if ":" in spec.name:
        return spec.name
    architecture, _, tag = spec.name.partition(".")
    if not timm.is_model(architecture):
        raise unknown_name(LIBRARIES["timm"], spec.name)
    tags = [name.partition(".")[2] for name in timm.list_pretrained(f"{architecture}.*")]
    if tag and tag not in tags:
        raise InputError(f"spec={spec.text!r}: timm's weights of {architecture} are {', '.join(tags) or 'none'}")
    if spec.pretrained and spec.weights is None and not tags:
        raise InputError(f"spec={spec.text!r}: timm has no weights for it; pass a file, or weights='none'")
    return spec.name


def _pretrained(name: str, spec: ModelSpec) -> Any:
    """With the weights on this machine, else with a download. timm itself would ask huggingface.co first."""
    if name.startswith("local-dir:"):
        return timm.create_model(name, pretrained=True)
    repository, url = _source(name)
    folder = None if repository is None else snapshot(repository)
    file = None if folder is None else next((folder / file for file in FILES if (folder / file).is_file()), None)
    if file is not None and ":" in name:
        return timm.create_model(f"local-dir:{folder}", pretrained=True)
    if file is None and url is not None and (hub_folder() / url.rpartition("/")[2]).is_file():
        file = hub_folder() / url.rpartition("/")[2]
    if file is not None:
        return timm.create_model(name, pretrained=True, pretrained_cfg_overlay={"file": str(file)})
    remedy = (
        "Where there is a network, run `python -c \"import timm; timm.create_model('"
        f"{name}', pretrained=True)\"`, and copy {_cache(repository)}; or pass weights='none' for random weights"
    )
    with downloading(f"the weights of {spec.text!r}", _page(repository, url), remedy):
        return timm.create_model(name, pretrained=True)


def _source(name: str) -> tuple[str | None, str | None]:
    """The repository on huggingface.co, and the URL elsewhere, that the weights come from."""
    if ":" in name:
        return name.partition(":")[2].partition("@")[0], None
    config = timm.get_pretrained_cfg(name)
    return (None, None) if config is None else (config.hf_hub_id or None, config.url or None)


def _page(repository: str | None, url: str | None) -> str:
    return f"https://huggingface.co/{repository}" if repository is not None else url or "https://huggingface.co"


def _cache(repository: str | None) -> str:
    return "~/.cache/torch/hub" if repository is None else "~/.cache/huggingface/hub"


def _picture(model: Any) -> NormalisingTransform:
    config = timm.data.resolve_model_data_config(model)
    transform = timm.data.create_transform(**config, is_training=False)
    size = "x".join(map(str, config["input_size"][1:]))
    return NormalisingTransform(transform, config["mean"], config["std"], f"timm's transform of this model ({size})")


def _labels(model: Any) -> Sequence[str] | None:
    """The names in the model's configuration, else those of the ImageNet subset that timm says it has."""
    config = model.pretrained_cfg
    labels = config.get("label_names")
    if labels:
        described = config.get("label_descriptions") or {}
        return [str(described.get(label, label)) for label in labels]
    subset = timm.data.infer_imagenet_subset(model)
    if subset is None or config.get("num_classes") != model.num_classes:
        return None
    return [words.partition(",")[0] for words in timm.data.ImageNetInfo(subset).label_descriptions()]
