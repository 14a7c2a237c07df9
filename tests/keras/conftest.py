"""One Keras backend per process: `KERAS_BACKEND=jax python -m pytest tests/keras`.

TensorFlow enables oneDNN on some processors only. The tests enable it on all; TF_ENABLE_ONEDNN_OPTS=0 runs those
that do not depend on it.
"""

import collections
import contextlib
import copy
import os
import random
import sys
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

# Every net here is compiled to run once or twice: optimising the code would take most of the time.
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_backend_optimization_level=0"

import keras
import numpy as np
import pytest
from keras.src.backend.common import global_state

BACKEND = keras.backend.backend()

if BACKEND == "tensorflow":
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(2)
    tf.config.threading.set_inter_op_parallelism_threads(2)
elif BACKEND == "torch":
    import torch

    torch.set_num_threads(2)


def pytest_report_header():
    return f"keras {keras.__version__} on {BACKEND}"


@pytest.fixture(autouse=True)
def fresh_names_and_seeds():
    """Layers are called conv2d, conv2d_1, ... in every test, whichever ran before."""
    global_state.set_global_attribute("object_name_uids", collections.defaultdict(int))
    keras.utils.set_random_seed(0)


def fingerprint(model):
    """Everything of a model and of the process that an explanation must leave alone."""
    layers = model._flatten_layers()
    operations = [part for layer in layers for part in getattr(layer, "operations", ()) if part not in layers]
    return {
        "variables": [variable_state(variable) for variable in variables(model)],
        "trainable": [(layer.trainable, layer.built, layer._called) for layer in layers],
        "attributes": [
            {name: contents(value) for name, value in vars(part).items()} for part in (*layers, *operations)
        ],
        "keras": keras_state(),
        "random": random_state(),
        "modes": modes(),
    }


def variables(model):
    found = [*model.variables, *model.metrics_variables]
    if getattr(model, "optimizer", None) is not None:
        found += model.optimizer.variables
    return found


def variable_state(variable):
    value = variable.value
    state = [variable, variable.trainable, str(variable.dtype), tuple(variable.shape), bits(value)]
    if BACKEND == "torch":
        grad = value.grad
        state += [value, value.requires_grad, value._version, grad, None if grad is None else bits(grad)]
    elif BACKEND == "tensorflow":
        state += [value, value.trainable]
    return state


def bits(value):
    if BACKEND == "torch":
        return value.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    return np.asarray(value).tobytes()


def contents(value):
    """The value and, of a container, what is in it: all compared by identity."""
    if isinstance(value, dict):
        return [value, *value.keys(), *value.values()]
    if isinstance(value, (list, tuple)):
        return [value, *value]
    return [value, *(sorted(value) if isinstance(value, set) and all(isinstance(v, int) for v in value) else ())]


def keras_state():
    state = dict(vars(global_state.GLOBAL_STATE_TRACKER))
    seeds = state.pop("global_seed_generator", None)
    return {
        "seed": None if seeds is None else bits(seeds.state.value),
        "seeds": [seeds],
        "names": dict(state.pop("object_name_uids", {})),
        "scopes": {key: contents(value) for key, value in state.items() if value is not None},
        "config": (
            keras.config.floatx(),
            keras.config.image_data_format(),
            keras.config.dtype_policy().name,
            keras.config.is_traceback_filtering_enabled(),
        ),
    }


def random_state():
    state = [random.getstate(), copy.deepcopy(np.random.get_state())]
    if BACKEND == "torch":
        state.append(bits(torch.get_rng_state()))
    elif BACKEND == "tensorflow":
        from tensorflow.python.eager import context

        rng = getattr(context.context(), "_rng", None)
        state += [context.context()._seed, None if rng is None else rng.getstate()]
    return state


def modes():
    state = [list(warnings.filters), np.geterr(), sys.getrecursionlimit()]
    if BACKEND == "torch":
        state += [torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.is_autocast_enabled("cpu")]
        state += [torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(), torch.get_default_dtype()]
    elif BACKEND == "tensorflow":
        state += [tf.config.functions_run_eagerly(), tf.executing_eagerly(), tf.inside_function()]
    elif BACKEND == "jax":
        import jax

        state += [{name: repr(value) for name, value in jax.config.values.items()}]
    return state


def same(a, b):
    """Equal plain values, the same objects."""
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and np.array_equal(a, b)
    if type(a) is not type(b):
        return False
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if type(a) in (tuple, list):
        return len(a) == len(b) and all(map(same, a, b))
    return a is b or (isinstance(a, (str, bytes, int, float, bool, type(None))) and a == b)


def differences(a, b, where):
    """What differs, as paths into the fingerprint."""
    if same(a, b):
        return []
    if isinstance(a, dict) and isinstance(b, dict):
        keys = dict.fromkeys([*a, *b])
        return [found for key in keys for found in differences(a.get(key), b.get(key), f"{where}.{key}")]
    if type(a) is list and type(b) is list and len(a) == len(b):
        return [found for i, pair in enumerate(zip(a, b, strict=True)) for found in differences(*pair, f"{where}[{i}]")]
    return [f"{where}: {a!r:.200} is now {b!r:.200}"]


@pytest.fixture
def unchanged():
    """`with unchanged(model): ...` fails when anything of the model or of the process is different afterwards."""

    @contextlib.contextmanager
    def check(model):
        before = fingerprint(model)
        try:
            yield
        finally:
            different = differences(before, fingerprint(model), "")
            assert not different, "changed:\n" + "\n".join(different)

    return check
