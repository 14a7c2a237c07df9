"""The caller's inputs as the model takes them."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.parameter import is_lazy

from xaicore import BackendError, InputError, XaicoreError
from xaicore.trees import places
from xaicore_torch.leaves import Leaves
from xaicore_torch.listed import are_batches, are_pictures, no_list, one_by_one, stacked
from xaicore_torch.private import Convolution, tree_leaves, tree_map

__all__ = ["Inputs", "check_not_lazy", "inference_hint", "prepare", "repeat_rows", "with_batch_axis"]


@dataclass(frozen=True)
class Inputs:
    """One batch: the model's arguments, on its device. Tensors may lie inside of dictionaries, lists and tuples.

    Attributes:
        args, kwargs: positional and keyword arguments.
        is_list: the only argument is one tensor of all images, and the model takes a list of them.
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    is_list: bool = False

    @property
    def tensors(self) -> list[torch.Tensor]:
        """The tensors among the arguments."""
        leaves = tree_leaves((self.args, self.kwargs))
        return [value for value in leaves if isinstance(value, torch.Tensor)]

    @property
    def picture(self) -> torch.Tensor:
        """The input with the most axes."""
        return max(self.tensors, key=lambda tensor: tensor.ndim)

    @property
    def count(self) -> int:
        """N, the number of images."""
        return len(self.picture)

    @property
    def image_shapes(self) -> tuple[Any, ...]:
        """Whether images are a list, where each input is among the arguments, and the shapes of one image."""
        shapes = tuple(tensor.shape for tensor in self._of_each(lambda tensor: tensor[0]).tensors)
        return self.is_list, *places((self.args, self.kwargs)), shapes

    @property
    def size(self) -> tuple[int, ...]:
        """The picture's spatial shape."""
        return tuple(self.picture.shape[2:])

    def first(self) -> Inputs:
        """The first image alone."""
        return self._of_each(lambda tensor: tensor[:1])

    def twice(self) -> Inputs:
        """These images, then the same ones again."""
        return self._of_each(lambda tensor: torch.cat([tensor] * 2))

    def repeated(self, rows: int, copied: bool = False) -> Inputs:
        """Each image this often in a row; a single one shares its memory unless it is copied."""
        return self._of_each(lambda tensor: repeat_rows(tensor, rows, copied))

    def clone(self) -> Inputs:
        """Copies, since some models write to their inputs."""
        return self._map(torch.Tensor.clone)

    def kept(self, leaves: Leaves) -> Inputs:
        """Copies; each floating-point input of one row per image is the leaf ("input", its position)."""
        positions = itertools.count()

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            position = next(positions)
            is_leaf = self._has_rows(tensor) and tensor.is_floating_point()
            return leaves.keep(("input", position), tensor) if is_leaf else tensor.clone()

        return self._map(keep)

    def having(self, tensors: Iterable[torch.Tensor]) -> Inputs:
        """The same arguments with other tensors, in the order of `tensors`."""
        given = iter(tensors)
        return self._map(lambda _: next(given))

    def recording(self) -> Inputs:
        """The same values; whatever is computed from them is recorded, also by a frozen model."""
        return self._map(lambda tensor: tensor.detach().requires_grad_(tensor.is_floating_point()))

    def run(self, model: nn.Module) -> Any:
        """What the model returns for these inputs.

        Raises:
            BackendError: the model raised.
        """
        try:
            return model(*(one_by_one(*self.args) if self.is_list else self.args), **self.kwargs)
        except XaicoreError:
            raise
        except Exception as exc:
            raise BackendError(
                f"the model raised {type(exc).__name__} for inputs {self}: {exc}{inference_hint(model)}"
                f"{_picture_hint(model, self.picture)}{_argument_hint(model, self)}"
            ) from exc

    def _has_rows(self, tensor: torch.Tensor) -> bool:
        """Whether a tensor has one row per image."""
        return bool(tensor.ndim) and len(tensor) == self.count

    def _of_each(self, function: Callable[[torch.Tensor], torch.Tensor]) -> Inputs:
        """The same arguments with a change to all tensors of one row per image."""
        return self._map(lambda tensor: function(tensor) if self._has_rows(tensor) else tensor)

    def _map(self, function: Callable[[torch.Tensor], torch.Tensor]) -> Inputs:
        def apply(value: Any) -> Any:
            return function(value) if isinstance(value, torch.Tensor) else value

        args, kwargs = tree_map(apply, (self.args, self.kwargs))
        return Inputs(args, kwargs, self.is_list)

    def __str__(self) -> str:
        return ", ".join(f"{tuple(t.shape)} {str(t.dtype).removeprefix('torch.')}" for t in self.tensors)


