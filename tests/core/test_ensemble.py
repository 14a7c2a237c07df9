"""Options of every method: noisy copies, flipped and scaled versions, several layers; against walks of their own."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
from toynet import ToyBackend, ToyNet

import xaicore
from xaicore import Explainer, InputError, MethodError, maps
from xaicore.ensemble import Change, Ensemble
from xaicore.evidence import noisy


def explained(x: np.ndarray, c: Any, method: str = "gradcam", layer: Any = "first", **options: Any) -> np.ndarray:
    return Explainer(None, method, layer, ToyBackend(), **options)(x, c).maps


# Noise.


def test_noise_is_that_of_the_docs(x: np.ndarray) -> None:
    x[1] *= 255
    for copy in range(3):
        normal = np.random.default_rng((0, copy)).standard_normal(x.shape[1:], dtype=np.float32)
        found = noisy(x, copy, 0.2)
        assert found.dtype == np.float32
        for n in range(3):
            spread = 0.2 * (x[n].max() - x[n].min())
            np.testing.assert_allclose(found[n], x[n] + spread * normal, rtol=0, atol=1e-5 * x[n].max())
            np.testing.assert_array_equal(noisy(x[n : n + 1], copy, 0.2)[0], found[n])
    assert np.abs(noisy(x, 0, 0.2) - noisy(x, 1, 0.2)).max() > 0.1
    assert np.array_equal(noisy(x, 0, 0.0), x)
    normal = np.stack([noisy(np.array([[[[0.0, 1.0]]]]), copy, 1.0) - [[[[0.0, 1.0]]]] for copy in range(4000)])
    assert abs(normal.mean()) < 0.05
    assert abs(normal.std() - 1) < 0.05


@pytest.mark.parametrize("method", ["gradcam", "layercam", "gradcam++", "eigencam", "random", "finercam"])
def test_smooth_is_the_mean_over_noisy_copies(x: np.ndarray, method: str) -> None:
    expected = np.mean([explained(noisy(x, copy, 0.3), 1, method) for copy in range(4)], axis=0)
    np.testing.assert_allclose(explained(x, 1, method, smooth=(4, 0.3)), expected, rtol=1e-5, atol=1e-6)


def test_smooth_has_a_usual_noise(x: np.ndarray) -> None:
    np.testing.assert_array_equal(explained(x, 1, smooth=3), explained(x, 1, smooth=(3, 0.15)))


def test_scores_and_predictions_are_those_of_the_picture(net: ToyNet, x: np.ndarray) -> None:
    plain = Explainer(None, backend=ToyBackend())(x)
    e = Explainer(None, backend=ToyBackend(), smooth=(5, 3.0), augment=True)(x)
    for name in ("outputs", "scores", "targets", "predicted", "images"):
        np.testing.assert_array_equal(getattr(e, name), getattr(plain, name))
    predicted = net.forward(x)["dense"].argmax(axis=1)
    assert e.targets.tolist() == predicted.tolist()
    noise = np.mean([explained(noisy(x, copy, 3.0), predicted, layer="second") for copy in range(5)], axis=0)
    np.testing.assert_allclose(
        Explainer(None, backend=ToyBackend(), smooth=(5, 3.0))(x).maps, noise, rtol=1e-5, atol=1e-6
    )


def test_probabilities_of_copies_have_directions_of_their_own(x: np.ndarray) -> None:
    """Behind an opaque softmax, the direction depends on the outputs: that of a copy is the copy's."""
    net = ToyNet()
    maps_of = [
        Explainer(None, layer="first", backend=ToyBackend(net, head="softmax"), **options)(x_, 2).maps
        for options, x_ in [({"smooth": (2, 0.3)}, x), ({}, noisy(x, 0, 0.3)), ({}, noisy(x, 1, 0.3))]
    ]
    np.testing.assert_allclose(maps_of[0], (maps_of[1] + maps_of[2]) / 2, rtol=1e-4, atol=1e-6)


# Flips and scales.


def mirrored(x: np.ndarray, axis: int) -> np.ndarray:
    return np.ascontiguousarray(np.flip(x, axis))


@pytest.mark.parametrize(("name", "axis"), [("hflip", -1), ("vflip", -2)])
def test_a_flip_is_mapped_back(x: np.ndarray, name: str, axis: int) -> None:
    # Weights that differ by position, so that a map of a mirrored picture is not that map mirrored.
    def shifted(activations: np.ndarray, gradients: np.ndarray) -> np.ndarray:
        ramp = np.arange(activations[0, 0].size, dtype=np.float32).reshape(activations.shape[2:])
        return (activations.sum(axis=1, keepdims=True) + 0 * gradients.sum(axis=2)) * ramp

    plain, back = (Explainer(None, shifted, "first", ToyBackend())(one, 1).maps for one in (x, mirrored(x, axis)))
    found = Explainer(None, shifted, "first", ToyBackend(), augment=name)(x, 1).maps
    np.testing.assert_allclose(found, (plain + np.flip(back, axis)) / 2, rtol=1e-6)
    assert np.abs(plain - np.flip(back, axis)).max() > 1


