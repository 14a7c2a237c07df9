"""Checks of the power "reduce": what a function makes of a layer's arrays where they lie comes in their place."""

from __future__ import annotations

from typing import Any

import numpy as np

from xaicore.errors import MethodError
from xaicore.testing.checks import checks, deviate, refused, same
from xaicore.testing.powers import PowerChecks
from xaicore.testing.subject import Subject, directions

__all__ = ["ReducingChecks"]

NAMES = (
    *("abs", "asarray", "broadcast_to", "clip", "concatenate", "einsum", "float32", "float64", "isfinite"),
    *("logical_not", "matmul", "mean", "moveaxis", "reshape", "sum", "where"),
)
"""What formulas use of a module of arrays."""


class ReducingChecks(PowerChecks):
    """A backend whose tensors may lie on an accelerator."""

    @checks("powers-reduce")
    def test_reduced_layers(self) -> None:
        """Of several layers in one pass: whole arrays go in, and what is made of them alone comes out."""
        for subject in self._with_power("reduce", self.subjects()):
            answer = subject.backend.on_accelerator
            same("whether `on_accelerator` is True or False", isinstance(answer, bool), True)
            self._check_tables(subject)

    def _check_tables(self, subject: Subject) -> None:
        rows, names = directions(subject.net, 2), subject.maps
        modules: list[Any] = []

        def table(xp: Any, activations: Any, gradients: Any) -> Any:
            modules.append(xp)
            n, k = gradients.shape[:2]
            a = xp.broadcast_to(xp.reshape(activations, (n, 1, -1)), (n, k, _size(activations.shape[1:])))
            return xp.concatenate([a, xp.reshape(gradients, (n, k, -1))], axis=-1)

        reductions = {subject.named(name): table for name in names}
        captured = subject.capture(names, lambda *_: rows, reduce=reductions)
        same("layers in `reduced`", sorted(captured.reduced), sorted(reductions))
        same("layers in `activations` beside `reduced`", sorted(captured.activations), [])
        same("layers in `gradients` beside `reduced`", sorted(captured.gradients), [])
        self.close("outputs beside reduced layers", captured.outputs, subject.values["dense"])
        gradients = subject.expected_gradients(rows, captured.outputs_kind)
        for name in names:
            a, g = subject.raw(name, subject.values[name]), subject.raw(name, gradients[name], True)
            n, k = g.shape[:2]
            flat = np.broadcast_to(a.reshape(n, 1, -1), (n, k, a[0].size)), g.reshape(n, k, -1)
            came = captured.reduced[subject.named(name)]
            self.close(f"what is made of {name!r} of the {subject.net.name} net", came, np.concatenate(flat, axis=-1))
            same(f"the kind of numbers of what is made of {name!r}", came.dtype, np.dtype(np.float32))
        for xp in modules:
            missing = [one for one in NAMES if not hasattr(xp, one)]
            if missing:
                deviate("the module of the arrays", f"one with {', '.join(NAMES)}", f"one without {', '.join(missing)}")

    @checks("powers-reduce")
    def test_an_error_in_a_reduction(self) -> None:
        """It passes, and the model is as it was."""
        (subject,) = self._with_power("reduce", [self.subject()])
        rows, name = directions(subject.net, 2), subject.last_map

        def fail(*arrays: Any) -> Any:
            raise MethodError("as the kit asked")

        def call() -> object:
            return subject.capture([name], lambda *_: rows, reduce={subject.named(name): fail})

        with self.unchanged(subject, "a reduction that raises"):
            refused("a reduction that raises", call, MethodError, "as the kit asked")


def _size(shape: Any) -> int:
    return int(np.prod([int(n) for n in shape]))
