"""A CAM-ready model: a classifier's convolutions, global average pooling and a new dense layer.

Zhou et al., Learning Deep Features for Discriminative Localization, CVPR 2016.
"""

from __future__ import annotations

import contextlib
import copy
import itertools
import threading
from collections.abc import Iterator
from math import prod
from numbers import Integral
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.parameter import is_lazy

from xaicore import BackendError, InputError, LayerError, default_layer
from xaicore_torch.backend import TorchBackend
from xaicore_torch.cam import CamModel, Dropped
from xaicore_torch.inputs import Inputs, prepare
from xaicore_torch.layout import find_module
from xaicore_torch.outputs import first_tensor
from xaicore_torch.private import Convolution
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
        model: any `torch.nn.Module`; wrappers (DataParallel, torch.compile) are looked through.
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
    model = _bare(model)
    order, survey, given = _look(model, inputs)
    name = default_layer(survey.layers) if layer is None else _name(model, find_module(model, layer))
    module = model.get_submodule(name)
    shape = order.shape_of(module, name)
    channels_last = name in survey.channels_last
    positions = shape[1:-1] if channels_last else shape[2:]
    if shape[:1] != (given.count,) or len(positions) != len(given.size) or prod(positions) < 2:
        raise LayerError(
            f"layer {name!r} gives {shape}, which is no map of inputs {given}: expected one row an image, "
            f"{len(given.size)} spatial axes and more than one position. Name a convolution or a block of them, or no "
            "layer to have one found"
        )
    with torch.inference_mode(False):  # what is created under it can never be trained
        body = _copied(model, order.only_after(module), name)
        dense = nn.Linear(shape[-1 if channels_last else 1], int(classes), **_like(body, order.device_of(module)))
    return CamModel(body, name, dense, activation, survey.runs[name], channels_last, freeze)


class _Order:
    """What started when during one pass: `with order.hooks(model): model(x)`."""

    def __init__(self) -> None:
        self._started: list[nn.Module] = []
        self._ended: dict[nn.Module, int] = {}  # how many had started when the module last ended
        self._tensors: dict[nn.Module, torch.Tensor | None] = {}

    @contextlib.contextmanager
    def hooks(self, model: nn.Module) -> Iterator[None]:
        """Only this thread's pass counts."""
        me = threading.get_ident()

        def start(module: nn.Module, args: Any) -> None:
            if threading.get_ident() == me:
                self._started.append(module)

        def end(module: nn.Module, args: Any, answer: Any) -> None:
            if threading.get_ident() == me:
                self._ended[module] = len(self._started)
                self._tensors[module] = first_tensor(answer)

        with contextlib.ExitStack() as stack:
            for module in model.modules():
                if not isinstance(module, torch.jit.ScriptModule):  # which has no hooks
                    stack.callback(module.register_forward_pre_hook(start).remove)
                    stack.callback(module.register_forward_hook(end).remove)
            yield

    def shape_of(self, module: nn.Module, name: str) -> tuple[int, ...]:
        """The shape of the module's first tensor."""
        if module not in self._ended:
            raise LayerError(
                f"layer {name!r} never ran for this input: the model does not use it, or calls its forward() directly"
            )
        tensor = self._tensors[module]
        if tensor is None:
            raise LayerError(f"layer {name!r} gave no tensor")
        return tuple(tensor.shape)

    def device_of(self, module: nn.Module) -> torch.device:
        """Where the module's first tensor is."""
        return self._tensors[module].device

    def only_after(self, module: nn.Module) -> list[nn.Module]:
        """The modules with weights that start only after this one's last run, and with them all inside of them.

        What never ran is not among them: it may run in training (an auxiliary head), or serve the layer with
        its weights alone. What has no weights costs nothing, and may serve such a head.
        """
        last = self._ended[module]
        before, after = set(self._started[:last]), dict.fromkeys(self._started[last:])
        return [late for late in after if _has_weights(late) and before.isdisjoint(late.modules())]


def _has_weights(module: nn.Module) -> bool:
    return next(itertools.chain(module.parameters(), module.buffers()), None) is not None


def _check_head(classes: int, activation: str | None) -> None:
    if not isinstance(classes, Integral) or isinstance(classes, bool) or classes < 1:
        raise InputError(f"classes={classes!r}: expected a whole number, 1 or more")
    if activation not in ACTIVATIONS:
        raise InputError(f"activation={activation!r} is not known; expected None (logits), 'softmax' or 'sigmoid'")
    if activation == "softmax" and classes == 1:
        raise InputError("a softmax over one class is always 1: use activation='sigmoid', or None for logits")


def _bare(model: nn.Module) -> nn.Module:
    """The model without wrappers, if it can be looked into."""
    if not isinstance(model, nn.Module):
        raise BackendError(f"cam_model needs a torch.nn.Module, not a {type(model).__name__}")
    if any(base.__module__.startswith("keras.") for base in type(model).__mro__):
        raise BackendError(f"{type(model).__name__} is a Keras model: use xaicore_keras.cam_model")
    model = TorchBackend(model).model
    if any(map(is_lazy, model.parameters())):
        raise BackendError(
            f"{type(model).__name__} has lazy layers, whose weights are made by their first batch: run the model "
            "once before cam_model"
        )
    return model


def _look(model: nn.Module, inputs: Any) -> tuple[_Order, Survey, Inputs]:
    """What one pass in evaluation mode shows, over the example or a picture of zeros."""
    given = prepare(model, _zeros(model) if inputs is None else inputs)
    order, survey = _Order(), Survey(model, given.count, given.size)
    with preserved_model(model, given.picture.device), order.hooks(model), survey.hooks:
        try:
            _run(model, given.clone())
        except BackendError as exc:
            if inputs is None:
                raise InputError(f"without an example input, zeros were tried, but {exc}. Pass one: inputs=x") from exc
            raise
    return order, survey, given


def _zeros(model: nn.Module) -> np.ndarray:
    first = next((module for module in model.modules() if isinstance(module, Convolution)), None)
    if not isinstance(first, nn.Conv2d):
        found = "no convolution" if first is None else f"a {type(first).__name__} first"
        raise InputError(f"{type(model).__name__} has {found}, so that its inputs cannot be guessed: pass inputs=x")
    return np.zeros((1, first.in_channels, 224, 224), np.float32)


def _run(model: nn.Module, given: Inputs) -> None:
    try:
        model(*given.args, **given.kwargs)
    except Exception as exc:
        raise BackendError(f"the model raised {type(exc).__name__} for inputs {given}: {exc}") from exc


def _name(model: nn.Module, module: nn.Module) -> str:
    """A module's first name, whichever of them or of a wrapper's the caller used."""
    return next(name for name, known in model.named_modules() if known is module)


def _copied(model: nn.Module, dropped: list[nn.Module], layer: str) -> nn.Module:
    """A deep copy, for which the dropped modules are not even read: heads are large."""
    stubs: dict[int, Any] = {
        id(module): Dropped(_name(model, module), layer).train(module.training) for module in dropped
    }
    try:
        return copy.deepcopy(model, stubs)
    except Exception as exc:
        raise BackendError(f"{type(model).__name__} cannot be copied: {type(exc).__name__}: {exc}") from exc


def _like(body: nn.Module, device: torch.device) -> dict[str, Any]:
    """Device and type of the new layer: those of the map and of the body's weights."""
    weights = (parameter.dtype for parameter in body.parameters() if parameter.is_floating_point())
    return {"device": device, "dtype": next(weights, None)}
