"""Maps that are computed where the tensors lie, beside those of whole arrays, and the bytes that each way takes."""

from __future__ import annotations

from typing import Any

import numpy as np
from rich.console import Console

import xaicore
from benchmarks.gpu.verdict import Verdict
from xaicore.methods import METHODS

FORMULAS = [name for name, method in METHODS.items() if method.is_formula and method.fusion is None]
CLOSE = 1e-5
"""The largest difference of a heatmap's values."""


def backend_of(kind: type[xaicore.Backend], model: Any, reduces: bool) -> Any:
    """A backend of this model that reduces layers wherever the model lies, or nowhere; it counts bytes of arrays."""

    class Counting(kind):  # type: ignore[misc, valid-type]
        on_accelerator = reduces
        count = 0

        def capture(self, *arguments: Any, **options: Any) -> xaicore.Capture:
            captured: xaicore.Capture = super().capture(*arguments, **options)
            arrays = [captured.outputs]
            for of_layers in (captured.activations, captured.gradients, captured.reduced):
                arrays += of_layers.values()
            self.count += sum(array.nbytes for array in arrays)
            return captured

    return Counting(model)


def compared(what: str, kind: type[xaicore.Backend], model: Any, x: Any, **options: Any) -> list[Verdict]:
    """A verdict for each formula on two targets of each picture, both ways on the same device."""
    targets = [[0, 1]] * len(x)

    def explained(reduces: bool) -> Any:
        explainer = xaicore.Explainer(model, backend=backend_of(kind, model, reduces), progress=False, **options)
        return explainer.compare(x, FORMULAS, targets)

    def difference(name: str) -> str:
        apart = float(np.abs(reduced[name].heatmaps() - whole[name].heatmaps()).max())
        return "no evidence" if whole[name].empty.all() else "" if apart <= CLOSE else f"heatmaps differ by {apart:.2g}"

    reduced, whole = explained(True), explained(False)
    return [Verdict.of(f"{name} of {what}, reduced as whole", lambda name=name: difference(name)) for name in FORMULAS]


def travelled(console: Console, kind: type[xaicore.Backend], model: Any, x: Any, what: str) -> None:
    """Print the bytes per map that Grad-CAM of the predicted class brings to the host, in a call after the first."""
    counts = {}
    for reduces in (True, False):
        backend = backend_of(kind, model, reduces)
        explainer = xaicore.Explainer(model, backend=backend, progress=False)
        explainer(x)
        backend.count = 0
        explainer(x)
        counts[reduces] = backend.count / len(x)
    console.print(f"bytes per map of {what}: {counts[True]:,.0f} reduced, {counts[False]:,.0f} whole", markup=False)
