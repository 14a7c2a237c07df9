"""Methods of many passes, each against its formula, one number at a time; and what all of them share."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from toynet import ToyBackend, ToyNet, head_forward

import xaicore
from xaicore import InputError, MethodError
from xaicore.methods import METHODS, method
from xaicore.methods.sampling import _Masks

SHAPES = [(7,), (4, 6), (2, 3, 4)]
MANY = [
    method("scorecam"),
    method("sscam", samples=3, std=0.5),
    method("sscam", samples=2, std=0.5, noise="input"),
    method("iscam", samples=3),
    method("ablationcam"),
    method("reciprocam"),
    method("reciprocam", gaussian=True),
    method("rise", masks=20, grid=3),
]

Net = Any


def pictures(size: tuple[int, ...], count: int = 2, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, 3, *size)).astype(np.float32)


def halved(x: np.ndarray) -> np.ndarray:
    """Every other position along each axis."""
    return x[(slice(None), slice(None), *[slice(None, None, 2)] * (x.ndim - 2))]


class Halved(ToyBackend):
    """A net that halves its pictures, so that maps are smaller than they are; it records the rows of its passes."""

    def __init__(self, net: ToyNet | None = None, head: str | None = None, kind: str | None = None) -> None:
        super().__init__(net, head, kind)
        self.rows: list[int] = []

    def capture(self, inputs: Any, layers: Any, direction: Any = None) -> xaicore.Capture:
        x = np.asarray(inputs, np.float32)
        self.rows.append(len(x))
        found = super().capture(
            x[(slice(None), slice(None), *[slice(None, None, 2)] * (x.ndim - 2))], layers, direction
        )
        return xaicore.Capture(
            found.outputs, found.outputs_kind, found.activations, x.shape[2:], found.gradients, found.link
        )

    def layers(self, inputs: Any) -> Any:
        return super().layers(halved(inputs))

    def resume(self, inputs: Any, layer: str, activations: np.ndarray) -> np.ndarray:
        self.rows.append(len(activations))
        assert len(activations) % len(inputs) == 0
        return super().resume(inputs, layer, activations)

    def logits(self, picture: np.ndarray) -> np.ndarray:
        return self.capture(picture[None], ()).outputs[0].astype(np.float64)

    def activations(self, picture: np.ndarray, layer: str) -> np.ndarray:
        return self.capture(picture[None], (layer,)).activations[layer][0]


# The formulas, literally.


def literal_upsampled(channel: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Linear interpolation between the centres of cells, edges repeated."""
    out = np.empty(size)
    for place in np.ndindex(*size):
        corners: list[list[tuple[int, float]]] = []
        for at, new, old in zip(place, size, channel.shape, strict=True):
            where = min(max((at + 0.5) * old / new - 0.5, 0), old - 1)
            low = math.floor(where)
            corners.append([(low, 1 - (where - low)), (min(low + 1, old - 1), where - low)])
        out[place] = sum(
            math.prod(share for _, share in corner) * float(channel[tuple(i for i, _ in corner)])
            for corner in itertools.product(*corners)
        )
    return out


def literal_mask(channel: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    up = literal_upsampled(channel, size)
    return (up - up.min()) / (up.max() - up.min())


def literal_weighed(backend: Halved, x: np.ndarray, label: int, versions: Any) -> np.ndarray:
    """sum_c softmax_c(mean over versions of f(version) - f(0)) A_c; constant channels have no weight."""
    a = backend.activations(x, "second")
    baseline = backend.logits(np.zeros_like(x))[label]
    exponentials = []
    for channel in a:
        if channel.max() == channel.min():
            exponentials.append(0.0)
            continue
        masked = versions(literal_mask(channel, x.shape[1:]))
        scores = [backend.logits(one.astype(np.float32))[label] - baseline for one in masked]
        exponentials.append(math.exp(sum(scores) / len(scores)))
    return sum(e / sum(exponentials) * channel for e, channel in zip(exponentials, a, strict=True))


def literal_scorecam(backend: Halved, x: np.ndarray, label: int) -> np.ndarray:
    return literal_weighed(backend, x, label, lambda mask: [x * mask])


def literal_iscam(backend: Halved, x: np.ndarray, label: int) -> np.ndarray:
    return literal_weighed(backend, x, label, lambda mask: [x * mask * i / 3 for i in (1, 2, 3)])


def literal_sscam(backend: Halved, x: np.ndarray, label: int) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 0.5, (3, 1, *x.shape[1:]))
    return literal_weighed(backend, x, label, lambda mask: [x * (mask + one) for one in noise])


