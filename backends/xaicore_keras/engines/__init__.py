"""One engine for each of Keras' backends, the same methods in the same order in each.

An engine runs a `Program`, the model as a function of flat tensors. It knows no layouts, targets, half precision
or errors: activations and gradients go in and out as the model has them.
"""

from __future__ import annotations

import contextlib
import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from xaicore import BackendError
from xaicore_keras.inputs import Inputs
from xaicore_keras.run import Program
from xaicore_keras.traces import Traces

__all__ = ["Engine", "Forward", "Run", "engine"]

Run = Callable[[Sequence[Any], Sequence[Any] | None], Any]
"""`run(tensors, weights)` runs the model and returns the chosen output; weights of None are its own."""

Pull = Callable[[np.ndarray], list[np.ndarray | None]]


@dataclass(frozen=True)
class Forward:
    """One forward pass that waits for a direction.

    Attributes:
        outputs: (N, ...) float32, in the model's layout.
        activations: one (N, ...) float32 a layer.
        pull: a direction (N, K, ...) to a gradient (N, K, ...) float32 a layer, None where a layer does not
            reach the outputs. May be called again.
    """

    outputs: np.ndarray
    activations: list[np.ndarray]
    pull: Pull


class Engine(ABC):
    """How one of Keras' backends runs and differentiates a model."""

    @abstractmethod
    def look(self, run: Run, model: Any, given: Inputs, inlined: bool) -> tuple[Any, str | None]:
        """(output, link) of one run, computed only where that cannot be helped.

        The link is that of the last operation, "softmax" or "sigmoid", as the framework's own graph shows it.
        `inlined`: compiled functions of the user's are traced as if they were plain ones.
        """

    def hides(self, y: Any, tensor: Any) -> bool:
        """Whether a tensor seen in a look lies inside of a loop or compiled function, out of reach from y."""
        return False

    def outside(self) -> contextlib.AbstractContextManager[Any]:
        """Out of the caller's gradient tapes and modes."""
        return contextlib.nullcontext()

    @abstractmethod
    def forward(self, program: Program, traces: Traces, given: Inputs, layers: Sequence[str], pulls: bool) -> Forward:
        """One forward pass; `pulls`: ready for a direction."""

    @abstractmethod
    def resume(
        self, program: Program, traces: Traces, given: Inputs, layer: str, activations: np.ndarray
    ) -> np.ndarray:
        """Outputs (N*R, ...) float32 from activations (N*R, ...) of a layer in the model's layout."""


def engine() -> Engine:
    """The engine of the backend that Keras runs on.

    Raises:
        BackendError: there is none for it.
    """
    names = {"tensorflow": "TensorFlowEngine", "jax": "JaxEngine", "torch": "TorchEngine"}
    running = keras.backend.backend()
    if running not in names:
        raise BackendError(
            f"Keras runs on {running!r}, which xaicore_keras does not know; expected one of {', '.join(names)}: "
            "set KERAS_BACKEND before Keras is imported"
        )
    module = importlib.import_module(f"xaicore_keras.engines.{running}")
    made: Engine = getattr(module, names[running])()
    return made
