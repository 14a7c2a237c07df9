"""A word about a plugin that takes long: an import cannot be interrupted, but the user can leave the plugin out."""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Iterator

from xaicore.plugins.disabled import disable_command
from xaicore.plugins.entry_point import Plugin

__all__ = ["SECONDS", "told_if_slow"]

SECONDS = 20.0
"""How long a plugin may take before its user is told which one it is."""


@contextlib.contextmanager
def told_if_slow(plugin: Plugin, what: str) -> Iterator[None]:
    """Warn once the plugin has taken more than `SECONDS` for what it does, such as "to be imported"."""

    def tell() -> None:
        warnings.warn(
            f"{plugin} takes more than {SECONDS:g} s {what}. If it hangs, stop this program and leave it out: "
            f"{disable_command(plugin.name)}",
            RuntimeWarning,
            stacklevel=2,
        )

    timer = threading.Timer(SECONDS, tell)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
