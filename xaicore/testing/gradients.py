"""Checks of gradients, and of how the direction is asked for."""

from __future__ import annotations

import threading

import numpy as np

from xaicore.errors import BackendError
from xaicore.testing.case import BackendCase
from xaicore.testing.checks import checks, deviate, refused, same
from xaicore.testing.subject import Asked, directions

__all__ = ["GradientChecks"]


class GradientChecks(BackendCase):
    """A direction is pulled back to every layer: a vector-Jacobian product."""

    @checks("backend-gradients")
    def test_gradients(self) -> None:
        """Of one class per image, another one for each, at every layer."""
        self.need("gradients")
        for subject in self.subjects():
            classes = subject.values["dense"].shape[1]
            rows = np.eye(classes, dtype=np.float32)[[[classes - 1], [1]]]
            expected = subject.expected_gradients(rows, "logits")
            captured = subject.capture(subject.maps, lambda *_, rows=rows: rows)
            for name in subject.maps:
                came = subject.gradients(captured, name)
                self.close(f"gradients at {name!r} of the {subject.net.name} net", came, expected[name])
            same("gradients without a direction", list(subject.capture([subject.last_map]).gradients), [])

    @checks("backend-targets")
    def test_several_targets_in_one_pass(self) -> None:
        """Three directions, of which one is zero and one large, as three passes give them."""
        self.need("gradients")
        for subject in self.subjects():
            rows = directions(subject.net, 2)
            rows[:, 1] = 0
            rows[:, 2] *= -100
            captured = subject.capture(subject.maps, lambda *_, rows=rows: rows)
            expected = subject.expected_gradients(rows, "logits")
            for name in subject.maps:
                came = subject.gradients(captured, name)
                same(f"the shape of gradients at {name!r} for 3 targets", came.shape, expected[name].shape)
                for k in range(3):
                    self.close(f"gradients at {name!r} for target {k} of 3", came[:, k], expected[name][:, k])

    @checks("backend-direction")
    def test_the_direction_is_called_once(self) -> None:
        """In the thread of the caller, with what `Capture` then holds."""
        self.need("gradients")
        for subject in self.subjects():
            asked = Asked(directions(subject.net, 2))
            captured = subject.capture(subject.maps, asked)
            same("calls of `direction` in a pass", len(asked.calls), 1)
            same("the thread of `direction`", asked.threads, [threading.get_ident()])
            outputs, kind = asked.calls[0][:2]
            if not isinstance(outputs, np.ndarray):
                deviate("the outputs that `direction` gets", "a NumPy array", f"a {type(outputs).__name__}")
            same("the kind that `direction` gets", kind, captured.outputs_kind)
            self.close("the outputs that `direction` gets", outputs, captured.outputs)

    @checks("backend-direction-shape")
    def test_directions_of_another_shape(self) -> None:
        """Without the axis of targets, with too many classes, of no target."""
        self.need("gradients")
        subject = self.subject()
        rows = directions(subject.net, 2)
        for wrong in (rows[:, 0], np.concatenate([rows, rows], axis=2), rows[:, :0]):
            refused(
                f"a direction of shape {wrong.shape} for outputs {subject.values['dense'].shape}",
                lambda wrong=wrong: subject.capture([subject.last_map], lambda *_: wrong),  # type: ignore[misc]
                BackendError,
                str(wrong.shape),
                str(subject.values["dense"].shape),
            )
