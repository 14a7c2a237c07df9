"""What the tests of the core share: a net that can be worked out by hand, and a clean plugin registry."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from toynet import ToyBackend, ToyNet

from xaicore import plugins


@pytest.fixture
def net() -> ToyNet:
    return ToyNet()


@pytest.fixture
def backend(net: ToyNet) -> ToyBackend:
    return ToyBackend(net)


@pytest.fixture
def x() -> np.ndarray:
    """Three pictures, not square, in [0, 1]."""
    return np.random.default_rng(1).uniform(size=(3, 3, 6, 8)).astype(np.float32)


@pytest.fixture
def fresh_plugins() -> Iterator[None]:
    """The registry forgets what it read, before and after."""
    plugins.installed.cache_clear()
    yield
    plugins.installed.cache_clear()
