"""Everything of a Keras model and of the process that an explanation must leave alone."""

import copy
import random
import sys
import warnings

import keras
import numpy as np
from keras.src.backend.common import global_state

from xaicore.testing.state import bits

BACKEND = keras.backend.backend()

if BACKEND == "tensorflow":
    import tensorflow as tf
    from tensorflow.python.eager import context
elif BACKEND == "torch":
    import torch
elif BACKEND == "jax":
    import jax


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
        state += [{name: repr(value) for name, value in jax.config.values.items()}]
    return state
