"""Does a plugin speak this version of its contract?"""

from __future__ import annotations

from typing import Any

from xaicore.errors import PluginError

__all__ = ["check_version"]


def check_version(theirs: Any, ours: int, origin: str, distribution: str | None = None) -> None:
    """Check the `api_version` of what a plugin gave.

    A version changes only where plugins of the one before cannot work any more: nothing is gained by trying.

    Args:
        theirs: the plugin's.
        ours: the one that this xaicore speaks.
        origin: who gave it, for messages: "backend plugin 'jax' from acme 1.0".
        distribution: what pip calls the plugin's package; None where that is not known.

    Raises:
        PluginError: it is another one, or no whole number.
    """
    if not isinstance(theirs, int) or isinstance(theirs, bool):
        raise PluginError(f"{origin} has api_version {theirs!r}; expected a whole number, as in: api_version = {ours}")
    if theirs != ours:
        older, package = ("the plugin", distribution) if theirs < ours else ("xaicore", "xaicore")
        command = "" if package is None else f"; try: pip install --upgrade {package}"
        raise PluginError(f"{origin} speaks api_version {theirs}, this xaicore speaks {ours}: upgrade {older}{command}")
