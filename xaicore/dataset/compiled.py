"""What compiling changes in the maps, and which runs can be compiled."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xaicore.data.labels import Labels
from xaicore.dataset.precision import Difference, same_classes
from xaicore.errors import InputError, MethodError
from xaicore.explainer import Explainer
from xaicore.source.inputs import Inputs, batch_of
from xaicore.source.items import Item, prepared_as
from xaicore.targets import Target

__all__ = ["check_can_compile", "compiled_difference"]

COMPILED = ("activations", "gradients", "weights")
"""What methods may need of a pass that is compiled."""


def check_can_compile(explainer: Explainer, target: Target) -> None:
    """Refuse a run whose passes a backend would not compile.

    Raises:
        MethodError: the method needs other passes.
        InputError: the target reads several outputs, or pictures are explained in several versions.
    """
    method = explainer.method
    more = [need for need in method.asks if need not in COMPILED]
    if more:
        raise MethodError(
            f"compile=True is for passes that record activations and gradients of layers, and method {method.name!r} "
            f"needs {' and '.join(map(repr, more))}: pass method='gradcam', or leave compile out"
        )
    if explainer.ensemble.has_versions:
        raise InputError(
            "compile=True is for batches of one size, and smooth= and augment= make others: leave them out, or "
            "leave compile out"
        )
    if target.needs_parts:
        raise InputError(
            f"compile=True is for one output, and target {target} reads others beside it: leave compile out"
        )


def compiled_difference(
    own: Explainer, compiled: Explainer, target: Target, items: Sequence[Item], count: int
) -> Difference | None:
    """Explain pictures both ways; None where none of them can be read and explained without compiling.

    Args:
        own: not compiled.
        compiled: the same, compiled for batches of `count` pictures; it explains the classes that `own` chose.
        target: what is explained.
        items: the pictures, of which `count` at most are compared.
        count: pictures in a batch. The compared ones are repeated to fill it.

    Raises:
        XaicoreError: the model cannot be compiled, or computes something else when it is.
    """
    chosen: list[tuple[Item, np.ndarray | Inputs, np.ndarray | None]] = []
    assert own.preparation is not None
    for item in items[:count]:
        try:
            x, image = prepared_as(own.preparation, item.source.read(), item.id)
        except Exception:  # it will be a row with its error
            continue
        if not chosen or x.shape == chosen[0][1].shape:
            chosen.append((item, x, image))
    if not chosen:
        return None
    filled, xs, images = zip(*(chosen[n % len(chosen)] for n in range(count)), strict=True)
    ids = [item.id if n < len(chosen) else f"copy {n}" for n, item in enumerate(filled)]
    x, labels = batch_of(xs), Labels(tuple(ids))
    pictures = None if any(one is None for one in images) else np.stack(images)
    target = target.take(np.array([item.position for item in filled]))
    try:
        first = own.run(x, [own.method], target, pictures, labels)[0]
    except Exception:  # they will be rows with their errors
        return None
    second = compiled.run(x, [compiled.method], same_classes(first, target), pictures, labels)[0]
    compared = range(len(chosen))
    return Difference.of([(first.take(compared), second.take(compared))])
