"""Weights that a training keeps outside of the model are explained, and the model has its own again."""

from __future__ import annotations

import re

import keras
import numpy as np
import pytest
from keras import layers

import xaicore

X = np.random.default_rng(0).random((2, 8, 8, 3), "float32")


def net() -> keras.Model:
    keras.utils.set_random_seed(0)
    stack = [keras.Input((8, 8, 3)), layers.Conv2D(4, 3, activation="relu"), layers.BatchNormalization()]
    return keras.Sequential([*stack, layers.GlobalAveragePooling2D(), layers.Dense(1, activation="sigmoid")])


def values(model: keras.Model, change: float = 0) -> tuple[list, list]:
    both = (model.trainable_variables, model.non_trainable_variables)
    return tuple([keras.ops.convert_to_numpy(v) + np.float32(change) for v in some] for some in both)


def logged(model: keras.Model, steps: list) -> list[float]:
    with xaicore.Monitor(model, X, targets=1, loggers=[]) as monitor:
        return [float(monitor.step(i, variables=variables)[0].scores[0]) for i, variables in enumerate(steps)]


def test_scores_are_those_of_the_given_variables_and_the_model_is_as_before() -> None:
    model, other = net(), net()
    trainable, rest = values(model, 0.25)
    for variable, value in zip(
        [*other.trainable_variables, *other.non_trainable_variables], trainable + rest, strict=True
    ):
        variable.assign(value)
    before = values(model)
    found = logged(model, [before, (trainable, rest), trainable])
    assert found[0] == pytest.approx(float(np.asarray(model.predict(X, verbose=0))[0, 0]), abs=1e-5)
    assert found[1] == pytest.approx(float(np.asarray(other.predict(X, verbose=0))[0, 0]), abs=1e-5)
    assert abs(found[0] - found[1]) > 1e-3
    for now, then in zip(values(model), before, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(now, then, strict=True))


def test_variables_that_do_not_fit() -> None:
    model = net()
    trainable, rest = values(model)
    with xaicore.Monitor(model, X, targets=1, loggers=[], on_error="raise") as monitor:
        with pytest.raises(xaicore.InputError, match=re.escape("variables: 3 values for the 8 variables of")):
            monitor.step(0, variables=trainable[:3])
        with pytest.raises(xaicore.InputError, match=r"value 0 has shape \(3,\), expected \(3, 3, 3, 4\)"):
            monitor.step(1, variables=([np.zeros(3), *trainable[1:]], rest))


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="only JAX' loops keep weights outside of the model")
def test_a_model_whose_weights_never_change_is_reported() -> None:
    model = net()
    with xaicore.Monitor(model, X, targets=1, loggers=[]) as monitor:
        monitor.step(0)
        with pytest.warns(RuntimeWarning, match=r"weights are those of the step before.*step\(step, variables="):
            monitor.step(1)
        model.trainable_variables[0].assign(model.trainable_variables[0] + 1)
        monitor.step(2)
