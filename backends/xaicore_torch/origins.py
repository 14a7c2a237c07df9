"""Which of some tensors another one depends on, from autograd's graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from xaicore_torch.private import graph_leaf

__all__ = ["Origins", "graph_nodes"]


class Origins:
    """The indices of the leaves, or of the graph nodes, that a graph node depends on.

    Args:
        leaves: tensors that require grad.
        nodes: {graph node: its index}, where what depends on certain results is wanted.
        unrecorded: the index of what was not recorded; None leaves it out.
    """

    def __init__(
        self,
        leaves: Sequence[torch.Tensor] = (),
        nodes: Mapping[Any, int] | None = None,
        unrecorded: int | None = None,
    ) -> None:
        self._leaves = {id(leaf): i for i, leaf in enumerate(leaves)}
        self._nodes = nodes or {}
        self._known: dict[Any, frozenset[int]] = {None: frozenset(() if unrecorded is None else [unrecorded])}

    def of(self, node: Any) -> tuple[int, ...]:
        """The indices that a graph node depends on, in their order."""
        pending = [node]
        while pending:
            current = pending[-1]
            if current in self._known:
                pending.pop()
                continue
            before = [other for other, _ in current.next_functions]
            missing = [other for other in before if other not in self._known]
            if missing:
                pending += missing
                continue
            indices = (self._nodes.get(current), self._leaves.get(id(graph_leaf(current))))
            own = [index for index in indices if index is not None]
            self._known[current] = frozenset(own).union(*(self._known[other] for other in before))
            pending.pop()
        return tuple(sorted(self._known[node]))

    def between(self, node: Any) -> list[Any]:
        """The graph nodes that lead from the leaves to a node, this one included."""
        return [one for one in graph_nodes(node) if self.of(one)]


def graph_nodes(node: Any) -> list[Any]:
    """Every node of autograd's graph that a node was computed from, this one included."""
    pending, seen, found = [node], {None, node}, []
    while pending:
        found.append(pending.pop())
        before = {other for other, _ in found[-1].next_functions} - seen
        seen |= before
        pending += before
    return found
