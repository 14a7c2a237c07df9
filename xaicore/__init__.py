"""Shows where an image model looks: class activation maps for any framework, sent to any tracker.

import xaicore

explanation = xaicore.explain(model, x)
explanation.show()
"""

from xaicore import layers, localize, maps, outputs, overlay, randomness, show, targets
from xaicore.backend import Backend, Capture, Direction, Layer, check_direction, pull_in_half
from xaicore.data.sample import Sample
from xaicore.errors import (
    BackendError,
    DependencyError,
    InputError,
    LayerError,
    LoggerError,
    MethodError,
    OutputError,
    PluginError,
    TargetError,
    XaicoreError,
)
from xaicore.explainer import Explainer, explain
from xaicore.explanation import Explanation
from xaicore.facts import Facts, InputFacts, LayerFacts
from xaicore.hookspecs import hookimpl
from xaicore.layers import default_layer, unknown_layer
from xaicore.logger import Logger, Run
from xaicore.loggers import Loggers, open_loggers
from xaicore.methods import METHODS, Method
from xaicore.monitor import Monitor, Watcher
from xaicore.show import Drawing
from xaicore.targets import Target
from xaicore.tracker import Tracker

__version__ = "0.1.0"

__all__ = [
    "METHODS",
    "Backend",
    "BackendError",
    "Capture",
    "DependencyError",
    "Direction",
    "Drawing",
    "Explainer",
    "Explanation",
    "Facts",
    "InputError",
    "InputFacts",
    "Layer",
    "LayerError",
    "LayerFacts",
    "Logger",
    "LoggerError",
    "Loggers",
    "Method",
    "MethodError",
    "Monitor",
    "OutputError",
    "PluginError",
    "Run",
    "Sample",
    "Target",
    "TargetError",
    "Tracker",
    "Watcher",
    "XaicoreError",
    "__version__",
    "check_direction",
    "default_layer",
    "explain",
    "hookimpl",
    "layers",
    "localize",
    "maps",
    "open_loggers",
    "outputs",
    "overlay",
    "pull_in_half",
    "randomness",
    "show",
    "targets",
    "unknown_layer",
]
