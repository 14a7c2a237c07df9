"""The plugin's hook. It imports neither tinyconv nor the backend before there is a model of tinyconv."""

from __future__ import annotations

import sys
from typing import Any

from xaicore import Backend, InputError, hookimpl


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
