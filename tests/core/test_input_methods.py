"""Methods on the input: each against its formula, one number at a time, on a net whose gradients are exact."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from biasnet import BiasBackend, BiasNet

import xaicore
from xaicore.methods import METHODS, method

NAMES = (
    *("gradient", "input-x-gradient", "smoothgrad", "integrated-gradients"),
    *("guided", "deconv", "guided-gradcam", "fullgrad"),
)
SIGNED = {"input-x-gradient", "integrated-gradients", "guided", "deconv", "guided-gradcam"}
TARGETS = [[3, 1]]


@pytest.fixture
def net() -> BiasNet:
    return BiasNet()


@pytest.fixture
def x() -> np.ndarray:
    """Three standardised pictures, not square, of different ranges."""
    rng = np.random.default_rng(1)
    return (rng.normal(size=(3, 3, 4, 6)) * np.array([1, 2, 0.5]).reshape(3, 1, 1, 1)).astype(np.float32)


def explain(net: BiasNet, x: np.ndarray, which: Any, targets: Any = TARGETS, **options: Any) -> xaicore.Explanation:
    return xaicore.explain(None, x, targets, method=which, backend=BiasBackend(net), layer="second", **options)


def gradient(net: BiasNet, x: np.ndarray, target: int, rule: str = "plain") -> np.ndarray:
    """(C, H, W), of one picture and one logit."""
    direction = np.eye(4)[target].reshape(1, 1, 4)
    return net.backward(net.forward(x[None]), direction, rule)["input"][0, 0]


def expected_maps(x: np.ndarray, literal: Any) -> np.ndarray:
    return np.stack([[literal(picture, target) for target in TARGETS[0]] for picture in x]).reshape(-1, *x.shape[2:])


def check(maps: np.ndarray, expected: np.ndarray) -> None:
    assert np.abs(expected).max() > 1e-3
    np.testing.assert_allclose(maps, expected, rtol=0, atol=1e-5 * max(1, np.abs(expected).max()))


def test_the_toy_has_the_gradient_of_its_logits(net: BiasNet, x: np.ndarray) -> None:
    found, step = gradient(net, x[0], 2), 1e-6
    for place in np.ndindex(x[0].shape):
        moved = np.repeat(x[:1].astype(np.float64), 2, axis=0)
        moved[0][place] -= step
        moved[1][place] += step
        low, high = net.forward(moved)["dense"][:, 2]
        assert found[place] == pytest.approx((high - low) / (2 * step), abs=1e-6)


def test_gradient_is_the_largest_slope_of_a_channel(net: BiasNet, x: np.ndarray) -> None:
    def literal(picture: np.ndarray, target: int) -> np.ndarray:
        g, made = gradient(net, picture, target), np.zeros((4, 6))
        for i, j in np.ndindex(4, 6):
            made[i, j] = max(abs(g[c, i, j]) for c in range(3))
        return made

    check(explain(net, x, "gradient").maps, expected_maps(x, literal))


def test_input_x_gradient(net: BiasNet, x: np.ndarray) -> None:
    def literal(picture: np.ndarray, target: int) -> np.ndarray:
        g, made = gradient(net, picture, target), np.zeros((4, 6))
        for i, j in np.ndindex(4, 6):
            made[i, j] = sum(g[c, i, j] * picture[c, i, j] for c in range(3))
        return made

    check(explain(net, x, "input-x-gradient").maps, expected_maps(x, literal))


@pytest.mark.parametrize(("name", "rule"), [("guided", "guided"), ("deconv", "deconv")])
def test_guided_and_deconv_are_the_sum_over_channels(net: BiasNet, x: np.ndarray, name: str, rule: str) -> None:
    def literal(picture: np.ndarray, target: int) -> np.ndarray:
        g, made = gradient(net, picture, target, rule), np.zeros((4, 6))
        for i, j in np.ndindex(4, 6):
            made[i, j] = g[0, i, j] + g[1, i, j] + g[2, i, j]
        return made

    check(explain(net, x, name).maps, expected_maps(x, literal))


def test_guided_gradcam_is_guided_times_gradcam(net: BiasNet, x: np.ndarray) -> None:
    targets = [[0, 1, 2, 3]]
    light, coarse = explain(net, x, "guided", targets).maps, explain(net, x, "gradcam", targets).maps
    assert 0 < (coarse == 0).mean() < 1  # Grad-CAM's negative values do not count
    expected = np.zeros_like(light)
    for m in range(len(light)):
        for i, j in np.ndindex(4, 6):
            expected[m, i, j] = light[m, i, j] * bilinear(coarse[m], (4, 6), i, j)
    check(explain(net, x, "guided-gradcam", targets).maps, expected)


def bilinear(small: np.ndarray, size: tuple[int, int], i: int, j: int) -> float:
    """One pixel of a map resized with half-pixel centres."""
    value, at = 0.0, [(place + 0.5) * n / to - 0.5 for place, n, to in zip((i, j), small.shape, size, strict=True)]
    for a, b in np.ndindex(small.shape):
        shares = []
        for k, (here, n) in enumerate(zip(at, small.shape, strict=True)):
            near = min(max(here, 0), n - 1)
            shares.append(max(0.0, 1 - abs(near - (a, b)[k])))
        value += shares[0] * shares[1] * float(small[a, b])
    return value


def test_smoothgrad_is_the_mean_over_noisy_pictures(net: BiasNet, x: np.ndarray) -> None:
    def literal(picture: np.ndarray, target: int) -> np.ndarray:
        total = np.zeros((3, 4, 6))
        for i in range(40):
            noise = np.random.default_rng(i).standard_normal((1, 3, 4, 6), np.float32)[0]
            total += gradient(net, picture + 0.2 * (picture.max() - picture.min()) * noise, target)
        made = np.zeros((4, 6))
        for i, j in np.ndindex(4, 6):
            made[i, j] = max(abs(total[c, i, j] / 40) for c in range(3))
        return made

    found = explain(net, x, method("smoothgrad", n=40, sigma=0.2))
    check(found.maps, expected_maps(x, literal))
    assert found.method == "smoothgrad (n=40, sigma=0.2)"


def test_smoothgrad_without_noise_is_the_gradient(net: BiasNet, x: np.ndarray) -> None:
    found = explain(net, x, method("smoothgrad", n=3, sigma=0)).maps
    np.testing.assert_allclose(found, explain(net, x, "gradient").maps, atol=1e-6)


@pytest.mark.parametrize("baseline", [0.0, -0.7, "picture"])
def test_integrated_gradients_walk_from_the_baseline(net: BiasNet, x: np.ndarray, baseline: Any) -> None:
    start = np.random.default_rng(9).normal(size=(3, 4, 6)).astype(np.float32) if baseline == "picture" else baseline

    def literal(picture: np.ndarray, target: int) -> np.ndarray:
        total = np.zeros((3, 4, 6))
        for i in range(1, 38):
            total += gradient(net, start + (i - 0.5) / 37 * (picture - start), target)
        made, way = np.zeros((4, 6)), picture - start
        for i, j in np.ndindex(4, 6):
            made[i, j] = sum(way[c, i, j] * total[c, i, j] / 37 for c in range(3))
        return made

    check(explain(net, x, method("integrated-gradients", steps=37, baseline=start)).maps, expected_maps(x, literal))


def test_integrated_gradients_add_up_to_the_difference_of_scores(net: BiasNet, x: np.ndarray) -> None:
    maps = explain(net, x, method("integrated-gradients", steps=2000)).maps.sum(axis=(1, 2), dtype=np.float64)
    scores = net.forward(x)["dense"] - net.forward(np.zeros_like(x))["dense"]
    np.testing.assert_allclose(maps, scores[:, TARGETS[0]].reshape(-1), rtol=2e-3, atol=2e-3)


def test_fullgrad_is_its_formula(net: BiasNet, x: np.ndarray) -> None:
    def psi(terms: np.ndarray) -> list[np.ndarray]:
        """Absolute values of terms (C, h, w), rescaled over the layer."""
        low, high = abs(terms).min(), abs(terms).max()
        return [(abs(one) - low) / (high - low) for one in terms]

    def literal(picture: np.ndarray, target: int) -> np.ndarray:
        pulled = net.backward(net.forward(picture[None]), np.eye(4)[target].reshape(1, 1, 4))
        layers = [
            psi(picture * pulled["input"][0, 0]),
            psi(net.a[:, None, None] * pulled["first"][0, 0]),
            psi(net.b[:, None, None] * pulled["second"][0, 0]),
        ]
        made = np.zeros((4, 6))
        for i, j in np.ndindex(4, 6):
            made[i, j] = sum(bilinear(one, (4, 6), i, j) for channels in layers for one in channels)
        return made

    check(explain(net, x, "fullgrad").maps, expected_maps(x, literal))


def test_terms_of_the_input_and_of_all_biases_add_up_to_the_score(net: BiasNet, x: np.ndarray) -> None:
    totals = []

    def terms(evidence: xaicore.Evidence) -> np.ndarray:
        of_input = evidence.input_gradients() * evidence.pictures[:, None]
        for n, of_layers in enumerate(evidence.bias_terms()):
            assert list(of_layers) == ["first", "second", "dense"]
            each = [of_input[n], *(one[0] for one in of_layers.values())]
            totals.append([sum(part[k].sum(dtype=np.float64) for part in each) for k in range(2)])
        return of_input.sum(axis=2)

    explain(net, x, xaicore.Method("terms", terms, ("input_gradients", "biases")))
    np.testing.assert_allclose(totals, net.forward(x)["dense"][:, TARGETS[0]], atol=1e-5)


def test_fullgrad_refuses_a_score_that_its_terms_do_not_explain(net: BiasNet, x: np.ndarray) -> None:
    backend = BiasBackend(net, offset=5.0)
    with pytest.raises(xaicore.MethodError, match=r"3 layers add up to .*use 'integrated-gradients'"):
        xaicore.explain(None, x, TARGETS, method="fullgrad", backend=backend)


# What holds for all of them.


@pytest.mark.parametrize("name", NAMES)
def test_maps_have_the_pictures_resolution_and_a_sign_where_the_method_has_one(
    net: BiasNet, x: np.ndarray, name: str
) -> None:
    found = explain(net, x, name)
    assert found.maps.shape == (6, 4, 6)
    assert found.layer == ("second" if name == "guided-gradcam" else "the input")
    assert found.signed is METHODS[name].signed is (name in SIGNED)
    assert bool((found.maps < 0).any()) is found.signed
    assert not found.empty.any()


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_equals_its_images_and_several_targets_equal_each(net: BiasNet, x: np.ndarray, name: str) -> None:
    together = explain(net, x, name).maps.reshape(3, 2, 4, 6)
    for n in range(3):
        for k, target in enumerate(TARGETS[0]):
            alone = explain(net, x[n : n + 1], name, target).maps[0]
            np.testing.assert_allclose(together[n, k], alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_methods_leave_the_input_and_the_random_state_alone(net: BiasNet, x: np.ndarray, name: str) -> None:
    before, state = x.copy(), np.random.get_state()[1].copy()
    x.setflags(write=False)
    first = explain(net, x, name).maps
    np.testing.assert_array_equal(explain(net, x, name).maps, first)
    np.testing.assert_array_equal(x, before)
    np.testing.assert_array_equal(np.random.get_state()[1], state)


@pytest.mark.parametrize(
    ("name", "sizes"), [("smoothgrad", [3, 16, 1, *([16, 16, 16, 2] * 3)[1:]]), ("gradient", [3]), ("guided", [3])]
)
def test_passes_come_in_batches(net: BiasNet, x: np.ndarray, name: str, sizes: list[int]) -> None:
    backend = BiasBackend(net)
    xaicore.explain(None, x, method=name, backend=backend)
    assert backend.sizes == sizes


def test_compare_shares_the_first_pass(net: BiasNet, x: np.ndarray) -> None:
    backend = BiasBackend(net)
    names = ["gradcam", "gradient", "input-x-gradient", "guided", "deconv", "guided-gradcam"]
    found = xaicore.Explainer(None, backend=backend, layer="second").compare(x, names, TARGETS)
    assert backend.sizes == [3]
    for name in names:
        np.testing.assert_allclose(found[name].maps, explain(net, x, name).maps, atol=1e-6)


@pytest.mark.parametrize(
    ("which", "words"),
    [
        (lambda: method("smoothgrad", n=0), "n=0"),
        (lambda: method("smoothgrad", sigma=-1), "sigma=-1"),
        (lambda: method("integrated-gradients", steps=0), "steps=0"),
        (lambda: method("integrated-gradients", baseline=np.zeros((5, 4, 6))), r"\(5, 4, 6\).*\(3, 4, 6\)"),
        (lambda: method("integrated-gradients", step=3), "no option 'step'.*steps"),
    ],
)
def test_options_that_make_no_sense(net: BiasNet, x: np.ndarray, which: Any, words: str) -> None:
    with pytest.raises(xaicore.MethodError, match=words):
        explain(net, x, which())


def test_without_the_power_they_are_refused(x: np.ndarray) -> None:
    class Plain(BiasBackend):
        powers = frozenset()

    for name in NAMES:
        with pytest.raises(xaicore.MethodError, match=r"backend 'biasnet' does not offer; .*gradcam"):
            xaicore.explain(None, x, method=name, backend=Plain())
