"""PyTorch for xaicore. Imports torch only for a model that is one of torch's."""

import sys
from typing import Any

from xaicore import Backend, hookimpl


@hookimpl
def xaicore_backend(model: Any, output: int | str | None) -> Backend | None:
    """A backend for any `torch.nn.Module`; whoever has one has imported torch."""
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(model, torch.nn.Module):
        return None
    from xaicore_torch.backend import TorchBackend

    return TorchBackend(model, output)
