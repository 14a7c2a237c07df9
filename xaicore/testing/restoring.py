"""Checks of what a call leaves behind: nothing, whatever happened in it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from xaicore.evidence import missing_power
from xaicore.explainer import Explainer
from xaicore.methods import METHODS, method
from xaicore.targets import Aim, Target
from xaicore.testing.case import BackendCase
from xaicore.testing.checks import checks, deviate
from xaicore.testing.state import bits, differences
from xaicore.testing.subject import Subject, directions

__all__ = ["RestoringChecks"]


class Stop(Exception):
    """Raised on purpose, where a user's code would raise."""


class RestoringChecks(BackendCase):
    """The model is bit for bit as before, also after an exception."""

    def calls(self, subject: Subject) -> dict[str, Callable[[], object]]:
        """Everything that a backend is called for."""
        rows, names = directions(subject.net, 2), subject.maps
        backend, inputs = subject.backend, subject.inputs
        last = subject.named(subject.last_map)
        calls: dict[str, Callable[[], object]] = {
            "layers": lambda: backend.layers(inputs),
            "observe": lambda: backend.observe(inputs),
            "predict": lambda: backend.predict(inputs),
            "capture": lambda: subject.capture(names),
            "capture with a direction": lambda: subject.capture(names, lambda *_: rows),
            "with_batch_axis": lambda: backend.with_batch_axis(inputs),
        }
        if not self.has_gradients:
            del calls["capture with a direction"]
        powers: dict[str, Callable[[], object]] = {
            "attention": lambda: backend.attention(inputs),
            "input_gradients": lambda: subject.capture((), lambda *_: rows, rules=("plain",)),
            "resume": lambda: backend.resume(inputs, last, subject.capture([subject.last_map]).activations[last]),
            "second": lambda: backend.second(inputs, last, lambda *_: rows),
            "biases": lambda: backend.biases(inputs),
            "parts": lambda: subject.capture((), subject.aim(rows), parts=True),
        }
        if subject.net.name != "conv":
            del powers["biases"]
        else:
            powers["guided"] = lambda: subject.capture((), lambda *_: rows, rules=("guided", "deconv"))
        if subject.net.name == "pair":  # a layer that runs twice has no single place to start from
            del powers["resume"], powers["second"]
        return calls | {name: call for name, call in powers.items() if name in backend.powers}

    @checks("state-restored")
    def test_every_call_leaves_the_model_as_it_was(self) -> None:
        """Twice, since the second call may meet what the first has kept; each net is called another way first."""
        for first, subject in enumerate(self.subjects()):
            calls = list(self.calls(subject).items())
            for name, call in calls[3 * first :] + calls[: 3 * first]:
                for which in ("the first", "the second"):
                    with self.unchanged(subject, f"{which} call of {name} on the {subject.net.name} net"):
                        call()

    @checks("state-random")
    def test_every_call_leaves_the_random_state(self) -> None:
        """That of Python and of NumPy; the framework's belongs into `state`."""
        for subject in self.subjects():
            for name, call in self.calls(subject).items():
                with self.same_randomness(f"{name} on the {subject.net.name} net"):
                    call()

    @checks("state-inputs")
    def test_every_call_leaves_the_inputs(self) -> None:
        """Bit for bit."""
        for subject in self.subjects():
            calls = self.calls(subject)
            before = bits(subject.inputs)
            for name, call in calls.items():
                call()
                changed = differences(before, bits(subject.inputs))
                if changed:
                    deviate(f"the inputs after {name}", "as before", f"changed: {', '.join(changed)[:300]}")

    @checks("state-direction")
    def test_an_exception_in_the_direction_passes(self) -> None:
        """The very same object, not wrapped."""
        self.need("gradients")
        for net in self.nets():
            self._raise_in_direction(self.subject(net), Stop("on purpose"))

    @checks("state-interrupt")
    def test_an_interrupt_in_the_direction_passes(self) -> None:
        """Ctrl-C is no `Exception`."""
        self.need("gradients")
        for net in self.nets():
            self._raise_in_direction(self.subject(net), KeyboardInterrupt("on purpose"))

    def _raise_in_direction(self, subject: Subject, error: BaseException) -> None:
        def direction(*_: Any) -> NoReturn:
            raise error

        what = f"a {type(error).__name__} in `direction`"
        with self.unchanged(subject, f"{what}, on the {subject.net.name} net"):
            came: object = "no error"
            try:
                subject.capture(subject.maps, direction)
            except BaseException as exc:
                came = exc
            if came is not error:
                deviate(what, "the same exception", repr(came))
        rows = directions(subject.net, 2)
        captured = subject.capture([subject.last_map], lambda *_: rows)
        expected = subject.expected_gradients(rows, captured.outputs_kind)[subject.last_map]
        self.close(f"gradients in the pass after {what}", subject.gradients(captured, subject.last_map), expected)

    @checks("state-model")
    def test_an_exception_in_the_model(self) -> None:
        """It is given pictures with a channel too many."""
        subject = self.subject()
        (picture,) = subject.pictures
        inputs = subject.to_inputs(np.concatenate([picture, picture[:, :1]], axis=1))
        rows = directions(subject.net, 2)
        for layers in ((), (subject.last_map,)):
            with self.unchanged(subject, "pictures that the model does not take"), contextlib.suppress(Exception):
                subject.capture(layers, subject.aim(rows), inputs)
        self.close("outputs in the pass after it", subject.capture().outputs, subject.values["dense"])

    @checks("state-passes")
    def test_an_exception_in_the_third_of_many_passes(self) -> None:
        """In `direction`, and between two passes."""
        subject = self.subject()
        layer = subject.named(subject.last_map)
        if self.has_gradients:
            interrupted = method("smoothgradcam++", n=4)
            with self.unchanged(subject, "a KeyboardInterrupt in the third pass of smoothgradcam++"):
                explainer = Explainer(subject.model, interrupted, layer, subject.backend, progress=False)
                _expect(KeyboardInterrupt, lambda: explainer(subject.inputs, Interrupting(3)))
        many: dict[str, dict[str, Any]] = {"rise": {"masks": 12}, "scorecam": {}, "reciprocam": {}}
        for name, options in many.items():
            if missing_power(METHODS[name].asks, subject.backend) is not None:
                continue
            with self.unchanged(subject, f"an error after the third pass of {name}"):
                explainer = Explainer(
                    *(subject.model, method(name, **options), layer, subject.backend),
                    batch_size=2,
                    progress=_stop_after(3),
                )
                _expect(Stop, lambda explainer=explainer: explainer(subject.inputs, 1))  # type: ignore[misc]


class Interrupting(Target):
    """Class 1, until it is asked for the nth time. It knows its score, and so is asked again in every pass."""

    def __init__(self, n: int) -> None:
        self.left = n

    def aim(self, outputs: np.ndarray, kind: str) -> Aim:
        """Class 1.

        Raises:
            KeyboardInterrupt: at the nth call.
        """
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt("on purpose")
        rows = np.zeros((len(outputs), 1, *outputs.shape[1:]), np.float32)
        rows[:, :, 1] = 1
        return Aim(rows, np.ones((len(outputs), 1), np.int64), outputs[:, 1:2].astype(np.float64))


def _stop_after(passes: int) -> Callable[[int, int], None]:
    reports: list[int] = []

    def progress(done: int, total: int) -> None:
        reports.append(done)
        if done and len(reports) > passes:
            raise Stop("on purpose")

    return progress


def _expect(error: type[BaseException], call: Callable[[], object]) -> None:
    try:
        call()
    except error:
        return
    deviate("a long method", f"the {error.__name__} that was raised in it", "no error")
