"""One net in a plugin's framework, what its backend gives for it, and what the closed form says."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from xaicore.backend import Backend, Direction, Layer
from xaicore.capture import Capture
from xaicore.facts import Facts
from xaicore.layers import channel_axes, read
from xaicore.testing.checks import deviate
from xaicore.testing.nets.net import Net

__all__ = ["Asked", "Subject", "directions"]


def directions(net: Net, count: int, targets: int = 3, seed: int = 7) -> np.ndarray:
    """(count, targets, *outputs) float32, each another direction."""
    shape = net.forward(*net.pictures(1))["dense"].shape[1:]
    return np.random.default_rng(seed).normal(size=(count, targets, *shape)).astype(np.float32)


class Asked:
    """A direction that writes down how it was called.

    Attributes:
        calls: (outputs, kind, further arguments) of each call.
        threads: the threads that it was called in.
    """

    def __init__(self, rows: np.ndarray) -> None:
        self.rows = rows
        self.calls: list[tuple[Any, ...]] = []
        self.threads: list[int] = []

    def __call__(self, outputs: np.ndarray, kind: str, *more: Any) -> np.ndarray:
        """These rows, whatever the outputs are."""
        self.calls.append((outputs, kind, *more))
        self.threads.append(threading.get_ident())
        return self.rows


@dataclass(eq=False)
class Subject:
    """A net, and the same in a framework.

    Attributes:
        net: has the closed form.
        model: was built of its weights.
        backend: the plugin's, for this model.
        layers: {name in the net: name in the model}, without runs; with them, "shared#1", where each is a layer.
        to_inputs: makes what the model takes of the net's pictures.
    """

    net: Net
    model: Any
    backend: Backend
    layers: Mapping[str, str]
    to_inputs: Callable[..., Any]

    @cached_property
    def pictures(self) -> tuple[np.ndarray, ...]:
        """Two images."""
        return self.net.pictures()

    @cached_property
    def inputs(self) -> Any:
        """The same as the model takes them."""
        return self.to_inputs(*self.pictures)

    @property
    def first_image(self) -> Any:
        """The first image as the model takes it."""
        return self.to_inputs(*(picture[:1] for picture in self.pictures))

    @cached_property
    def values(self) -> dict[str, np.ndarray]:
        """The closed form's outputs of all layers."""
        return self.net.forward(*self.pictures)

    @cached_property
    def facts(self) -> Facts | None:
        """What the backend reports."""
        return self.backend.observe(self.inputs)

    @cached_property
    def maps(self) -> list[str]:
        """The net's maps that the model has as layers, by the net's names."""
        return [name for name in self.net.maps if self.key(name) in self.layers]

    def aim(self, rows: np.ndarray) -> Direction | None:
        """A direction of these rows; None for a backend without gradients."""
        return (lambda *_: rows) if self.backend.has_gradients else None

    def arrays(self, captured: Capture, name: str) -> dict[str, np.ndarray]:
        """{"activations", and "gradients" where the backend has them: those of a layer}, in the net's axes."""
        found = {"activations": self.activations(captured, name)}
        return found | ({"gradients": self.gradients(captured, name)} if self.backend.has_gradients else {})

    @property
    def last_map(self) -> str:
        """The one nearest to the output."""
        return self.maps[-1]

    def key(self, name: str) -> str:
        """What `layers` calls a run: "shared#1" where each run is a layer of its own, else "shared"."""
        return name if name in self.layers else name.partition("#")[0]

    def named(self, name: str) -> str:
        """The model's name of a layer. "shared#1" is its run for the first picture, whichever run that is."""
        base, _, picture = name.partition("#")
        if not picture or name in self.layers:
            return self.layers[name]
        facts = None if self.facts is None else self.facts.named.get(self.layers[base])
        reads = [*map(tuple, (facts and facts.run_reads) or ((0,), (1,)))]
        wanted = (int(picture) - 1,)
        if self.net.name != "pair":  # the runs of a loop are counted in their order
            return f"{self.layers[base]}#{picture}"
        return f"{self.layers[base]}#{reads.index(wanted) + 1 if wanted in reads else picture}"

    def shapes(self, name: str) -> list[tuple[int, ...]]:
        """The closed form's shapes of a layer, one of which is that of its last run."""
        return [value.shape for run, value in self.values.items() if name in (run, run.partition("#")[0])]

    def runs_of(self, name: str) -> list[str]:
        """The runs of a layer by the net's names."""
        return [run for run in self.net.layers if name in (run, run.partition("#")[0])]

    @cached_property
    def listed(self) -> dict[str, Layer]:
        """{name: layer} as the backend lists them."""
        return {layer.name: layer for layer in self.backend.layers(self.inputs)}

    @cached_property
    def grids(self) -> Mapping[str, Any]:
        """{layer of the model: the axes that the core reads from the facts}; empty where there are none."""
        return {} if self.facts is None else read(self.facts, self.backend.channels_last).grids

    def capture(
        self,
        layers: Sequence[str] = (),
        direction: Callable[..., np.ndarray] | None = None,
        inputs: Any = None,
        **asked: Any,
    ) -> Capture:
        """A pass of the backend; layers by the net's names."""
        take: Any = self.backend.capture  # whose keywords a backend without the powers lacks
        given = self.inputs if inputs is None else inputs
        captured = take(given, [self.named(name) for name in layers], direction, **asked)
        if not isinstance(captured, Capture):
            deviate("what `capture` returns", "an xaicore.Capture", f"a {type(captured).__name__}")
        return captured

    def activations(self, captured: Capture, name: str) -> np.ndarray:
        """Those of a layer by the net's name, in the net's axes."""
        return self.arranged(name, _of(captured.activations, self.named(name), "activations"), False)

    def gradients(self, captured: Capture, name: str) -> np.ndarray:
        """Those of a layer by the net's name, (N, K, ...) in the net's axes."""
        return self.arranged(name, _of(captured.gradients, self.named(name), "gradients"), True)

    def arranged(self, name: str, array: np.ndarray, has_targets: bool) -> np.ndarray:
        """With facts, arrays are raw, and the axes that the core reads from the facts say what they mean."""
        grid = self.grids.get(self.layers[self.key(name)])
        if self.facts is not None and grid is None and name in self.net.maps:
            deviate(f"the facts of layer {name!r}", "those of a map of the picture", self.unread(name))
        if grid is None:
            return array
        letters = f"{grid.axes[0]}k{grid.axes[1:]}" if has_targets else grid.axes
        order = [letter for letter in "nklchwdt" if letter in letters]
        return array.transpose([letters.index(one) for one in order]) if array.ndim == len(letters) else array

    def unread(self, name: str) -> str:
        """Why the core reads no map from the facts of a layer, by the net's name, and what they should say."""
        assert self.facts is not None
        layer = self.facts.named[self.layers[self.key(name)]]
        axis, what = channel_axes(self.facts.layers)[layer.name], f"no map is read for {tuple(layer.shape)}"
        if axis is None:
            return f"{what}: nothing says where its channels are; set `channel_axis` of it, or of a layer that takes it"
        return f"{what}, whose channels are said to lie along axis {axis}: the others are no positions of the picture"

    def raw(self, name: str, array: np.ndarray, has_targets: bool = False) -> np.ndarray:
        """An array in the net's axes as the framework has it: the way back from `activations`."""
        grid = self.grids.get(self.layers[self.key(name)])
        if grid is None:
            return array
        letters = f"{grid.axes[0]}k{grid.axes[1:]}" if has_targets else grid.axes
        order = [letter for letter in "nklchwdt" if letter in letters]
        return array.transpose([order.index(one) for one in letters])

    def expected_gradients(self, rows: np.ndarray, kind: str, rule: str = "plain") -> dict[str, np.ndarray]:
        """The closed form's gradients (N, K, ...) of all layers, for a direction (N, K, classes) at the outputs."""
        at_logits = self.net.answer_back(self.values, rows) if kind == "probabilities" else rows
        return self.net.backward(self.values, at_logits, rule)

    def classes_first(self, part: np.ndarray) -> np.ndarray:
        """A part of the answer with its classes on axis 1, as in `Capture.outputs`."""
        expected = self.values["dense"].shape
        return part if part.ndim < 3 or part.shape[1:] == expected[1:] else np.moveaxis(part, -1, 1)

    def of_input(self, position: int, gradients: np.ndarray) -> np.ndarray:
        """Gradients (N, K, *input) of an input, in the net's axes (N, K, C, H, W).

        No two lengths of a picture are the same, so that lengths tell the axes.
        """
        picture = self.pictures[position]
        given: Any = self.inputs
        if isinstance(given, Mapping):
            given = [*given.values()]
        given = given[position] if isinstance(given, (tuple, list)) else given
        shape = tuple(np.shape(self.backend.to_numpy(given)))
        if sorted(shape) != sorted(picture.shape) or gradients.ndim != picture.ndim + 1:
            return gradients
        axes = [shape.index(length) + (shape.index(length) > 0) for length in picture.shape]
        return gradients.transpose([axes[0], 1, *axes[1:]])


def _of(arrays: Mapping[str, Any], name: str, kind: str) -> np.ndarray:
    if name not in arrays:
        deviate(f"`Capture.{kind}`", f"an entry for {name!r}", f"entries for {', '.join(arrays) or 'no layer'}")
    array = arrays[name]
    if not isinstance(array, np.ndarray):
        deviate(f"`Capture.{kind}`[{name!r}]", "a NumPy array", f"a {type(array).__module__}.{type(array).__name__}")
    return array
