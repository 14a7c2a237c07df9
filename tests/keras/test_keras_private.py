"""The private names of Keras and of what it runs on: used in one module alone, and all there in these versions."""

import ast
import importlib.util
import inspect
import pathlib
import re

import keras
import numpy as np
import pytest
from keras import layers, ops

import xaicore_keras
from xaicore_keras import private

BACKEND = keras.backend.backend()
VERSION = tuple(map(int, keras.__version__.split(".")[:2]))
PACKAGE = pathlib.Path(xaicore_keras.__file__).parent
UNDOCUMENTED = {"wrap_function", "internal_captures"}
"""Private in spite of their spelling."""


def private_names(path):
    """The names that a module takes from elsewhere and that are private there: {name: line}."""
    tree = ast.parse(path.read_text())
    in_texts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    named = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) not in ("self", "cls"):
            named.append((node.attr, node))
        elif isinstance(node, ast.Call):
            named += [(keyword.arg, node) for keyword in node.keywords if keyword.arg]
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            modules = [getattr(node, "module", None) or "", *(alias.name for alias in node.names)]
            named += [(part, node) for module in modules for part in module.split(".")]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in in_texts:
            named.append((node.value, node))
    return {
        name: node.lineno
        for name, node in named
        if re.fullmatch(r"_[a-z]\w*|src|experimental|(keras\.src|tensorflow\.python|jax\._src)\.[\w.]+", name)
        or name in UNDOCUMENTED
    }


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_one_module_alone_uses_private_names(path):
    if path.name == "private.py":
        assert private_names(path).keys() == EXPECTED.keys(), "the table in this test and private.py differ"
    else:
        assert not private_names(path), f"{path}: private names belong in xaicore_keras/private.py"


def test_private_names_are_noticed(tmp_path):
    code = """
from keras.src import tree
import jax._src.core
def f(self, x):
    self._mine = getattr(x, "_kept") + x._given + f"{x}_text" + g(_flag=1) + "keras.src.models.functional"
    return x.graph.internal_captures
"""
    (tmp_path / "module.py").write_text(code)
    names = {"src", "_src", "_kept", "_given", "_flag", "keras.src.models.functional", "internal_captures"}
    assert private_names(tmp_path / "module.py").keys() == names


def of_a_layer():
    return dir(layers.Dense(1))


def of_a_sequential():
    return dir(keras.Sequential([keras.Input((2,)), layers.Dense(1)]))


def functional():
    x = keras.Input((2,))
    return keras.Model(x, ops.relu(layers.Dense(1, name="dense")(x)) + 1)


def of_a_functional():
    return dir(functional())


def of_training():
    """The attributes that a model has while it trains and afterwards."""
    x, y = np.zeros((2, 2), np.float32), np.zeros((2, 1), np.float32)
    model, names = functional(), set()
    evaluated = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: names.update(vars(model)))
    model.compile("sgd", "mse")
    model.fit(x, y, validation_data=(x, y), verbose=0, callbacks=[evaluated])
    model.evaluate(x, y, verbose=0)
    model.predict(x, verbose=0)
    return names | vars(model).keys()


def of_tensorflow():
    import tensorflow as tf

    return dir(tf.compat.v1)


def of_a_colocated_node():
    import tensorflow as tf

    with tf.Graph().as_default(), tf.compat.v1.colocate_with(tf.constant(0).op):
        return list(tf.constant(1).op.node_def.attr)


def of_a_graph():
    import tensorflow as tf

    return dir(tf.function(lambda: tf.constant(0)).get_concrete_function().graph)


def of_a_tracer():
    import jax

    tracers = []
    jax.make_jaxpr(lambda x: tracers.append(x) or x)(0.0)
    return dir(tracers[0])


def of_a_node():
    import torch

    return dir(torch.nn.functional.relu6(torch.ones(1, requires_grad=True)).grad_fn)


