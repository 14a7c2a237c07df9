"""Any of Keras' backends, by plain calls: forward passes alone.

For NumPy, OpenVINO, and backends that packages bring, where nothing says how to differentiate. What depends on what is
found by changing it, in more passes.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from xaicore_keras.advice import no_gradients
from xaicore_keras.asked import Leaf, Tap
from xaicore_keras.calls import Recorder
from xaicore_keras.engine import Engine, Forward, Run
from xaicore_keras.engines.probes import Probes
from xaicore_keras.inputs import Inputs
from xaicore_keras.reducer import Reducer
from xaicore_keras.run import Program
from xaicore_keras.seen import Seen
from xaicore_keras.state import preserved_model
from xaicore_keras.traces import Traces

__all__ = ["ForwardEngine"]


class ForwardEngine(Engine):
    """Runs models as they are, and forward only."""

    has_gradients = False
    powers = frozenset({"attention", "parts", "resume", "resume_parts"})

    def survey(self, run: Run, model: Any, batch: Inputs, inline: bool, recorder: Recorder) -> Seen:
        """Passes over changed values, and a last one over the values themselves, whose tensors are returned."""
        with self.eager(model, batch, inline) as tensors:
            return Probes(run, recorder, tensors).seen()

    @contextlib.contextmanager
    def eager(self, model: Any, batch: Inputs, inline: bool) -> Iterator[list[Any]]:
        """Copies, because some models write into their inputs."""
        with self.isolated():
            yield _tensors(batch)

    def forward(self, program: Program, traces: Traces, batch: Inputs, reducer: Reducer | None = None) -> Forward:
        """One pass, not compiled."""
        with self.isolated():
            outputs, taken = _values(program, _tensors(batch), {}, program.asked.read)
        return Forward(outputs, taken, _no_pull)

    def resume(self, program: Program, traces: Traces, batch: Inputs, activations: np.ndarray) -> list[np.ndarray]:
        """All of the model runs, and the activations replace what it computed."""
        leaf, *others = program.asked.read
        repeats = len(activations) // batch.count
        with self.isolated():
            start = keras.ops.convert_to_tensor(activations)
            rows = [keras.ops.copy(keras.ops.repeat(t, repeats, axis=0)) if t.shape else t for t in _tensors(batch)]
            outputs, taken = _values(program, rows, {leaf: lambda t: keras.ops.cast(start, t.dtype)}, others)
        return [outputs, *taken]

    def pushed(self, function: Callable[[Any], Any], tensor: Any) -> tuple[Any, Any]:
        """None, without derivatives."""
        raise no_gradients()


def _tensors(batch: Inputs) -> list[Any]:
    return [keras.ops.copy(keras.ops.convert_to_tensor(tensor)) for tensor in batch.tensors]


def _values(
    program: Program, tensors: Sequence[Any], replaced: Mapping[Leaf, Tap], read: Sequence[Leaf]
) -> tuple[np.ndarray, list[np.ndarray]]:
    """The outputs of one pass, and the values of the leaves that are read, float32."""
    taken: dict[Leaf, np.ndarray] = {}

    def tap(leaf: Leaf, tensor: Any) -> Any:
        taken[leaf] = _to_host(tensor)  # at once: the model may still write into the tensor
        return tensor

    taps = {leaf: functools.partial(tap, leaf) for leaf in read}
    with preserved_model(program.model()):
        y = program(tensors, {**replaced, **taps})
    return _to_host(y), [taken[leaf] for leaf in read]


def _to_host(tensor: Any) -> np.ndarray:
    return np.array(keras.ops.convert_to_numpy(tensor), np.float32)


def _no_pull(direction: np.ndarray, rule: str) -> list[np.ndarray | None]:
    raise no_gradients()
