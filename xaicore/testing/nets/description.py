"""Outputs as a caller describes them, of the kit's nets."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from xaicore.errors import OutputError
from xaicore.outputs import Output
from xaicore.testing.nets.net import Net

__all__ = ["described"]


def described(net: Net, values: Mapping[str, np.ndarray], output: Output) -> np.ndarray:
    """The explained outputs, whose axes and values a caller may describe.

    Raises:
        OutputError: the description does not fit.
    """
    logits = values["dense"]
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
