"""Outputs as a caller describes them, of the kit's nets."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from xaicore.errors import BackendError, OutputError
from xaicore.outputs import Output
from xaicore.testing.nets.net import Net
from xaicore.testing.nets.sequence import SequenceNet

__all__ = ["AXES", "described"]

AXES = "lnc"
"""Of what the net of a sequence answers."""


def described(net: Net, values: Mapping[str, np.ndarray], output: Output) -> np.ndarray:
    """The explained outputs, whose axes and values a caller may describe.

    Raises:
        OutputError: the description does not fit.
        BackendError: the images are not on the first axis, and nothing says so.
    """
    logits = values["dense"]
    if isinstance(net, SequenceNet) and output.axes is None:
        raise BackendError(f"the images are on axis 1 of the outputs: pass output_axes={AXES!r}")
    if output.axes is not None and len(output.axes) != logits.ndim:
        raise OutputError(f"output_axes={output.axes!r}: the output has shape {logits.shape}, {logits.ndim} axes")
    if output.read is None:
        return logits
    try:
        read = output.read(net.answer(values))
    except Exception as exc:
        raise OutputError(f"the function of the answer raised {type(exc).__name__}: {exc}") from exc
    if not isinstance(read, np.ndarray) or read.dtype.kind != "f":
        kind = getattr(read, "dtype", type(read).__name__)
        raise OutputError(f"the function of the answer returned {kind}: expected an array of scores")
    return read if output.is_score else logits
