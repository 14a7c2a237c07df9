"""The calls of layers in one pass, and the facts of layers that follow from them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np

from xaicore.facts import LayerFacts
from xaicore.layers import is_pooling
from xaicore.recording.arrivals import arrivals

__all__ = ["Call", "Recording", "is_float"]


@dataclass(eq=False)
class Call:
    """One call of a layer. A backend may derive from it, to note more.

    Attributes:
        name: of the layer, as `Explainer(layer=...)` takes it; the layers inside of it are "name.inner".
        output: the array that it gave, the first of several. It is held, so that its identity stays its own.
        taken: the arrays that it took.
        layer: the layer itself.
        gives: how many arrays it gave.
        pools: it is a pooling layer, or passes on what one made; None: by the name of the layer's class, or by the
            kind "pooling" that `Recording.layer` is told.
        reads, reached: as in `LayerFacts`, of this call; for the backend to set before it asks for facts, by
            `Recording.note_reads` and `note_reached` or by itself, after them.
        run: 1 for the first call of its layer; set by `Recording.add`, like the rest.
        sources: where each of the taken arrays comes from: the name of the last layer that gave it, the position of an
            input, or None.
        handed_on: the calls inside of this one that gave the same output, the innermost first.
    """

    name: str
    output: Any
    taken: Sequence[Any] = ()
    layer: Any = None
    gives: int = 1
    pools: bool | None = None
    reads: tuple[int, ...] | None = None
    reached: Mapping[int, Sequence[bool]] | None = None
    run: int = field(default=0, init=False)
    sources: Sequence[str | int | None] = field(default=(), init=False)
    handed_on: Sequence[Any] = field(default=(), init=False)

    @property
    def key(self) -> str:
        """The name of this run, "conv#1"."""
        return f"{self.name}#{self.run}"

    @property
    def is_float(self) -> bool:
        """Whether the output holds floating-point numbers."""
        return is_float(self.output)

    @property
    def maker(self) -> Any:
        """The innermost call that made its output: this one, or one inside of it."""
        return self.handed_on[0].maker if self.handed_on else self


C = TypeVar("C", bound=Call)


class Recording(Generic[C]):
    """The calls of one pass, in order of completion.

    Args:
        inputs: the arrays that the model took.
        identity: equal for two arrays that are the same values; by default, that they are the same object.
        separator: between the name of a layer and that of one inside of it.

    Attributes:
        inputs: as given.
        calls: as added.
    """

    def __init__(
        self, inputs: Sequence[Any] = (), identity: Callable[[Any], Hashable] = id, separator: str = "."
    ) -> None:
        self.inputs, self.calls = list(inputs), list[C]()
        self._identity, self._separator = identity, separator
        self._runs: dict[str, list[C]] = defaultdict(list)
        self._makers: dict[Hashable, list[C]] = defaultdict(list)
        self._outputs: dict[C, Hashable] = {}
        self._pooled: set[Hashable] = set()

    def add(self, call: C) -> C:
        """Add a call that has ended, and read from the calls before it what it took and what it hands on."""
        call.sources = [self._source(one) for one in call.taken]
        output = self._identity(call.output)
        inside = f"{call.name}{self._separator}"
        call.handed_on = [one for one in self._makers[output] if one.name.startswith(inside)]
        for known in (self.calls, self._runs[call.name], self._makers[output]):
            known.append(call)
        call.run, self._outputs[call] = len(self._runs[call.name]), output
        if is_pooling(type(call.layer)) if call.pools is None else call.pools:
            self._pooled.add(output)
        return call

    def runs(self, name: str) -> Sequence[C]:
        """The calls of a layer."""
        return self._runs.get(name, ())

    def is_pooled(self, array: Any) -> bool:
        """Whether a pooling layer made an array, also where others have passed it on."""
        return self._identity(array) in self._pooled

    def takes(self, call: C, i: int) -> bool:
        """Whether what a call takes first is the very input, also where a layer before has handed it on."""
        return bool(call.taken) and call.taken[0] is self.inputs[i]

    def reads(self, call: C, i: int) -> bool:
        """Whether a call takes an input, or what was made of it."""
        return self.takes(call, i) or (call.reads is not None and i in call.reads)

    def aliases(self, call: C) -> tuple[str, ...]:
        """The layers inside of it that made its output and ran as often: each of its runs is one of theirs."""
        names = dict.fromkeys(inner.name for inner in call.handed_on)
        return tuple(name for name in names if len(self._runs[name]) == len(self._runs[call.name]))

    def listed(self) -> list[C]:
        """The last call of each layer, as `Facts.layers` lists them: what has an alias inside of another is left out.

        So is a layer that hands on one array from inside of it beside others: what follows may read any of them.
        """
        last: dict[str, C] = {}
        for call in self.calls:
            last.pop(call.name, None)
            if call.handed_on and call.gives > 1:
                continue
            for alias in self.aliases(call):
                last.pop(alias, None)
            last[call.name] = call
        return list(last.values())

    def note_reads(self, push: Callable[[int], Sequence[Any] | None], asks_single: bool = False) -> None:
        """Set what each call `reads`: the inputs that its output changes with.

        An input of whole numbers, such as words, cannot be pushed. Beside others it leaves `reads` unknown, None,
        unless the backend sets the `reads` of the calls itself, by what its framework shows.

        Args:
            push: takes the position of an input of floating-point numbers to how the output of each call changes with
                it, by a derivative along `mixture` or as the difference of two passes; None where that is not known.
            asks_single: ask for a single input, too. Without it, all calls are taken to read it: that is wrong of a
                layer made of weights alone, such as learned queries.
        """
        pushed: list[Sequence[Any] | None] = [[True] * len(self.calls)]
        if len(self.inputs) > 1 or asks_single:
            pushed = [push(i) if is_float(array) else None for i, array in enumerate(self.inputs)]
        for at, call in enumerate(self.calls):
            known = [one for one in pushed if one is not None]
            found = tuple(i for i, one in enumerate(known) if np.any(one[at]))
            call.reads = found if len(known) == len(pushed) else None

    def note_reached(self, gradients: Mapping[str, Any]) -> None:
        """Set where each call is `reached`.

        Args:
            gradients: {key of a call: the gradient of `mixture` at its output}. Zeros, or None, stand for a call that
                the outputs do not depend on. A call that is left out is one of which nothing is known.
        """
        for call in self.calls:
            gradient = gradients.get(call.key)
            known = {} if gradient is None else arrivals(np.asarray(gradient))
            call.reached = known if call.key in gradients else None

    def layer(self, call: C, **seen: Any) -> LayerFacts:
        """The facts of a layer, by its last call.

        Args:
            call: as `listed` has it.
            seen: what the framework shows beyond: fields of `LayerFacts`, such as `kind` and `channel_axis`. They
                replace what follows from the calls. A layer of the kind "pooling" is `pooled`, unless its call says
                that it does not pool, and so is what later layers hand on of it.
        """
        if seen.get("kind") == "pooling" and call.pools is None:
            self._pooled.add(self._outputs[call])
        runs = self._runs[call.name]
        reads = [run.reads for run in runs]
        known = {
            "type": type(call.layer).__name__,
            "shape": tuple(call.output.shape),
            "is_float": call.is_float,
            "takes": tuple(source for source in call.maker.sources if source is not None),
            "aliases": self.aliases(call),
            "pooled": self._outputs[call] in self._pooled,
            "reads": call.reads,
            "reached": call.reached,
            "runs": len(runs),
            "run_reads": None if None in reads else tuple(reads),
        }
        return LayerFacts(call.name, **{**known, **seen})

    def _source(self, array: Any) -> str | int | None:
        makers = self._makers.get(self._identity(array))
        if makers:
            return makers[-1].name
        return next((i for i, one in enumerate(self.inputs) if one is array), None)


def is_float(array: Any) -> bool:
    """Whether it holds floating-point numbers, by the name of its type, which in every framework has "float" in it."""
    return "float" in str(getattr(array, "dtype", ""))
