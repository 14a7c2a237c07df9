"""A framework of the kit's nets with what frameworks have to restore, and a backend for it that keeps the contract."""

from __future__ import annotations

import contextlib
import unittest
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from xaicore import Backend, hookimpl, testing
from xaicore.testing.nets.net import Net


class Model:
    """A net with a training flag, hooks and stored gradients."""

    def __init__(self, net: Net) -> None:
        self.net = net
        self.training = True
        self.is_frozen = False
        self.hooks: list[object] = []
        self.gradients = {"dense": np.ones((4, 7), np.float32)}
        self.second_names: dict[str, str] = {}


MODE = {"quiet": False}
"""The mode of the framework."""


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """In it, a framework would record no gradients."""
    was, MODE["quiet"] = MODE["quiet"], True
    try:
        yield
    finally:
        MODE["quiet"] = was


class Sound(testing.ReferenceBackend):
    """Hooks the model for the length of a call."""

    name = "sound"

    def __init__(self, model: Model, output: int | str | None = None) -> None:
        super().__init__(model.net, output)
        self.model = model

    @contextlib.contextmanager
    def hooked(self) -> Iterator[None]:
        """The model as a pass needs it."""
        was, self.model.training = self.model.training, False
        self.model.hooks.append(self)
        try:
            yield
        finally:
            self.model.hooks.pop()
            self.model.training = was

    @property
    def channels_last(self) -> bool:  # type: ignore[override]  # depends on the model
        """The turned net alone takes them there."""
        return self.net.name == "turned"

    def pictures(self, inputs: Any) -> tuple[np.ndarray, ...]:
        """Channels first."""
        if self.net.name == "turned":
            x = np.asarray(inputs)
            inputs = np.moveaxis(x[None] if x.ndim == 3 else x, -1, 1)
        return super().pictures(inputs)

    def of_input(self, gradients: np.ndarray, picture: np.ndarray) -> np.ndarray | None:
        """Where the net takes the channels."""
        found = super().of_input(gradients, picture)
        return np.moveaxis(found, 2, -1) if found is not None and self.net.name == "turned" else found

    def layer_name(self, name: str) -> str:
        """The first of its names."""
        return super().layer_name(self.model.second_names.get(name, name))

    def run_of(self, layer: str) -> str:
        """By each of its names."""
        name, mark, run = layer.partition("#")
        return super().run_of(self.model.second_names.get(name, name) + mark + run)

    def capture(self, *args: Any, **kwargs: Any) -> Any:
        with self.hooked():
            return super().capture(*args, **kwargs)

    def in_precision(self, precision: str) -> Model:
        return Model(super().in_precision(precision))


class Plugin:
    """The hook, as an object."""

    def __init__(self, make: Callable[..., Backend]) -> None:
        self.make = make

    @hookimpl
    def xaicore_backend(self, model: Any, output: Any) -> Backend | None:
        if not isinstance(model, Model):
            return None
        return self.make(model) if output is None else self.make(model, output)


class Suite(testing.BackendTests):
    """The author's part."""

    kit_version = testing.KIT_VERSION
    plugin: Any = Plugin(Sound)

    def build_conv(self, net: testing.ConvNet) -> testing.Built:
        return Model(net), {name: name for name in net.layers}

    def build_tokens(self, net: testing.TokenNet) -> testing.Built:
        return Model(net), {name: name for name in net.layers}

    def build_pair(self, net: testing.PairNet) -> testing.Built:
        return Model(net), {name: name for name in ("shared", "relu", "dense")}

    def build_residual(self, net: testing.ResidualNet) -> testing.Built:
        return Model(net), {name: name for name in net.layers}

    def build_loop(self, net: testing.LoopNet) -> testing.Built:
        return Model(net), {name: name for name in ("first", "relu", "shared", "pool", "dense")}

    def build_blocks(self, net: testing.BlocksNet) -> testing.Built:
        return Model(net), {name: name for name in net.layers}

    def build_segments(self, net: testing.SegmentsNet) -> testing.Built:
        return Model(net), {name: name for name in net.layers}

    def build_words(self, net: testing.WordsNet) -> testing.Built:
        return Model(net), {name: name for name in net.layers}

    def build_causal(self, net: testing.CausalNet) -> testing.Built:
        return Model(net), {name: name for name in net.layers}

    def build_queries(self, net: testing.QueriesNet) -> testing.Built:
        return Model(net), {name: name for name in net.layers}

    def build_recurrent(self, net: testing.RecurrentNet) -> testing.Built:
        return Model(net), {name: name for name in net.layers}

    def build_axial(self, net: testing.AxialNet) -> testing.Built:
        return Model(net), {name: name for name in net.layers}

    def build_coupled(self, net: testing.CoupledNet) -> testing.Built:
        return Model(net), {name: name for name in net.layers}

    def build_halves(self, net: testing.HalvesNet) -> testing.Built:
        return Model(net), {name: name for name in ("patches", "embedding", "tokens", "dense")}

    def build_outputs(self, net: testing.HeadsNet) -> testing.Built:
        return Model(net), {name: name for name in net.layers}

    def build_open(self, net: testing.OpenNet) -> testing.Built:
        return Model(net), {name: name for name in net.layers}

    def build_masked(self, net: testing.MaskedNet) -> testing.Built:
        return Model(net), {name: name for name in net.layers}

    def build_sequence(self, net: testing.SequenceNet) -> testing.Built:
        return Model(net), {name: name for name in net.layers}

    def build_shares(self, net: testing.SharesNet) -> testing.Built:
        return Model(net), {name: name for name in net.layers}

    def build_half(self, net: testing.HalfNet) -> testing.Built:
        return Model(net), {name: name for name in net.layers}

    def build_turned(self, net: testing.TurnedNet) -> testing.Built:
        return Model(net), {name: name for name in net.layers}

    def build_leaky(self, net: testing.LeakyNet) -> testing.Built:
        return Model(net), {name: name for name in net.layers}

    def turned_inputs(self, picture: np.ndarray) -> np.ndarray:
        return np.moveaxis(picture, 1, -1)

    def modes(self) -> dict[str, Any]:
        return {"quiet": quiet}

    def freeze(self, model: Model) -> None:
        model.is_frozen = True

    def alias(self, model: Model, layer: str) -> str:
        model.second_names["again"] = layer
        return "again"

    def to_inputs(self, picture: np.ndarray) -> np.ndarray:
        return picture

    def state(self, model: Any) -> dict[str, Any]:
        weights = {name: value for name, value in vars(model.net).items() if isinstance(value, np.ndarray)}
        return {**vars(model), "net": weights, "hooks": len(model.hooks), "quiet": MODE["quiet"]}


def failures(suite: Any, clause: str) -> list[testing.ContractError]:
    """What the tests of one clause say about a plugin."""
    found = []
    for name in dir(suite):
        test = getattr(suite, name) if name.startswith("test_") else None
        if getattr(test, "clause", None) == clause:
            try:
                test()
            except unittest.SkipTest:
                pass
            except testing.ContractError as exc:
                found.append(exc)
    return found
