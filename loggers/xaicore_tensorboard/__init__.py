"""Explanations in TensorBoard: the logger `tensorboard`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import xaicore


@xaicore.hookimpl
def xaicore_logger(options: Mapping[str, Any]) -> xaicore.Logger:
    """A `TensorBoardLogger` with these options."""
    from xaicore_tensorboard.logger import TensorBoardLogger

    return TensorBoardLogger(**options)
