"""Lists as a model's inputs: an argument of several batches, or one picture after the other, as detectors take them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from xaicore import InputError
from xaicore_torch.private import Convolution

__all__ = ["are_batches", "are_pictures", "no_list", "one_by_one", "stacked"]


def are_batches(model: nn.Module, values: Sequence[Any]) -> bool:
    """Whether a list is an argument of the model: it holds arrays with a row per image, as the first convolution
    takes them, and no single images."""
    first = _first_convolution(model)
    arrays = [value for value in values if isinstance(value, (np.ndarray, torch.Tensor)) and value.ndim]
    is_batch = first is not None and max((array.ndim for array in arrays), default=0) >= len(first.kernel_size) + 2
    return is_batch and len(arrays) == len(values) and len({len(array) for array in arrays}) == 1


def are_pictures(model: nn.Module, values: Any) -> bool:
    """Whether these are a list of pictures of one size, each one axis short for the model's first convolution."""
    first = _first_convolution(model)
    if first is None or not isinstance(values, list) or not values:
        return False
    arrays = [value for value in values if isinstance(value, (np.ndarray, torch.Tensor))]
    has_axes = all(array.ndim == len(first.kernel_size) + 1 for array in arrays)
    return has_axes and len(arrays) == len(values) and len({tuple(array.shape) for array in arrays}) == 1


def stacked(pictures: Sequence[Any]) -> Any:
    """Pictures of one size as one batch."""
    if all(isinstance(picture, np.ndarray) for picture in pictures):
        return np.stack(pictures)
    return torch.stack([torch.as_tensor(picture).detach() for picture in pictures])


def one_by_one(batch: torch.Tensor) -> tuple[list[torch.Tensor]]:
    """The only argument of a model that takes a list of pictures."""
    return ([*batch.unbind()],)


def no_list(count: int) -> InputError:
    """The error for a list that is no argument of the model."""
    return InputError(
        f"the inputs are a list of {count}: stack images to one array (N, C, H, W), or pass a tuple, (a, b) for a "
        "model with several arguments and ([a, b],) for one whose argument is a list. Pictures of different sizes have "
        "a map each: xaicore.explain_each(xaicore.Explainer(model), x)"
    )


def _first_convolution(model: nn.Module) -> Convolution | None:
    return next((module for module in model.modules() if isinstance(module, Convolution)), None)
