"""Attentions of Keras models: weights, queries, keys, values, outputs and gradients, against plain autodiff."""

import threading

import keras
import numpy as np
import pytest
from keras import layers, ops
from keras.src import backend as backend_of_keras
from keras_attention import CHANNELS, EARLIER, KINDS, SOME, TOKENS, Mha, Vit, heads_first, plain_gradients, plain_parts
from keras_nets import BACKEND, functional, numpy, pictures, run, settle

import xaicore
from xaicore.testing.state import bits
from xaicore_keras.backend import KerasBackend

EXACT = {"rtol": 0, "atol": 1e-6}
CLASSES = np.array([[0, 2], [1, 1], [2, 0]])  # of three pictures, two each
MASKS = {"causal": EARLIER, "masked": SOME, "masked by hand": EARLIER, "masked causal": SOME & EARLIER, "layer": SOME}
HEADS = {"gqa": 4, "grouped": 4, "one head": 1, "additive": 1}


def at(classes):
    """The direction of these classes (N, K)."""
    return lambda outputs, kind: np.eye(outputs.shape[1], dtype=np.float32)[np.asarray(classes)]


def relative(found, expected):
    return np.abs(found - expected).max() / np.abs(expected).max()


def names_of(model, x):
    return [block.name for block in KerasBackend(model).attention(x)]


def captured(model, x, classes=CLASSES, names=None):
    asked = dict.fromkeys(names_of(model, x) if names is None else names, True)
    return KerasBackend(model).capture(x, (), at(classes), attention=asked)


def softmax(scores):
    e = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_against_plain_autodiff(kind):
    model, x = Vit(kind), pictures(3)
    plain = numpy(run(model, x))
    facts = KerasBackend(model).attention(x)
    assert [block.shape for block in facts] == [(1, HEADS.get(kind, 2), TOKENS, TOKENS)] * 2
    assert [block.causal for block in facts] == ["causal" in kind or kind == "masked by hand"] * 2
    assert [block.reached for block in facts] == [True, True]
    given = captured(model, x)
    assert list(given.attention) == [block.name for block in facts]
    np.testing.assert_allclose(given.outputs, plain, **EXACT)
    parts, gradients = plain_parts(model, x), plain_gradients(model, x, CLASSES)
    for i, found in enumerate(given.attention.values()):
        np.testing.assert_allclose(found.weights, parts[i, "weights"], **EXACT)
        np.testing.assert_allclose(found.output, parts[i, "output"], **EXACT)
        np.testing.assert_allclose(found.weights @ found.value, found.output, **EXACT)
        assert relative(found.weights_gradients, gradients[i, "weights"]) < 1e-6
        assert relative(found.output_gradients, gradients[i, "output"]) < 1e-6
        hides = kind in ("einsum", "one head", "additive")  # what is softmaxed is no product of queries and keys
        assert (found.query is None, found.key is None) == (hides, hides)
        if not hides and kind not in ("biased", "keyed"):
            scores = found.query @ found.key.swapaxes(-1, -2)
            np.testing.assert_allclose(found.weights, softmax(np.where(MASKS.get(kind, True), scores, -1e9)), **EXACT)


@pytest.mark.parametrize("kind", ["mha", "masked", "causal", "gqa"])
def test_weights_are_what_the_layer_returns_when_it_is_asked(kind):
    model, x = Vit(kind), pictures(3)
    around = model.attentions[0]
    t = model.norm(model.tokens(ops.convert_to_tensor(x)))
    if kind == "gqa":  # it returns its scores only where it drops out
        inner = layers.GroupQueryAttention(4, 4, 2, dropout=0.5)
        inner(t, t)
        inner.set_weights(around.inner.get_weights())
    else:
        inner = around.inner
    _, expected = inner(t, t, return_attention_scores=True, training=False, **around.options)
    found = next(iter(captured(model, x).attention.values()))
    np.testing.assert_allclose(found.weights, numpy(expected), **EXACT)


def test_without_gradients_without_a_direction_and_of_some_alone():
    model, x = Vit(), pictures(3)
    backend, (first, second) = KerasBackend(model), names_of(model, x)
    whole = captured(model, x)
    for direction in (None, at(CLASSES)):
        given = backend.capture(x, (), direction, attention={second: False})
        assert list(given.attention) == [second]
        np.testing.assert_allclose(given.attention[second].weights, whole.attention[second].weights, **EXACT)
        assert given.attention[second].weights_gradients is None
        assert given.attention[second].output_gradients is None
    given = backend.capture(x, (), at(CLASSES), attention={second: False, first: True})
    assert list(given.attention) == [second, first]
    assert given.attention[second].weights_gradients is None
    found, expected = given.attention[first].weights_gradients, whole.attention[first].weights_gradients
    assert relative(found, expected) < 1e-6


