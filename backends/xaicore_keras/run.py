"""One pass over a model: any arguments, hooks set, nothing of the model changed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from xaicore.layers import never_ran, split_run
from xaicore.outputs import choose_name
from xaicore_keras.asked import Asked, Leaf, Tap
from xaicore_keras.attention import attention_tapped
from xaicore_keras.calls import first_tensor, replace_first_tensor
from xaicore_keras.head import head_hook
from xaicore_keras.hooks import Hook, PassStopped, at_call, hooked
from xaicore_keras.inputs import Structure
from xaicore_keras.paths import walk
from xaicore_keras.steps import batched_steps
from xaicore_keras.survey import Survey

__all__ = ["Answer", "Program", "run_model", "taken_by"]


@dataclass(frozen=True)
class Answer:
    """What a model returned: {name or position: tensor}, and the name of the one that is explained."""

    outputs: Mapping[int | str, Any]
    name: int | str

    @property
    def tensor(self) -> Any:
        """The output that is explained."""
        return self.outputs[self.name]


def run_model(
    model: keras.Layer,
    structure: Structure,
    tensors: Sequence[Any],
    output: int | str | None,
    hooks: Iterable[tuple[Any, Hook]],
    weights: Sequence[Any] | None = None,
) -> Answer:
    """The outputs of the model in inference mode; `weights` stand in for `model.variables`.

    In a stateless scope, what the model assigns (seeds, counters, statistics) is assigned to nothing.

    Raises:
        BackendError: the model has no such output, or several and `output` is None.
    """
    args, kwargs = structure.pack(tensors)
    mapping = None if weights is None else list(zip(model.variables, weights, strict=True))
    with batched_steps(model), hooked(hooks), keras.StatelessScope(mapping, initialize_variables=False):
        answer = model(*args, **kwargs, training=False)
    outputs = _named_outputs(model, answer)
    return Answer(outputs, choose_name(outputs, output, answer))


def _named_outputs(model: Any, answer: Any) -> dict[int | str, Any]:
    """{name or position: tensor}; a functional model's outputs by their names."""
    if isinstance(answer, Mapping):
        outputs = dict(answer)
    else:
        several = answer if isinstance(answer, (list, tuple)) else [answer]
        names = getattr(model, "output_names", None) or ()
        keys = names if len(set(names)) == len(several) else range(len(several))
        outputs = dict(zip(keys, several, strict=True))
    tensors = {key: first_tensor(value) for key, value in outputs.items()}
    return {key: tensor for key, tensor in tensors.items() if tensor is not None}


@dataclass(frozen=True)
class Program:
    """The model as a function of flat tensors, with logits where they can be reached.

    Attributes:
        model: a weak reference, since traces keep programs.
        structure: of the model's arguments.
        output: which of several outputs is explained.
        survey: for inputs of this structure.
        asked: the tensors of a pass that are read, pulled back to or replaced.
    """

    model: Callable[[], Any]
    structure: Structure
    output: int | str | None
    survey: Survey
    asked: Asked

    def __call__(
        self,
        tensors: Sequence[Any],
        taps: Mapping[Leaf, Tap],
        weights: Sequence[Any] | None = None,
        around: contextlib.AbstractContextManager[Any] | None = None,
    ) -> Any:
        """The chosen output (N, ...) of one pass; a layer's tap is called at its last call, or at the named one.

        The pass runs within `around`, and within what taps of other leaves need.
        """
        model, head = self.model(), self.survey.head
        layers, tensors = walk(model), list(tensors)
        hooks: list[tuple[Any, Hook]] = []
        if head is not None:
            hooks.append((layers[head.path], head_hook(layers[head.path], head)))
        for leaf, tap in taps.items():
            if leaf.kind == "input":
                tensors[int(leaf.name)] = tap(tensors[int(leaf.name)])
            elif leaf.kind == "layer":
                path, run = split_run(str(leaf.name))
                number = run if isinstance(run, int) else self.survey.specs[path].calls
                hooks.append((layers[path], at_call(number, _tapped(tap))))
        with contextlib.ExitStack() as stack:
            if around is not None:
                stack.enter_context(around)
            stack.enter_context(attention_tapped(model, {leaf: tap for leaf, tap in taps.items() if leaf.part}))
            return run_model(model, self.structure, tensors, self.output, hooks, weights).tensor


def _tapped(tap: Tap) -> Hook:
    return lambda args, kwargs, answer: replace_first_tensor(answer, tap)


def taken_by(
    model: keras.Model, structure: Structure, tensors: Sequence[Any], output: int | str | None, layer: str
) -> Any:
    """The first tensor that a layer takes in its first run, where the pass ends.

    Raises:
        LayerError: it does not run.
    """
    taken: list[Any] = []

    def keep(args: tuple[Any, ...], kwargs: dict[str, Any], answer: Any) -> Any:
        taken.append(first_tensor((args, kwargs)))
        raise PassStopped

    with contextlib.suppress(PassStopped):
        run_model(model, structure, tensors, output, [(walk(model)[layer], keep)])
    if not taken:
        raise never_ran(layer)
    return taken[0]