def sampled(image: np.ndarray, y: float, x: float) -> float:
    """A value between pixels, edges repeated."""
    h, w = image.shape
    y, x = min(max(y, 0), h - 1), min(max(x, 0), w - 1)
    y0, x0 = int(y), int(x)
    y1, x1 = min(y0 + 1, h - 1), min(x0 + 1, w - 1)
    fy, fx = y - y0, x - x0
    upper = image[y0, x0] * (1 - fx) + image[y0, x1] * fx
    return float(upper * (1 - fy) + (image[y1, x0] * (1 - fx) + image[y1, x1] * fx) * fy)


def literal_zoom(image: np.ndarray, scale: float) -> np.ndarray:
    def source(i: int, n: int) -> float:
        return (i + 0.5 - n / 2) / scale + n / 2 - 0.5

    h, w = image.shape
    return np.array([[sampled(image, source(i, h), source(j, w)) for j in range(w)] for i in range(h)])


@pytest.mark.parametrize("scale", [0.9, 1.1, 2.0, 0.5])
def test_zoom_is_its_formula(x: np.ndarray, scale: float) -> None:
    flat = x.reshape(9, 6, 8)
    np.testing.assert_allclose(maps.zoom(flat, scale), [literal_zoom(one, scale) for one in flat], rtol=1e-5, atol=1e-6)
    assert maps.zoom(flat, 1.0) == pytest.approx(flat)
    assert maps.zoom(np.array([[1.0, 2, 3, 4]]), 2.0).tolist() == [[1.75, 2.25, 2.75, 3.25]]


@pytest.mark.parametrize(("name", "scale"), [("smaller", 0.9), ("larger", 1.1)])
def test_a_scale_is_mapped_back(name: str, scale: float) -> None:
    x = np.random.default_rng(1).uniform(size=(2, 3, 20, 26)).astype(np.float32)
    changed = np.stack([[literal_zoom(c, scale) for c in one] for one in x]).astype(np.float32)
    plain, other = explained(x, 1), explained(changed, 1)
    h, w = 20, 26
    for n in range(2):
        back = literal_zoom(other[n], 1 / scale)
        for i in range(h):
            for j in range(w):
                shown = abs(scale * (i + 0.5 - h / 2)) <= h / 2 and abs(scale * (j + 0.5 - w / 2)) <= w / 2
                back[i, j] = (plain[n, i, j] + back[i, j]) / 2 if shown else plain[n, i, j]
        np.testing.assert_allclose(explained(x, 1, augment=name)[n], back, rtol=1e-4, atol=1e-6)
    assert (not shown) == (name == "larger")  # the corner


def test_a_bright_spot_stays_where_it_is() -> None:
    """Versions of a picture with one bright spot agree on where it is."""
    x = np.zeros((1, 3, 24, 30), np.float32)
    x[:, :, 6:10, 20:24] = 2

    def brightness(activations: np.ndarray, gradients: np.ndarray) -> np.ndarray:
        return activations.sum(axis=1, keepdims=True)

    for change in ({"augment": ["hflip", "vflip", "smaller", "larger"]}, {"augment": "larger"}, {"smooth": 8}):
        found = Explainer(None, brightness, "first", ToyBackend(), **change)(x, 1).maps[0]
        y, x_ = np.indices(found.shape)
        strong = found > 0.5 * found.max()
        assert abs(y[strong].mean() - 7.5) < 0.5
        assert abs(x_[strong].mean() - 21.5) < 0.5


def test_true_is_the_usual_ones_that_the_pictures_have() -> None:
    def names(letters: str, **options: Any) -> list[Change]:
        return Ensemble(**options).changes(letters)

    smaller, larger = Change(scale=0.9), Change(scale=1.1)
    assert names("hw", augment=True) == [Change(), Change(flipped="w"), smaller, larger]
    assert names("t", augment=True) == [Change(), smaller, larger]
    assert names("hw", augment=["vflip", "vflip"]) == [Change(), Change(flipped="h")]
    assert names("hw", augment=[]) == names("hw") == names("hw", augment=()) == [Change()]
    assert names("hw", augment="hflip", smooth=(2, 0.5)) == [
        Change(copy=0, sigma=0.5),
        Change(copy=1, sigma=0.5),
        Change("w", copy=0, sigma=0.5),
        Change("w", copy=1, sigma=0.5),
    ]
    with pytest.raises(InputError, match=r"augment='hflip' turns over the axis 'w', .* axes 't' lack"):
        names("t", augment="hflip")


