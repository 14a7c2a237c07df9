"""Directions pulled back through the passes of one model: to layers, and by other rules to its inputs."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from typing import TypeAlias

import numpy as np
import torch
from torch import nn

from xaicore import BackendError, XaicoreError, pull_in_half
from xaicore.capture import Reduction
from xaicore.facts import Facts
from xaicore.layers import image_axes, pull_images, split_run
from xaicore_torch.hessian import hessian_product
from xaicore_torch.inputs import inference_hint
from xaicore_torch.joined import passed_by
from xaicore_torch.layout import layer_name
from xaicore_torch.leaves import Leaf, Leaves
from xaicore_torch.outputs import Outputs
from xaicore_torch.pullback import by_layer, pull_back
from xaicore_torch.rectifiers import find_rectifiers, passing_by
from xaicore_torch.reducer import Reducer

__all__ = ["Gradients", "Pulls"]

Gradients: TypeAlias = dict[Leaf, np.ndarray | None]
"""{leaf: (N, K, *leaf)}; None for one that the outputs do not depend on."""


class Pulls:
    """Pulls directions back, in one backward pass where it can; it knows where the images of a batch are coupled.

    Args:
        model: of the passes.
        is_batched: see `pull_back`.
    """

    def __init__(self, model: nn.Module, is_batched: bool = True) -> None:
        self._model, self._is_batched = model, is_batched
        self._coupled: dict[Hashable, bool | None] = {}

    def to(
        self,
        leaves: Leaves,
        outputs: Outputs,
        direction: np.ndarray,
        facts: Facts | None = None,
        rules: Sequence[str] = (),
    ) -> tuple[Gradients, dict[str, Gradients]]:
        """The gradients of a direction (N, K, *O) at all leaves but the inputs, and {rule: those at the inputs}.

        Args:
            leaves, outputs: of one pass, whose graph is used up.
            direction: as checked.
            facts: of the model, for inputs of these shapes.
            rules: some of `RULES`.

        Raises:
            BackendError: an operation has no gradient, or none arrives at the inputs.
            MethodError: a rule has no meaning for this net.
        """
        inputs = {leaf: tensor for leaf, tensor in leaves.tensors.items() if leaf[0] == "input"}
        special = [rule for rule in rules if rule != "plain" and inputs]
        # Before other rules, the plain gradient shows whether images are coupled.
        with_inputs = bool(inputs) and ("plain" in rules or self._may_be_coupled(inputs, direction) is None)
        first = {leaf: tensor for leaf, tensor in leaves.tensors.items() if with_inputs or leaf not in inputs}
        found: dict[str, Gradients] = {rule: dict.fromkeys(inputs) for rule in rules}
        plain = self._pull(first, outputs, direction, facts, retain_graph=bool(special))
        if not direction.any():  # of a detector that found nothing, whose outputs may be new zeros
            plain = {leaf: _zeros(first[leaf], direction) if one is None else one for leaf, one in plain.items()}
        if "plain" in rules:
            found["plain"] = {leaf: plain[leaf] for leaf in inputs}
        rectifiers = find_rectifiers(_node(outputs), list(inputs.values()), special[0]) if special else ()
        for rule in special:
            with passing_by(rule, rectifiers):
                retain = rule != special[-1]
                found[rule] = self._pull(inputs, outputs, direction, facts, retain_graph=retain)
        for rule in rules if inputs else ():
            _check_arrived(found[rule])
        return {leaf: gradient for leaf, gradient in plain.items() if leaf not in inputs}, found

    def reduced(
        self,
        leaves: Leaves,
        outputs: Outputs,
        direction: np.ndarray,
        facts: Facts | None,
        reductions: Mapping[str, Reduction],
    ) -> dict[str, np.ndarray | None]:
        """{layer: what its reduction makes of activations and gradients, (rows, K, L)}; arguments as in `to`.

        Raises:
            BackendError: an operation has no gradient.
        """
        reducer = Reducer(leaves.of("layer"), reductions)
        found = self._pull(leaves.tensors, outputs, direction, facts, retain_graph=False, reducer=reducer)
        if not direction.any():
            found = {leaf: reducer.of_zeros(leaf[1], direction.shape[1]) for leaf in found}
        return {name: table for (_, name), table in found.items()}

    def second(self, leaves: Leaves, outputs: Outputs, direction: np.ndarray, facts: Facts | None) -> np.ndarray:
        """The Hessian of each score times the activations of the only leaf, a layer: (N, K, *layer).

        Raises:
            LayerError: the outputs do not depend on it.
            BackendError: an operation behind it has no first or second derivative.
        """
        ((leaf, tensor),) = leaves.tensors.items()
        first = self._pull(leaves.tensors, outputs, direction, facts, retain_graph=True)
        by_layer({leaf[1]: first[leaf]})

        def multiply(direction: np.ndarray) -> list[np.ndarray | None]:
            return [hessian_product(outputs, leaf[1], tensor, direction)]

        found = self._pull(leaves.tensors, outputs, direction, facts, retain_graph=True, pull_once=multiply)[leaf]
        assert found is not None
        return found

    def _pull(
        self,
        leaves: Mapping[Leaf, torch.Tensor],
        outputs: Outputs,
        direction: np.ndarray,
        facts: Facts | None,
        retain_graph: bool,
        pull_once: Callable[[np.ndarray], list[np.ndarray | None]] | None = None,
        reducer: Reducer | None = None,
    ) -> Gradients:
        if not leaves:
            return {}
        may_be_coupled = self._may_be_coupled(leaves, direction) is not False
        axes = self._image_axes(leaves, facts, len(direction)) if may_be_coupled else None
        may_underflow = outputs.like.dtype == torch.float16
        retain = retain_graph or may_underflow or axes is not None

        def differentiate(direction: np.ndarray, scale: np.float32 | None = None) -> list[np.ndarray | None]:
            given, ends = outputs.directions(direction).swapaxes(0, 1), list(leaves.values())
            reduce = None if reducer is None else partial(reducer.tables, scale=scale)
            return pull_back(
                *(outputs.start, ends, given),
                like=outputs.like,
                retain_graph=retain,
                reduce=reduce,
                is_batched=self._is_batched,
            )

        once = pull_once or differentiate

        def pull(direction: np.ndarray) -> list[np.ndarray | None]:
            if may_underflow and reducer is not None:
                return reducer.in_half(differentiate, direction)
            return pull_in_half(once, direction) if may_underflow else once(direction)

        if reducer is not None and axes is not None:
            axes = [0] * len(axes)  # images come first in a table
        key = _key(leaves)
        try:
            with passed_by(outputs.passed):
                pulled, self._coupled[key] = pull_images(pull, direction, axes, self._coupled.get(key))
        except XaicoreError:
            raise
        except RuntimeError as exc:
            shown = ", ".join(f"input {which}" if kind == "input" else repr(which) for kind, which in leaves)
            raise BackendError(f"no gradients at {shown}: {exc}{inference_hint(self._model)}") from exc
        return dict(zip(leaves, pulled, strict=True))

    def _may_be_coupled(self, leaves: Mapping[Leaf, torch.Tensor], direction: np.ndarray) -> bool | None:
        """Whether the images are coupled; None where no batch has shown it."""
        if len(direction) == 1:
            return False
        return self._coupled.get(_key(leaves))

    def _image_axes(self, leaves: Mapping[Leaf, torch.Tensor], facts: Facts | None, count: int) -> list[int] | None:
        """Per leaf, the axis that holds the images, which is the first but for layers; None where it is not known."""
        layers = {which: tensor for (kind, which), tensor in leaves.items() if kind == "layer"}
        of_layers = self._layer_axes(layers, facts, count)
        if of_layers is None or any(len(tensor) % count for (kind, _), tensor in leaves.items() if kind != "layer"):
            return None
        axes = dict(zip(layers, of_layers, strict=True))
        return [axes[which] if kind == "layer" else 0 for kind, which in leaves]

    def _layer_axes(self, layers: Mapping[str, torch.Tensor], facts: Facts | None, count: int) -> list[int] | None:
        shapes = [tensor.shape for tensor in layers.values()]
        if not shapes:
            return []
        if facts is None or facts.count != 1:
            return image_axes(shapes, None, count)
        known = facts.named
        seen = (known.get(layer_name(self._model, split_run(name)[0])) for name in layers)
        return image_axes(shapes, [() if layer is None else layer.shape for layer in seen], count)


def _key(leaves: Mapping[Leaf, torch.Tensor]) -> Hashable:
    """What is remembered of a set of leaves: behind the inputs lies all of the model."""
    return "inputs" if any(kind == "input" for kind, _ in leaves) else tuple(leaves)


def _zeros(tensor: torch.Tensor, direction: np.ndarray) -> np.ndarray:
    return np.zeros((len(tensor), direction.shape[1], *tensor.shape[1:]), np.float32)


def _node(outputs: Outputs) -> object:
    start = outputs.start
    return start.grad_fn if isinstance(start, torch.Tensor) else start.node


def _check_arrived(gradients: Gradients) -> None:
    """Refuse inputs at which no gradient arrives.

    Raises:
        BackendError: they are cut off.
    """
    if all(gradient is None for gradient in gradients.values()):
        raise BackendError(
            "no gradient arrives at the inputs: the model detaches what it computes from them, or part of it has no "
            "gradient (quantised layers, rounding, torch.inference_mode). Use a method of a layer behind it, such as "
            "'gradcam' with layer=..."
        )
