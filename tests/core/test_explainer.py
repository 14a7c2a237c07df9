"""Model and images in, explanations out: a toy net's closed form, and everything that may not fit."""

from __future__ import annotations

import dataclasses
import inspect
import re
from typing import Any

import numpy as np
import pytest
from toynet import ToyBackend, ToyNet, head_forward

import xaicore
from xaicore import BackendError, Explainer, InputError, Layer, LayerError, MethodError, TargetError, maps
from xaicore.targets import Aim, Target, TopK
from xaicore.testing.fixed import FixedBackend


def literal_gradcam(net: ToyNet, x: np.ndarray, layer: str, classes: np.ndarray) -> np.ndarray:
    """(N, K, *S): Grad-CAM of these classes' logits (N, K), straight from the net's formulas."""
    values = net.forward(x)
    gradients = net.backward(values, np.eye(len(net.w))[classes])[layer]
    result = np.zeros((*classes.shape, *x.shape[2:]))
    for n, k in np.ndindex(classes.shape):
        for c in range(gradients.shape[2]):
            result[n, k] += gradients[n, k, c].mean() * values[layer][n, c]
    return np.maximum(result, 0)


# Values.


@pytest.mark.parametrize("layer", ["first", "second"])
@pytest.mark.parametrize("spatial", [(9,), (6, 8), (3, 4, 5)])
def test_rows_are_images_times_targets(spatial: tuple[int, ...], layer: str) -> None:
    net = ToyNet()
    x = np.random.default_rng(3).normal(size=(3, 3, *spatial)).astype(np.float32)
    wanted = np.array([[3, 0], [1, 1], [2, 3]])
    e = xaicore.explain(None, x, wanted, layer=layer, backend=ToyBackend(net))
    assert e.maps.dtype == np.float32
    np.testing.assert_allclose(e.maps, literal_gradcam(net, x, layer, wanted).reshape(6, *spatial), rtol=0, atol=1e-5)
    assert e.image_index.tolist() == [0, 0, 1, 1, 2, 2]
    assert e.targets.tolist() == [3, 0, 1, 1, 2, 3]
    probabilities = head_forward(net.forward(x)["dense"], "softmax")
    np.testing.assert_allclose(e.scores, [probabilities[m // 2, c] for m, c in enumerate(e.targets)], rtol=1e-5)
    assert e.predicted.tolist() == probabilities.argmax(axis=1).tolist()
    assert (e.input_size, e.outputs_kind, e.layer, e.method) == (spatial, "logits", layer, "gradcam")
    assert e.target == "given classes"


def test_the_predicted_class_at_the_layer_found(net: ToyNet, backend: ToyBackend, x: np.ndarray) -> None:
    e = xaicore.explain(object(), x, backend=backend)
    predicted = net.forward(x)["dense"].argmax(axis=1)
    assert e.targets.tolist() == e.predicted.tolist() == predicted.tolist()
    assert e.layer == "second"
    assert e.model == "builtins.object"
    assert e.target == "predicted"
    np.testing.assert_allclose(e.maps, literal_gradcam(net, x, "second", predicted[:, None])[:, 0], atol=1e-5)
    np.testing.assert_array_equal(e.outputs, net.forward(x)["dense"])
    assert len(e) == 3
    first = ", ".join(f"class {target} {score:.3f}" for target, score in zip(e.targets, e.scores, strict=True))
    assert repr(e) == (
        f"<Explanation of 3 images, 1 target each (predicted): {first}; gradcam at second of builtins.object, maps "
        "(6, 8), outputs are logits>"
    )


def test_rows_are_looped_over(backend: ToyBackend, x: np.ndarray) -> None:
    e = xaicore.explain(None, x, [[1, 3]], ids=["a", "b", "c"], backend=backend)
    assert [(row["id"], row["target"]) for row in e] == [("a", 1), ("a", 3), ("b", 1), ("b", 3), ("c", 1), ("c", 3)]
    assert e.rows() == [e.row(m) for m in range(len(e))]


def test_the_text_names_the_first_targets(backend: ToyBackend, x: np.ndarray) -> None:
    names = ["ant", "bee", "cow", "dog"]
    e = xaicore.explain(None, x[:1], [[1, 3]], class_names=names, backend=backend)
    bee, dog = e.scores
    start = "<Explanation of 1 image, 2 targets each (given classes): "
    assert repr(e).startswith(f"{start}bee {bee:.3f}, dog {dog:.3f}; gradcam at second")
    e = xaicore.explain(None, x, 2, class_names=names, backend=backend)
    first = ", ".join(f"cow {score:.3f}" for score in e.scores)
    assert f": {first}; gradcam" in repr(e)
    e = xaicore.explain(None, x, [[1, 3]], class_names=names, backend=backend)
    assert f"bee {e.scores[2]:.3f}, ...; gradcam" in repr(e)


def test_top_k_is_clipped_to_the_classes(net: ToyNet, backend: ToyBackend, x: np.ndarray) -> None:
    e = xaicore.explain(None, x, TopK(9), backend=backend)
    order = np.argsort(-net.forward(x)["dense"], axis=1)
    assert e.targets.tolist() == order.reshape(-1).tolist()
    assert e.target == "top 9"
    assert (np.diff(e.scores.reshape(3, 4), axis=1) <= 0).all()
    assert repr(e).startswith("<Explanation of 3 images, 4 targets each (top 9)")


def test_heatmaps_end_at_exactly_one(backend: ToyBackend, x: np.ndarray) -> None:
    e = xaicore.explain(None, x, TopK(4), backend=backend)
    for heat in (e.heatmaps(), e.heatmaps(size=(61, 37)), e.heatmaps(normalize="minmax")):
        assert (heat.max(axis=(1, 2)) == np.where(e.empty, 0, 1)).all()
    assert e.heatmaps(size=(61, 37)).shape == (12, 61, 37)
    np.testing.assert_array_equal(e.heatmaps(normalize="none"), e.maps)
    np.testing.assert_array_equal(e.heatmaps(size=(9, 9)), maps.normalize(maps.resize(e.maps, (9, 9))))


@pytest.mark.parametrize("flat", [False, True])
def test_the_two_classes_of_one_output(x: np.ndarray, flat: bool) -> None:
    net = ToyNet(classes=1)
    backend = ToyBackend(net)
    backend.flat = flat
    e = xaicore.explain(None, x, [[1, 0]] * 3, layer="first", backend=backend)
    logit = net.forward(x)["dense"][:, 0]
    p = 1 / (1 + np.exp(-logit.astype(np.float64)))
    np.testing.assert_allclose(e.scores, np.stack([p, 1 - p], axis=1).reshape(-1), rtol=1e-5)
    assert e.predicted.tolist() == (logit > 0).astype(int).tolist()
    for_it = literal_gradcam(net, x, "first", np.zeros((3, 1), int))[:, 0]
    net.w = -net.w
    against = literal_gradcam(net, x, "first", np.zeros((3, 1), int))[:, 0]
    np.testing.assert_allclose(e.maps[::2], for_it, atol=1e-5)
    np.testing.assert_allclose(e.maps[1::2], against, atol=1e-5)
    assert xaicore.explain(None, x, backend=backend, class_names=["cat", "dog"]).class_names == ("cat", "dog")


@pytest.mark.parametrize("method", ["gradcam", "cam", "layercam"])
def test_an_opaque_softmax_is_looked_through(x: np.ndarray, method: str) -> None:
    """The direction is the centred logit's: that of the logit minus the mean of all the logits'."""
    net = ToyNet()
    opaque = xaicore.explain(None, x, [2, 0, 1], method=method, backend=ToyBackend(net, head="softmax"))
    probabilities = head_forward(net.forward(x)["dense"], "softmax")
    np.testing.assert_allclose(opaque.scores, probabilities[[0, 1, 2], [2, 0, 1]], rtol=1e-5)
    centred = ToyNet()
    if method != "cam":  # whose rows are the classifier's, not the direction
        centred.w = net.w - net.w.mean(axis=0)
    clear = xaicore.explain(None, x, [2, 0, 1], method=method, backend=ToyBackend(centred))
    np.testing.assert_allclose(opaque.maps, clear.maps, rtol=0, atol=1e-5)


def test_an_opaque_sigmoid_is_looked_through(x: np.ndarray) -> None:
    net = ToyNet(classes=1)
    clear, opaque = ToyBackend(net), ToyBackend(net, head="sigmoid")
    for wanted in (None, 0, 1):
        one, other = (xaicore.explain(None, x, wanted, backend=b) for b in (clear, opaque))
        np.testing.assert_allclose(one.maps, other.maps, rtol=0, atol=1e-5)
        np.testing.assert_allclose(one.scores, other.scores, rtol=1e-5)


def test_multi_label_scores(net: ToyNet, backend: ToyBackend, x: np.ndarray) -> None:
    logits = net.forward(x)["dense"].astype(np.float64)
    sigmoid = (1 / (1 + np.exp(-logits)))[:, 1]
    softmax = head_forward(logits, "softmax")[:, 1]

    def scores(link: str | None, activation: str | None) -> np.ndarray:
        backend.link = link
        return xaicore.explain(None, x, 1, backend=backend, activation=activation).scores

    np.testing.assert_allclose(scores(None, None), softmax, rtol=1e-5)
    np.testing.assert_allclose(scores(None, "sigmoid"), sigmoid, rtol=1e-5)
    np.testing.assert_allclose(scores("sigmoid", None), sigmoid, rtol=1e-5)
    np.testing.assert_allclose(scores("sigmoid", "softmax"), softmax, rtol=1e-5)
    np.testing.assert_allclose(scores("softmax", "sigmoid"), sigmoid, rtol=1e-5)


def test_a_regression(x: np.ndarray) -> None:
    net = ToyNet(classes=1)
    backend = ToyBackend(net, kind="values")
    e = xaicore.explain(None, x, backend=backend, truth=[41, 7, -3])
    np.testing.assert_allclose(e.scores, net.forward(x)["dense"][:, 0], rtol=1e-5)
    assert e.targets.tolist() == [-1, -1, -1]
    assert e.predicted is None
    assert e.truth.tolist() == [41, 7, -3]
    np.testing.assert_allclose(e.maps, literal_gradcam(net, x, "second", np.zeros((3, 1), int))[:, 0], atol=1e-5)


def test_cam_of_the_toy_net_is_its_gradcam(net: ToyNet, backend: ToyBackend, x: np.ndarray) -> None:
    results = Explainer(None, backend=backend).compare(x, ["cam", "gradcam"], TopK(4))
    np.testing.assert_allclose(results["cam"].maps / 48, results["gradcam"].maps, rtol=0, atol=1e-5)
    with pytest.raises(MethodError, match=r"layer 'first' does not feed the classifier; use method='gradcam'"):
        xaicore.explain(None, x, method="cam", layer="first", backend=backend)


def test_methods_without_targets_repeat_their_map(backend: ToyBackend, x: np.ndarray) -> None:
    e = xaicore.explain(None, x, TopK(2), method="eigencam", backend=backend)
    assert e.maps.shape == (6, 6, 8)
    np.testing.assert_array_equal(e.maps[::2], e.maps[1::2])
    assert e.targets.tolist() != [e.targets[0]] * 6


# Several methods, several layers.


def test_compare_is_one_capture(net: ToyNet, x: np.ndarray) -> None:
    backend = ToyBackend(net)
    explainer = Explainer(None, backend=backend)
    names = [name for name, method in xaicore.METHODS.items() if method.takes_arrays and not method.fusion]
    results = explainer.compare(x, names, [1, 2, 3], ids=list("abc"), truth=[0, 1, 2], class_names=list("wxyz"))
    assert backend.calls == ["layers", "capture with gradients", "classifier_weights"]
    assert list(results) == names
    for name in names:
        alone = xaicore.explain(
            None,
            x,
            [1, 2, 3],
            method=name,
            backend=ToyBackend(net),
            ids=list("abc"),
            truth=[0, 1, 2],
            class_names=list("wxyz"),
        )
        assert results[name].method == name
        for field in ("maps", "scores", "targets", "predicted", "outputs", "empty", "truth", "image_index"):
            np.testing.assert_array_equal(getattr(results[name], field), getattr(alone, field))
        assert (results[name].ids, results[name].class_names) == (("a", "b", "c"), ("w", "x", "y", "z"))


def test_gradients_are_asked_for_only_where_a_method_needs_them(backend: ToyBackend, x: np.ndarray) -> None:
    Explainer(None, backend=backend, layer="second").compare(x, ["eigencam", "cam", "random"])
    assert backend.calls == ["capture", "classifier_weights"]


def test_compare_wants_methods_with_names_of_their_own(backend: ToyBackend, x: np.ndarray) -> None:
    explainer = Explainer(None, backend=backend)
    for wrong in ("gradcam", []):
        with pytest.raises(MethodError, match=r"methods=.*: expected a list of names or functions"):
            explainer.compare(x, wrong)
    assert list(explainer.compare(x, ["gradcam", "gradcam"])) == ["gradcam"]
    two = [lambda a, g: a[:, :1], lambda a, g: a[:, 1:2]]
    with pytest.raises(
        MethodError, match=r"methods of one name in <lambda>, <lambda>: give a function a name of its own"
    ):
        explainer.compare(x, two)
    named = [xaicore.Method(name, f, "activations") for name, f in zip("ab", two, strict=True)]
    assert list(explainer.compare(x, named)) == ["a", "b"]


def test_fused_layers(net: ToyNet, backend: ToyBackend, x: np.ndarray) -> None:
    explainer = Explainer(None, backend=backend, layer=["first", "second", "first"])
    assert explainer.layers == ("first", "second")
    e = explainer(x, 2)
    classes = np.full((3, 1), 2)
    expected = [literal_gradcam(net, x, layer, classes)[:, 0] for layer in ("first", "second")]
    expected = [m / np.maximum(m.max(axis=(1, 2), keepdims=True), 1e-30) for m in expected]
    np.testing.assert_allclose(e.maps, (expected[0] + expected[1]) / 2, rtol=0, atol=1e-5)
    assert e.layer == "first + second"


def test_the_layer_is_found_once(backend: ToyBackend, x: np.ndarray) -> None:
    explainer = Explainer(None, backend=backend)
    assert explainer.layers == ()
    explainer(x)
    assert explainer.layers == ("second",)
    explainer(x)
    explainer.compare(x, ["gradcam"])
    assert backend.calls.count("layers") == 1
    named = ToyBackend(backend.net)
    Explainer(None, backend=named, layer="first")(x)
    assert "layers" not in named.calls


# Maps without evidence.


def test_an_empty_map_is_zeros_and_says_so() -> None:
    activations = np.ones((2, 3, 4, 5), np.float32)
    gradients = np.ones((2, 1, 3, 4, 5), np.float32)
    gradients[1] = -1
    e = xaicore.explain(
        None,
        np.zeros((2, 3, 6, 8), np.float32),
        backend=FixedBackend(np.eye(2, dtype="f4"), activations, gradients),
    )
    assert e.empty.tolist() == [False, True]
    assert (e.maps[0] > 0).all()
    assert not e.maps[1].any()
    assert not e.heatmaps()[1].any()
    assert e.boxes().tolist() == [[0, 0, 8, 6], [0, 0, 0, 0]]
    assert not e.masks()[1].any()
    assert np.array_equal(e.overlays()[1], e.images[1])


# What backends and models may hand over.


def fixed(**changes: Any) -> FixedBackend:
    parts: dict[str, Any] = {
        "outputs": np.eye(2, 3, dtype=np.float32),
        "activations": np.ones((2, 5, 6, 8), np.float32),
        "gradients": np.ones((2, 1, 5, 6, 8), np.float32),
    }
    return FixedBackend(**{**parts, **changes})


PICTURES = np.zeros((2, 3, 6, 8), np.float32)


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("part", "named"), [("gradients", "the gradients at"), ("activations", "the activations of")])
def test_values_that_are_not_finite_are_named_and_counted(part: str, named: str, broken: float) -> None:
    array = np.ones((2, 1, 5, 6, 8) if part == "gradients" else (2, 5, 6, 8), np.float32)
    array.flat[[3, 7, 11]] = broken
    expected = (
        rf"{named} layer 'map' have 3 NaN or infinite values of 480; check the weights and the inputs, and the prec"
    )
    with pytest.raises(BackendError, match=expected):
        xaicore.explain(None, PICTURES, backend=fixed(**{part: array}))


def test_infinities_of_both_signs_do_not_cancel() -> None:
    gradients = np.ones((2, 1, 5, 6, 8), np.float32)
    gradients.flat[:2] = np.inf, -np.inf
    with pytest.raises(BackendError, match="have 2 NaN or infinite values"):
        xaicore.explain(None, PICTURES, backend=fixed(gradients=gradients))


def test_large_finite_values_are_not_taken_for_broken_ones() -> None:
    activations = np.full((2, 5, 6, 8), 3e38, np.float32)  # whose sum overflows
    gradients = np.full((2, 1, 5, 6, 8), 1e-38, np.float32)
    e = xaicore.explain(None, PICTURES, backend=fixed(activations=activations, gradients=gradients))
    assert (e.heatmaps() == 1).all()


@pytest.mark.parametrize("shape", [(2, 5, 1, 1), (2, 5), (2, 197, 64), (2, 5, 3, 3, 3)])
def test_a_layer_that_is_no_map(shape: tuple[int, ...]) -> None:
    backend = fixed(activations=np.ones(shape, np.float32), gradients=np.ones((2, 1, *shape[1:]), np.float32))
    with pytest.raises(
        LayerError, match=r"layer 'map' gives \(2, .*\), which is no map of an input of size \(6, 8\): exp"
    ):
        Explainer(None, backend=backend, layer="map")(PICTURES)


@pytest.mark.parametrize("layer", ["pool", "dense"])
def test_a_layer_of_the_toy_net_that_is_no_map(backend: ToyBackend, x: np.ndarray, layer: str) -> None:
    with pytest.raises(
        LayerError, match=rf"layer '{layer}' gives .*\. Name a convolution or a block of them, or pass layer=None"
    ):
        xaicore.explain(None, x, layer=layer, backend=backend)


@pytest.mark.parametrize("layer", [[], 3, ["a", 3], b"conv", [None]])
def test_layers_have_names(layer: Any, backend: ToyBackend) -> None:
    with pytest.raises(
        LayerError, match=r"layer=.*: expected a layer's name as .*, several names, or None to find one"
    ):
        Explainer(None, backend=backend, layer=layer)


def test_a_network_in_place_of_a_name_does_not_fill_the_screen(backend: ToyBackend) -> None:
    class Net:
        def __repr__(self) -> str:
            return "Net(\n  (conv): Conv2d()\n)"

    with pytest.raises(LayerError, match=r"^layer=<.*Net>: expected a layer's name"):
        Explainer(None, backend=backend, layer=Net())


def test_attention_asks_for_a_layer(backend: ToyBackend) -> None:
    layers = [Layer("patches", "Conv", (1, 5, 6, 8), True), Layer("block", "Block", (1, 49, 64), False)]
    with pytest.raises(
        LayerError,
        match=r"tokens or a sequence follow .*, as in an attention model: 'block' \(1, 49, 64\). Name the layer",
    ):
        xaicore.explain(None, PICTURES, backend=fixed(layers=layers))
    assert xaicore.explain(None, PICTURES, layer="patches", backend=fixed(layers=layers)).layer == "patches"


class Region(Target):
    """The mean score of one channel over some positions of a score map."""

    def __init__(self, channel: int = 1, named: int = -1) -> None:
        self.channel, self.named = channel, named

    def aim(self, outputs: np.ndarray, kind: str) -> Aim:
        direction = np.zeros((len(outputs), 1, *outputs.shape[1:]))
        direction[:, 0, self.channel, :2] = 0.5
        return Aim(direction, np.full((len(outputs), 1), self.named))

    def __str__(self) -> str:
        return "region"


def test_a_score_a_position_asks_for_a_layer() -> None:
    outputs = np.random.default_rng(0).normal(size=(2, 3, 4, 4)).astype(np.float32)
    for wanted in (None, Region()):
        with pytest.raises(
            LayerError, match=r"outputs \(2, 3, 4, 4\) are a score per position, where the last map says lit"
        ):
            xaicore.explain(None, PICTURES, wanted, backend=fixed(outputs=outputs))
    with pytest.raises(TargetError, match=r"target 'predicted' needs one score per class"):
        xaicore.explain(None, PICTURES, layer="map", backend=fixed(outputs=outputs))


@pytest.mark.parametrize("named", [-1, 1])
def test_a_target_of_ones_own_on_a_score_map(named: int) -> None:
    outputs = np.random.default_rng(0).normal(size=(2, 3, 4, 4)).astype(np.float32)
    e = xaicore.explain(None, PICTURES, Region(named=named), layer="map", backend=fixed(outputs=outputs))
    # The score is what the direction measures, whether or not the region has the name of a class.
    np.testing.assert_allclose(e.scores, 0.5 * outputs[:, 1, :2].sum(axis=(1, 2)), rtol=1e-5)
    assert e.targets.tolist() == [named, named]
    assert e.predicted is None
    assert e.target == "region"


def test_a_target_may_mix_classes_and_none(x: np.ndarray, net: ToyNet, backend: ToyBackend) -> None:
    class Contrast(Target):
        def aim(self, outputs: np.ndarray, kind: str) -> Aim:
            direction = np.zeros((3, 2, 4), np.float32)
            direction[:, 0, 2] = 1
            direction[:, 1, 2], direction[:, 1, 0] = 1, -1
            return Aim(direction, np.array([[2, -1]] * 3))

        def __str__(self) -> str:
            return "contrast"

    e = xaicore.explain(None, x, Contrast(), backend=backend)
    logits = net.forward(x)["dense"]
    np.testing.assert_allclose(e.scores[::2], head_forward(logits, "softmax")[:, 2], rtol=1e-5)
    np.testing.assert_allclose(e.scores[1::2], logits[:, 2] - logits[:, 0], rtol=1e-5)


def test_a_target_that_returns_a_direction_alone(backend: ToyBackend, x: np.ndarray) -> None:
    class Alone(Target):
        def aim(self, outputs: np.ndarray, kind: str) -> Any:
            return np.ones_like(outputs)[:, None]

    with pytest.raises(TargetError, match=r"target Alone gave a numpy.ndarray; expected Aim\(direction, classes\)"):
        xaicore.explain(None, x, Alone(), backend=backend)


@pytest.mark.parametrize(
    ("direction", "classes", "message"),
    [
        (
            np.ones((2, 3)),
            np.zeros((2, 1)),
            r"gave a direction of shape \(2, 3\) for outputs \(2, 3\): expected \(N, K",
        ),
        (np.ones((2, 1, 4)), np.zeros((2, 1)), r"of shape \(2, 1, 4\) .*expected \(N, K, \*O\) = \(2, K, 3\)"),
        (np.ones((1, 1, 3)), np.zeros((1, 1)), r"of shape \(1, 1, 3\)"),
        (np.ones((2, 0, 3)), np.zeros((2, 0)), r"of shape \(2, 0, 3\)"),
        (np.ones((2, 2, 3)), np.zeros(2), r"target odd gave classes of shape \(2,\): expected \(2, 2\)"),
    ],
)
def test_a_target_of_the_wrong_shape(direction: np.ndarray, classes: np.ndarray, message: str) -> None:
    class Odd(Target):
        def aim(self, outputs: np.ndarray, kind: str) -> Aim:
            return Aim(direction, classes)

        def __str__(self) -> str:
            return "odd"

    with pytest.raises(TargetError, match=message):
        xaicore.explain(None, PICTURES, Odd(), backend=fixed())


@pytest.mark.parametrize("calls", [0, 2])
def test_a_backend_calls_direction_once(calls: int) -> None:
    with pytest.raises(BackendError, match=rf"backend 'fixed' called direction {calls} times; expected one call"):
        xaicore.explain(None, PICTURES, backend=fixed(direction_calls=calls))


def test_an_empty_batch() -> None:
    backend = fixed(outputs=np.zeros((0, 3), np.float32), activations=np.zeros((0, 5, 6, 8), np.float32))
    for method in ("gradcam", "eigencam"):
        with pytest.raises(InputError, match=r"the batch is empty: outputs \(0, 3\); expected one image or more"):
            xaicore.explain(None, PICTURES[:0], method=method, backend=backend)


@pytest.mark.parametrize("shape", [(2, 6, 8), (2, 2, 6, 8), (2, 1, 8, 6), (1, 1, 6, 8)])
def test_a_method_that_gives_something_else(shape: tuple[int, ...]) -> None:
    def mine(activations: np.ndarray, gradients: np.ndarray) -> np.ndarray:
        return np.ones(shape)

    with pytest.raises(MethodError, match=r"method 'mine' gave maps of shape \(.*\); expected \(2, 1, 6, 8\)"):
        xaicore.explain(None, PICTURES, method=mine, backend=fixed())


def test_a_method_that_gives_nan() -> None:
    def mine(activations: np.ndarray, gradients: np.ndarray) -> np.ndarray:
        return np.full((2, 1, 6, 8), np.nan)

    with pytest.raises(BackendError, match=r"the maps of method 'mine' have 96 NaN or infinite values of 96"):
        xaicore.explain(None, PICTURES, method=mine, backend=fixed())


def test_negative_evidence_is_cut_off_and_doubles_become_single() -> None:
    def mine(activations: np.ndarray, gradients: np.ndarray) -> np.ndarray:
        return np.linspace(-1, 1, 96).reshape(2, 1, 6, 8)

    e = xaicore.explain(None, PICTURES, method=mine, backend=fixed())
    assert e.maps.dtype == np.float32
    np.testing.assert_allclose(e.maps.ravel(), np.maximum(np.linspace(-1, 1, 96), 0), rtol=1e-6)


# Arguments.


def test_ids_truth_and_class_names(backend: ToyBackend, x: np.ndarray) -> None:
    explainer = Explainer(None, backend=backend)
    e = explainer(x)
    assert (e.ids, e.truth, e.class_names) == (("0", "1", "2"), None, None)
    e = explainer(x, ids=["a.jpg", 7, "c"], truth=np.array([0, 3, -1], np.int8), class_names=["w", "x", "y", 4])
    assert e.ids == ("a.jpg", "7", "c")
    assert e.truth.tolist() == [0, 3, -1]
    assert e.truth.dtype == np.int64
    assert e.class_names == ("w", "x", "y", "4")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"ids": ["a", "b"]}, "2 ids for 3 images: expected one per image"),
        ({"ids": ["a", "b", "a"]}, "ids repeat: a; expected a different one for each image"),
        ({"ids": [1, "1", 2]}, "ids repeat: 1;"),
        ({"truth": [1, 2]}, r"truth of shape \(2,\) for 3 images: expected 3 class indices, or rows \(3, classes\)"),
        ({"truth": 1}, r"truth of shape \(1,\) for 3 images"),
        ({"truth": [[[1]], [[2]], [[3]]]}, r"truth of shape \(3, 1, 1\): expected class indices or names, or rows"),
        ({"truth": [1.0, 2.5, 3.0]}, "truth with values such as 2.5: expected class indices or names"),
        ({"truth": ["a", "b", "c"]}, "truth: 'a' is no class index; to use names, pass class_names"),
        (
            {"truth": [0, 1, 4]},
            r"truth 4 is out of range: outputs \(3, 4\) have classes 0 to 3; -1 is for unknown",
        ),
        ({"truth": [0, 1, -2]}, r"truth -2 is out of range: outputs \(3, 4\)"),
        ({"class_names": ["a", "b"]}, r"2 class names for outputs \(3, 4\): expected 4, one per class"),
        ({"images": np.zeros((2, 6, 8, 3), np.uint8)}, r"images of shape \(2, 6, 8, 3\): expected 3 RGB pictures"),
    ],
)
def test_arguments_that_do_not_fit(backend: ToyBackend, x: np.ndarray, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Explainer(None, backend=backend)(x, **arguments)


def test_truth_and_class_names_of_one_output(x: np.ndarray) -> None:
    backend = ToyBackend(ToyNet(classes=1))
    assert xaicore.explain(None, x, backend=backend, truth=[0, 1, 1]).truth.tolist() == [0, 1, 1]
    with pytest.raises(InputError, match=r"truth 2 is out of range: outputs \(3, 1\) have classes 0 to 1"):
        xaicore.explain(None, x, backend=backend, truth=[0, 1, 2])
    with pytest.raises(InputError, match=r"1 class names for outputs \(3, 1\): expected 2"):
        xaicore.explain(None, x, backend=backend, class_names=["cat"])


def test_repr_tells_what_an_explainer_does(backend: ToyBackend, x: np.ndarray) -> None:
    explainer = Explainer(None, backend=backend)
    assert repr(explainer) == "<Explainer of builtins.NoneType: gradcam at a layer to be found, backend toy>"
    explainer(x)
    assert repr(explainer) == "<Explainer of builtins.NoneType: gradcam at second, backend toy>"
    fused = Explainer(object(), "hirescam", ["first", "second"], backend)
    assert repr(fused) == "<Explainer of builtins.object: hirescam at first + second, backend toy>"


def test_explain_documents_all_its_arguments() -> None:
    for function in (xaicore.explain, Explainer.__call__, Explainer):
        text = function.__doc__.partition("Args:")[2].partition("Raises:")[0]
        documented = [name for names in re.findall(r"^ +([\w, ]+): ", text, re.M) for name in names.split(", ")]
        assert documented == [name for name in inspect.signature(function).parameters if name != "self"]


def test_what_an_explainer_is_made_of(backend: ToyBackend) -> None:
    with pytest.raises(InputError, match="activation='relu' is not known; expected 'softmax', 'sigmoid' or None"):
        Explainer(None, backend=backend, activation="relu")
    with pytest.raises(MethodError, match="no method called 'gradcamm'"):
        Explainer(None, backend=backend, method="gradcamm")
    with pytest.raises(InputError, match=r"output=1 with a Backend instance: build the backend for that output"):
        Explainer(None, backend=backend, output=1)

    class Tomorrow(ToyBackend):
        api_version = 2

    with pytest.raises(
        xaicore.PluginError, match=r"backend= speaks api_version 2, this xaicore speaks 1: upgrade xaico"
    ):
        Explainer(None, backend=Tomorrow())


def test_what_a_backend_raises_passes_unchanged(x: np.ndarray) -> None:
    class Broken(ToyBackend):
        def capture(self, *arguments: Any) -> Any:
            raise FloatingPointError("out of range")

    with pytest.raises(FloatingPointError, match="out of range"):
        xaicore.explain(None, x, backend=Broken())


@pytest.mark.parametrize("method", ["gradcam", "scorecam", "rise"])
@pytest.mark.parametrize("images", [1, 2])
def test_images_that_a_backend_has_on_another_axis_are_refused(images, method):
    class Third(ToyBackend):
        """Takes (C, H, N, W)."""

        def layers(self, inputs: Any) -> Any:
            return super().layers(np.moveaxis(np.asarray(inputs), 2, 0))

        def capture(self, inputs: Any, *arguments: Any) -> Any:
            return super().capture(np.moveaxis(np.asarray(inputs), 2, 0), *arguments)

    x = np.random.default_rng(0).normal(size=(3, 6, images, 7))
    told = (
        rf"inputs \(3, 6, {images}, 7\) have 3 entries on their first axis, and backend 'toy' gave outputs of {images} "
    )
    with pytest.raises(InputError, match=told + "images: images come first"):
        Explainer(None, backend=Third(), layer="second", method=method)(x, targets=0)


@pytest.mark.parametrize("what", ["activations", "gradients"])
def test_a_backend_that_forgets_a_layer_is_named(backend, x, monkeypatch, what):
    capture = type(backend).capture

    def forget(self, inputs, layers, direction=None):
        return dataclasses.replace(capture(self, inputs, layers, direction), **{what: {"other": x}})

    monkeypatch.setattr(type(backend), "capture", forget)
    with pytest.raises(xaicore.BackendError, match=f"'toy' gave {what} for other, not for 'second'"):
        xaicore.Explainer(None, backend=backend)(x)


def test_a_target_of_the_users_with_a_class_that_does_not_exist(backend, x):
    class Wrong(xaicore.Target):
        def aim(self, outputs, kind):
            return xaicore.targets.Aim(outputs[:, None], np.full((len(outputs), 1), 9))

    with pytest.raises(TargetError, match=r"target Wrong gave class 9 for outputs .*: expected classes below 4, or -1"):
        xaicore.Explainer(None, backend=backend)(x, Wrong())
