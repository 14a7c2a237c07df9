"""Which methods fit a model: each begins to explain an input, and the error that stops it is the reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np

from xaicore import plugins
from xaicore.backend import Backend
from xaicore.data.labels import Labels
from xaicore.data.targets import read_target
from xaicore.errors import XaicoreError
from xaicore.evidence import Evidence, missing_power
from xaicore.explainer import Explainer
from xaicore.methods import METHODS, Method, find_method

__all__ = ["fitting_methods", "method_names"]


class _Begun(Exception):
    """A method of many passes is through the first of them: the others do the same."""


def fitting_methods(
    model: Any,
    x: Any,
    targets: Any = None,
    *,
    layer: str | Sequence[str] | None = None,
    axes: str | None = None,
    grid: Sequence[int] | None = None,
    output: int | str | None = None,
    activation: str | None = None,
    kind: str | None = None,
    input_axes: str | None = None,
    outliers: str | None = None,
    backend: str | Backend | None = None,
    preprocess: Callable[..., Any] | str | None = None,
) -> dict[str, str | None]:
    """Every method, built in or an installed plugin's: {name: None where it fits the model, else the reason}.

    Each method explains the input as `explain` would. One of thousands of passes stops after the first of them, so that
    all methods together take some dozens of passes.

    Args:
        model: a model of any framework that a backend plugin accepts.
        x: exactly what the model takes, or with `preprocess` pictures. One image is enough.
        targets, layer, axes, grid, output, activation, kind, input_axes, outliers, backend, preprocess: as in
            `explain`.

    Raises:
        PluginError: no backend accepts this model.
        LayerError, TargetError, InputError, BackendError, OutputError: this input, target or option suits no method;
            the model is as before.
    """
    reading = (activation, kind, axes, grid, input_axes, outliers)
    labels = Labels.read(None, None, None)
    target = read_target(targets, None, None)

    def begin(explainer: Explainer, method: Method) -> None:
        explainer.run(inputs, [method], target, None, labels)

    options: dict[str, Any] = {"batch_size": 1, "progress": _stop, "preprocess": preprocess}
    first = Explainer(model, "gradcam", layer, backend, output, *reading, **options)
    pictures = first.read(x)
    inputs = x if pictures is None else pictures.x
    # Without layer=, CAM looks for a layer of its own: the one that the classifier reads.
    classified = Explainer(model, "cam", layer, first.backend, None, *reading, **options)
    begin(first, Method("any", _any, ()))  # what stops this one stops all: it is raised
    reasons: dict[str, str | None] = {}
    for name in method_names():
        reasons[name] = None
        try:
            method = find_method(name)
            missing = missing_power(method.asks, first.backend)
            if missing is None:
                begin(classified if method.needs == "weights" else first, method)
            else:
                reasons[name] = f"it needs {missing!r}, which backend {first.backend.name!r} does not offer"
        except _Begun:
            pass
        except XaicoreError as exc:
            reasons[name] = str(exc)
    return reasons


def method_names() -> list[str]:
    """The built-in methods, then those of installed plugins, which are not imported."""
    return [*METHODS, *(name for name in plugins.installed().names("method") if name not in METHODS)]


def _stop(done: int, total: int) -> NoReturn:
    raise _Begun


def _any(evidence: Evidence) -> np.ndarray:
    """A map that needs nothing of the model but that its outputs can be explained."""
    return np.ones((len(evidence.aim.classes), 1, *evidence.size), np.float32)
