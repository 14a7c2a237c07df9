"""The work of `xaicore explain`: batches in, explanations to the loggers and to the table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from rich.console import Console

from xaicore.cli.batches import Batch, Batches
from xaicore.cli.failures import Stopped
from xaicore.cli.screen import progress
from xaicore.cli.summary import Summary
from xaicore.errors import BackendError, XaicoreError
from xaicore.explainer import Explainer
from xaicore.explanation import Explanation
from xaicore.loggers import Loggers, open_loggers
from xaicore.targets import TopK

__all__ = ["Work"]


@dataclass
class Work:
    """One run. What can be checked without running the model has been checked.

    Args:
        explainer: of the model.
        methods: names; all of them share a pass.
        target: the K best classes, given classes for every picture, or None: the predicted one.
        class_names: a name a class, or None.
        batches: the pictures.
        loggers: {plugin: options}.
        run_name, config: what the loggers learn of the run; the layer that was found is added.

    Attributes:
        summary: what was explained so far.
        log: the loggers, once there is something to log: a run that explains nothing leaves nothing behind.
    """

    explainer: Explainer
    methods: Sequence[str]
    target: TopK | int | Sequence[int] | None
    class_names: Sequence[str] | None
    batches: Batches
    loggers: Mapping[str, Mapping[str, Any]]
    run_name: str
    config: Mapping[str, Any]
    summary: Summary = field(default_factory=Summary)
    log: Loggers | None = None

    @property
    def layer(self) -> str:
        """What was explained, once that is known; several fused layers joined by " + "."""
        return " + ".join(self.explainer.layers)

    @property
    def failed(self) -> dict[str, Exception]:
        """The loggers that were switched off, and why."""
        return {} if self.log is None else self.log.failed

    def run(self, screen: Console) -> None:
        """Explain all pictures.

        Raises:
            XaicoreError: what was asked for is not possible, and nothing was explained.
            Stopped: something failed on the way.
        """
        total = len(self.batches.files)
        try:
            with ExitStack() as stack, progress(screen, total) as show:
                for batch in self.batches:
                    self._do(batch, stack)
                    show(self.batches.read)
        except XaicoreError as exc:
            if not self.summary.pictures and not isinstance(exc, Stopped):
                raise
            raise Stopped(f"stopped after {self.summary.pictures} of {total} pictures: {exc}") from exc
        if not self.summary.pictures:
            raise Stopped(f"no picture could be read and prepared (of {total})")

    def _do(self, batch: Batch, stack: ExitStack) -> None:
        explanations = self._explain(batch)
        if self.log is None:
            first = next(iter(explanations.values()))
            learnt = {"model_class": first.model, "layer": first.layer, "target": first.target}
            loggers = open_loggers(self.loggers, name=self.run_name, config={**self.config, **learnt})
            self.log = stack.enter_context(loggers)
        for explanation in explanations.values():
            self.log(explanation)
        self.log.flush()  # a tracker that holds back until a step is complete must not hold the whole run
        self.summary.add(explanations)
        if len(self.failed) == len(self.loggers) and self.batches.read < len(self.batches.files):
            raise Stopped("every logger is switched off, so nothing more would be kept")

    def _explain(self, batch: Batch) -> dict[str, Explanation]:
        target: Any = self.target
        if isinstance(target, Sequence):
            target = np.tile(target, (len(batch.ids), 1))
        try:
            return self.explainer.compare(
                batch.x, self.methods, target, batch.images, batch.ids, batch.truth, self.class_names
            )
        except Exception as exc:
            ours = isinstance(exc, XaicoreError)
            if ours and not isinstance(exc, BackendError) and not self.summary.pictures:
                raise  # a wrong layer, target, labels, ...: the same for every picture
            raise Stopped(f"{_files(batch.ids)}: {exc if ours else f'{type(exc).__name__}: {exc}'}") from exc


def _files(ids: Sequence[str]) -> str:
    return ids[0] if len(ids) == 1 else f"{len(ids)} pictures in one batch, {ids[0]} to {ids[-1]}"
