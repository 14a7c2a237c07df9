"""The two hooks that plugins implement. All of the contract is `Backend` and `Logger`; a hook only hands one over.

A plugin is a module (or an instance) named by an entry point of the group `xaicore.backends` or
`xaicore.loggers`. It must import no framework when it is itself imported: look in `sys.modules`, or import
inside the hook. An implementation may take fewer arguments than its specification, so that specifications can
gain arguments without breaking anybody.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from xaicore.backend import Backend
    from xaicore.logger import Logger

hookspec = pluggy.HookspecMarker("xaicore")
hookimpl = pluggy.HookimplMarker("xaicore")


@hookspec(firstresult=True)
def xaicore_backend(model: Any, output: int | str | None) -> Backend | None:
    """Return a backend for this model, or None: "not mine".

    `output` says which of several outputs is meant (an index or a name); None where the caller named none.
    """


@hookspec(firstresult=True)
def xaicore_logger(options: Mapping[str, Any]) -> Logger | None:
    """Return a logger built with these options. Opening connections and folders waits for `Logger.open`."""
