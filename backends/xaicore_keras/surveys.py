"""The surveys of a model, one for inputs of each form."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import keras

from xaicore.errors import BackendError
from xaicore.layers import has_rows, with_moves_of
from xaicore.outputs import Output
from xaicore_keras.advice import model_errors, warn_of_preprocessor
from xaicore_keras.answers import Answer
from xaicore_keras.building import build
from xaicore_keras.engine import Engine
from xaicore_keras.inputs import Inputs
from xaicore_keras.run import run_model
from xaicore_keras.state import lock, preserved_model, preserved_modes
from xaicore_keras.survey import CallRecorder, Survey
from xaicore_keras.traces import Traces

__all__ = ["Surveys"]


class Surveys:
    """The surveys of a model, for one of its outputs.

    Args:
        model: built by the first batch, where it was never called.
        output: which part of its answer is explained.
        engine: runs it.
        traces: where surveys are kept.
        channels_last: how models of this configuration take pictures.
    """

    def __init__(self, model: keras.Model, output: Output, engine: Engine, traces: Traces, channels_last: bool) -> None:
        self._model = model
        self._output = output
        self._engine = engine
        self._traces = traces
        self._channels_last = channels_last

    def of(self, batch: Inputs) -> Survey:
        """The survey for inputs of this form; made on one image, on all where the model takes no other batch size."""
        self._build(batch)
        self._traces.refresh(self._model)

        def make() -> Survey:
            first = batch.first()
            for attempt in (first.differentiable(), first):
                with contextlib.suppress(BackendError):
                    return self._with_order(self._make(attempt), attempt)
            return self._make(batch)

        key = ("survey", self._output, batch.signature(with_batch=False))
        survey: Survey = self._traces.get(key, make)
        return survey

    def _with_order(self, survey: Survey, first: Inputs) -> Survey:
        """The survey of one image, with the order of several rows per image, which only two images show."""
        if has_rows(survey.facts):
            with contextlib.suppress(BackendError):
                two = self._make(first.map(lambda tensor: keras.ops.concatenate([tensor, tensor])))
                return replace(survey, facts=with_moves_of(survey.facts, two.facts))
        return survey

    def _build(self, batch: Inputs) -> None:
        """Give a model that was never called its weights. Tried once: layers without use stay unbuilt for ever."""
        if not self._traces.is_built:
            with lock, preserved_modes(self._model), model_errors(batch), self._engine.isolated():
                build(self._model, batch)
            self._traces.is_built = True

    def _warn(self) -> None:
        if not self._traces.facts.get("warned"):
            self._traces.facts["warned"] = warn_of_preprocessor(self._model)

    def _make(self, batch: Inputs) -> Survey:
        model = self._model
        self._warn()
        recorder = CallRecorder(model)
        taken: list[Any] = []
        answers: list[Answer] = []

        def run(tensors: Sequence[Any], weights: Sequence[Any] | None) -> Any:
            taken[:] = tensors
            answers[:] = [run_model(model, batch.structure, tensors, self._output, recorder.hooks(), weights)]
            return answers[0].tensor

        survey = functools.partial(self._engine.survey, run, model, batch, recorder=recorder)
        hides = self._engine.hides
        with model_errors(batch), preserved_model(model):
            seen = survey(inline=False)
            # A call that is a compiled function may have been traced before, and runs no layer then.
            if not recorder.calls or any(hides(seen.output, call.output) for call in recorder.calls):
                self._traces.facts["inline"] = True
                seen = survey(inline=True)
            known = (recorder, taken, batch.count, seen, answers[0], self._output)
            return Survey.of(*known, hides, self._channels_last)
