"""The dense classifier of a net that ends in global average pooling, found by what it reads and gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from xaicore import MethodError
from xaicore_torch.hooks import Hooks
from xaicore_torch.layout import on_last_axis
from xaicore_torch.outputs import first_tensor
from xaicore_torch.private import Convolution

__all__ = ["find_classifier"]


def find_classifier(
    model: nn.Module,
    layer: str,
    module: nn.Module,
    channels_last: bool,
    run: Callable[[], torch.Tensor],
) -> nn.Linear | Convolution:
    """The module whose input is the layer's spatial mean and whose output is the model's.

    That is the definition of a net that CAM explains, checked on numbers: names and order of modules do not
    tell what a forward() does between them. `run` runs the model once.

    Raises:
        MethodError: there is no such module.
    """
    mean: list[torch.Tensor] = []
    reads_mean: list[tuple[Any, torch.Tensor]] = []

    def see(name: str, seen: nn.Module, args: tuple[Any, ...], answer: Any) -> None:
        if seen is not module:
            compare(seen, args, answer)
            return
        tensor = first_tensor(answer)
        if tensor is not None and tensor.ndim > 2:
            tensor = tensor.movedim(-1, 1) if channels_last or on_last_axis(module) else tensor
            mean[:] = [tensor.flatten(2).mean(dim=2)]

    def compare(dense: nn.Module, args: tuple[Any, ...], answer: Any) -> None:
        if mean and args and args[0].numel() == mean[0].numel() and _close(args[0].reshape(mean[0].shape), mean[0]):
            reads_mean.append((dense, answer.flatten(1)))

    with Hooks({name: part for name, part in model.named_modules() if part is module or _is_dense(part)}, see):
        y = run()
    for dense, logits in reads_mean:
        # .reshape: a model may drop the axis of its only output.
        links = (logits, logits.softmax(1), logits.log_softmax(1), logits.sigmoid())
        if logits.numel() == y.numel() and any(_close(link.reshape(y.shape), y) for link in links):
            return dense
    raise MethodError(
        f"CAM needs a net that ends in global average pooling and one dense layer; in {type(model).__name__} no "
        f"dense layer turns the spatial mean of {layer!r} into the outputs. Use method='gradcam', which equals CAM "
        "where CAM exists"
    )


def _is_dense(module: nn.Module) -> bool:
    """A dense layer, also one written as a convolution with a kernel of one position."""
    if isinstance(module, Convolution):
        return set(module.kernel_size) == {1} and module.groups == 1
    return isinstance(module, nn.Linear)


def _close(a: torch.Tensor, b: torch.Tensor) -> bool:
    scale = float(b.abs().max())
    return bool(torch.allclose(a.float(), b.float(), rtol=1e-3, atol=1e-3 * scale))
