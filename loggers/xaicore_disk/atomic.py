"""The files of a run, which are written as a whole or not at all: errors say where its folder is chosen."""

from __future__ import annotations

from functools import partial

from xaicore.files import TEMPORARY, file_errors, write_whole

__all__ = ["TEMPORARY", "logger_errors", "write"]

ADVICE = "choose another folder for the run: the option root, on the command line --out"

logger_errors = partial(file_errors, advice=ADVICE)
write = partial(write_whole, advice=ADVICE)