EXPECTED = {
    # name: (what has it; the first and the last version of Keras, and the one backend, that have it)
    "_flatten_layers": (of_a_layer, {}),
    "_losses": (of_a_layer, {}),
    "_loss_ids": (of_a_layer, {}),
    "_called": (of_a_layer, {}),
    "_remat_mode": (of_a_layer, {"since": (3, 9)}),
    "_inbound_nodes": (of_a_layer, {}),
    "_outbound_nodes": (of_a_layer, {}),
    "_functional": (of_a_sequential, {}),
    "_run_through_graph": (of_a_functional, {}),
    "_eval_epoch_iterator": (of_training, {}),
    "_compile_config": (of_training, {}),
    "_compiled_trainable_state": (of_training, {"since": (3, 15)}),
    "_jax_state": (of_training, {"on": "jax"}),
    "_jax_state_synced": (of_training, {"on": "jax"}),
    "_trainable_variable_shardings": (of_training, {"on": "jax", "until": (3, 11)}),
    "_non_trainable_variable_shardings": (of_training, {"on": "jax", "until": (3, 11)}),
    "_optimizer_variable_shardings": (of_training, {"on": "jax", "until": (3, 11)}),
    "_metrics_variable_shardings": (of_training, {"on": "jax", "until": (3, 11)}),
    "keras.src.models.functional": (None, {}),
    "keras.src.models.sequential": (None, {}),
    "keras.src.ops.function": (None, {}),
    "keras.src.backend": (None, {}),
    "wrap_function": (of_tensorflow, {"on": "tensorflow"}),
    "_class": (of_a_colocated_node, {"on": "tensorflow"}),
    "internal_captures": (of_a_graph, {"on": "tensorflow"}),
    "_trace": (of_a_tracer, {"on": "jax"}),
    "_saved_min_val": (of_a_node, {"on": "torch"}),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_the_name_is_there(name):
    names_of, where = EXPECTED[name]
    is_between = where.get("since", VERSION) <= VERSION <= where.get("until", VERSION)
    if where.get("on", BACKEND) != BACKEND or not is_between:
        pytest.skip(f"only {where}")
    is_there = importlib.util.find_spec(name) if names_of is None else name in names_of()
    assert is_there, f"xaicore_keras/private.py uses {name}, which is gone in Keras {keras.__version__} on {BACKEND}"


def test_the_functions_that_keras_ends_in_are_replaced():
    def twice(original, *args, **kwargs):
        seen.append(original)
        return original(*args, **kwargs) * 2

    functions, seen = {"nn.softmax": twice, "numpy.matmul": twice}, []
    x = ops.convert_to_tensor(np.eye(2, dtype=np.float32))
    with pytest.raises(ZeroDivisionError), private.replaced_functions(functions):
        answers = [ops.softmax(x), keras.activations.softmax(x), layers.Softmax()(x), ops.matmul(x, x)]
        1 / 0
    assert len(seen) == 4
    for found, plain in zip(answers, [*[ops.softmax(x)] * 3, x], strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(found), 2 * ops.convert_to_numpy(plain))
    assert len(seen) == 4
    attention = inspect.signature(private.importlib.import_module("keras.src.backend").nn.dot_product_attention)
    taken = ["query", "key", "value", "bias", "mask", "scale", "is_causal", "flash_attention", "attn_logits_soft_cap"]
    assert list(attention.parameters) == taken[: len(attention.parameters)]


def test_layers_inside_of_a_layer():
    class Block(layers.Layer):
        def __init__(self):
            super().__init__(name="block")
            self.parts = [layers.Dense(1, name="a"), keras.Sequential([layers.ReLU(name="c")], name="b")]

    block = Block()
    assert [inner.name for inner in private.child_layers(block)] == ["a", "b"]
    assert [inner.name for inner in private.all_layers(block)] == ["block", "a", "b", "c"]


def test_what_only_runs_a_graph():
    class Kept(keras.Model):
        pass

    class Changed(keras.Model):
        def call(self, x):
            return super().call(x)

    x = keras.Input((2,))
    y = layers.Dense(1)(x)
    new = keras.Sequential([layers.Dense(1)])
    built = keras.Sequential([keras.Input((2,)), layers.Dense(1)])
    found = [private.only_runs_a_graph(each) for each in (keras.Model(x, y), Kept(x, y), built, Changed(x, y), new)]
    assert found == [True, True, True, False, False]
    assert [private.functional_of(each) is None for each in (built, new, keras.Model(x, y))] == [False, True, True]
    assert private.call_of_keras(layers.Dense(1))
    assert not private.call_of_keras(Changed(x, y))


def test_the_nodes_of_a_graph_are_called():
    model, called = functional(), []

    def call(operation, *args, **kwargs):
        called.append(operation.name)
        return operation(*args, **kwargs)

    answer = private.run_graph(model, [keras.Input((2,))], call)
    assert called == [operation.name for operation in model.operations[1:]]
    assert answer.shape == (None, 1)


def test_a_copy_outside_of_every_graph():
    operation = functional().operations[-1]
    before = dict(vars(operation))
    copy = private.detached_copy(operation, "copy")
    x = keras.Input((1,))
    assert keras.Model(x, copy(x, 1)).operations[-1].name == "copy"
    assert vars(operation) == before
    assert len(operation._inbound_nodes) == 1


def test_records_of_calls_are_restored():
    dense = layers.Dense(1, activity_regularizer="l2")
    new, x = layers.Dense(1), np.ones((2, 2), np.float32)
    dense(x)
    losses, ids = list(dense.losses), set(dense._loss_ids)
    with private.unnoticed_calls([dense, new], []):
        dense(2 * x)
        new(x)
        assert new._called
    assert len(dense.losses) == len(losses) == 1
    assert dense.losses[0] is losses[0]
    assert ids <= dense._loss_ids
    assert not new._called


@pytest.mark.skipif(VERSION < (3, 9), reason="Keras has rematerialisation since 3.9")
def test_rematerialisation_is_off_for_a_while():
    with keras.RematScope(mode="full"):
        inside = layers.Dense(1)
    outside, mode = layers.Dense(1), inside._remat_mode
    with pytest.raises(ZeroDivisionError), private.unnoticed_calls([], [inside, outside]):
        assert inside._remat_mode is outside._remat_mode is None
        raise ZeroDivisionError
    assert inside._remat_mode is mode is not None


def test_every_attribute_that_keras_sets_on_a_model_is_known():
    unknown = of_training() - private.attributes_of_keras() - vars(functional()).keys()
    assert not unknown, "the list in xaicore_keras/private.py lacks what Keras sets on a model"


@pytest.mark.skipif(BACKEND != "torch", reason="nodes of PyTorch's graph")
def test_relus_are_known_by_their_nodes():
    import torch

    x = torch.ones(2, requires_grad=True)
    made = [torch.relu(x), torch.relu_(x * 2), torch.nn.functional.relu6(x), torch.nn.functional.hardtanh(x), x * 2]
    assert [private.is_relu(y.grad_fn) for y in made] == [True, True, True, False, False]
    parts = torch.nn.Linear(2, 2), torch.nn.ReLU(), torch.nn.Linear(2, 2)
    scripted = torch.jit.script(torch.nn.Sequential(*parts))
    assert [private.is_shut(scripted(x[None] * 2).grad_fn) for _ in range(4)][-1]  # after some runs
    assert not private.is_shut(made[0].grad_fn)
