"""Checks of the power "attention": which softmaxes are attention, what each gives, and who reads whom."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from xaicore.capture import Attention
from xaicore.facts import AttentionFacts
from xaicore.testing.checks import checks, deviate, same
from xaicore.testing.nets.arithmetic import softmax
from xaicore.testing.nets.axial import Along, AxialNet
from xaicore.testing.nets.blocks import BlocksNet
from xaicore.testing.nets.causal import CausalNet
from xaicore.testing.nets.forms import OpenNet
from xaicore.testing.nets.masked import MaskedNet
from xaicore.testing.nets.queries import QueriesNet
from xaicore.testing.nets.token import TokenNet
from xaicore.testing.powers import PowerChecks
from xaicore.testing.subject import Subject, directions

__all__ = ["AttentionChecks"]

Block = tuple[Along | TokenNet | QueriesNet, str, str]
"""A net that has one attention, the layer that it reads, and the one that its output is added to, or is."""


class AttentionChecks(PowerChecks):
    """Attention of tokens to each other, to those before them, and of learned queries to tokens."""

    @checks("powers-attention")
    def test_attention(self) -> None:
        """One block of two heads over thirteen tokens, with the gradients of weights and outputs, if there are any."""
        self.need("facts", "tokens")
        net = TokenNet()
        self._check_net(self.subject(net), [(net, "tokens", "mixed")])

    @checks("powers-attention", since=2)
    def test_two_attentions(self) -> None:
        """In the order in which they run, each with its own weights and gradients."""
        for subject in self._some_others(BlocksNet.name):
            assert isinstance(subject.net, BlocksNet)
            first, second = subject.net.blocks
            self._check_net(subject, [(first, "tokens", "mixed1"), (second, "mixed1", "mixed2")])

    @checks("powers-attention", since=2)
    def test_masked_attention(self) -> None:
        """A mask that hides later keys makes it causal, one that hides some of them does not, nor does a bias."""
        self.need("facts", MaskedNet.name)
        (subject,) = self._with_power("attention", [self._built_once(MaskedNet())])
        rows, net = directions(subject.net, 2), cast("MaskedNet", subject.net)
        captured, expected = subject.capture(subject.maps, subject.aim(rows)), net.backward(subject.values, rows)
        self.close("outputs of the masked net", captured.outputs, subject.values["dense"])
        for name in subject.maps if self.has_gradients else ():
            self.close(f"gradients at {name!r} of the masked net", subject.gradients(captured, name), expected[name])
        read = ("tokens", "mixed1", "mixed2")
        self._check_net(subject, [(one, read[n], f"mixed{n + 1}") for n, one in enumerate(net.blocks)])

    @checks("powers-attention", since=2)
    def test_causal_attention(self) -> None:
        """Five heads, whose queries read no later key."""
        for subject in self._some_others(CausalNet.name):
            assert isinstance(subject.net, CausalNet)
            self._check_net(subject, [(subject.net, "tokens", "mixed")])

    @checks("powers-attention", since=2)
    def test_attention_of_learned_queries(self) -> None:
        """More keys than queries."""
        for subject in self._some_others(QueriesNet.name):
            assert isinstance(subject.net, QueriesNet)
            self._check_net(subject, [(subject.net, "gated", "read")])

    @checks("powers-attention", since=2)
    def test_attention_along_rows_and_columns(self) -> None:
        """Several rows of weights per image: one for each row, or column, of its patches."""
        self.need("facts", AxialNet.name)
        (subject,) = self._with_power("attention", [self._built_once(AxialNet())])
        net: Any = subject.net
        self._check_net(subject, [(net.along["rows"], "patches", "rows"), (net.along["columns"], "rows", "columns")])
        lines = [one.shape[0] for one in subject.backend.attention(subject.inputs)]
        same("rows of the weights of one image, in the axial net", lines, [3, 4])

    @checks("powers-attention", since=2)
    def test_whether_gradients_reach_attention(self) -> None:
        """They do, in all of these nets."""
        self.need("gradients", "reached")
        for subject in (*self.subjects(), *self.others()):
            if self.having("attention", subject):
                unseen = [one.name for one in subject.backend.attention(subject.inputs) if not one.reached]
                same(f"attentions of the {subject.net.name} net that no gradient is seen to reach", unseen, [])

    @checks("powers-attention", since=2)
    def test_softmaxes_over_channels(self) -> None:
        """They are no attention of tokens, whether they are square or not, multiplied with something or not."""
        self.need("covariance")
        for subject in self._with_power("attention", self._some_others(QueriesNet.name)):
            listed = [tuple(one.shape)[2:] for one in subject.backend.attention(subject.inputs)]
            same("queries and keys of the attentions of the queries net", listed, [(3, 12)])

    @checks("powers-attention", since=2)
    def test_what_weights_are_multiplied_with(self) -> None:
        """Values and outputs are seen wherever there are weights, or declared to be lacking."""
        self.need("values")
        open_ones = [self._built_once(OpenNet())] if self.has("open") else []
        for subject in self._with_power("attention", (*self.subjects(), *self.others(), *open_ones)):
            names = [one.name for one in self._listed(subject)]
            seen = subject.capture((), attention=dict.fromkeys(names, False)).attention
            for what in ("value", "output"):
                unseen = [name for name, one in seen.items() if getattr(one, what) is None]
                if unseen:
                    expected = "an array, or lacks = {'values': 'why what weights are multiplied with is not seen'}"
                    deviate(f"`{what}` of the attention {unseen[0]!r} of the {subject.net.name} net", expected, None)

    def _listed(self, subject: Subject) -> list[AttentionFacts]:
        """All attentions, but those over channels where a backend declares that it lists them."""
        listed = list(subject.backend.attention(subject.inputs))
        is_told = subject.net.name != "queries" or "covariance" not in self.lacks
        return [one for one in listed if is_told or tuple(one.shape)[2:] == (3, 12)]

    def _check_net(self, subject: Subject, blocks: Sequence[Block]) -> None:
        (subject,) = self._with_power("attention", [subject])
        listed = self._listed(subject)
        same(f"attentions of the {subject.net.name} net", len(listed), len(blocks))
        for one, (net, taken, _) in zip(listed, blocks, strict=True):
            self._check_facts(one, net.attend(subject.values[taken]).weights)
        rows, names = directions(subject.net, 2), [one.name for one in listed]
        captured = subject.capture((), subject.aim(rows), attention=dict.fromkeys(names, self.has_gradients))
        same("attentions in the capture", list(captured.attention), names)
        pulled = subject.expected_gradients(rows, captured.outputs_kind)
        for name, (net, taken, mixed) in zip(names, blocks, strict=True):
            expected = net.attend(subject.values[taken], pulled[mixed])
            added = net.mask(expected.weights.shape[-1]) if isinstance(net, TokenNet) else np.zeros(())
            self._check_attention(captured.attention[name], expected, added)
        forward = subject.capture((), None, attention={names[-1]: False}).attention
        same("attentions in a capture of one", list(forward), names[-1:])
        weights = blocks[-1][0].attend(subject.values[blocks[-1][1]]).weights
        self.close("`weights` without a direction", forward[names[-1]].weights, weights)

    def _check_facts(self, one: AttentionFacts, weights: np.ndarray) -> None:
        same("the shape of its weights, for one image", tuple(one.shape)[1:], weights.shape[1:])
        same("whether it is causal", one.causal, not np.triu(weights, 1).any())
        if one.reached is not None:
            same("whether the gradient reaches it", one.reached, True)

    def _check_attention(self, came: Attention, expected: Attention, added: np.ndarray) -> None:
        gradients = ("weights_gradients", "output_gradients") if self.has_gradients else ()
        for what in ("weights", "value", "output", *gradients):
            array, wanted = getattr(came, what), getattr(expected, what)
            if array is not None or what.startswith("weights"):
                self.close(f"`{what}` of the attention", array, wanted)
        if came.query is not None and came.key is not None:  # each may be scaled
            scores = came.query @ came.key.swapaxes(-1, -2)
            fits = [softmax(scores * scale + added) for scale in (1.0, 1 / np.sqrt(came.query.shape[-1]))]
            if not any(np.allclose(one, expected.weights, self.rtol, self.atol) for one in fits):
                self.close("softmax(query key^T) of the attention", fits[0], expected.weights)
