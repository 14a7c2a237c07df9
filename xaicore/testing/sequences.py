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

    def _need_sequences(self) -> None:
        """Skip a check where an author does not supply the net, or the backend takes no `Output`."""
        self.need("facts", SequenceNet.name)
        self._need_outputs()

    @checks("powers-parts", since=2)
    def test_images_on_another_axis(self) -> None:
        """Outputs, gradients, parts and what is resumed have the images first, whatever their number."""
        self._need_sequences()
        for link in (None,) if "heads" in self.lacks else (None, "softmax"):
            subject = self.described(SequenceNet(link), Output(axes=AXES))
            assert subject.facts is not None
            same(f"class_axis of outputs {AXES!r}", subject.facts.class_axis, AXES.index("c"))
            same(f"shown_class_axis of outputs {AXES!r}", subject.facts.shown_class_axis, None)
            for count in (2, 1, 8):  # of which the last is also the number of columns
                self._check_batch(subject, subject.net.pictures(count, seed=4), directions(subject.net, count))
            if self.having("resume", subject) and link is None:
                self._check_resumed(subject, "relu1")

    def _check_batch(self, subject: Subject, pictures: tuple[np.ndarray, ...], rows: np.ndarray) -> None:
        what = f"of {len(rows)} images on axis 1, of a net that ends in {subject.net.link or 'its dense layer'}"
        inputs = subject.to_inputs(*pictures)
        values = subject.net.forward(*pictures)
        captured = subject.capture(subject.maps, subject.aim(rows), inputs, parts=True)
        kind, answer = captured.outputs_kind, subject.net.answer(values)
        same(f"link {what}", captured.link, subject.net.link if kind == "logits" else None)
        scores = values["dense"] if kind == "logits" else answer
        for name, came in (("outputs", captured.outputs), ("`predict`", subject.backend.predict(inputs))):
            self.close(f"{name} {what}", *(_settled(one, captured.link) for one in (came, scores)))
        same(f"parts {what}", len(captured.parts), 1)
        part = np.asarray(next(iter(captured.parts.values())))
        self.close(f"the part {what}", subject.classes_first(part), answer)
        at_logits = rows if kind == "logits" else subject.net.answer_back(values, rows)
        expected = subject.net.backward(values, at_logits)
        for name in subject.maps if self.has_gradients else ():
            self.close(f"gradients at {name!r} {what}", subject.gradients(captured, name), expected[name])

    @checks("backend-outputs", since=2)
    def test_images_on_an_axis_that_nobody_stated(self) -> None:
        """They are refused, also where there are as many as columns."""
        self._need_sequences()
        subject = self.subject(SequenceNet())
        for count in (2, 8):
            inputs = subject.to_inputs(*subject.net.pictures(count))
            call = functools.partial(subject.capture, [subject.last_map], inputs=inputs)
            refused(f"outputs (8, {count}, 4) for {count} images", call, XaicoreError, "output_axes")


def _settled(scores: np.ndarray, link: str | None) -> np.ndarray:
    """A softmax does not show which constant was added to the logits of a column."""
    return scores if link is None else scores - scores.mean(axis=1, keepdims=True)
