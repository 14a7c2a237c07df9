"""Each method against its formula, one number at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import xaicore
from xaicore.methods import METHODS, find_method
from xaicore.testing.fixed import FixedBackend

SHAPES = [(7,), (4, 5), (2, 3, 4)]


def run(name: str, activations: np.ndarray, second: np.ndarray | None) -> np.ndarray:
    return METHODS[name].function(activations, second)


def inputs(spatial: tuple[int, ...], seed: int = 0, channels: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Signed activations (2, C, *S) and gradients (2, 3, C, *S), some gradients exactly zero."""
    rng = np.random.default_rng(seed)
    activations = rng.normal(size=(2, channels, *spatial)).astype(np.float32)
    gradients = rng.normal(size=(2, 3, channels, *spatial)).astype(np.float32)
    gradients[rng.uniform(size=gradients.shape) < 0.3] = 0
    gradients[0, 1, 2] = 0  # a whole channel
    return activations, gradients


def positions(array: np.ndarray) -> list[tuple[int, ...]]:
    return list(np.ndindex(array.shape[2:]))


# The formulas, literally: a map's value at every (n, k, position).


def literal_cam(a: np.ndarray, w: np.ndarray, n: int, k: int) -> dict[tuple[int, ...], float]:
    return {p: sum(float(w[n, k, c]) * float(a[n, c][p]) for c in range(a.shape[1])) for p in positions(a)}


def literal_gradcam(a: np.ndarray, g: np.ndarray, n: int, k: int) -> dict[tuple[int, ...], float]:
    places, weights = positions(a), []
    for c in range(a.shape[1]):
        weights.append(sum(float(g[n, k, c][p]) for p in places) / len(places))
    return {p: sum(weights[c] * float(a[n, c][p]) for c in range(a.shape[1])) for p in places}


def literal_gradcam_plus_plus(a: np.ndarray, g: np.ndarray, n: int, k: int) -> dict[tuple[int, ...], float]:
    places, weights = positions(a), []
    for c in range(a.shape[1]):
        total, weight = sum(float(a[n, c][p]) for p in places), 0.0
        for p in places:
            slope = float(g[n, k, c][p])
            if slope != 0:
                alpha = slope**2 / (2 * slope**2 + total * slope**3)
                weight += max(slope, 0.0) * alpha
        weights.append(weight)
    return {p: sum(weights[c] * float(a[n, c][p]) for c in range(a.shape[1])) for p in places}


def literal_xgradcam(a: np.ndarray, g: np.ndarray, n: int, k: int) -> dict[tuple[int, ...], float]:
    places, weights = positions(a), []
    for c in range(a.shape[1]):
        above = sum(float(g[n, k, c][p]) * float(a[n, c][p]) for p in places)
        below = sum(float(a[n, c][p]) for p in places)
        weights.append(above / below)
    return {p: sum(weights[c] * float(a[n, c][p]) for c in range(a.shape[1])) for p in places}


def literal_hirescam(a: np.ndarray, g: np.ndarray, n: int, k: int) -> dict[tuple[int, ...], float]:
    return {p: sum(float(g[n, k, c][p]) * float(a[n, c][p]) for c in range(a.shape[1])) for p in positions(a)}


def literal_elementwise(a: np.ndarray, g: np.ndarray, n: int, k: int) -> dict[tuple[int, ...], float]:
    return {p: sum(max(float(g[n, k, c][p]) * float(a[n, c][p]), 0.0) for c in range(a.shape[1])) for p in positions(a)}


def literal_layercam(a: np.ndarray, g: np.ndarray, n: int, k: int) -> dict[tuple[int, ...], float]:
    return {p: sum(max(float(g[n, k, c][p]), 0.0) * float(a[n, c][p]) for c in range(a.shape[1])) for p in positions(a)}


LITERAL = {
    "gradcam": literal_gradcam,
    "gradcam++": literal_gradcam_plus_plus,
    "xgradcam": literal_xgradcam,
    "hirescam": literal_hirescam,
    "gradcam-elementwise": literal_elementwise,
    "layercam": literal_layercam,
}


