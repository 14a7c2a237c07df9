"""Reading the outputs of a pass as the caller's arguments say."""

from __future__ import annotations

from dataclasses import replace

from xaicore.backend import Backend
from xaicore.data.labels import Labels, calls_binary
from xaicore.evidence import check_class_axis, check_not_boxes, check_outputs, compare_class_axes
from xaicore.facts import Facts
from xaicore.outputs import Answer, settle_kind
from xaicore.targets import Aim, Target, aim_at

__all__ = ["Reader"]


class Reader:
    """Reads outputs of one call.

    Args:
        backend: that runs the model.
        facts: of the pass; None for a backend that reports none.
        kind, activation: the caller's choice.
        finds_layer: a layer was found, and not named.
        target: what to explain.
        labels: what the caller knows of the images.
        size: (H, W) of the picture that the model sees, where it is known.

    Attributes:
        labels: compared with the outputs, once `aim_for` has seen them.
    """

    def __init__(
        self,
        backend: Backend,
        facts: Facts | None,
        kind: str | None,
        activation: str | None,
        finds_layer: bool,
        target: Target,
        labels: Labels,
        size: tuple[int, ...] = (),
    ) -> None:
        self.labels = labels
        if target.of_class_axis:
            compare_class_axes(facts, stacklevel=4)
        self._backend, self._facts = backend, facts
        self._kind = kind
        self._activation = activation
        self._finds_layer = finds_layer
        self._target = target
        self._size = size
        # Without facts, the model's end is unknown. One box among those of other images is no regression either.
        self._is_binary = facts is None or not target.of_class_axis or calls_binary(target, labels)

    def settle(self, answer: Answer) -> Answer:
        """The answer with its kind and link, and what the facts say; a link that the pass did not show is theirs."""
        facts = self._facts
        kind, link = settle_kind(
            answer.outputs,
            answer.kind,
            answer.link if answer.link is not None or facts is None else facts.link,
            trained_for=None if facts is None else facts.trained_for,
            chosen=self._kind,
            activation=self._activation,
            is_binary=self._is_binary,
        )
        known = replace(answer, kind=kind, link=link, size=self._size, class_names=self.labels.class_names)
        if facts is None:
            return known
        return replace(known, name=facts.output, class_axis=facts.class_axis or 1, class_count=facts.class_count)

    def aim_for(self, answer: Answer) -> Aim:
        """The targets' directions, for outputs that can be explained and fit the labels.

        Raises:
            InputError, LayerError, OutputError, TargetError, BackendError: they cannot, or do not.
        """
        if self._facts is not None and not self._target.needs_parts:
            check_not_boxes(self._facts, answer.kind)
        if self._target.of_class_axis:
            check_class_axis(self._facts, answer.outputs, self._backend)
        check_outputs(answer.outputs, self._finds_layer, len(self._size) or 2)
        if self._target.of_class_axis:
            self.labels = self.labels.checked(answer.outputs, answer.kind)
        else:
            self.labels = self.labels.counted(len(answer.outputs), answer.class_count)
        return aim_at(self._target, replace(answer, link=self._activation or answer.link))
