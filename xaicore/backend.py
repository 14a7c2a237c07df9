"""What a framework must supply: activations, gradients and outputs, as NumPy arrays.

A backend never learns what is explained. It runs the model, hands the outputs to `direction`, and pulls the
answer back to the layers: a vector-Jacobian product. Classes, targets, methods and maps are the core's.
"""

from __future__ import annotations

import contextlib
import difflib
import functools
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NoReturn

import numpy as np

from xaicore.errors import BackendError, LayerError

__all__ = ["Backend", "Capture", "Direction", "Layer", "check_direction", "default_layer", "unknown_layer"]

Direction = Callable[[np.ndarray, str], np.ndarray]
"""`direction(outputs, kind)`: outputs (N, *O) and their kind in, d score / d outputs (N, K, *O) float32 out."""

KINDS = ("logits", "probabilities", "values")
LINKS = ("softmax", "sigmoid", None)


@dataclass(frozen=True)
class Layer:
    """One layer of a model, as one pass over the inputs showed it.

    Attributes:
        name: what `Explainer(layer=...)` takes.
        type: the name of its class.
        shape: its output's shape, batch and channels first: (N, C, *spatial).
        spatial: it is a map of the picture: the batch size is unchanged, it has as many spatial axes as the
            picture, and more than one position. Attention's (N, heads, T, T) is not one.
        pooled: this very output was made by a pooling layer, also where a container, dropout or identity
            passes it on.
    """

    name: str
    type: str
    shape: tuple[int, ...]
    spatial: bool
    pooled: bool = False


@dataclass(frozen=True, eq=False)
class Capture:
    """What one pass over the inputs gave; NumPy float32, channels first whatever the framework's layout.

    Attributes:
        outputs: (N, ...), the class axis at 1; logits wherever they can be reached.
        outputs_kind: "logits", "probabilities" or "values".
        activations: {layer: (N, C, *spatial)}.
        gradients: {layer: (N, K, C, *spatial)}; empty when no direction was given.
        input_size: the spatial shape of the input with the most axes, (H, W) for pictures.
        link: what the model itself puts on these outputs: "softmax", "sigmoid" or None.
    """

    outputs: np.ndarray
    outputs_kind: str
    activations: Mapping[str, np.ndarray]
    input_size: tuple[int, ...]
    gradients: Mapping[str, np.ndarray] = field(default_factory=dict)
    link: str | None = None

    def __post_init__(self) -> None:
        if self.outputs_kind not in KINDS:
            raise BackendError(f"Capture.outputs_kind is {self.outputs_kind!r}; expected one of {KINDS}")
        if self.link not in LINKS:
            raise BackendError(f"Capture.link is {self.link!r}; expected one of {LINKS}")


class Backend(ABC):
    """One model in one framework.

    A backend leaves the model as it found it, also when something raises: parameters, their gradients, what
    requires one, every module's training flag, buffers, hooks, random state, and the framework's grad mode.
    """

    api_version: ClassVar[int] = 1
    name: str = ""
    """The entry-point name; the plugin registry fills it in where the class leaves it empty."""
    channels_last: bool = False
    """Whether the model takes pictures as (N, H, W, C); asked by what prepares them when the user does not."""

    @abstractmethod
    def layers(self, inputs: Any) -> Sequence[Layer]:
        """Every layer in order of completion; may look at the first image only.

        A layer that runs several times stands where its last run ended. A shared output has its outermost
        name. The root is left out.
        """

    @abstractmethod
    def capture(self, inputs: Any, layers: Sequence[str], direction: Direction | None = None) -> Capture:
        """One forward pass and, with a direction, one pull-back to all the layers.

        `inputs` is exactly what the model takes: a tuple is positional arguments, a dict keyword arguments, a
        single array one axis short gets a batch axis. `direction` is called once, in the caller's thread,
        between the two; what it raises passes unchanged.
        """

    def predict(self, inputs: Any) -> np.ndarray:
        """The outputs (N, ...), the same as `capture(inputs, ()).outputs`."""
        return self.capture(inputs, ()).outputs

    @staticmethod
    def to_numpy(value: Any) -> np.ndarray:
        """An input as the framework holds it, as a NumPy array with the same axes (to show it).

        Static, because explanations call it later, and must not keep the model alive until then.
        """
        return np.asarray(value)

    def classifier_weights(self, inputs: Any, layer: str) -> np.ndarray:
        """The dense classifier's rows (classes, C) over this layer's C channels, for CAM.

        Raises:
            MethodError: the net is not convolution, global average pooling, dense.
        """
        self._lacks("the classifier's weights (method='cam')", "use method='gradcam', its generalisation")

    def resume(self, inputs: Any, layer: str, activations: np.ndarray) -> np.ndarray:
        """Outputs (N*R, ...) computed from given activations (N*R, C, *spatial) of a layer on.

        Row i belongs to input i // R, for whatever else of the inputs the rest of the model reads.
        """
        self._lacks("starting from a layer (resume)", "use a gradient method, such as 'gradcam'")

    @property
    def ready(self) -> bool:
        """Whether the model has its weights: not so where its first batch makes them."""
        return True

    @contextlib.contextmanager
    def undisturbed(self, source: Any = None) -> Iterator[None]:
        """Keep the process's random state while code runs that draws from it, such as a data loader.

        Here Python's and NumPy's, also of generators that the loader `source` has as attributes; a backend adds its
        framework's.
        """
        python, numpy = random.getstate(), np.random.get_state(legacy=False)  # noqa: NPY002 (what loaders draw from)
        restores = [_restore(value) for value in getattr(source, "__dict__", {}).values()]
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002
            for restore in restores:
                restore()

    def input_gradients(self, inputs: Any, direction: Direction, rule: str = "plain") -> np.ndarray:
        """Gradients (N, K, *input) with respect to the input; rule "plain", "guided" or "deconv"."""
        self._lacks("gradients of the input", "use a method on a layer, such as 'gradcam'")

    def _lacks(self, power: str, instead: str) -> NoReturn:
        raise BackendError(f"backend {self.name or type(self).__name__!r} does not offer {power}: {instead}")


