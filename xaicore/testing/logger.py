"""The suite of loggers."""

from __future__ import annotations

from xaicore.testing.lifecycle import LifecycleChecks
from xaicore.testing.shipping import ShippingChecks

__all__ = ["LoggerTests"]


class LoggerTests(ShippingChecks, LifecycleChecks):  # the last base runs first
    """Whether a logger keeps the contract. Inherit it, and say where the logger writes and what can be read back::

        class TestMine(xaicore.testing.LoggerTests):
            kit_version = 2
            plugin = xaicore_mine
            frameworks = ("mine",)

            def options(self, folder): ...  # {"root": folder}
            def rows(self, folder): ...     # [{"step": 3, "id": "a.png", "k": 0, "score": 0.9}, ...]

    docs/testing.md walks through it.
    """
