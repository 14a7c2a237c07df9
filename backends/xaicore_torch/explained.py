"""The output of a model that is explained: run, chosen, and read by what a survey showed of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import nn

from xaicore.facts import Facts
from xaicore.outputs import Output
from xaicore_torch.answers import Choice, Chosen, HostParts, configured_classes
from xaicore_torch.arrangement import Arrangement
from xaicore_torch.inputs import Inputs, check_not_lazy
from xaicore_torch.links import find_link
from xaicore_torch.outputs import Outputs, read
from xaicore_torch.survey import Survey

__all__ = ["Explained"]


class Explained:
    """Runs a model, and knows what of its answer is explained.

    Args:
        model: any module.
        output: the caller's choice, as in `TorchBackend`.

    Attributes:
        shape: of the explained output in the last pass that `facts` read.
    """

    def __init__(self, model: nn.Module, output: int | str | Output | None) -> None:
        self.shape: tuple[int, ...] = ()
        self._model, self._choice = model, Choice(output)
        self._link: str | None = None
        self._class_axis: int | None = None
        self._is_known = False

    def answer(self, batch: Inputs) -> Any:
        """What the model returns."""
        if not self._is_known:
            check_not_lazy(self._model, "it is explained")
        return batch.run(self._model)

    def chosen(self, batch: Inputs) -> Chosen:
        """What one pass answers, with all parts."""
        return self.choose(self.answer(batch), batch)

    def choose(self, answer: Any, batch: Inputs) -> Chosen:
        """What of an answer is explained."""
        return self._choice.of(answer, batch.count)

    def run(self, batch: Inputs) -> torch.Tensor:
        """The explained output of one pass, as the model gives it."""
        return self.chosen(batch).y

    def run_in_order(self, batch: Inputs) -> tuple[torch.Tensor, Chosen]:
        """The same in the axes of `Capture.outputs`, and what the pass answered."""
        chosen = self.chosen(batch)
        return self._arrangement(chosen.y).tensor(chosen.y), chosen

    def read(self, y: torch.Tensor) -> Outputs:
        """The outputs of a pass."""
        return read(y, self._link, self._arrangement(y), self._choice.is_score)

    def read_in_order(self, y: torch.Tensor) -> Outputs:
        """The same, of a tensor that `run_in_order` gave."""
        return read(y, self._link, is_score=self._choice.is_score)

    def parts(self, chosen: Chosen, count: int) -> HostParts:
        """All parts of an answer for this many images, for `Capture.parts`."""
        return self._choice.parts_on_host(chosen, count)

    def facts(self, survey: Survey, chosen: Chosen, batch: Inputs) -> Facts:
        """The facts of a recorded pass, whose graph is used up. What they say of the output is kept."""
        y, is_stated = chosen.y, self._choice.is_arranged or self._choice.is_score
        shown = survey.class_axis(y) if self._choice.has_images_first and not self._choice.is_score else None
        self._class_axis = None if is_stated else shown
        arrangement = self._arrangement(y)
        self._link = find_link(y, arrangement.class_axis).link
        self._is_known, self.shape = True, tuple(y.shape)
        return replace(
            survey.facts(y, batch.count),
            link="softmax" if self._link == "log_softmax" else self._link,
            output=chosen.name,
            outputs=chosen.shapes,
            class_axis=arrangement.class_axis_of_rows if is_stated else self._class_axis,
            class_count=configured_classes(self._model),
            shown_class_axis=shown if self._choice.states_classes else None,
        )

    def _arrangement(self, y: torch.Tensor) -> Arrangement:
        return self._choice.arrangement(y, self._class_axis)
