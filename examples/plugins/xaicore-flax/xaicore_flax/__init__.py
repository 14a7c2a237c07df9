"""The plugin's hook. It imports Flax, and what needs it, when it is asked for a model of Flax."""

from __future__ import annotations

import sys
from typing import Any

from xaicore import Backend, hookimpl


@hookimpl
def xaicore_backend(model: Any, output: int | str | None) -> Backend | None:
    """The backend of an `nnx.Module`, else None. A program that has such a module has imported Flax."""
    nnx = sys.modules.get("flax.nnx")
    if nnx is None or not isinstance(model, nnx.Module):
        return None
    from xaicore_flax.backend import FlaxBackend

    return FlaxBackend(model, output)
