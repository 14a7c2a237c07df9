"""One architecture with a target, and its comparison with plain autograd."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
import torch

import xaicore
from xaicore.layers import Places

__all__ = ["Case", "tried"]

Score = Callable[[Any, int, int], torch.Tensor]
"""`score(answer, n, k)` is the number that target k of image n explains, of what the model returned."""


@dataclass(frozen=True)
class Case:
    """What is explained.

    Attributes:
        name: the architecture.
        target: what the table calls the target.
        build: makes the model, in evaluation mode, and its inputs.
        aim: makes the target, from the model and its inputs; with `generated`, from what was generated.
        score: of the target, written without xaicore.
        options: of the explainer.
    """

    name: str
    target: str
    build: Callable[[], tuple[torch.nn.Module, Any]]
    aim: Callable[[torch.nn.Module, Any], tuple[Any, xaicore.Target, Score]]
    options: Mapping[str, Any] = field(default_factory=dict)


def tried(case: Case) -> dict[str, Any]:
    """A row of the table."""
    row: dict[str, Any] = {"name": case.name, "target": case.target}
    torch.manual_seed(0)
    torch.set_num_threads(1)
    try:
        model, x = case.build()
        x, target, score = case.aim(model.eval(), x)
    except Exception as exc:
        return {**row, "not_built": f"{type(exc).__name__}: {exc}"}
    try:
        explainer = xaicore.Explainer(model, **case.options)
        found = explainer(x, target)
        return {**row, "named": "layer" in case.options, **_compared(explainer, model, x, found, score)}
    except xaicore.XaicoreError as exc:
        return {**row, "refused": f"{type(exc).__name__}: {exc}"}
    except Exception as exc:
        return {**row, "failed": f"{type(exc).__name__}: {exc}"}


def _compared(
    explainer: xaicore.Explainer, model: torch.nn.Module, x: Any, found: xaicore.Explanation, score: Score
) -> dict[str, Any]:
    (name,) = explainer.layers
    _, place = Places(explainer.backend, explainer.layers).find(explainer.backend.with_batch_axis(x))
    assert place is not None
    grid = place.grids[name]
    count = len(found.image_index.tolist()) // len(set(found.image_index.tolist()))
    features, answer = _pass(model, place.captured[0], x)
    expected = []
    for m in range(len(found.maps)):
        n, k = divmod(m, count)
        (gradient,) = torch.autograd.grad(score(answer, n, k), features, retain_graph=True)
        a, g = (_arranged(one, grid)[n] for one in (features.detach(), gradient))
        weights = g.mean(axis=tuple(range(1, g.ndim)), keepdims=True)
        expected.append(np.maximum((weights * a).sum(axis=0), 0))
    largest = float(np.max(expected))
    others = f" + {grid.prefix}" * bool(grid.prefix) + f" + {grid.suffix} behind" * bool(grid.suffix)
    return {
        "layer": name,
        "grid": " x ".join(map(str, grid.size)) + others,
        "rows": len(found.maps),
        "empty": int(found.empty.sum()),
        "difference": float(np.abs(found.maps - np.stack(expected)).max()) / (largest or 1),
    }


def _pass(model: torch.nn.Module, name: str, x: Any) -> tuple[torch.Tensor, Any]:
    """The layer's output in one of its runs, and what the model returned."""
    kept: list[torch.Tensor] = []
    name, _, run = name.partition("#")

    def hook(module: Any, inputs: Any, result: Any) -> Any:
        kept.append(next(_tensors(result)))
        if not kept[-1].requires_grad:  # behind frozen weights
            kept[-1].requires_grad_()
        return result.clone() if kept[-1] is result else None  # an in-place operation may follow

    handle = model.get_submodule(name).register_forward_hook(hook)
    arguments = x if isinstance(x, tuple) else () if isinstance(x, dict) else (x,)
    try:
        answer = model(*arguments, **(x if isinstance(x, dict) else {}))
    finally:
        handle.remove()
    return kept[int(run) - 1 if run else -1], answer


def _arranged(tensor: torch.Tensor, grid: Any) -> np.ndarray:
    """(images, C, *size)."""
    letters, array = grid.axes, tensor.numpy()
    order = [letters.index("n"), letters.index("c")]
    array = array.transpose(order + [i for i, letter in enumerate(letters) if letter not in "nc"])
    if "l" in letters:
        array = array[:, :, grid.prefix : grid.prefix + prod(grid.size)].reshape(*array.shape[:2], *grid.size)
    return array


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (tuple, list)):
        for one in value:
            yield from _tensors(one)
    elif hasattr(value, "values"):
        for one in value.values():
            yield from _tensors(one)