def test_a_query_that_reads_the_next_key_is_not_causal():
    model = Vit()
    model.attentions[0].options = {"attention_mask": np.tril(np.ones((1, TOKENS, TOKENS), bool), 1)}
    model.attentions[1].options = {"attention_mask": EARLIER[None]}
    assert [block.causal for block in KerasBackend(model).attention(pictures())] == [False, True]


def test_layers_and_attentions_of_one_pass_are_those_of_two():
    model, x = Vit("by hand"), pictures(3)
    names = names_of(model, x)
    backend = KerasBackend(model)
    alone = backend.capture(x, ["patches", "heads~2/join"], at(CLASSES))
    both = backend.capture(x, ["patches", "heads~2/join"], at(CLASSES), attention={names[0]: True, names[1]: True})
    expected = captured(model, x)
    for layer in alone.activations:
        np.testing.assert_allclose(both.activations[layer], alone.activations[layer], **EXACT)
        assert relative(both.gradients[layer], alone.gradients[layer]) < 1e-6
    for name in names:
        found = both.attention[name].weights_gradients
        assert relative(found, expected.attention[name].weights_gradients) < 1e-6


def test_a_batch_is_its_images_and_targets_are_single_ones():
    model, x = Vit(), pictures(3)
    whole, (name, _) = captured(model, x), names_of(model, x)
    for n in range(3):
        one = captured(model, x[n : n + 1], CLASSES[n : n + 1]).attention[name]
        for part in ("weights", "query", "value", "output", "weights_gradients", "output_gradients"):
            assert relative(getattr(one, part)[0], getattr(whole.attention[name], part)[n]) < 1e-5
    for k in range(2):
        one = captured(model, x, CLASSES[:, k : k + 1]).attention[name]
        assert relative(one.weights_gradients[:, 0], whole.attention[name].weights_gradients[:, k]) < 1e-5


def test_a_layer_that_runs_twice_has_two_attentions():
    model, x = Vit(shared=True), pictures(3)
    assert names_of(model, x) == ["around/mha", "around/mha#2"]
    parts, gradients = plain_parts(model, x), plain_gradients(model, x, CLASSES)
    for i, found in enumerate(captured(model, x).attention.values()):
        np.testing.assert_allclose(found.weights, parts[i, "weights"], **EXACT)
        assert relative(found.weights_gradients, gradients[i, "weights"]) < 1e-6


def tokens_of(x):
    return layers.Reshape((TOKENS - 1, CHANNELS))(layers.Conv2D(CHANNELS, 3, 3, name="patches")(x))


def by_graph(t, axis=-1):
    """Attention of a functional model's own operations; the axis of the keys may be counted from the front."""
    q, k, v = (ops.reshape(layers.Dense(CHANNELS, name=name)(t), (-1, 6, 2, 4)) for name in "qkv")
    scores = ops.matmul(heads_first(q), ops.transpose(k, (0, 2, 3, 1)))
    return ops.reshape(heads_first(ops.matmul(ops.softmax(scores, axis), heads_first(v))), (-1, 6, CHANNELS))


def by_two(t):
    """One fused, one by a layer, in models inside of models."""
    i = keras.Input((TOKENS - 1, CHANNELS))
    y = layers.MultiHeadAttention(2, 4, name="mha")(i, i)
    inner = keras.Model(i, y, name="inner")
    outer = keras.Sequential([keras.Input((TOKENS - 1, CHANNELS)), layers.LayerNormalization(), inner], name="outer")
    return layers.Attention(name="attention")([outer(t), t])


@pytest.mark.parametrize(
    ("function", "names"),
    [
        (by_graph, ["softmax"]),
        (lambda t: by_graph(t, axis=3), ["softmax"]),
        (by_two, ["outer/inner/mha", "attention"]),
    ],
)
def test_functional_and_nested_models(function, names):
    def whole(x):
        return layers.Dense(3)(layers.GlobalAveragePooling1D()(layers.LayerNormalization()(function(tokens_of(x)))))

    model, x = functional(whole), pictures(3)
    assert names_of(model, x) == names
    given = captured(model, x)
    np.testing.assert_allclose(given.outputs, numpy(run(model, x)), **EXACT)
    for found in given.attention.values():
        np.testing.assert_allclose(found.weights, softmax(found.query @ found.key.swapaxes(-1, -2)), **EXACT)
        np.testing.assert_allclose(found.weights @ found.value, found.output, **EXACT)
        # the gradient at the weights is the one at the output, times the values
        expected = found.output_gradients @ found.value[:, None].swapaxes(-1, -2)
        assert relative(found.weights_gradients, expected) < 1e-5


