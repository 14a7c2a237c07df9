"""A backend that only runs forward: what the kit asks of it, and what users are told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from framework import Model, Plugin, Sound, Suite, failures

import xaicore
from xaicore import Backend, BackendError, MethodError, testing
from xaicore.cli.methods_typed import without_gradients

LACKS = {"gradients": "it only runs forward"}


class Forward(Sound):
    """The sound backend, for an engine that cannot go back."""

    has_gradients = False
    powers = frozenset({"resume"})

    def capture(self, inputs: Any, layers: Any, direction: Any = None, **asked: Any) -> Any:
        if direction is not None:
            raise BackendError("backend 'forward' does not offer gradients: use a method without, such as 'eigencam'")
        return super().capture(inputs, layers, None, **asked)

    def classifier_weights(self, inputs: Any, layer: str) -> np.ndarray:
        if self.layer_name(layer) != "relu2":
            raise MethodError(f"cam explains 'relu2', not {layer!r}; or use 'eigencam'")
        return super().classifier_weights(inputs, layer)

    second, biases, attention = Backend.second, Backend.biases, Backend.attention


class TestForward(Suite):
    """It keeps the contract."""

    plugin = Plugin(Forward)
    lacks = LACKS


class IgnoresTheDirection(Forward):
    def capture(self, inputs: Any, layers: Any, direction: Any = None, **asked: Any) -> Any:
        return super().capture(inputs, layers, None, **asked)


def suite_of(backend: Any, lacks: dict[str, str]) -> Suite:
    suite = Suite()
    suite.plugin, suite.lacks = Plugin(backend), lacks
    return suite


class OffersGradCam(Forward):
    def classifier_weights(self, inputs: Any, layer: str) -> np.ndarray:
        return testing.ReferenceBackend.classifier_weights(self, inputs, layer)


@pytest.mark.parametrize(
    ("backend", "lacks", "clause"),
    [
        (OffersGradCam, LACKS, "powers-cam"),
        (IgnoresTheDirection, LACKS, "powers-refused"),
        (Forward, {}, "kit-declared"),
        (Sound, LACKS, "kit-declared"),
    ],
)
def test_faults_are_named(backend: Any, lacks: dict[str, str], clause: str) -> None:
    assert {error.clause.id for error in failures(suite_of(backend, lacks), clause)} == {clause}


def explainer(method: str) -> xaicore.Explainer:
    return xaicore.Explainer(None, method, "relu2", Forward(Model(testing.ConvNet())))


@pytest.mark.parametrize("method", ["gradcam", "smoothgradcam++", "finercam", "segeigencam"])
def test_methods_of_gradients_are_refused_before_anything_runs(method: str) -> None:
    with pytest.raises(MethodError) as caught:
        explainer(method)(*testing.ConvNet().pictures())
    assert str(caught.value) == (
        f"method {method!r} needs 'gradients', which backend 'sound' does not offer; methods that it serves: cam, "
        "eigencam, random, fem, kpcacam, scorecam, sscam, iscam, ablationcam, reciprocam, rise"
    )


def test_what_is_missing_is_told_with_methods_that_work() -> None:
    with pytest.raises(BackendError, match="does not offer biases: use a method without gradients, such as 'eigencam'"):
        Forward(Model(testing.ConvNet())).biases(None)


def test_the_command_line_takes_a_method_that_tells_classes_apart() -> None:
    class Bare(Forward):
        powers = frozenset()

    made = Model(testing.ConvNet())
    assert [without_gradients(one(made)).name for one in (Forward, Bare)] == ["reciprocam", "scorecam"]


def test_methods_without_gradients_give_the_maps_of_the_sound_backend() -> None:
    (picture,) = testing.ConvNet().pictures()
    for method in ("cam", "eigencam", "fem", "reciprocam"):
        came = explainer(method)(picture, 1).maps
        sound = xaicore.Explainer(None, method, "relu2", Sound(Model(testing.ConvNet())))(picture, 1)
        np.testing.assert_array_equal(came, sound.maps)
        assert came.max() > 0
