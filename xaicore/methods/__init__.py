"""The methods: what is computed from the evidence of a model's passes. One small file a family.

A method is a function with an attribute `needs`:

- "gradients": `f(activations, gradients)`; gradients are (N, K, C, *S), of each of K scores with respect to the
  activations (N, C, *S);
- "weights": `f(activations, weights)`; weights are (N, K, C), the classifier's rows;
- "activations": `f(activations, None)`;
- any other need, or a tuple of several: `f(evidence)`, which takes an `xaicore.Evidence`.

The result is (N, K, *S), or (N, 1, *S) where the map is the same for every target. Negative values are set to zero
afterwards, unless the function has the attribute `signed = True`. With `fusion = "product"`, the maps of several layers
are multiplied, whatever the caller's `fuse=`. Your own function is passed as `method=`; without `needs`, it gets the
gradients.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from xaicore import plugins
from xaicore.backend import Backend
from xaicore.errors import MethodError, did_you_mean
from xaicore.evidence import missing_power
from xaicore.methods.ablation import ablationcam
from xaicore.methods.apply import apply
from xaicore.methods.attention import attention, chefer, gradeclip, legrad, rollout
from xaicore.methods.channelwise import gradcam, gradcam_plus_plus, xgradcam
from xaicore.methods.classifier import cam
from xaicore.methods.eigen import eigencam, eigengradcam, segeigencam
from xaicore.methods.elementwise import gradcam_elementwise, hirescam, layercam
from xaicore.methods.fem import fem
from xaicore.methods.finer import finercam
from xaicore.methods.fullgrad import fullgrad
from xaicore.methods.guided import deconv, guided, guided_gradcam
from xaicore.methods.input import gradient, input_x_gradient, smoothgrad
from xaicore.methods.integrated import integrated_gradients
from xaicore.methods.kernel import kpcacam
from xaicore.methods.masking import iscam, scorecam, sscam
from xaicore.methods.method import Method, MethodLike, plan_for
from xaicore.methods.positions import reciprocam
from xaicore.methods.randomized import random
from xaicore.methods.reducing import Reducing
from xaicore.methods.refine import refinecam
from xaicore.methods.sampling import rise
from xaicore.methods.shapley import shapleycam
from xaicore.methods.smooth import smooth_gradcam_plus_plus

__all__ = [
    "METHODS",
    "Method",
    "MethodLike",
    "Reducing",
    "apply",
    "check_fusions",
    "check_powers",
    "find_method",
    "find_methods",
    "method",
    "plan_for",
]

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
        Method("smoothgradcam++", smooth_gradcam_plus_plus, ("activations", "gradients_again"), cost="1 + n"),
        Method("shapleycam", shapleycam, ("activations", "gradients", "second"), cost="2"),
        Method("fem", fem, "activations"),
        Method("kpcacam", kpcacam, "activations"),
        Method("segeigencam", segeigencam),
        Method("finercam", finercam, ("activations", "gradients_again"), cost="2"),
        Method("refinecam", refinecam, fusion="product"),
        Method("scorecam", scorecam, ("activations", "inputs"), cost="1 + C"),
        Method("sscam", sscam, ("activations", "inputs"), cost="1 + C samples"),
        Method("iscam", iscam, ("activations", "inputs"), cost="1 + C samples"),
        Method("ablationcam", ablationcam, ("activations", "resume"), cost="1 + C, from the layer on"),
        Method("reciprocam", reciprocam, ("activations", "resume"), cost="1 + P, from the layer on"),
        Method("rise", rise, "inputs", cost="1 + masks"),
        Method("gradient", gradient, "input_gradients"),
        Method("input-x-gradient", input_x_gradient, "input_gradients", signed=True),
        Method("smoothgrad", smoothgrad, "input_gradients", cost="1 + n"),
        Method("integrated-gradients", integrated_gradients, "input_gradients", signed=True, cost="1 + steps"),
        Method("guided", guided, "guided", signed=True),
        Method("deconv", deconv, "deconv", signed=True),
        Method("guided-gradcam", guided_gradcam, ("gradients", "guided"), signed=True),
        Method("fullgrad", fullgrad, ("input_gradients", "biases"), cost="3"),
        Method("rollout", rollout, "attention"),
        Method("attention", attention, "attention", blocks=1),
        Method("legrad", legrad, "attention_gradients", blocks=2),
        Method("gradeclip", gradeclip, "attention_gradients", blocks=1),
        Method("chefer", chefer, "attention_gradients"),
    )
}


def find_method(method: MethodLike) -> Method:
    """The method of this name, built in or an installed plugin's, or a `Method` around a function.

    Raises:
        MethodError: the name is unknown, or `method` is neither a name nor a function.
        PluginError: the plugin of this name is broken.
    """
    if isinstance(method, Method):
        return method
    if isinstance(method, str):
        if method in METHODS:
            return METHODS[method]
        registry = plugins.installed()
        known = [*METHODS, *registry.names("method")]
        if method in known:
            return Method.around(registry.method(method), method)
        name, _, options = method.partition("(")
        if name in known and options.endswith(")"):  # as the command line takes them
            raise MethodError(f"method={method!r}: in Python, pass method=xaicore.method({name!r}, {options}")
        raise MethodError(f"no method called {method!r}; known: {', '.join(known)}{did_you_mean(method, known)}")
    if callable(method):
        return Method.around(method)
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


def method(name: MethodLike, **options: Any) -> Method:
    """A method with options of its own: `xaicore.method("rise", masks=8000)`.

    Raises:
        MethodError: the method is unknown, or has no such option.
    """
    return find_method(name).with_options(**options)


def check_powers(methods: Iterable[Method], backend: Backend) -> None:
    """Refuse methods that need more than a backend offers, before anything runs.

    Raises:
        MethodError: naming the first of them, what is missing, and the methods that would work.
    """
    for one in methods:
        missing = missing_power(one.asks, backend)
        if missing is not None:
            fitting = [name for name, known in METHODS.items() if missing_power(known.asks, backend) is None]
            raise MethodError(
                f"method {one.name!r} needs {missing!r}, which backend {backend.name!r} does not offer; methods that "
                f"it serves: {', '.join(fitting)}"
            )


def check_fusions(methods: Iterable[Method], layers: Sequence[str]) -> None:
    """Refuse methods of several layers where there is one, before anything runs.

    Raises:
        MethodError: naming the first of them.
    """
    for one in methods:
        if one.fusion is not None and len(layers) < 2:
            raise MethodError(
                f"method {one.name!r} joins the maps of several layers: name two or more, one per resolution, with "
                "layer=..."
            )
