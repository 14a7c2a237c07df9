"""The plugin's hook. Trackio is imported when a run is opened."""

from __future__ import annotations

from typing import Any

from xaicore import Logger, hookimpl


@hookimpl
def xaicore_logger(options: dict[str, Any]) -> Logger:
    """A `TrackioLogger` with these options."""
    from xaicore_trackio.logger import TrackioLogger

    return TrackioLogger(**options)
