"""The files of a run: errors say how it goes on."""

from __future__ import annotations

from functools import partial

from xaicore.files import file_errors, write_whole

__all__ = ["run_errors", "write"]

ADVICE = "pass another out; finished parts are kept, and resume=True goes on with them"

run_errors = partial(file_errors, advice=ADVICE)
write = partial(write_whole, advice=ADVICE)
