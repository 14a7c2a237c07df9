"""One pass over one image, and one backward pass, that show the facts of a model's layers and inputs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.nn.utils.parametrize import ParametrizationList

from xaicore.facts import Facts, InputFacts, LayerFacts, Moves
from xaicore.layers import is_pooling
from xaicore_torch.hooks import Hooks
from xaicore_torch.layout import batch_axis, channel_axis, kind_of, taken_axis, vectors
from xaicore_torch.moves import moves_between
from xaicore_torch.outputs import first_tensor, replace_first_tensor, tensors_in
from xaicore_torch.private import graph_leaf, write_count

__all__ = ["Survey"]

READERS = ("convolution", "recurrent")


class Survey:
    """Hooks every layer while one pass runs: `with survey.hooks: y = model(x)`, then `survey.facts(y)`.

    The root is no layer; nor is TorchScript, which has no hooks, nor what computes a parametrized weight.

    Args:
        model: the model of the pass.
        inputs: the tensors that the model is called with, copies of `leaves`.
        leaves: the inputs that require grad.

    Attributes:
        hooks: for the pass.
        runs: {layer: how often it ran}.
    """

    def __init__(self, model: nn.Module, inputs: Sequence[torch.Tensor], leaves: Sequence[torch.Tensor]) -> None:
        self.hooks = Hooks(_layers(model), self._on_output)
        self.runs: dict[str, int] = {}
        self._inputs, self._leaves = list(inputs), list(leaves)
        # Integers cannot require grad.
        self._starts_recording = torch.is_grad_enabled() and not any(leaf.requires_grad for leaf in leaves)
        self._calls: list[Call] = []
        self._makers: dict[tuple[int, int], list[Call]] = defaultdict(list)  # by the snapshot that they returned
        self._pooled: set[tuple[int, int]] = set()

    def facts(self, y: torch.Tensor | None, count: int) -> Facts:
        """What the pass showed, for `count` images and the chosen outputs y; without y, nothing of gradients."""
        origins = Origins(self._leaves)
        for call in self._calls:
            call.reads = self._reads(call.output, origins)
        inputs = tuple(self._input_facts(i, origins) for i in range(len(self._inputs)))
        self._pull_back(y)
        last: dict[str, Call] = {}
        for call in self._calls:
            last.pop(call.name, None)
            for inner in call.handed_on:
                last.pop(inner.name, None)
            if not call.is_ambiguous:
                last[call.name] = call
        runs: dict[str, list[Call]] = defaultdict(list)
        for call in self._calls:
            runs[call.name].append(call)
        return Facts(tuple(self._layer_facts(call, runs[call.name]) for call in last.values()), inputs, count)

    def _on_output(self, name: str, module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        tensor = first_tensor(output)
        if tensor is None:
            return None
        self.runs[name] = self.runs.get(name, 0) + 1
        taken = list(tensors_in(args))
        replaced = None
        if tensor.is_floating_point() and self._may_start(module, taken, tensor):
            tensor = tensor.detach().requires_grad_()
            self._leaves.append(tensor)
            replaced = replace_first_tensor(output, lambda _: tensor)
        snapshot = Snapshot(tensor)
        if is_pooling(type(module)):
            self._pooled.add(snapshot.key)
        producers = [self._producer(part) for part in taken]
        call = Call(name, module, taken, [part.grad_fn for part in taken], producers, snapshot)
        if not _is_leaf(module):
            call.handed_on = [inner for inner in self._makers[snapshot.key] if inner.name.startswith(f"{name}.")]
            # What follows may read another of the tensors, such as a pooled one.
            call.is_ambiguous = bool(call.handed_on) and sum(1 for _ in tensors_in(output)) > 1
            if call.is_ambiguous:
                call.handed_on = []
        if tensor.requires_grad:
            call.reached = {}
            if not tensor.is_leaf or replaced is not None:  # a parameter returned as it is outlives the pass
                tensor.register_hook(call.note_gradient)  # type: ignore[no-untyped-call]  # torch has no types there
        self._calls.append(call)
        self._makers[snapshot.key].append(call)
        return replaced

    def _may_start(self, module: nn.Module, taken: Sequence[torch.Tensor], output: torch.Tensor) -> bool:
        """Whether recording may start at an output: behind integers, or under the model's own no_grad."""
        if self._starts_recording:
            return _is_leaf(module) and not any(tensor.requires_grad for tensor in taken)
        return len(self._inputs) == 1 and not torch.is_grad_enabled() and not output.requires_grad

    def _producer(self, tensor: torch.Tensor) -> str | int | None:
        """Where a tensor comes from: the last layer that returned it, or the position of an input."""
        makers = self._makers.get(Snapshot(tensor).key)
        if makers:
            return makers[-1].name
        return next((i for i, given in enumerate(self._inputs) if given is tensor), None)

    def _reads(self, output: Snapshot, origins: Origins) -> tuple[int, ...] | None:
        if len(self._inputs) == 1:
            return (0,)
        return None if self._starts_recording else origins.of(output.node)

    def _input_facts(self, i: int, origins: Origins) -> InputFacts:
        """The first layer that reads the input, what it takes, and in which of its runs it takes the very input."""
        shape = tuple(self._inputs[i].shape)
        readers = [call for call in self._calls if self._is_reader(call, i, origins)]
        if not readers:
            return InputFacts(shape)
        first = readers[0]
        taken = first.taken[0]
        same = [call for call in readers if call.module is first.module]
        runs = tuple(call.producers[0] == i for call in same)
        axis = taken_axis(first.module, taken.shape)
        moves = tuple(None if is_very else self._moves(call, i, axis) for call, is_very in zip(same, runs, strict=True))
        source = first.producers[0]
        return InputFacts(shape, tuple(taken.shape), axis, runs, moves, source if isinstance(source, str) else None)

    def _moves(self, call: Call, i: int, channel: int | None) -> Moves | None:
        """Where what a reader takes comes from, for `InputFacts.reader_moves`."""
        taken, leaf = call.taken[0], self._leaves[i]
        if self._starts_recording or not taken.requires_grad or not leaf.requires_grad:
            return None
        try:
            first = 0 if len(taken) > len(leaf) else 1
            return moves_between(taken, leaf, [axis for axis in range(first, taken.ndim) if axis != channel])
        except RuntimeError:  # an operation without a gradient, or what it keeps was written to
            return None
        finally:
            for other in self._calls:  # layers before the reader have noted these gradients
                other.reached = None if other.reached is None else {}

    def _is_reader(self, call: Call, i: int, origins: Origins) -> bool:
        """Whether a call takes the input, or what was made of it, and says where it takes the channels."""
        if not call.taken or taken_axis(call.module, call.taken[0].shape) is None:
            return False
        is_dense_reader = call.kind == "dense" and call.producers[0] == i and call.taken[0].ndim == 3
        if call.kind not in READERS and not is_dense_reader:
            return False
        if len(self._inputs) == 1:
            return True
        return call.producers[0] == i or (not self._starts_recording and i in origins.of(call.taken_nodes[0]))

    def _pull_back(self, y: torch.Tensor | None) -> None:
        """Pull a mixture of all outputs back to the inputs; each layer on the way notes where the gradient arrives.

        Every output has a weight of its own, so that no two gradients cancel: softmax's sum to zero.
        """
        leaves = [leaf for leaf in self._leaves if leaf.requires_grad]
        if y is not None and y.grad_fn is None:  # the model switched recording off up to its end
            for call in self._calls:
                call.reached = None
        if y is None or not y.requires_grad or not leaves:
            return
        generator = torch.Generator().manual_seed(0)
        weights = torch.rand(y.shape, generator=generator).to(y.device, y.dtype) + 0.5
        try:
            torch.autograd.grad([y], leaves, [weights], allow_unused=True)
        except RuntimeError:  # an operation without a gradient: nothing is known of what lies before it
            for call in self._calls:
                call.reached = None

    def _layer_facts(self, call: Call, runs: Sequence[Call]) -> LayerFacts:
        maker = call.handed_on[0] if call.handed_on else call
        while maker.handed_on:
            maker = maker.handed_on[0]
        return LayerFacts(
            name=call.name,
            type=type(call.module).__name__,
            shape=call.output.shape,
            kind=maker.kind,
            channel_axis=channel_axis(maker.module, len(call.output.shape)),
            batch_axis=batch_axis(maker.module),
            vectors=vectors(maker.module),
            takes=tuple(producer for producer in maker.producers if producer is not None),
            aliases=tuple(dict.fromkeys(inner.name for inner in call.handed_on)),
            is_leaf=_is_leaf(call.module),
            is_float=call.output.tensor.is_floating_point(),
            pooled=call.output.key in self._pooled,
            reads=call.reads,
            reached=call.reached,
            runs=len(runs),
            run_reads=None if any(run.reads is None for run in runs) else tuple(run.reads or () for run in runs),
        )