def test_what_is_no_attention_is_not_listed():
    def dense(x):  # (N, 6, 9, 9), as many classes as columns
        return layers.Conv2D(9, 1, activation="softmax")(x)

    assert names_of(functional(dense), pictures()) == []

    def each(x):  # (N, 6, 6), as many classes as tokens
        return ops.softmax(layers.Dense(6)(tokens_of(x)))

    assert names_of(functional(each), pictures()) == []

    def weighted(x):
        t = tokens_of(x)
        pooled = ops.sum(t * ops.softmax(layers.Dense(1)(t), axis=1), axis=1)
        return layers.Dense(3)(pooled + ops.mean(ops.softmax(layers.Dense(4)(t)), axis=(1, 2), keepdims=False)[:, None])

    assert names_of(functional(weighted), pictures()) == []


def attending(t, other, name):
    return layers.MultiHeadAttention(2, 4, name=name)(t, other)


def test_windows_and_other_tokens_are_facts_and_the_core_refuses_windows():
    def windows(x):
        t = ops.reshape(tokens_of(x), (-1, 3, CHANNELS))  # two windows of three tokens each
        t = ops.reshape(attending(t, t, "mha"), (-1, 6, CHANNELS))
        return layers.Dense(3)(layers.GlobalAveragePooling1D()(t))

    (block,) = KerasBackend(functional(windows)).attention(pictures(3))
    assert (block.name, block.shape) == ("mha", (2, 2, 3, 3))

    def crossed(x):
        t = tokens_of(x)
        return layers.Dense(3)(layers.GlobalAveragePooling1D()(attending(t[:, :2], t, "mha")))

    (block,) = KerasBackend(functional(crossed)).attention(pictures(3))
    assert (block.name, block.shape, block.causal) == ("mha", (1, 2, 2, 6), False)

    with pytest.raises(xaicore.MethodError, match="within windows"):
        xaicore.explain(functional(windows), pictures(3), method="legrad")


def test_an_attention_that_nothing_reads_is_not_reached():
    class Unread(keras.Model):
        def __init__(self):
            super().__init__()
            self.read, self.unread = Mha(inner=layers.MultiHeadAttention(2, 4, name="a")), layers.Attention(name="b")
            self.patches, self.dense = layers.Conv2D(CHANNELS, 3, 3), layers.Dense(3)
            self(pictures())
            settle(self)

        def call(self, x):
            t = ops.reshape(self.patches(x), (-1, 6, CHANNELS))
            self.unread([t, t])
            return self.dense(ops.mean(self.read(t), axis=1))

    backend = KerasBackend(Unread())
    assert [(b.name, b.reached) for b in backend.attention(pictures())] == [("b", False), ("around/a", True)]
    with pytest.raises(xaicore.LayerError, match=r"attention 'b#1' does not reach the outputs"):
        backend.capture(pictures(), (), at([[0], [1]]), attention={"b": True})
    assert backend.capture(pictures(), (), None, attention={"b": False}).attention["b"].weights.shape == (2, 1, 6, 6)


def test_an_attention_that_the_images_share_is_refused_for_several():
    class Learned(Vit):
        def build(self, shape):
            self.scores = self.add_weight(shape=(1, TOKENS, TOKENS), name="scores")

        def call(self, x):
            t = self.tokens(x)
            return self.dense(ops.matmul(ops.softmax(self.scores), t)[:, 0])

    model, x = Learned(), pictures(3)
    (name,) = names_of(model, x)
    backend = KerasBackend(model)
    assert backend.capture(x[:1], (), None, attention={name: False}).attention[name].weights.shape[0] == 1
    with pytest.raises(xaicore.LayerError, match="1 rows for 3 images, which share it"):
        backend.capture(x, (), None, attention={name: False})


def test_a_name_that_is_none_is_refused():
    model = Vit()
    with pytest.raises(xaicore.LayerError, match="no attention called 'mha'; the model has around/mha, around~2/mha"):
        captured(model, pictures(3), names=["mha"])