@torch.inference_mode(False)  # so that copies can be recorded, whatever mode the caller is in
@torch.no_grad()
def prepare(model: nn.Module, inputs: Any, may_be_single: bool = True, takes_list: bool = False) -> Inputs:
    """Tensors of all arrays, moved to the model's device; floating-point arrays get its type.

    A tuple is positional arguments, a mapping keyword arguments, anything else the only argument, such as a list of
    two clips. A single array one axis short for the model's first convolution gets a batch axis if it `may_be_single`.
    A list of pictures of one size is one tensor, of which the model takes a list; so is an array, if it `takes_list`.

    Raises:
        InputError: there is no tensor or array, the batch is empty, values are NaN or infinite, or a list holds images
            without a batch axis.
    """
    is_list = are_pictures(model, inputs)
    if isinstance(inputs, list) and not is_list and not are_batches(model, inputs):
        raise no_list(len(inputs))
    weights = list(model.parameters())
    parameter = next((one for one in weights if one.is_floating_point()), next(iter(weights), None))

    def convert(name: str, value: Any) -> Any:
        def leaf(part: Any) -> Any:
            return _tensor(name, part, parameter) if isinstance(part, (np.ndarray, torch.Tensor)) else part

        return tree_map(leaf, value)

    if isinstance(inputs, Mapping):
        batch = Inputs((), {key: convert(f"input {key!r}", value) for key, value in inputs.items()})
    elif isinstance(inputs, tuple):
        batch = Inputs(tuple(convert(f"input {i}", value) for i, value in enumerate(inputs)), {})
    else:
        value = convert("the input", stacked(inputs) if is_list else inputs)
        value = with_batch_axis(model, value) if may_be_single else value
        batch = Inputs((value,), {}, is_list or (takes_list and isinstance(value, torch.Tensor)))
    if not batch.tensors:
        raise InputError(f"no tensor or array among the inputs ({type(inputs).__name__}): expected (N, C, H, W)")
    if batch.picture.ndim == 0 or any(t.ndim and len(t) == 0 for t in batch.tensors):
        raise InputError(f"the batch is empty: inputs {batch}; expected one image or more")
    return batch


def with_batch_axis(model: nn.Module, value: Any) -> Any:
    """A single tensor or array one axis short for the model's first convolution gets a batch axis, and a list of such
    pictures is one array; all else stays.

    Only where its first or last axis has the convolution's channels: a batch of (N, mel, time), to which the model adds
    a channel axis, is one axis short too.
    """
    if are_pictures(model, value):
        return stacked(value)
    if not isinstance(value, (np.ndarray, torch.Tensor)):
        return value
    first = next((module for module in model.modules() if isinstance(module, Convolution)), None)
    # Not first.weight.ndim: reading a weight with a parametrization may change the model.
    if first is None or value.ndim != len(first.kernel_size) + 1:
        return value
    is_single = not first.in_channels or first.in_channels in (value.shape[0], value.shape[-1])  # a lazy one has 0
    return value[None] if is_single else value


