"""The contract's own code: what a Capture may hold, the powers that a backend lacks, the layer that is found."""

from __future__ import annotations

import numpy as np
import pytest

import xaicore
from xaicore import Capture, Layer, default_layer, pull_in_half
from xaicore.facts import ByShape
from xaicore.testing.fixed import FixedBackend

ONES = np.ones((2, 3), np.float32)


def layer(name: str, *shape: int, spatial: bool = True, pooled: bool = False) -> Layer:
    return Layer(name, "Some", shape, spatial, pooled)


def test_a_capture_says_what_its_outputs_are() -> None:
    assert Capture(ONES, "values", {}, (4, 4)).gradients == {}
    with pytest.raises(
        xaicore.BackendError, match=r"Capture.outputs_kind is 'scores'; expected one of .'logits', 'prob"
    ):
        Capture(ONES, "scores", {}, (4, 4))
    with pytest.raises(
        xaicore.BackendError, match=r"Capture.link is 'relu'; expected one of .'softmax', 'sigmoid', None"
    ):
        Capture(ONES, "logits", {}, (4, 4), link="relu")


def test_powers_that_a_backend_may_lack() -> None:
    backend = FixedBackend(ONES, np.ones((2, 5, 6, 8), np.float32))
    with pytest.raises(
        xaicore.BackendError, match=r"backend 'fixed' does not offer .*method='cam'.*: use method='gradcam'"
    ):
        backend.classifier_weights(None, "map")
    with pytest.raises(
        xaicore.BackendError, match=r"backend 'fixed' does not offer starting from a layer \(resume\): use"
    ):
        backend.resume(None, "map", ONES)
    with pytest.raises(xaicore.BackendError, match=r"backend 'fixed' does not offer second derivatives: use a method"):
        backend.second(None, "map", lambda outputs, kind: outputs[:, None])
    with pytest.raises(xaicore.BackendError, match=r"backend 'fixed' does not offer attention: use a method"):
        backend.attention(None)
    backend.name = ""
    with pytest.raises(xaicore.BackendError, match="backend 'FixedBackend' does not offer"):
        backend.resume(None, "map", ONES)


@pytest.mark.parametrize("shape", [(2, 3), (2, 1, 4), (1, 1, 3), (2, 0, 3), (2, 1, 3, 1)])
def test_a_direction_of_another_shape(shape: tuple[int, ...]) -> None:
    """Both backends check with this what the caller's function gave."""
    expected = rf"direction gave shape \({', '.join(map(str, shape))}\) for outputs \(2, 3\); expected \(N, K, \*O\)"
    with pytest.raises(xaicore.BackendError, match=expected):
        xaicore.check_direction(np.zeros(shape), ONES)
    rows = xaicore.check_direction(np.ones((2, 4, 3), np.float64).tolist(), ONES)
    assert (rows.shape, rows.dtype) == ((2, 4, 3), np.float32)


def test_a_layer_that_is_not_there() -> None:
    names = ["stem", "block1/conv", "block1/relu", "head"]
    error = xaicore.unknown_layer("block1/cnv", names, "Net")
    assert isinstance(error, xaicore.LayerError)
    assert str(error).startswith("no layer called 'block1/cnv' in Net; nearest names: block1/conv")
    assert str(xaicore.unknown_layer("zzz", names, "Net")).endswith(
        "its last layers: stem, block1/conv, block1/relu, head"
    )


def test_predict_is_a_capture_of_nothing() -> None:
    assert FixedBackend(ONES, np.ones((2, 5, 6, 8))).predict(None) is ONES


def test_the_layer_found_is_the_last_map_that_no_pooling_made() -> None:
    layers = [
        layer("conv1", 1, 8, 16, 16),
        layer("pool1", 1, 8, 8, 8, pooled=True),
        layer("conv2", 1, 16, 8, 8),
        layer("pool2", 1, 16, 4, 4, pooled=True),
        layer("gap", 1, 16, 1, 1, spatial=False, pooled=True),
        layer("fc", 1, 10, spatial=False),
    ]
    assert default_layer(layers) == "conv2"
    assert default_layer(layers[:1]) == "conv1"


