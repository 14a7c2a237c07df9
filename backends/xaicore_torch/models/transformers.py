"""Models of Transformers: those of huggingface.co and folders of `save_pretrained`, with their image processor."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import transformers

from xaicore import InputError, ModelSpec, NamedModel
from xaicore.models import downloading
from xaicore_torch.models.folders import folder_library, model_folder
from xaicore_torch.models.pictures import pixels
from xaicore_torch.models.weights import load_fitting, path_of

__all__ = ["ImageProcessor", "load"]

HUB = "https://huggingface.co"
SCALING = ("do_rescale", "do_normalize", "include_top", "do_flip_channel_order")
"""What processors do to the values of pixels, after resizing and cropping."""


@dataclass(frozen=True)
class ImageProcessor:
    """An image processor as a function of one picture.

    Args:
        processor: Transformers' own.
        name: what it is called, for people.
    """

    processor: Any
    name: str

    def __call__(self, picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """From (H, W, 3) uint8 RGB to x, (3, h, w) float32, and the picture of it, (h, w, 3) uint8 RGB.

        The picture is what the processor gives without scaling, or with the scaling undone where both agree.

        Raises:
            InputError: the processor gives something else than one picture, such as patches.
        """
        without = {step: False for step in SCALING if hasattr(self.processor, step)}
        x, unscaled = self._run(picture), self._run(picture, **without)
        undone = self._undone(x)
        # Some resize values that are scaled already, without rounding them to whole levels.
        is_same = undone is not None and np.abs(undone - unscaled).max() < 1.5
        return x, pixels(undone if is_same else unscaled)

    def __str__(self) -> str:
        return self.name

    def _undone(self, x: np.ndarray) -> Any:
        """The levels of x, from 0 to 255, by the processor's mean, deviation and factor; None without these."""
        given: list[Any] = [
            getattr(self.processor, name, None) for name in ("image_mean", "image_std", "rescale_factor")
        ]
        if any(value is None for value in given):
            return None
        mean, std = (np.reshape(value, (-1, 1, 1)) for value in given[:2])
        levels: np.ndarray = (x * std + mean) / given[2]
        return levels

    def _run(self, picture: np.ndarray, **options: bool) -> np.ndarray:
        given = self.processor(images=picture, return_tensors="np", input_data_format="channels_last", **options)
        x: np.ndarray = np.asarray(given.get("pixel_values", 0))
        if x.ndim != 4 or len(x) != 1 or x.shape[1] != 3:
            shapes = ", ".join(f"{name} {np.shape(value)}" for name, value in given.items())
            raise InputError(
                f"{self.name} makes {shapes} of a picture; expected pixel_values (1, 3, height, width). Prepare the "
                "inputs yourself, and pass them to xaicore.explain"
            )
        return x[0].astype(np.float32)


def load(spec: ModelSpec) -> NamedModel:
    """The model `hf/OWNER/NAME`, `hf/FOLDER`, or of a folder that `save_pretrained` wrote.

    Raises:
        InputError: there is no such model, it reads more than a picture, or the file of weights does not fit.
        BackendError: it is not on this machine, and cannot be downloaded.
    """
    place = model_folder(spec.text) if folder_library(spec.text) == "hf" else model_folder(spec.name)
    name = place or spec.name
    if place is None and not _is_id(name):
        raise InputError(
            f"spec={spec.text!r}: neither a folder with a config.json, nor an id of huggingface.co, such as "
            "'hf/microsoft/resnet-50'"
        )
    config = _here_or_there(transformers.AutoConfig.from_pretrained, name, spec)
    if config.model_type == "timm_wrapper":
        place = place or f"hf-hub:{name}"
        raise InputError(f"spec={spec.text!r} is a model of timm: write spec='timm/{place}'")
    cls = _class(config, spec)
    if getattr(cls, "main_input_name", "pixel_values") != "pixel_values":
        raise InputError(
            f"spec={spec.text!r}: {cls.__name__} reads {cls.main_input_name!r} and not a picture alone. Prepare its "
            "inputs yourself, and pass them to xaicore.explain(model, {name: tensor, ...})"
        )
    model, words = _model(cls, config, name, spec)
    return NamedModel(
        model.eval(),
        f"{name}, {cls.__name__}, {words}",
        _processor(name, spec),
        _names(model.config) if spec.weights is None and spec.pretrained else None,
        spec.pretrained,
    )


