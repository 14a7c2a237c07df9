"""Explanations in MLflow: the logger `mlflow`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import xaicore


@xaicore.hookimpl
def xaicore_logger(options: Mapping[str, Any]) -> xaicore.Logger:
    """An `MLflowLogger` with these options."""
    from xaicore_mlflow.logger import MLflowLogger

    return MLflowLogger(**options)
