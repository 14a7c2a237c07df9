"""A CAM-ready model: a classifier's convolutions, global average pooling and a new dense layer.

Zhou et al., Learning Deep Features for Discriminative Localization, CVPR 2016.
"""

from __future__ import annotations

import copy
from numbers import Integral
from typing import Any

import numpy as np
import torch
from torch import nn

from xaicore import BackendError, InputError, XaicoreError
from xaicore.facts import Facts
from xaicore.layers import choose_pooled, no_map, read
from xaicore_torch.backend import TorchBackend
from xaicore_torch.cam import CamModel, Dropped
from xaicore_torch.inputs import check_not_lazy, prepare
from xaicore_torch.layout import find_module
from xaicore_torch.order import CallOrder
from xaicore_torch.private import Convolution, has_forward_pre_hooks
from xaicore_torch.state import preserved_model
from xaicore_torch.survey import Survey

__all__ = ["cam_model"]

ACTIVATIONS = (None, "softmax", "sigmoid")


def cam_model(
    model: nn.Module,
    classes: int,
    activation: str | None = None,
    layer: str | None = None,
    freeze: bool = False,
    *,
    inputs: Any = None,
) -> CamModel:
    """A copy of a classifier's convolutions with global average pooling and a new dense layer on top.

    Train it in your own loop; then `xaicore.explain(result, x, method="cam")` is the original CAM. The model
    itself stays as it is, bitwise, and shares nothing with the result.

    Args:
        model: any `torch.nn.Module`; of a wrapper (DataParallel, torch.compile), the module inside.
        classes: outputs of the new dense layer.
        activation: None for logits, which torch's losses expect; "softmax" or "sigmoid".
        layer: the one to pool, a name as in `model.named_modules()`; None: the last map of the picture that no
            pooling layer made. The weights of modules that run only after it, the old head, are not copied.
        freeze: train the dense layer alone; the body then stays in evaluation mode, so that a BatchNorm keeps
            its statistics. Without it, every parameter is as trainable as in the model.
        inputs: an example of what the model takes, for one pass that shows layers and channels. None: zeros
            (1, C, 224, 224), where the model's first convolution is a 2-D one, of C channels.

    Raises:
        InputError: `classes` or `activation` make no sense, or an example input is needed.
        LayerError: the layer does not exist, never ran, or gives no map of the picture.
        BackendError: the model is none of torch's, is TorchScript, has lazy layers, fails, or cannot be copied.
    """
    _check_head(classes, activation)
    model = _checked(model)
    order, facts = _run_example(model, inputs)
    reading = read(facts)
    if layer is None:
        name = choose_pooled(facts.layers, reading.grids, reading.main_pictures, reading.states)
    else:
        name = _name_of(model, find_module(model, layer))
    module = model.get_submodule(name)
    maps = order.output_of(module, name)
    grid = reading.grids.get(name)
    if grid is None or "l" in grid.axes:
        size = reading.frames[reading.main_pictures[0]].size if reading.frames else ()
        raise no_map(name, maps.shape, size, None if maps.shape[:1] == (facts.count,) else facts.count)
    channel_axis = grid.axes.index("c")
    with torch.inference_mode(False):  # parameters created under it could never be trained
        body = _copy(model, order.only_after(module), name)
        weights = (parameter.dtype for parameter in body.parameters() if parameter.is_floating_point())
        dense = nn.Linear(maps.shape[channel_axis], int(classes), device=maps.device, dtype=next(weights, None))
    return CamModel(body, name, dense, activation, order.runs[module], channel_axis > 1, freeze)


def _check_head(classes: int, activation: str | None) -> None:
    if not isinstance(classes, Integral) or isinstance(classes, bool) or classes < 1:
        raise InputError(f"classes={classes!r}: expected a whole number, 1 or more")
    if activation not in ACTIVATIONS:
        raise InputError(f"activation={activation!r} is not known; expected None (logits), 'softmax' or 'sigmoid'")
    if activation == "softmax" and classes == 1:
        raise InputError("a softmax over one class is always 1: use activation='sigmoid', or None for logits")


def _checked(model: nn.Module) -> nn.Module:
    """The model without wrappers.

    Raises:
        BackendError: it cannot be run or hooked.
    """
    if not isinstance(model, nn.Module):
        raise BackendError(f"cam_model needs a torch.nn.Module, not a {type(model).__name__}")
    if any(base.__module__.startswith("keras.") for base in type(model).__mro__):
        raise BackendError(f"{type(model).__name__} is a Keras model: use xaicore_keras.cam_model")
    model = TorchBackend(model).model
    check_not_lazy(model, "cam_model")
    return model


def _run_example(model: nn.Module, inputs: Any) -> tuple[CallOrder, Facts]:
    """Run the model in evaluation mode, over the example or a picture of zeros."""
    batch = prepare(model, _zeros(model) if inputs is None else inputs).clone()
    order, survey = CallOrder(), Survey(model, batch.tensors, batch.tensors)
    with preserved_model(model, batch.picture.device), order.hooks(model), survey.hooks:
        try:
            batch.run(model)
        except XaicoreError as exc:
            if inputs is None:
                raise InputError(f"without an example input, zeros were tried, but {exc}. Pass one: inputs=x") from exc
            raise
    return order, survey.facts(None, batch.count)


def _zeros(model: nn.Module) -> np.ndarray:
    first = next((module for module in model.modules() if isinstance(module, Convolution)), None)
    if not isinstance(first, nn.Conv2d):
        found = "no convolution" if first is None else f"a {type(first).__name__} first"
        raise InputError(f"{type(model).__name__} has {found}, so that its inputs cannot be guessed: pass inputs=x")
    return np.zeros((1, first.in_channels, 224, 224), np.float32)


def _name_of(model: nn.Module, module: nn.Module) -> str:
    """A module's first name; it may have others, and a wrapper may add to them."""
    return next(name for name, known in model.named_modules() if known is module)


def _copy(model: nn.Module, dropped: list[nn.Module], layer: str) -> nn.Module:
    """A deep copy without the dropped modules, which are not even read: heads are large.

    Raises:
        BackendError: the model cannot be copied.
    """
    replacements: dict[int, Any] = {
        id(module): Dropped(_name_of(model, module), layer).train(module.training) for module in dropped
    }
    for module in filter(has_forward_pre_hooks, model.modules()):  # they compute a weight anew, as the old weight_norm
        for value in vars(module).values():
            if isinstance(value, torch.Tensor) and not value.is_leaf:  # which deepcopy refuses
                replacements[id(value)] = value.detach().clone()
    try:
        return copy.deepcopy(model, replacements)
    except Exception as exc:
        raise BackendError(f"{type(model).__name__} cannot be copied: {type(exc).__name__}: {exc}") from exc
