"""A part of the picture, whose columns a recurrent layer reads one after the other."""

from __future__ import annotations

import numpy as np

from xaicore.testing.nets.arithmetic import convolve, convolve_back
from xaicore.testing.nets.net import GraphNet, Values
from xaicore.testing.nets.steps import Step, dense, rectifier

__all__ = ["RecurrentNet"]


class RecurrentNet(GraphNet):
    """Layers:

    - "conv1": a convolution of 3 x 3 with stride 1 and zeros around, of rows 1 to 4 of the picture: (N, 5, 4, 8);
    - "relu1": its ReLU;
    - "recurrent": of the mean over the rows, column by column, h = tanh(kernel x + state h + offset), from h = 0 on:
      all states, (N, 8, 7);
    - "dense": the logits, from the last state.

    Attributes:
        conv1, bias1: (5, 3, 3, 3) and (5,).
        kernel, state, offset: (7, 5), (7, 7) and (7,): output channels, input channels.
        dense, bias: (3, 7) and (3,).
    """

    name = "recurrent"
    layers = ("conv1", "relu1", "recurrent", "dense")
    maps = ("conv1", "relu1")
    part = (slice(1, 5), slice(0, 8))

    def __init__(self) -> None:
        rng = np.random.default_rng(13)
        self.conv1 = rng.normal(0, 0.3, (5, 3, 3, 3)).astype(np.float32)
        self.bias1, self.offset, self.bias = (rng.normal(0, 0.3, n).astype(np.float32) for n in (5, 7, 3))
        self.kernel, self.state = (rng.normal(0, 0.5, (7, n)).astype(np.float32) for n in (5, 7))
        self.dense = rng.normal(0, 1, (3, 7)).astype(np.float32)

    def pictures(self, count: int = 2, seed: int = 1) -> tuple[np.ndarray, ...]:
        """Pictures (count, 3, 6, 8)."""
        return (np.random.default_rng(seed).uniform(-1, 1, (count, 3, 6, 8)).astype(np.float32),)

    def taken(self, layer: str) -> tuple[str, ...]:
        """The first layer takes a part of the picture, the recurrent one a mean."""
        return ("conv1",) if layer == "relu1" else ()

    def taken_by_reader(self, picture: np.ndarray) -> np.ndarray:
        """Some of its rows."""
        return picture[(..., *self.part)]

    def input_of(self, layer: str, values: Values) -> np.ndarray:
        """Columns, (N, w, 5), for the recurrent layer."""
        columns: np.ndarray = values["relu1"].mean(axis=2).swapaxes(1, 2)
        return columns if layer == "recurrent" else super().input_of(layer, values)

    def graph(self) -> dict[str, Step]:
        """Each layer's step."""
        kernel = self.conv1.astype(np.float64)

        def convolve_part(x: np.ndarray) -> np.ndarray:
            return convolve(self.taken_by_reader(x), kernel, self.bias1)

        def back(d: np.ndarray, rule: str, x: np.ndarray) -> tuple[np.ndarray]:
            whole = np.zeros(x.shape)
            whole[(..., *self.part)] = convolve_back(d, kernel, d.shape[2:])
            return (whole,)

        return {
            "conv1": Step(("input",), convolve_part, back),
            "relu1": rectifier("conv1"),
            "recurrent": Step(("relu1",), self._states, self._states_back),
            "dense": _last(dense(self.dense, self.bias, "recurrent")),
        }

    def _states(self, x: np.ndarray) -> np.ndarray:
        """(N, 5, h, w) to (N, w, 7)."""
        states = [np.zeros((len(x), len(self.state)))]
        for column in np.moveaxis(x.mean(axis=2), 2, 0):
            states.append(np.tanh(column @ self.kernel.T + states[-1] @ self.state.T + self.offset))
        return np.stack(states[1:], axis=1)

    def _states_back(self, d: np.ndarray, rule: str, x: np.ndarray) -> tuple[np.ndarray]:
        states, of_columns = self._states(x), np.zeros((len(x), x.shape[1], x.shape[3]))
        carried = np.zeros(states[:, 0].shape)
        for step in reversed(range(x.shape[3])):
            before_tanh = (d[:, step] + carried) * (1 - states[:, step] ** 2)
            of_columns[:, :, step] = before_tanh @ self.kernel
            carried = before_tanh @ self.state
        return (np.broadcast_to(of_columns[:, :, None] / x.shape[2], x.shape),)


def _last(step: Step) -> Step:
    """The same on the last of (N, T, C)."""

    def back(d: np.ndarray, rule: str, x: np.ndarray) -> tuple[np.ndarray]:
        whole = np.zeros(x.shape)
        (whole[:, -1],) = step.back(d, rule, x[:, -1])
        return (whole,)

    return Step(step.takes, lambda x: step.forward(x[:, -1]), back)
