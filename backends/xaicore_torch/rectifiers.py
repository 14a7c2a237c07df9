"""The ReLUs of one recorded pass, and the rules of `xaicore.backend.RULES` by which gradients pass them.

What counts as a ReLU here: ReLU in every form, as a module, function or method, in place or not; ReLU6 and every
hardtanh from 0 on; clamp(min=0), also with max=6; threshold at 0; the maximum with zeros. A hard sigmoid that is
written as relu6(x + 3) / 6 counts, too: autograd does not keep the 3. Not seen is a ReLU that is written as a product
or by torch.where, or hidden in a torch.autograd.Function.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from xaicore import MethodError
from xaicore.layers import no_relu
from xaicore_torch.leaves import Leaves
from xaicore_torch.origins import Origins
from xaicore_torch.private import HIDING, OTHER_ACTIVATIONS, is_rectifier, is_view

__all__ = ["VisibleRectifiers", "find_rectifiers", "passing_by"]


def find_rectifiers(start: Any, inputs: Sequence[torch.Tensor], rule: str) -> list[Any]:
    """The graph nodes of the ReLUs between inputs and outputs.

    Args:
        start: the graph node of the outputs; None where they were not recorded.
        inputs: the leaves that they were computed from.
        rule: that they are to follow, for the message.

    Raises:
        MethodError: there is no ReLU, or a part of the graph does not show its operations.
    """
    nodes = [] if start is None else Origins(inputs).between(start)
    names = [type(node).__name__ for node in nodes]
    hidden = next((name for name in names if any(part in name for part in HIDING)), None)
    if hidden is not None:
        raise MethodError(
            f"the rule {rule!r} needs to see every ReLU, and a part of the model is compiled ({hidden}): explain the "
            "model that it was made from, or use method='gradient' (command line: --method gradient)"
        )
    rectifiers = [node for node in nodes if is_rectifier(node)]
    if not rectifiers:
        raise no_relu(rule, sorted({OTHER_ACTIVATIONS[name] for name in names if name in OTHER_ACTIVATIONS}))
    return rectifiers


@contextlib.contextmanager
def passing_by(rule: str, rectifiers: Sequence[Any]) -> Iterator[None]:
    """Inside, gradients pass these graph nodes by the rule "guided" or "deconv". Nothing else is changed."""
    handles = [node.register_hook(_RULES[rule]) for node in rectifiers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _guided(handed_on: Sequence[torch.Tensor | None], arrived: Sequence[torch.Tensor | None]) -> Any:
    return tuple(map(_positive, handed_on))


def _deconv(handed_on: Sequence[torch.Tensor | None], arrived: Sequence[torch.Tensor | None]) -> Any:
    (gradient,) = arrived
    return tuple(None if one is None else _positive(gradient) for one in handed_on)


def _positive(gradient: torch.Tensor | None) -> torch.Tensor | None:
    return None if gradient is None else gradient.clamp(min=0)


_RULES: dict[str, Callable[..., Any]] = {"guided": _guided, "deconv": _deconv}


class VisibleRectifiers(TorchFunctionMode):
    """Makes ReLUs that write into a view visible to `find_rectifiers`: their node lies inside of another's.

    They write to a copy, which is then put into the view: the values are the same.
    """

    def __init__(self, leaves: Leaves) -> None:
        super().__init__()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        tensor = args[0] if args else None
        writes = bool(kwargs.get("inplace")) or getattr(func, "__name__", "") in _WRITING
        if writes and isinstance(tensor, torch.Tensor) and torch.is_grad_enabled() and is_view(tensor):
            return tensor.copy_(func(tensor.clone(), *args[1:], **kwargs))
        return func(*args, **kwargs)


_WRITING = frozenset({"relu_", "hardtanh_", "threshold_", "clamp_", "clamp_min_"})
