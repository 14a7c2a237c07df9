"""The work of `xaicore explain`: explains batches, and passes the explanations to the loggers and to the table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import Any

from xaicore.cli.failures import Stopped
from xaicore.cli.options import LABELS
from xaicore.cli.screen import Bar
from xaicore.cli.summary import Summary
from xaicore.data.labels import Labels
from xaicore.data.targets import read_target
from xaicore.errors import BackendError, OutputError, XaicoreError
from xaicore.explainer import Explainer
from xaicore.explanation import Explanation
from xaicore.loggers import Loggers, open_loggers
from xaicore.methods import Method
from xaicore.source.reading import Reading
from xaicore.source.ready import Ready

__all__ = ["Work"]


@dataclass
class Work:
    """One run. Whatever can be checked without running the model has been checked before.

    Args:
        explainer: explains the model.
        methods: methods with different names, which share one pass.
        target: as `Explainer` takes it.
        class_names: one name per class, or None.
        reading: reads the pictures.
        batch_size: pictures per pass.
        skip: called with a message for each picture that cannot be read or prepared.
        loggers: {plugin: options}.
        run_name, config: describe the run to the loggers; the layer that was found is added.

    Attributes:
        summary: the rows and counts so far.
        read: how many pictures were tried so far.
        skipped: {id: why it could not be read} of these.
        log: the loggers, open once the first batch is explained: a run that explains nothing leaves no files.
    """

    explainer: Explainer
    methods: Sequence[Method]
    target: Any
    class_names: Sequence[str] | None
    reading: Reading
    batch_size: int
    skip: Callable[[str], object]
    loggers: Mapping[str, Mapping[str, Any]]
    run_name: str
    config: Mapping[str, Any]
    summary: Summary = field(default_factory=Summary)
    read: int = 0
    skipped: dict[str, str] = field(default_factory=dict)
    log: Loggers | None = None

    @property
    def title(self) -> str:
        """The methods, and the layer once it is found, of several fused ones joined by " + "."""
        return f"{', '.join(method.name for method in self.methods)} at {' + '.join(self.explainer.layers)}"

    @property
    def failed(self) -> dict[str, Exception]:
        """The loggers that were switched off, and their errors."""
        return {} if self.log is None else self.log.failed

    @property
    def where(self) -> dict[str, str]:
        """{logger: where its results can be seen}, of the loggers that still work and have such a place."""
        places = {} if self.log is None else self.log.where
        return {name: where for name, where in places.items() if name not in self.failed}

    def run(self, bar: Bar) -> None:
        """Explain all pictures; the bar shows how far the work is.

        Raises:
            XaicoreError: the request is not possible, and nothing was explained.
            Stopped: something failed during the work.
        """
        total = len(self.reading.listing)
        batches = self.reading.batches(self.batch_size, "pass --batch-size 1")
        try:
            with ExitStack() as stack, bar, closing(batches):  # type: ignore[type-var]
                for batch in batches:
                    self._note(batch)
                    if len(batch):
                        self._process(batch, stack)
                        bar.show(self.read)
        except XaicoreError as exc:
            if not self.summary.pictures and not isinstance(exc, Stopped):
                raise
            raise Stopped(f"stopped after {self.summary.pictures} of {total} pictures: {exc}") from exc
        if not self.summary.pictures:
            raise Stopped(f"no picture could be read and prepared (of {total})")

    def _note(self, batch: Ready) -> None:
        self.read += len(batch) + len(batch.broken)
        for one in batch.broken:
            self.skipped[one.item.id] = one.error
            self.skip(one.error)

    def _process(self, batch: Ready, stack: ExitStack) -> None:
        explanations = self._explain(batch)
        if self.log is None:
            first = next(iter(explanations.values()))
            found = {"model_class": first.model, "layer": first.layer, "target": first.target}
            loggers = open_loggers(self.loggers, name=self.run_name, config={**self.config, **found}, quiet=True)
            self.log = stack.enter_context(loggers)
            stack.callback(self._report_skipped, self.log)  # before the loggers close, also after a failure
        for explanation in explanations.values():
            self.log(explanation)
        self.log.flush()  # else a tracker that buffers a step would buffer the whole run
        self.summary.add(explanations)
        if self.log.all_failed and self.read < len(self.reading.listing):
            raise Stopped("every logger is switched off, so that no further result would be kept")

    def _report_skipped(self, log: Loggers) -> None:
        for name, reason in self.skipped.items():
            log.skip(name, reason)

    def _explain(self, batch: Ready) -> dict[str, Explanation]:
        try:
            labels = Labels.read(batch.ids, batch.truth, self.class_names, LABELS)
            target = read_target(self.target, labels.truth, labels.class_names, LABELS)
            results = self.explainer.run(batch.x, self.methods, target, batch.images, labels)
            return {self.explainer.key(result): result for result in results}
        except Exception as exc:
            is_expected = isinstance(exc, XaicoreError)
            is_failure = isinstance(exc, BackendError) and not isinstance(exc, OutputError)
            if is_expected and not is_failure and not self.summary.pictures:
                raise  # a wrong layer, output, target, label, ...: the same for every picture
            what = f"{_files(batch.ids)}: {exc if is_expected else f'{type(exc).__name__}: {exc}'}"
            if is_failure and not self.summary.pictures:
                what += f". Preprocessing {self.config['preprocess']} made the inputs; --preprocess names another"
            raise Stopped(what) from exc


def _files(ids: Sequence[str]) -> str:
    return ids[0] if len(ids) == 1 else f"{len(ids)} pictures in one batch, {ids[0]} to {ids[-1]}"
