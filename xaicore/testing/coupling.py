"""Checks of nets whose images depend on each other, and of layers on which no output depends."""

from __future__ import annotations

from xaicore.testing.checks import checks, deviate, same
from xaicore.testing.nets.coupled import CoupledNet
from xaicore.testing.nets.heads import HeadsNet
from xaicore.testing.nets.net import Net
from xaicore.testing.nets.segments import SegmentsNet
from xaicore.testing.powers import PowerChecks
from xaicore.testing.subject import Subject, directions

__all__ = ["CouplingChecks"]


class CouplingChecks(PowerChecks):
    """What reaches an image from another one, and what reaches no output."""

    @checks("backend-gradients", since=2)
    def test_images_that_depend_on_each_other(self) -> None:
        """The gradient of an image's own scores, of one target and of three, in the first pass and in later ones."""
        self.need(CoupledNet.name, "gradients")
        subject = self.subject(CoupledNet())
        for count, targets in ((3, 3), (3, 1), (2, 3), (1, 3)):
            pictures, rows = subject.net.pictures(count, seed=4), directions(subject.net, count, targets)
            values = subject.net.forward(*pictures)
            captured = subject.capture(subject.maps, lambda *_, rows=rows: rows, subject.to_inputs(*pictures))
            what = f"of {count} images that depend on each other, {targets} targets"
            self.close(f"outputs {what}", captured.outputs, values["dense"])
            expected = subject.net.backward(values, rows)
            for name in subject.maps:
                self.close(f"activations at {name!r} {what}", subject.activations(captured, name), values[name])
                self.close(f"gradients at {name!r} {what}", subject.gradients(captured, name), expected[name])
        if self.having("input_gradients", subject):
            for _ in range(2):  # the second pass may know what the first has shown
                self._check_rule(subject, "plain", *(["guided"] if self.having("guided", subject) else []))

    @checks("facts-reached", since=2)
    def test_what_reaches_no_output(self) -> None:
        """The other output of two, whose gradient arrives nowhere."""
        self.need("facts", "reached", HeadsNet.name)
        for position in (0, 1):
            subject = self.subject(HeadsNet(position))
            assert subject.facts is not None
            explained = subject.facts.output  # by its name, or by its position
            other = {"shape": "colour", "colour": "shape", 0: "colour", 1: "shape"}[explained]
            found = subject.facts.named.get(subject.layers.get(other, ""))
            if found is not None and (found.reached is None or found.reached):
                what = f"`reached` of {other!r}, which output {explained!r} is not made of"
                deviate(what, "{}, since it is nowhere", found.reached)

    @checks("powers-attention", since=2)
    def test_nets_without_attention(self) -> None:
        """None is listed, also where the net ends in a softmax."""
        nets: list[Net] = [self.conv_net()]
        if "heads" not in self.lacks:
            nets += [self.conv_net("softmax"), *([SegmentsNet("softmax")] if self.has(SegmentsNet.name) else [])]
        subjects = [*map(self.subject, nets), *(one for one in self.others() if _has_none(one))]
        for subject in self._with_power("attention", subjects):
            listed = [one.name for one in subject.backend.attention(subject.inputs)]
            same(f"attentions of the {subject.net.name} net", listed, [])


def _has_none(subject: Subject) -> bool:
    return subject.net.name in ("residual", "loop", "segments", "words", "recurrent")