def test_no_layer_is_a_map() -> None:
    layers = [layer("fc1", 1, 64, spatial=False), layer("pool", 1, 8, 2, 2, pooled=True)]
    expected = (
        r"no layer gives a map of the picture; the last ones: fc1 \(1, 64\), pool \(1, 8, 2, 2\). Name one: layer="
    )
    with pytest.raises(xaicore.LayerError, match=expected):
        default_layer(layers)
    with pytest.raises(xaicore.LayerError, match=r"the model has no layers inside of it"):
        default_layer([])


def test_attention_after_the_last_map() -> None:
    layers = [
        layer("patches", 1, 192, 14, 14),
        layer("block.0", 1, 197, 192, spatial=False),
        layer("block.1", 1, 197, 192, spatial=False),
        layer("head", 1, 10, spatial=False),
    ]
    expected = (
        r"tokens or a sequence follow the last map 'patches' \(1, 192, 14, 14\), .*model: 'block.1' \(1, 197, 192\)"
    )
    with pytest.raises(xaicore.LayerError, match=expected):
        default_layer(layers)
    # A map after the tokens is one that they were made into: it speaks for the prediction.
    assert default_layer([*layers, layer("back", 1, 192, 14, 14)]) == "back"


def test_a_signals_maps_are_not_tokens() -> None:
    assert default_layer([layer("conv", 1, 8, 100), layer("flat", 1, 8, 100, spatial=False)]) == "conv"


def test_a_vector_with_an_axis_of_one_is_not_tokens() -> None:
    layers = [
        layer("conv", 1, 8, 7, 7),
        layer("squeeze", 1, 1, 8, spatial=False),
        layer("s", 1, 8, 1, spatial=False),
    ]
    assert default_layer(layers) == "conv"


def test_errors_are_also_the_built_in_ones() -> None:
    pairs = {
        xaicore.DependencyError: ImportError,
        xaicore.BackendError: RuntimeError,
        xaicore.InputError: ValueError,
        xaicore.LayerError: ValueError,
        xaicore.TargetError: ValueError,
        xaicore.MethodError: ValueError,
        xaicore.LoggerError: OSError,
        xaicore.PluginError: Exception,
    }
    for ours, built_in in pairs.items():
        assert issubclass(ours, built_in)
        assert issubclass(ours, xaicore.XaicoreError)


@pytest.mark.parametrize("top", [1.0, 20.0, 5000.0])
def test_half_precision_keeps_small_gradients(top: float) -> None:
    """A framework that computes in float16: 6e-8 is its smallest number."""
    direction = np.array([[[top, -top / 3]]], np.float32)

    def pull(rows: np.ndarray) -> list[np.ndarray | None]:
        with np.errstate(under="ignore"):
            half = rows.astype(np.float16) * np.float16(1e-4) * np.float16(1e-3)
        return [half.astype(np.float32), None]

    gradient, unreached = pull_in_half(pull, direction)
    assert unreached is None
    np.testing.assert_allclose(gradient, direction * 1e-7, rtol=5e-2, atol=1e-12)


def test_half_precision_that_overflows_is_pulled_back_plainly() -> None:
    direction = np.ones((1, 1, 2), np.float32)
    seen: list[float] = []

    def pull(rows: np.ndarray) -> list[np.ndarray | None]:
        seen.append(float(rows.max()))
        with np.errstate(over="ignore"):
            return [(rows * 1000).astype(np.float16).astype(np.float32)]

    (gradient,) = pull_in_half(pull, direction)
    assert seen == [1024, 1]
    np.testing.assert_array_equal(gradient, 1000)


def test_what_is_kept_for_each_shape_does_not_grow_without_end() -> None:
    kept: ByShape[int] = ByShape()
    for length in range(40):
        kept[(3, length)] = length
    assert list(kept.values()) == list(range(24, 40))
    kept[(3, 39)] = 0  # a known shape takes no other's place
    assert (len(kept), kept[(3, 39)]) == (16, 0)