def literal_sscam_of_inputs(backend: Halved, x: np.ndarray, label: int) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 0.5, (2, *x.shape))
    return literal_weighed(backend, x, label, lambda mask: [x * mask + one for one in noise])


def literal_ablationcam(backend: Halved, x: np.ndarray, label: int) -> np.ndarray:
    a, y = backend.activations(x, "second"), backend.logits(x)[label]
    total = np.zeros(a.shape[1:])
    for c in range(len(a)):
        without = a.copy()
        without[c] = 0
        total += (y - backend.resume(x[None], "second", without[None])[0, label]) / abs(y) * a[c]
    return total


def literal_reciprocam(backend: Halved, x: np.ndarray, label: int, gaussian: bool = False) -> np.ndarray:
    a = backend.activations(x, "second")
    scores = np.empty(a.shape[1:])
    for place in np.ndindex(*scores.shape):
        kept = np.zeros_like(a)
        for other in np.ndindex(*scores.shape):
            apart = [abs(i - j) for i, j in zip(place, other, strict=True)]
            share = math.prod({0: 0.5, 1: 0.25}.get(d, 0.0) for d in apart) if gaussian else float(other == place)
            kept[(slice(None), *other)] = a[(slice(None), *other)] * share
        logits = backend.resume(x[None], "second", kept[None])[0].astype(np.float64)
        scores[place] = math.exp(logits[label]) / sum(math.exp(one) for one in logits)
    return (scores - scores.min()) / (scores.max() - scores.min())


def literal_rise(backend: Halved, x: np.ndarray, label: int) -> np.ndarray:
    size, rng = x.shape[1:], np.random.default_rng(0)
    grids = rng.random((20, *[3] * len(size))) < 0.5
    cell = [math.ceil(length / 3) for length in size]
    offsets = rng.integers(0, cell, (20, len(size)))
    total = np.zeros(size)
    for grid, offset in zip(grids, offsets, strict=True):
        large = literal_upsampled(grid, tuple(4 * length for length in cell))
        mask = large[tuple(slice(at, at + length) for at, length in zip(offset, size, strict=True))]
        logits = backend.logits((x * mask).astype(np.float32))
        total += math.exp(logits[label]) / sum(math.exp(one) for one in logits) * mask
    return total / (0.5 * 20)


LITERAL = [
    literal_scorecam,
    literal_sscam,
    literal_sscam_of_inputs,
    literal_iscam,
    literal_ablationcam,
    literal_reciprocam,
    lambda *args: literal_reciprocam(*args, gaussian=True),
    literal_rise,
]


@pytest.mark.parametrize("size", SHAPES)
@pytest.mark.parametrize(("one", "literal"), list(zip(MANY, LITERAL, strict=True)), ids=[one.name for one in MANY])
def test_method_is_its_formula(one: xaicore.Method, literal: Any, size: tuple[int, ...]) -> None:
    x, backend = pictures(size), Halved()
    found = xaicore.explain(None, x, [[0, 3]], method=one, backend=backend)
    for n, k in np.ndindex(2, 2):
        expected = np.maximum(literal(backend, x[n], (0, 3)[k]), 0)
        np.testing.assert_allclose(found.maps[2 * n + k], expected, rtol=0, atol=1e-5 * max(1, np.abs(expected).max()))


def test_ablation_divides_by_the_size_of_the_score() -> None:
    """A negative logit would turn the paper's map into the evidence against the class."""
    x, backend = pictures((4, 6), 8), Halved()
    scores = backend.capture(x, ()).outputs
    assert (scores < 0).any()
    found = xaicore.explain(None, x, [[0, 1, 2, 3]], method="ablationcam", backend=backend)
    for n, k in np.ndindex(8, 4):
        a = backend.activations(x[n], "second")
        linear = np.tensordot(backend.net.w[k] * a.mean(axis=(1, 2)), a, 1)  # the drop is the term of the channel
        expected = np.maximum(linear / abs(scores[n, k]), 0)
        np.testing.assert_allclose(found.maps[4 * n + k], expected, rtol=1e-3, atol=1e-4 * expected.max())


def test_ablation_where_the_score_is_zero() -> None:
    net = ToyNet(classes=2)
    net.w[0] = [1, -1, 0, 0, 0, 0]
    net.v[1] = net.v[0]
    x, backend = pictures((4, 6), 1), Halved(net)
    assert backend.logits(x[0])[0] == 0
    found = xaicore.explain(None, x, 0, method="ablationcam", backend=backend)
    a = backend.activations(x[0], "second")  # channels 0 and 1 are equal, and what they are worth cancels
    np.testing.assert_allclose(found.maps[0], np.maximum(a[0].mean() * a[0] - a[1].mean() * a[1], 0), atol=1e-6)


