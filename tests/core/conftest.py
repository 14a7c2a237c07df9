"""What the tests of the core share."""

from __future__ import annotations

import hypothesis_profile  # noqa: F401
import numpy as np
import pytest
from clock import clock  # noqa: F401
from sites import site  # noqa: F401
from toynet import ToyBackend, ToyNet
from workshop import shop  # noqa: F401


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
