"""What an author of a backend supplies: the kit's nets in their framework, and the state of a model."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

import numpy as np

from xaicore.backend import Backend
from xaicore.testing.author import METHODS, Built, FormAuthor
from xaicore.testing.checks import close as close_to
from xaicore.testing.checks import deviate, same
from xaicore.testing.kit import ask, skip, some
from xaicore.testing.lacking import FEATURES
from xaicore.testing.nets.axial import AxialNet
from xaicore.testing.nets.blocks import BlocksNet
from xaicore.testing.nets.causal import CausalNet
from xaicore.testing.nets.conv import ConvNet
from xaicore.testing.nets.coupled import CoupledNet
from xaicore.testing.nets.halves import HalvesNet
from xaicore.testing.nets.heads import HeadsNet
from xaicore.testing.nets.loop import LoopNet
from xaicore.testing.nets.net import Net
from xaicore.testing.nets.pair import PairNet
from xaicore.testing.nets.queries import QueriesNet
from xaicore.testing.nets.recurrent import RecurrentNet
from xaicore.testing.nets.residual import ResidualNet
from xaicore.testing.nets.segments import SegmentsNet
from xaicore.testing.nets.token import TokenNet
from xaicore.testing.nets.words import WordsNet
from xaicore.testing.state import bits, differences, random_state
from xaicore.testing.subject import Subject

__all__ = ["BackendCase", "Built"]


OTHERS: tuple[type[Net], ...] = (
    *(ResidualNet, LoopNet, BlocksNet, SegmentsNet, WordsNet),
    *(CausalNet, QueriesNet, RecurrentNet),
)
WITH_FACTS = ("loop", "blocks", "words", "causal", "queries", "recurrent")
"""Nets of tokens, of several runs or inputs, which are read by their facts."""


class BackendCase(FormAuthor):
    """The base of all checks of backends.

    `lacks` may name what `lacking.FEATURES` lists.
    """

    can_lack: ClassVar[tuple[str, ...]] = tuple(FEATURES)

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

    def build_residual(self, net: ResidualNet) -> Built:
        """The net of these weights in your framework; "relu2" is the ReLU of the sum."""
        raise self._undeclared("residual")

    def build_loop(self, net: LoopNet) -> Built:
        """The net of these weights in your framework: layers "first", "relu", "shared", "pool" and "dense"."""
        raise self._undeclared("loop")

    def build_blocks(self, net: BlocksNet) -> Built:
        """The net of these weights in your framework."""
        raise self._undeclared("blocks")

    def build_segments(self, net: SegmentsNet) -> Built:
        """The net of these weights in your framework, with the activation `net.link` over the classes at its end."""
        raise self._undeclared("segments")

    def build_words(self, net: WordsNet) -> Built:
        """The net of these weights in your framework, which takes what `named_inputs` returns."""
        raise self._undeclared("words")

    def build_causal(self, net: CausalNet) -> Built:
        """The net of these weights in your framework."""
        raise self._undeclared("causal")

    def build_queries(self, net: QueriesNet) -> Built:
        """The net of these weights in your framework, of whose layers "queries" takes nothing, where it is one."""
        raise self._undeclared("queries")

    def build_recurrent(self, net: RecurrentNet) -> Built:
        """The net of these weights in your framework; "recurrent" gives all of its states."""
        raise self._undeclared("recurrent")

    def build_halves(self, net: HalvesNet) -> Built:
        """The net of these weights in your framework, which takes what `named_inputs` returns.

        Its layers are "patches", "embedding", "tokens" and "dense".
        """
        raise self._undeclared("halves")

    def build_axial(self, net: AxialNet) -> Built:
        """The net of these weights in your framework; no check asks for its layers."""
        raise self._undeclared("axial")

    def build_coupled(self, net: CoupledNet) -> Built:
        """The net of these weights in your framework."""
        raise self._undeclared("coupled")

    def build_outputs(self, net: HeadsNet) -> Built:
        """The net of these weights in your framework, which returns both outputs."""
        raise self._undeclared("outputs")

    def modes(self) -> Mapping[str, Callable[[], contextlib.AbstractContextManager[Any]]]:
        """{name: context manager} of the modes that a caller may be in, such as switched-off gradients."""
        raise self._undeclared("modes")

    def freeze(self, model: Any) -> None:
        """Switch off the gradients of all weights of a model."""
        raise self._undeclared("frozen")

    def alias(self, model: Any, layer: str) -> str:
        """Give a layer of the convolutional net a second name, which is returned; `layer` stays its first one."""
        raise self._undeclared("alias")

    def to_inputs(self, picture: np.ndarray) -> Any:
        """What a model takes for pictures (N, 3, height, width) float32."""
        raise self._missing("to_inputs")

    def all_inputs(self, *pictures: np.ndarray) -> Any:
        """What a model takes for one array of pictures, or for a tuple of them where it has several inputs."""
        each = tuple(map(self.to_inputs, pictures))
        return each[0] if len(each) == 1 else each

    def named_inputs(self, picture: np.ndarray, words: np.ndarray) -> Any:
        """What a model takes for pictures and for words (N, T) int32, by name."""
        return {"picture": self.to_inputs(picture), "words": words}

    def state(self, model: Any) -> Mapping[str, Any]:
        """All that a call must leave alone, {name: arrays, numbers, texts, lists or dicts of these}.

        Weights, buffers, stored gradients, training flags, the number of hooks, the framework's random state and modes.
        """
        raise self._missing("state")

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

    def has(self, name: str) -> bool:
        """Whether an author supplies a net, or what else is called so, and does not declare that it is lacking."""
        return name not in self.lacks and self.supplies(name)

    def supplies(self, name: str) -> bool:
        """Whether an author has written the method."""
        method = METHODS.get(name, f"build_{name}")
        return getattr(type(self), method) is not getattr(BackendCase, method)

    def need(self, *features: str) -> None:
        """Skip a check where one of these is declared to be lacking, or is a net that no method builds."""
        super().need(*features)
        for name in features:
            by = FEATURES[name].by
            if by == METHODS.get(name, f"build_{name}") and not self.supplies(name):
                skip(f"{name}: there is no method {by}")

    def other_nets(self) -> Iterator[Net]:
        """The nets of the second version of the kit that an author supplies, of one output each."""
        for kind in OTHERS:
            if self.has(kind.name) and (self.has_facts or kind.name not in WITH_FACTS):
                yield kind()

    def others(self) -> Iterator[Subject]:
        """Each of these nets. They are built once for all checks, since many a framework compiles a net first."""
        return map(self._built_once, self.other_nets())

    def _some_others(self, *names: str) -> Iterator[Subject]:
        """Each of these nets, or those of these names; where there is none, a check is skipped."""
        which = f"{' or '.join(names)} to check it on" if names else "beyond the first three"
        return some((one for one in self.others() if not names or one.net.name in names), f"there is no net {which}")

    def _built_once(self, net: Net) -> Subject:
        key = type(self), self.plugin, net.name
        if key not in _subjects:
            _subjects[key] = self.subject(net)
        return _subjects[key]

    def conv_net(self, link: str | None = None) -> ConvNet:
        """The convolutional net, without biases where the framework lacks them."""
        return ConvNet(link, has_bias="bias" not in self.lacks)

    def subjects(self) -> Iterator[Subject]:
        """Each net, built anew."""
        return map(self.subject, self.nets())

    def subject(self, net: Net | None = None) -> Subject:
        """A net in the framework, with its backend; the convolutional one if none is given."""
        net = net or self.conv_net()
        build: Callable[[Any], Built] = getattr(self, f"build_{net.name}")
        model, layers = build(net)
        backend = self.backend(model, net.explains)
        others: dict[str, Callable[..., Any]] = {
            **dict.fromkeys(("words", "halves"), self.named_inputs),
            "turned": self.turned_inputs,
            "half": lambda picture: backend.to_numpy(self.to_inputs(picture)),  # whose type is the backend's concern
        }
        return Subject(net, model, backend, layers, others.get(net.name, self.all_inputs))

    def backend(self, model: Any, output: Any = None) -> Backend:
        """The plugin's backend for a model."""
        found = ask(self.plugin, "xaicore_backend", model=model, output=output)
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


_subjects: dict[tuple[type, Any, str], Subject] = {}


@contextlib.contextmanager
def _kept(what: str, fingerprint: Callable[[], Any]) -> Iterator[None]:
    before = bits(fingerprint())
    yield
    changed = differences(before, bits(fingerprint()))
    if changed:
        deviate(what, "as before, bit for bit", f"changed: {', '.join(changed)[:500]}")
