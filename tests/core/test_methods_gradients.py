"""Methods on gradients that ask for more than one pass, or for more than one layer, each against its formula."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from toynet import ToyBackend, ToyNet

import xaicore
from xaicore import Capture, Direction, Explainer, Layer, MethodError
from xaicore.maps import resize
from xaicore.methods import METHODS
from xaicore.targets import Aim, Target

SPATIAL = [(7,), (6, 8), (3, 4, 5)]


def pictures(*spatial: int, n: int = 3, seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 3, *spatial)).astype(np.float32)


def captured(net: ToyNet, x: np.ndarray, layer: str, direction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Activations (N, C, *S) and gradients (N, C, *S) of the score direction (N, classes) . logits."""
    values = net.forward(x)
    return values[layer].astype(np.float64), net.backward(values, direction[:, None])[layer][:, 0].astype(np.float64)


def places(array: np.ndarray) -> list[tuple[int, ...]]:
    return list(np.ndindex(array.shape[2:]))


def mean_weighted(a: np.ndarray, g: np.ndarray) -> np.ndarray:
    """Grad-CAM of one image, (C, *S) each, one number at a time; signed."""
    result = np.zeros(a.shape[1:])
    for c in range(len(a)):
        weight = sum(float(g[c][p]) for p in np.ndindex(a.shape[1:])) / a[c].size
        for p in np.ndindex(a.shape[1:]):
            result[p] += weight * a[c][p]
    return result