@pytest.mark.parametrize("spatial", [(9,), (6, 8), (4, 5, 6)])
def test_signals_pictures_and_volumes(spatial: tuple[int, ...]) -> None:
    x = np.random.default_rng(3).normal(size=(2, 3, *spatial)).astype(np.float32)
    found = explained(x, 1, augment=True, smooth=2)
    assert found.shape == (2, *spatial)
    assert np.isfinite(found).all()
    assert found.any()


def test_smooth_and_augment_together(x: np.ndarray) -> None:
    back = []
    for copy in range(2):
        back.append(explained(noisy(x, copy, 0.15), 1))
        back.append(np.flip(explained(noisy(mirrored(x, -1), copy, 0.15), 1), -1))
    np.testing.assert_allclose(explained(x, 1, augment="hflip", smooth=2), np.mean(back, axis=0), rtol=1e-5, atol=1e-6)


# Batches, targets, types, state.


@pytest.mark.parametrize("options", [{"smooth": 3}, {"augment": True}, {"smooth": 2, "augment": ["vflip"]}])
def test_batches_and_several_targets_are_single_ones(x: np.ndarray, options: dict[str, Any]) -> None:
    together = explained(x, [[1, 3]], **options)
    for n in range(3):
        np.testing.assert_allclose(together[2 * n : 2 * n + 2], explained(x[n : n + 1], [[1, 3]], **options), atol=1e-6)
    for k, c in enumerate((1, 3)):
        np.testing.assert_allclose(together[k::2], explained(x, c, **options), atol=1e-6)


def test_whole_numbers_stay_whole_numbers() -> None:
    x = np.random.default_rng(0).integers(0, 256, (2, 3, 6, 8), np.uint8)
    seen = []

    class Watching(ToyBackend):
        def capture(self, inputs: Any, *rest: Any) -> Any:
            seen.append(inputs)
            return super().capture(inputs, *rest)

    Explainer(None, backend=Watching(), smooth=3, augment="hflip")(x)
    assert len(seen) == 7
    assert all(one.dtype == np.uint8 for one in seen)
    assert np.array_equal(seen[1], np.clip(np.rint(noisy(x.astype(np.float32), 0, 0.15)), 0, 255))
    assert np.array_equal(seen[0], x)


def test_the_callers_pictures_and_random_state_stay(x: np.ndarray) -> None:
    before = x.copy()
    np.random.seed(5)
    state = np.random.get_state()[1].copy()
    first, second = (explained(x, 1, smooth=2, augment=True) for _ in range(2))
    assert np.array_equal(first, second)
    assert np.array_equal(np.random.get_state()[1], state)
    assert np.array_equal(x, before)


def test_without_options_there_is_one_pass(backend: ToyBackend, x: np.ndarray) -> None:
    Explainer(None, layer="first", backend=backend)(x)
    assert backend.calls == ["capture with gradients"]
    backend.calls.clear()
    Explainer(None, layer="first", backend=backend, smooth=3).compare(x, ["gradcam", "layercam", "random"])
    assert backend.calls == ["capture", *["capture with gradients"] * 3]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"smooth": 0}, r"smooth=0: expected a number of noisy copies, such as 16, or \(copies, noise\)"),
        ({"smooth": True}, "smooth=True: expected a number"),
        ({"smooth": (3, -1)}, r"smooth=\(3, -1\): expected a number"),
        ({"smooth": (3, 0.1, 2)}, r"smooth=\(3, 0.1, 2\): expected a number"),
        ({"smooth": "16"}, "smooth='16': expected a number"),
        (
            {"augment": "flip"},
            "augment='flip' is not known; expected True, or some .*; did you mean .*'hflip'",
        ),
        ({"augment": ["hflip", 3]}, "augment=3 is not known"),
        ({"augment": 2}, "augment=2 is not known"),
        ({"fuse": "sum"}, "fuse='sum' is not known; expected one of 'mean', 'max', 'product', or None"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], message: str, backend: ToyBackend) -> None:
    with pytest.raises(InputError, match=message):
        Explainer(None, backend=backend, **options)


# Several layers.


def test_fusions(x: np.ndarray) -> None:
    layers = ["first", "second"]
    each = np.stack([maps.normalize(explained(x, 2, layer=layer)) for layer in layers])
    for how, expected in (("mean", each.mean(axis=0)), ("max", each.max(axis=0)), ("product", each.prod(axis=0))):
        np.testing.assert_allclose(explained(x, 2, layer=layers, fuse=how), expected, rtol=0, atol=1e-6)
        np.testing.assert_array_equal(explained(x, 2, layer="first", fuse=how), explained(x, 2))
    np.testing.assert_array_equal(explained(x, 2, layer="first", fuse=None), explained(x, 2))


