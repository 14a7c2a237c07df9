"""Maps that are computed where the tensors lie: on an accelerator, the maps alone travel to the host.

The last layer of a ResNet-50 has 4,096 activations and gradients per number of the map.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import prod
from typing import Any

import numpy as np

from xaicore.backend import Backend
from xaicore.capture import Capture, Reduction
from xaicore.errors import MethodError
from xaicore.evidence import FACTS, check_reduced, check_rows, facts_of
from xaicore.layers import Place, interleaved, no_map
from xaicore.methods.apply import check_shape, finished
from xaicore.methods.method import Method

__all__ = ["Reducing"]


@dataclass(frozen=True, eq=False)
class Reducing:
    """What is asked of a pass whose maps the backend computes, and how its rows are read.

    Attributes:
        place: where the model is explained.
        methods: formulas, see `Method.is_formula`.
        shapes: {captured name: its activations (rows, C, *S)}, known once it is reduced; a backend may add rows that it
            takes away again.
    """

    place: Place
    methods: Sequence[Method]
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, backend: Backend, place: Place | None, methods: Sequence[Method]) -> Reducing | None:
        """None where whole arrays are brought to the host: from a CPU, where they need not be moved; for a method that
        is no formula, and then for all; where outlier tokens are left out."""
        pays = "reduce" in backend.powers and backend.on_accelerator
        if not pays or place is None or place.streams or not all(one.is_formula for one in methods):
            return None
        return cls(place, methods)

    def reductions(self) -> Mapping[str, Reduction]:
        """{captured name: what is computed of it}."""
        return {run: partial(self._reduce, name, run) for name, runs in self.place.runs.items() for run in runs}

    def _reduce(self, name: str, run: str, xp: Any, activations: Any, gradients: Any) -> Any:
        """Facts and maps of each row and target, (rows, K, FACTS + methods * positions).

        Raises:
            LayerError: the layer gives no map.
            MethodError: a method computes no maps of these arrays.
        """
        grid, size = self.place.grid_of(name), self.place.frame.size
        a, g = grid.arrange_in(xp, activations), grid.arrange_in(xp, gradients, targets=True)
        self.shapes[run] = shape = tuple(map(int, a.shape))
        if len(shape[2:]) != len(size) or prod(shape[2:]) < 2:
            raise no_map(name, shape, size)
        rows_and_targets = (shape[0], int(g.shape[1]))
        parts = [*facts_of(xp, a, g), *(_maps(xp, one, a, g) for one in self.methods)]
        flat = [xp.broadcast_to(one, (*rows_and_targets, one.shape[-1])) for one in parts]
        return xp.concatenate([xp.asarray(one, dtype=xp.float32) for one in flat], axis=-1)

    def maps(self, captured: Capture, name: str) -> dict[str, np.ndarray]:
        """{method: maps (N * views * K, *S)} of a layer, checked as those of `apply` are.

        Raises:
            LayerError: it gives another number of maps than there are pictures.
            BackendError: activations, gradients or maps are not finite.
        """
        runs = self.place.runs[name]
        self.place.check_runs(name, [(len(captured.reduced[run]), *self.shapes[run][1:]) for run in runs])
        spatial = self.shapes[runs[0]][2:]
        table = interleaved([captured.reduced[run] for run in runs])
        count, k = table.shape[:2]
        check_rows(name, count, len(captured.outputs) * self.place.views)
        check_reduced(name, table, count * prod(self.shapes[runs[0]][1:]))
        each = np.split(table[..., FACTS:], len(self.methods), axis=-1)
        return {
            method.name: finished(method, maps.reshape(count, k, *spatial), (count, k))
            for method, maps in zip(self.methods, each, strict=True)
        }


def _maps(xp: Any, method: Method, a: Any, g: Any) -> Any:
    """The maps of one method, (rows, 1 or K, positions)."""
    try:
        maps = method.function(a, g, xp=xp)
        shape = tuple(map(int, maps.shape))
    except (AttributeError, TypeError, RuntimeError) as exc:
        raise MethodError(
            f"method {method.name!r} takes arrays of any module, and fails with those of {xp.__name__}: {exc}. Use "
            "names that NumPy, torch and jax.numpy share, or leave out the argument xp: it then gets NumPy arrays"
        ) from exc
    check_shape(method, shape, tuple(map(int, g.shape[:2])), tuple(map(int, a.shape[2:])))
    return xp.reshape(maps, (*shape[:2], -1))
