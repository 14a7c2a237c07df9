"""The facts of one model, kept for inputs of each shape, and the form in which it takes its inputs."""

from __future__ import annotations

import contextlib
from typing import Any

import torch
from torch import nn

from xaicore.errors import BackendError, OutputError
from xaicore.facts import ByShape, Facts
from xaicore.layers import has_rows, with_moves_of
from xaicore_torch.answers import NoRowsError
from xaicore_torch.explained import Explained
from xaicore_torch.inputs import Inputs, prepare, with_batch_axis
from xaicore_torch.listed import are_pictures, no_list
from xaicore_torch.private import without_backward_hooks
from xaicore_torch.state import preserved_model, recorded_weights
from xaicore_torch.survey import Survey

__all__ = ["Surveys"]


class Surveys:
    """Surveys a model once for inputs of each shape.

    Args:
        model: any module.
        explained: its output.

    Attributes:
        runs: {layer: how often it ran in the last pass}.
    """

    def __init__(self, model: nn.Module, explained: Explained) -> None:
        self.runs: dict[str, int] = {}
        self._model, self._explained = model, explained
        self._facts: ByShape[Facts] = ByShape()
        self._may_be_single = True
        self._takes_list = self._took_list = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing has been surveyed."""
        return not self._facts

    def known(self, batch: Inputs) -> Facts | None:
        """The facts for inputs of these shapes; None where they are not known."""
        return self._facts.get(batch.image_shapes)

    def prepare(self, inputs: Any) -> Inputs:
        """The caller's inputs as the model takes them.

        Raises:
            InputError: they are a list of pictures, and the model takes none.
        """
        batch = prepare(self._model, inputs, self._may_be_single, self._takes_list)
        if batch.is_list and not self._took_list:
            try:
                self._facts[batch.image_shapes] = self._survey(batch)
            except OutputError:
                raise
            except BackendError as exc:
                self._takes_list = False
                raise no_list(batch.count) from exc
            self._took_list = True
        return batch

    def with_batch_axis(self, inputs: Any) -> Any:
        """The same, as the caller's framework has them, see `Backend.with_batch_axis`."""
        self._takes_list = self._takes_list or are_pictures(self._model, inputs)
        return with_batch_axis(self._model, inputs) if self._may_be_single else inputs

    def observe(self, inputs: Any) -> Facts:
        """The facts of one pass over the first image."""
        batch = self.prepare(inputs)
        key = batch.image_shapes
        if key not in self._facts:
            try:
                self._facts[key] = self._survey(batch)
            except OutputError:
                raise
            except BackendError:
                as_given = prepare(self._model, inputs, may_be_single=False, takes_list=self._takes_list)
                if as_given.image_shapes == key:
                    raise
                self._facts[as_given.image_shapes] = self._survey(as_given)  # (1, mel, time) is a batch of one
                self._may_be_single = False
                return self.observe(inputs)
        return self._facts[key]

    def _survey(self, batch: Inputs) -> Facts:
        """Survey one image; all of them where the model takes no batch of another size."""
        try:
            facts = self._survey_batch(batch.first())
        except OutputError:
            raise
        except BackendError as exc:
            if batch.count == 1:
                raise
            facts = self._survey_batch(batch)
            if isinstance(exc, NoRowsError) and exc.has_images_behind(self._explained.shape, batch.count):
                raise
            return facts
        if has_rows(facts):  # the order of several rows per image, two images show
            with contextlib.suppress(BackendError):
                return with_moves_of(facts, self._survey_batch(batch.first().twice()))
        return facts

    def _survey_batch(self, batch: Inputs) -> Facts:
        with preserved_model(self._model, batch.picture.device), torch.enable_grad():
            recording = batch.recording()
            copies = recording.clone()
            survey = Survey(self._model, copies.tensors, recording.tensors)
            with without_backward_hooks(self._model), recorded_weights(self._model), survey.hooks:
                answer = self._explained.answer(copies)
            facts = self._explained.facts(survey, self._explained.choose(answer, batch), batch)
            self.runs.update(survey.runs)
            return facts
