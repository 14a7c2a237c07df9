"""Checks that every method of the core runs on a backend, with the maps that the closed form gives."""

from __future__ import annotations

import unittest
from typing import Any

import numpy as np

from xaicore.backend import Backend
from xaicore.evidence import missing_power
from xaicore.explainer import Explainer
from xaicore.explanation import Explanation
from xaicore.methods import METHODS, Method, method
from xaicore.testing.case import BackendCase
from xaicore.testing.checks import checks, close, deviate
from xaicore.testing.reference import ReferenceBackend
from xaicore.testing.subject import Subject

__all__ = ["RunningChecks"]

QUICK: dict[str, dict[str, Any]] = {
    "rise": {"masks": 12},
    "smoothgrad": {"n": 3},
    "smoothgradcam++": {"n": 3},
    "integrated-gradients": {"steps": 4},
    "sscam": {"samples": 2},
    "iscam": {"samples": 2},
}
"""Options that make a method of many passes one of few."""


class RunningChecks(BackendCase):
    """A method is served by a backend's powers alone."""

    @checks("methods-run")
    def test_methods_on_a_convolutional_net(self) -> None:
        """All but those that read attention."""
        subject = self.subject()
        for one in METHODS.values():
            if not one.has_attention and missing_power(one.asks, subject.backend) is None:
                self._compare(subject, one)

    @checks("methods-run")
    def test_methods_on_tokens(self) -> None:
        """Those that read attention, and Grad-CAM."""
        nets = [net for net in self.nets() if net.name == "tokens"]
        if not nets:
            raise unittest.SkipTest("no tokens net")
        subject = self.subject(nets[0])
        for one in METHODS.values():
            if (one.has_attention or one.name == "gradcam") and missing_power(one.asks, subject.backend) is None:
                self._compare(subject, one)

    def _compare(self, subject: Subject, one: Method) -> None:
        backend = subject.backend
        if one.needs == "weights" and type(backend).classifier_weights is Backend.classifier_weights:
            return  # which powers-cam checks
        what = f"maps of {one.name} on the {subject.net.name} net"
        came = self._maps(subject, one, subject.model, backend, subject.inputs, subject.named)
        inputs = subject.pictures if len(subject.pictures) > 1 else subject.pictures[0]
        expected = self._maps(subject, one, subject.net, ReferenceBackend(subject.net), inputs, str)
        if not np.isfinite(came.maps).all():
            deviate(what, "finite values", "NaN or infinity")
        if one.name == "fullgrad" and set(subject.layers) != set(subject.net.layers):
            return  # which layers have biases depends on what a framework calls a layer
        close(what, came.maps, expected.maps, 1e-3, 1e-3 * float(np.abs(expected.maps).max()) + 1e-7)
        self.close(f"scores of {one.name}", came.scores, expected.scores)

    def _maps(self, subject: Subject, one: Method, model: Any, backend: Any, inputs: Any, named: Any) -> Explanation:
        maps = [name for name in subject.maps if name != "mixed"]
        chosen: Any = [named(name) for name in (maps if one.fusion else maps[-1:])]
        chosen_method = method(one, **QUICK.get(one.name, {}))
        layer = None if one.has_attention else chosen
        explainer = Explainer(model, chosen_method, layer, backend, batch_size=4, progress=False)
        return explainer(inputs, np.array([[0, 3], [1, 2]]))
