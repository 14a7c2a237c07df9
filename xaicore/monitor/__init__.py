"""The same images, explained again and again while a model trains."""

from xaicore.monitor.callback import Watcher
from xaicore.monitor.monitor import Monitor

__all__ = ["Monitor", "Watcher"]
