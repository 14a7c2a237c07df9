"""One pass over one image, and one backward pass, that show the facts of a model's layers and inputs."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.autograd.graph import GradientEdge
from torch.nn.utils.parametrize import ParametrizationList

from xaicore.facts import Facts, InputFacts, LayerFacts, Moves, Span
from xaicore.layers import is_pooling
from xaicore_torch.calls import Call, Snapshot, is_of_weights, weights_of
from xaicore_torch.class_axis import find_class_axis
from xaicore_torch.hooks import Hooks
from xaicore_torch.layout import batch_axis, channel_axis, images_first, taken_axis, vectors
from xaicore_torch.moves import moves_between, part_of, span_of
from xaicore_torch.origins import Origins
from xaicore_torch.outputs import first_tensor, replace_first_tensor, tensors_in
from xaicore_torch.pullback import grad_of_mixture

__all__ = ["Survey", "hooked_modules"]

READERS = ("convolution", "recurrent")

UNRECORDED = -1
"""Stands for what autograd did not record, among the inputs that a tensor depends on."""


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
        self.hooks = Hooks(hooked_modules(model), self._on_output)
        self.runs: dict[str, int] = {}
        self._inputs, self._leaves = list(inputs), list(leaves)
        # Integers cannot require grad.
        self._starts_recording = torch.is_grad_enabled() and not any(leaf.requires_grad for leaf in leaves)
        self._calls: list[Call] = []
        self._makers: dict[tuple[int, int], list[Call]] = defaultdict(list)  # by the snapshot that they returned
        self._pooled: set[tuple[int, int]] = set()
        self._class_axis: int | None = None
        self._of_readers: dict[int, Origins] = {}  # by input: which runs of its reader a tensor depends on

    def facts(self, y: torch.Tensor | None, count: int) -> Facts:
        """What the pass showed, for `count` images and the chosen outputs y; without y, nothing of gradients."""
        origins, recorded = Origins(self._leaves), Origins(self._leaves, unrecorded=UNRECORDED)
        for call in self._calls:
            call.weights = weights_of(call, recorded)
            call.reads = self._reads(call, origins, recorded)
        inputs = tuple(self._input_facts(i, origins) for i in range(len(self._inputs)))
        self._note_tokens(count, origins)
        for call in self._calls:  # they have noted where the gradients of the reader and of tokens arrive
            call.reached = None if call.reached is None else {}
        self._pull_back(y, origins)
        runs: dict[str, list[Call]] = defaultdict(list)
        for call in self._calls:
            runs[call.name].append(call)
        last: dict[str, Call] = {}
        for call in self._calls:
            last.pop(call.name, None)
            call.aliases = {one.name for one in call.handed_on if len(runs[one.name]) == len(runs[call.name])}
            for name in call.aliases:
                last.pop(name, None)
            if not call.is_ambiguous:
                last[call.name] = call
        return Facts(tuple(self._layer_facts(call, runs[call.name]) for call in last.values()), inputs, count)

    def class_axis(self, y: torch.Tensor) -> int | None:
        """Which axis of the chosen outputs y holds the classes, see `find_class_axis`; before `facts`."""
        self._class_axis = find_class_axis(y, self._calls)
        return self._class_axis

    def _on_output(self, name: str, module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        tensor = first_tensor(output)
        if tensor is None:
            return None
        self.runs[name] = self.runs.get(name, 0) + 1
        taken = list(tensors_in(args))
        replaced = None
        if tensor.is_floating_point() and self._may_start(module, taken, tensor):
            self._leaves.append(tensor.detach().requires_grad_())
            with torch.enable_grad():
                tensor = self._leaves[-1].clone()  # which what follows may write to
            replaced = replace_first_tensor(output, lambda _: tensor)
        snapshot = Snapshot(tensor)
        if is_pooling(type(module)):
            self._pooled.add(snapshot.key)
        producers = [self._producer(part) for part in taken]
        call = Call(name, module, taken, [part.grad_fn for part in taken], producers, snapshot)
        seen = [tensor, *taken] if torch.is_grad_enabled() and not self._starts_recording else []
        call.is_constant = bool(seen) and not any(one.requires_grad for one in seen)
        if not _is_leaf(module):
            call.handed_on = [inner for inner in self._makers[snapshot.key] if inner.name.startswith(f"{name}.")]
            # What follows may read another of the tensors, such as a pooled one.
            call.is_ambiguous = bool(call.handed_on) and sum(1 for _ in tensors_in(output)) > 1
            if call.is_ambiguous:
                call.handed_on = []
        if tensor.requires_grad:
            call.reached = {}
            if not tensor.is_leaf:  # a parameter that is returned as it is outlives the pass
                tensor.register_hook(call.hook())  # type: ignore[no-untyped-call]  # torch has no types there
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

    def _reads(self, call: Call, origins: Origins, recorded: Origins) -> tuple[int, ...] | None:
        if len(self._inputs) == 1:
            is_constant = call.is_constant or is_of_weights(call.output.tensor, call.output.node, recorded)
            return () if is_constant or (call.taken and len(call.weights) == len(call.taken)) else (0,)
        return None if self._starts_recording else origins.of(call.output.node)

    def _input_facts(self, i: int, origins: Origins) -> InputFacts:
        """The first layer that reads the input, what it takes, and in which of its runs it takes the very input."""
        shape = tuple(self._inputs[i].shape)
        readers = [call for call in self._calls if self._is_reader(call, i, origins)]
        if not readers:
            return InputFacts(shape)
        first = readers[0]
        taken = images_first(first.module, first.taken[0])
        same = [call for call in readers if call.module is first.module]
        runs = tuple(call.producers[0] == i for call in same)
        axis = taken_axis(first.module, taken.shape)
        if len(same) > 1:
            self._of_readers[i] = Origins(nodes={call.output.node: run for run, call in enumerate(same)})
        seen = [self._moves(call, i, axis) for call in same]
        moves, spans, parts = zip(*seen, strict=True)
        source = first.producers[0] if isinstance(first.producers[0], str) else None
        taken_shape = tuple(taken.shape)
        return InputFacts(shape, taken_shape, axis, runs, moves, source, spans, first.name, reader_parts=parts)

    def _moves(self, call: Call, i: int, channel: int | None) -> tuple[Moves | None, Span | None, Span | None]:
        """Where what a reader takes comes from: `InputFacts.reader_moves`, `reader_spans` and `reader_parts`."""
        taken, leaf = images_first(call.module, call.taken[0]), self._leaves[i]
        if call.producers[0] == i or self._starts_recording or not taken.requires_grad or not leaf.requires_grad:
            return None, None, None
        try:
            first = 0 if len(taken) > len(leaf) else 1
            moves = moves_between(taken, leaf, [axis for axis in range(first, taken.ndim) if axis != channel])
            is_resized = taken.ndim == leaf.ndim and sorted(taken.shape) != sorted(leaf.shape)
            return moves, span_of(taken, leaf), part_of(taken, leaf) if is_resized else None
        except RuntimeError:  # an operation without a gradient, or what it keeps was written to
            return None, None, None

    def _note_tokens(self, count: int, origins: Origins) -> None:
        """Where the tokens of the first layer with so many come from, for `LayerFacts.moves` and `parts`."""
        moved: set[int] = set()
        parted: set[tuple[int, int]] = set()
        several = len(self._inputs) > 1 and not self._starts_recording
        for at, call in enumerate(self._calls):
            tensor, channel = call.output.tensor, channel_axis(call.module, len(call.output.shape))
            if tensor.ndim == 3 and channel == 2 and len(tensor) != count == tensor.shape[1]:
                tensor = tensor.transpose(0, 1)  # attention and recurrent layers may have the images second
            axis = {2: 1, 1: 2}.get(channel) if tensor.ndim == 3 and len(tensor) == count else None  # type: ignore[arg-type]
            if axis is None or not tensor.requires_grad or self._starts_recording:
                continue
            tokens = tensor.shape[axis]
            for i, leaf in enumerate(self._leaves[: len(self._inputs)]):
                if not leaf.requires_grad:
                    continue
                with contextlib.suppress(RuntimeError):
                    moves = None if tokens in moved else moves_between(tensor, leaf, [axis])
                    call.moves |= {} if moves is None else {i: moves}
                    if several and (tokens, i) not in parted:
                        part = part_of(tensor, self._source(at, i, tokens, origins), [axis])
                        call.parts |= {} if part is None else {i: part}
            moved.update([tokens] if call.moves else [])
            parted.update((tokens, i) for i in call.parts)

    def _source(self, at: int, i: int, tokens: int, origins: Origins) -> torch.Tensor | GradientEdge:
        """What was last made of an input before a call, with another number of tokens; the input where nothing was, or
        by a layer that ran several times, of each part of the input.

        A pull-back to it is much shorter than one to the input.
        """
        before = self._calls[:at]
        for call in reversed(before):
            edge = call.output.edge
            if edge is not None and tokens not in call.output.shape[1:-1] and i in origins.of(edge.node):
                return edge if sum(one.module is call.module for one in before) == 1 else self._leaves[i]
        return self._leaves[i]

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

    def _pull_back(self, y: torch.Tensor | None, origins: Origins) -> None:
        """Pull a mixture of all outputs back to the inputs; each layer on the way notes where the gradient arrives.

        It is pulled back to layers that read no such input, too: those of words read whole numbers. Every output has a
        weight of its own, so that no two gradients cancel: softmax's sum to zero.
        """
        leaves = [leaf for leaf in self._leaves if leaf.requires_grad]
        if y is not None and y.grad_fn is None:  # the model switched recording off up to its end
            for call in self._calls:
                call.reached = None
        if y is None or not y.requires_grad or not leaves:
            return
        weights = torch.rand(y.shape, generator=torch.Generator().manual_seed(0)).to(y.device, y.dtype) + 0.5
        self._leave_out_pictures(weights)
        apart = [call.output.edge for call in self._calls if call.output.edge and not origins.of(call.output.node)]
        try:
            grad_of_mixture(y, [*leaves, *apart], weights)
        except RuntimeError:  # an operation without a gradient: nothing is known of what lies before it
            for call in self._calls:
                call.reached = None

    def _leave_out_pictures(self, weights: torch.Tensor) -> None:
        """Leave out what a language model predicts at the tokens of a picture, which is no word."""
        if weights.ndim != 3 or self._class_axis is None:
            return
        axis = 3 - self._class_axis
        for call in self._calls:
            for part in call.parts.values():
                ((of_tokens, (first, last)),) = part.items()
                if call.output.shape[of_tokens] == weights.shape[axis] > last - first + 1:
                    weights.narrow(axis, first, last - first + 1).zero_()

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
            takes_weights=tuple(shape for one in (call, *call.handed_on) for shape in one.weights),
            takes=tuple(producer for producer in maker.producers if producer is not None),
            aliases=tuple(dict.fromkeys(one.name for one in call.handed_on if one.name in call.aliases)),
            is_leaf=_is_leaf(call.module),
            is_float=call.output.tensor.is_floating_point(),
            pooled=call.output.key in self._pooled,
            reads=call.reads,
            reached=call.reached,
            moves=call.moves,
            parts=call.parts,
            runs=len(runs),
            run_reads=None if any(run.reads is None for run in runs) else tuple(run.reads or () for run in runs),
            run_frames={
                i: tuple(origins.of(run.output.node) for run in runs) for i, origins in self._of_readers.items()
            },
        )


def hooked_modules(model: nn.Module) -> dict[str, nn.Module]:
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
