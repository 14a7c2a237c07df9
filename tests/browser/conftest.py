"""One browser for all tests, tabs that complain about everything, and a run to look at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import toy_run
from browser import Browser, Tab
from garbage import pytest_collection_finish, pytest_runtest_setup  # noqa: F401


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    running = Browser(tmp_path_factory.mktemp("profile"))
    yield running
    running.close()


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Tab]]:
    """Open a page in a window; in the end, it must have had nothing to say and asked for nothing but its files.

    `address` is what the address says behind the #: the pictures of the run in the order in which they were logged.
    """
    tabs: list[Tab] = []

    def opened(
        root: Path,
        width: int = 1200,
        height: int = 900,
        page: str = "index.html",
        address: str = "group=&sort=logged",
        **media: Any,
    ) -> Tab:
        tabs.append(Tab(browser, f"{(root / page).as_uri()}#{address}", width, height, **media))
        tabs[-1].settle()
        return tabs[-1]

    yield opened
    for tab in tabs:
        asked = [url for url in tab.requests() if not url.startswith(("file:///", "data:"))]
        assert (tab.close(), asked) == ([], [])


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy run, in a folder whose name has to be escaped in a URL."""
    return toy_run.write(tmp_path_factory.mktemp("a run #1 100%"))
