"""The layers that nets of the kit are made of: what each takes, its way forward and back; float64, channels first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from xaicore.testing.nets.arithmetic import convolve, convolve_back, relu, relu_back

__all__ = ["Step", "affine", "convolution", "dense", "lookup", "mean", "rectifier"]


@dataclass(frozen=True)
class Step:
    """One layer of a net.

    Attributes:
        takes: the inputs and layers whose outputs it takes.
        forward: makes its output of these.
        back: `back(d, rule, *taken)`, the gradients at what it took, from d at its output, by one of `RULES`.
    """

    takes: tuple[str, ...]
    forward: Callable[..., np.ndarray]
    back: Callable[..., tuple[np.ndarray, ...]]


def convolution(taken: str, kernel: np.ndarray, bias: np.ndarray | None = None, stride: int = 1) -> Step:
    """Of a kernel (D, C, kh, kw), with zeros around where the stride is 1."""
    weight, offset = kernel.astype(np.float64), np.zeros(len(kernel)) if bias is None else bias
    return Step(
        (taken,),
        lambda x: convolve(x, weight, offset, stride),
        lambda d, rule, x: (convolve_back(d, weight, x.shape[2:], stride),),
    )


def rectifier(*taken: str) -> Step:
    """The ReLU of a sum, which hands the same gradient to all parts."""
    return Step(
        taken,
        lambda *parts: relu(np.add.reduce(parts)),
        lambda d, rule, *parts: (relu_back(d, np.add.reduce(parts), rule),) * len(parts),
    )


def affine(taken: str, scale: np.ndarray, shift: np.ndarray) -> Step:
    """x * scale + shift, (C,) each, as a norm of the channels with stored statistics."""
    factor, offset = (one.astype(np.float64)[:, None, None] for one in (scale, shift))
    return Step((taken,), lambda x: x * factor + offset, lambda d, rule, x: (d * factor,))


def mean(taken: str) -> Step:
    """Over all positions, (N, C, ...) to (N, C)."""

    def back(d: np.ndarray, rule: str, x: np.ndarray) -> tuple[np.ndarray]:
        each = d.reshape(*d.shape, *[1] * (x.ndim - 2)) / np.prod(x.shape[2:])
        return (np.broadcast_to(each, x.shape),)

    return Step((taken,), lambda x: x.reshape(*x.shape[:2], -1).mean(axis=2), back)


def dense(weight: np.ndarray, bias: np.ndarray, *taken: str) -> Step:
    """Of weights (D, C), on what it takes joined along the channels."""
    rows = weight.astype(np.float64)

    def back(d: np.ndarray, rule: str, *parts: np.ndarray) -> tuple[np.ndarray, ...]:
        ends = np.cumsum([part.shape[1] for part in parts])
        return tuple(np.split(d @ rows, ends[:-1], axis=1))

    return Step(taken, lambda *parts: np.concatenate(parts, axis=1) @ rows.T + bias, back)


def lookup(taken: str, table: np.ndarray) -> Step:
    """Rows of a table (words, C) by whole numbers, which have no gradient: (N, T) to (N, T, C)."""
    return Step((taken,), lambda x: table.astype(np.float64)[x], lambda d, rule, x: (np.zeros(x.shape),))
