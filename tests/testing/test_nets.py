"""The kit's own gradients, against differences of its forward passes: what judges others is judged first."""

import numpy as np
import pytest

from xaicore.testing import (
    AxialNet,
    BlocksNet,
    CausalNet,
    ConvNet,
    CoupledNet,
    HalvesNet,
    HeadsNet,
    LoopNet,
    MaskedNet,
    PairNet,
    QueriesNet,
    RecurrentNet,
    ResidualNet,
    SegmentsNet,
    SequenceNet,
    TokenNet,
    WordsNet,
)
from xaicore.testing.nets.arithmetic import relu_back

NETS = [ConvNet(), ConvNet("softmax"), ConvNet("sigmoid"), ConvNet(has_bias=False), TokenNet(), PairNet()]
NETS += [ResidualNet(), LoopNet(), BlocksNet(), SegmentsNet(), SegmentsNet("softmax"), WordsNet()]
NETS += [HeadsNet("shape"), HeadsNet("colour"), CausalNet(), QueriesNet(), RecurrentNet(), HalvesNet()]
NETS += [MaskedNet(), SequenceNet(), SequenceNet("softmax")]
NETS += [AxialNet(), SegmentsNet("sigmoid", classes=1)]
STEP = 1e-6


@pytest.mark.parametrize("net", NETS, ids=lambda net: f"{net.name} {net.link}")
def test_gradients_are_the_slopes(net):
    pictures = [one if one.dtype.kind == "i" else one.astype(np.float64) for one in net.pictures()]
    values = net.forward(*pictures)
    rows = np.random.default_rng(5).normal(size=(2, 3, *values["dense"].shape[1:]))
    gradients = net.backward(values, net.answer_back(values, rows))

    def scores(inputs):
        return (rows * net.answer(net.forward(*inputs))[:, None]).reshape(2, 3, -1).sum(axis=-1)

    for i, name in enumerate(("input", "input#2")[: len(pictures)]):
        if pictures[i].dtype.kind == "i":
            assert not gradients[name].any()
            continue
        way = np.random.default_rng(9).normal(size=pictures[i].shape)
        more, less = (
            scores([one + sign * STEP * way if j == i else one for j, one in enumerate(pictures)]) for sign in (1, -1)
        )
        slopes = (gradients[name] * way[:, None]).reshape(2, 3, -1).sum(axis=-1)
        np.testing.assert_allclose(slopes, (more - less) / (2 * STEP), rtol=1e-5, atol=1e-6)


CHAINS = [
    ConvNet(),
    TokenNet(),
    ResidualNet(),
    LoopNet(),
    BlocksNet(),
    WordsNet(),
    CausalNet(),
    QueriesNet(),
    RecurrentNet(),
    MaskedNet(),
    AxialNet(),
]


@pytest.mark.parametrize("net", CHAINS, ids=lambda net: net.name)
def test_gradients_of_layers_are_the_slopes_from_there_on(net):
    values = net.forward(*net.pictures())
    rows = np.random.default_rng(5).normal(size=(2, 1, values["dense"].shape[1]))
    gradients = net.backward(values, rows)
    for name in net.maps:
        way = np.random.default_rng(9).normal(size=values[name].shape)
        more, less = (net.after(name, values[name] + sign * STEP * way, values)["dense"] for sign in (1, -1))
        slopes = ((more - less) * rows[:, 0]).sum(axis=1) / (2 * STEP)
        np.testing.assert_allclose((gradients[name][:, 0] * way).reshape(2, -1).sum(axis=1), slopes, rtol=1e-5)


@pytest.mark.parametrize("net", NETS, ids=lambda net: f"{net.name} {net.link}")
def test_no_two_lengths_are_the_same(net):
    """So that a swapped axis shows."""
    for name, value in net.forward(*net.pictures()).items():
        assert len({*value.shape}) == value.ndim, name


def test_the_ways_back_through_a_relu():
    d, z = np.array([2.0, -3.0, 5.0, -7.0]), np.array([1.0, 1.0, -1.0, -1.0])
    expected = {"plain": [2, -3, 0, 0], "guided": [2, 0, 0, 0], "deconv": [2, 0, 5, 0]}
    assert {rule: relu_back(d, z, rule).tolist() for rule in expected} == expected


def test_images_that_depend_on_each_other_have_the_slopes_of_their_own_scores():
    net = CoupledNet()
    (x,) = (one.astype(np.float64) for one in net.pictures(3))
    rows = np.random.default_rng(5).normal(size=(3, 1, 4))
    gradients = net.backward(net.forward(x), rows)["input"][:, 0]
    way = np.random.default_rng(9).normal(size=x.shape)
    for n in range(3):
        moved = np.where(np.arange(3) == n, 1, 0).reshape(3, 1, 1, 1) * way * STEP
        more, less = (net.forward(one)["dense"][n] @ rows[n, 0] for one in (x + moved, x - moved))
        np.testing.assert_allclose((gradients[n] * way[n]).sum(), (more - less) / (2 * STEP), rtol=1e-5)


def test_a_causal_net_has_no_class_token():
    """Whoever builds it as the net of tokens is told at once, and not by shapes that differ."""
    assert hasattr(TokenNet(), "class_token")
    assert not hasattr(CausalNet(), "class_token")
    assert CausalNet().positions.shape == (12, 10)
