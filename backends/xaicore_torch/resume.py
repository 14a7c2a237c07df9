"""A model from one of its layers on, in eager mode: what was computed before the layer is not computed again."""

from __future__ import annotations

import contextlib
import itertools
import warnings
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

import torch
from torch import nn

from xaicore import BackendError, LayerError
from xaicore.layers import never_ran, split_run
from xaicore_torch.inputs import Inputs, repeat_rows
from xaicore_torch.outputs import first_tensor, replace_first_tensor
from xaicore_torch.private import has_forward_hooks, has_forward_pre_hooks, tree_map, write_count
from xaicore_torch.recorder import check_run

__all__ = ["Middle", "Middles"]

Answer = TypeVar("Answer")

Run: TypeAlias = Callable[[Inputs], tuple[torch.Tensor, Answer]]
"""`run(batch)` gives the explained outputs, and what else the pass answers."""

CLOSE = 1e-4
"""The difference of outputs, relative to the largest, up to which a start in the middle is the model itself."""


@dataclass(frozen=True)
class Event:
    """A run of a module that completed: what it returned, and the numbers of the runs around it."""

    number: int
    module: nn.Module
    output: Any
    around: tuple[int, ...]


class Middle(Generic[Answer]):
    """A model from one of its layers on, for the images of one batch.

    The outermost modules that had completed before the layer return what they returned then, repeated without a copy
    for each row; the layer returns what it is given; what follows runs. Skip connections and branches, whose modules
    completed before, so have their values. That this is the model is checked once, with the layer's own output. Where
    it is not, as in a model that looks at its batch size, all of the model runs, with the layer's output replaced.

    Args:
        model: in evaluation mode, without recording.
        layer: the layer's name, also that of one of its runs, "conv#1"; else its last run counts.
        module: the layer.
        batch: N images.
        run: returns the explained outputs of a batch, and whatever else it answers.
    """

    def __init__(self, model: nn.Module, layer: str, module: nn.Module, batch: Inputs, run: Run[Answer]) -> None:
        self._module, self._batch, self._run = module, batch, run
        self._name = f"{type(model).__name__} cannot be started at layer {layer!r}"
        with _recorded(model) as events:
            outputs, _ = run(batch.clone())
        self._returned, self._at_run, before = _split(events, layer, module)
        own = first_tensor(self._returned)
        if own is None:
            raise LayerError(f"layer {layer!r} gave no tensor")
        self._own = own
        self._done = _outermost(before, module)
        # Rows that share their memory cost nothing, but what works in place, or reads memory, needs rows of its own.
        self._must_copy = not self._reproduces(outputs, must_copy=False)
        if self._must_copy and not self._reproduces(outputs, must_copy=True):
            self._done = {}
            self._warn()

    def outputs(self, activations: torch.Tensor) -> tuple[torch.Tensor, Answer]:
        """What `run` returns for a layer's activations (N * R, ...); row i belongs to image i // R."""
        rows = len(activations) // self._batch.count
        activations = activations.to(self._own.device, self._own.dtype)
        try:
            return self._pass(activations, rows)
        except BackendError as exc:
            if not self._done or isinstance(exc.__cause__, (MemoryError, torch.OutOfMemoryError)):
                raise
        # A module that does not run keeps nothing of what the model may read later.
        done, self._done = self._done, {}
        try:
            found = self._pass(activations, rows)
        except BaseException:  # so that was not why
            self._done = done
            raise
        self._warn()
        return found

    def _warn(self) -> None:
        warnings.warn(
            f"{self._name}: it is run as a whole for each change, with the output of this layer replaced",
            RuntimeWarning,
            stacklevel=3,
        )

    def _reproduces(self, outputs: torch.Tensor, must_copy: bool) -> bool:
        """Whether two rows of the layer's own output give the recorded outputs twice."""
        self._must_copy = must_copy
        try:
            again, _ = self._pass(self._own.repeat_interleave(2, dim=0), 2)
        except Exception:  # whatever the model raises for modules that do not run
            return False
        expected = outputs.repeat_interleave(2, dim=0)
        if again.shape != expected.shape:
            return False
        return float((again - expected).abs().max()) <= CLOSE * max(float(expected.abs().max()), 1e-12)

    def _pass(self, activations: torch.Tensor, rows: int) -> tuple[torch.Tensor, Answer]:
        # A copy, since what follows may work in place.
        given = replace_first_tensor(self._repeated(self._returned, rows), lambda _: activations.clone())
        runs = 0

        def replace(*_: Any) -> Any:
            nonlocal runs
            runs += 1
            return given if runs == self._at_run else None

        with contextlib.ExitStack() as stack:
            for module, outputs in self._done.items():
                stack.enter_context(self._answering(module, deque(outputs), rows))
            # A hook, and not only another forward: where a module has one, torch does not take a way around it.
            stack.callback(self._module.register_forward_hook(replace).remove)
            found = self._run(self._batch.repeated(rows, copied=self._must_copy))
        if runs < self._at_run:
            raise LayerError(f"the layer ran {runs} times, and not {self._at_run}, when it was explained again")
        return found

    @contextlib.contextmanager
    def _answering(self, module: nn.Module, replies: deque[Any], rows: int) -> Iterator[None]:
        """Let a module return the replies one after the other, and compute when there are none left."""
        forward, own = module.forward, vars(module).get("forward")

        def answer(*args: Any, **kwargs: Any) -> Any:
            return self._repeated(replies.popleft(), rows) if replies else forward(*args, **kwargs)

        object.__setattr__(module, "forward", answer)
        try:
            yield
        finally:
            if own is None:
                object.__delattr__(module, "forward")
            else:
                object.__setattr__(module, "forward", own)

    def _repeated(self, value: Any, rows: int) -> Any:
        count = self._batch.count

        def repeat(tensor: Any) -> Any:
            if not isinstance(tensor, torch.Tensor) or not tensor.ndim or len(tensor) != count:
                return tensor
            return repeat_rows(tensor, rows, self._must_copy)

        return tree_map(repeat, value)


