"""A `FactsBackend` keeps the contract by its survey and its passes; what these leave out is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from framework import Model, Plugin, Suite, failures
from recorded import Recorded

from xaicore import BackendError, Facts, LayerError, MethodError, testing
from xaicore.recording import Arguments, Call, FactsBackend, Pass, Recording, read_inputs


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


class GivesNoValues(Recorded):
    def run(self, *args: Any, **asked: Any) -> Pass:
        return replace(super().run(*args, **asked), values={})


class GivesNoWayBack(Recorded):
    def run(self, *args: Any, **asked: Any) -> Pass:
        return replace(super().run(*args, **asked), pull=None)


@pytest.mark.parametrize(
    ("backend", "asked", "said"),
    [
        (GivesNoValues, {}, "no value 'conv1#1', but those of nothing$"),
        (Recorded, {"attention": {"mixed": False}}, r"no value 'mixed weights', but those of conv1#1, relu1#1, "),
        (GivesNoWayBack, {}, r"no `pull`: set has_gradients = False where the framework only runs forward$"),
    ],
)
def test_what_a_pass_leaves_out_is_named(backend: type[Recorded], asked: dict[str, Any], said: str) -> None:
    one, (x,) = backend(Model(testing.ConvNet())), testing.ConvNet().pictures()
    with pytest.raises(BackendError, match=f"^backend 'recorded': its `run` returned a pass with {said}"):
        one.capture(x, ["conv1"], lambda *_: ROWS, **asked)


class Scales(FactsBackend):
    """A net of two arguments, pictures and scales of their channels: one row for each image, or one for all."""

    has_gradients = False
    powers = frozenset({"resume"})

    def record(self, x: Arguments, given: Mapping[str, np.ndarray]) -> Recording[Call]:
        pictures, scales = x.args
        recording: Recording[Call] = Recording([pictures, scales])
        call = recording.add(Call("half", given.get("half#1", pictures / 2), [pictures]))
        recording.add(Call("scores", call.output.mean((2, 3)) * scales, [call.output, scales]))
        call.reads = (0,)
        return recording

    def survey(self, x: Arguments) -> Facts:
        recording = self.record(x.first(), {})
        layers = [recording.layer(call, channel_axis=1) for call in recording.listed()]
        return Facts(tuple(layers), tuple(read_inputs(recording, lambda call: 1 if call.name == "half" else None)))

    def run(self, x: Arguments, keys: Any = (), pulls: Any = (), given: Mapping[str, np.ndarray] = {}) -> Pass:
        recording = self.record(x, given)
        return Pass(recording.calls[-1].output, {call.key: call.output for call in recording.calls})


def test_an_argument_that_all_images_share_is_shared_by_passes_that_start_at_a_layer() -> None:
    random = np.random.default_rng(0)
    pictures, scales = random.random((3, 2, 4, 5), np.float32), random.random((1, 2), np.float32)
    given = random.random((6, 2, 4, 5), np.float32)
    assert np.allclose(Scales().resume((pictures, scales), "half", given), given.mean((2, 3)) * scales)
    each = np.arange(1, 7, dtype=np.float32).reshape(3, 2)
    expected = given.mean((2, 3)) * each.repeat(2, axis=0)
    assert np.allclose(Scales().resume((pictures, each), "half", given), expected)
