"""CSV for xaicore: what was explained, one row per map."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xaicore import Logger, hookimpl


@hookimpl
def xaicore_logger(options: Mapping[str, Any]) -> Logger:
    """A logger with the user's options: `open_loggers({"csv": {"path": "maps.csv"}})`."""
    from xaicore_csvlog.logger import CsvLogger

    return CsvLogger(**options)
