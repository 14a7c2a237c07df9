"""Checks of facts against those of the closed form: axes of images, arriving gradients, readers, classes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from xaicore.backend import Backend
from xaicore.facts import Facts, LayerFacts
from xaicore.testing.checks import checks, deviate, same
from xaicore.testing.described import DescribedChecks
from xaicore.testing.kit import some
from xaicore.testing.nets.segments import SegmentsNet
from xaicore.testing.reference import ReferenceBackend
from xaicore.testing.subject import Subject, directions

__all__ = ["AgreementChecks"]


class AgreementChecks(DescribedChecks):
    """What a backend sees of a net is what the closed form says of it, up to the order of axes."""

    def _compared(self) -> Iterator[tuple[Subject, Facts, Facts]]:
        """Each net, its facts, and those of the closed form."""
        self.need("facts")
        for subject in (*self.subjects(), *self.others()):
            assert subject.facts is not None
            reference = ReferenceBackend(subject.net).observe(subject.pictures)
            yield subject, subject.facts, reference

    @checks("facts-layers", since=2)
    def test_where_layers_have_the_images(self) -> None:
        """One at each layer: along `batch_axis`, outputs are as long as there were images in the pass."""
        for subject, facts, _ in self._compared():
            for name in subject.layers.values():
                layer = facts.named[name]
                what = f"the length of axis {layer.batch_axis} of {layer.shape}, the batch_axis of {name!r} of the "
                same(f"{what}{subject.net.name} net", layer.shape[layer.batch_axis], facts.count)

    @checks("facts-reached", since=2)
    def test_where_gradients_arrive(self) -> None:
        """At every index of every layer's output, and at no other, as in the closed form."""
        self.need("reached")
        for subject, facts, reference in self._compared():
            for name, called in subject.layers.items():
                layer, expected = facts.named[called], reference.named.get(name)
                if layer.reached is None or expected is None or subject.net.name == "pair":
                    continue  # of two runs of a layer, the last one may be that of either picture
                came, wanted = (_by_length(one) for one in (layer, expected))
                what = f"where the gradient arrives at {name!r} of the {subject.net.name} net, along an axis of length"
                for length in sorted(came.keys() & wanted.keys()):
                    same(f"{what} {length}", came[length], wanted[length])

    @checks("facts-inputs", since=2)
    def test_readers_of_all_inputs(self) -> None:
        """Each picture of several has a reader, whose runs are those that read it."""
        self.need("reader")
        for subject, facts, reference in self._compared():
            for i, (seen, expected) in enumerate(zip(facts.inputs, reference.inputs, strict=True)):
                if subject.pictures[i].dtype.kind == "f" and seen.reader_shape is not None:
                    what = f"input {i} of the {subject.net.name} net"
                    lengths = [sorted(one.reader_shape or ())[1:] for one in (seen, expected)]
                    same(f"lengths of what the reader of {what} takes", *lengths)
                    same(f"runs of the reader of {what}", len(seen.reader_runs), len(expected.reader_runs))

    @checks("facts-takes", since=2)
    def test_what_layers_take_as_arrays(self) -> None:
        """The output of the layer before, in the first run, as `input_of` gives it; images are on the first axis."""
        self.need("facts", "takes")
        given = (one for one in self.others() if type(one.backend).input_of is not Backend.input_of)
        for subject in some(given, "there is no net beyond the first three, or the backend has no input_of"):
            assert subject.facts is not None
            for name, called in subject.layers.items():
                read, is_recurrent = subject.net.read_layer(name), name == "recurrent"
                known, layer = read and subject.layers.get(subject.key(read)), subject.facts.named[called]
                if is_recurrent or (read in subject.maps and layer.is_leaf and layer.takes == (known,)):
                    came = subject.backend.input_of(subject.inputs, called)
                    came = came if is_recurrent else subject.arranged(str(read), came, False)
                    expected = subject.net.input_of(name, subject.values)
                    self.close(f"what {name!r} of the {subject.net.name} net takes", came, expected)

    @checks("facts-outputs", since=2)
    def test_score_maps_of_few_classes(self) -> None:
        """One class lies along the only axis of length 1; outputs and gradients have that axis."""
        self.need(SegmentsNet.name)
        for link in (None,) if "heads" in self.lacks else (None, "sigmoid"):
            for classes in (1, 2):
                subject = self.described(SegmentsNet(link, classes))
                self._check_scores_of(subject, classes, f"of {classes} classes that end in {link}")

    def _check_scores_of(self, subject: Subject, classes: int, what: str) -> None:
        rows, name = directions(subject.net, 2), subject.last_map
        captured = subject.capture([name], subject.aim(rows))
        kind = captured.outputs_kind
        expected = subject.net.answer(subject.values) if kind == "probabilities" else subject.values["dense"]
        self.close(f"scores {what}", captured.outputs, expected)
        if self.has_gradients:
            gradients = subject.expected_gradients(rows, kind)[name]
            self.close(f"gradients of scores {what}", subject.gradients(captured, name), gradients)
        if subject.facts is not None and "class_axis" not in self.lacks:
            (shape,) = subject.facts.outputs.values()
            same(f"class_axis of scores {what}", subject.facts.class_axis, shape.index(classes, 1))

    @checks("facts-runs", since=2)
    def test_the_first_run_of_layers_that_run_once(self) -> None:
        """It is the only one: its arrays are those of the layer."""
        self.need("facts")
        subject = self.subject()
        if subject.facts is None:
            return
        for name in subject.maps:
            called, rows = subject.named(name), directions(subject.net, 2)
            captured = subject.backend.capture(subject.inputs, [f"{called}#1"], subject.aim(rows))
            same(f"layers of a capture of {called!r}, run 1", list(captured.activations), [f"{called}#1"])
            came = subject.arranged(name, captured.activations[f"{called}#1"], False)
            self.close(f"activations of {called!r}, run 1", came, subject.values[name])

    @checks("backend-arrays", since=2)
    def test_inputs_as_arrays(self) -> None:
        """`to_numpy` gives what the model takes, as numbers; it leaves arrays, and whole numbers, what they are."""
        for subject in (*self.subjects(), *self.others()):
            given = subject.inputs
            each = [*given.values()] if isinstance(given, Mapping) else given if isinstance(given, tuple) else [given]
            for one, picture in zip(each, subject.pictures, strict=True):
                came, what = subject.backend.to_numpy(one), f"`to_numpy` of an input of the {subject.net.name} net"
                self.close(what, came, _in_axes(picture, np.shape(came)))
                same(f"the kind of numbers of {what}", came.dtype.kind, picture.dtype.kind)
                self.close(f"{what}, twice", subject.backend.to_numpy(came), came)

    @checks("backend-hash", since=2)
    def test_a_model_with_weights_has_a_hash(self) -> None:
        """Where a backend knows hashes at all."""
        backend = self.subject().backend
        if type(backend).weights_hash is not Backend.weights_hash and not backend.weights_hash():
            deviate("`weights_hash` of a model whose weights are there", "a text", repr(backend.weights_hash()))


def _by_length(layer: LayerFacts) -> dict[int, list[bool]]:
    """{length of an axis: where along it the gradient arrives}. No two lengths of a net's layer are the same."""
    assert layer.reached is not None
    if not layer.reached:
        return {length: [False] * length for length in layer.shape if length > 1}
    return {layer.shape[axis]: [*map(bool, at)] for axis, at in layer.reached.items() if layer.shape[axis] > 1}


def _in_axes(picture: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """A picture with its axes in the order of this shape, all of whose lengths differ."""
    if sorted(shape) != sorted(picture.shape):
        deviate("the shape of an input as an array", f"some order of {picture.shape}", shape)
    return picture.transpose([picture.shape.index(length) for length in shape])
