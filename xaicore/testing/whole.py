"""Checks that facts are whole: what a backend sees of one layer it sees of all, in the pass over one image."""

from __future__ import annotations

from collections.abc import Iterator

from xaicore.backend import Backend
from xaicore.facts import Facts
from xaicore.testing.case import BackendCase
from xaicore.testing.checks import checks, deviate, same
from xaicore.testing.nets.halves import HalvesNet
from xaicore.testing.subject import Subject

__all__ = ["WholeChecks"]


class WholeChecks(BackendCase):
    """A fact that is None is one that a backend cannot see anywhere, which its tests declare."""

    def _reported(self) -> Iterator[tuple[Subject, Facts]]:
        halves = [self._built_once(HalvesNet())] if self.has(HalvesNet.name) else []
        for subject in (*self.subjects(), *self.others(), *halves) if self.has_facts else ():
            if subject.facts is not None:
                yield subject, subject.facts

    @checks("facts-reads", since=2)
    def test_what_each_layer_reads_is_told(self) -> None:
        """Of its last run, and of each of several runs."""
        self.need("facts", "reads")
        for subject, facts in self._reported():
            for name in subject.layers:
                layer = facts.named[subject.layers[name]]
                seen = {"reads": layer.reads, "run_reads": layer.run_reads if layer.runs > 1 else ()}
                for fact, value in seen.items():
                    if value is None:
                        deviate(f"`{fact}` of {name!r} of the {subject.net.name} net", "positions of inputs", None)

    @checks("facts-reached", since=2)
    def test_where_gradients_arrive_is_told(self) -> None:
        """Of every layer, also where they arrive nowhere."""
        self.need("facts", "reached")
        for subject, facts in self._reported():
            for name in subject.layers:
                reached = facts.named[subject.layers[name]].reached
                if reached is None:
                    expected = "the indices at which the gradient arrives, or lacks = {'reached': 'why'}"
                    deviate(f"`reached` of {name!r} of the {subject.net.name} net", expected, reached)

    @checks("facts-inputs", since=2)
    def test_readers_are_named(self) -> None:
        """Where `input_of` gives what they take; and facts are those of one image."""
        self.need("facts", "reader")
        for subject, facts in self._reported():
            same(f"images in the pass that showed the facts of the {subject.net.name} net", facts.count, 1)
            for one, picture in zip(facts.inputs, subject.pictures, strict=True):
                if picture.dtype.kind == "i":
                    what = f"what the reader of whole numbers of the {subject.net.name} net takes"
                    same(what, one.reader_shape, None)
            (seen, *_) = facts.inputs
            if seen.reader is None and type(subject.backend).input_of is not Backend.input_of:
                deviate(f"`reader` of the picture of the {subject.net.name} net", "the name of a layer", None)
            if seen.reader is not None:
                same("layer_name of the reader", subject.backend.layer_name(seen.reader), seen.reader)

    @checks("facts-layers", since=2)
    def test_what_layers_are(self) -> None:
        """Which axis holds the images, what reads steps, and that nothing lies inside of those of the first net."""
        self.need("facts")
        for subject, facts in self._reported():
            for name in subject.layers:
                layer, what = facts.named[subject.layers[name]], f"{name!r} of the {subject.net.name} net"
                same(f"images along axis {layer.batch_axis} of {what}", layer.shape[layer.batch_axis], facts.count)
                if name == "recurrent":
                    same(f"whether {what} is recurrent", layer.kind == "recurrent" or layer.is_recurrent, True)
                elif layer.kind in ("convolution", "dense", "norm"):
                    same(f"whether {what} is recurrent", layer.is_recurrent, False)
                    same(f"whether {what} is a leaf", layer.is_leaf or subject.net.name != "conv", True)
                same(f"whether {what} reads its steps backwards", layer.reads_backwards, False)
