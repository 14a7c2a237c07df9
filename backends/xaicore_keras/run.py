"""One pass over a model: any arguments, hooks set, nothing of the model changed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from xaicore.layers import never_ran, split_run
from xaicore.outputs import Output
from xaicore_keras.answers import Answer, answer_of, in_order
from xaicore_keras.asked import Asked, Leaf, Tap
from xaicore_keras.attention import attention_tapped
from xaicore_keras.calls import first_tensor, replace_first_tensor, shape_of
from xaicore_keras.head import KeptLogits, head_hook
from xaicore_keras.hooks import Hook, PassStopped, at_call, hooked
from xaicore_keras.inputs import Structure, picture_of
from xaicore_keras.paths import walk
from xaicore_keras.steps import batched_steps
from xaicore_keras.survey import Survey

__all__ = ["Program", "run_model", "taken_by"]


def run_model(
    model: keras.Layer,
    structure: Structure,
    tensors: Sequence[Any],
    output: Output,
    hooks: Iterable[tuple[Any, Hook]],
    weights: Sequence[Any] | None = None,
) -> Answer:
    """The answer of the model in inference mode; `weights` stand in for `model.variables`.

    In a stateless scope, what the model assigns (seeds, counters, statistics) is assigned to nothing. A caller's
    function of the answer runs in it, too, since it may call parts of the model.

    Raises:
        BackendError, UnreadAnswer: as `answer_of` does.
    """
    args, kwargs = structure.pack(tensors)
    mapping = None if weights is None else list(zip(model.variables, weights, strict=True))
    with batched_steps(model), hooked(hooks), keras.StatelessScope(mapping, initialize_variables=False):
        return answer_of(model, model(*args, **kwargs, training=False), output, shape_of(picture_of(tensors))[0])


@dataclass(frozen=True)
class Program:
    """The model as a function of flat tensors, with logits where they can be reached.

    Attributes:
        model: a weak reference, since traces keep programs.
        structure: of the model's arguments.
        output: which part of the model's answer is explained.
        survey: for inputs of this structure.
        asked: the tensors of a pass that are read, pulled back to or replaced.
    """

    model: Callable[[], Any]
    structure: Structure
    output: Output
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
        logits = KeptLogits() if self.asked.has_parts and head is not None else None
        hooks: list[tuple[Any, Hook]] = []
        if head is not None:
            if logits is not None:
                hooks.append((layers[head.path], at_call(head.call, logits.before)))
            hooks.append((layers[head.path], head_hook(layers[head.path], head)))
        for leaf, tap in taps.items():
            if leaf.kind == "input":
                tensors[int(leaf.name)] = tap(tensors[int(leaf.name)])
            elif leaf.kind == "layer":
                path, run = split_run(str(leaf.name))
                number = run if isinstance(run, int) else self.survey.specs[path].calls
                hooks.append((layers[path], at_call(number, _tapped(tap))))
        if head is not None and logits is not None:
            hooks.append((layers[head.path], at_call(head.call, logits.after)))
        with contextlib.ExitStack() as stack:
            if around is not None:
                stack.enter_context(around)
            stack.enter_context(attention_tapped(model, {leaf: tap for leaf, tap in taps.items() if leaf.part}))
            answer = run_model(model, self.structure, tensors, self.output, hooks, weights)
            for leaf, tap in taps.items():
                if leaf.kind == "output":
                    tap(answer.outputs[leaf.name])
            tensor = answer.tensor
            if head is not None and logits is not None:
                tensor = logits.in_place_of(tensor, [layers[path] for path in head.after])
            return in_order(tensor, self.output)


def _tapped(tap: Tap) -> Hook:
    return lambda args, kwargs, answer: replace_first_tensor(answer, tap)


def taken_by(model: keras.Model, structure: Structure, tensors: Sequence[Any], output: Output, layer: str) -> Any:
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
