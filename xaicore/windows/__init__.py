"""Inputs that do not fit into memory at once, explained window by window."""

from xaicore.windows.walk import sliding

__all__ = ["sliding"]
