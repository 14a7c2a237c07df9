"""Checks of models and inputs in other forms: outputs to choose from, modes, frozen weights, types, strides."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from xaicore.backend import PRECISIONS, Backend
from xaicore.errors import BackendError, XaicoreError
from xaicore.testing.author import METHODS
from xaicore.testing.case import OTHERS, BackendCase
from xaicore.testing.checks import Deviation, checks, close, deviate, refused, same
from xaicore.testing.kit import skip
from xaicore.testing.lacking import FEATURES
from xaicore.testing.nets.coupled import CoupledNet
from xaicore.testing.nets.halves import HalvesNet
from xaicore.testing.nets.heads import HeadsNet
from xaicore.testing.nets.net import Net
from xaicore.testing.readers import check_reader
from xaicore.testing.subject import Subject, directions

__all__ = ["VariantChecks"]

FACTS = ("takes", "reads", "reached", "reader")
"""Facts that a backend may leave out, if its tests say so."""

HEADS = ("shape", "colour")

FORMS = ("axial", "open", "masked", "sequence", "shares", "half", "turned", "leaky")

NEW = (*(net.name for net in OTHERS), HeadsNet.name, CoupledNet.name, HalvesNet.name, *METHODS, *FORMS)


class VariantChecks(BackendCase):
    """The form in which a model or its inputs come changes no number."""

    @checks("kit-declared", since=2)
    def test_newer_nets_are_built_or_declared(self) -> None:
        """What came with the second version of the kit; nets that need facts are left out without them."""
        asked = [name for name in NEW if self.has_facts or FEATURES[name].needs != "facts"]
        missing = [self.needed(name) for name in asked if name not in self.lacks and not self.has(name)]
        if missing:
            what, expected, came = zip(*missing, strict=True)
            raise Deviation(", ".join(what), "\n    ".join(expected), came[0])
        for name in NEW:
            if name in self.lacks and self.supplies(name):
                said = f"no {name!r} in `lacks`, since a method {FEATURES[name].by} supplies it"
                deviate(self.needed(name)[0], said, self.lacks[name])

    @checks("kit-declared", since=2)
    def test_facts_are_reported_or_declared(self) -> None:
        """A fact that a backend cannot see is declared to be lacking."""
        self.need("facts")
        subject = self.subject()
        assert subject.facts is not None
        layer = subject.facts.named[subject.layers["relu1"] if "relu1" in subject.layers else subject.named("conv1")]
        reader = subject.facts.inputs[0].reader_shape if subject.facts.inputs else None
        seen = {"takes": layer.takes, "reads": layer.reads, "reached": layer.reached, "reader": reader}
        for name in FACTS:
            if not seen[name] and name not in self.lacks:
                deviate(f"the fact {name!r}", f"what was seen, or lacks = {{{name!r}: 'why'}}", repr(seen[name]))

    @checks("backend-choice")
    def test_one_of_two_outputs(self) -> None:
        """By the names that the facts list, and by position; the other one is among the parts."""
        self.need("facts", HeadsNet.name)
        first = self.subject(HeadsNet(0))
        assert first.facts is not None
        names = [*first.facts.outputs]
        same("outputs of a net that has two", len(names), 2)
        of_layers = dict(zip(names, HEADS, strict=True)) | {name: name for name in names if name in HEADS}
        for position, name in enumerate(names):
            net = HeadsNet(of_layers[name])
            for chosen in (name,) if position == 0 else (1, -1):
                backend = self.backend(first.model, chosen)
                subject = Subject(net, first.model, backend, first.layers, self.all_inputs)
                assert subject.facts is not None
                same(f"the output of the facts with output={chosen!r}", subject.facts.output, name)
                self._check_output(subject, f"output={chosen!r}", of_layers)

    def _check_output(self, subject: Subject, what: str, of_layers: Mapping[int | str, str]) -> None:
        rows = directions(subject.net, 2)
        captured = subject.capture([subject.last_map], subject.aim(rows))
        self.close(f"outputs with {what}", captured.outputs, subject.values["dense"])
        if self.has_gradients:
            expected = subject.expected_gradients(rows, captured.outputs_kind)[subject.last_map]
            self.close(f"gradients with {what}", subject.gradients(captured, subject.last_map), expected)
        if "parts" in subject.backend.powers:
            self._check_parts(subject, what, subject.capture((), parts=True).parts, of_layers)
        if "resume_parts" in subject.backend.powers:
            given = subject.raw(subject.last_map, subject.values[subject.last_map].astype(np.float32))
            resumed, parts = subject.backend.resume_parts(subject.inputs, subject.named(subject.last_map), given)
            self.close(f"resumed outputs with {what}", resumed, subject.values["dense"])
            self._check_parts(subject, f"{what}, resumed", parts, of_layers)

    def _check_parts(self, subject: Subject, what: str, parts: Any, of_layers: Mapping[int | str, str]) -> None:
        same(f"parts with {what}", sorted(map(str, parts)), sorted(map(str, of_layers)))
        for name, part in parts.items():
            self.close(f"the part {name!r} with {what}", np.asarray(part), subject.values[of_layers[name]])

    @checks("backend-choice")
    def test_an_output_that_is_none(self) -> None:
        """It is refused with what was typed and with the outputs there are; so are two without a choice."""
        self.need(HeadsNet.name)
        subject = self.subject(HeadsNet(0))
        for typed in ("texture", 2):
            call = lambda typed=typed: self.backend(subject.model, typed).capture(subject.inputs, ())  # noqa: E731
            refused(f"output={typed!r} of a net of two outputs", call, XaicoreError, repr(typed))
        both = lambda: self.backend(subject.model).capture(subject.inputs, ())  # noqa: E731
        refused("two outputs, of which none is chosen", both, XaicoreError, "output=")

    @checks("backend-modes")
    def test_modes_of_the_caller(self) -> None:
        """Gradients that are switched off, for one; the mode itself is part of `state`."""
        self.need("modes")
        for name, mode in self.modes().items():
            subject = self.subject()
            with mode(), self.unchanged(subject, f"a pass in the mode {name!r}"):
                self._check_numbers(subject, f"in the mode {name!r}")
                made = self.backend(subject.model)
                what = f"channels_last of a backend that is made in the mode {name!r}"
                same(what, bool(made.channels_last), bool(subject.backend.channels_last))

    @checks("backend-modes")
    def test_frozen_weights(self) -> None:
        """They stay frozen, and gradients of activations are the same."""
        self.need("frozen")
        nets: list[Net] = [self.conv_net(), *(net for net in self.other_nets() if net.name == "segments")]
        for net in nets:
            subject = self.subject(net)
            self.freeze(subject.model)
            with self.unchanged(subject, f"a pass of the frozen {net.name} net"):
                self._check_numbers(subject, f"of the frozen {net.name} net")

    def _check_numbers(self, subject: Subject, what: str) -> None:
        rows, names = directions(subject.net, 2), subject.maps
        captured = subject.capture(names, subject.aim(rows))
        self.close(f"outputs {what}", captured.outputs, subject.values["dense"])
        expected = subject.expected_gradients(rows, captured.outputs_kind)
        for name in names:
            self.close(f"activations at {name!r} {what}", subject.activations(captured, name), subject.values[name])
            if self.has_gradients:
                self.close(f"gradients at {name!r} {what}", subject.gradients(captured, name), expected[name])

    @checks("backend-precision")
    def test_other_precisions(self) -> None:
        """Copies of the convolutional net, within what a type of so many bits can hold; what is lacking is refused."""
        subject = self.subject()
        if type(subject.backend).in_precision is Backend.in_precision:
            skip("the backend has no `in_precision`")
        rows, name = directions(subject.net, 2), subject.last_map
        for precision in PRECISIONS:
            what, make = f"in_precision({precision!r})", functools.partial(subject.backend.in_precision, precision)
            with self.unchanged(subject, what):
                if precision in self.lacks:
                    refused(f"{what}, which is lacking", make, BackendError, precision)
                    continue
                try:
                    model = make()
                except BackendError as exc:
                    deviate(what, f"a copy, or lacks = {{{precision!r}: 'why the framework has no such type'}}", exc)
            if model is subject.model:
                deviate(what, "a copy", "the model itself")
            as_arrays = lambda *pictures: subject.backend.to_numpy(self.all_inputs(*pictures))  # noqa: E731
            copy = Subject(subject.net, model, self.backend(model), subject.layers, as_arrays)
            captured = copy.capture([name], copy.aim(rows))
            near = 1e-4 if precision == "float32" else 3e-2
            close(f"outputs in {precision}", captured.outputs, subject.values["dense"], near, near)
            if self.has_gradients:
                expected = subject.expected_gradients(rows, captured.outputs_kind)[name]
                close(f"gradients in {precision}", copy.gradients(captured, name), expected, near, near / 10)
            exact = np.abs(captured.outputs - subject.values["dense"]).max() < 1e-6
            same(f"whether the copy for {precision} computes as the model does", bool(exact), precision == "float32")

    @checks("backend-hash")
    def test_the_hash_of_weights(self) -> None:
        """Of two models of the same weights, before and after a call; and of one with a weight changed."""
        subject, again, other = self.subject(), self.subject(), self.conv_net()
        known = subject.backend.weights_hash()
        if known is None:
            skip("`weights_hash` is None: the hash of the weights is not known")
        subject.capture([subject.last_map])
        same("`weights_hash` after a pass", subject.backend.weights_hash(), known)
        same("`weights_hash` of the same weights", again.backend.weights_hash(), known)
        other.conv1 = other.conv1.copy()
        other.conv1[0, 0, 0, 0] += 1
        if self.subject(other).backend.weights_hash() == known:
            deviate("`weights_hash` of other weights", "another one", "the same")

    @checks("backend-hash")
    def test_the_hash_of_shapes(self) -> None:
        """Of two models whose weights are the same bytes, in other shapes."""
        self.need(HeadsNet.name)
        one, other = HeadsNet(0), HeadsNet(0)
        for net in (one, other):
            for name, value in vars(net).items():
                setattr(net, name, np.zeros_like(value) if isinstance(value, np.ndarray) else value)
        other.shape, other.colour = other.colour, other.shape
        other.shape_bias, other.colour_bias = other.colour_bias, other.shape_bias
        known, others = (self.subject(net).backend.weights_hash() for net in (one, other))
        if known is None:
            skip("`weights_hash` is None: the hash of the weights is not known")
        if known == others:
            deviate("`weights_hash` of weights in other shapes", "another one", "the same")

    @checks("backend-inputs", since=2)
    def test_an_empty_batch(self) -> None:
        """It is refused."""
        for subject in self.subjects():
            inputs = subject.to_inputs(*(picture[:0] for picture in subject.pictures))
            refused(
                f"no images, for the {subject.net.name} net",
                lambda subject=subject, inputs=inputs: subject.capture([subject.last_map], None, inputs),  # type: ignore[misc]
            )

    @checks("backend-arrays", since=2)
    def test_arrays_in_other_memory(self) -> None:
        """NumPy arrays with negative strides, that are read-only, or of other types; or they are refused."""
        subject = self.subject()
        array = subject.backend.to_numpy(subject.inputs)
        turned = np.ascontiguousarray(array[::-1])[::-1]
        read_only = array.copy()
        read_only.flags.writeable = False
        forms: dict[str, Callable[[], Any]] = {
            "with negative strides": lambda: turned,
            "in Fortran's order": lambda: np.asfortranarray(array),
            "that are read-only": lambda: read_only,
            "in double precision": lambda: array.astype(np.float64),
        }
        for what, form in forms.items():
            try:
                came = subject.capture([subject.last_map], inputs=form())
            except XaicoreError:
                continue
            same(f"the type of outputs for arrays {what}", str(came.outputs.dtype), "float32")
            self.close(f"outputs for arrays {what}", came.outputs, subject.values["dense"])
            activations = subject.activations(came, subject.last_map)
            self.close(f"activations for arrays {what}", activations, subject.values[subject.last_map])

    @checks("facts-takes")
    def test_what_layers_take(self) -> None:
        """The very output of the layer before, or the picture; nothing that is made of weights alone."""
        self.need("facts")
        for subject in self._some_others():
            assert subject.facts is not None
            for name in subject.layers:
                layer = subject.facts.named[subject.layers[name]]
                what = f"{name!r} of the {subject.net.name} net"
                run = name if name in subject.net.layers else subject.runs_of(name)[-1]
                wanted = [_called(subject, one) for one in subject.net.taken(run)]
                if wanted and None not in wanted:
                    named = {*subject.layers.values(), 0, 1}  # there may be more, such as the attention that is added
                    came = [one for one in layer.takes if one in named]
                    is_of_input = wanted == [0] or wanted == [1]
                    self._check_taken(what, came, wanted, may_be_unseen=is_of_input or name.startswith("relu"))
                weights = tuple(tuple(shape)[1:] for shape in layer.takes_weights)
                wanted_weights = subject.net.takes_weights(name) if weights or "queries" in subject.layers else ()
                same(f"shapes of weights that {what} takes", weights, wanted_weights)
                same(f"whether {what} gives floating-point numbers", layer.is_float, True)
                expected = {"conv": "convolution", "dense": "dense", "norm": "norm", "pool": "pooling"}
                kind = "convolution" if name == "dense" and len(layer.shape) == 4 else expected.get(name.rstrip("12#"))
                if layer.kind is not None and kind is not None:
                    same(f"the kind of {what}", layer.kind, kind)

    def _check_taken(self, what: str, came: Sequence[Any], wanted: Sequence[Any], may_be_unseen: bool) -> None:
        """A ReLU that works in place has written over what it took; an input may be converted on its way."""
        may_be_unseen = may_be_unseen or "takes" in self.lacks
        if came or not may_be_unseen:
            same(f"what {what} takes", sorted(map(str, came)), sorted(map(str, wanted)))

    @checks("facts-takes")
    def test_what_the_reader_takes(self) -> None:
        """The picture itself, as the framework has it: by its facts, and by `input_of`."""
        self.need("facts")
        for subject in self._some_others():
            self._check_reader(subject)

    def _check_reader(self, subject: Subject) -> None:
        assert subject.facts is not None
        seen, picture = subject.facts.inputs[0], subject.pictures[0]
        taken = subject.net.taken_by_reader(picture)
        if "reader" not in self.lacks:
            check_reader(f"the reader of the {subject.net.name} net", seen, picture, taken, subject.net.part)
        if seen.reader is not None:
            with self.unchanged(subject, "input_of"):
                came = subject.backend.input_of(subject.inputs, seen.reader)
            wanted = subject.to_inputs(taken, *subject.pictures[1:])
            first = next(iter(wanted.values())) if isinstance(wanted, dict) else wanted
            self.close("input_of of the reader", came, np.asarray(subject.backend.to_numpy(first)))


def _called(subject: Subject, taken: str) -> int | str | None:
    """What the facts call an input or a layer of the net; None where the model has no such layer."""
    if taken in ("input", "input#2"):
        return int(taken == "input#2")
    return subject.layers.get(subject.key(taken))
