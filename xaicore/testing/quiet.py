"""Checks that calls which do what was asked are quiet, and that one image is resumed as several are."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator

import numpy as np

from xaicore.errors import LayerError
from xaicore.testing.checks import checks, deviate, refused
from xaicore.testing.kit import some
from xaicore.testing.powers import PowerChecks
from xaicore.testing.restoring import RestoringChecks
from xaicore.testing.subject import Subject, directions

__all__ = ["QuietChecks"]

DEPRECATED = (DeprecationWarning, PendingDeprecationWarning, FutureWarning)
"""What frameworks say to authors of code, and not to users."""

QUIET = ("observe", "predict", "capture", "attention", "resume", "second")


class QuietChecks(PowerChecks, RestoringChecks):
    """A warning says that something is not as it was asked for."""

    @checks("backend-quiet")
    def test_calls_on_all_nets(self) -> None:
        """Nothing is printed, and nothing warned of."""
        for subject in (*self.subjects(), *self.others()):
            calls = self.calls(subject)
            for name in (one for one in QUIET if one in calls):
                with self._quiet(f"{name} on the {subject.net.name} net"):
                    calls[name]()

    @checks("backend-quiet")
    def test_resuming_quietly(self) -> None:
        """Of one image and of two: a model that is started in the middle gives what it gives as a whole."""
        for subject in self._with_power("resume", (one for one in self.others() if one.net.name != "loop")):
            name = subject.maps[-2]
            for one, images in ((alone(subject), "one image"), (subject, "two images")):
                with self._quiet(f"resume from {name!r} of the {subject.net.name} net on, with {images}"):
                    self._check_resumed(one, name)

    @checks("backend-unknown-layer", since=2)
    def test_unknown_layers_of_powers(self) -> None:
        """A name that no layer has, and a run too many, in `resume` and `second`."""
        subject = self.subject()
        offered = [*some((one for one in ("resume", "second") if self.having(one, subject)), "no such power")]
        name, rows = subject.named(subject.last_map), directions(subject.net, 2)
        given = subject.raw(subject.last_map, subject.values[subject.last_map].astype(np.float32))
        for layer in (f"{name}_", f"{name}#7"):
            calls = {
                "resume": lambda layer=layer: subject.backend.resume(subject.inputs, layer, given),
                "second": lambda layer=layer: subject.backend.second(subject.inputs, layer, lambda *_: rows),
            }
            for power in offered:
                with self.unchanged(subject, f"{power} of the layer {layer!r}"):
                    refused(f"{power} of the layer {layer!r}", calls[power], LayerError, name)

    @contextlib.contextmanager
    def _quiet(self, what: str) -> Iterator[None]:
        printed = io.StringIO()
        with warnings.catch_warnings(record=True) as warned, contextlib.redirect_stdout(printed):
            warnings.simplefilter("always")
            yield
        found = [str(one.message) for one in warned if not issubclass(one.category, DEPRECATED)]
        if found or printed.getvalue():
            deviate(f"what {what} says", "nothing", (found or [printed.getvalue()])[0][:500])


def alone(subject: Subject) -> Subject:
    """The same model with one other image."""
    other = Subject(subject.net, subject.model, subject.backend, subject.layers, subject.to_inputs)
    other.pictures = subject.net.pictures(1, seed=5)
    return other
