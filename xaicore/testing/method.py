"""The suite of methods."""

from __future__ import annotations

import importlib
import inspect
import random
import unittest
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import wraps
from typing import Any, ClassVar

import numpy as np

from xaicore.capture import Capture
from xaicore.explainer import Explainer
from xaicore.maps import FUSIONS
from xaicore.methods import Method
from xaicore.testing.checks import checks, close, deviate, same
from xaicore.testing.kit import Kit
from xaicore.testing.nets.conv import ConvNet
from xaicore.testing.nets.net import Net
from xaicore.testing.nets.token import TokenNet
from xaicore.testing.reference import ReferenceBackend
from xaicore.testing.state import bits, differences, random_state

__all__ = ["MethodTests"]

TARGETS = [[0, 3], [1, 2], [2, 2]]


class MethodTests(Kit):
    """Whether a method keeps the contract. Inherit it, and name the function as the entry point does::

        class TestMine(xaicore.testing.MethodTests):
            kit_version = 2
            plugin = "xaicore_mine:mymethod"
            options = {"masks": 8}   # of a method of many passes, so that these are few

    docs/testing.md walks through it.
    """

    plugin: ClassVar[Any]
    options: ClassVar[dict[str, Any]] = {}

    def module_name(self) -> str:
        """The module of the function."""
        return str(self.plugin).partition(":")[0]

    def method(self) -> Method:
        """The method, with the options of this suite."""
        module, _, name = self.plugin.partition(":")
        function = getattr(importlib.import_module(module), name)
        return Method.around(function, name).with_options(**self.options)

    def maps(
        self, method: Method, net: Net, images: slice = slice(None), targets: Sequence[Sequence[int]] = TARGETS
    ) -> np.ndarray:
        """Maps (N, K, *S) of some of three images, by a backend that hands out what cannot be written to."""
        (picture,) = net.pictures(3)
        layers = [name for name in net.maps if name != "mixed"]
        layer = None if method.has_attention else layers if method.fusion else layers[-1]
        explainer = Explainer(net, method, layer, ReadOnly(net), batch_size=4, progress=False)
        found = explainer(picture[images], np.array(targets)[images])
        return found.maps.reshape(len(found.ids), -1, *found.maps.shape[1:])

    def net(self, method: Method) -> Net:
        """A net that the method can explain."""
        return TokenNet() if method.has_attention else ConvNet()

    @checks("method-needs")
    def test_what_the_method_says_of_itself(self) -> None:
        """Needs, fusion, and options: keyword-only arguments."""
        method = self.method()
        if method.fusion is not None and method.fusion not in FUSIONS:
            deviate("`fusion`", f"one of {', '.join(FUSIONS)}", repr(method.fusion))
        for name, default in method.options.items():
            if default is inspect.Parameter.empty:
                deviate(f"the option {name}", "a default", "none")
        same("whether `signed` is True or False", isinstance(method.signed, bool), True)

    @checks("method-shape")
    def test_the_shape_of_maps(self) -> None:
        """As the function returns them."""
        method, seen = _recorded(self.method())
        self.maps(method, self.net(method))
        for array in seen:
            if not isinstance(array, np.ndarray):
                deviate("what the method returns", "a NumPy array", f"a {type(array).__name__}")
            if array.ndim != 4 or array.shape[0] != 3 or array.shape[1] not in (1, 2):
                deviate("maps of 3 images and 2 targets", "shape (3, 2, H, W) or (3, 1, H, W)", f"shape {array.shape}")
            same("the kind of numbers of maps", array.dtype.kind, "f")

    @checks("method-positions")
    def test_signals_and_volumes(self) -> None:
        """With one axis of positions and with three, directly."""
        for size in ((9,), (6, 8), (3, 4, 5)):
            maps = self._of_arrays(size)
            if maps.shape[0] != 2 or maps.shape[1] not in (1, 3) or maps.shape[2:] != size:
                deviate(f"maps of positions {size}", f"shape (2, 3, {str(size)[1:-1]})", f"shape {maps.shape}")

    @checks("method-finite")
    def test_no_evidence(self) -> None:
        """Finite maps of a net, and zeros of zeros."""
        method = self.method()
        net: Any = self.net(method)
        if not np.isfinite(self.maps(method, net)).all():
            deviate("maps of the kit's net", "finite values", "NaN or infinity")
        if net.name == "conv":
            net.dense = np.zeros_like(net.dense)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that scores depend on nothing
                if not np.isfinite(self.maps(method, net)).all():
                    deviate("maps of a net whose scores depend on nothing", "finite values", "NaN or infinity")
        if method.takes_arrays:
            came = self._of_arrays((6, 8), 0)
            close("maps of zeros", came, np.zeros(came.shape), 0, 0)

    @checks("method-arguments")
    def test_arguments_stay_as_they_are(self) -> None:
        """Bit for bit; those that cannot be written to are no obstacle."""
        method = self.method()
        self.maps(method, self.net(method))
        if method.takes_arrays:
            arrays = _arrays(method, (6, 8))
            before = bits(arrays)
            method.function(*arrays)
            changed = differences(before, bits(arrays))
            if changed:
                deviate("the arguments after a call", "as before", ", ".join(changed))

    @checks("method-batch")
    def test_images_alone(self) -> None:
        """Each of three."""
        method = self.method()
        together = self.maps(method, self.net(method))
        for n in range(3):
            alone = self.maps(method, self.net(method), slice(n, n + 1))
            self._close(f"the map of image {n} alone", alone, together[n : n + 1])

    @checks("method-targets")
    def test_targets_alone(self) -> None:
        """Each of two; the last image has the same class twice."""
        method = self.method()
        together = self.maps(method, self.net(method))
        for k in range(2):
            alone = self.maps(method, self.net(method), targets=[[row[k]] for row in TARGETS])
            self._close(f"the map of target {k} alone", alone, together[:, k : k + 1])
        self._close("the maps of one class twice", together[2:, :1], together[2:, 1:])

    @checks("method-deterministic")
    def test_the_same_map_twice(self) -> None:
        """With other global random states."""
        method, found = self.method(), []
        kept = random_state()
        for seed in (1, 2):
            random.seed(seed)
            np.random.seed(seed)  # noqa: NPY002 (the state that a method must not read)
            found.append(self.maps(method, self.net(method)))
        random.setstate(kept["Python"])
        np.random.set_state(kept["NumPy"])  # noqa: NPY002
        if found[0].tobytes() != found[1].tobytes():
            deviate("the same map twice", "the same bits", f"a difference of {np.abs(found[0] - found[1]).max()}")

    @checks("method-random")
    def test_the_random_state_stays(self) -> None:
        """That of the process."""
        method, before = self.method(), bits(random_state())
        self.maps(method, self.net(method))
        changed = differences(before, bits(random_state()))
        if changed:
            deviate("the random state after a map", "as before", ", ".join(changed)[:300])

    def _of_arrays(self, size: tuple[int, ...], factor: float = 1) -> np.ndarray:
        method = self.method()
        if not method.takes_arrays:
            raise unittest.SkipTest("the method takes an Evidence")
        maps: np.ndarray = method.function(*_arrays(method, size, factor))
        return maps

    def _close(self, what: str, came: np.ndarray, expected: np.ndarray) -> None:
        close(what, came, expected, 1e-3, 1e-3 * float(np.abs(expected).max()) + 1e-7)


