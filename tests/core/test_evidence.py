"""The plan for several methods, the inputs as pictures and back, and further passes over changed ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import xaicore
from xaicore import Backend, Capture, Evidence, Layer
from xaicore.evidence import InputPictures, Plan, missing_power
from xaicore.layers import Frame, Grid
from xaicore.layers.place import Place
from xaicore.layers.runs import Source
from xaicore.methods import METHODS, Method, method, plan_for

LAYOUTS = ("nchw", "nhwc", "nhw", "nrchw", "nrhwc", "nwh")


class Sums(Backend):
    """Class 0 is the sum of the pixels, class 1 the sum of their squares; one layer doubles the picture."""

    name = "sums"
    powers = frozenset({"resume", "input_gradients"})

    def __init__(self) -> None:
        self.batches: list[int] = []

    def layers(self, inputs: Any) -> tuple[Layer, ...]:
        return (Layer("double", "Double", np.shape(inputs), spatial=True),)

    def outputs(self, doubled: np.ndarray) -> np.ndarray:
        flat = doubled.reshape(len(doubled), -1) / 2
        return np.stack([flat.sum(axis=1), (flat**2).sum(axis=1)], axis=1).astype(np.float32)

    def capture(self, inputs: Any, layers: Any, direction: Any = None, *, rules: Any = ()) -> Capture:
        self.batches.append(len(inputs))
        doubled = 2 * np.asarray(inputs, np.float32)
        outputs = self.outputs(doubled)
        gradients, of_inputs = {}, {}
        if direction is not None:
            rows = direction(outputs, "logits")[..., None, None, None]
            of_input = rows[:, :, 0] + 2 * rows[:, :, 1] * doubled[:, None] / 2
            gradients = dict.fromkeys(layers, of_input / 2)
            of_inputs = {rule: (of_input,) for rule in rules}
        activations = dict.fromkeys(layers, doubled)
        return Capture(outputs, "logits", activations, doubled.shape[2:], gradients, input_gradients=of_inputs)

    def resume(self, inputs: Any, layer: str, activations: np.ndarray) -> np.ndarray:
        assert len(activations) % len(inputs) == 0
        self.batches.append(len(activations))
        return self.outputs(activations)


def pictures_of(axes: str, lengths: dict[str, int], count: int) -> tuple[InputPictures, np.ndarray]:
    """Inputs with these axes, in which every number is another one."""
    shape = [count if letter == "n" else lengths[letter] for letter in axes]
    x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    frame = Frame(axes, (lengths["h"], lengths["w"]), rows=lengths["r"] if "r" in axes else 1)
    return InputPictures(Sums(), x, Place({}, {}, frame, (Source(0),))), x


@pytest.mark.parametrize("axes", LAYOUTS)
@settings(max_examples=15, deadline=None)
@given(lengths=st.fixed_dictionaries({letter: st.integers(1, 4) for letter in "chwr"}), count=st.integers(1, 3))
def test_pictures_become_inputs_again(axes: str, lengths: dict[str, int], count: int) -> None:
    pictures, x = pictures_of(axes, lengths, count)
    np.testing.assert_array_equal(pictures.changed(pictures.array, np.arange(count)), x)
    np.testing.assert_array_equal(pictures.changed(pictures.array + 1, np.arange(count)), x + 1)


@pytest.mark.parametrize("axes", LAYOUTS)
def test_gradients_of_inputs_lie_over_the_pictures(axes: str) -> None:
    pictures, x = pictures_of(axes, {"c": 2, "h": 3, "w": 4, "r": 5}, 2)
    arranged = pictures.gradients([np.stack([x, -2 * x], axis=1)])
    np.testing.assert_array_equal(arranged, np.stack([pictures.array, -2 * pictures.array], axis=1))


def test_other_inputs_follow_their_image() -> None:
    x = {"picture": np.arange(24.0).reshape(2, 1, 3, 4), "text": np.array([[7, 8], [9, 10]])}
    place = Place({}, {}, Frame("nchw", (3, 4)), (Source(0),))
    changed = InputPictures(Sums(), x, place).changed(np.zeros((3, 1, 3, 4)), np.array([1, 0, 1]))
    np.testing.assert_array_equal(changed["text"], [[9, 10], [7, 8], [9, 10]])
    np.testing.assert_array_equal(changed["picture"], np.zeros((3, 1, 3, 4)))


def test_whole_numbers_stay_whole() -> None:
    x = np.full((1, 1, 2, 2), 7, np.uint8)
    changed = InputPictures(Sums(), x, None).changed(
        np.array([-3, 1.6, 254.9, 999.0]).reshape(1, 1, 2, 2), np.array([0])
    )
    assert changed.dtype == np.uint8
    np.testing.assert_array_equal(changed.reshape(-1), [0, 2, 255, 255])


@pytest.mark.parametrize("grid", [Grid("nchw", (3, 4)), Grid("nhwc", (3, 4)), Grid("nlc", (3, 4), 2, 1)])
def test_maps_are_put_back_into_a_layers_axes(grid: Grid) -> None:
    shape = {"nchw": (1, 2, 3, 4), "nhwc": (1, 3, 4, 2), "nlc": (1, 15, 2)}[grid.axes]
    array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    maps = np.random.default_rng(0).normal(size=(5, 2, 3, 4)).astype(np.float32)
    put = grid.put(array, maps)
    np.testing.assert_array_equal(grid.arrange(put), maps)
    if grid.axes == "nlc":  # a class token, and what comes behind the positions
        np.testing.assert_array_equal(put[:, [0, 1, 14]], np.repeat(array[:, [0, 1, 14]], 5, axis=0))


def by_scores(evidence: Evidence, *, rows: int = 5) -> np.ndarray:
    """Pictures times 0, 1, 2, ...; the map is the scores."""
    factors = np.arange(rows)[:, None, None, None]
    scores = evidence.scores(rows, lambda n, chosen: evidence.pictures[n] * factors[chosen])
    return np.broadcast_to(scores.sum(axis=1)[..., None, None], (*scores.shape[::2], *evidence.size))


by_scores.needs = "inputs"  # type: ignore[attr-defined]


def by_resumed(evidence: Evidence) -> np.ndarray:
    """The same from the layer on."""
    factors = np.arange(5)[:, None, None, None]
    scores = evidence.resumed(5, lambda n, chosen: evidence.activations[n] * factors[chosen])
    return np.broadcast_to(scores.sum(axis=1)[..., None, None], (*scores.shape[::2], *evidence.size))


by_resumed.needs = ("activations", "resume")  # type: ignore[attr-defined]


@pytest.mark.parametrize("function", [by_scores, by_resumed])
def test_scores_of_changed_versions(function: Any) -> None:
    x = np.random.default_rng(1).random((3, 2, 4, 5)).astype(np.float32)
    backend = Sums()
    found = xaicore.explain(x, x, [[0, 1]], method=function, backend=backend)
    sums, squares = x.sum(axis=(1, 2, 3)), (x**2).sum(axis=(1, 2, 3))
    expected = np.stack([sums * 10, squares * 30], axis=1).reshape(-1)  # 0 + 1 + 2 + 3 + 4, and their squares
    np.testing.assert_allclose(found.maps[:, 0, 0], expected, rtol=1e-5)
    for n in range(3):  # a map does not depend on its batch
        alone = xaicore.explain(x, x[n : n + 1], [[0, 1]], method=function, backend=Sums())
        np.testing.assert_array_equal(alone.maps, found.maps[2 * n : 2 * n + 2])


def test_a_predicted_class_stays_the_first() -> None:
    """Of a picture times 0, the other class would be predicted."""
    x = np.full((1, 1, 2, 2), 3.0, np.float32)
    found = xaicore.explain(x, x, method=by_scores, backend=Sums())
    assert found.targets.tolist() == [1]
    np.testing.assert_allclose(found.maps[0, 0, 0], 36 * 30)


def test_options_of_a_method() -> None:
    three = method(by_scores, rows=3)
    assert three.name == "by_scores (rows=3)"
    x = np.ones((1, 1, 2, 2), np.float32)
    backend = Sums()
    found = xaicore.explain(x, x, 0, method=three, backend=backend)
    np.testing.assert_allclose(found.maps[0, 0, 0], 4 * 3)
    with pytest.raises(xaicore.MethodError, match=r"method 'by_scores' has no option 'row'; it has rows=5; did you"):
        method(by_scores, row=3)
    with pytest.raises(xaicore.MethodError, match=r"method 'gradcam' has no option 'rows'; it has none"):
        method("gradcam", rows=3)


def test_a_signed_method_keeps_its_sign() -> None:
    def against(evidence: Evidence) -> np.ndarray:
        return -evidence.input_gradients().sum(axis=2)

    against.needs = "input_gradients"  # type: ignore[attr-defined]
    x = np.ones((1, 1, 2, 2), np.float32)
    assert not xaicore.explain(x, x, 0, method=against, backend=Sums()).maps.any()
    against.signed = True  # type: ignore[attr-defined]
    found = xaicore.explain(x, x, 0, method=against, backend=Sums())
    np.testing.assert_array_equal(found.maps, -np.ones((1, 2, 2)))
    assert found.signed
    assert found.layer == "the input"


def test_one_pass_for_several_methods() -> None:
    x = np.random.default_rng(2).random((2, 1, 3, 3)).astype(np.float32)
    backend = Sums()

    def gradient(evidence: Evidence) -> np.ndarray:
        return evidence.input_gradients().sum(axis=2)

    gradient.needs = "input_gradients"  # type: ignore[attr-defined]
    found = xaicore.Explainer(x, backend=backend).compare(x, ["gradcam", gradient, "eigencam", "layercam"], 1)
    assert backend.batches == [2]
    np.testing.assert_allclose(found["gradient"].maps, 2 * x[:, 0], rtol=1e-6)
    assert [one.layer for one in found.values()] == ["double", "the input", "double", "double"]


def test_a_plan_is_what_all_methods_need() -> None:
    plan = plan_for([METHODS["gradcam"], Method("a", by_scores, ("attention_gradients", "guided"), blocks=2)])
    assert plan.needs == {"gradients", "attention_gradients", "guided"}
    assert (plan.has_layer, plan.has_attention, plan.has_direction) == (True, True, True)
    assert plan.rules == ("guided",)
    assert plan.blocks == 2
    assert plan.pulled_blocks == 2
    both = Plan.of([(["attention"], None), (["attention_gradients"], 2)])
    assert (both.blocks, both.pulled_blocks) == (None, 2)


def test_a_power_that_is_missing_is_named_before_anything_runs() -> None:
    x, backend = np.ones((1, 1, 2, 2), np.float32), Sums()
    assert missing_power(("activations", "resume", "inputs"), backend) is None
    assert missing_power(("activations", "guided"), backend) == "guided"
    guided = Method("g", by_scores, ("gradients", "guided"))
    with pytest.raises(
        xaicore.MethodError,
        match=r"method 'g' needs 'guided', which backend 'sums' does not offer; methods that it serves: cam, gradcam",
    ):
        xaicore.Explainer(x, backend=backend).compare(x, ["gradcam", guided])
    assert backend.batches == []
