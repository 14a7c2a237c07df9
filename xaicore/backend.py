"""The contract of backends: a framework's activations, gradients and outputs as NumPy arrays.

A backend does not know what is explained. It runs the model, calls `direction` with the outputs, and pulls the
returned vectors back to the layers: a vector-Jacobian product. Classes, targets, methods and maps belong to the core.
"""

from __future__ import annotations

import contextlib
import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

import numpy as np

from xaicore import randomness
from xaicore.capture import Attention, Capture
from xaicore.errors import BackendError
from xaicore.facts import AttentionFacts, Facts
from xaicore.outputs import Parts
from xaicore.trees import as_array

__all__ = [
    "POWERS",
    "PRECISIONS",
    "RULES",
    "Attention",
    "Backend",
    "Capture",
    "Direction",
    "Layer",
    "check_direction",
]

Direction = Callable[..., np.ndarray]
"""`direction(outputs, kind)` takes outputs (N, *O) and their kind; returns d score / d outputs (N, K, *O) float32.

A backend with the power "parts" calls `direction(outputs, kind, parts)` where the other outputs were asked for.
"""

POWERS = ("attention", "input_gradients", "guided", "resume", "second", "biases", "parts", "resume_parts", "reduce")
"""What a backend may offer beyond activations and gradients of layers, see `Backend.powers`."""

PRECISIONS = ("float32", "bfloat16", "float16")
"""Floating-point types that a model may compute in, see `Backend.in_precision`."""

RULES = ("plain", "guided", "deconv")
"""How a gradient g at the output of a ReLU, or of one with a cap, y = min(max(x, 0), cap), goes on to its input x:

- "plain": g where 0 < x < cap, else 0;
- "guided": max(g, 0) where 0 < x < cap, else 0 (guided backpropagation, Springenberg et al. 2014);
- "deconv": max(g, 0), whatever x is (deconvolution, Zeiler & Fergus 2014).

The papers define the last two for the ReLU alone. Other activations, such as GELU, SiLU, leaky ReLUs, gates and
softmax, pass gradients plainly between ReLUs, as in captum. Where no ReLU lies between the inputs and the outputs, a
backend raises a MethodError that names the activations it has seen. What counts as a ReLU is what the framework shows
as one.
"""


@dataclass(frozen=True)
class Layer:
    """One layer of a model, as observed in one pass over the inputs.

    Attributes:
        name: what `Explainer(layer=...)` takes.
        type: the name of its class.
        shape: its output's shape, batch and channels first: (N, C, *spatial).
        spatial: the output is a map of the picture: N is unchanged, and it has as many spatial axes as the picture and
            more than one position. Attention weights (N, heads, T, T) are no map.
        pooled: a pooling layer made this output, also where a container, dropout or identity passes it on.
    """

    name: str
    type: str
    shape: tuple[int, ...]
    spatial: bool
    pooled: bool = False


