"""What backends keep of a pass: arguments, calls, and the facts that follow from the identity of arrays."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import xaicore
from xaicore import BackendError, InputError, LayerError
from xaicore.recording import (
    Arguments,
    Call,
    FactsBackend,
    Pass,
    Recording,
    arrivals,
    mixture,
    read_inputs,
    read_tokens,
)

ROOT = Path(__file__).resolve().parents[2]
A, B = np.zeros((2, 3, 4, 5), np.float32), np.zeros((2, 7), np.float32)


# Arguments.


@pytest.mark.parametrize(
    ("inputs", "args", "kwargs"),
    [(A, (A,), {}), ((A, B), (A, B), {}), ({"x": A, "y": B}, (), {"x": A, "y": B})],
    ids=["one", "tuple", "dict"],
)
def test_arguments_are_what_the_caller_means(inputs: Any, args: Any, kwargs: Any) -> None:
    x = Arguments.of(inputs)
    assert list(map(id, x.args)) == list(map(id, args))
    assert {name: id(one) for name, one in x.kwargs.items()} == {name: id(one) for name, one in kwargs.items()}
    assert (x.count, x.size(), x.size(channels_last=True)) == (2, (4, 5), (3, 4))


def test_arguments_are_mapped() -> None:
    x = Arguments.of((B, A), lambda one: one + 1)
    assert [one.max() for one in x.values()] == [1, 1]
    assert x.picture.shape == A.shape
    assert [one.shape for one in x.first().values()] == [(1, 7), (1, 3, 4, 5)]
    assert x.image_shapes == ((0, (7,)), (1, (3, 4, 5)))
    assert str(x) == "(2, 7) float32, (2, 3, 4, 5) float32"
    assert str(Arguments.of({"x": B})) == "x (2, 7) float32"


def test_arguments_by_name() -> None:
    for inputs in ((A, B), {"x": A, "y": B}, {"y": B, "x": A}):
        x = Arguments.of(inputs).named(["x", "y"])
        assert [*x] == ["x", "y"]
        assert x["y"] is B
    for inputs, got in ((A, "0"), ({"x": A, "z": B}, "x, z"), ((A, B, B), "0, 1, 2")):
        with pytest.raises(InputError, match=f"^the model takes the inputs x, y, and got {got}: pass one array for"):
            Arguments.of(inputs).named(["x", "y"])


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ([1, 2], r"argument 0 is a list: expected an array \(N, \.\.\.\) with N of 1 or more"),
        ((A, 3), "argument 1 is a int: "),
        ({"x": A[:0]}, r"argument 'x' is an array \(0, 3, 4, 5\): "),
        (np.float32(1), r"argument 0 is an array \(\): "),
        ({}, "there are no inputs: "),
    ],
)
def test_arguments_that_are_no_batch(inputs: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        Arguments.of(inputs)


def test_what_a_model_raises_has_the_shapes() -> None:
    with pytest.raises(
        BackendError, match=r"^the model raised ZeroDivisionError for inputs \(2, 7\) float32: division"
    ):
        with Arguments.of(B).model_errors():
            1 / 0
    with pytest.raises(BackendError, match=r"ZeroDivisionError for inputs x \(2, 7\) float32: division"):
        turned = Arguments.of({"x": B}, lambda one: one.T.astype(np.float64)).named(["x"])
        with turned.map(np.ravel).first().model_errors():
            1 / 0
    with pytest.raises(LayerError, match=r"^own$"), Arguments.of(B).model_errors():
        raise LayerError("own")
    with pytest.raises(KeyboardInterrupt), Arguments.of(B).model_errors():
        raise KeyboardInterrupt


# Where gradients arrive.


def test_arrivals_are_along_each_axis() -> None:
    gradient = np.zeros((1, 3, 2))
    gradient[0, 1, 0] = -2
    assert arrivals(gradient) == {0: [True], 1: [False, True, False], 2: [True, False]}
    assert arrivals(gradient != 0) == arrivals(gradient)
    assert arrivals(np.zeros((1, 3))) == {}
    assert arrivals(np.full((1, 2), np.nan)) == {0: [True], 1: [True, True]}


def test_a_mixture_is_positive_and_no_two_weights_are_alike() -> None:
    weights = mixture((3, 5))
    assert (weights.shape, weights.dtype) == ((3, 5), np.float32)
    assert weights.min() >= 0.5
    assert weights.max() < 1.5
    assert len(set(weights.ravel().tolist())) == 15
    np.testing.assert_array_equal(weights, mixture((3, 5)))


# Calls.


class Conv2d:
    """A layer."""


class MaxPool(Conv2d):
    """A layer that pools."""


def test_what_a_call_takes_is_known_by_identity() -> None:
    recording: Recording[Call] = Recording([A, B])
    conv = recording.add(Call("conv", y := A + 1, [A]))
    pool = recording.add(Call("pool", z := y.copy(), [y, B, y.copy()], MaxPool()))
    assert conv.sources == [0]
    assert pool.sources == ["conv", 1, None]
    facts = recording.layer(pool, channel_axis=1)
    assert (facts.name, facts.type, facts.shape, facts.takes) == ("pool", "MaxPool", A.shape, ("conv", 1))
    assert (facts.pooled, facts.channel_axis, facts.is_float, facts.runs) == (True, 1, True, 1)
    assert not recording.layer(conv).pooled
    assert (recording.is_pooled(z), recording.is_pooled(y)) == (True, False)
    assert not recording.layer(recording.add(Call("kept", z + 1, [z], MaxPool(), pools=False))).pooled
    assert not recording.layer(recording.add(Call("index", np.zeros(3, int)))).is_float


def test_a_layer_of_the_kind_pooling_is_pooled() -> None:
    """Whatever its class is called; and so is what hands its output on, but not what says that it does not pool."""
    recording: Recording[Call] = Recording([A])
    mean = recording.add(Call("mean", y := A + 1, [A], Conv2d()))
    dropout = recording.add(Call("dropout", y, [y]))
    kept = recording.add(Call("kept", A + 2, [A], Conv2d(), pools=False))
    assert not recording.layer(dropout).pooled
    facts = [recording.layer(mean, kind="pooling"), recording.layer(dropout), recording.layer(kept, kind="pooling")]
    assert [one.pooled for one in facts] == [True, True, False]
    assert not recording.layer(mean, kind="pooling", pooled=False).pooled


def test_a_layer_is_listed_where_its_last_run_ended() -> None:
    recording: Recording[Call] = Recording([A])
    for name in ("conv", "relu", "conv", "dense"):
        recording.add(Call(name, A + 1))
    assert [call.key for call in recording.listed()] == ["relu#1", "conv#2", "dense#1"]
    assert [call.key for call in recording.runs("conv")] == ["conv#1", "conv#2"]
    assert recording.layer(recording.listed()[1]).runs == 2
    assert recording.runs("nothing") == ()


def test_an_output_that_several_layers_return_has_the_outermost_name() -> None:
    recording: Recording[Call] = Recording([A])
    recording.add(Call("block.conv", y := A + 1, [A], Conv2d()))
    recording.add(Call("block.pool", z := A + 2, [y], MaxPool()))
    block = recording.add(Call("block", z, [A]))
    recording.add(Call("blockade", z, [z]))  # not inside of it
    assert [call.name for call in recording.listed()] == ["block.conv", "block", "blockade"]
    facts = recording.layer(block)
    assert (facts.aliases, facts.takes, facts.pooled) == (("block.pool",), ("block.conv",), True)
    assert block.maker.name == "block.pool"
    assert recording.calls[-1].sources == ["block"]


def test_a_layer_that_ran_more_often_than_the_one_around_it_keeps_its_name() -> None:
    recording: Recording[Call] = Recording([A])
    recording.add(Call("block/relu", A + 1))
    recording = Recording([A], separator="/")
    recording.add(Call("block/relu", A + 1))
    recording.add(Call("block/relu", y := A + 2))
    recording.add(Call("block", y))
    assert [call.key for call in recording.listed()] == ["block/relu#2", "block#1"]
    assert recording.layer(recording.calls[-1]).aliases == ()


def test_a_layer_that_hands_on_one_of_several_arrays_is_left_out() -> None:
    recording: Recording[Call] = Recording([A])
    recording.add(Call("block.conv", y := A + 1))
    recording.add(Call("block", y, gives=2))
    recording.add(Call("pair", A + 3, gives=2))
    assert [call.name for call in recording.listed()] == ["block.conv", "pair"]


def test_arrays_may_be_known_by_more_than_their_identity() -> None:
    """An operation in place makes other values of the same array."""
    version = {"now": 0}
    recording: Recording[Call] = Recording([A], identity=lambda array: (id(array), version["now"]))
    y = A + 1
    recording.add(Call("conv", y))
    assert recording.add(Call("relu", A + 2, [y])).sources == ["conv"]
    version["now"] = 1
    assert recording.add(Call("relu", A + 2, [y])).sources == [None]


def test_inputs_that_a_call_changes_with() -> None:
    recording: Recording[Call] = Recording([A, B])
    for name in ("a", "b", "both", "none"):
        recording.add(Call(name, B + 1))
    pushed = [[1.0, 0.0, 2.0, 0.0], [0.0, [0.0, 3.0], np.nan, 0.0]]
    recording.note_reads(lambda i: pushed[i])
    assert [call.reads for call in recording.calls] == [(0,), (1,), (0, 1), ()]
    assert recording.layer(recording.calls[2]).run_reads == ((0, 1),)
    recording.note_reads(lambda i: pushed[i] if i else None)
    assert [call.reads for call in recording.calls] == [None] * 4
    assert recording.layer(recording.calls[2]).run_reads is None
    recording = Recording([A])
    for name in ("a", "queries"):
        recording.add(Call(name, A + 1))
    recording.note_reads(lambda i: [[i, 1.0], np.zeros(3)], asks_single=True)
    assert [call.reads for call in recording.calls] == [(0,), ()]
    assert recording.layer(recording.calls[1]).run_reads == ((),)
    recording.note_reads(lambda i: None, asks_single=True)
    assert [call.reads for call in recording.calls] == [None, None]
    for inputs, reads in (([A], (0,)), ([A, np.zeros(2, int)], None)):
        recording = Recording(inputs)
        recording.add(Call("a", A + 1)).reads = ()
        recording.note_reads(lambda i: [1.0])
        assert recording.calls[0].reads == reads


def test_where_the_gradient_reached() -> None:
    recording: Recording[Call] = Recording([B])
    for _ in range(2):
        recording.add(Call("conv", B + 1))
    recording.note_reached({"conv#1": None, "conv#2": np.zeros((1, 2))})
    assert [call.reached for call in recording.calls] == [{}, {}]
    recording.note_reached({"conv#2": np.eye(1, 2)})
    assert [call.reached for call in recording.calls] == [None, {0: [True], 1: [True, False]}]
    assert recording.layer(recording.listed()[0]).reached == {0: [True], 1: [True, False]}


def test_readers_of_inputs() -> None:
    recording: Recording[Call] = Recording([A, B])
    recording.add(Call("norm", y := A + 1, [A])).reads = (0,)
    recording.add(Call("conv", A + 2, [y])).reads = (0,)
    recording.add(Call("conv", A + 2, [A])).reads = (0,)
    recording.add(Call("other", A + 3, [y])).reads = (0,)

    def flipped(call: Call, i: int, weights: np.ndarray) -> np.ndarray:
        assert (call.key, i, weights.shape) == ("conv#1", 0, A.shape)
        return weights[..., ::-1]

    first, second = read_inputs(recording, lambda call: None if call.name == "norm" else 1, flipped)
    assert (first.shape, first.reader_shape, first.reader_axis, first.reader_source) == (A.shape, A.shape, 1, "norm")
    assert (first.reader_runs, first.reader_moves[1], first.reader_spans[1]) == ((False, True), None, None)
    start, end = first.reader_moves[0][3][3]
    assert start > 0.5 > end
    assert first.reader_moves[0][2][2] == (0.375, 0.625)
    assert first.reader_spans[0] == {1: (0, 2), 2: (0, 3), 3: (0, 4)}
    assert second == xaicore.InputFacts(B.shape)
    assert read_inputs(recording, lambda call: 1 if call.name == "conv" else None)[0].reader_moves == (None, None)


def test_tokens_come_from_their_patches() -> None:
    """The first layer with 29 tokens, of a picture and of words; not one whose tokens read the whole picture."""
    picture, words = np.zeros((1, 4, 6, 2), np.float32), np.zeros((1, 5), int)
    recording: Recording[Call] = Recording([picture, words])
    made = {"tokens": np.zeros((1, 29, 2)), "norm": np.zeros((1, 2, 29)), "read": np.zeros((1, 3, 2))}
    for name, array in {**made, "mean": np.zeros((1, 2)), "index": np.zeros((1, 7, 2), int)}.items():
        recording.add(Call(name, array)).reads = (0, 1)
    axes = {"tokens": 2, "norm": 1, "read": 2, "index": 2}
    layers = [recording.layer(call, channel_axis=axes.get(call.name)) for call in recording.listed()]

    def pull(call: Call, i: int, weights: np.ndarray) -> np.ndarray:
        assert (i, weights.shape) == (0, call.output.shape)
        assert call.name in ("tokens", "read")
        if call.name == "read":
            return np.broadcast_to(weights.sum(1)[:, None, None], picture.shape)
        return weights[:, 5:].reshape(picture.shape)

    tokens, norm, read, mean, index = read_tokens(recording, layers, pull)
    places = [divmod(token - 5, 6) for token in (7, 21)]
    rows, columns = (tuple((place[axis] + 0.5) / length for place in places) for axis, length in enumerate((4, 6)))
    ((axis, ends),) = tokens.moves[0].items()
    assert (axis, ends[1], ends[2]) == (1, rows, columns)
    assert tokens.parts == {0: {1: (5, 28)}}
    assert [norm, read, mean, index] == layers[1:]
    assert replace(tokens, moves={}, parts={}) == layers[0]
    alone: Recording[Call] = Recording([picture])
    alone.add(Call("tokens", np.zeros((1, 29, 2)))).reads = (0,)
    (one,) = read_tokens(alone, [alone.layer(alone.calls[0], channel_axis=2)], pull)
    assert (one.moves, one.parts) == (tokens.moves, {})
    steps_first = replace(one, moves={}, batch_axis=1)
    assert read_tokens(alone, [steps_first], pull) == [steps_first]
    alone.calls[0].reads = ()
    assert read_tokens(alone, [replace(one, moves={})], pull)[0].moves == {}


# The whole.


class Doubling(FactsBackend):
    """A net of one layer: y = 2 x (N, 3), and its softmax in the place of an attention."""

    name, title = "doubling", "Doubling"
    powers = frozenset({"attention", "input_gradients", "resume"})

    def __init__(self, dtype: str = "float32", link: str | None = None) -> None:
        self.dtype, self.link, self.surveys = dtype, link, 0

    def survey(self, x: Arguments) -> xaicore.Facts:
        self.surveys += 1
        recording: Recording[Call] = Recording(x.first().args)
        recording.add(Call("double", x.first()[0] * 2, x.first().args))
        recording.note_reads(lambda i: None)
        return xaicore.Facts((recording.layer(recording.calls[0]),), tuple(read_inputs(recording, lambda call: 1)))

    def run(
        self,
        x: Arguments,
        keys: Collection[str] = (),
        pulls: Collection[int | str] = (),
        given: Mapping[str, np.ndarray] = {},
    ) -> Pass:
        y = np.asarray(given.get("double#1", 2 * x[0]))
        weights = np.tril(np.ones((len(y), 1, 2, 2)))

        def pull(direction: np.ndarray) -> dict[Any, np.ndarray]:
            assert set(pulls) <= {"double#1", "mix weights", "mix output", 0}
            return {key: direction.astype(self.dtype) * (2 if key == 0 else 1) for key in pulls}

        assert set(keys) <= {"double#1"}
        values = {"double#1": y, "mix weights": weights, "mix query": weights + 1}
        return Pass((y + 1).astype(self.dtype), values, pull if self.has_gradients else None)


X = np.arange(6, dtype=np.float32).reshape(2, 3)
ONES = np.ones((2, 2, 3), np.float32)


def test_a_backend_follows_from_a_survey_and_a_pass() -> None:
    backend = Doubling()
    assert [(layer.name, layer.shape) for layer in backend.layers(X)] == [("double", (1, 3))]
    assert backend.observe(X) is backend.observe(X[:1])
    assert backend.surveys == 1
    one = backend.capture(X, ["double", "double#1"], lambda rows, kind: ONES * rows.sum(), rules=["plain"])
    np.testing.assert_array_equal(one.outputs, 2 * X + 1)
    assert (one.outputs.dtype, one.outputs_kind, one.link) == (np.float32, "logits", None)
    for name in ("double", "double#1"):
        np.testing.assert_array_equal(one.activations[name], 2 * X)
        np.testing.assert_array_equal(one.gradients[name], ONES * 36)
    np.testing.assert_array_equal(one.input_gradients["plain"][0], ONES * 72)
    plain = backend.capture(X, ["double"])
    assert (dict(plain.gradients), dict(plain.input_gradients)) == ({}, {})
    np.testing.assert_array_equal(backend.resume(X, "double", np.ones((4, 3))), np.full((4, 3), 2))
    assert type(backend.resume(X, "double", np.ones((4, 3)))[0, 0]) is np.float32


def test_attentions_are_those_of_a_pass() -> None:
    backend = Doubling()
    (facts,) = backend.attention(X)
    assert facts == xaicore.AttentionFacts("mix", (1, 1, 2, 2), reached=True, causal=True)
    one = backend.capture(X, [], lambda rows, kind: ONES, attention={"mix": True}).attention["mix"]
    np.testing.assert_array_equal(one.weights, np.tril(np.ones((2, 1, 2, 2))))
    np.testing.assert_array_equal(one.query, one.weights + 1)
    assert (one.key, one.value, one.output) == (None, None, None)
    np.testing.assert_array_equal(one.weights_gradients, ONES)
    np.testing.assert_array_equal(one.output_gradients, ONES)
    assert backend.capture(X, [], lambda rows, kind: ONES, attention={"mix": False}).attention["mix"].output is None


def test_small_gradients_survive_half_precision() -> None:
    small = ONES * np.float32(1e-8)
    assert not small.astype(np.float16).any()
    one = Doubling("float16").capture(X, ["double"], lambda rows, kind: small)
    np.testing.assert_allclose(one.gradients["double"], small, rtol=1e-2)


def test_what_a_backend_does_not_have_is_refused() -> None:
    backend = Doubling()
    backend.powers = frozenset()  # type: ignore[misc]
    for call, said in (
        (lambda: backend.attention(X), "attention: use a method on a layer"),
        (lambda: backend.resume(X, "double", X), "starting from a layer"),
        (lambda: backend.resume_parts(X, "double", X), "all outputs of a pass that starts from a layer"),
    ):
        with pytest.raises(BackendError, match=f"^backend 'doubling' does not offer {said}"):
            call()
    backend.has_gradients = False
    with pytest.raises(BackendError, match=r"does not offer gradients: use a method without .*, such as 'eigencam'$"):
        backend.capture(X, ["double"], lambda rows, kind: ONES)
    with pytest.raises(LayerError, match="no layer called 'doubel' in Doubling; nearest names: double"):
        backend.capture(X, ["doubel"])
    with pytest.raises(LayerError, match="layer 'double' ran once for this input: there is no run 2"):
        backend.capture(X, ["double#2"])


def test_texts_are_no_numbers() -> None:
    said = r"argument 0 is an array \(1, 2\) of type <U3: expected numbers"
    with pytest.raises(InputError, match=said):
        Arguments.of(np.array([["cat", "dog"]]))


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    """What the page's code has made, by its names."""
    page = (ROOT / "docs" / "plugins.md").read_text()
    (code,) = re.findall(r"^## A first backend\n.*?^```python\n(.*?)^```", page, re.M | re.S)
    names: dict[str, Any] = {}
    exec(code, names)
    return names


