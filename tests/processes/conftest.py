"""What the tests that start processes share."""

from __future__ import annotations

from sites import site  # noqa: F401
from workshop import shop  # noqa: F401
