"""Explanations as files in a folder, and a page that shows them: the logger `disk`.

Reading a run back: `xaicore_disk.manifest.read_manifest("runs/a")`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import xaicore


@xaicore.hookimpl
def xaicore_logger(options: Mapping[str, Any]) -> xaicore.Logger:
    """A `DiskLogger` with these options."""
    from xaicore_disk.logger import DiskLogger

    return DiskLogger(**options)
