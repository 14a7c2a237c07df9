"""Explanations in Weights & Biases: the logger `wandb`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import xaicore


@xaicore.hookimpl
def xaicore_logger(options: Mapping[str, Any]) -> xaicore.Logger:
    """A `WandbLogger` with these options."""
    from xaicore_wandb.logger import WandbLogger

    return WandbLogger(**options)
