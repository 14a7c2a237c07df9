"""Checks of facts: axes, what a layer reads, where gradients arrive, how often a layer ran."""

from __future__ import annotations

import unittest
from collections.abc import Iterator

from xaicore.facts import Facts, LayerFacts
from xaicore.layers.place import Place
from xaicore.layers.places import Places
from xaicore.testing.case import BackendCase
from xaicore.testing.checks import checks, deviate, same
from xaicore.testing.subject import Subject

__all__ = ["FactChecks"]

CONVOLUTIONS = ("conv1", "conv2", "patches", "shared")


class FactChecks(BackendCase):
    """Facts are what one pass showed."""

    def reported(self) -> Iterator[tuple[Subject, Facts]]:
        """Each net with its facts."""
        self.need("facts")
        for subject in self.subjects():
            if subject.facts is None:
                expected = "facts from `observe`, or lacks = {'facts': why}"
                deviate("what the backend reports", expected, "None")
            yield subject, subject.facts

    @checks("backend-default-layer")
    def test_the_layer_that_is_found(self) -> None:
        """The last map before the mean; the tokens before the block that only the class token leaves, or their norm."""
        for subject in self.subjects():
            if subject.net.name == "pair":
                continue
            places = Places(subject.backend, ())
            places.find(subject.inputs)
            what = f"the layer that is explained in the {subject.net.name} net"
            if subject.net.name == "conv":
                same(what, places.layers, (subject.named(subject.last_map),))
            elif {subject.layers.get(name) for name in ("patches", "mixed", "dense")} & {*places.layers}:
                deviate(what, f"{subject.layers.get('tokens')!r}, or its norm", places.layers)

    @checks("facts-layers")
    def test_layers(self) -> None:
        """Each once, with the framework's own shape: the same lengths as in the closed form."""
        for subject, facts in self.reported():
            names = [layer.name for layer in facts.layers]
            same(f"layers of the {subject.net.name} net that are listed twice", sorted({*names}), sorted(names))
            for name in subject.layers:
                layer = _layer(subject, facts, name)
                came = sorted(length for length in layer.shape[1:] if length > 1)  # a mean may keep axes of length 1
                expected = [sorted(shape[1:]) for shape in subject.shapes(name)]
                if came not in expected:
                    what = f"lengths of {name!r} of the {subject.net.name} net"
                    deviate(what, " or ".join(map(str, expected)), came)

    @checks("facts-axes")
    def test_axes(self) -> None:
        """A convolution says where its channels are; the grid of tokens has three rows of four, behind one other."""
        for subject, facts in self.reported():
            for name in (one for one in subject.layers if one.partition("#")[0] in CONVOLUTIONS):
                layer = _layer(subject, facts, name)
                same(f"kind of {name!r}", layer.kind, "convolution")
                channels = subject.shapes(name)[0][1]
                axis = layer.channel_axis
                length = None if axis is None else layer.shape[axis]
                same(f"the length of axis {axis} of {name!r}, its channel_axis", length, channels)
            for name in subject.maps:
                if subject.grids.get(subject.layers[subject.key(name)]) is None:
                    what = f"the map {name!r} of the {subject.net.name} net"
                    deviate(what, "one that the core reads", subject.unread(name))
            if subject.net.name == "tokens" and "tokens" in subject.layers:
                grid = subject.grids[subject.layers["tokens"]]
                same("the grid of the tokens, and what comes before", (grid.size, grid.prefix), ((3, 4), 1))

    @checks("facts-reads")
    def test_reads(self) -> None:
        """All pictures; where a layer runs for each of them, that of one run will do."""
        for subject, facts in self.reported():
            for name in subject.layers:
                reads, expected = _layer(subject, facts, name).reads, [*subject.net.reads(name)]
                is_of_each = len(subject.shapes(name)) > 1
                if reads is not None and not (is_of_each and len(reads) == 1):
                    same(f"inputs that {name!r} of the {subject.net.name} net reads", sorted(reads), expected)

    @checks("facts-runs")
    def test_runs(self) -> None:
        """One layer runs for each of two pictures, in either order, and each run reads its own."""
        for subject, facts in self.reported():
            for name in subject.layers:
                layer, runs = _layer(subject, facts, name), len(subject.shapes(name))
                same(f"runs of {name!r} of the {subject.net.name} net", layer.runs, runs)
                if runs == 2 and layer.run_reads is not None:
                    same(f"what the runs of {name!r} read", sorted(map(tuple, layer.run_reads)), [(0,), (1,)])
                    for run in (f"{name}#1", f"{name}#2"):
                        captured = subject.capture([run])
                        what = f"{subject.named(run)!r}, which reads picture {run[-1]}"
                        self.close(f"activations of {what}", subject.activations(captured, run), subject.values[run])

    @checks("facts-reached")
    def test_reached(self) -> None:
        """Behind the only block, the gradient arrives at the class token alone."""
        for subject, facts in self.reported():
            for name in subject.maps:
                reached = _layer(subject, facts, subject.key(name)).reached
                if reached is None:
                    continue
                if not reached:
                    deviate(f"`reached` of {name!r}", "the indices at which the gradient arrives", "nowhere")
                if name in ("tokens", "mixed"):
                    arrives = [*map(bool, reached.get(1, ()))]
                    expected = [True, *[name == "tokens"] * 12]
                    same(f"tokens at which the gradient arrives at {name!r}", arrives, expected)

    @checks("facts-inputs")
    def test_inputs(self) -> None:
        """Shapes as the framework has them, and the convolution that reads each."""
        for subject, facts in self.reported():
            same(f"inputs of the {subject.net.name} net", len(facts.inputs), len(subject.pictures))
            for i, (seen, picture) in enumerate(zip(facts.inputs, subject.pictures, strict=True)):
                same(f"lengths of input {i}", sorted(seen.shape[1:]), sorted(picture.shape[1:]))
                if seen.reader_axis is not None and seen.reader_shape is not None:
                    same(f"channels that the reader of input {i} takes", seen.reader_shape[seen.reader_axis], 3)
                if seen.reader_source is not None and seen.reader_source not in facts.named:
                    deviate(f"reader_source of input {i}", "a layer of the facts, or None", repr(seen.reader_source))
            place = self._place(subject)
            if place is not None:
                same("positions of the picture", tuple(place.frame.size), subject.pictures[0].shape[2:])

    def _place(self, subject: Subject) -> Place | None:
        if subject.net.name == "pair":
            return None
        return Places(subject.backend, (subject.named(subject.maps[0]),)).find(subject.inputs)[1]

    @checks("facts-outputs")
    def test_outputs_of_the_facts(self) -> None:
        """The link as in a pass, classes along axis 1, and the shape."""
        self.need("facts")
        for link in (None,) if "heads" in self.lacks else (None, "softmax", "sigmoid"):
            subject = self.subject(self.conv_net(link))
            if subject.facts is None:
                raise unittest.SkipTest("no facts")
            captured = subject.capture()
            same(f"link of a net that ends in {link}", subject.facts.link, captured.link)
            same("class_axis of outputs (N, classes)", subject.facts.class_axis, 1)
            if subject.facts.outputs:
                shapes = [tuple(shape)[1:] for shape in subject.facts.outputs.values()]
                same("shapes of all outputs, without their first axis", shapes, [subject.values["dense"].shape[1:]])


def _layer(subject: Subject, facts: Facts, name: str) -> LayerFacts:
    found = facts.named.get(subject.layers[name])
    if found is None:
        deviate("the layers of the facts", f"one called {subject.layers[name]!r}", ", ".join(facts.named) or "none")
    return found