@pytest.mark.parametrize("name", ["scorecam", "iscam", "ablationcam"])
def test_the_strongest_channels_alone(name: str) -> None:
    x, backend = pictures((8, 6), 3), Halved()
    a = backend.capture(x, ("second",)).activations["second"].reshape(3, 6, -1)
    strength = np.abs(a).mean(axis=2) if name == "ablationcam" else a.std(axis=2)
    kept = np.argsort(-strength, axis=1)[:, :2]

    class Others(Halved):
        """The other channels of the layer are zero, for the method and in the model's scores nowhere else."""

        def capture(self, inputs: Any, layers: Any, direction: Any = None) -> xaicore.Capture:
            found = super().capture(inputs, layers, direction)
            for maps in found.activations.values():
                others = np.ones((3, 6), bool)
                np.put_along_axis(others, kept, False, axis=1)
                maps[others] = 0
            return found

    backend.rows.clear()
    found = xaicore.explain(None, x, 1, method=method(name, channels=2), backend=backend)
    assert sum(backend.rows) == 3 + 1 + 3 * 2 * (10 if name == "iscam" else 1)  # one shows that rows are apart
    if name != "ablationcam":
        expected = xaicore.explain(None, x, 1, method=name, backend=Others())
        np.testing.assert_allclose(found.maps, expected.maps, atol=1e-6)
    else:
        scores = backend.capture(x, ()).outputs[:, 1]
        for n in range(3):
            maps = a[n].reshape(6, 4, 3)
            worth = sum(backend.net.w[1, c] * maps[c].mean() * maps[c] for c in kept[n])
            np.testing.assert_allclose(found.maps[n], np.maximum(worth / abs(scores[n]), 0), atol=1e-4)


def test_channels_without_any_effect_cost_no_pass() -> None:
    net = ToyNet()
    net.v[2] = 0
    for name, rows in (("scorecam", 5), ("ablationcam", 5)):
        backend = Halved(net)
        xaicore.explain(None, pictures((4, 6), 1, seed=3), 1, method=name, backend=backend)
        assert sum(backend.rows) <= 1 + rows + 1


def test_a_layer_that_is_zero_has_no_map() -> None:
    net = ToyNet()
    net.v[:] = 0
    for name in ("scorecam", "ablationcam"):
        found = xaicore.explain(None, pictures((4, 6)), 1, method=name, backend=Halved(net))
        assert found.empty.all()


def test_a_single_output_behind_a_sigmoid_tells_channels_apart() -> None:
    """A softmax over one class is 1 for every mask."""
    x, net = pictures((4, 6), 1), ToyNet(classes=1)
    both = xaicore.explain(None, x, [[1, 0]], method="scorecam", backend=Halved(net, kind="logits"))
    uniform = Halved(net).activations(x[0], "second").mean(axis=0)
    for label, maps in zip((1, 0), both.maps, strict=True):
        assert np.abs(maps / maps.max() - uniform / uniform.max()).max() > 0.01
        sign = 1 if label else -1
        a = Halved(net).activations(x[0], "second")
        masked = [Halved(net).logits((x[0] * literal_mask(c, (4, 6))).astype(np.float32)) * sign for c in a if c.any()]
        exponentials = np.exp(np.array(masked)[:, 0])
        expected = np.tensordot(exponentials / exponentials.sum(), a[a.any(axis=(1, 2))], 1)
        np.testing.assert_allclose(maps, expected, atol=1e-5)


def test_masks_hide_what_they_should() -> None:
    sample = _Masks((50, 40), 3000, 5, 0.3, seed=2)
    masks = sample(slice(0, 3000))
    assert masks.shape == (3000, 50, 40)
    assert masks.dtype == np.float32
    assert (masks.min(), masks.max()) == (0, 1)
    assert abs(float(masks.mean()) - 0.3) < 0.01
    assert np.abs(masks.mean(axis=0) - 0.3).max() < 0.05  # no place is favoured
    np.testing.assert_array_equal(sample(slice(7, 9)), masks[7:9])
    assert not np.array_equal(_Masks((50, 40), 3, 5, 0.3, seed=3)(slice(0, 3)), masks[:3])


# What all of them share.