def _is_id(name: str) -> bool:
    return 0 < len(name.split("/")) <= 2 and all(name.split("/")) and not name.startswith((".", "~"))


def _here_or_there(read: Callable[..., Any], name: str, spec: ModelSpec, **options: Any) -> Any:
    """Read files of a model, from this machine where they are here: Transformers itself asks huggingface.co first."""
    options["trust_remote_code"] = spec.trust
    try:
        return _read(read, name, spec, local_files_only=True, **options)
    except OSError as exc:
        if model_folder(name) is not None:
            raise InputError(f"spec={spec.text!r}: {str(exc).strip().partition(chr(10))[0]}") from exc
    remedy = (
        f"Where there is a network, run `hf download {name}`, and copy ~/.cache/huggingface/hub; or copy a folder that "
        "save_pretrained wrote, and pass its path"
    )
    with downloading(f"spec={spec.text!r}", f"{HUB}/{name}", remedy):
        return _read(read, name, spec, **options)


def _read(read: Callable[..., Any], name: str, spec: ModelSpec, **options: Any) -> Any:
    try:
        return read(name, **options)
    except ValueError as exc:
        if "trust_remote_code" in str(exc):
            raise InputError(
                f"spec={spec.text!r} brings code of its own, which would run. If you trust it, add trust=True"
            ) from exc
        raise InputError(f"spec={spec.text!r}: {str(exc).strip().partition(chr(10))[0]}") from exc


def _class(config: Any, spec: ModelSpec) -> Any:
    """The class that the configuration names; that of the repository's own code, where it is trusted."""
    names = list(config.architectures or ())
    for name in names:
        if hasattr(transformers, name):
            return getattr(transformers, name)
    own = [name for name in getattr(config, "auto_map", None) or {} if name.startswith("AutoModel")]
    if own and spec.trust:
        return getattr(transformers, own[0])
    seen = ", ".join(names) or "none"
    more = ". Its code is in the repository: if you trust it, add trust=True" if own else ""
    raise InputError(
        f"spec={spec.text!r}: the architectures in its config.json ({seen}) are none of Transformers "
        f"{transformers.__version__}{more}"
    )


def _model(cls: Any, config: Any, name: str, spec: ModelSpec) -> tuple[Any, str]:
    """The model, and what its weights are."""
    if not spec.pretrained:
        return _empty(cls, config), "random weights"
    if spec.weights is not None:
        file = path_of(spec)
        return load_fitting(partial(_empty, cls, config), "num_labels", file, spec), f"weights {file}"
    model, found = _here_or_there(cls.from_pretrained, name, spec, config=config, output_loading_info=True)
    missing = sorted(found.get("missing_keys") or ())
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        warnings.warn(
            f"{name} holds no weights for {', '.join(missing[:3])}{more}: these are random, and so is all that depends "
            "on them",
            RuntimeWarning,
            stacklevel=2,
        )
    return model, "its own weights"


def _empty(cls: Any, config: Any, num_labels: int | None = None) -> Any:
    """A model with random weights, of the configuration's classes or of this number."""
    if num_labels is not None:
        config = copy.deepcopy(config)
        config.num_labels = num_labels
    return cls.from_config(config) if hasattr(cls, "from_config") else cls(config)


def _processor(name: str, spec: ModelSpec) -> ImageProcessor | None:
    """None for a repository without one."""
    try:
        processor = _here_or_there(transformers.AutoImageProcessor.from_pretrained, name, spec)
    except InputError:
        return None
    return ImageProcessor(processor, f"{type(processor).__name__} of {name}")


def _names(config: Any) -> dict[int, str] | None:
    """The names of classes; those that Transformers makes up, LABEL_0, LABEL_1, ..., are none."""
    names = {int(index): str(name) for index, name in (config.id2label or {}).items()}
    if sorted(names) != list(range(len(names))) or all(name == f"LABEL_{index}" for index, name in names.items()):
        return None
    return names
