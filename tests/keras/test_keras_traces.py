"""How often a model is compiled, and what the compiled runs keep alive."""

import gc
import weakref

import keras
import numpy as np
import pytest
from keras import layers
from keras_arranged import KerasBackend
from keras_nets import BACKEND, CLOSE, Fixed, Subclassed, conv_gap_dense, gradcam, numpy, pictures

import xaicore
from xaicore import targets
from xaicore_keras.traces import traces_of

compiled = pytest.mark.skipif(BACKEND == "torch", reason="nothing is compiled on torch")


def check(explainer, model, x, classes):
    maps = gradcam(model, x, classes)
    np.testing.assert_allclose(explainer(x, classes).maps, maps.reshape(-1, 6, 9), **CLOSE)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="one trace serves every batch on TensorFlow alone")
@pytest.mark.parametrize("net", [conv_gap_dense, Subclassed])
def test_one_trace_serves_every_batch_size_and_number_of_targets(net):
    model = net()
    explainer = xaicore.Explainer(model)
    check(explainer, model, pictures(2), [[1], [1]])
    count = traces_of(model).made
    assert count > 0
    for n, k in ((3, 1), (1, 1), (2, 2), (5, 3)):
        check(explainer, model, pictures(n), np.arange(n * k).reshape(n, k) % 3)
    check(xaicore.Explainer(model), model, pictures(4), [[0]] * 4)  # and every explainer
    assert traces_of(model).made == count


@compiled
def test_the_same_form_again_is_not_compiled_again():
    model = conv_gap_dense()
    explainer = xaicore.Explainer(model)
    explainer(pictures(2), [[0, 1]] * 2)
    count = traces_of(model).made
    for seed in range(3):
        check(explainer, model, pictures(2) * (1 + seed), [[0, 1], [2, 0]])
        model.set_weights([1.1 * weight for weight in model.get_weights()])
    assert traces_of(model).made == count


@compiled
def test_a_smaller_last_batch_is_not_compiled_anew():
    model = conv_gap_dense()
    explainer = xaicore.Explainer(model)
    check(explainer, model, pictures(8), [[1]] * 8)
    count = traces_of(model).made
    check(explainer, model, pictures(8)[:3], [[1]] * 3)
    check(explainer, model, pictures(8)[:7], [[2]] * 7)
    assert traces_of(model).made == count
    given = KerasBackend(model).capture(pictures(8)[:3], ["relu2"])
    assert given.outputs.shape == (3, 3)
    assert given.activations["relu2"].shape == (3, 5, 6, 9)


@compiled
def test_the_direction_of_a_smaller_last_batch_sees_its_own_rows_only():
    model, seen = conv_gap_dense(), []
    backend = KerasBackend(model)

    def direction(outputs, kind):
        seen.append(outputs)
        return targets.Classes(1).aim(outputs, kind).direction

    backend.capture(pictures(4), ["relu2"], direction)
    backend.capture(pictures(4)[:3], ["relu2"], direction)
    assert [outputs.shape for outputs in seen] == [(4, 3), (3, 3)]
    np.testing.assert_allclose(seen[1], seen[0][:3], **CLOSE)


@compiled
def test_pictures_of_another_size_are_another_trace_and_right():
    model = conv_gap_dense(size=(None, None))
    explainer = xaicore.Explainer(model)
    for h, w in ((6, 9), (9, 6), (6, 9)):
        x = pictures(2, 1, h, w)
        expected = gradcam(model, x, [[1], [1]])[:, 0]
        explanation = explainer(x, 1)
        np.testing.assert_allclose(explanation.maps, expected, **CLOSE)
        assert explanation.input_size == (h, w)


def test_a_model_that_reads_its_batch_size_is_right_for_each():
    model = Fixed()
    explainer = xaicore.Explainer(model, layer="relu2")
    for n in (2, 3, 1, 2):
        check(explainer, model, pictures(n), [[1]] * n)
        check(explainer, model, pictures(n), [[1, 0]] * n)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="one trace serves every batch on TensorFlow alone")
def test_one_trace_of_a_resumed_run_serves_every_batch_size():
    model = conv_gap_dense()
    backend = KerasBackend(model)
    outputs = backend.predict(pictures(2))
    activations = backend.capture(pictures(2), ["relu2"]).activations["relu2"]
    count = None
    for repeats in (1, 3, 2):
        resumed = backend.resume(pictures(2), "relu2", activations.repeat(repeats, 0))
        np.testing.assert_allclose(resumed, outputs.repeat(repeats, 0), **CLOSE)
        count = count or traces_of(model).made
        assert traces_of(model).made == count


