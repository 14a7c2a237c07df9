"""The hooks of a backend and of a source of models, as xaicore 0.1 has them."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import Any

from xaicore import Backend, ModelLibrary, ModelSpec, NamedModel, hookimpl


@hookimpl
def xaicore_backend(model: Any) -> Backend | None:
    """Without `output`: a hook may leave out arguments."""
    stonenet = sys.modules.get("stonenet")
    if stonenet is None or not isinstance(model, stonenet.Net):
        return None
    from xaicore_stonenet.backend import StonenetBackend

    return StonenetBackend(model)


@hookimpl
def xaicore_missing() -> tuple[list[str], str] | None:
    return None if find_spec("stonenet") else (["stonenet"], "pip install stonenet")


@hookimpl
def xaicore_model(spec: ModelSpec) -> NamedModel | None:
    if spec.library != "stonenet":
        return None
    from xaicore_stonenet.zoo import load

    return load(spec)


@hookimpl
def xaicore_model_libraries() -> list[ModelLibrary]:
    from xaicore_stonenet.zoo import LIBRARY

    return [LIBRARY]
