"""The plugin's hooks. They import tinyconv, and what needs it, when they are asked for a model of tinyconv."""

from __future__ import annotations

import sys
from typing import Any

from xaicore import Backend, InputError, ModelLibrary, ModelSpec, NamedModel, hookimpl


@hookimpl
def xaicore_backend(model: Any, output: int | str | None) -> Backend | None:
    """The backend of a `tinyconv.Net`, else None. A program that has such a net has imported tinyconv."""
    tinyconv = sys.modules.get("tinyconv")
    if tinyconv is None or not isinstance(model, tinyconv.Net):
        return None
    if output not in (None, 0):
        raise InputError(f"output={output!r}: a tinyconv net has one output; leave it out")
    from xaicore_tinyconv.backend import TinyconvBackend

    return TinyconvBackend(model)


@hookimpl
def xaicore_model(spec: ModelSpec) -> NamedModel | None:
    """The model `tinyconv/NAME`, else None."""
    if spec.library != "tinyconv":
        return None
    from xaicore_tinyconv.models import load

    return load(spec)


@hookimpl
def xaicore_model_libraries() -> list[ModelLibrary]:
    """For `xaicore models`, and for names that are nearly right."""
    from xaicore_tinyconv.models import LIBRARY

    return [LIBRARY]
