"""Everything that xaicore raises on purpose.

A message says what was passed, what was expected and what to do. Each error is also the built-in one that a
caller would expect, so that `except ValueError` goes on working around us.
"""

__all__ = [
    "BackendError",
    "DependencyError",
    "InputError",
    "LayerError",
    "LoggerError",
    "MethodError",
    "PluginError",
    "TargetError",
    "XaicoreError",
]


class XaicoreError(Exception):
    """The base of all errors of xaicore and of its plugins."""


class DependencyError(XaicoreError, ImportError):
    """A library that is needed is missing or does not load."""


class PluginError(XaicoreError):
    """A plugin is missing, broken, claimed twice, or does not keep the contract."""


class BackendError(XaicoreError, RuntimeError):
    """A backend cannot do what was asked, or the model itself failed in it."""


class InputError(XaicoreError, ValueError):
    """Inputs, pictures, ids or labels of the wrong kind, shape, length or value."""


class LayerError(XaicoreError, ValueError):
    """A layer does not exist, never ran, has no map, or does not reach the outputs."""


class TargetError(XaicoreError, ValueError):
    """A target is out of range, of the wrong length, or has no meaning for these outputs."""


class MethodError(XaicoreError, ValueError):
    """A method is unknown, or does not fit the model."""


class LoggerError(XaicoreError, OSError):
    """A logger cannot keep or ship what it was given."""