def repeat_rows(tensor: torch.Tensor, rows: int, copied: bool = False) -> torch.Tensor:
    """(N, ...) as (N * R, ...), each image R times in a row; one image shares its memory unless it is copied."""
    if len(tensor) == 1 and not copied:
        return tensor.expand(rows, *tensor.shape[1:])
    return tensor.repeat_interleave(rows, dim=0)


def check_not_lazy(model: nn.Module, use: str) -> None:
    """Refuse a model whose weights its first batch has still to make.

    Raises:
        BackendError: it has lazy layers; `use` says before what the model must run.
    """
    if any(map(is_lazy, model.parameters())):
        raise BackendError(
            f"{type(model).__name__} has lazy layers, whose weights are made by their first batch: run the model "
            f"once before {use}"
        )


def inference_hint(model: nn.Module) -> str:
    """The end of a message about a model that cannot be differentiated; empty where its weights are not why."""
    if any(parameter.is_inference() for parameter in model.parameters()):
        return (
            "; the model's weights were created under torch.inference_mode(), which excludes gradients for "
            "good: build the model outside of it"
        )
    return ""


def _picture_hint(model: nn.Module, picture: torch.Tensor) -> str:
    """The end of a message about a picture that the first convolution cannot take; empty where it can."""
    first = next((module for module in model.modules() if isinstance(module, Convolution)), None)
    if first is None or picture.ndim != len(first.kernel_size) + 2 or not first.in_channels:
        return ""
    channels, axes = first.in_channels, range(1, picture.ndim - 1)
    if picture.shape[1] != channels and picture.shape[-1] == channels:
        return f". Its channels come last: pass x.permute(0, {picture.ndim - 1}, {', '.join(map(str, axes))})"
    if picture.shape[1] != channels:
        return f". The model's first convolution takes {channels} channels, and this input has {picture.shape[1]}"
    weights = next(model.parameters()).dtype
    if picture.dtype != weights:
        name = str(weights).removeprefix("torch.")
        return f". The model's weights are {name}: pass x.to(torch.{name}), with pixels scaled as in training"
    return ""


def _argument_hint(model: nn.Module, inputs: Inputs) -> str:
    """The end of a message about arguments that do not fit; empty where the form of the inputs is not why."""
    try:
        inspect.signature(model.forward).bind(*inputs.args, **inputs.kwargs)
        fits = True
    except TypeError:
        fits = False
    if len(inputs.args) > 1 and not fits:
        return ". A tuple is positional arguments: pass a list, [a, b], to a model whose argument is a list"
    if len(inputs.args) == 1 and isinstance(inputs.args[0], list):
        return (
            ". A list is one argument: pass a tuple, (a, b), to a model with several arguments, and images of one size "
            "as one array"
        )
    return ""


def _tensor(name: str, value: np.ndarray | torch.Tensor, parameter: torch.Tensor | None) -> torch.Tensor:
    if isinstance(value, np.ndarray):
        if not value.flags.writeable or min(value.strides, default=0) < 0:
            value = value.copy()  # torch can share neither
        try:
            tensor = torch.as_tensor(value)
        except TypeError as exc:
            raise InputError(f"{name} is an array of type {value.dtype}, which torch does not know") from exc
        if tensor.is_floating_point() and parameter is not None and parameter.is_floating_point():
            tensor = tensor.to(parameter.dtype)
    else:
        tensor = value.detach()
    if parameter is not None:
        tensor = tensor.to(parameter.device)
    if tensor.is_inference():  # such a tensor cannot be recorded
        tensor = tensor.clone()
    _check_finite(name, tensor)
    return tensor


def _check_finite(name: str, tensor: torch.Tensor) -> None:
    # The sum is finite for all but broken inputs, and costs a fraction of a test of every value.
    if tensor.is_floating_point() and not torch.isfinite(tensor.sum(dtype=torch.float32)):
        bad = int((~torch.isfinite(tensor)).sum())
        if bad:
            raise InputError(f"{name} has {bad} NaN or infinite values of {tensor.numel()}; expected finite ones")
