"""Checks of powers: each that is declared works, each that is not is refused."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from xaicore.backend import POWERS, Backend
from xaicore.errors import BackendError, MethodError
from xaicore.explainer import Explainer
from xaicore.testing.case import BackendCase
from xaicore.testing.checks import checks, deviate, refused, same
from xaicore.testing.kit import skip, some
from xaicore.testing.second import hessian_times_values
from xaicore.testing.subject import Asked, Subject, directions

__all__ = ["PowerChecks"]

METHODS_OF = {
    "attention": "rollout",
    "input_gradients": "gradient",
    "guided": "guided",
    "resume": "reciprocam",
    "second": "shapleycam",
    "biases": "fullgrad",
}
"""{power: a method that needs it}."""

KEYWORDS = {
    "attention": "attention",
    "input_gradients": "rules",
    "guided": "rules",
    "parts": "parts",
    "reduce": "reduce",
}
"""{power: the keyword of `capture` that it brings}."""


class PowerChecks(BackendCase):
    """What a backend offers beyond activations and gradients."""

    def having(self, power: str, subject: Subject) -> bool:
        """Whether the backend declares a power."""
        return power in subject.backend.powers

    def _with_power(self, power: str, subjects: Iterable[Subject]) -> Iterator[Subject]:
        """Those whose backend declares a power; where there is none, a check is skipped."""
        return some(
            (one for one in subjects if self.having(power, one)), f"no backend of these nets has the power {power!r}"
        )

    @checks("powers-declared")
    def test_declared_powers_are_known_and_there(self) -> None:
        """Methods are overridden, keywords are taken."""
        backend = self.subject().backend
        for power in backend.powers:
            if power not in POWERS:
                deviate("a name in `powers`", f"one of {', '.join(POWERS)}", repr(power))
            own = getattr(type(backend), power, None)
            if hasattr(Backend, power) and own is getattr(Backend, power):
                deviate(f"the declared power {power!r}", f"a method {power} of the backend's own", "none")
            keyword, taken = KEYWORDS.get(power), inspect.signature(backend.capture).parameters
            takes_any = any(one.kind is one.VAR_KEYWORD for one in taken.values())
            if keyword and keyword not in taken and not takes_any:
                deviate(f"the declared power {power!r}", f"a keyword {keyword} of `capture`", "none")

    @checks("powers-refused")
    def test_powers_that_are_not_declared_are_refused(self) -> None:
        """By the core, before anything runs, and by the backend's method."""
        subject = self.subject()
        unoffered = [power for power in METHODS_OF if not self.having(power, subject)]
        for power in some(unoffered, "the backend has all powers that a method needs"):
            name = METHODS_OF[power]
            self._check_refused(subject, name, power)
            if hasattr(Backend, power):
                refused(
                    f"{power} of a backend that does not declare it",
                    lambda power=power: self._ask(subject, power),  # type: ignore[misc]
                    BackendError,
                    "does not offer",
                )

    def _check_refused(self, subject: Subject, name: str, need: str) -> None:
        explainer = Explainer(subject.model, name, subject.named(subject.last_map), subject.backend)
        serves = "gradcam" if self.has_gradients else "eigencam"
        refused(f"method {name!r} without {need!r}", lambda: explainer(subject.inputs), MethodError, name, serves)

    @checks("powers-refused")
    def test_gradients_that_there_are_none_of_are_refused(self) -> None:
        """By the core, and by `capture`: a direction is never ignored."""
        if self.has_gradients:
            skip("the backend has gradients")
        subject = self.subject()
        self._check_refused(subject, "gradcam", "gradients")
        rows = directions(subject.net, 2)
        refused(
            "a direction for a backend without gradients",
            lambda: subject.backend.capture(subject.inputs, [subject.named(subject.last_map)], lambda *_: rows),
            BackendError,
            "gradients",
        )

    def _ask(self, subject: Subject, power: str) -> object:
        layer, rows = subject.named(subject.last_map), directions(subject.net, 2)
        more: dict[str, tuple[Any, ...]] = {
            "resume": (layer, subject.raw(subject.last_map, subject.values[subject.last_map].astype(np.float32))),
            "second": (layer, lambda *_: rows),
        }
        return getattr(subject.backend, power)(subject.inputs, *more.get(power, ()))

    @checks("powers-input-gradients")
    def test_input_gradients(self) -> None:
        """Of every input, beside those of a layer."""
        for subject in self._with_power("input_gradients", self.subjects()):
            self._check_rule(subject, "plain")

    @checks("powers-guided")
    def test_guided_gradients(self) -> None:
        """Both rules in one pass, which leaves outputs, activations and the gradients of layers alone."""
        for subject in self._with_power("guided", [self.subject()]):
            self._check_rule(subject, "guided", "deconv", "plain")

    def _check_rule(self, subject: Subject, *rules: str) -> None:
        rows, name = directions(subject.net, 2), subject.last_map
        captured = subject.capture([name], lambda *_: rows, rules=rules)
        same("rules in `input_gradients`", sorted(captured.input_gradients), sorted(rules))
        for rule in rules:
            came = captured.input_gradients[rule]
            same(f"inputs that have gradients by the rule {rule!r}", len(came), len(subject.pictures))
            expected = subject.expected_gradients(rows, captured.outputs_kind, rule)
            for i, (key, array) in enumerate(zip(("input", "input#2"), came, strict=False)):
                what = f"gradients of input {i} by the rule {rule!r} in the {subject.net.name} net"
                if subject.pictures[i].dtype.kind == "i":
                    same(what, array, None)
                    continue
                if array is None:
                    deviate(what, "an array, since the input holds floating-point numbers", "None")
                self.close(what, subject.of_input(i, array), expected[key])
        plain = subject.expected_gradients(rows, captured.outputs_kind)[name]
        self.close(f"gradients at {name!r} beside those of inputs", subject.gradients(captured, name), plain)
        self.close("outputs beside gradients of inputs", captured.outputs, subject.values["dense"])

    @checks("powers-resume")
    def test_resuming(self) -> None:
        """Three changed versions of each image's activations, in the order of the images."""
        for subject in self._with_power("resume", self.subjects()):
            if subject.net.name == "pair":
                self._resume_one_of_two(subject)
            else:
                for name in subject.maps:
                    self._check_resumed(subject, name)

    def _check_resumed(self, subject: Subject, name: str) -> None:
        net: Any = subject.net
        values = subject.values[name].astype(np.float32)
        factors = np.array([1, 0.5, -0.7], np.float32).reshape(1, 3, *[1] * (values.ndim - 1))
        changed = (values[:, None] * factors).reshape(-1, *values.shape[1:])
        given = subject.inputs, subject.named(name), subject.raw(name, changed)
        expected = net.after(name, changed.astype(np.float64), subject.values)["dense"]
        self.close(f"outputs from {name!r} of the {net.name} net on", subject.backend.resume(*given), expected)
        if self.having("resume_parts", subject):
            resumed, parts = subject.backend.resume_parts(*given)
            self.close(f"outputs beside the parts from {name!r} on", resumed, expected)
            same(f"parts from {name!r} of a net with one output on", len(parts), 1)
            part = np.asarray(next(iter(parts.values())))
            self.close(f"the only part from {name!r} on", subject.classes_first(part), expected)

    def _resume_one_of_two(self, subject: Subject) -> None:
        """The rest of the model reads the other picture, too: that of image i // R."""
        if "relu#1" not in subject.layers:  # a layer that runs twice has no single place to start from
            return
        net: Any = subject.net
        values = subject.values["relu#1"].astype(np.float32)
        factors = np.array([1, 0.5, -0.7], np.float32).reshape(3, 1, 1, 1)
        changed = (values[:, None] * factors).reshape(-1, *values.shape[1:])
        means = changed.mean(axis=(2, 3)), subject.values["relu#2"].mean(axis=(2, 3)).repeat(3, axis=0)
        expected = np.concatenate(means, axis=1) @ net.dense.T + net.bias
        resumed = subject.backend.resume(subject.inputs, subject.named("relu#1"), subject.raw("relu#1", changed))
        self.close("outputs from 'relu#1' of the pair net on", resumed, expected)

    @checks("powers-second")
    def test_second_derivatives(self) -> None:
        """Against differences of the closed form's gradients."""
        for subject in self._with_power("second", self.subjects()):
            if subject.net.name != "pair":
                for name in subject.maps:
                    self._check_second(subject, name)

    def _check_second(self, subject: Subject, name: str) -> None:
        rows = directions(subject.net, 2)
        came = subject.backend.second(subject.inputs, subject.named(name), lambda *_: rows)
        expected = hessian_times_values(subject, name, rows)
        what = f"second derivatives at {name!r} of the {subject.net.name} net"
        self.close(what, subject.arranged(name, came, True), expected)

    @checks("powers-biases")
    def test_biases(self) -> None:
        """A convolution and a dense layer answer to zeros with their bias; a ReLU's tangent goes through zero."""
        (subject,) = self._with_power("biases", [self.subject()])
        if not {"conv1", "relu1"} <= subject.layers.keys():
            skip("the model has no layers of their own for 'conv1' and 'relu1'")
        came = dict(subject.backend.biases(subject.first_image))
        net: Any = subject.net
        expected = {"conv1": net.bias1, "conv2": net.bias2, "dense": net.bias}
        expected = {name: bias for name, bias in expected.items() if bias.any()}
        same("layers with biases", sorted(came), sorted(subject.layers[name] for name in expected))
        for name, bias in expected.items():
            shape = (1, *subject.values[name].shape[1:])
            each = np.broadcast_to(bias.reshape(1, -1, *[1] * (len(shape) - 2)), shape)
            self.close(f"biases of {name!r}", subject.arranged(name, came[subject.layers[name]], False), each)

    @checks("powers-parts")
    def test_parts(self) -> None:
        """Of a net with one output: that one, also as the third argument of `direction`."""
        (subject,) = self._with_power("parts", [self.subject()])
        asked = Asked(directions(subject.net, 2))
        captured = subject.capture((), asked if self.has_gradients else None, parts=True)
        given = [captured.parts]
        if self.has_gradients:
            same("arguments of `direction` where parts are asked for", len(asked.calls[0]), 3)
            given.append(asked.calls[0][2])
        for parts in given:
            same("outputs of a net that has one", len(parts), 1)
            (part,) = parts.values()
            self.close("the only part", np.asarray(part), subject.values["dense"])
        same("parts that nobody asked for", dict(subject.capture().parts), {})

    @checks("powers-cam")
    def test_the_classifiers_weights(self) -> None:
        """For the map that is pooled; for another one an error that names a method."""
        subject = self.subject()
        backend, inputs, net = subject.backend, subject.inputs, self.conv_net()
        layer = subject.named(subject.last_map)
        serves = "gradcam" if self.has_gradients else "eigencam"
        if type(backend).classifier_weights is Backend.classifier_weights:
            refused(
                "classifier_weights of a backend without it",
                lambda: backend.classifier_weights(inputs, layer),
                BackendError,
                serves,
            )
            return
        self.close("classifier_weights", backend.classifier_weights(inputs, layer), net.dense)
        first = subject.named(subject.maps[0])
        refused(
            f"classifier_weights of {first!r}, which no classifier reads",
            lambda: backend.classifier_weights(inputs, first),
            MethodError,
            serves,
        )
