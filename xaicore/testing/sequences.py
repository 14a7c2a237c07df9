"""Checks of outputs whose images are not on the first axis: a caller says where, or they are refused."""

from __future__ import annotations

import functools

import numpy as np

from xaicore.errors import XaicoreError
from xaicore.outputs import Output
from xaicore.testing.checks import checks, refused, same
from xaicore.testing.described import DescribedChecks
from xaicore.testing.nets.description import AXES
from xaicore.testing.nets.sequence import SequenceNet
from xaicore.testing.powers import PowerChecks
from xaicore.testing.subject import Subject, directions

__all__ = ["SequenceChecks"]


class SequenceChecks(DescribedChecks, PowerChecks):
    """A net that answers (columns, N, classes)."""

    def _is_asked_for(self) -> bool:
        """Whether an author supplies the net, and the backend takes an `Output`."""
        return self.has_facts and self.has(SequenceNet.name) and self.takes_outputs()

    @checks("powers-parts", since=2)
    def test_images_on_another_axis(self) -> None:
        """Outputs, gradients, parts and what is resumed have the images first, whatever their number."""
        if not self._is_asked_for():
            return
        subject = self.described(SequenceNet(), Output(axes=AXES))
        assert subject.facts is not None
        same(f"class_axis of outputs {AXES!r}", subject.facts.class_axis, AXES.index("c"))
        same(f"shown_class_axis of outputs {AXES!r}", subject.facts.shown_class_axis, None)
        for count in (2, 1, 8):  # of which the last is also the number of columns
            self._check_batch(subject, subject.net.pictures(count, seed=4), directions(subject.net, count))
        if self.having("resume", subject):
            self._check_resumed(subject, "relu1")

    def _check_batch(self, subject: Subject, pictures: tuple[np.ndarray, ...], rows: np.ndarray) -> None:
        what, inputs = f"of {len(rows)} images on axis 1", subject.to_inputs(*pictures)
        values = subject.net.forward(*pictures)
        captured = subject.capture(subject.maps, subject.aim(rows), inputs, parts=True)
        self.close(f"outputs {what}", captured.outputs, values["dense"])
        self.close(f"`predict` {what}", subject.backend.predict(inputs), values["dense"])
        same(f"parts {what}", len(captured.parts), 1)
        part = np.asarray(next(iter(captured.parts.values())))
        self.close(f"the part {what}", subject.classes_first(part), values["dense"])
        expected = subject.net.backward(values, rows)
        for name in subject.maps if self.has_gradients else ():
            self.close(f"gradients at {name!r} {what}", subject.gradients(captured, name), expected[name])

    @checks("backend-outputs", since=2)
    def test_images_on_an_axis_that_nobody_stated(self) -> None:
        """They are refused, also where there are as many as columns."""
        if not self._is_asked_for():
            return
        subject = self.subject(SequenceNet())
        for count in (2, 8):
            inputs = subject.to_inputs(*subject.net.pictures(count))
            call = functools.partial(subject.capture, [subject.last_map], inputs=inputs)
            refused(f"outputs (8, {count}, 4) for {count} images", call, XaicoreError, "output_axes")