def test_the_backend_of_the_page_works(made: dict[str, Any]) -> None:
    assert made["explanation"].maps.shape == (2, 8, 8)
    assert made["explanation"].maps.max(axis=(1, 2)).tolist() == [1, 1]
    facts = made["backend"].observe(made["x"])
    assert [layer.shape for layer in facts.layers] == [(1, 3, 16, 16), (1, 3, 8, 8), (1, 3)]
    assert facts.inputs[0].reader_runs == (True,)


def test_a_model_resumes_from_rows_of_each_image(made: dict[str, Any]) -> None:
    values = made["backend"].capture(made["x"], ["1"]).activations["1"]
    said = r"activations \(3, 3, 8, 8\) of layer '1' for 2 images: expected \(N \* R, ...\), R rows for each image"
    with pytest.raises(BackendError, match=said):
        made["backend"].resume(made["x"], "1", values[[0, 1, 1]])


def test_a_backend_that_takes_no_axes_is_not_said_to_take_them(made: dict[str, Any]) -> None:
    """A score per position, of which nothing says where the classes are; what the message advises is the page's net."""
    net, x = made["net"][:2], made["x"]
    backend = made["ListBackend"](net)
    backend.name = "list"
    facts = replace(backend.observe(x), class_axis=None)
    backend.observe = lambda inputs: facts
    said = (
        r"outputs \(2, 3, 8, 8\): nothing in the model says which axis holds the classes, and backend 'list' takes no "
        r"output_axes=: explain a model that returns \(N, classes\)"
    )
    with pytest.raises(xaicore.OutputError, match=f"^{said}$"):
        xaicore.explain(net, x, method="reciprocam", layer="0", backend=backend)
    assert xaicore.explain(made["net"], x, method="reciprocam", layer="0", backend=made["backend"]).maps.max() == 1
