"""What goes in the next version still works in this one, and warns."""

from __future__ import annotations

import sys
import warnings

__all__ = ["deprecated"]


def deprecated(what: str, instead: str, since: str) -> None:
    """Warn at the line outside of xaicore that uses what will be removed.

    A `DeprecationWarning`, which Python shows in scripts, notebooks and tests. A test of ours fails where it is still
    there in the version after `since`.

    Args:
        what: what was used, as it was typed: "Explainer(colour=)".
        instead: what to type: "Explainer(colormap=)".
        since: the version that first warns, "0.2".
    """
    major, minor = map(int, since.split("."))
    text = f"{what} is deprecated since xaicore {since} and is removed in {major}.{minor + 1}; use {instead}"
    warnings.warn(text, DeprecationWarning, stacklevel=_outside())


def _outside() -> int:
    """The stack level, for a warning by the caller, of the innermost frame that does not belong to xaicore."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and _is_ours(frame.f_globals.get("__name__", "")):
        frame, level = frame.f_back, level + 1
    return level


def _is_ours(module: str) -> bool:
    return module == "xaicore" or module.startswith("xaicore.")
