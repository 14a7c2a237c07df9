"""The softmaxes of outputs that a model makes step by step, one for each word, and joins at its end."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from xaicore.outputs import SUM, tolerance
from xaicore_torch.origins import graph_nodes
from xaicore_torch.private import JOINING, LINKS, MOVING, PASSING

__all__ = ["joined_softmaxes", "passed_by"]


def joined_softmaxes(y: torch.Tensor, class_axis: int) -> tuple[str | None, tuple[Any, ...]]:
    """("softmax" or "log_softmax", their graph nodes), where y is nothing else than several of them, else (None, ()).

    They are over the classes if the probabilities sum to 1 along this axis. What the model uses a second time, such as
    the probabilities of a word that choose what the next step reads, is left as it is, wherever it is read.

    Args:
        y: the model's outputs, recorded by autograd.
        class_axis: of y.
    """
    nodes, behind = _ends(y.grad_fn)
    links = {LINKS.get(type(node).__name__, "") for node in nodes}
    if links not in ({"softmax"}, {"log_softmax"}) or class_axis >= y.ndim:
        return None, ()
    (link,) = links
    values = y.detach().float()
    sums = (values.exp() if link == "log_softmax" else values).sum(class_axis)
    near = tolerance(torch.finfo(y.dtype).bits == 16, SUM)
    if not bool(((sums - 1).abs() <= near).all()):
        return None, ()
    uses = Counter(before for node in graph_nodes(y.grad_fn) for before, _ in node.next_functions)
    return (link, nodes) if all(uses[node] <= 1 for node in (*nodes, *behind)) else (None, ())


@contextlib.contextmanager
def passed_by(nodes: Sequence[Any]) -> Iterator[None]:
    """Inside, gradients pass these graph nodes unchanged: what is pulled back are directions of the logits below."""
    handles = [node.register_hook(lambda handed_on, arrived: arrived) for node in nodes]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _ends(node: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """The graph nodes of what is joined, and those behind them, which join it; none where nothing is."""
    pending, ends, behind = [node], [], []
    is_joined = False
    while pending:
        node = pending.pop()
        name = type(node).__name__
        if name in LINKS:
            ends.append(node)
            continue
        behind.append(node)
        if name in JOINING:
            is_joined = True
            pending += [before for before, _ in node.next_functions if before is not None]
        elif name in PASSING or name in MOVING:
            pending.append(node.next_functions[0][0])
        else:
            return (), ()
    return (tuple(ends), tuple(behind)) if is_joined else ((), ())
