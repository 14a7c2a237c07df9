"""CAM's classifier is found by what it computes, whatever the framework; pooling by the names of classes."""

from __future__ import annotations

import numpy as np
import pytest

from xaicore import MethodError, layers
from xaicore.layers import Dense

RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(4, 3, 5, 2)).astype(np.float32)
MEAN = FEATURES.mean(axis=(2, 3))
WEIGHT, BIAS = RNG.normal(size=(2, 3)).astype(np.float32), np.array([0.5, -1], np.float32)
OTHERS = {
    "of other channels": Dense(RNG.normal(size=(2, 4))),
    "of other classes": Dense(RNG.normal(size=(3, 3))),
    "with another bias": Dense(WEIGHT, -BIAS),
    "without a bias": Dense(WEIGHT),
    "rows swapped": Dense(WEIGHT[::-1], BIAS[::-1]),
}


def find(outputs: np.ndarray, candidates: dict[str, Dense], features: np.ndarray = FEATURES, hint: str = "") -> str:
    return layers.find_classifier(features, outputs, candidates, model="Net", layer="map", hint=hint)


def test_the_classifier_is_the_one_that_gives_the_outputs() -> None:
    logits = MEAN @ WEIGHT.T + BIAS
    candidates = OTHERS | {"head": Dense(WEIGHT, BIAS)}
    assert find(logits, candidates) == "head"
    assert find(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), candidates) == "head"
    assert find(MEAN @ WEIGHT.T, candidates) == "without a bias"


def test_a_single_output_without_its_axis() -> None:
    logits = (MEAN @ WEIGHT[:1].T)[:, 0]
    assert find(1 / (1 + np.exp(-logits)), {"head": Dense(WEIGHT[:1])}) == "head"


def test_no_classifier() -> None:
    with pytest.raises(MethodError, match=r"in Net no dense layer turns the spatial mean of 'map' .* exists, or wait"):
        find(MEAN @ WEIGHT.T + BIAS, OTHERS, hint=", or wait")


def test_features_without_evidence() -> None:
    with pytest.raises(MethodError, match="'map' is zero for every image"):
        find(np.tile(BIAS, (4, 1)), {"head": Dense(WEIGHT, BIAS)}, np.zeros_like(FEATURES))


@pytest.mark.parametrize(
    "name", ["MaxPool2d", "AdaptiveAvgPool1d", "GlobalAveragePooling2D", "AveragePooling3D", "GeM"]
)
def test_classes_that_pool(name: str) -> None:
    cls = type(name, (), {})
    assert layers.is_pooling(cls)
    assert layers.is_pooling(type("Mine", (cls,), {}))


@pytest.mark.parametrize("name", ["Conv2d", "PoolFormer", "Pooler", "Upsample", "Spooled"])
def test_classes_that_do_not_pool(name: str) -> None:
    assert not layers.is_pooling(type(name, (), {}))
