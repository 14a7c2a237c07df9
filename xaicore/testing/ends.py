"""Checks of how nets end and begin: links beside parts, leaky ReLUs, layers out of reach, and what is refused."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from xaicore.backend import Backend
from xaicore.errors import LayerError, MethodError, XaicoreError
from xaicore.outputs import Output
from xaicore.testing.checks import checks, deviate, refused, same
from xaicore.testing.described import DescribedChecks
from xaicore.testing.kit import skip
from xaicore.testing.nets.forms import LeakyNet
from xaicore.testing.nets.heads import HeadsNet
from xaicore.testing.nets.net import Net
from xaicore.testing.nets.segments import SegmentsNet
from xaicore.testing.powers import PowerChecks
from xaicore.testing.subject import Subject, directions

__all__ = ["EndChecks"]

CHANNELS = {"conv": {3, 5, 7}, "residual": {3, 5}, "loop": {3, 5}, "segments": {3, 4, 5}, "words": {3, 4}}
"""{net: how many channels its maps and its pictures have}."""


class EndChecks(DescribedChecks, PowerChecks):
    """What a net answers, and what it is asked for."""

    @checks("backend-kinds", since=2)
    def test_logits_are_reached(self) -> None:
        """Behind a softmax or sigmoid there are logits; or they are declared to be lacking."""
        self.need("heads", "logits")
        for net in self._linked():
            subject = self.subject(net)
            kind = subject.capture([subject.last_map]).outputs_kind
            if kind != "logits":
                why = "lacks = {'logits': 'why the end of a net cannot be taken off'}"
                deviate(
                    f"outputs_kind of the {net.name} net, which ends in a {net.link}", f"'logits', or {why}", repr(kind)
                )

    @checks("powers-parts", since=2)
    def test_parts_of_a_net_with_a_link(self) -> None:
        """Parts are what the model answers, where the outputs that are explained are its logits."""
        self.need("heads")
        for subject in self._with_power("parts", map(self.subject, self._linked())):
            net, link = subject.net, subject.net.link
            rows, name = directions(subject.net, 2), subject.last_map
            answer, expected = subject.net.answer(subject.values), subject.values["dense"]
            captured = subject.capture([name], subject.aim(rows), parts=True)
            if captured.outputs_kind != "logits":
                continue
            what = f"beside the {link} of the {net.name} net"
            parts = {name: subject.classes_first(np.asarray(part)) for name, part in captured.parts.items()}
            self._check_answer(what, captured.outputs, parts, expected, answer)
            if self.has_gradients:
                gradients = subject.expected_gradients(rows, "logits")[name]
                self.close(f"gradients beside the parts of a {link}", subject.gradients(captured, name), gradients)
            if self.having("resume_parts", subject):
                given = subject.raw(name, subject.values[name].astype(np.float32))
                resumed, found = subject.backend.resume_parts(subject.inputs, subject.named(name), given)
                parts = {name: subject.classes_first(np.asarray(part)) for name, part in found.items()}
                self._check_answer(f"{what}, resumed", resumed, parts, expected, answer)

    def _linked(self) -> Iterator[Net]:
        """Nets that end in a softmax or a sigmoid."""
        yield from map(self.conv_net, ("softmax", "sigmoid"))
        if self.has(SegmentsNet.name):
            yield SegmentsNet("softmax")

    def _check_answer(self, what: str, came: np.ndarray, parts: Any, logits: np.ndarray, answer: np.ndarray) -> None:
        centred = [one - one.mean(axis=1, keepdims=True) for one in (came, logits)]
        pair = (came, logits) if "sigmoid" in what else centred  # a softmax hides which constant was added
        self.close(f"logits {what}", *pair)
        same(f"parts {what}", len(parts), 1)
        self.close(f"the part {what}", np.asarray(next(iter(parts.values()))), answer)

    @checks("powers-parts", since=2)
    def test_functions_that_read_no_scores(self) -> None:
        """A single number, and what has no gradient, are refused."""
        self._need_outputs()
        wrong: dict[str, Callable[[Any], Any]] = {
            "a single number": lambda answer: answer[0, 0],
            "truth values": lambda answer: answer > 0,
        }
        for what, read in wrong.items():
            subject = self.described(self.conv_net(), Output(read=read))
            refused(f"a function that reads {what}", subject.capture, XaicoreError, "expected")

    @checks("powers-guided", since=2)
    def test_leaky_relus(self) -> None:
        """They pass gradients plainly between ReLUs; or the rules are refused, with a method that works."""
        self.need(LeakyNet.name)
        subject = self.subject(LeakyNet())
        rows = directions(subject.net, 2)
        captured = subject.capture(subject.maps, subject.aim(rows))
        self.close("outputs of the leaky net", captured.outputs, subject.values["dense"])
        expected = subject.net.backward(subject.values, rows)
        for name in subject.maps if self.has_gradients else ():
            self.close(f"gradients at {name!r} of the leaky net", subject.gradients(captured, name), expected[name])
        if self.having("guided", subject):
            try:
                self._check_rule(subject, "guided", "deconv", "plain")
            except MethodError as exc:
                if "method='gradient'" not in str(exc):
                    deviate("the error for leaky ReLUs", "one that says method='gradient'", exc)

    @checks("powers-guided", since=2)
    def test_rules_of_one_target(self) -> None:
        """As of several, one rule after the other, and of one alone."""
        subject = self.subject()
        if self.having("guided", subject):
            rows = directions(subject.net, 2, targets=1)
            for rules in (("guided", "deconv"), ("deconv",)):
                captured = subject.capture((), subject.aim(rows), rules=rules)
                for rule in rules:
                    (came,) = captured.input_gradients[rule]
                    assert came is not None
                    expected = subject.expected_gradients(rows, captured.outputs_kind, rule)["input"]
                    what = f"gradients of one target by the rule {rule!r}, of {', '.join(rules)}"
                    self.close(what, subject.of_input(0, came), expected)

    @checks("backend-gradients", since=2)
    def test_layers_out_of_reach(self) -> None:
        """Of a layer that the output is not made of there are activations, and an error instead of gradients."""
        self.need("facts", "gradients", HeadsNet.name)
        subject = self.subject(HeadsNet(0))
        assert subject.facts is not None
        other = {"shape": "colour", "colour": "shape", 0: "colour", 1: "shape"}[subject.facts.output or 0]
        if other in subject.layers:
            rows = directions(HeadsNet({"shape": "colour", "colour": "shape"}[other]), 2)
            self.close(f"activations at {other!r}", subject.capture([other]).activations[other], subject.values[other])
            call = functools.partial(subject.capture, [other], subject.aim(rows))
            refused(f"gradients at {other!r}, of which the output is not made", call, LayerError, subject.layers[other])
            if self.having("second", subject):
                given = subject.inputs, subject.layers[other], lambda *_: rows
                what = f"second derivatives at {other!r}, of which the output is not made"
                refused(what, functools.partial(subject.backend.second, *given), LayerError, subject.layers[other])

    @checks("powers-resume", since=2)
    def test_resuming_from_rows_that_do_not_fit(self) -> None:
        """Activations of another shape, and three rows for two images, are refused."""
        (subject,) = self._with_power("resume", [self.subject()])
        name = subject.last_map
        values = subject.values[name].astype(np.float32)
        three = np.concatenate([values, values[:1]])
        for what, rows in {"of other channels": values[:, :-1], "of three rows": three}.items():
            given = subject.inputs, subject.named(name), subject.raw(name, rows)
            call = functools.partial(subject.backend.resume, *given)
            refused(f"resuming from activations {what}, for two images", call)

    @checks("backend-inputs", since=2)
    def test_what_is_no_picture(self) -> None:
        """Texts, and no arrays at all."""
        subject = self.subject()
        (picture,) = subject.pictures
        for what, wrong in {"a text": "cat.png", "texts": picture.astype(str), "no arrays": []}.items():
            call = functools.partial(subject.capture, [subject.last_map], inputs=wrong)
            refused(f"inputs that are {what}", call, XaicoreError)

    @checks("backend-unknown-layer", since=2)
    def test_names_of_layers(self) -> None:
        """`layer_name` gives that of the facts; the nearest one is told beside what was typed."""
        self.need("facts")
        for subject in self.subjects():
            if type(subject.backend).layer_name is Backend.layer_name:
                skip("the backend has no `layer_name` of its own")
            for name in subject.layers.values():
                same(f"layer_name({name!r})", subject.backend.layer_name(name), name)
            known = subject.layers["dense"]
            typed = known[1:]
            calls: dict[str, Callable[[], object]] = {
                "layer_name": functools.partial(subject.backend.layer_name, typed),
                "capture": functools.partial(subject.backend.capture, subject.inputs, [typed]),
            }
            for what, call in calls.items():
                refused(f"{what} of the unknown layer {typed!r}", call, LayerError, repr(typed), known)

    @checks("facts-axes", since=2)
    def test_axes_of_all_layers(self) -> None:
        """Whatever layer says where its channels are has as many there as the net; vectors are as long."""
        for subject in (self.subject(), *self.others()):
            lengths = CHANNELS.get(subject.net.name)
            if lengths is None or subject.facts is None:
                continue
            for layer in subject.facts.layers:
                if layer.channel_axis is not None and len(layer.shape) == 4:
                    what = f"axis {layer.channel_axis} of {layer.name!r}, {layer.shape}, of the {subject.net.name} net"
                    same(f"whether {what} holds channels", layer.shape[layer.channel_axis] in lengths, True)
            self._check_vectors(subject)

    def _check_vectors(self, subject: Subject) -> None:
        assert subject.facts is not None
        for name in subject.layers:
            layer, run = subject.facts.named[subject.layers[name]], subject.runs_of(name)[-1]
            if layer.kind in ("convolution", "norm") and layer.is_leaf and layer.vectors:
                channels = subject.values[run].shape[1]
                same(f"lengths of the vectors of {name!r} of the {subject.net.name} net", {*layer.vectors}, {channels})
