"""Products of attention weights and values, as models write them: matrix products, or einsum with any order of axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from math import prod
from typing import Any

import torch

__all__ = ["Product"]

LETTERS = "ABCDEFGH"
"""Stand for the axes of an ellipsis."""


@dataclass(frozen=True, eq=False)
class Product:
    """Weights (*rows, Q, T) times values.

    Attributes:
        weights, values: the factors.
        values_order: the order of the values' axes that makes them (*rows, T, E).
        result_order: the order of the result's axes that makes it (*rows, Q, E).
    """

    weights: torch.Tensor
    values: torch.Tensor
    values_order: tuple[int, ...]
    result_order: tuple[int, ...]

    @staticmethod
    def of_matrices(left: torch.Tensor, right: torch.Tensor, *more: Any) -> Product | None:
        """The product of `left @ right`; None where one is a vector."""
        if min(left.ndim, right.ndim) < 2:
            return None
        return Product(left, right, tuple(range(right.ndim)), tuple(range(max(left.ndim, right.ndim))))

    @staticmethod
    def of_einsum(equation: Any, *operands: Any) -> Product | None:
        """The product of `torch.einsum(equation, weights, values)`, or of values and weights; None for any other."""
        factors = operands[0] if len(operands) == 1 and isinstance(operands[0], (list, tuple)) else operands
        if not isinstance(equation, str) or "->" not in equation or len(factors) != 2:
            return None
        terms, result = equation.replace(" ", "").split("->")
        pairs = [(_letters(term, factor.ndim), factor) for term, factor in zip(terms.split(","), factors, strict=True)]
        result = _letters(result, _ndim(result, pairs))
        for (of_weights, weights), (of_values, values) in (pairs, pairs[::-1]):
            found = _orders(of_weights, of_values, result)
            if found is not None:
                return Product(weights, values, *found)
        return None

    def arranged(self, shape: Sequence[int], result: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor] | None:
        """The values (R, H, T, E) and the result (R, H, Q, E) for weights (R, H, Q, T); None where they do not fit."""
        rows, heads, queries, keys = shape
        output, values = result.permute(self.result_order), self.values.permute(self.values_order)
        lead = output.shape[:-2]
        if prod(lead) != rows * heads or output.shape[-2] != queries or values.shape[-2] != keys:
            return None
        values = values.expand(*lead, *values.shape[-2:])
        return values.reshape(rows, heads, keys, -1), output.reshape(rows, heads, queries, -1)

    def given_back(self, output: torch.Tensor, result: torch.Tensor) -> torch.Tensor:
        """The output (R, H, Q, E) in the axes of the result."""
        arranged = output.reshape([result.shape[axis] for axis in self.result_order])
        order = [self.result_order.index(axis) for axis in range(result.ndim)]
        return arranged.permute(order)


def _letters(term: str, ndim: int) -> str:
    return term.replace("...", "".join(islice(LETTERS, ndim - len(term.replace("...", "")))))


def _ndim(result: str, pairs: Sequence[tuple[str, torch.Tensor]]) -> int:
    """The number of axes of a result, whose ellipsis is that of the factors."""
    named = len(result.replace("...", ""))
    return named + sum(letter in LETTERS for letter in max((letters for letters, _ in pairs), key=len))


def _orders(weights: str, values: str, result: str) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """The orders of the values' and the result's axes, if the weights' last two are queries and keys; else None."""
    if len(weights) < 2:
        return None
    rows, query, key = weights[:-2], weights[-2], weights[-1]
    (*features,) = set(values) - set(weights)
    is_product = set(values) == {*rows, key, *features} and set(result) == {*rows, query, *features}
    if not is_product or len(features) != 1:
        return None
    return (
        tuple(values.index(letter) for letter in (*rows, key, *features)),
        tuple(result.index(letter) for letter in (*rows, query, *features)),
    )
