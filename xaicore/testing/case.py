"""What an author of a backend supplies: the kit's nets in their framework, and the state of a model."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

import numpy as np

from xaicore.backend import Backend
from xaicore.testing.checks import ContractError, Deviation, deviate, same
from xaicore.testing.checks import close as close_to
from xaicore.testing.clauses import CLAUSES
from xaicore.testing.conv_net import ConvNet
from xaicore.testing.kit import Kit, ask
from xaicore.testing.nets import Net
from xaicore.testing.pair_net import PairNet
from xaicore.testing.state import bits, differences, random_state
from xaicore.testing.subject import Subject
from xaicore.testing.token_net import TokenNet

__all__ = ["BackendCase", "Built"]

Built = tuple[Any, Mapping[str, str]]
"""A model, and {layer of the kit's net: its name in the model}, of those layers that the framework tells apart."""


class BackendCase(Kit):
    """The base of all checks of backends.

    `lacks` may name "gradients" (the framework only runs forward), "facts" (no `observe`, and so neither tokens nor
    pairs), "tokens", "pair", "heads" (no softmax or sigmoid at the end of a net) and "bias" (layers have none).
    """

    can_lack: ClassVar[tuple[str, ...]] = ("gradients", "facts", "tokens", "pair", "heads", "bias")

    def build_conv(self, net: ConvNet) -> Built:
        """The net of these weights in your framework, with the activation `net.link` behind its dense layer."""
        raise self._undeclared("conv")

    def build_tokens(self, net: TokenNet) -> Built:
        """The net of these weights in your framework."""
        raise self._undeclared("tokens")

    def build_pair(self, net: PairNet) -> Built:
        """The net of these weights in your framework.

        Its layers are "shared", "relu" and "dense"; where each run is a layer of its own, "shared#1" for that of the
        first picture, and so on.
        """
        raise self._undeclared("pair")

    def to_inputs(self, picture: np.ndarray) -> Any:
        """What a model takes for pictures (N, 3, height, width) float32."""
        raise self._missing("to_inputs")

    def all_inputs(self, *pictures: np.ndarray) -> Any:
        """What a model takes for one array of pictures, or for a tuple of them where it has several inputs."""
        each = tuple(map(self.to_inputs, pictures))
        return each[0] if len(each) == 1 else each

    def state(self, model: Any) -> Mapping[str, Any]:
        """All that a call must leave alone, {name: arrays, numbers, texts, lists or dicts of these}.

        Weights, buffers, stored gradients, training flags, the number of hooks, the framework's random state and modes.
        """
        raise self._missing("state")

    def _undeclared(self, name: str) -> ContractError:
        expected = f"a method build_{name}, or lacks = {{{name!r}: 'why the framework has no such net'}}"
        return ContractError(CLAUSES["kit-declared"], Deviation(f"the {name} net", expected, "neither"))

    def _missing(self, name: str) -> ContractError:
        return ContractError(CLAUSES["kit-declared"], Deviation(type(self).__name__, f"a method {name}", "none"))

    @property
    def has_facts(self) -> bool:
        """Whether the backend reports facts."""
        return "facts" not in self.lacks

    @property
    def has_gradients(self) -> bool:
        """Whether the backend pulls a direction back."""
        return "gradients" not in self.lacks

    def nets(self) -> Iterator[Net]:
        """The nets that the framework can build."""
        yield self.conv_net()
        if self.has_facts and "tokens" not in self.lacks:
            yield TokenNet()
        if self.has_facts and "pair" not in self.lacks:
            yield PairNet()

    def conv_net(self, link: str | None = None) -> ConvNet:
        """The convolutional net, without biases where the framework lacks them."""
        return ConvNet(link, has_bias="bias" not in self.lacks)

    def subjects(self) -> Iterator[Subject]:
        """Each net, built anew."""
        return map(self.subject, self.nets())

    def subject(self, net: Net | None = None) -> Subject:
        """A net in the framework, with its backend; the convolutional one if none is given."""
        net = net or self.conv_net()
        build: dict[str, Callable[[Any], Built]] = {
            "conv": self.build_conv,
            "tokens": self.build_tokens,
            "pair": self.build_pair,
        }
        model, layers = build[net.name](net)
        return Subject(net, model, self.backend(model), layers, self.all_inputs)

    def backend(self, model: Any) -> Backend:
        """The plugin's backend for a model."""
        found = ask(self.plugin, "xaicore_backend", model=model, output=None)
        if not isinstance(found, Backend):
            deviate("what xaicore_backend returns for a model", "an xaicore.Backend", repr(found))
        same("its api_version", found.api_version, Backend.api_version)
        found.name = found.name or getattr(self.plugin, "__name__", type(self.plugin).__name__)
        return found

    def close(self, what: str, came: Any, expected: np.ndarray) -> None:
        """Compare arrays within the suite's tolerances."""
        close_to(what, came, expected, self.rtol, self.atol)

    @contextlib.contextmanager
    def unchanged(self, subject: Subject, what: str) -> Iterator[None]:
        """Check that the model is bit for bit what it was; exceptions are caught inside."""
        with _kept(f"the model after {what}", lambda: self.state(subject.model)):
            yield

    @contextlib.contextmanager
    def same_randomness(self, what: str) -> Iterator[None]:
        """Check that the global random state is what it was."""
        with _kept(f"the random state after {what}", random_state):
            yield


@contextlib.contextmanager
def _kept(what: str, fingerprint: Callable[[], Any]) -> Iterator[None]:
    before = bits(fingerprint())
    yield
    changed = differences(before, bits(fingerprint()))
    if changed:
        deviate(what, "as before, bit for bit", f"changed: {', '.join(changed)[:500]}")
