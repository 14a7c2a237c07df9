"""The errors that xaicore and its plugins raise on purpose.

A message says what was passed, what was expected and what to do. Each class also derives from the built-in error that
a caller would expect, so that callers' `except ValueError` still works.
"""

__all__ = [
    "BackendError",
    "DependencyError",
    "InputError",
    "LayerError",
    "LoggerError",
    "MethodError",
    "OutputError",
    "PluginError",
    "TargetError",
    "XaicoreError",
    "type_name",
]


class XaicoreError(Exception):
    """The base class of all errors of xaicore and its plugins."""


class DependencyError(XaicoreError, ImportError):
    """A required library is missing or does not import."""


class PluginError(XaicoreError):
    """A plugin is missing, broken, claimed by two distributions, or does not keep the contract."""


class BackendError(XaicoreError, RuntimeError):
    """A backend cannot do what was asked, or the model itself raised."""


class InputError(XaicoreError, ValueError):
    """Inputs, pictures, ids, labels or options have the wrong type, shape, length or value."""


class OutputError(BackendError, InputError):
    """The model has no such output, or several and the caller chose none."""


class LayerError(XaicoreError, ValueError):
    """A layer does not exist, never ran, has no map, or does not reach the outputs."""


class TargetError(XaicoreError, ValueError):
    """A target is out of range, has the wrong length, or has no meaning for these outputs."""


class MethodError(XaicoreError, ValueError):
    """A method is unknown, or does not apply to the model."""


class LoggerError(XaicoreError, OSError):
    """A logger cannot write or send an explanation."""


def type_name(value: object) -> str:
    """The module and name of an object's class, such as "builtins.dict", for messages."""
    return f"{type(value).__module__}.{type(value).__qualname__}"
