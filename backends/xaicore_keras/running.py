"""Which engine is running: the one whose entry point has the name of Keras' backend."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points

import keras

from xaicore import PluginError
from xaicore.versions import check_version
from xaicore_keras.engine import Engine
from xaicore_keras.engines.forward import ForwardEngine

__all__ = ["GROUP", "running_engine"]

GROUP = "xaicore_keras.engines"

OWN = {
    "tensorflow": "xaicore_keras.engines.tensorflow:TensorFlowEngine",
    "jax": "xaicore_keras.engines.jax:JaxEngine",
    "torch": "xaicore_keras.engines.torch:TorchEngine",
}
"""Those in xaicore's metadata, for where an editable installation has those of an older version."""


def running_engine() -> Engine:
    """The engine for the backend that Keras runs on; one that only runs forward where no package has another.

    Raises:
        PluginError: the engine does not import, is none, is of another version, or has two owners.
    """
    running = keras.backend.backend()
    claims = list(entry_points(group=GROUP, name=running))
    if not claims:
        return _made(EntryPoint(running, OWN[running], GROUP)) if running in OWN else ForwardEngine()
    if len(claims) > 1:
        owners = " and ".join(_owner(claim) for claim in claims)
        raise PluginError(f"Keras' engine {running!r} is claimed by {owners}: uninstall all but one of them")
    return _made(claims[0])


def _made(claim: EntryPoint) -> Engine:
    origin = f"Keras' engine {claim.name!r} from {_owner(claim)}"
    try:
        found = claim.load()
    except Exception as exc:  # a module that does not import raises anything
        raise PluginError(f"{origin} does not import: {type(exc).__name__}: {exc}") from exc
    if not (isinstance(found, type) and issubclass(found, Engine)):
        raise PluginError(f"{origin} is {found!r:.80}; expected a subclass of xaicore_keras.Engine, as 'module:Class'")
    check_version(found.api_version, Engine.api_version, origin, None if claim.dist is None else claim.dist.name)
    try:
        return found()
    except TypeError as exc:  # abstract methods that it lacks, or arguments
        raise PluginError(f"{origin} cannot be made: {exc}; expected a class without arguments") from exc


def _owner(claim: EntryPoint) -> str:
    return "an unknown distribution" if claim.dist is None else f"{claim.dist.name} {claim.dist.version}"
