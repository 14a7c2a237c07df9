"""What a model returned: which tensor is explained, and where its logits are."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import is_tensor
from torch.autograd.graph import GradientEdge

from xaicore import BackendError
from xaicore.outputs import SUM, are_probabilities, choose_name, choose_output, tolerance
from xaicore_torch.private import CHANGING, LINKS, PASSING, link_result, softmax_axis

__all__ = [
    "Outputs",
    "choose_tensor",
    "find_link",
    "first_tensor",
    "is_half",
    "link_of",
    "named_shapes",
    "read",
    "replace_first_tensor",
    "tensors_in",
    "to_host",
]


@dataclass(frozen=True)
class Outputs:
    """The outputs of one pass, and where to pull back from.

    Attributes:
        array: (N, ...) float32.
        kind: "logits" or "probabilities".
        link: "softmax", "log_softmax", "sigmoid" or None: what the model itself puts on its logits.
        start: the tensor, or the edge of the graph just below the link.
        like: a tensor with the shape, type and device of one direction at `start`.
    """

    array: np.ndarray
    kind: str
    link: str | None
    start: torch.Tensor | GradientEdge
    like: torch.Tensor


def to_host(tensor: torch.Tensor) -> np.ndarray:
    """The values as float32 on the CPU, since NumPy has no bfloat16; shares the memory of such a tensor."""
    array: np.ndarray = tensor.detach().to("cpu", torch.float32).numpy()
    return array


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


def choose_tensor(returned: Any, output: int | str | None, count: int) -> torch.Tensor:
    """The tensor that is explained, among all that the model returned for `count` images.

    Without `output`: the only tensor, or the one called "logits".

    Raises:
        BackendError: there is none, several and `output` does not say which, or it has not one row per image.
    """
    _refuse_lists_per_image(returned)
    chosen = choose_output(_outputs(returned), output, returned, preferred="logits")
    if chosen.ndim == 0 or len(chosen) != count:
        raise BackendError(
            f"the model returned {tuple(chosen.shape)} for {count} images; expected ({count}, ...), one row per "
            "image. A squeeze() without an axis drops the batch axis of a single image. A model with one answer for a "
            "bag of images: wrap it in one that takes (1, images, ...), a batch of one bag, and passes x[0] on"
        )
    return chosen


def named_shapes(returned: Any, output: int | str | None) -> tuple[int | str, dict[int | str, tuple[int, ...]]]:
    """The name or position of the output that is explained, and the shapes of all outputs; for `Facts`."""
    outputs = _outputs(returned)
    name = choose_name(outputs, output, returned, preferred="logits")
    return name, {name: tuple(tensor.shape) for name, tensor in outputs.items()}


def _refuse_lists_per_image(returned: Any) -> None:
    """Refuse what detectors return: a list with one dictionary of boxes and scores per image, not one row per image.

    Raises:
        BackendError: the model returned such a list.
    """
    if not isinstance(returned, (tuple, list)) or not returned:
        return
    if all(isinstance(part, Mapping) for part in returned):
        shapes = ", ".join(f"{name} {tuple(value.shape)}" for name, value in returned[0].items() if is_tensor(value))
        raise BackendError(
            f"the model returned a list of {len(returned)} dictionaries ({shapes}), as detectors do: what it found in "
            "each image, not outputs (N, classes). Explain a model that returns one score per image: wrap it in a "
            "Module whose forward returns the score of the box in question as (N, 1)"
        )


def _outputs(returned: Any) -> dict[int | str, torch.Tensor]:
    """{name or position: tensor}, the first tensor of each output."""
    if isinstance(returned, torch.Tensor):
        return {0: returned}
    if isinstance(returned, Mapping):
        parts = dict(returned)
    elif hasattr(returned, "_asdict"):
        parts = returned._asdict()
    elif isinstance(returned, (tuple, list)):
        parts = dict(enumerate(returned))
    else:
        parts = {"logits": getattr(returned, "logits", None)}
    tensors = {name: first_tensor(part) for name, part in parts.items()}
    return {name: tensor for name, tensor in tensors.items() if tensor is not None}


def link_of(y: torch.Tensor) -> str | None:
    """What a model's last operation puts on its logits: "softmax" (also for a log-softmax), "sigmoid" or None.

    Operations that only reshape or copy the result may follow. None also where the softmax is not over axis 1.

    Args:
        y: the model's outputs (N, classes), recorded by autograd.
    """
    _, link, _ = find_link(y)
    return "softmax" if link == "log_softmax" else link


def find_link(y: torch.Tensor) -> tuple[str, str | None, Any]:
    """(kind, link, graph node of the link) of recorded outputs; ("logits", None, None) where there is no link."""
    node: Any = y.grad_fn
    is_whole = True
    while (name := type(node).__name__) in PASSING or name in CHANGING:
        is_whole = is_whole and name in PASSING
        node = node.next_functions[0][0]
    link = LINKS.get(name)
    if link is None:
        return "logits", None, None
    result = link_result(node)
    if link != "sigmoid" and (result.ndim < 2 or softmax_axis(node) not in (1, 1 - result.ndim)):
        return "logits", None, None  # a softmax over something else than classes
    if not is_whole or result.numel() != y.numel():
        return ("logits" if link == "log_softmax" else "probabilities"), None, None
    return "logits", link, node


def read(y: torch.Tensor, known_link: str | None = None) -> Outputs:
    """The outputs, with their logits where a softmax, log-softmax or sigmoid ends the model.

    Args:
        y: the model's outputs.
        known_link: the link of outputs that were not recorded; the graph of recorded ones shows it.
    """
    kind, link, node = find_link(y) if y.grad_fn is not None else ("logits", known_link, None)
    array = to_host(y).copy()  # some models return a tensor that they keep
    if link is not None:
        array = _logits(array, link)
    elif kind == "logits" and are_probabilities(array, tolerance(is_half(y), SUM)):
        kind = "probabilities"
    if node is None:
        return Outputs(array, kind, link, y, y)
    return Outputs(array, kind, link, GradientEdge(*node.next_functions[0]), link_result(node))


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
