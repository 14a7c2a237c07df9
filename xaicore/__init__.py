"""Shows where an image model looks: class activation maps for any framework, sent to any tracker.

import xaicore

explanation = xaicore.explain(model, x)
explanation.show()
"""

from xaicore import localize, maps, overlay, targets
from xaicore.backend import Backend, Capture, Direction, Layer, check_direction, default_layer, unknown_layer
from xaicore.errors import (
    BackendError,
    DependencyError,
    InputError,
    LayerError,
    LoggerError,
    MethodError,
    PluginError,
    TargetError,
    XaicoreError,
)
from xaicore.explainer import Explainer, explain
from xaicore.explanation import Explanation
from xaicore.hookspecs import hookimpl
from xaicore.logger import Logger, Loggers, Run, open_loggers
from xaicore.methods import METHODS, Method
from xaicore.monitor import Monitor
from xaicore.sample import Sample
from xaicore.targets import Target

__version__ = "0.1.0"

__all__ = [
    "METHODS",
    "Backend",
    "BackendError",
    "Capture",
    "DependencyError",
    "Direction",
    "Explainer",
    "Explanation",
    "InputError",
    "Layer",
    "LayerError",
    "Logger",
    "LoggerError",
    "Loggers",
    "Method",
    "MethodError",
    "Monitor",
    "PluginError",
    "Run",
    "Sample",
    "Target",
    "TargetError",
    "XaicoreError",
    "__version__",
    "check_direction",
    "default_layer",
    "explain",
    "hookimpl",
    "localize",
    "maps",
    "open_loggers",
    "overlay",
    "targets",
    "unknown_layer",
]
