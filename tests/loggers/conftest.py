"""Tests of the trackers and of the disk logger."""

import hypothesis_profile  # noqa: F401
