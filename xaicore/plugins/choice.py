"""The backend of a model, as the caller chooses it."""

from __future__ import annotations

from typing import Any

from xaicore.backend import Backend
from xaicore.errors import InputError
from xaicore.outputs import Output
from xaicore.plugins.registry import check_instance, installed

__all__ = ["backend_for"]


def backend_for(model: Any, backend: str | Backend | None, output: int | str | Output | None) -> Backend:
    """The backend of a model, for one of its outputs.

    Raises:
        PluginError: no backend accepts this model.
        InputError: the backend is already built, or knows outputs by name and position alone.
    """
    if isinstance(backend, Backend):
        if output is not None:
            raise InputError(f"output={output!r} with a Backend instance: build the backend for that output")
        check_instance(backend, "backend", "backend=")
        return backend
    if not isinstance(output, Output):
        return installed().backend(model, output, backend)
    plain = installed().backend(model, output.name, backend)
    if "parts" not in plain.powers:
        raise InputError(
            f"backend {plain.name!r} takes the name or position of an output, and neither its axes nor a function of "
            "the model's answer: explain a model that returns (N, classes)"
        )
    return installed().backend(model, output, backend)
