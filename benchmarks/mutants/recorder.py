"""A plugin of pytest that notes which lines of a package each test runs, and how long it takes.

`XAICORE_RECORD` names the package's folder, `XAICORE_RECORD_TO` the file of JSON: {test: [seconds, {module: lines}]}.
A test that fails, or is skipped, is left out. Lines that a module runs when it is imported belong to no test.
"""

from __future__ import annotations

import inspect
import json
import os
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

FOLDER = os.environ["XAICORE_RECORD"] + os.sep

ran: dict[str, set[int]] = defaultdict(set)
found: dict[str, tuple[float, dict[str, list[int]]]] = {}
failed: set[str] = set()


def of_line(frame: FrameType, event: str, _: Any) -> Any:
    """Called for each line of a function of the package."""
    ran[frame.f_code.co_filename[len(FOLDER) :]].add(frame.f_lineno)
    return of_line


def of_call(frame: FrameType, event: str, _: Any) -> Any:
    """Called for each call; the bodies of modules and classes are no functions."""
    code = frame.f_code
    is_function = code.co_flags & inspect.CO_OPTIMIZED
    return of_line if is_function and code.co_filename.startswith(FOLDER) else None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Lines and seconds of one test, with its fixtures."""
    ran.clear()
    start = time.perf_counter()
    threading.settrace(of_call)
    sys.settrace(of_call)
    try:
        return (yield)
    finally:
        sys.settrace(None)
        threading.settrace(None)  # type: ignore[arg-type]  # that is how it is switched off
        seconds = round(time.perf_counter() - start, 3)
        found[item.nodeid] = seconds, {name: sorted(lines) for name, lines in ran.items()}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Whether it passed."""
    if report.outcome != "passed":
        failed.add(report.nodeid)


def pytest_sessionfinish() -> None:
    """Write what was seen."""
    tests = {name: seen for name, seen in found.items() if name not in failed}
    Path(os.environ["XAICORE_RECORD_TO"]).write_text(json.dumps(tests))