def test_everything_is_as_before(unchanged):
    model, x = Vit("dropout"), pictures(3)
    model.compile("sgd", "mse")
    names = names_of(model, x)
    functions = [getattr(backend_of_keras.nn, name) for name in ("softmax", "dot_product_attention")]
    functions += [getattr(backend_of_keras.numpy, name) for name in ("matmul", "einsum")]

    def broken(outputs, kind):
        raise error

    with unchanged(model):
        captured(model, x)
        captured(model, pictures(2), CLASSES[:2])
        for error in (ZeroDivisionError("mine"), KeyboardInterrupt()):
            with pytest.raises(type(error)) as caught:
                KerasBackend(model).capture(x, (), broken, attention={names[0]: True})
            assert caught.value is error
    after = [getattr(backend_of_keras.nn, name) for name in ("softmax", "dot_product_attention")]
    after += [getattr(backend_of_keras.numpy, name) for name in ("matmul", "einsum")]
    assert after == functions
    assert all("call" not in vars(part) for part in model._flatten_layers())


@pytest.mark.parametrize("error", [RuntimeError("on purpose"), KeyboardInterrupt()])
def test_everything_is_as_before_when_the_model_fails_between_its_attentions(unchanged, error):
    model, x = Vit(), pictures(3)
    names = names_of(model, x)
    functions = backend_of_keras.nn.softmax, backend_of_keras.numpy.matmul, backend_of_keras.nn.dot_product_attention
    attend, fails = model.attentions[1].inner.call, [True]

    def failing(*args, **kwargs):
        if fails:
            raise error
        return attend(*args, **kwargs)

    object.__setattr__(model.attentions[1].inner, "call", failing)
    raised = KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else xaicore.BackendError
    with unchanged(model), pytest.raises(raised):
        captured(model, pictures(2), CLASSES[:2], names)
    assert (backend_of_keras.nn.softmax, backend_of_keras.numpy.matmul) == functions[:2]
    assert backend_of_keras.nn.dot_product_attention is functions[2]
    fails.clear()
    assert (
        relative(captured(model, x, names=names).attention[names[0]].weights, plain_parts(model, x)[0, "weights"])
        < 1e-6
    )


def test_other_threads_are_not_seen():
    """What another thread computes meanwhile is no attention of the model, and is computed as usual."""
    model, x, elsewhere = Vit("by hand"), pictures(3), []
    q = np.random.default_rng(0).normal(size=(1, 2, 4, 4)).astype(np.float32)

    def attend():
        elsewhere.append(numpy(ops.matmul(ops.softmax(ops.convert_to_tensor(q)), q)))

    before = model.attentions[1].call

    def call(t):
        thread = threading.Thread(target=attend)
        thread.start()
        thread.join()
        return before(t)

    object.__setattr__(model.attentions[1], "call", call)
    assert len(names_of(model, x)) == 2
    assert elsewhere
    np.testing.assert_allclose(elsewhere[0], softmax(q) @ q, **EXACT)


def test_traces_are_kept():
    model, x = Vit(), pictures(3)
    backend = KerasBackend(model)
    backend.capture(x, ["patches"], at(CLASSES))
    made = backend._traces.made
    backend.capture(x, ["patches"], at(CLASSES), attention={})
    assert backend._traces.made == made
    names = [block.name for block in backend.attention(x)]
    assert backend._traces.made == made + 1
    backend.attention(x + 1)
    assert backend._traces.made == made + 1
    for _ in range(2):
        captured(model, x, names=names)
        captured(model, x + 1, CLASSES[:, :1], names)
    assert backend._traces.made == made + (1 if BACKEND == "torch" else 2)


def test_half_precision():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model, x = Vit(), pictures(3)
    finally:
        keras.config.set_dtype_policy("float32")
    exact = Vit()
    exact.set_weights(model.get_weights())
    found, expected = captured(model, x).attention, captured(exact, x).attention
    for name in expected:
        assert relative(found[name].weights, expected[name].weights) < 5e-3
        assert relative(found[name].weights_gradients, expected[name].weights_gradients) < 5e-2


def test_a_mask_that_hides_everything_leaves_the_outputs_as_they_are():
    """A query without any key reads all of them alike, where Keras fuses; in the open it would read none."""
    hidden = SOME.copy()
    hidden[2] = False
    i = keras.Input((6, 9, 1))
    t = tokens_of(i)
    y = layers.MultiHeadAttention(2, 4, name="mha")(t, t, attention_mask=hidden[:6, :6][None])
    model = settle(keras.Model(i, layers.Dense(3)(layers.GlobalAveragePooling1D()(y))))
    x = pictures(3)
    given = captured(model, x)
    np.testing.assert_allclose(given.outputs, numpy(run(model, x)), **EXACT)
    np.testing.assert_allclose(given.attention["mha"].weights[:, :, 2], 1 / 6, **EXACT)


def test_results_do_not_share_memory():
    model, x = Vit(), pictures(3)
    first = captured(model, x).attention["around/mha"]
    before = bits(first.weights)
    captured(model, x + 1)
    assert bits(first.weights) == before
