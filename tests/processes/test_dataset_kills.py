"""A run that is killed at random moments, until it is done, is the same as one that was left alone, byte for byte."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from processes import TOYS, python

pytest.importorskip("pyarrow")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="lives are forks")
def test_killed_runs_come_through_as_undisturbed_ones(tmp_path: Path) -> None:
    kills = os.environ.get("XAICORE_KILLS", "4")  # `make test-kills` has 50
    done = python(str(TOYS / "dataset_kills.py"), str(tmp_path), kills)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[0]) >= int(kills)