def test_layers_kept_apart(x: np.ndarray) -> None:
    explainer = Explainer(None, layer=["first", "second"], backend=ToyBackend(), fuse=None)
    results = explainer.compare(x, targets=2)
    assert list(results) == ["gradcam at first", "gradcam at second"]
    for layer in ("first", "second"):
        one = results[f"gradcam at {layer}"]
        assert (one.method, one.layer) == ("gradcam", layer)
        np.testing.assert_array_equal(one.maps, explained(x, 2, layer=layer))
    several = explainer.compare(x, ["layercam", "refinecam"], 2)
    assert list(several) == ["layercam at first", "layercam at second", "refinecam at first + second"]
    with pytest.raises(InputError, match=r"2 layers are kept apart, .*: call explainer.compare\(x\), which"):
        explainer(x)
    assert list(Explainer(None, layer="first", backend=ToyBackend(), fuse=None).compare(x)) == ["gradcam"]


def test_a_product_of_signed_maps(x: np.ndarray) -> None:
    signed = xaicore.Method("signed", lambda a, g: g.sum(axis=2), signed=True)
    with pytest.raises(InputError, match=r"a product would make positive evidence of two negative .*fuse='mean'"):
        explained(x, 2, signed, ["first", "second"], fuse="product")
    assert (explained(x, 2, signed, ["first", "second"], fuse="mean") < 0).any()


def test_the_largest_of_signed_maps_is_the_one_of_largest_magnitude(x: np.ndarray) -> None:
    """Where one layer says -0.9 and another 0.2, the fused map says -0.9."""
    signed = xaicore.Method("signed", lambda a, g: g.sum(axis=2), signed=True)
    layers = ["first", "second"]
    first, second = (maps.normalize(explained(x, 2, signed, layer)) for layer in layers)
    fused = explained(x, 2, signed, layers, fuse="max")
    expected = [one if abs(one) >= abs(other) else other for one, other in zip(first.flat, second.flat, strict=True)]
    np.testing.assert_allclose(fused.flat, expected, atol=1e-6)
    assert (fused < np.maximum(first, second)).any()


def test_a_smooth_map_of_several_layers(x: np.ndarray) -> None:
    each = [maps.normalize(explained(x, 2, layer=layer, smooth=3)) for layer in ("first", "second")]
    found = explained(x, 2, layer=["first", "second"], smooth=3, fuse="max")
    np.testing.assert_allclose(found, np.maximum(*each), rtol=0, atol=1e-6)


# Doors.


def test_monitors_take_the_options(x: np.ndarray) -> None:
    options: dict[str, Any] = {"smooth": 2, "augment": "hflip", "fuse": None, "layer": ["first", "second"]}
    monitor = xaicore.Monitor(None, x, backend=ToyBackend(), loggers=[], targets=1, scale="first", **options)
    first, second = monitor.step(0)
    monitor.close()
    assert (first.layer, second.layer) == ("first", "second")
    for one in (first, second):
        np.testing.assert_allclose(one.maps, explained(x, 1, layer=one.layer, smooth=2, augment="hflip"), atol=1e-6)
        assert one.ceilings.tolist() == [one.maps.max()] * 3  # each layer has a scale of its own


def test_explain_takes_the_options(x: np.ndarray) -> None:
    options: dict[str, Any] = {"smooth": 2, "augment": "hflip", "fuse": "max", "layer": ["first", "second"]}
    found = xaicore.explain(None, x, 1, backend=ToyBackend(), **options)
    np.testing.assert_array_equal(found.maps, Explainer(None, backend=ToyBackend(), **options)(x, 1).maps)
    assert {"smooth", "augment", "fuse"} <= set(inspect.signature(Explainer).parameters)


def test_a_stop_in_the_middle(x: np.ndarray) -> None:
    class Stopping(ToyBackend):
        def capture(self, *args: Any) -> Any:
            if len(self.calls) == 7:
                raise KeyboardInterrupt
            return super().capture(*args)

    with pytest.raises(KeyboardInterrupt):
        Explainer(None, layer="first", backend=Stopping(), smooth=20)(x)


def test_methods_that_lack_a_power_are_refused_before_anything_runs(backend: ToyBackend, x: np.ndarray) -> None:
    with pytest.raises(MethodError, match="needs 'second'"):
        Explainer(None, "shapleycam", "first", backend, smooth=4)(x)
    assert backend.calls == []
