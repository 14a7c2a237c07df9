"""The methods: NumPy arithmetic on a Capture.

A method is a function `f(activations, gradients)` with an attribute `needs`:

- "gradients": `gradients` is (N, K, C, *S), the gradient of each of K scores with respect to the activations;
- "weights": `gradients` is (N, K, C), the classifier's rows;
- "activations": `gradients` is None.

Activations are (N, C, *S); the result is (N, K, *S), or (N, 1, *S) where the map is the same for every target.
Negative values are set to zero afterwards. Your own function is passed as `method=`; without `needs`, it gets the
gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xaicore.errors import MethodError, did_you_mean
from xaicore.methods.channelwise import gradcam, gradcam_plus_plus, xgradcam
from xaicore.methods.classifier import cam
from xaicore.methods.eigen import eigencam, eigengradcam
from xaicore.methods.elementwise import gradcam_elementwise, hirescam, layercam
from xaicore.methods.randomized import random

__all__ = ["METHODS", "Method", "MethodLike", "find_method", "find_methods"]

NEEDS = ("activations", "gradients", "weights")


@dataclass(frozen=True)
class Method:
    """A named function from activations (and gradients or weights) to maps."""

    name: str
    function: Callable[[np.ndarray, Any], np.ndarray]
    needs: str = "gradients"

    def __post_init__(self) -> None:
        if self.needs not in NEEDS:
            raise MethodError(f"method {self.name!r} needs {self.needs!r}; expected one of {', '.join(NEEDS)}")


MethodLike = str | Callable[..., np.ndarray] | Method

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method("cam", cam, "weights"),
        Method("gradcam", gradcam),
        Method("gradcam++", gradcam_plus_plus),
        Method("xgradcam", xgradcam),
        Method("hirescam", hirescam),
        Method("gradcam-elementwise", gradcam_elementwise),
        Method("layercam", layercam),
        Method("eigencam", eigencam, "activations"),
        Method("eigengradcam", eigengradcam),
        Method("random", random, "activations"),
    )
}


def find_method(method: MethodLike) -> Method:
    """The method of this name, or a `Method` around a function.

    Raises:
        MethodError: the name is unknown, or `method` is neither a name nor a function.
    """
    if isinstance(method, Method):
        return method
    if isinstance(method, str):
        if method in METHODS:
            return METHODS[method]
        raise MethodError(f"no method called {method!r}; known: {', '.join(METHODS)}{did_you_mean(method, METHODS)}")
    if callable(method):
        name = getattr(method, "__name__", type(method).__name__)
        return Method(name, method, getattr(method, "needs", "gradients"))
    several = "; Explainer.compare takes several methods" if isinstance(method, (list, tuple)) else ""
    raise MethodError(f"method={method!r}: expected a name or a function f(activations, gradients){several}")


def find_methods(methods: Sequence[MethodLike]) -> list[Method]:
    """Several methods, each once; their names differ, because results are told apart by them.

    Raises:
        MethodError: there is none, one is unknown, or two functions have the same name.
    """
    if isinstance(methods, str) or not methods:
        raise MethodError(f"methods={methods!r}: expected a list of names or functions")
    found = list(dict.fromkeys(map(find_method, methods)))
    names = [method.name for method in found]
    if len(set(names)) < len(names):
        raise MethodError(
            f"methods of one name in {', '.join(names)}: give a function a name of its own with "
            "xaicore.Method(name, function)"
        )
    return found
