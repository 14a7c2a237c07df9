"""Checks of layers that have several names, such as a module that is stored in two places of a model."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from xaicore.backend import Backend
from xaicore.capture import Capture
from xaicore.errors import LayerError
from xaicore.explainer import Explainer
from xaicore.testing.case import BackendCase
from xaicore.testing.checks import checks, deviate, refused, same
from xaicore.testing.subject import Subject, directions

__all__ = ["NamingChecks"]


class NamingChecks(BackendCase):
    """Every name of a layer means that layer."""

    @checks("backend-names")
    def test_second_names(self) -> None:
        """A pass, one run, a map, and a pass that starts at the layer: the same by both names."""
        self.need("alias")
        built = self.subject()
        first = built.named(built.last_map)
        second = self.alias(built.model, first)
        same("whether the second name is another one", second != first, True)
        backend = self.backend(built.model)
        subject = Subject(built.net, built.model, backend, built.layers, built.to_inputs)
        facts = backend.observe(subject.inputs)
        if facts is not None:
            same("the names under which the facts list the layer", {first, second} & {*facts.named}, {first})
            same(f"layer_name({second!r})", backend.layer_name(second), first)
        names = [second] if facts is None else [second, f"{second}#1"]
        rows = directions(subject.net, 2) if self.has_gradients else None
        captured = backend.capture(subject.inputs, [first, *names], None if rows is None else lambda *_: rows)
        for name in names:
            self._check_captured(captured, name, first)
        if facts is not None:
            call = functools.partial(backend.capture, subject.inputs, [f"{second}#9"])
            refused(f"capture of run 9 of {second!r}, which runs once", call, LayerError, "9")
        self._check_uses(subject, first, second)

    def _check_captured(self, captured: Capture, name: str, first: str) -> None:
        for what in ("activations", "gradients") if self.has_gradients else ("activations",):
            arrays = getattr(captured, what)
            if name not in arrays:
                deviate(f"`Capture.{what}`", f"an entry for {name!r}, as it was asked for", ", ".join(arrays))
            self.close(f"{what} at {name!r}, which is {first!r}", arrays[name], arrays[first])

    def _check_uses(self, subject: Subject, first: str, second: str) -> None:
        backend = subject.backend
        method = "gradcam" if self.has_gradients else "eigencam"
        uses: dict[str, Callable[[str], np.ndarray]] = {
            f"{method} at": lambda name: Explainer(subject.model, method, name, backend)(subject.inputs).maps
        }
        if "resume" in backend.powers:
            values = subject.raw(subject.last_map, subject.values[subject.last_map].astype(np.float32) / 2)
            uses["outputs from"] = lambda name: backend.resume(subject.inputs, name, values)
        if "second" in backend.powers:
            rows = directions(subject.net, 2)
            uses["second derivatives at"] = lambda name: backend.second(subject.inputs, name, lambda *_: rows)
        if type(backend).classifier_weights is not Backend.classifier_weights:
            uses["classifier_weights of"] = lambda name: backend.classifier_weights(subject.inputs, name)
        for what, use in uses.items():
            self.close(f"{what} {second!r}, which is {first!r}", use(second), use(first))
