"""Reading the outputs of a pass as the caller's arguments say."""

from __future__ import annotations

import numpy as np

from xaicore.data.labels import Labels, calls_binary
from xaicore.evidence import check_not_boxes, check_outputs
from xaicore.facts import Facts
from xaicore.outputs import settle_kind
from xaicore.targets import Aim, Target, aim_at

__all__ = ["Reader"]


class Reader:
    """Reads outputs of one call.

    Args:
        facts: of the pass; None for a backend that reports none.
        kind, activation: the caller's choice.
        finds_layer: a layer was found, and not named.
        target: what to explain.
        labels: what the caller knows of the images.

    Attributes:
        labels: compared with the outputs, once `aim_for` has seen them.
    """

    def __init__(
        self,
        facts: Facts | None,
        kind: str | None,
        activation: str | None,
        finds_layer: bool,
        target: Target,
        labels: Labels,
    ) -> None:
        self.labels = labels
        self._facts = facts
        self._kind = kind
        self._activation = activation
        self._finds_layer = finds_layer
        self._target = target
        # Without facts, the model's end is unknown.
        self._is_binary = facts is None or calls_binary(target, labels)

    def settle(self, outputs: np.ndarray, kind: str, link: str | None) -> tuple[str, str | None]:
        """The kind and the link of outputs; a link that the pass did not show is that of the facts."""
        facts = self._facts
        return settle_kind(
            outputs,
            kind,
            link if link is not None or facts is None else facts.link,
            trained_for=None if facts is None else facts.trained_for,
            chosen=self._kind,
            activation=self._activation,
            is_binary=self._is_binary,
        )

    def aim_for(self, outputs: np.ndarray, kind: str, link: str | None) -> Aim:
        """The targets' directions, for outputs that can be explained and fit the labels.

        Raises:
            InputError, LayerError, OutputError, TargetError, BackendError: they cannot, or do not.
        """
        if self._facts is not None:
            check_not_boxes(self._facts, kind)
        check_outputs(outputs, self._finds_layer)
        self.labels = self.labels.checked(outputs, kind)
        return aim_at(self._target, outputs, kind, self._activation or link)
