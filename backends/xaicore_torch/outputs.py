"""What a model returned: which tensor is explained, and where its logits are."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.autograd.graph import GradientEdge

from xaicore.outputs import SUM, are_probabilities, tolerance
from xaicore_torch.arrangement import AS_GIVEN, Arrangement
from xaicore_torch.copies import to_host
from xaicore_torch.links import End, find_link

__all__ = [
    "Outputs",
    "first_tensor",
    "is_half",
    "read",
    "replace_first_tensor",
    "tensors_in",
]


@dataclass(frozen=True)
class Outputs:
    """The outputs of one pass, and where to pull back from.

    Attributes:
        array: (N, *O) float32, the classes on axis 1.
        kind: "logits", "probabilities", or "values" of the caller's scores.
        link: "softmax", "log_softmax", "sigmoid" or None: what the model itself puts on its logits.
        start: the tensor, or the edge of the graph just below the link.
        like: a tensor with the shape, type and device of one direction at `start`.
        arrangement: where the axes of the array lie in the tensor.
        order: for each value of `like`, its place in the flat tensor, -1 where it has none; None: the same places.
        passed: the graph nodes of links behind `start`, which gradients pass unchanged.
    """

    array: np.ndarray
    kind: str
    link: str | None
    start: torch.Tensor | GradientEdge
    like: torch.Tensor
    arrangement: Arrangement = AS_GIVEN
    order: np.ndarray | None = None
    passed: tuple[Any, ...] = ()

    def directions(self, direction: np.ndarray) -> np.ndarray:
        """Directions (N, K, *O) as (K, *start), in the axes of what is pulled back from."""
        rows = self.arrangement.directions(direction)
        if self.order is not None:
            rows = np.where(self.order < 0, 0, rows.reshape(len(rows), -1)[:, self.order])
        return rows.reshape(len(rows), *self.like.shape)

    def rows(self, direction: np.ndarray) -> torch.Tensor:
        """The same as tensors like `like`."""
        given = np.ascontiguousarray(self.directions(direction))
        return torch.from_numpy(given).to(self.like.device, self.like.dtype)


def is_half(tensor: torch.Tensor) -> bool:
    """Whether the values are rounded to half precision."""
    return tensor.dtype in (torch.float16, torch.bfloat16)


def tensors_in(value: Any) -> Iterator[torch.Tensor]:
    """The tensors in a module's output, which may nest tuples, lists and mappings."""
    if isinstance(value, torch.Tensor):
        yield value
        return
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, (tuple, list)) else ()
    for part in parts:
        yield from tensors_in(part)


def first_tensor(value: Any) -> torch.Tensor | None:
    """The first tensor in a module's output, which the layer's name stands for."""
    return next(tensors_in(value), None)


def replace_first_tensor(output: Any, change: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    """A layer's output with its first tensor changed; None where it has none, as a hook returns to change nothing."""
    if isinstance(output, torch.Tensor):
        return change(output)
    if isinstance(output, Mapping):
        for key, part in output.items():
            changed = replace_first_tensor(part, change)
            if changed is not None:
                changed_output: Any = copy.copy(output)
                changed_output[key] = changed
                return changed_output
    elif isinstance(output, (tuple, list)):
        for i, part in enumerate(output):
            changed = replace_first_tensor(part, change)
            if changed is not None:
                parts = [*output[:i], changed, *output[i + 1 :]]
                return type(output)(*parts) if hasattr(output, "_fields") else type(output)(parts)
    return None


def read(
    y: torch.Tensor,
    known_link: str | None = None,
    arrangement: Arrangement = AS_GIVEN,
    is_score: bool = False,
) -> Outputs:
    """The outputs, with their logits where a softmax, log-softmax or sigmoid ends the model.

    Args:
        y: the model's outputs.
        known_link: the link of outputs that were not recorded; the graph of recorded ones shows it.
        arrangement: where their axes lie.
        is_score: they are scores, which are read as they are.
    """
    array = to_host(y).copy()  # some models return a tensor that they keep
    if is_score:
        return Outputs(arrangement.outputs(array), "values", None, y, y, arrangement)
    end = find_link(y, arrangement.class_axis) if y.grad_fn is not None else End("logits", known_link)
    kind = end.kind
    if end.link is not None:
        array = _logits(array, end.link)
    array = arrangement.outputs(array)
    if end.link is None and kind == "logits" and are_probabilities(array, tolerance(is_half(y), SUM)):
        kind = "probabilities"
    if end.start is None or end.result is None:
        return Outputs(array, kind, end.link, y, y, arrangement, passed=end.passed)
    return Outputs(array, kind, end.link, end.start, end.result, arrangement, end.order)


def _logits(p: np.ndarray, link: str) -> np.ndarray:
    """The logits behind the link's result; for a softmax, up to a constant per image.

    A probability that was rounded to 0 or 1 gets the largest logit that float32 can tell from the next one.
    """
    tiny = np.finfo(np.float32).tiny
    if link == "log_softmax":  # its results are logits
        return p
    if link == "softmax":
        return np.log(np.maximum(p, tiny))
    p = p.astype(np.float64)
    return (np.log(np.maximum(p, tiny)) - np.log(np.maximum(1 - p, tiny))).astype(np.float32)