def test_types_of_inputs_do_not_share_a_trace():
    model = conv_gap_dense()
    explainer = xaicore.Explainer(model)
    x = np.random.default_rng(0).integers(0, 9, (2, 6, 9, 1))
    for dtype in (np.uint8, np.float32, np.int32, np.float64, np.uint8):
        given = (x + (0.5 if np.dtype(dtype).kind == "f" else 0)).astype(dtype)
        np.testing.assert_allclose(
            explainer(given, 1).maps, gradcam(model, given.astype(np.float64), [[1], [1]])[:, 0], rtol=1e-4, atol=1e-5
        )


def test_new_weights_do_not_need_a_new_trace_but_new_variables_do():
    model = conv_gap_dense()
    explainer = xaicore.Explainer(model)
    check(explainer, model, pictures(), [[1], [1]])
    count = traces_of(model).made
    for weight in model.weights:
        weight.assign(1.2 * numpy(weight))
    check(explainer, model, pictures(), [[1], [1]])
    assert traces_of(model).made == count
    dense = model.get_layer("dense")
    dense.enable_lora(1)
    dense.lora_kernel_b.assign(np.ones(dense.lora_kernel_b.shape))
    check(explainer, model, pictures(), [[1], [1]])


def test_many_models_leave_nothing_alive():
    alive = []
    for i in range(12):
        x = keras.Input((6, 9, 1))
        model = keras.Model(x, layers.Dense(3)(layers.Flatten()(layers.Conv2D(2, 1, name="conv")(x))))
        if i % 4 == 0:
            xaicore.explain(model, pictures(), 1)
        else:
            KerasBackend(model).predict(pictures(1))
        alive.append(weakref.ref(model))
    del model
    gc.collect()
    assert sum(ref() is not None for ref in alive) == 0


@pytest.mark.parametrize("by_values", [False, True])
def test_a_resumed_run_does_not_keep_its_model_alive(by_values):
    if by_values and BACKEND != "torch":
        pytest.skip("what a value decides can only be run on torch")

    class Net(Subclassed):
        def features(self, x):
            a = super().features(x)
            return a * 1 if not by_values or float(a.sum()) > 0 else a * 2

    def once():
        model = Net()
        backend = KerasBackend(model)
        given = backend.capture(pictures(), ["relu2"]).activations["relu2"]
        np.testing.assert_allclose(backend.resume(pictures(), "relu2", given), backend.predict(pictures()), **CLOSE)
        return weakref.ref(model)

    alive = once()
    gc.collect()
    assert alive() is None


def test_a_backend_that_goes_leaves_the_traces_to_the_next_one():
    model = conv_gap_dense()
    check(xaicore.Explainer(model), model, pictures(), [[1], [1]])
    count = traces_of(model).made
    gc.collect()
    check(xaicore.Explainer(model), model, pictures(), [[1], [1]])
    assert traces_of(model).made == count


def test_two_models_have_their_own_traces():
    one, other = conv_gap_dense(), conv_gap_dense(classes=2)
    for model in (one, other, one):
        check(xaicore.Explainer(model), model, pictures(), [[1], [1]])


def test_explainers_of_different_outputs_do_not_share_a_trace():
    x = keras.Input((6, 9, 1))
    conv = layers.Conv2D(2, 1, name="conv")(x)
    flat = layers.Flatten()(conv)
    model = keras.Model(x, [layers.Dense(3, name="a")(flat), layers.Dense(3, name="b")(flat)])
    found = [xaicore.explain(model, pictures(), 1, output=output).outputs for output in (0, 1, "b", "a")]
    answers = [numpy(y) for y in model(pictures())]
    for outputs, expected in zip(found, (answers[0], answers[1], answers[1], answers[0]), strict=True):
        np.testing.assert_allclose(outputs, expected, **CLOSE)


@pytest.mark.parametrize("most", [0, 2**27])
def test_arrivals_are_the_same_where_the_pass_itself_reduces_them(monkeypatch, most):
    from xaicore_keras import arrivals

    monkeypatch.setattr(arrivals, "MOST_NUMBERS", most)
    pictures = keras.Input((4, 6, 3))
    maps = layers.Conv2D(2, 1, name="maps")(pictures)
    cropped = layers.Cropping2D(((1, 0), (0, 2)))(maps)
    model = keras.Model(pictures, layers.Dense(2)(layers.GlobalAveragePooling2D()(cropped)))
    facts = KerasBackend(model).observe(np.ones((1, 4, 6, 3), np.float32))
    (found,) = (layer for layer in facts.layers if layer.name == "maps")
    rows, columns = found.reached[1], found.reached[2]
    assert (list(rows), list(columns)) == ([False, True, True, True], [True] * 4 + [False] * 2)