class ReadOnly(ReferenceBackend):
    """Arrays as frameworks hand them out that share their memory."""

    def capture(self, *args: Any, **kwargs: Any) -> Capture:
        """The same, with arrays that cannot be written to."""
        captured = super().capture(*args, **kwargs)
        for arrays in (captured.activations, captured.gradients):
            for array in arrays.values():
                array.flags.writeable = False
        captured.outputs.flags.writeable = False
        return captured


def _recorded(method: Method) -> tuple[Method, list[Any]]:
    """The method, and a list of what it returns."""
    seen: list[Any] = []
    function: Callable[..., Any] = method.function

    @wraps(function)
    def recording(*args: Any, **kwargs: Any) -> Any:
        seen.append(function(*args, **kwargs))
        return seen[-1]

    return replace(method, function=recording), seen


def _arrays(method: Method, size: tuple[int, ...], factor: float = 1) -> list[Any]:
    """Two images, three targets, five channels."""
    rng = np.random.default_rng(0)
    second = {"activations": (), "gradients": (2, 3, 5, *size), "weights": (2, 3, 5)}[str(method.needs)]
    activations = np.maximum(rng.normal(size=(2, 5, *size)), 0).astype(np.float32) * np.float32(factor)
    return [activations, rng.normal(size=second).astype(np.float32) * np.float32(factor) if second else None]
