"""A score that the caller computes of the model's answer, in the model's framework."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from xaicore.errors import TargetError, type_name
from xaicore.outputs import Output
from xaicore.targets.target import Aim, Target

__all__ = ["Score"]


class Score(Target):
    """A function of the model's answer, differentiated by the model's framework: for what NumPy cannot differentiate.

    `Score(lambda answer: answer["image"] @ answer["text"].T)` explains each of the numbers that it returns.

    Args:
        function: takes what the model returns and returns a tensor of the framework, (N,) or (N, K): K scores of each
            image, explained from one pass.
        names: what the K scores are called.

    Raises:
        TargetError: it is no function.
    """

    def __init__(self, function: Callable[[Any], Any], names: Sequence[str] | None = None) -> None:
        if not callable(function):
            raise TargetError(f"Score({type_name(function)}): expected a function of the model's answer")
        self._function = function
        self.output = Output(read=function, is_score=True)
        self.names = None if names is None else tuple(names)

    def aim(self, outputs: np.ndarray, kind: str) -> Aim:
        """The scores themselves, each in its own direction.

        Raises:
            TargetError: they are not (N,) or (N, K), or there are other names than scores.
        """
        rows = outputs.reshape(len(outputs), -1)
        count = rows.shape[1]
        if outputs.ndim > 2 or (self.names is not None and len(self.names) != count):
            named = "" if self.names is None else f" and names {self.names}"
            raise TargetError(
                f"{self} gave {outputs.shape}{named}: expected scores (N,) or (N, K), and a name for each"
            )
        direction = np.broadcast_to(np.eye(count, dtype=np.float32), (len(rows), count, count))
        names = self.names or (("score",) if count == 1 else tuple(f"score {k}" for k in range(count)))
        return Aim(
            direction.reshape(len(rows), count, *outputs.shape[1:]),
            np.full(rows.shape, -1, np.int64),
            rows.astype(np.float64),
            np.broadcast_to(np.array(names, object), rows.shape),
        )

    def __str__(self) -> str:
        return f"Score({getattr(self._function, '__name__', type_name(self._function))})"
