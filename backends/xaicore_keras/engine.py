"""The contract of engines: how one of Keras' backends runs and differentiates a model.

An engine runs a `Program`, the model as a function of flat tensors. It knows no layouts, targets, half precision or
errors: activations and gradients go in and out as the model has them. Imports no Keras.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

if TYPE_CHECKING:
    from xaicore_keras.calls import Recorder
    from xaicore_keras.inputs import Inputs
    from xaicore_keras.reducer import Reducer
    from xaicore_keras.run import Program
    from xaicore_keras.seen import Seen
    from xaicore_keras.traces import Traces

__all__ = ["Engine", "Forward", "Run"]

Run = Callable[[Sequence[Any], Sequence[Any] | None], Any]
"""`run(tensors, weights)` runs the model and returns the chosen output; weights of None are the model's own."""


@dataclass(frozen=True)
class Forward:
    """One forward pass that waits for a direction.

    Attributes:
        outputs: (N, ...) float32, in the model's layout.
        values: (N, ...) float32 for each leaf that the program reads; where layers are reduced, theirs stay arrays of
            the framework.
        pull: `pull(direction, rule)` takes a direction (N, K, ...) to a gradient (N, K, ...) float32 for each end of
            the program under this rule; None where an end does not reach the outputs. May be called again. Where layers
            are reduced, it gives their tables, of gradients divided by a third argument.
    """

    outputs: np.ndarray
    values: list[Any]
    pull: Callable[..., list[np.ndarray | None]]


class Engine(ABC):
    """How one of Keras' backends runs and differentiates a model.

    A package gives its engine the name of Keras' backend, in the group `xaicore_keras.engines` of its entry points. An
    engine is made anew, without arguments, for each `KerasBackend`; what it keeps is kept in `Traces`.
    """

    api_version: ClassVar[int] = 1
    has_gradients: bool = True
    """As `xaicore.Backend.has_gradients`: whether `Forward.pull` works."""
    powers: frozenset[str] = frozenset({"attention", "biases", "input_gradients", "parts", "resume", "resume_parts"})
    """As `xaicore.Backend.powers`. The methods below give these; "guided" and "second" are rules of `Forward.pull`,
    "reduce" is an argument of `forward`."""

    @abstractmethod
    def survey(self, run: Run, model: Any, batch: Inputs, inline: bool, recorder: Recorder) -> Seen:
        """One pass, and a pull-back of a mixture of the outputs.

        Without `inline`, a recorded tensor may lie out of reach of the gradients. The survey then reports no flows.

        Args:
            run: runs the model, hooks of the recorder set.
            model: whose weights are passed to `run`.
            batch: the inputs.
            inline: trace the user's own compiled functions as if they were plain ones.
            recorder: of the calls in the pass.
        """

    def hides(self, y: Any, tensor: Any) -> bool:
        """Whether a tensor that a survey recorded lies inside a loop or compiled function, out of reach from y."""
        return False

    def devices(self) -> tuple[str, ...]:
        """The devices that the framework sees, as `keras.device` takes them; none where there is no choice."""
        return ()

    def device_of(self, tensor: Any) -> str | None:
        """Where a tensor lies, as `keras.device` takes it; None where it is on several, or unknown."""
        return None

    def isolated(self) -> contextlib.AbstractContextManager[Any]:
        """Run code outside of the caller's gradient tapes, graphs and modes."""
        return contextlib.nullcontext()

    @contextlib.contextmanager
    def eager(self, model: Any, batch: Inputs, inline: bool) -> Iterator[list[Any]]:
        """The inputs as tensors with values, for a pass that is not compiled; `inline` as in `survey`."""
        import keras

        with self.isolated():
            yield [keras.ops.convert_to_tensor(tensor) for tensor in batch.tensors]

    @abstractmethod
    def forward(self, program: Program, traces: Traces, batch: Inputs, reducer: Reducer | None = None) -> Forward:
        """One forward pass; its `pull` may be called for the rules that the program was asked for.

        Args:
            program: the model, and what is asked of it.
            traces: keeps what is compiled.
            batch: the inputs.
            reducer: makes tables of layers where they lie; passed to engines with the power "reduce" alone. `pull`
                takes `scale` then, and returns `reducer.tables(...)`, copied to the host.
        """

    def on_accelerator(self, weight: Any) -> bool:
        """Whether this value of a variable lies in a device's own memory."""
        return False

    @abstractmethod
    def resume(self, program: Program, traces: Traces, batch: Inputs, activations: np.ndarray) -> list[np.ndarray]:
        """Outputs (N*R, ...) float32 from activations (N*R, ...) of the first leaf that the program reads, a layer.

        Then the values of its other leaves, outputs of the model.
        """

    @abstractmethod
    def pushed(self, function: Callable[[Any], Any], tensor: Any) -> tuple[Any, Any]:
        """f(z) and f'(z) z, a Jacobian-vector product, of a function f of one tensor z; not compiled.

        Raises:
            Exception: whatever the framework raises where f has no forward derivative.
        """
