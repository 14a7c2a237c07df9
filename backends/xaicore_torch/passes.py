"""One recorded pass of a model, and the pull-back to everything that it was recorded for."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from xaicore import pull_in_half
from xaicore.layers import pull_images
from xaicore_torch.inputs import Inputs
from xaicore_torch.leaves import Leaf, Leaves
from xaicore_torch.outputs import Outputs
from xaicore_torch.pullback import pull_back
from xaicore_torch.recorder import Recorder

__all__ = ["Mode", "Recorded", "pull_to", "record"]

Mode = Callable[[Leaves], contextlib.AbstractContextManager[Any]]
"""`mode(leaves)` surrounds a forward pass, such as a function mode that keeps leaves of its own. It is made anew where
the pass is repeated."""


@dataclass(frozen=True)
class Recorded:
    """One pass: its outputs, its leaves, and {layer: how often it ran}."""

    y: torch.Tensor
    leaves: Leaves
    runs: Mapping[str, int]


def record(
    run: Callable[[Inputs], torch.Tensor],
    batch: Inputs,
    modules: Mapping[str, nn.Module],
    expected_runs: Mapping[str, int],
    with_gradients: bool,
    modes: Sequence[Mode] = (),
) -> Recorded:
    """One pass that keeps these layers as leaves. It is repeated where it was recorded wrongly.

    That is where a layer ran less often than it did before, or where the model's own no_grad switched grad off.

    Args:
        run: runs the model; gives the outputs to explain.
        batch: what it takes; a pass gets copies.
        modules: {layer: module}.
        expected_runs: see `Recorder`.
        with_gradients: whether the pass is to be pulled back.
        modes: what surrounds it.
    """
    is_recording = False
    while True:
        leaves = Leaves()
        recorder = Recorder(modules, expected_runs, leaves)
        with contextlib.ExitStack() as stack:
            stack.enter_context(recorder.hooks)
            stack.enter_context(torch.set_grad_enabled(is_recording))
            for mode in modes:
                stack.enter_context(mode(leaves))
            y = run(batch.clone())
        if recorder.missed_a_run:
            expected_runs = {}
            continue
        if with_gradients and leaves.tensors and not y.requires_grad and not is_recording:
            is_recording = True
            continue
        return Recorded(y, leaves, recorder.runs)


def pull_to(
    leaves: Mapping[Leaf, torch.Tensor],
    outputs: Outputs,
    direction: np.ndarray,
    axes: Sequence[int] | None,
    is_coupled: bool | None,
    retain_graph: bool = False,
) -> tuple[dict[Leaf, np.ndarray | None], bool | None]:
    """The direction (N, K, *O) pulled back to leaves, (N, K, *leaf) each, in one backward pass; and whether the images
    are coupled.

    Args:
        leaves: {leaf: tensor}.
        outputs: of the pass.
        direction: as checked.
        axes, is_coupled: see `pull_images`.
        retain_graph: whether the graph is needed again.

    Returns:
        None for a leaf that the outputs do not depend on.
    """
    may_underflow = outputs.like.dtype == torch.float16
    retain = retain_graph or may_underflow or axes is not None

    def pull_once(direction: np.ndarray) -> list[np.ndarray | None]:
        return pull_back(outputs.start, list(leaves.values()), direction, like=outputs.like, retain_graph=retain)

    def pull(direction: np.ndarray) -> list[np.ndarray | None]:
        return pull_in_half(pull_once, direction) if may_underflow else pull_once(direction)

    pulled, is_coupled = pull_images(pull, direction, axes, is_coupled)
    return dict(zip(leaves, pulled, strict=True)), is_coupled