@pytest.mark.parametrize("spatial", SHAPES)
@pytest.mark.parametrize("name", LITERAL)
def test_gradient_method_is_its_formula(name: str, spatial: tuple[int, ...]) -> None:
    activations, gradients = inputs(spatial)
    maps = run(name, activations, gradients)
    assert maps.shape == (2, 3, *spatial)
    for n, k in np.ndindex(2, 3):
        for place, value in LITERAL[name](activations, gradients, n, k).items():
            assert abs(maps[(n, k, *place)] - value) <= 1e-5 * max(1, abs(value))


@pytest.mark.parametrize("spatial", SHAPES)
def test_cam_is_its_formula(spatial: tuple[int, ...]) -> None:
    activations, _ = inputs(spatial)
    rows = np.random.default_rng(5).normal(size=(2, 3, 6)).astype(np.float32)
    maps = run("cam", activations, rows)
    assert maps.shape == (2, 3, *spatial)
    for n, k in np.ndindex(2, 3):
        for place, value in literal_cam(activations, rows, n, k).items():
            assert abs(maps[(n, k, *place)] - value) <= 1e-5


@pytest.mark.parametrize("spatial", SHAPES)
def test_random_is_a_fixed_mixture_of_channels(spatial: tuple[int, ...]) -> None:
    activations, _ = inputs(spatial)
    weights = np.random.default_rng(0).uniform(-1, 1, 6)
    maps = run("random", activations, None)
    assert maps.shape == (2, 1, *spatial)
    for n in range(2):
        for place in positions(activations):
            value = sum(weights[c] * float(activations[n, c][place]) for c in range(6))
            assert abs(maps[(n, 0, *place)] - value) <= 1e-5


def test_random_knows_neither_batch_nor_the_global_state() -> None:
    activations, _ = inputs((4, 5))
    np.random.seed(3)
    before = np.random.get_state()[1].copy()
    both = run("random", activations, None)
    assert np.array_equal(np.random.get_state()[1], before)
    assert np.array_equal(run("random", activations, None), both)
    assert np.array_equal(run("random", activations[1:], None)[0], both[1])
    assert (both < 0).any()
    assert (both > 0).any()


# Eigen-CAM: against the singular value decomposition that it avoids.


