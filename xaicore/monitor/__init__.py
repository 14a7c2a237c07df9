"""The same pictures, explained again and again while a model trains."""

from xaicore.monitor.monitor import Monitor

__all__ = ["Monitor"]
