"""Checks of nets as real models are: skips, norms, loops, blocks, score maps, words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from xaicore.evidence import missing_power
from xaicore.methods import METHODS
from xaicore.testing.checks import checks, deviate, same
from xaicore.testing.facts import FactChecks
from xaicore.testing.kit import some
from xaicore.testing.nets.segments import SegmentsNet
from xaicore.testing.offsets import offsets
from xaicore.testing.powers import PowerChecks
from xaicore.testing.restoring import RestoringChecks
from xaicore.testing.running import RunningChecks
from xaicore.testing.subject import Subject, directions

__all__ = ["ArchitectureChecks"]


class ArchitectureChecks(RunningChecks, PowerChecks, RestoringChecks, FactChecks):
    """What holds for the first nets holds for these."""

    @checks("backend-gradients", since=2)
    def test_passes_of_other_nets(self) -> None:
        """Outputs, activations and gradients of all layers, of three images and three targets."""
        for subject in self._some_others():
            pictures, rows = subject.net.pictures(3, seed=4), directions(subject.net, 3)
            self._check_pass(subject, pictures, rows)

    @checks("backend-batch", since=2)
    def test_batches_of_one(self) -> None:
        """One image, and one target."""
        for subject in self._some_others():
            pictures, rows = subject.net.pictures(1, seed=5), directions(subject.net, 1, targets=1)
            self._check_pass(subject, pictures, rows)

    def _check_pass(self, subject: Subject, pictures: tuple[np.ndarray, ...], rows: np.ndarray) -> None:
        net, names, inputs = subject.net, subject.maps, subject.to_inputs(*pictures)
        what = f"of the {net.name} net, {len(rows)} images"
        captured = subject.capture(names, subject.aim(rows), inputs)
        values = net.forward(*pictures)
        same(f"outputs_kind {what}", captured.outputs_kind, "logits")
        self.close(f"outputs {what}", captured.outputs, values["dense"])
        self.close(f"`predict` {what}", subject.backend.predict(inputs), values["dense"])
        expected = net.backward(values, rows)
        for name in names:
            self.close(f"activations at {name!r} {what}", subject.activations(captured, name), values[name])
            if self.has_gradients:
                self.close(f"gradients at {name!r} {what}", subject.gradients(captured, name), expected[name])

    @checks("backend-kinds", since=2)
    def test_a_softmax_over_the_classes_of_a_score_map(self) -> None:
        """Its logits, up to a constant at each position; or probabilities, called so."""
        self.need("heads", "segments")
        subject = self.subject(SegmentsNet("softmax"))
        rows = directions(subject.net, 2)
        captured = subject.capture([subject.last_map], subject.aim(rows))
        expected = subject.values["dense"]
        if captured.outputs_kind == "probabilities":
            self.close("probabilities of a score map", captured.outputs, subject.net.answer(subject.values))
        else:
            same("link of a score map", captured.link, "softmax")
            came, wanted = (one - one.mean(axis=1, keepdims=True) for one in (captured.outputs, expected))
            self.close("logits of a score map that ends in a softmax", came, wanted)
        if self.has_gradients:
            gradients = subject.expected_gradients(rows, captured.outputs_kind)[subject.last_map]
            came = subject.gradients(captured, subject.last_map)
            self.close("gradients of a score map that ends in a softmax", came, gradients)

    @checks("state-restored", since=2)
    def test_calls_on_other_nets(self) -> None:
        """Model and random state, after the calls that differ most."""
        for subject in self._some_others():
            calls = self.calls(subject)
            for name, call in ((name, calls[name]) for name in ("observe", "capture", "resume") if name in calls):
                what = f"{name} on the {subject.net.name} net"
                with self.unchanged(subject, what), self.same_randomness(what):
                    call()

    @checks("facts-layers", since=2)
    def test_layers_of_other_nets(self) -> None:
        """Their shapes, kinds, runs, and what each reads."""
        self.need("facts")
        for subject in self._some_others():
            for name in subject.layers:
                layer, what = self.fact(subject, name), f"{name!r} of the {subject.net.name} net"
                runs = subject.shapes(name)
                same(f"runs of {what}", layer.runs, len(runs))
                of_image = [length for axis, length in enumerate(layer.shape) if axis != layer.batch_axis]
                lengths = sorted(length for length in of_image if length > 1)
                same(f"lengths of {what}", lengths, sorted(length for length in runs[-1][1:] if length > 1))
                for reads in (layer.reads, layer.run_reads and layer.run_reads[-1]):
                    if reads is not None:
                        self._check_reads(subject, name, reads)
                if layer.run_reads is not None:
                    same(f"runs of {what} in `run_reads`", len(layer.run_reads), len(runs))

    @checks("facts-axes", since=2)
    def test_axes_of_other_nets(self) -> None:
        """Every convolution and norm, also those that no net names, says where its channels are."""
        lengths = {"residual": {5}, "loop": {5}, "segments": {4, 5}, "words": {4}, "recurrent": {5}}
        lengths |= {name: {10} for name in ("blocks", "causal", "queries")}
        self.need("facts")
        for subject in self._some_others():
            assert subject.facts is not None
            for layer in subject.facts.layers:
                if layer.kind in ("convolution", "norm") and layer.is_leaf:
                    what = f"axis {layer.channel_axis} of {layer.name!r} of the {subject.net.name} net"
                    if layer.channel_axis is None:
                        deviate(f"channel_axis of the {layer.kind} {layer.name!r}", "an axis", "None")
                    length = layer.shape[layer.channel_axis]
                    same(
                        f"whether {what} has as many as the net has channels", length in lengths[subject.net.name], True
                    )

    def _check_reads(self, subject: Subject, name: str, reads: Any) -> None:
        """Of inputs that have gradients: whole numbers may be read unseen."""
        seen = {i for i, picture in enumerate(subject.pictures) if picture.dtype.kind == "f"}
        what = f"inputs that {name!r} of the {subject.net.name} net reads"
        same(what, sorted(seen.intersection(reads)), sorted(seen.intersection(subject.net.reads(name))))
        same(f"{what} beyond those", sorted({*reads} - {*subject.net.reads(name)}), [])

    @checks("powers-input-gradients", since=2)
    def test_input_gradients_of_other_nets(self) -> None:
        """None for whole numbers."""
        for subject in self._with_power("input_gradients", self.others()):
            self._check_rule(subject, "plain")
            if self.having("guided", subject) and subject.net.name in ("residual", "loop"):
                self._check_rule(subject, "deconv", "guided")

    @checks("powers-resume", since=2)
    def test_resuming_other_nets(self) -> None:
        """What skips the layer is that of the image."""
        for subject in self._with_power("resume", self.others()):
            # Of a layer that runs twice, only the last run is a place to start from.
            self._check_resumed(subject, "first" if subject.net.name == "loop" else subject.maps[-2])

    @checks("powers-second", since=2)
    def test_second_derivatives_of_other_nets(self) -> None:
        """At the last map."""
        for subject in self._with_power("second", self.others()):
            self._check_second(subject, subject.last_map)

    @checks("powers-biases", since=2)
    def test_biases_of_other_nets(self) -> None:
        """A norm adds what it takes off for its mean; a layer that runs twice has a bias in each run."""
        for subject in some(self._with_offsets(), "there is no net whose layers with biases the model has"):
            expected = offsets(subject.net)
            came = dict(subject.backend.biases(subject.first_image))
            names = {name: subject.named(name) for name in expected}
            same(f"layers with biases of the {subject.net.name} net", sorted(came), sorted(names.values()))
            for name, bias in expected.items():
                shape = (1, *subject.values[name].shape[1:])
                each = np.broadcast_to(bias.reshape(1, -1, *[1] * (len(shape) - 2)), shape)
                self.close(f"biases of {name!r}", subject.arranged(name, came[names[name]], False), each)

    def _with_offsets(self) -> Iterator[Subject]:
        for subject in self._with_power("biases", self.others()):
            expected = {*map(_base, offsets(subject.net))}
            if expected and expected <= {*map(_base, subject.layers)}:
                yield subject

    @checks("methods-run", since=2)
    def test_methods_on_other_nets(self) -> None:
        """One for each power, on a residual block, a loop and two blocks of tokens."""
        names = {"residual": ("gradcam", "scorecam", "reciprocam"), "loop": ("gradcam",), "blocks": ("rollout",)}
        for subject in self._some_others(*names):
            for name in names[subject.net.name]:
                if missing_power(METHODS[name].asks, subject.backend) is None:
                    self._compare(subject, METHODS[name])

    def fact(self, subject: Subject, name: str) -> Any:
        """The facts of a layer by the net's name."""
        assert subject.facts is not None
        found = subject.facts.named.get(subject.layers[name])
        if found is None:
            deviate("the layers of the facts", f"one called {subject.layers[name]!r}", ", ".join(subject.facts.named))
        return found


def _base(name: str) -> str:
    return name.partition("#")[0]
