"""Models by name: "torchvision/resnet50", "best.keras", "net.py:build"; the backends' plugins know the libraries."""

from xaicore.models.advice import is_installed, unknown_name
from xaicore.models.central import central_part
from xaicore.models.default import default_model
from xaicore.models.download import downloading
from xaicore.models.find import find_model, libraries
from xaicore.models.fitting import misfit, other_classes
from xaicore.models.named import ModelLibrary, ModelSpec, NamedModel

__all__ = [
    "ModelLibrary",
    "ModelSpec",
    "NamedModel",
    "central_part",
    "default_model",
    "downloading",
    "find_model",
    "is_installed",
    "libraries",
    "misfit",
    "other_classes",
    "unknown_name",
]
