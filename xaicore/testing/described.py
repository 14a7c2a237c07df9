"""Checks of outputs that a caller describes: which axis is which, and what a function reads of the answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from xaicore.errors import OutputError
from xaicore.outputs import Output
from xaicore.testing.case import BackendCase
from xaicore.testing.checks import checks, refused, same
from xaicore.testing.kit import skip
from xaicore.testing.nets.net import Net
from xaicore.testing.nets.segments import SegmentsNet
from xaicore.testing.subject import Subject, directions

__all__ = ["DescribedChecks"]


class DescribedChecks(BackendCase):
    """The power "parts" brings an `Output`, which says axes or reads the answer."""

    def described(self, net: Net, output: Output | None = None) -> Subject:
        """A net whose output is described so."""
        subject = self.subject(net)
        backend = self.backend(subject.model, output)
        return Subject(net, subject.model, backend, subject.layers, subject.to_inputs)

    def takes_outputs(self) -> bool:
        """Whether there is a score map, and a backend that takes an `Output`."""
        return self.has("segments") and "parts" in self.subject().backend.powers

    def _need_outputs(self) -> None:
        """Skip a check where there is no such net or backend."""
        self.need("segments")
        if not self.takes_outputs():
            skip("the power 'parts' brings an `Output`, and the backend does not have it")

    @checks("facts-outputs", since=2)
    def test_the_classes_of_a_score_map(self) -> None:
        """By the layers, or by the letters of the caller."""
        self.need("segments", "facts")
        for link in (None,) if "heads" in self.lacks else ("softmax", "sigmoid", None):
            plain = self.described(SegmentsNet(link))
            assert plain.facts is not None
            (shape,) = plain.facts.outputs.values()
            if "class_axis" not in self.lacks:
                same(
                    f"class_axis of a score map that ends in {link}", plain.facts.class_axis, _letters(shape).index("c")
                )
        if not self.takes_outputs():
            return
        stated = self.described(SegmentsNet(), Output(axes=_letters(shape)))
        assert stated.facts is not None
        same("class_axis of stated axes", stated.facts.class_axis, _letters(shape).index("c"))
        self._check(stated, "of stated axes")
        other = self.described(SegmentsNet(), Output(axes="nc"))
        refused("two letters for four axes", lambda: other.capture(), OutputError, "nc")

    @checks("facts-outputs", since=2)
    def test_stated_axes_of_a_classifier(self) -> None:
        """Images and classes, as the layers show them: the end of the net is found as before."""
        self.need("heads")
        self._need_outputs()
        net = self.conv_net("softmax")
        plain, stated = (self.described(net, output).capture() for output in (None, Output(axes="nc")))
        same("link of a softmax whose axes are stated", stated.link, plain.link)
        same("outputs_kind of a softmax whose axes are stated", stated.outputs_kind, plain.outputs_kind)
        self.close("outputs whose axes are stated", stated.outputs, plain.outputs)

    @checks("powers-parts", since=2)
    def test_functions_of_the_answer(self) -> None:
        """The answer itself, as logits and as scores, what is computed of it; an error, and what is no tensor."""
        self._need_outputs()
        self._check(self.described(self.conv_net(), Output(read=_itself)), "that a function reads")
        if "heads" not in self.lacks:
            for scores in (_itself, _computed):
                self._check_scores(self.described(self.conv_net("softmax"), Output(read=scores, is_score=True)))
        wrong: dict[str, Callable[[Any], Any]] = {"ZeroDivisionError": lambda answer: 1 / 0, "str": lambda answer: "no"}
        for said, read in wrong.items():
            subject = self.described(self.conv_net(), Output(read=read))
            refused("a function that reads no tensor", lambda subject=subject: subject.capture(), OutputError, said)  # type: ignore[misc]

    def _check(self, subject: Subject, what: str) -> None:
        rows, name = directions(subject.net, 2), subject.last_map
        captured = subject.capture([name], subject.aim(rows))
        self.close(f"outputs {what}", captured.outputs, subject.values["dense"])
        self.close(f"`predict` {what}", subject.backend.predict(subject.inputs), subject.values["dense"])
        if self.has_gradients:
            expected = subject.expected_gradients(rows, captured.outputs_kind)[name]
            self.close(f"gradients {what}", subject.gradients(captured, name), expected)

    def _check_scores(self, subject: Subject) -> None:
        rows, name = directions(subject.net, 2), subject.last_map
        captured = subject.capture([name], subject.aim(rows))
        same("whether scores are called logits", captured.outputs_kind == "logits", False)
        self.close("scores, which are left as they are", captured.outputs, subject.net.answer(subject.values))
        if self.has_gradients:
            expected = subject.expected_gradients(rows, "probabilities")[name]
            self.close("gradients of scores", subject.gradients(captured, name), expected)


def _itself(answer: Any) -> Any:
    return answer


def _computed(answer: Any) -> Any:
    """The same values, and none of the model's outputs."""
    return answer * 1


def _letters(shape: tuple[int, ...]) -> str:
    """Of a score map (N, 4, 6, 8) in the axes of the framework: no two lengths are the same."""
    return "n" + "".join({4: "c", 6: "h", 8: "w"}.get(length, "d") for length in np.array(shape[1:]).tolist())
