"""What the tests of training share."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from garbage import pytest_collection_finish, pytest_runtest_setup  # noqa: F401


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Sums in one order, on however many cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def alone(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What the module's training leaves behind when nothing watches it."""
    torch.set_num_threads(1)
    return request.module.train()


@pytest.fixture
def quiet() -> Iterator[None]:
    """What a monitor is to warn of, in a training that is to go on."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"logger .* is switched off|.*reported once")
        yield
