"""A framework of the kit's nets with what frameworks have to restore, and a backend for it that keeps the contract."""

from __future__ import annotations

import contextlib
import unittest
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from xaicore import Backend, hookimpl, testing
from xaicore.testing.nets import Net


class Model:
    """A net with a training flag, hooks and stored gradients."""

    def __init__(self, net: Net) -> None:
        self.net = net
        self.training = True
        self.hooks: list[object] = []
        self.gradients = {"dense": np.ones((4, 7), np.float32)}


class Sound(testing.ReferenceBackend):
    """Hooks the model for the length of a call."""

    name = "sound"

    def __init__(self, model: Model) -> None:
        super().__init__(model.net)
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

    def capture(self, *args: Any, **kwargs: Any) -> Any:
        with self.hooked():
            return super().capture(*args, **kwargs)


class Plugin:
    """The hook, as an object."""

    def __init__(self, make: Callable[[Model], Backend]) -> None:
        self.make = make

    @hookimpl
    def xaicore_backend(self, model: Any) -> Backend | None:
        return self.make(model) if isinstance(model, Model) else None


class Suite(testing.BackendTests):
    """The author's part."""

    plugin: Any = Plugin(Sound)

    def build_conv(self, net: testing.ConvNet) -> testing.Built:
        return Model(net), {name: name for name in net.layers}

    def build_tokens(self, net: testing.TokenNet) -> testing.Built:
        return Model(net), {name: name for name in net.layers}

    def build_pair(self, net: testing.PairNet) -> testing.Built:
        return Model(net), {name: name for name in ("shared", "relu", "dense")}

    def to_inputs(self, picture: np.ndarray) -> np.ndarray:
        return picture

    def state(self, model: Any) -> dict[str, Any]:
        weights = {name: value for name, value in vars(model.net).items() if isinstance(value, np.ndarray)}
        return {**vars(model), "net": weights, "hooks": len(model.hooks)}


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
