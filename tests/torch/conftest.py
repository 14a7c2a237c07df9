import os

import pytest
import torch
from garbage import pytest_collection_finish, pytest_runtest_setup  # noqa: F401
from torch_state import fingerprint

from xaicore.testing.state import guard

# One thread, as other tests run beside these; OMP_NUM_THREADS chooses another number.
torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))


@pytest.fixture
def unchanged():
    """`with unchanged(model): ...` fails when anything of the model or of the process is different afterwards."""
    return guard(fingerprint)
