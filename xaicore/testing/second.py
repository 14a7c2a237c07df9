"""Second derivatives of the kit's nets."""

from __future__ import annotations

from typing import Any

import numpy as np

from xaicore.testing.subject import Subject

__all__ = ["hessian_times_values"]


def hessian_times_values(subject: Subject, name: str, rows: np.ndarray, step: float = 1e-4) -> np.ndarray:
    """(N, K, *layer), the Hessian of each score times the values of a layer, by differences of closed gradients."""
    net: Any = subject.net
    value = subject.values[name]

    def gradient(scale: float) -> np.ndarray:
        values = net.after(name, value * scale, subject.values)
        found: np.ndarray = net.backward(values, rows)[name]
        return found

    return (gradient(1 + step) - gradient(1 - step)) / (2 * step)