@pytest.mark.parametrize("one", MANY, ids=lambda one: one.name)
def test_batch_equals_singles_and_several_targets_equal_one(one: xaicore.Method) -> None:
    x = pictures((6, 8), 3)
    together = xaicore.explain(None, x, [[0, 2]], method=one, backend=Halved())
    for n, k in np.ndindex(3, 2):
        alone = xaicore.explain(None, x[n : n + 1], (0, 2)[k], method=one, backend=Halved())
        np.testing.assert_allclose(together.maps[2 * n + k], alone.maps[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("one", MANY, ids=lambda one: one.name)
def test_batches_are_full_and_no_larger(one: xaicore.Method) -> None:
    x, maps = pictures((6, 8), 3), []
    for size in (1, 5, 7, 1000):
        backend = Halved()
        maps.append(xaicore.explain(None, x, 1, method=one, backend=backend, batch_size=size).maps)
        first, *rest = backend.rows
        assert first == 3
        assert max(rest) <= size
        if "inputs" in one.asks:
            rest = rest[:1] + rest[2:]  # without the row that shows whether rows influence each other
            assert set(rest[:-1]) <= {size}  # rows of several images fill a batch
        np.testing.assert_allclose(maps[-1], maps[0], rtol=0, atol=1e-6 * maps[0].max())


@pytest.mark.parametrize("one", MANY, ids=lambda one: one.name)
def test_the_same_again(one: xaicore.Method) -> None:
    x = pictures((6, 8))
    np.random.seed(3)
    before = np.random.get_state()[1].copy()
    first, second = (xaicore.explain(None, x, 1, method=one, backend=Halved()).maps for _ in range(2))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(np.random.get_state()[1], before)


@pytest.mark.parametrize("one", MANY, ids=lambda one: one.name)
def test_a_score_that_nothing_changes_is_said_and_has_no_map(one: xaicore.Method) -> None:
    net = ToyNet()
    net.w[1] = 0
    with pytest.warns(RuntimeWarning, match=r"2 of 4 scores do not depend on (the picture|layer 'second'), whatever"):
        found = xaicore.explain(None, pictures((6, 8)), [[1, 2]], method=one, backend=_Values(net))
    assert found.empty.tolist() == [True, False, True, False]


class _Values(Halved):
    """Outputs that are values, so that a score of 0 stays 0 whatever the others do."""

    def __init__(self, net: ToyNet) -> None:
        super().__init__(net, kind="values")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("scorecam", {"channels": 0}, "channels=0: expected a whole number, 1 or more"),
        ("ablationcam", {"channels": 2.5}, r"channels=2\.5: expected a whole number"),
        ("sscam", {"samples": 0}, "samples=0: expected a whole number, 1 or more"),
        ("sscam", {"std": 0}, "std=0: expected a number above 0"),
        ("sscam", {"std": float("nan")}, "std=nan: expected a number above 0"),
        ("sscam", {"noise": "layer"}, "noise='layer': expected 'mask' or 'input'"),
        ("iscam", {"samples": True}, "samples=True: expected a whole number"),
        ("rise", {"masks": -1}, "masks=-1: expected a whole number, 1 or more"),
        ("rise", {"grid": 0}, "grid=0: expected a whole number, 1 or more"),
        ("rise", {"p": 1}, "p=1: expected a number between 0 and 1"),
    ],
)
def test_options_out_of_range(name: str, options: dict[str, Any], message: str) -> None:
    backend = Halved()
    with pytest.raises(MethodError, match=message):
        xaicore.explain(None, pictures((4, 6)), 1, method=method(name, **options), backend=backend)
    assert backend.rows == [2]


def test_methods_name_their_options() -> None:
    assert METHODS["rise"].options == {"masks": 4000, "grid": 7, "p": 0.5, "seed": 0}
    assert method("rise", masks=3).name == "rise (masks=3)"


@pytest.mark.parametrize("size", [0, 2.5, None])
def test_a_batch_has_a_row_or_more(size: Any) -> None:
    with pytest.raises(InputError, match=r"batch_size=.*: expected a whole number, 1 or more"):
        xaicore.Explainer(None, backend=Halved(), batch_size=size)


def test_other_ends_of_a_net(x: np.ndarray) -> None:
    """Probabilities whose logits are out of reach are scored as they are; class 0 of one output by what is left."""
    net = ToyNet(classes=1)
    backend = ToyBackend(net, head="sigmoid")
    found = xaicore.explain(None, x, [[0, 1]], method="ablationcam", backend=backend)
    for n in range(3):
        a = net.forward(x[n : n + 1])["second"]
        p = float(head_forward(net.after_second(a)["dense"], "sigmoid")[0, 0])
        for k, y in enumerate((1 - p, p)):
            total = np.zeros(a.shape[2:])
            for c in range(6):
                without = a.copy()
                without[:, c] = 0
                q = float(head_forward(net.after_second(without)["dense"], "sigmoid")[0, 0])
                total += (y - (q if k else 1 - q)) / y * a[0, c]
            np.testing.assert_allclose(found.maps[2 * n + k], np.maximum(total, 0), atol=1e-5)
