"""Whether what is asked of a pass can be answered: layers that ran, rows that fit, inputs that have gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from xaicore import BackendError, LayerError
from xaicore.layers import never_ran, no_run, split_run
from xaicore_keras.inputs import Inputs
from xaicore_keras.paths import check_reachable, walk
from xaicore_keras.survey import Survey

__all__ = ["check_layers", "check_outputs", "check_start", "differentiable_inputs"]


def check_layers(names: Sequence[str], survey: Survey, model: Any) -> None:
    """Check that these layers gave a tensor in the pass that was surveyed, in the runs that are named.

    Raises:
        LayerError: one did not.
    """
    chosen = [split_run(name) for name in names]
    paths = [path for path, _ in chosen]
    if all(path in survey.specs for path in paths):
        for path, run in chosen:
            if isinstance(run, int) and run > survey.specs[path].calls:
                raise no_run(path, run, survey.specs[path].calls)
        return
    layers = walk(model)
    for name in paths:
        check_reachable(name, layers, type(model).__name__)
        if name not in survey.called:
            raise never_ran(name)
        if name not in survey.specs:
            raise LayerError(
                f"layer {name!r} gave no tensor, or runs inside a loop or a compiled function: name a layer around "
                "or before it; see `layers` for those that can be explained"
            )


def check_outputs(outputs: np.ndarray, count: int, survey: Survey, is_stated: bool) -> None:
    """Check that outputs have a row for each image.

    Args:
        outputs: as the model gives them.
        count: N.
        survey: of the model.
        is_stated: the caller says which axis holds the images.

    Raises:
        BackendError: they have not, or by chance: one image shows that another axis than the first holds the images.
    """
    facts = survey.facts
    of_one = () if is_stated or facts.count != 1 or facts.output is None else facts.outputs[facts.output]
    pairs = list(zip(of_one, outputs.shape, strict=False))
    if count > 1 and len(of_one) == outputs.ndim and pairs[:1] == [(count, count)] and (1, count) in pairs[1:]:
        raise BackendError(
            f"the model returned {tuple(of_one)} for 1 image and {outputs.shape} for {count}; expected one row per "
            "image. Images on another axis: pass output_axes=, such as 'lnc'"
        )
    if not outputs.ndim or len(outputs) != count:
        raise BackendError(
            f"the model returned {outputs.shape} for {count} images; expected ({count}, ...), one row per "
            "image. Images on another axis: pass output_axes=, such as 'lnc'"
        )


def check_start(start: np.ndarray, layer: str, survey: Survey, count: int) -> None:
    """Check that a model can resume from these activations of a layer.

    Raises:
        BackendError: their shape is another, or there are not equally many for each image.
    """
    shape = survey.specs[split_run(layer)[0]].shape[1:]
    if start.shape[1:] != shape or not len(start) or len(start) % count:
        raise BackendError(
            f"activations of shape {start.shape} for {count} images at layer {layer!r}: expected "
            f"(N*R{''.join(f', {n}' for n in shape)}), R rows for each image"
        )


def differentiable_inputs(batch: Inputs) -> tuple[int, ...]:
    """The positions of the inputs that have a gradient for each image: floating-point, with a row per image."""
    return tuple(
        i
        for i, tensor in enumerate(batch.tensors)
        if keras.backend.is_float_dtype(keras.backend.standardize_dtype(tensor.dtype))
        and len(tensor.shape)
        and tensor.shape[0] == batch.count
    )
