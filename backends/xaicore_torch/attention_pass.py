"""The attentions that are asked of one pass, as NumPy arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from xaicore import Attention, BackendError
from xaicore.errors import did_you_mean
from xaicore_torch.attention import OUTPUT, WEIGHTS, Asked, Attentions, Seen
from xaicore_torch.attention_survey import Known
from xaicore_torch.copies import to_host
from xaicore_torch.leaves import Leaf, Leaves

__all__ = ["AttentionPass"]


class AttentionPass:
    """Keeps attentions of one pass: `modes` surround it, and `captured` has them afterwards.

    Args:
        known: {name: attention}, of a survey of inputs of the same shapes.
        wanted: {name: whether its gradients are wanted}.

    Raises:
        BackendError: no attention has such a name.
    """

    def __init__(self, known: Mapping[str, Known], wanted: Mapping[str, bool]) -> None:
        for name in wanted:
            if name not in known:
                listed = ", ".join(known) or "none"
                raise BackendError(f"no attention called {name!r}; there are {listed}{did_you_mean(name, known)}")
        self._known = {name: known[name] for name in wanted}
        self._wanted = wanted
        self._seen: dict[int, Seen] = {}

    @property
    def modes(self) -> list[Any]:
        """What surrounds the pass: nothing where no attention is wanted."""
        return [self._mode] if self._wanted else []

    def captured(self, pulled: Mapping[Leaf, np.ndarray | None]) -> dict[str, Attention]:
        """{name: attention} of the pass, with the gradients that were pulled back.

        Raises:
            BackendError: the pass had other attentions than the survey, or the outputs do not depend on one.
        """
        return {name: self._attention(name, known, pulled) for name, known in self._known.items()}

    def _mode(self, leaves: Leaves) -> Attentions:
        asked = {one.number: Asked(name, self._wanted[name], one.facts.shape[1]) for name, one in self._known.items()}
        mode = Attentions(asked, leaves)
        self._seen = mode.seen
        return mode

    def _attention(self, name: str, known: Known, pulled: Mapping[Leaf, np.ndarray | None]) -> Attention:
        seen = self._seen.get(known.number)
        if seen is None or seen.weights.shape[1:] != known.facts.shape[1:]:
            ran = "did not run" if seen is None else f"ran with weights {tuple(seen.weights.shape)}"
            raise BackendError(
                f"attention {name!r} {ran}, where the first image alone showed {known.facts.shape}: the model computes "
                "differently from pass to pass. Explain one image at a time"
            )
        weights_gradients, output_gradients = pulled.get((WEIGHTS, name)), pulled.get((OUTPUT, name))
        if weights_gradients is None and (WEIGHTS, name) in pulled:
            raise BackendError(f"attention {name!r} does not reach the outputs: there is no gradient at its weights")
        parts = (seen.query, seen.key, seen.value, seen.output)
        q, k, v, output = (None if one is None else to_host(one) for one in parts)
        return Attention(to_host(seen.weights), q, k, v, output, weights_gradients, output_gradients)