def close(maps: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(maps, np.maximum(expected, 0), rtol=0, atol=1e-5 * max(1, np.abs(expected).max()))


# Smooth Grad-CAM++.


def literal_smooth(net: ToyNet, x: np.ndarray, layer: str, wanted: int, n: int, sigma: float) -> np.ndarray:
    """(N, *S), by the article's formula; one image, copy, channel and position at a time."""
    result = []
    for i in range(len(x)):
        direction = np.eye(len(net.w))[[wanted]]
        a = captured(net, x[i : i + 1], layer, direction)[0][0]
        copies = []
        for copy in range(n):
            noise = np.random.default_rng((0, copy)).standard_normal(x.shape[1:], dtype=np.float32)
            changed = x[i] + np.float32(sigma) * (x[i].max() - x[i].min()) * noise
            copies.append(captured(net, changed[None], layer, direction)[1][0])
        total = np.zeros(a.shape[1:])
        for c in range(len(a)):
            everything = sum(a[c][p] for p in np.ndindex(a.shape[1:]))
            weight = 0.0
            for p in np.ndindex(a.shape[1:]):
                d1 = sum(g[c][p] for g in copies) / n
                d2 = sum(g[c][p] ** 2 for g in copies) / n
                d3 = sum(g[c][p] ** 3 for g in copies) / n
                below = 2 * d2 + everything * d3
                if below != 0:
                    weight += max(d1, 0) * d2 / below
            total += weight * a[c]
        result.append(total)
    return np.stack(result)


@pytest.mark.parametrize("spatial", SPATIAL)
def test_smoothgradcam_plus_plus_is_its_formula(spatial: tuple[int, ...]) -> None:
    net, x = ToyNet(), pictures(*spatial)
    method = xaicore.method("smoothgradcam++", n=3, sigma=0.3)
    e = xaicore.explain(None, x, 2, method=method, layer="first", backend=ToyBackend(net))
    close(e.maps, literal_smooth(net, x, "first", 2, 3, 0.3))
    assert e.method == "smoothgradcam++ (n=3, sigma=0.3)"


def test_one_copy_without_noise_is_gradcam_plus_plus(net: ToyNet, backend: ToyBackend, x: np.ndarray) -> None:
    quiet = xaicore.method("smoothgradcam++", n=1, sigma=0)
    results = Explainer(None, backend=backend, layer="first").compare(x, [quiet, "gradcam++"], 1)
    one, other = results.values()
    np.testing.assert_allclose(one.maps, other.maps, rtol=0, atol=1e-6)


def test_noisy_copies_keep_the_class_that_was_predicted() -> None:
    net, x = ToyNet(), pictures(6, 8)
    method = xaicore.method("smoothgradcam++", n=4, sigma=2.0)
    e = xaicore.explain(None, x, method=method, layer="first", backend=ToyBackend(net))
    predicted = net.forward(x)["dense"].argmax(axis=1)
    for i, c in enumerate(predicted):
        close(e.maps[i : i + 1], literal_smooth(net, x[i : i + 1], "first", c, 4, 2.0))


def test_noisy_copies_of_probabilities_have_directions_of_their_own() -> None:
    """Behind an opaque softmax, the score is the centred logit of each copy."""
    net, centred, x = ToyNet(), ToyNet(), pictures(6, 8)
    centred.w = net.w - net.w.mean(axis=0)
    method = xaicore.method("smoothgradcam++", n=3, sigma=0.5)
    opaque, clear = (
        xaicore.explain(None, x, 1, method=method, layer="first", backend=backend)
        for backend in (ToyBackend(net, head="softmax"), ToyBackend(centred))
    )
    np.testing.assert_allclose(opaque.maps, clear.maps, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "options", [{"n": 0}, {"n": 2.5}, {"n": True}, {"sigma": -1}, {"sigma": np.nan}, {"sigma": "a"}]
)
def test_noise_out_of_range(options: dict[str, Any], backend: ToyBackend, x: np.ndarray) -> None:
    with pytest.raises(
        MethodError, match=r"'smoothgradcam\+\+' with n=.*, sigma=.*: expected a number of noisy copies"
    ):
        xaicore.explain(None, x, method=xaicore.method("smoothgradcam++", **options), backend=backend)


# ShapleyCAM.


class CurvedBackend(ToyBackend):
    """score_c = w_c . S(A) + S(A . Q_c A) + (u_c . S(A))^2, A the layer "map", which is relu(U x); S sums positions."""

    name = "curved"
    powers = frozenset({"second"})

    def __init__(self, seed: int = 0, head: str | None = None) -> None:
        super().__init__(head=head)
        rng = np.random.default_rng(seed)
        self.q, self.u, self.w = rng.normal(size=(4, 5, 5)), rng.normal(size=(4, 5)), rng.normal(size=(4, 5))
        self.hessians = 0

    def layers(self, inputs: Any) -> Sequence[Layer]:
        return [Layer("map", "Map", self.map(inputs).shape, True)]

    def map(self, x: Any) -> np.ndarray:
        return self.net.forward(np.asarray(x))["first"]

    def score(self, a: np.ndarray) -> np.ndarray:
        """(classes,) of the activations (C, P) of one image."""
        total = a.sum(axis=1)
        return self.w @ total + np.einsum("cp,kcd,dp->k", a, self.q, a) + (self.u @ total) ** 2

    def slope(self, a: np.ndarray) -> np.ndarray:
        """(classes, C, P)."""
        quadratic = np.einsum("kcd,dp->kcp", self.q + self.q.swapaxes(1, 2), a)
        total = 2 * (self.u @ a.sum(axis=1))
        return self.w[..., None] + quadratic + (total[:, None] * self.u)[..., None]

    def capture(self, inputs: Any, layers: Sequence[str], direction: Direction | None = None) -> Capture:
        a = self.map(inputs)
        flat = a.reshape(*a.shape[:2], -1).astype(np.float64)
        outputs = np.stack([self.score(one) for one in flat]).astype(np.float32)
        gradients = {}
        if direction is not None:
            d = direction(outputs, self.kind)
            slopes = np.einsum("nko,nocp->nkcp", d, np.stack([self.slope(one) for one in flat]))
            gradients = {"map": slopes.reshape(*d.shape[:2], *a.shape[1:]).astype(np.float32)}
        return Capture(outputs, self.kind, {name: a for name in layers}, a.shape[2:], gradients)

    def second(self, inputs: Any, layer: str, direction: Direction) -> np.ndarray:
        self.hessians += 1
        a = self.map(inputs)
        flat = a.reshape(*a.shape[:2], -1).astype(np.float64)
        d = direction(np.stack([self.score(one) for one in flat]), "logits")
        products = np.stack([self.slope(one) - self.slope(np.zeros_like(one)) for one in flat])  # it is quadratic
        return np.einsum("nko,nocp->nkcp", d, products).reshape(*d.shape[:2], *a.shape[1:]).astype(np.float32)


def literal_shapley(backend: CurvedBackend, x: np.ndarray, wanted: int) -> np.ndarray:
    """(*S) of one image: every entry of the Hessian by differences of the score."""
    a = backend.map(x[None])[0].astype(np.float64)
    flat, step = a.reshape(len(a), -1), 1e-2

    def score(*steps: tuple[tuple[int, int], float]) -> float:
        moved = flat.copy()
        for at, size in steps:
            moved[at] += size
        return float(backend.score(moved)[wanted])

    at = list(np.ndindex(flat.shape))
    value = np.zeros_like(flat)
    for i in at:
        value[i] = (score((i, step)) - score((i, -step))) / (2 * step)
        for j in at:
            ends = [s * t * score((i, s * step), (j, t * step)) for s in (1, -1) for t in (1, -1)]
            value[i] -= 0.5 * sum(ends) / (4 * step**2) * flat[j]
    weights = value.mean(axis=1)
    return sum(weights[c] * a[c] for c in range(len(a)))


def test_shapleycam_is_its_formula() -> None:
    backend, x = CurvedBackend(), pictures(2, 3)
    e = xaicore.explain(None, x, [[3, 1]] * 3, method="shapleycam", backend=backend)
    assert backend.hessians == 1
    for m in range(6):
        close(e.maps[m], literal_shapley(backend, x[m // 2], int(e.targets[m])))
    plain = xaicore.explain(None, x, [[3, 1]] * 3, method="gradcam", backend=backend)
    assert np.abs(plain.maps - e.maps).max() > 0.1


def test_shapleycam_needs_the_power_and_a_score_that_is_an_output(backend: ToyBackend, x: np.ndarray) -> None:
    with pytest.raises(
        MethodError, match=r"'shapleycam' needs 'second', which backend 'toy' does not offer; .*gradcam"
    ):
        xaicore.explain(None, x, method="shapleycam", backend=backend)
    assert backend.calls == []
    with pytest.raises(MethodError, match=r"second derivatives need a score that is a sum of outputs.*probabilities"):
        opaque = CurvedBackend()
        opaque.kind, opaque.w = "probabilities", opaque.w * 0
        opaque.q, opaque.u = opaque.q * 0, opaque.u * 0
        opaque.score = lambda a: np.full(4, 0.25)  # type: ignore[method-assign]
        xaicore.explain(None, x, 1, method="shapleycam", backend=opaque)


# Finer-CAM.


@pytest.mark.parametrize(("alpha", "similar"), [(1.0, 3), (0.6, 2), (0.0, 1), (1.0, 99)])
def test_finercam_is_its_formula(alpha: float, similar: int) -> None:
    net, x = ToyNet(classes=7), pictures(6, 8)
    method = xaicore.method("finercam", alpha=alpha, similar=similar)
    wanted = [[2, 5], [0, 1], [6, 6]]
    e = xaicore.explain(None, x, wanted, method=method, layer="first", backend=ToyBackend(net))
    logits = net.forward(x)["dense"]
    for m, c in enumerate(e.targets):
        z = logits[m // 2]
        others = sorted((d for d in range(7) if d != c), key=lambda d: abs(z[d] - z[c]))[:similar]
        direction = np.zeros((1, 7))
        direction[0, c] = 1
        for d in others:
            direction[0, d] -= alpha / len(others)
        a, g = captured(net, x[m // 2][None], "first", direction)
        close(e.maps[m], mean_weighted(a[0], g[0]))
    assert e.targets.tolist() == [2, 5, 0, 1, 6, 6]
    assert e.target == "given classes"


def test_finercam_looks_through_a_softmax() -> None:
    net, x = ToyNet(classes=7), pictures(6, 8)
    clear, opaque = (
        xaicore.explain(None, x, [2, 5, 0], method="finercam", layer="first", backend=ToyBackend(net, head=head))
        for head in (None, "softmax")
    )
    np.testing.assert_allclose(clear.maps, opaque.maps, rtol=0, atol=1e-5)
    sigmoid = xaicore.explain(
        None, x, [2, 5, 0], method="finercam", layer="first", backend=ToyBackend(net, head="sigmoid")
    )
    np.testing.assert_allclose(clear.maps, sigmoid.maps, rtol=0, atol=1e-5)


def test_finercam_of_what_is_no_class(x: np.ndarray) -> None:
    class Difference(Target):
        def aim(self, outputs: np.ndarray, kind: str) -> Aim:
            return Aim(np.ones((len(outputs), 1, 4)), np.full((len(outputs), 1), -1))

    with pytest.raises(MethodError, match="compares a class with others, and the model has one output: use 'gradcam'"):
        xaicore.explain(None, x, 1, method="finercam", backend=ToyBackend(ToyNet(classes=1)))
    with pytest.raises(MethodError, match=r"compares classes, and outputs \(3, 4\) are none: use 'gradcam'"):
        xaicore.explain(None, x, 1, method="finercam", backend=ToyBackend(kind="values"))
    with pytest.raises(MethodError, match="compares classes, and this target is no class"):
        xaicore.explain(None, x, Difference(), method="finercam", backend=ToyBackend())


@pytest.mark.parametrize("options", [{"alpha": -1}, {"alpha": "a"}, {"similar": 0}, {"similar": 1.5}])
def test_finercam_out_of_range(options: dict[str, Any], backend: ToyBackend, x: np.ndarray) -> None:
    with pytest.raises(MethodError, match=r"'finercam' with \w+=.*: expected a number"):
        xaicore.explain(None, x, method=xaicore.method("finercam", **options), backend=backend)


# RefineCAM.


class TwoSizes(ToyBackend):
    """The toy net, whose layer "first" is seen at every second position."""

    def capture(self, inputs: Any, layers: Sequence[str], direction: Direction | None = None) -> Capture:
        capture = super().capture(inputs, layers, direction)
        for arrays in (capture.activations, capture.gradients):
            if "first" in arrays:
                arrays["first"] = arrays["first"][..., ::2, ::2]  # type: ignore[index]
        return capture


def test_refinecam_is_the_product_over_layers() -> None:
    x, layers = pictures(6, 8), ["first", "second"]
    of_layers = [
        xaicore.explain(None, x, 2, method="gradcam++", layer=layer, backend=TwoSizes()).maps for layer in layers
    ]
    expected = np.ones((3, 6, 8))
    for maps in of_layers:
        for n in range(3):
            expected[n] *= resize((maps[n] / max(maps[n].max(), 1e-30))[None], (6, 8))[0]
    for fuse in ("mean", None):  # the product belongs to the method
        explainer = Explainer(None, "refinecam", layers, TwoSizes(), fuse=fuse)
        e = explainer(x, 2)
        np.testing.assert_allclose(e.maps, expected, rtol=0, atol=1e-6)
        assert e.layer == "first + second"
    assert (expected > 0).any()


@pytest.mark.parametrize("layer", [None, "first"])
def test_refinecam_of_one_layer(layer: str | None, backend: ToyBackend, x: np.ndarray) -> None:
    with pytest.raises(
        MethodError, match=r"'refinecam' joins the maps of several layers: name two or more.*layer=\.\.\."
    ):
        xaicore.explain(None, x, method="refinecam", layer=layer, backend=backend)
    assert backend.calls == []


# FEM, KPCA-CAM, Seg-Eigen-CAM.


@pytest.mark.parametrize("k", [2.0, 0.5, -1.0])
@pytest.mark.parametrize("spatial", SPATIAL)
def test_fem_is_its_formula(spatial: tuple[int, ...], k: float) -> None:
    a = np.random.default_rng(1).gamma(0.5, size=(2, 5, *spatial)).astype(np.float32)
    a[1, 3] = 0.7  # a constant channel, which has no position above its mean
    maps = METHODS["fem"].function(a, None, k=k)
    assert maps.shape == (2, 1, *spatial)
    for n in range(2):
        for p in places(a):
            expected = 0.0
            for c in range(5):
                values = [float(a[n, c][q]) for q in places(a)]
                mean = sum(values) / len(values)
                deviation = (sum((v - mean) ** 2 for v in values) / len(values)) ** 0.5
                if a[n, c][p] > mean + k * deviation:
                    expected += mean
            assert abs(maps[(n, 0, *p)] - expected) <= 1e-5


def test_fem_of_a_constant_channel_and_options() -> None:
    assert not METHODS["fem"].function(np.full((1, 2, 4, 4), 0.1, np.float32), None).any()
    with pytest.raises(MethodError, match="'fem' with k='a': expected a number of standard deviations"):
        METHODS["fem"].function(np.ones((1, 2, 4, 4), np.float32), None, k="a")


@pytest.mark.parametrize("gamma", [None, 0.05])
@pytest.mark.parametrize("kernel", ["sigmoid", "rbf"])
@pytest.mark.parametrize("spatial", SPATIAL)
def test_kpcacam_is_the_first_kernel_component(spatial: tuple[int, ...], kernel: str, gamma: float | None) -> None:
    a = np.random.default_rng(2).normal(size=(2, 6, *spatial)).astype(np.float32)
    maps = METHODS["kpcacam"].function(a, None, kernel=kernel, gamma=gamma)
    assert maps.shape == (2, 1, *spatial)
    g = 1 / 6 if gamma is None else gamma
    for n in range(2):
        x = a[n].reshape(6, -1).T.astype(np.float64)
        x = x - x.mean(axis=0)
        size = len(x)
        matrix = np.zeros((size, size))
        for i in range(size):
            for j in range(size):
                dot, square = float(x[i] @ x[j]), float(((x[i] - x[j]) ** 2).sum())
                matrix[i, j] = np.tanh(g * dot + 1) if kernel == "sigmoid" else np.exp(-g * square)
        middle = np.eye(size) - np.ones((size, size)) / size
        values, vectors = np.linalg.eigh(middle @ matrix @ middle)
        expected = vectors[:, -1] * np.sqrt(values[-1])
        total = a[n].reshape(6, -1).sum(axis=0)
        expected *= np.sign(np.corrcoef(expected, total)[0, 1])
        np.testing.assert_allclose(maps[n, 0].ravel(), expected, rtol=0, atol=1e-5)


def test_kpcacam_options_and_positions() -> None:
    a = np.ones((1, 2, 65, 64), np.float32)
    with pytest.raises(MethodError, match=r"'kpcacam' compares each of 4160 positions .* at most 4096: .*'eigencam'"):
        METHODS["kpcacam"].function(a, None)
    for options in ({"kernel": "poly"}, {"gamma": 0}):
        with pytest.raises(MethodError, match=r"'kpcacam' with kernel=.*: expected one of sigmoid, rbf"):
            METHODS["kpcacam"].function(a[..., :4, :4], None, **options)
    assert not METHODS["kpcacam"].function(a[..., :4, :4], None).any()
    for value in (0, 0.3, 700):  # positions that are all alike, also where rounding differs between them
        for kernel in ("sigmoid", "rbf"):
            assert not METHODS["kpcacam"].function(np.full((1, 5, 6, 7), value, np.float32), None, kernel=kernel).any()


@pytest.mark.parametrize("channels", [3, 40])
@pytest.mark.parametrize("spatial", SPATIAL)
def test_segeigencam_is_its_formula(spatial: tuple[int, ...], channels: int) -> None:
    rng = np.random.default_rng(4)
    a = rng.normal(size=(2, channels, *spatial)).astype(np.float32)
    g = rng.normal(size=(2, 3, channels, *spatial)).astype(np.float32)
    maps = METHODS["segeigencam"].function(a, g)
    assert maps.shape == (2, 3, *spatial)
    for n, k in np.ndindex(2, 3):
        x = (np.abs(g[n, k].astype(np.float64)) * a[n]).reshape(channels, -1).T
        x = x - x.mean(axis=0)
        expected = x @ np.linalg.svd(x, full_matrices=False)[2][0]
        if abs(expected.min()) > abs(expected.max()):
            expected = -expected
        np.testing.assert_allclose(maps[n, k].ravel(), expected, rtol=0, atol=1e-5)


# All of them.

OF_MORE = ["smoothgradcam++", "shapleycam", "fem", "kpcacam", "segeigencam", "finercam"]


@pytest.mark.parametrize("name", [*OF_MORE, "refinecam"])
def test_batches_and_several_targets_are_single_ones(name: str) -> None:
    x = pictures(4, 5)
    layer: Any = ["first", "second"] if name == "refinecam" else "map" if name == "shapleycam" else "first"

    def maps(x: np.ndarray, targets: Any) -> np.ndarray:
        backend = CurvedBackend() if name == "shapleycam" else ToyBackend()
        return xaicore.explain(None, x, targets, method=name, layer=layer, backend=backend).maps

    together = maps(x, [[1, 3]])
    for n in range(3):
        np.testing.assert_allclose(together[2 * n : 2 * n + 2], maps(x[n : n + 1], [[1, 3]]), rtol=1e-5, atol=1e-6)
    for k, c in enumerate((1, 3)):
        np.testing.assert_allclose(together[k::2], maps(x, c), rtol=1e-5, atol=1e-6)


def test_no_method_draws_from_the_callers_state(backend: ToyBackend, x: np.ndarray) -> None:
    np.random.seed(3)
    before = np.random.get_state()[1].copy()
    first, second = (
        Explainer(None, backend=backend, layer="first").compare(x, ["smoothgradcam++", "finercam", "kpcacam", "fem"])
        for _ in range(2)
    )
    assert np.array_equal(np.random.get_state()[1], before)
    for name in first:
        assert np.array_equal(first[name].maps, second[name].maps)


def test_a_stop_in_the_middle_of_the_copies(x: np.ndarray) -> None:
    """What a backend raises in a later pass goes to the caller as it is."""

    class Stopping(ToyBackend):
        def capture(self, *args: Any) -> Capture:
            if len(self.calls) == 8:
                raise KeyboardInterrupt
            return super().capture(*args)

    with pytest.raises(KeyboardInterrupt):
        xaicore.explain(None, x, method="smoothgradcam++", layer="first", backend=Stopping())
