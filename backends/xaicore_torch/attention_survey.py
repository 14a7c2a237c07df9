"""One pass over one image that shows a model's attentions: where each ran, and whether the outputs depend on it."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from xaicore.facts import AttentionFacts
from xaicore_torch.attention import Asked, Attentions, Seen
from xaicore_torch.hooks import Hooks
from xaicore_torch.inputs import Inputs
from xaicore_torch.leaves import Leaves
from xaicore_torch.outputs import tensors_in
from xaicore_torch.private import without_backward_hooks
from xaicore_torch.state import preserved_model, recorded_weights
from xaicore_torch.survey import hooked_modules

__all__ = ["AttentionSurvey", "Known", "survey_attention"]


@dataclass(frozen=True)
class Known:
    """An attention that a survey has seen: its facts, and the number of its call in every such pass."""

    facts: AttentionFacts
    number: int


def survey_attention(model: nn.Module, batch: Inputs, run: Callable[[Inputs], torch.Tensor]) -> dict[str, Known]:
    """{name: attention} of a model, in the order in which they run.

    Args:
        model: the model.
        batch: what it takes.
        run: runs it; gives the outputs to explain.
    """
    survey = AttentionSurvey(type(model).__name__)
    with preserved_model(model, batch.picture.device), torch.enable_grad(), without_backward_hooks(model):
        with recorded_weights(model), survey.watching(hooked_modules(model)):
            y = run(batch.recording().clone())
        return survey.attentions(y)


@dataclass(frozen=True, eq=False)
class Running:
    """A module that is running, and the tensors that it took."""

    name: str
    taken: list[torch.Tensor]

    def rows(self, tokens: int) -> int | None:
        """The sets of this many tokens in what the module took: R of (R, T, C), (T, R, C) or (R, C, h, w)."""
        for tensor in self.taken:
            axes = _token_axes(tensor.shape, tokens)
            if axes:
                return int(tensor.shape[0 if 0 not in axes else 1])
        return None


class AttentionSurvey(Attentions):
    """`with survey.watching(modules): y = model(x)`, recorded; then `survey.attentions(y)`.

    A softmax counts if it is square, (T, T), or multiplied with values, and if it mixes tokens: that of a
    cross-covariance attention mixes channels.
    """

    def __init__(self, root: str) -> None:
        super().__init__({}, Leaves())
        self._root = root
        self._running: list[Running] = []
        self._names: dict[int, str] = {}
        self._of_channels: set[int] = set()

    @contextlib.contextmanager
    def watching(self, modules: dict[str, nn.Module]) -> Iterator[None]:
        """While a pass runs that hooks these modules."""
        with Hooks(modules, self._leave, self._enter), self:
            yield

    def ask(self, number: int, shape: Sequence[int], scores: torch.Tensor | None) -> Asked:
        """Keep every call; note where it ran."""
        frames = [one for one in self._running if scores is None or all(taken is not scores for taken in one.taken)]
        self._names[number] = frames[-1].name if frames else self._root
        if scores is not None and _mixes_channels(scores, frames):
            self._of_channels.add(number)
        return Asked(str(number), True, shape[-3] if len(shape) > 3 else _heads(shape, frames))

    def attentions(self, y: torch.Tensor) -> dict[str, Known]:
        """{name: attention}, in the order in which they ran, for the chosen outputs y."""
        chosen = {number: seen for number, seen in self.seen.items() if self._is_attention(number, seen)}
        reached = _reached(y, [seen.weights for seen in chosen.values()])
        runs: Counter[str] = Counter()
        known: dict[str, Known] = {}
        for (number, seen), is_reached in zip(chosen.items(), reached, strict=True):
            name = self._names[number]
            runs[name] += 1
            name = name if runs[name] == 1 else f"{name}#{runs[name]}"
            rows, heads, queries, keys = seen.weights.shape
            is_causal = queries == keys > 1 and not bool(seen.weights.triu(1).any())
            known[name] = Known(AttentionFacts(name, (rows, heads, queries, keys), is_reached, is_causal), number)
        return known

    def _is_attention(self, number: int, seen: Seen) -> bool:
        is_square = seen.weights.shape[-1] == seen.weights.shape[-2]
        return number not in self._of_channels and (is_square or not seen.is_by_hand or seen.output is not None)

    def _enter(self, name: str, module: nn.Module, args: tuple[Any, ...]) -> None:
        self._running.append(Running(name, list(tensors_in(args))))

    def _leave(self, name: str, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        while self._running and self._running.pop().name != name:  # modules that raised, which the model caught
            pass


def _token_axes(shape: Sequence[int], tokens: int) -> tuple[int, ...]:
    """The axes that hold this many tokens: one of (R, T, C) or (T, R, C), two of (R, h, w, C) or (R, C, h, w)."""
    if len(shape) == 3:
        return next(((axis,) for axis in (1, 0) if shape[axis] == tokens), ())
    if len(shape) == 4:
        return next((axes for axes in ((1, 2), (2, 3)) if shape[axes[0]] * shape[axes[1]] == tokens), ())
    return ()


def _heads(shape: Sequence[int], frames: Sequence[Running]) -> int:
    """The heads of weights (R * H, Q, T): a module around them took R rows of Q or T tokens. 1 where none did."""
    if len(shape) < 3:
        return 1
    found = [one.rows(tokens) for one in frames for tokens in shape[-2:]]
    rows = min((one for one in found if one and shape[0] % one == 0), default=shape[0])
    return int(shape[0] // rows)


def _mixes_channels(scores: torch.Tensor, frames: Sequence[Running]) -> bool:
    """Whether one score depends on most of the tokens that the module around it took, not on a query's and a key's."""
    recorded = [taken for one in frames for taken in one.taken if taken.requires_grad and scores.requires_grad]
    around = [taken for taken in recorded if taken.ndim == 3] or [taken for taken in recorded if taken.ndim == 4]
    if not around:
        return False
    (gradient,) = torch.autograd.grad(scores.flatten()[0], around[-1], retain_graph=True, allow_unused=True)
    if gradient is None:
        return False
    depends = gradient != 0
    long = [axis for axis, length in enumerate(depends.shape) if length > 2]
    touched = [depends.movedim(axis, 0).flatten(1).any(1).float().mean() for axis in long]
    return all(share > 0.5 for share in touched)


def _reached(y: torch.Tensor, weights: Sequence[torch.Tensor]) -> list[bool | None]:
    """Whether the gradient of the outputs arrives at each of these."""
    if not weights or not y.requires_grad:
        return [None] * len(weights)
    generator = torch.Generator().manual_seed(0)
    mixture = torch.rand(y.shape, generator=generator).to(y.device, y.dtype) + 0.5
    try:
        gradients = torch.autograd.grad([y], weights, [mixture], allow_unused=True)
    except RuntimeError:  # an operation without a gradient
        return [None] * len(weights)
    return [gradient is not None for gradient in gradients]