@contextlib.contextmanager
def _recorded(model: nn.Module) -> Iterator[list[Event]]:
    """The modules that complete in a pass, without the model itself; copies, since what follows may work in place."""
    events: list[Event] = []
    running: list[int] = []
    numbers = itertools.count()
    handles = []

    def before(module: nn.Module, args: Any) -> None:
        running.append(next(numbers))

    def after(module: nn.Module, args: Any, output: Any) -> None:
        number = running.pop()
        copy = tree_map(lambda value: value.clone() if isinstance(value, torch.Tensor) else value, output)
        events.append(Event(number, module, copy, tuple(running)))

    try:
        for module in model.modules():
            if module is not model:
                handles.append(module.register_forward_pre_hook(before))
                handles.append(module.register_forward_hook(after))
        yield events
    finally:
        for handle in handles:
            handle.remove()


def _split(events: list[Event], layer: str, module: nn.Module) -> tuple[Any, int, list[Event]]:
    """What the layer returned in the run that is meant, which run that is, and what completed before it."""
    _, chosen = split_run(layer)
    runs = [i for i, event in enumerate(events) if event.module is module]
    if not runs:
        raise never_ran(layer)
    check_run(layer, len(runs))
    at_run = chosen if isinstance(chosen, int) else len(runs)
    at = runs[at_run - 1]
    return events[at].output, at_run, events[:at]


def _outermost(before: list[Event], module: nn.Module) -> dict[nn.Module, list[Any]]:
    """{module: what it returned}, of those that completed inside of no other one that did.

    A module with hooks of the caller's runs again, since its hooks would change its reply a second time.
    """
    replayable = [one for one in before if not _has_hooks(one.module) and not _contains(one.module, module)]
    numbers = {one.number for one in replayable}
    done: dict[nn.Module, list[Any]] = defaultdict(list)
    for one in replayable:
        if numbers.isdisjoint(one.around):
            done[one.module].append(one.output)
    return done


def _contains(outer: nn.Module, module: nn.Module) -> bool:
    return any(one is module for one in outer.modules()) and outer is not module


def _has_hooks(module: nn.Module) -> bool:
    return has_forward_hooks(module) or has_forward_pre_hooks(module)


class Middles(Generic[Answer]):
    """The model from a layer on, kept for the next batch of changes to the same images.

    Only the last one is kept, and only while inputs, weights and layer stay the same.

    Args:
        model, run: as in `Middle`.
    """

    def __init__(self, model: nn.Module, run: Run[Answer]) -> None:
        self._model, self._run = model, run
        self._key: Any = None
        self._kept: Middle[Answer] | None = None

    def refresh(self, batch: Inputs, layer: str) -> None:
        """Forget what other images, weights or another layer gave; before the model's buffers become copies."""
        tensors = itertools.chain(self._model.parameters(), self._model.buffers())
        key = (layer, [(id(one), write_count(one)) for one in tensors], [_bytes(one) for one in batch.tensors])
        if key != self._key:
            self._key, self._kept = key, None

    def of(self, batch: Inputs, layer: str, module: nn.Module) -> Middle[Answer]:
        """The model from this layer on, after `refresh`, with the model in evaluation mode."""
        if self._kept is None:
            self._kept = Middle(self._model, layer, module, batch, self._run)
        return self._kept

    def forget(self) -> None:
        """Keep nothing."""
        self._key = self._kept = None


def _bytes(tensor: torch.Tensor) -> bytes:
    return tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes()
