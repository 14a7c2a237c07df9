"""torchvision's models: the weights, their transforms and their categories."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from typing import Any

import torchvision

from xaicore import InputError, ModelSpec, NamedModel
from xaicore.models import downloading, unknown_name
from xaicore_torch.models.libraries import LIBRARIES, hub_folder
from xaicore_torch.models.pictures import NormalisingTransform
from xaicore_torch.models.weights import load_fitting, path_of

__all__ = ["load"]


def load(spec: ModelSpec) -> NamedModel:
    """The model `torchvision/NAME`, with the best weights, with those that `weights` names, or with a file's.

    Raises:
        InputError: there is no such model, or no such weights, or the file does not fit.
        BackendError: the weights cannot be downloaded.
    """
    name = spec.name.lower()
    if name.startswith("quantized_"):
        raise InputError(f"spec={spec.text!r} computes in integers, which have no gradients: leave out 'quantized_'")
    if name not in torchvision.models.list_models():
        raise unknown_name(LIBRARIES["torchvision"], spec.name)
    known = torchvision.models.get_model_weights(name)
    chosen = _chosen(spec, known)
    own = known.DEFAULT if chosen is None and len(known) else chosen  # its transform also fits other weights
    preprocess = None if own is None else _picture(own)
    if not spec.pretrained:
        return NamedModel(_build(name), f"{name}, torchvision, random weights", preprocess, None, False)
    if chosen is None:
        file = path_of(spec)
        model = load_fitting(lambda **options: _build(name, **options), "num_classes", file, spec)
        return NamedModel(model, f"{name}, torchvision, weights {file}", preprocess, None, True)
    model = _with_weights(name, chosen, spec)
    title = f"{name}, torchvision, weights {chosen.name}"
    return NamedModel(model, title, preprocess, chosen.meta.get("categories"), True)


def _chosen(spec: ModelSpec, known: Any) -> Any:
    """The weights of the library that are asked for; None for a file's, and for random ones."""
    if not spec.pretrained:
        return None
    if spec.weights is None:
        if not len(known):
            raise InputError(f"spec={spec.text!r}: torchvision has no weights for it; pass a file, or weights='none'")
        return known.DEFAULT
    if spec.weights in known.__members__:
        return known[spec.weights]
    if not os.path.isfile(os.path.expanduser(spec.weights)):
        names = ", ".join(name for name in known.__members__ if name != "DEFAULT")
        raise InputError(f"weights={spec.weights!r}: no such file, and torchvision's weights of this model are {names}")
    return None


def _build(name: str, **options: Any) -> Any:
    """The model without weights; some builders would download those of their backbone."""
    builder: Callable[..., Any] = torchvision.models.get_model_builder(name)
    if "weights_backbone" in inspect.signature(builder).parameters:
        options["weights_backbone"] = None
    model = builder(weights=None, **options).eval()
    if hasattr(model, "transform_input"):  # Inception and GoogLeNet: a step of their preparation that is in the model
        model.transform_input = True
    return model


def _with_weights(name: str, weights: Any, spec: ModelSpec) -> Any:
    file = hub_folder() / weights.url.rpartition("/")[2]
    if file.is_file():
        return torchvision.models.get_model(name, weights=weights).eval()
    remedy = (
        f"Download it where there is a network, and save it as {file}; or pass weights='none' for random weights, or "
        "the weights of a file"
    )
    with downloading(f"the weights {weights.name} of {spec.text!r}", weights.url, remedy):
        return torchvision.models.get_model(name, weights=weights).eval()


def _picture(weights: Any) -> Callable[[Any], Any] | None:
    """The transform of these weights; None for those of videos and of optical flow."""
    transform = weights.transforms()
    kind, name = type(transform).__name__, f"torchvision's transforms of {weights}"
    if kind in ("ImageClassification", "SemanticSegmentation"):
        return NormalisingTransform(transform, transform.mean, transform.std, name)
    if kind == "ObjectDetection":
        return NormalisingTransform(transform, (0.0,), (1.0,), name)
    return None
