"""What depends on what in a model that only runs forward: what changes when something else is changed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Any

import keras
import numpy as np

from xaicore_keras.calls import Call, Recorder
from xaicore_keras.engine import Run
from xaicore_keras.layout import kind_of
from xaicore_keras.private import replaced_functions
from xaicore_keras.seen import Flow, Seen

__all__ = ["Probes"]

SAME = 1e-6
"""Up to this part of the largest value, what changed is rounding."""

EXACT = ("float32", "float64")
"""Types in which a change can be told from rounding."""

MOST = 2048
"""Tokens of a layer that are looked at one by one."""

ROWS = 32
"""Of one pass."""

SCALES = (1.0, 8.0)
"""Of the noise on inputs, in their standard deviations: one small change may vanish in what saturates."""


class Probes:
    """Passes of one model over one image, with noise on its inputs or on the tokens of a layer.

    Args:
        run: runs the model, hooks of the recorder set.
        recorder: of the calls in a pass.
        tensors: the inputs.
    """

    def __init__(self, run: Run, recorder: Recorder, tensors: Sequence[Any]) -> None:
        self._run = run
        self._recorder = recorder
        self._tensors = list(tensors)
        self._rng = np.random.default_rng(0)

    def seen(self) -> Seen:
        """What is found; the tensors are those of the last pass, over the inputs as they are."""
        y = _host(self._pass(self._tensors))
        first = list(self._recorder.calls)
        before = [(_host(call.output), _host(call.input)) for call in first]
        reads = self._reads(before)
        reached = dict(self._reached([output for output, _ in before], first))
        with _ends() as ends:
            last = self._pass(self._tensors)
        link, calls = ends[id(last)].link if id(last) in ends else None, self._recorder.calls
        if len(calls) != len(before) or _differs(_host(last), y):  # it draws, or goes another way each time
            return Seen(last, link, [Flow()] * len(calls))
        flows = [
            Flow(of_output, reached.get(number), takes=of_input) for number, (of_output, of_input) in enumerate(reads)
        ]
        return Seen(last, link, flows)

    def _pass(self, tensors: Sequence[Any]) -> Any:
        """The output for copies of the inputs: some models write into them."""
        return self._run([keras.ops.copy(tensor) for tensor in tensors], None)

    def _reads(self, before: Sequence[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
        """For each call, the positions of the inputs that what it gives depends on, and what it takes."""
        unknown = [(None, None)] * len(before)
        each = [self._changes(tensor) for tensor in self._tensors]
        if not all(each):
            return unknown
        found: list[tuple[set[int], set[int]]] = [(set(), set()) for _ in before]
        for i, changes in enumerate(each):
            for change in changes:
                changed = self._tensors.copy()
                changed[i] = change
                try:
                    self._pass(changed)
                except Exception:  # a model may check its inputs' values
                    return unknown
                if len(self._recorder.calls) != len(before):
                    return unknown
                for (of_output, of_input), (gave, took), call in zip(found, before, self._recorder.calls, strict=True):
                    of_output.update([i] if _differs(_host(call.output), gave) else [])
                    of_input.update([i] if took is not None and _differs(_host(call.input), took) else [])
        return [
            (tuple(sorted(of_output)), None if took is None else tuple(sorted(of_input)))
            for (of_output, of_input), (_, took) in zip(found, before, strict=True)
        ]

    def _reached(self, before: Sequence[Any], calls: Sequence[Call]) -> Iterator[tuple[int, dict[int, list[bool]]]]:
        """On which tokens of tensors (1, T, C) the output depends, from the end on to the layer that is explained.

        What lies before a tensor all of whose T tokens count is left open, where it has as many; but projections inside
        of a block, which are dense layers, are not explained.
        """
        known: dict[int, list[bool]] = {}
        done: set[int] = set()
        for number in reversed(range(len(before))):
            value, call = before[number], calls[number]
            is_tokens = value.ndim == 3 and len(value) == 1 and 1 < value.shape[1] <= MOST and call.dtype in EXACT
            if not is_tokens or value.shape[1] in done:
                continue
            if id(call.output) not in known:
                try:
                    known[id(call.output)] = self._tokens(number, value)
                except Exception:  # a model that takes one image at a time
                    return
            counts = known[id(call.output)]
            yield number, {1: counts} if any(counts) else {}
            if all(counts) and kind_of(call.layer) != "dense":
                done.add(value.shape[1])

    def _tokens(self, number: int, value: np.ndarray) -> list[bool]:
        """Whether the output depends on each token that a call gives: on groups of many first, which are fewer."""
        count = value.shape[1]
        groups = np.array_split(np.arange(count), count if count <= ROWS else isqrt(count))
        counts = np.zeros(count, bool)
        for group, some in zip(groups, self._count(number, value, groups), strict=True):
            counts[group] = some
        singles = np.flatnonzero(counts)
        if len(groups) < count and len(singles):
            counts[singles] = self._count(number, value, list(singles[:, None]))
        return counts.tolist()

    def _count(self, number: int, value: np.ndarray, groups: Sequence[np.ndarray]) -> np.ndarray:
        """Whether the output depends on each group of tokens: a row for each, in which it is changed."""
        found = [np.zeros(0, bool)]
        for start in range(0, len(groups), ROWS):
            some = groups[start : start + ROWS]
            changed = np.repeat(value, len(some) + 1, axis=0)  # the last row stays
            for row, group in enumerate(some):
                changed[row, group] += self._rng.normal(size=(len(group), value.shape[2])) * (value.std() + 1e-3)
            outputs = self._outputs(number, changed)
            found.append(np.abs(outputs[:-1] - outputs[-1]).max(axis=1) > SAME * np.abs(outputs).max())
        return np.concatenate(found)

    def _outputs(self, number: int, changed: np.ndarray) -> np.ndarray:
        """The outputs (R, ...), before their softmax or sigmoid, where a call gives these R rows.

        One row leads to the call, and R go on from it: most models broadcast what they still read of the one. For the
        others there are R from the start.
        """
        try:
            return self._resumed(number, changed, self._tensors)
        except Exception:  # a concatenation of one row and several
            rows = [keras.ops.repeat(t, len(changed), axis=0) if len(t.shape) else t for t in self._tensors]
            return self._resumed(number, changed, rows)

    def _resumed(self, number: int, changed: np.ndarray, tensors: Sequence[Any]) -> np.ndarray:
        def change(at: int, tensor: Any) -> Any:
            return keras.ops.cast(keras.ops.convert_to_tensor(changed), tensor.dtype) if at == number else tensor

        self._recorder.change = change
        try:
            with _ends() as ends:
                y = self._pass(tensors)
            outputs: np.ndarray = _host(ends[id(y)].scores if id(y) in ends else y)
        finally:
            self._recorder.change = None
        if len(outputs) != len(changed):
            raise ValueError(f"{len(changed)} rows gave {len(outputs)}")
        return outputs.reshape(len(changed), -1)

    def _changes(self, tensor: Any) -> list[Any]:
        """The tensor with noise; one of whole numbers, such as words, all of the least and all of the largest of them.

        None at all for whole numbers that are all the same: which others the model takes is not known.
        """
        value = _host(tensor)
        if value.dtype == np.float32:
            scaled = [scale * (value.std() + 1e-3) for scale in SCALES]
            made = [(value + self._rng.normal(size=value.shape) * by).astype(np.float32) for by in scaled]
        else:
            ends = (value.min(), value.max()) if value.size else (0, 0)
            made = [np.full_like(value, end) for end in ends] if ends[0] != ends[1] else []
        return [keras.ops.cast(keras.ops.convert_to_tensor(one), tensor.dtype) for one in made]


def _host(tensor: Any) -> Any:
    """A copy: a model may write into its tensors. None stays None."""
    if tensor is None:
        return None
    array = np.array(keras.ops.convert_to_numpy(tensor))
    is_float = keras.backend.is_float_dtype(array.dtype.name)
    return array.astype(np.float32) if is_float else array


def _differs(one: np.ndarray, other: np.ndarray) -> bool:
    return one.shape != other.shape or bool(np.any(one != other))


@dataclass(frozen=True, eq=False)
class _End:
    """A softmax or sigmoid, what it took, and what it gave, which keeps the id of that from being given again."""

    link: str
    scores: Any
    gave: Any


@contextlib.contextmanager
def _ends() -> Iterator[Mapping[int, _End]]:
    """{id of what it gave: each softmax and sigmoid that runs meanwhile}."""
    ends: dict[int, _End] = {}

    def noted(link: str) -> Callable[..., Any]:
        def function(original: Callable[..., Any], x: Any, *args: Any, **kwargs: Any) -> Any:
            gave = original(x, *args, **kwargs)
            ends[id(gave)] = _End(link, x, gave)
            return gave

        return function

    with replaced_functions({f"nn.{link}": noted(link) for link in ("softmax", "sigmoid")}):
        yield ends