def _restore(generator: Any) -> Callable[[], object]:
    """Puts a random generator back to where it is now; does nothing for what is none."""
    if isinstance(generator, np.random.Generator):
        return functools.partial(setattr, generator.bit_generator, "state", generator.bit_generator.state)
    if isinstance(generator, np.random.RandomState):
        return functools.partial(generator.set_state, generator.get_state())
    if isinstance(generator, random.Random):
        return functools.partial(generator.setstate, generator.getstate())
    return lambda: None


def default_layer(layers: Sequence[Layer]) -> str:
    """The layer to explain when none is named: the last one that is spatial and not pooled.

    Raises:
        LayerError: there is none, or tokens follow it: then the last map is the patch embedding, and a
            heatmap of that says nothing about the prediction.
    """
    at = max((i for i, layer in enumerate(layers) if layer.spatial and not layer.pooled), default=None)
    if at is None:
        shapes = ", ".join(f"{layer.name} {layer.shape}" for layer in layers[-5:])
        said = f"the last ones: {shapes}. Name one: layer=..." if shapes else "the model has no layers inside of it"
        raise LayerError(f"no layer gives a map of the picture; {said}")
    found, axes = layers[at], len(layers[at].shape)
    tokens = [layer for layer in layers[at + 1 :] if _is_tokens(layer.shape, axes)]
    if tokens:
        raise LayerError(
            f"after the last map, {found.name!r} {found.shape}, come tokens or a sequence, as in an attention model: "
            f"{tokens[-1].name!r} {tokens[-1].shape}. Name the layer to explain: layer=..."
        )
    return found.name


def check_direction(direction: Any, outputs: np.ndarray) -> np.ndarray:
    """What `direction(outputs, kind)` gave, as float32 (N, K, *O) for outputs (N, *O); for backends.

    Raises:
        BackendError: it has another shape.
    """
    rows = np.asarray(direction, np.float32)
    if rows.ndim != outputs.ndim + 1 or rows.shape[:1] + rows.shape[2:] != outputs.shape or not rows.shape[1]:
        raise BackendError(f"direction gave shape {rows.shape} for outputs {outputs.shape}; expected (N, K, *O)")
    return rows


def unknown_layer(name: str, known: Sequence[str], model: str) -> LayerError:
    """The error to raise for a name that no layer of the model has; offers the nearest ones."""
    near = difflib.get_close_matches(name, known, 5, 0.4)
    offered = f"nearest names: {', '.join(near)}" if near else f"its last layers: {', '.join(known[-5:])}"
    return LayerError(f"no layer called {name!r} in {model}; {offered}")


def _is_tokens(shape: tuple[int, ...], axes_of_a_map: int) -> bool:
    """(N, tokens, features) in a model of pictures or volumes; a 1-D signal's maps look the same."""
    return len(shape) == 3 < axes_of_a_map and shape[1] > 1 and shape[2] > 1
