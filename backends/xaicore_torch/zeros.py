"""Products with what is zero, left out.

The score of a word reads one position of the outputs and one token of the vocabulary. Pulled back through the dense
layer that ends the model, its direction is a matrix of zeros but for one number, and in the decoder below, the
positions behind the word have no gradient.
"""

from __future__ import annotations

import contextlib
from typing import Any

import torch

from xaicore_torch.private import DispatchMode

__all__ = ["skipped_zeros"]

LARGE = 2**17
"""The numbers in one direction from which on zeros are looked for. Below it, products are small, and to watch every
operation of a detector's pass costs more: 1.12 of the time for ten of DETR's boxes, directions of 9,200 numbers."""

LEAST = 2**22
"""The multiplications of a product below which it is computed as fast as its zeros are found."""

WORTHWHILE = 0.75
"""The share of rows or columns that may be left before a product of all of them is as fast as a copy of these."""


def skipped_zeros(rows: torch.Tensor) -> contextlib.AbstractContextManager[Any]:
    """Leave out the zero rows and columns of what is pulled back from `rows`, wherever a matrix multiplies it.

    Only for large directions at positions, (K, N, T, classes), where most positions are zero, and on the CPU: another
    device would have to be waited for at each product.
    """
    is_large = rows.ndim > 3 and rows[0].numel() >= LARGE
    return SkippedZeros() if is_large and rows.device.type == "cpu" else contextlib.nullcontext()


class SkippedZeros(DispatchMode):  # type: ignore[no-untyped-call]
    """Computes `a @ b` from the rows and columns of a that are not zero.

    Zero times an infinite weight is zero here, where autograd has NaN.
    """

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.mm.default and not types and _is_large_and_dense(*args):
            return _product(*args)
        return func(*args, **(kwargs or {}))


def _is_large_and_dense(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Whether the product costs more than to find zeros, of matrices whose rows can be taken.

    Sparse ones have none to take, and rows of complex ones lose their conjugation here.
    """
    are_dense = a.is_floating_point() and a.layout == b.layout == torch.strided
    return are_dense and a.numel() * b.shape[1] >= LEAST


def _product(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    rows = _filled(a, 1)
    if len(rows) > WORTHWHILE * len(a):
        return torch.mm(a, b)
    whole = a.new_zeros(len(a), b.shape[1])
    if not len(rows):
        return whole
    part = a[rows]
    columns = _filled(part, 0)
    if len(columns) <= WORTHWHILE * a.shape[1]:
        part, b = part[:, columns], b[columns]
    return whole.index_copy_(0, rows, torch.mm(part, b))


def _filled(matrix: torch.Tensor, axis: int) -> torch.Tensor:
    """The rows, or columns, that have a value along this axis; the maximum of a NaN is a NaN, which is no zero."""
    return matrix.abs().amax(axis).nonzero()[:, 0]