def by_svd(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(C, *S): the projection on the first right singular vector, its sign open, and the features' sum."""
    raw = features.reshape(len(features), -1).T.astype(np.float64)
    x = raw - raw.mean(axis=0)
    projected = x @ np.linalg.svd(x, full_matrices=False)[2][0]
    return projected.reshape(features.shape[1:]), raw.sum(axis=1).reshape(features.shape[1:])


def as_documented(projected: np.ndarray, total: np.ndarray) -> np.ndarray:
    return projected * np.sign(np.corrcoef(projected.ravel(), total.ravel())[0, 1])


def features_of(name: str, a: np.ndarray, g: np.ndarray) -> Iterator[tuple[int, int, np.ndarray]]:
    for n in range(len(a)):
        if name == "eigencam":
            yield n, 0, a[n]
        else:
            for k in range(g.shape[1]):
                yield n, k, g[n, k] * a[n]


@pytest.mark.parametrize("channels", [3, 40])  # fewer and more than positions: both Gram matrices
@pytest.mark.parametrize("spatial", SHAPES)
@pytest.mark.parametrize("name", ["eigencam", "eigengradcam"])
def test_eigen_method_is_the_first_singular_vector(name: str, spatial: tuple[int, ...], channels: int) -> None:
    activations, gradients = inputs(spatial, channels=channels)
    maps = run(name, activations, gradients if name == "eigengradcam" else None)
    assert maps.shape == (2, 3 if name == "eigengradcam" else 1, *spatial)
    for n, k, features in features_of(name, activations, gradients):
        np.testing.assert_allclose(maps[n, k], as_documented(*by_svd(features)), rtol=0, atol=1e-5)


@given(hnp.arrays(np.float32, (1, 4, 3, 3), elements=st.floats(-8, 8, width=16)))
def test_eigencam_agrees_with_the_sum_over_channels(activations: np.ndarray) -> None:
    maps = run("eigencam", activations, None)[0, 0].astype(np.float64)
    total = activations[0].sum(axis=0, dtype=np.float64)
    assert (maps * (total - total.mean())).sum() >= -1e-6 * max(1, np.abs(total).max()) ** 2
    # A sign of features does not matter to the axis, only to the side: turned over, the map is turned over.
    np.testing.assert_allclose(np.abs(run("eigencam", -activations, None)[0, 0]), np.abs(maps), atol=1e-4)


def test_eigen_sign_without_correlation_makes_the_largest_entry_positive() -> None:
    # Two channels that cancel: their sum is 0 everywhere and says nothing of the sign.
    one = np.array([[3.0, -1.0], [-1.0, -1.0]], np.float32)
    assert run("eigencam", np.stack([one, -one])[None], None)[0, 0] == pytest.approx(one * math.sqrt(2))
    assert run("eigencam", np.stack([-one, one])[None], None)[0, 0] == pytest.approx(one * math.sqrt(2))


@pytest.mark.parametrize("value", [0.0, 0.1, 123.456])
def test_eigencam_of_constant_features_is_zero(value: float) -> None:
    assert not run("eigencam", np.full((1, 5, 7, 7), value, np.float32), None).any()
    assert not run("eigencam", np.full((1, 50, 3, 3), value, np.float32), None).any()


# Extremes.


@pytest.mark.parametrize("name", [*LITERAL, "eigengradcam"])
def test_zero_gradients_give_zero_maps(name: str) -> None:
    activations, gradients = inputs((4, 5))
    assert not run(name, activations, np.zeros_like(gradients)).any()


@pytest.mark.parametrize("size", [1e-38, 1e-20, 1e-6, 1.0, 1e6, 1e18])
def test_gradcam_plus_plus_at_extremes(size: float) -> None:
    """Where S(A) G is small, alpha is 1/2; where it is large, alpha G is 1 / S(A). No exponential can overflow."""
    activations = np.ones((1, 1, 2, 2), np.float32)
    gradients = np.full((1, 1, 1, 2, 2), size, np.float32)
    g = float(np.float32(size))
    expected = 4 * g / (2 + 4 * g)
    assert run("gradcam++", activations, gradients)[0, 0] == pytest.approx(np.full((2, 2), expected), rel=1e-5)


def test_gradcam_plus_plus_where_the_denominator_vanishes() -> None:
    # 2 + S(A) G = 2 - 4 * 0.5 = 0: such a position has no weight.
    activations = -np.ones((1, 1, 2, 2), np.float32)
    gradients = np.full((1, 1, 1, 2, 2), 0.5, np.float32)
    assert np.array_equal(run("gradcam++", activations, gradients), np.zeros((1, 1, 2, 2)))


def test_xgradcam_where_the_activations_sum_to_zero() -> None:
    activations = np.array([[[[1.0, -1.0]], [[1.0, 3.0]]]], np.float32)
    gradients = np.array([[[[[5.0, 2.0]], [[1.0, 2.0]]]]], np.float32)
    # The first channel has no weight; the second (1 * 1 + 2 * 3) / 4.
    assert run("xgradcam", activations, gradients)[0, 0] == pytest.approx(np.array([[1.75, 5.25]]))


def test_methods_differ_where_their_formulas_do() -> None:
    activations, gradients = inputs((4, 5))
    maps = {name: run(name, activations, gradients) for name in LITERAL}
    for one in LITERAL:
        for other in LITERAL:
            assert one == other or np.abs(maps[one] - maps[other]).max() > 0.01


@pytest.mark.parametrize("name", [name for name, method in METHODS.items() if method.takes_arrays])
def test_methods_leave_their_arguments_alone(name: str) -> None:
    activations, gradients = inputs((4, 5))
    second = {"gradients": gradients, "weights": gradients.mean(axis=(-2, -1)), "activations": None}
    second = second[METHODS[name].needs]
    activations.setflags(write=False)
    if second is not None:
        second.setflags(write=False)
    assert np.isfinite(run(name, activations, second)).all()


# Names and functions.


def test_needs() -> None:
    assert {name: method.needs for name, method in METHODS.items()} == {
        "cam": "weights",
        "gradcam": "gradients",
        "gradcam++": "gradients",
        "xgradcam": "gradients",
        "hirescam": "gradients",
        "gradcam-elementwise": "gradients",
        "layercam": "gradients",
        "eigencam": "activations",
        "eigengradcam": "gradients",
        "random": "activations",
        "smoothgradcam++": ("activations", "gradients_again"),
        "shapleycam": ("activations", "gradients", "second"),
        "fem": "activations",
        "kpcacam": "activations",
        "segeigencam": "gradients",
        "finercam": ("activations", "gradients_again"),
        "refinecam": "gradients",
        "scorecam": ("activations", "inputs"),
        "sscam": ("activations", "inputs"),
        "iscam": ("activations", "inputs"),
        "ablationcam": ("activations", "resume"),
        "reciprocam": ("activations", "resume"),
        "rise": "inputs",
        "gradient": "input_gradients",
        "input-x-gradient": "input_gradients",
        "smoothgrad": "input_gradients",
        "integrated-gradients": "input_gradients",
        "guided": "guided",
        "deconv": "deconv",
        "guided-gradcam": ("gradients", "guided"),
        "fullgrad": ("input_gradients", "biases"),
        "rollout": "attention",
        "attention": "attention",
        "legrad": "attention_gradients",
        "gradeclip": "attention_gradients",
        "chefer": "attention_gradients",
    }


def test_find_method_by_name_function_and_method() -> None:
    assert find_method("layercam") is METHODS["layercam"]
    assert find_method(METHODS["cam"]) is METHODS["cam"]

    def brightest(activations: np.ndarray, gradients: None) -> np.ndarray:
        return activations.max(axis=1, keepdims=True)

    assert find_method(brightest) == xaicore.Method("brightest", brightest, "gradients")
    brightest.needs = "activations"
    assert find_method(brightest).needs == "activations"

    class Callable:
        def __call__(self, activations: np.ndarray, gradients: np.ndarray) -> np.ndarray:
            return activations

    assert find_method(Callable()).name == "Callable"


def test_unknown_names_get_the_near_ones() -> None:
    with pytest.raises(
        xaicore.MethodError, match=r"no method called 'grad-cam'; known: cam, .*chefer; did you mean"
    ) as e:
        find_method("grad-cam")
    assert "'gradcam'" in str(e.value).partition("did you mean")[2]
    with pytest.raises(xaicore.MethodError, match=r"pass method=xaicore.method\('rise', masks=20\)$"):
        find_method("rise(masks=20)")
    with pytest.raises(xaicore.MethodError, match=r"no method called 'qqq'; known: .*random.*$"):
        find_method("qqq")
    with pytest.raises(
        xaicore.MethodError, match=r"method=3: expected a name or a function f\(activations, gradients\)"
    ):
        find_method(3)
    with pytest.raises(
        xaicore.MethodError, match=r"method 'x' needs 'luck'; expected some of activations, gradients, .*weights"
    ):
        xaicore.Method("x", lambda a, g: a, "luck")


def test_a_function_is_handed_what_it_needs(x: np.ndarray) -> None:
    activations = np.random.default_rng(0).normal(size=(3, 5, 6, 8)).astype(np.float32)
    gradients = np.random.default_rng(1).normal(size=(3, 1, 5, 6, 8)).astype(np.float32)
    outputs = np.eye(3, dtype=np.float32)
    seen = []

    def mine(a: np.ndarray, second: np.ndarray | None) -> np.ndarray:
        seen.append((a, second))
        return a[:, :1]

    backend = FixedBackend(outputs, activations, gradients)
    explanation = xaicore.explain(None, x, method=mine, backend=backend)
    assert seen[0][0] is activations
    assert seen[0][1] is gradients
    assert explanation.method == "mine"
    assert np.array_equal(explanation.maps, np.maximum(activations[:, 0], 0))

    mine.needs = "activations"
    xaicore.explain(None, x, method=mine, backend=backend)
    assert seen[1][1] is None


def test_methods_as_other_libraries_spell_them() -> None:
    with pytest.raises(xaicore.MethodError, match=r"no method called 'GradCAM'; .*; did you mean 'gradcam'"):
        find_method("GradCAM")
    with pytest.raises(xaicore.MethodError, match=r"expected a name or a function .*; Explainer.compare takes several"):
        find_method(["cam", "gradcam"])
