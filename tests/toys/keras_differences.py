"""An engine of Keras as a package may bring it: gradients for any of Keras' backends, by differences."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from xaicore_keras import Forward, ForwardEngine

STEP = 1e-2


class DifferencesEngine(ForwardEngine):
    """Changes each number of a layer by itself: for tiny nets, whose gradients are exact where they are linear."""

    has_gradients = True
    powers = frozenset({"parts", "resume"})

    def forward(self, program: Any, traces: Any, batch: Any) -> Forward:
        """Pulls back to the first layer that is read."""
        forward = super().forward(program, traces, batch)

        def pull(direction: np.ndarray, rule: str) -> list[np.ndarray | None]:
            (leaf,) = program.asked.ends(rule)
            values = forward.values[program.asked.read.index(leaf)]
            n, size = len(values), values[0].size
            steps = np.concatenate([np.eye(size), -np.eye(size)]).reshape(1, -1, *values.shape[1:]) * STEP
            rows = (values[:, None] + steps).reshape(-1, *values.shape[1:]).astype(np.float32)
            outputs = self.resume(program, traces, batch, rows)[0].reshape(n, 2, size, -1)
            slopes = (outputs[:, 0] - outputs[:, 1]) / (2 * STEP)  # (N, size, outputs)
            rows_of = direction.reshape(n, direction.shape[1], -1)
            pulled = np.einsum("nso,nko->nks", slopes, rows_of)
            return [pulled.reshape(n, direction.shape[1], *values.shape[1:]).astype(np.float32)]

        return replace(forward, pull=pull)
