"""Checks of which part of a picture each run of a layer reads, and which tokens are of which input."""

from __future__ import annotations

from xaicore.facts import Facts
from xaicore.testing.case import BackendCase
from xaicore.testing.checks import checks, same
from xaicore.testing.nets.halves import HalvesNet
from xaicore.testing.subject import Subject, directions

__all__ = ["HalvingChecks"]


class HalvingChecks(BackendCase):
    """A net that looks at the halves of a picture, one after the other, and at words."""

    def _halved(self) -> tuple[Subject, Facts]:
        """The net with its facts; without it, a check is skipped."""
        self.need("facts", HalvesNet.name)
        subject = self.subject(HalvesNet())
        assert subject.facts is not None
        return subject, subject.facts

    @checks("backend-gradients", since=2)
    def test_outputs_and_gradients_of_halves(self) -> None:
        """Of each run, of which a backend that names runs has two."""
        subject, _ = self._halved()
        rows, names = directions(subject.net, 2), ["patches#1", "patches#2"]
        captured = subject.capture(names, subject.aim(rows))
        self.close("outputs of the halves net", captured.outputs, subject.values["dense"])
        for name in names if self.has_gradients else ():
            expected = subject.expected_gradients(rows, captured.outputs_kind)[name]
            self.close(f"gradients at {name!r} of the halves net", subject.gradients(captured, name), expected)

    @checks("facts-moves", since=2)
    def test_which_half_a_run_reads(self) -> None:
        """The columns of each run of the reader."""
        self.need("moves", "reader")
        _, facts = self._halved()
        seen = facts.inputs[0]
        same("whether runs of the reader take the picture itself", tuple(seen.reader_runs), (False, False))
        axis = seen.shape.index(32)
        spans = [tuple(span[axis]) if span else None for span in seen.reader_spans]
        same("columns that the runs of the reader read", spans, [(0, 15), (16, 31)])

    @checks("facts-runs", since=2)
    def test_which_runs_of_the_reader_a_run_depends_on(self) -> None:
        """Each on itself, and the tokens on both."""
        self.need("frames")
        subject, facts = self._halved()
        for name, expected in (("patches", [(0,), (1,)]), ("tokens", [(0, 1)])):
            layer = facts.named[subject.layers[name]]
            came = [tuple(one) for one in layer.run_frames.get(0, ())]
            same(f"runs of the reader that those of {name!r} depend on, `run_frames`", came, expected)

    @checks("facts-reads", since=2)
    def test_which_tokens_are_of_the_picture(self) -> None:
        """Twenty-four patches before five words, told of the first layer with so many tokens."""
        self.need("parts")
        subject, facts = self._halved()
        parts = facts.named[subject.layers["tokens"]].parts
        came = {i: {axis: tuple(ends) for axis, ends in part.items()} for i, part in parts.items()}
        same("`parts` of the tokens", came, {0: {1: (0, 23)}})
        others = [layer.name for layer in facts.layers if layer.parts and layer.name != subject.layers["tokens"]]
        same("other layers with `parts`", others, [])