class Snapshot:
    """A tensor at one moment: an in-place operation makes another snapshot of the same tensor."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor = tensor
        self.shape = tuple(tensor.shape)
        self.node = tensor.grad_fn
        self.write_count = write_count(tensor)

    @property
    def key(self) -> tuple[int, int]:
        """Equal for two snapshots that are the same values in the same tensor, while one of them holds it."""
        return id(self.tensor), self.write_count


@dataclass(eq=False)
class Call:
    """One call of a module.

    Attributes:
        taken: the tensors that it took.
        taken_nodes: the graph nodes that made them.
        producers: where each of them comes from: a layer, an input, or elsewhere (None).
        handed_on: the calls inside of it that made its output.
        is_ambiguous: its output holds a tensor from inside of it beside others.
        reads: the inputs that the output depends on.
        reached: {axis: where the gradient arrives}; None where it was not recorded.
    """

    name: str
    module: nn.Module
    taken: list[torch.Tensor]
    taken_nodes: list[Any]
    producers: list[str | int | None]
    output: Snapshot
    handed_on: list[Call] = field(default_factory=list)
    is_ambiguous: bool = False
    reads: tuple[int, ...] | None = None
    reached: Mapping[int, Sequence[bool]] | None = None

    @property
    def kind(self) -> str | None:
        """The kind of layer, for `LayerFacts`."""
        return kind_of(self.module)

    def note_gradient(self, gradient: torch.Tensor) -> None:
        """Note along each axis where the gradient is not zero."""
        is_there, axes = gradient != 0, range(gradient.ndim)
        if bool(is_there.any()):
            self.reached = {
                axis: is_there.any(dim=[other for other in axes if other != axis]).tolist()
                if gradient.ndim > 1
                else is_there.tolist()
                for axis in axes
            }


class Origins:
    """Which inputs a tensor depends on, from autograd's graph."""

    def __init__(self, leaves: Sequence[torch.Tensor]) -> None:
        self._positions = {id(leaf): i for i, leaf in enumerate(leaves)}
        self._known: dict[Any, frozenset[int]] = {None: frozenset()}

    def of(self, node: Any) -> tuple[int, ...]:
        """The positions of the inputs that a graph node depends on."""
        pending = [node]
        while pending:
            current = pending[-1]
            if current in self._known:
                pending.pop()
                continue
            before = [other for other, _ in current.next_functions]
            missing = [other for other in before if other not in self._known]
            if missing:
                pending += missing
                continue
            leaf = graph_leaf(current)
            own = {self._positions[id(leaf)]} if id(leaf) in self._positions else set()
            self._known[current] = frozenset(own.union(*(self._known[other] for other in before)))
            pending.pop()
        return tuple(sorted(self._known[node]))


def _layers(model: nn.Module) -> dict[str, nn.Module]:
    """{name: module} of what a survey hooks."""
    modules = dict(model.named_modules())
    computing = tuple(f"{name}." for name, module in modules.items() if isinstance(module, ParametrizationList))
    return {
        name: module
        for name, module in modules.items()
        if name and not isinstance(module, torch.jit.ScriptModule) and not f"{name}.".startswith(computing)
    }


def _is_leaf(module: nn.Module) -> bool:
    return next(module.children(), None) is None
