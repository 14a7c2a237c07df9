"""A `FactsBackend` keeps the contract by its survey and its passes; what these leave out is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from framework import Model, Plugin, Suite, failures
from recorded import Recorded

from xaicore import BackendError, LayerError, MethodError, testing
from xaicore.recording import Pass


class TestRecorded(Suite):
    """All nets, all powers but "reduce"."""

    plugin = Plugin(Recorded)


class FollowsNoRule(Recorded):
    def run(self, *args: Any, **asked: Any) -> Pass:
        one = super().run(*args, **asked)
        return replace(one, pull=lambda rows, rule="plain": one.pull(rows))  # type: ignore[misc]  # it has gradients


class GivesNoParts(Recorded):
    def run(self, *args: Any, **asked: Any) -> Pass:
        return replace(super().run(*args, **asked), parts={})


class PullsBackToAllLayers(Recorded):
    def run(self, *args: Any, **asked: Any) -> Pass:
        one = super().run(*args, **asked)
        zeros = {key: 0 * value[:, None] for key, value in one.values.items() if "#" in key}
        return replace(one, pull=lambda rows, *rule: {**zeros, **one.pull(rows, *rule)})  # type: ignore[misc]


class KnowsOneName(Recorded):
    def layer_name(self, name: str) -> str:
        return name


BROKEN = {
    FollowsNoRule: "powers-guided",
    GivesNoParts: "powers-parts",
    PullsBackToAllLayers: "backend-gradients",
    KnowsOneName: "backend-names",
}
"""{backend: the clause that names its fault}."""


@pytest.mark.parametrize(("backend", "clause"), BROKEN.items(), ids=lambda one: getattr(one, "__name__", one))
def test_each_fault_of_a_pass_is_named(backend: type[Recorded], clause: str) -> None:
    suite = Suite()
    suite.plugin = Plugin(backend)
    assert {error.clause.id for error in failures(suite, clause)} == {clause}


ROWS = testing.ConvNet().pictures()[0][:, None, 0, 0, :4]
"""A direction (2, 1, 4)."""


def test_a_layer_that_the_output_is_not_made_of_is_refused() -> None:
    backend, (x,) = Recorded(Model(testing.HeadsNet()), "colour"), testing.HeadsNet().pictures()
    said = "^layer 'shape#1' does not reach the outputs: what is explained is not made of its output"
    with pytest.raises(LayerError, match=said):
        backend.capture(x, ["conv1", "shape#1"], lambda *_: ROWS[..., :3])
    assert backend.capture(x, ["shape"]).activations["shape"].shape == (2, 4)


@pytest.mark.parametrize("rule", ["guided", "deconv"])
def test_a_rule_without_relus_is_refused(rule: str) -> None:
    net = testing.TokenNet()
    with pytest.raises(
        MethodError, match=f"^the rule '{rule}' is defined for ReLUs.*its activations: tanh. Use method='g"
    ):
        Recorded(Model(net)).capture(net.pictures()[0], [], lambda *_: ROWS, rules=[rule])


class GivesBoxes(Recorded):
    """One array per image among its outputs, as detectors have them."""

    def run(self, *args: Any, **asked: Any) -> Pass:
        boxes = [np.arange(4.0)[None].repeat(count, axis=0) for count in (2, 1)]
        return replace(super().run(*args, **asked), parts={"boxes": boxes})


def test_parts_of_each_image_keep_their_number() -> None:
    backend, (x,) = GivesBoxes(Model(testing.ConvNet())), testing.ConvNet().pictures()
    values = backend.capture(x, ["conv1"], parts=True)
    _, resumed = backend.resume_parts(x, "conv1", values.activations["conv1"])
    for parts in (values.parts, resumed):
        assert [[row.tolist() for row in of_image] for of_image in parts["boxes"]] == [
            [[0, 1, 2, 3]] * 2,
            [[0, 1, 2, 3]],
        ]
        assert {of_image.dtype for of_image in parts["boxes"]} == {np.dtype(np.float32)}


def test_rules_and_parts_need_their_powers() -> None:
    backend, (x,) = Recorded(Model(testing.ConvNet())), testing.ConvNet().pictures()
    backend.powers = frozenset({"input_gradients"})  # type: ignore[misc]
    for asked, said in (
        ({"rules": ["plain", "deconv"]}, "the rule 'deconv': use method='gradient'"),
        ({"parts": True}, "all outputs of a pass:"),
    ):
        with pytest.raises(BackendError, match=f"^backend 'recorded' does not offer {said}"):
            backend.capture(x, [], lambda *_: ROWS, **asked)