class Backend(ABC):
    """One model in one framework.

    A backend leaves the model as it found it, bit for bit, also after an exception: parameters and their gradients,
    `requires_grad`, every module's training flag, buffers, hooks, random state, and the framework's grad mode.
    """

    api_version: ClassVar[int] = 1
    name: str = ""
    """The entry-point name. Where a class leaves it empty, the plugin registry sets it."""
    channels_last: bool = False
    """Whether the model takes pictures as (N, H, W, C). The default preprocessing reads it."""
    picture_size: tuple[int, int] | None = None
    """(height, width) of the only pictures that the model takes; None where it takes several sizes, or does not say."""
    has_gradients: bool = True
    """Whether `capture` pulls a direction back. Where it does not, methods that need gradients are refused by name."""
    powers: frozenset[str] = frozenset()
    """What this backend offers beyond the contract's least, of `POWERS`: methods that need more are refused by name.

    - "attention": `attention`, and `capture(attention=...)`;
    - "input_gradients": `capture(rules=("plain",))`; "guided": the rules "guided" and "deconv", too;
    - "resume", "resume_parts", "second", "biases": the methods of these names;
    - "reduce": `capture(reduce=...)`, which the core asks for where `on_accelerator` is True;
    - "parts": `capture(parts=True)`; an `xaicore.outputs.Output` as `output`, which names axes or reads the model's
      answer; lists of one entry per image among outputs.
    """

    @abstractmethod
    def layers(self, inputs: Any) -> Sequence[Layer]:
        """Every layer in order of completion; one pass over the first image is enough.

        A layer that runs several times is listed where its last run ended. An output that several layers return is
        listed under the outermost name. The model itself is left out.
        """

    @abstractmethod
    def capture(self, inputs: Any, layers: Sequence[str], direction: Direction | None = None) -> Capture:
        """One forward pass and, with a direction, one pull-back to all the layers.

        `inputs` is exactly what the model takes: a tuple is positional arguments, a dict keyword arguments; a single
        array that lacks the batch axis gets one. `direction` is called once, in the caller's thread, between the two
        passes; its exceptions propagate unchanged.

        A backend with the powers takes two keywords more, each passed only where a method needs it:

        - "attention": `attention`, {name, as the method `attention` lists it: whether its gradients are wanted};
        - "input_gradients": `rules`, some of `RULES`: the gradients of the inputs that are wanted. Whatever the rules,
          outputs, activations and the gradients of layers are those of the model as it is;
        - "parts": `parts`, whether all outputs are wanted, in `Capture.parts` and as the third argument of `direction`;
        - "reduce": `reduce`, {layer: `xaicore.capture.Reduction`} of all these layers, never beside attention or rules:
          what these return is given in `Capture.reduced`, in the place of activations and gradients.
        """

    def attention(self, inputs: Any) -> Sequence[AttentionFacts]:
        """Every attention in the order in which it runs; one pass over the first image is enough."""
        self._lacks("attention", "use a method on a layer, such as 'gradcam'")

    def observe(self, inputs: Any) -> Facts | None:
        """The facts of one pass over the first image; None for a backend that reports none.

        A backend that reports facts returns arrays in `capture` as the framework has them, and its axes are read from
        the facts. One that reports none returns them with the channels first, (N, C, *spatial).
        """
        return None

    def layer_name(self, name: str) -> str:
        """The name by which the facts list a layer that has several names.

        A backend that reports facts also captures "layer#2", the second run of a layer, counted from 1.

        Raises:
            LayerError: no layer has this name.
        """
        return name

    def input_of(self, inputs: Any, layer: str) -> np.ndarray:
        """What a layer takes in its first run, (N, ...), as the framework has it.

        Needed where `InputFacts.reader` names the layer: a spectrogram that the model makes of a waveform is shown.
        """
        self._lacks("what a layer takes", "explain a model that takes the picture itself")

    def predict(self, inputs: Any) -> np.ndarray:
        """The outputs (N, ...), the same as `capture(inputs, ()).outputs`."""
        return self.capture(inputs, ()).outputs

    @staticmethod
    def to_numpy(value: Any) -> np.ndarray:
        """A tensor of the framework as a NumPy array with the same axes.

        Static: explanations call it later, and must not keep the model alive until then.
        """
        return as_array(value, "the input")

    def with_batch_axis(self, inputs: Any) -> Any:
        """The inputs as a batch: a single array that lacks the batch axis for this model gets one, as in `capture`.

        Without this method, `Monitor` takes batches only. It runs nothing, and is called before the model has weights.
        """
        return inputs

    def classifier_weights(self, inputs: Any, layer: str) -> np.ndarray:
        """The rows (classes, C) of the dense classifier over the C channels of this layer, for CAM.

        Raises:
            MethodError: the net is not convolution, global average pooling, dense.
        """
        self._lacks("the classifier's weights (method='cam')", "use method='gradcam', its generalisation")

    def resume(self, inputs: Any, layer: str, activations: np.ndarray) -> np.ndarray:
        """Outputs (N*R, ...) of the model when a layer's activations are replaced by these, (N*R, C, *spatial).

        Row i belongs to input i // R: the rest of the model may read other inputs too.
        """
        self._lacks("starting from a layer (resume)", "use a gradient method, such as 'gradcam'")

    def resume_parts(self, inputs: Any, layer: str, activations: np.ndarray) -> tuple[np.ndarray, Parts]:
        """`resume`, and all outputs as in `Capture.parts`: for targets that read several, such as boxes."""
        self._lacks("all outputs of a pass that starts from a layer", "use a gradient method, such as 'gradcam'")

    def in_precision(self, precision: str) -> Any:
        """A copy of the model that computes in `precision`, of `PRECISIONS`, laid out as convolutions are fastest."""
        self._lacks("another precision than the model's own", "pass a model that computes in the wanted one")

    def devices(self) -> Sequence[str]:
        """The devices that the framework sees in this process, by its own names, such as "cpu" and "cuda:0".

        Empty where a backend has no choice of them.
        """
        return ()

    def on_device(self, device: str) -> Any:
        """The model on one of `devices`: itself where all of it lies there already, else a copy.

        The model itself stays where it is. A backend of the returned model runs its passes on that device.
        """
        self._lacks("a choice of devices", "place the model where it is built, and leave devices out")

    def compiled(self, count: int) -> Backend:
        """A backend of a copy with the same weights, whose `capture` runs compiled for batches of `count` images."""
        self._lacks("compiled passes", "leave compile out")

    @property
    def on_accelerator(self) -> bool:
        """Whether tensors lie on a device of its own memory, so that bytes which travel to the host take time."""
        return False

    @property
    def ready(self) -> bool:
        """Whether the model has its weights; False where its first batch creates them."""
        return True

    def weights_digest(self) -> Hashable:
        """A value that changes with the model's own weights; None in a framework where training always changes these.

        In JAX loops the trained weights may lie outside of the model, whose own weights then stay the first ones.
        """
        return None

    def weights_hash(self) -> str | None:
        """A hash of all weights, the same in every process, which a resumed run over a data set compares; or None."""
        return None

    @contextlib.contextmanager
    def with_variables(self, variables: Any) -> Iterator[None]:
        """Give the model these variables while it is explained, and its own again afterwards."""
        self._lacks("variables that lie outside of the model", "explain the model that is trained")
        yield

    @contextlib.contextmanager
    def undisturbed(self, source: Any = None) -> Iterator[None]:
        """Restore the process's random state after code that draws from it, such as a data loader.

        The core restores Python's and NumPy's, also of generators that the loader `source`, its samplers and its data
        sets have as attributes; a backend adds its framework's.
        """
        with randomness.preserved(*randomness.loader_parts(source)):
            yield

    def second(self, inputs: Any, layer: str, direction: Direction) -> np.ndarray:
        """The Hessian of each score times the activations of a layer, (N, K, *layer), for second-order methods."""
        self._lacks("second derivatives", "use a method of first derivatives, such as 'gradcam'")

    def biases(self, inputs: Any) -> Mapping[str, np.ndarray]:
        """{layer: f(z) - f'(z) z, (1, *layer)} of every layer f where that is not zero, z what it takes for one image.

        That is the bias of a convolution or a dense layer, of a normalisation what it adds for its mean, and of an
        activation where its tangent meets the axis: at zero for a ReLU. The names are those that `capture` takes: of a
        layer that runs twice, "layer#1" and "layer#2". Layers inside of which others lie are left out.
        """
        self._lacks("biases", "use a method that is complete without them, such as 'integrated-gradients'")

    def _lacks(self, power: str, instead: str) -> NoReturn:
        if "method" in instead and not self.has_gradients:
            instead = "use a method without gradients, such as 'eigencam'"
        raise BackendError(f"backend {self.name or type(self).__name__!r} does not offer {power}: {instead}")


def check_direction(direction: Any, outputs: np.ndarray) -> np.ndarray:
    """The result of `direction(outputs, kind)` as float32 (N, K, *O), checked against outputs (N, *O); for backends.

    Raises:
        BackendError: the shape differs.
    """
    rows = np.asarray(direction, np.float32)
    if rows.ndim != outputs.ndim + 1 or rows.shape[:1] + rows.shape[2:] != outputs.shape or not rows.shape[1]:
        raise BackendError(f"direction gave shape {rows.shape} for outputs {outputs.shape}; expected (N, K, *O)")
    return rows


if not TYPE_CHECKING:

    def __getattr__(name):
        """These moved to `xaicore.layers`, which imports this module; plugins may look for them here."""
        if name in ("default_layer", "unknown_layer", "pull_in_half"):
            return getattr(importlib.import_module("xaicore.layers"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
