"""Shows where an image model looks: class activation maps for any framework, sent to any tracker.

import xaicore

explanation = xaicore.explain(model, x)
explanation.show()
"""

import importlib
from typing import TYPE_CHECKING

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
from xaicore.hookspecs import hookimpl
from xaicore.opencv import cv2  # noqa: F401 - without OpenCV, fail here

if TYPE_CHECKING:
    from xaicore import (
        facts,
        files,
        layers,
        localize,
        maps,
        models,
        outputs,
        overlay,
        randomness,
        recording,
        show,
        targets,
        testing,
    )
    from xaicore.backend import Backend, Direction, Layer, check_direction
    from xaicore.capture import Attention, Capture
    from xaicore.data.sample import Sample
    from xaicore.dataset.run import explain_dataset
    from xaicore.dataset.table import MapTable, open_maps
    from xaicore.each import explain_each
    from xaicore.evidence import Evidence
    from xaicore.explainer import Explainer
    from xaicore.explanation import Explanation
    from xaicore.facts import AttentionFacts, Facts, InputFacts, LayerFacts
    from xaicore.fitting import fitting_methods
    from xaicore.layers import default_layer, pull_in_half, unknown_layer
    from xaicore.logger import Logger, Run
    from xaicore.loggers import Loggers, open_loggers
    from xaicore.methods import METHODS, Method, method  # type: ignore[no-redef]  # not its module
    from xaicore.models import ModelLibrary, ModelSpec, NamedModel, find_model
    from xaicore.models.load import load
    from xaicore.monitor import Monitor, Watcher
    from xaicore.once import explain
    from xaicore.results import Comparison, Explanations
    from xaicore.show import Drawing
    from xaicore.targets import Target
    from xaicore.tracker import Tracker
    from xaicore.windows import sliding

__version__ = "0.1.0"

__all__ = [
    "METHODS",
    "Attention",
    "AttentionFacts",
    "Backend",
    "BackendError",
    "Capture",
    "Comparison",
    "DependencyError",
    "Direction",
    "Drawing",
    "Evidence",
    "Explainer",
    "Explanation",
    "Explanations",
    "Facts",
    "InputError",
    "InputFacts",
    "Layer",
    "LayerError",
    "LayerFacts",
    "Logger",
    "LoggerError",
    "Loggers",
    "MapTable",
    "Method",
    "MethodError",
    "ModelLibrary",
    "ModelSpec",
    "Monitor",
    "NamedModel",
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
    "explain_dataset",
    "explain_each",
    "facts",
    "files",
    "find_model",
    "fitting_methods",
    "hookimpl",
    "layers",
    "load",
    "localize",
    "maps",
    "method",
    "models",
    "open_loggers",
    "open_maps",
    "outputs",
    "overlay",
    "pull_in_half",
    "randomness",
    "recording",
    "show",
    "sliding",
    "targets",
    "testing",
    "unknown_layer",
]

# A plugin and a command line need few of these rooms: each is imported when a name of it is first used.
_HOLDERS = {
    "xaicore.backend": ("Backend", "Direction", "Layer", "check_direction"),
    "xaicore.capture": ("Attention", "Capture"),
    "xaicore.data.sample": ("Sample",),
    "xaicore.dataset.run": ("explain_dataset",),
    "xaicore.dataset.table": ("MapTable", "open_maps"),
    "xaicore.each": ("explain_each",),
    "xaicore.evidence": ("Evidence",),
    "xaicore.explainer": ("Explainer",),
    "xaicore.explanation": ("Explanation",),
    "xaicore.facts": ("AttentionFacts", "Facts", "InputFacts", "LayerFacts"),
    "xaicore.fitting": ("fitting_methods",),
    "xaicore.layers": ("default_layer", "pull_in_half", "unknown_layer"),
    "xaicore.logger": ("Logger", "Run"),
    "xaicore.loggers": ("Loggers", "open_loggers"),
    "xaicore.methods": ("METHODS", "Method", "method"),
    "xaicore.models": ("ModelLibrary", "ModelSpec", "NamedModel", "find_model"),
    "xaicore.models.load": ("load",),
    "xaicore.monitor": ("Monitor", "Watcher"),
    "xaicore.once": ("explain",),
    "xaicore.results": ("Comparison", "Explanations"),
    "xaicore.show": ("Drawing",),
    "xaicore.targets": ("Target",),
    "xaicore.tracker": ("Tracker",),
    "xaicore.windows": ("sliding",),
}
_MODULES = (
    "backend",
    "capture",
    "data",
    "dataset",
    "ensemble",
    "evidence",
    "explainer",
    "explanation",
    "facts",
    "files",
    "fitting",
    "layers",
    "localize",
    "logger",
    "loggers",
    "maps",
    "methods",
    "models",
    "monitor",
    "outputs",
    "overlay",
    "pictures",
    "plugins",
    "randomness",
    "recording",
    "show",
    "targets",
    "testing",
    "tracker",
    "trees",
    "windows",
)

if not TYPE_CHECKING:

    def __getattr__(name):
        if name in _MODULES:
            return importlib.import_module(f"xaicore.{name}")
        for holder, names in _HOLDERS.items():
            if name in names:
                return getattr(importlib.import_module(holder), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})
