"""The hooks that plugins implement. Two return a `Backend` or a `Logger`, which hold the contract; others are optional.

A plugin is a module (or an instance) that an entry point of the group `xaicore.backends` or `xaicore.loggers` names.
It must not import a framework at import time: look in `sys.modules`, or import inside the hook. An implementation may
take fewer arguments than its specification, so that a specification can gain arguments and plugins still work.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from xaicore.backend import Backend
    from xaicore.logger import Logger
    from xaicore.models import ModelLibrary, ModelSpec, NamedModel
    from xaicore.outputs import Output

hookspec = pluggy.HookspecMarker("xaicore")
hookimpl = pluggy.HookimplMarker("xaicore")


@hookspec(firstresult=True)
def xaicore_backend(model: Any, output: int | str | Output | None) -> Backend | None:
    """Return a backend for this model, or None if the model is not of this framework.

    `output` chooses one of several outputs, by index or name; None if the caller did not choose. A backend with the
    power "parts" also gets an `xaicore.outputs.Output`.
    """


@hookspec(firstresult=True)
def xaicore_logger(options: Mapping[str, Any]) -> Logger | None:
    """Return a logger with these options. Connections and folders are opened later, by `Logger.open`."""


@hookspec(firstresult=True)
def xaicore_missing() -> tuple[Sequence[str], str] | None:
    """Optional, for `xaicore plugins --check`: return the libraries that the plugin lacks, and what to type; or None.

    Where it is left out, the requirements of the package and of its extra with the plugin's name are checked. They
    cannot say "one of these frameworks". It must not import a framework.
    """


@hookspec(firstresult=True)
def xaicore_model(spec: ModelSpec) -> NamedModel | None:
    """Optional, for backends: return the model that a user names, or None: "not mine".

    A plugin knows its models by `spec.library`, such as "timm", or by the file that `spec.text` names. Where code has
    built the model, `spec.model`, only its weights, if there are any, are left to be loaded. Raise an `XaicoreError`
    for a model that is yours and cannot be had. Import nothing heavy before a spec is yours.
    """


@hookspec(firstresult=True)
def xaicore_model_libraries() -> Sequence[ModelLibrary] | None:
    """Optional, for backends: return the libraries whose models `xaicore_model` knows, installed or not.

    `xaicore models` lists their names, messages about unknown names suggest the nearest, and where the user names no
    model, one of their defaults is taken. It must not import a library.
    """
