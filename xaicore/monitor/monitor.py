"""The same images, explained epoch after epoch, without any effect on the training."""

from __future__ import annotations

import atexit
import dataclasses
import functools
import inspect
import weakref
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from xaicore.errors import InputError
from xaicore.evidence import BATCH_SIZE, Progress
from xaicore.explainer import Explainer
from xaicore.explanation import Explanation
from xaicore.logger import Run
from xaicore.loggers import Spec, open_loggers
from xaicore.methods import MethodLike
from xaicore.monitor.batched import BatchedExplainer
from xaicore.monitor.deadline import Deadline
from xaicore.monitor.images import choose_images
from xaicore.monitor.options import as_methods, check_options
from xaicore.monitor.scale import Scale
from xaicore.monitor.shipping import PATIENCE, Shipper
from xaicore.monitor.warn import WarnOnce
from xaicore.monitor.worst import WorstPredictions

if TYPE_CHECKING:
    from typing_extensions import Self

    from xaicore.show.pictures import Pictures

__all__ = ["Monitor"]


class Monitor:
    """Explains a fixed set of images again and again while a model trains, and sends the results to loggers.

    with xaicore.Monitor(model, x, truth=y, loggers="disk") as monitor:
        for epoch in range(10):
            train()
            monitor.step(epoch)

    The training is the same with and without it, bit for bit. What fails in a step, an explanation or a logger, causes
    a warning and never stops the training. A step takes no longer than its budget and one batch.

    Args:
        model: a model of any framework that a backend plugin accepts.
        x: the images to explain: N inputs as the model takes them, or one; with `preprocess`, pictures as `Explainer`
            takes them; a `Sample`; or, with `first` or `per_class`, a loader of batches (x, truth) to take them from.
            They stay the same for the whole run.
        truth, images: as in `Explainer`.
        ids: N names; when None, position and hash of the content, so that a resumed run has the same.
        first: take the first images of x, this many.
        per_class: take the first images of each class of x, this many per class.
        class_names: one name per class, in class order, {index: name}, or a file of names.
        targets: "predicted", "truth", a class (index or name), or whatever else `Explainer` takes.
        method: one or several, which share one pass.
        layer, axes, grid, outliers, smooth, augment, fuse, output, output_axes, kind, activation, input_axes: of
            `Explainer`; so are backend, progress and preprocess.
        worst: also explain this many of the worst predictions in `pool`, recomputed at each step.
        pool: (x, truth), x inputs, pictures or a data set, truth also "folder"; a `Sample`; or what has true classes of
            its own, as `explain_dataset` takes it: a table, a list of (path, class), a data set; or any loader. What
            cannot be read is left out, with one warning. Its ids are those of `explain_dataset`, of a stream and of
            a loader without an order of its own "0", "1", ...
        every: explain the first step, and each that reaches or passes a multiple of this number.
        budget: seconds that a step may take. Images that it skips are reported, and go first at the next step.
        batch_size: images per pass, also changed ones.
        scale: None: each map has a colour scale of its own. "first": the largest value of the first step is the top of
            the scale from then on. A number, or {method: number}: that is the top. So steps can be compared.
        loggers: as `open_loggers` takes them.
        name: the run's name; a new one when None.
        config: what the run should remember, JSON values.
        on_error: "warn", or "raise" what fails in a step.
        beside: whether loggers work in a thread of their own, beside the training.

    Attributes:
        sample: the images, a `Sample`.
        left_out: the ids that the last step had no time for.

    Raises:
        InputError: there are no images, labels are of another number, or an option is out of range.
        XaicoreError: layer, method or target fails on a first image, or a logger fails to open.
    """

    def __init__(
        self,
        model: Any,
        x: Any,
        *,
        truth: Any = None,
        images: Any = None,
        ids: Any = None,
        first: int | None = None,
        per_class: int | None = None,
        class_names: Any = None,
        targets: Any = "predicted",
        method: MethodLike | Sequence[MethodLike] = "gradcam",
        layer: str | Sequence[str] | None = None,
        axes: str | None = None,
        grid: Sequence[int] | None = None,
        outliers: str | None = None,
        smooth: int | tuple[int, float] | None = None,
        augment: bool | str | Sequence[str] = False,
        fuse: str | None = "mean",
        output: int | str | Callable[[Any], Any] | None = None,
        output_axes: str | None = None,
        kind: str | None = None,
        activation: str | None = None,
        input_axes: str | None = None,
        backend: Any = None,
        progress: Progress | bool | None = None,
        preprocess: Callable[..., Any] | str | None = None,
        worst: int = 0,
        pool: Any = None,
        every: int = 1,
        budget: float | None = 60.0,
        batch_size: int = BATCH_SIZE,
        scale: float | str | Mapping[str, float] | None = None,
        loggers: Spec = "disk",
        name: str | None = None,
        config: Mapping[str, Any] | None = None,
        on_error: str = "warn",
        beside: bool = True,
    ) -> None:
        check_options(every, budget, batch_size, worst, pool, beside)
        found = as_methods(method)
        explainer = Explainer(
            *(model, found[0], layer, backend, output, activation, kind, axes, grid, input_axes, output_axes, outliers),
            *(smooth, augment, fuse, batch_size, progress, preprocess, class_names),
        )
        self._backend = explainer.backend
        self.sample = choose_images(explainer, x, truth, images, ids, first, per_class)
        self._batched = BatchedExplainer(explainer, found, targets)
        self._batched.target(self.sample)  # raises where it does not fit
        self._warn = WarnOnce()
        self._worst = None if pool is None else WorstPredictions(pool, self._batched, worst, self._warn)
        self._every, self._budget, self._on_error = every, budget, on_error
        self._scale = Scale(scale, [one.name for one in found])
        self._pictures: Pictures | None = None
        self._start = 0
        self._last: int | None = None
        self._digest: Hashable = None
        self.left_out: tuple[str, ...] = ()
        if self._backend.ready:  # report mistakes now, not after the first epoch
            self._batched.probe(self.sample)
            if self._worst is not None:
                self._worst.probe()
        about = {"ids": list(self.ids), "methods": [one.name for one in found], "every": every}
        with self._backend.undisturbed():  # the name of a new run is drawn at random
            unopened = open_loggers(loggers, name=name, config={**(config or {}), "monitor": about}, on_error=on_error)
            self._shipper = Shipper(unopened, beside)
        self._finish = weakref.finalize(self, self._shipper.close, PATIENCE)
        atexit.register(self._finish)  # registered after the trackers' own hooks, it runs before them

    def __repr__(self) -> str:
        n, worst = len(self.sample), f" and the {self._worst.count} worst of a pool" if self._worst else ""
        every = "every step" if self._every == 1 else f"every {self._every} steps"
        loggers = ", ".join(self._shipper.loggers.names) or "no logger"
        return (
            f"<Monitor of {n} image{'s' * (n != 1)}{worst}, {every}, to {loggers}, run {self.run.name!r}: "
            f"{self._batched.explainer.describe(self._batched.methods)}>"
        )

    @classmethod
    def later(cls, x: Any, **options: Any) -> functools.partial[Monitor]:
        """A factory for callbacks: call it with the model to get a Monitor. Every call joins the same run.

        Raises:
            TypeError: an option is unknown.
        """
        options["name"] = options.get("name") or Run().name
        inspect.signature(cls).bind(None, x, **options)
        return functools.partial(cls, x=x, **options)  # unlike a function made here, it can go to other processes

    @property
    def run(self) -> Run:
        """The run that the loggers were opened for; the disk logger writes it to runs/<run.name>."""
        return self._shipper.loggers.run

    @property
    def ids(self) -> tuple[str, ...]:
        """The names of the images."""
        return self.sample.ids or ()

    def step(self, step: int, variables: Any = None) -> tuple[Explanation, ...]:
        """Explain and log, if this step is due.

        Args:
            step: the epoch, or the number of training steps so far. Repeating the last one does nothing; an earlier
                one is explained anew, and replaces what was logged for it where the tracker can.
            variables: the weights, where the training keeps them outside of the model: (trainable, non-trainable)
                variables of a Keras model, as `stateless_call` takes them.

        Returns:
            The explanations: of the fixed images, one per method (and layer kept apart), then of the worst. Empty if
            the step is not due, no logger works or takes anything any more, or the explanation failed.

        Raises:
            XaicoreError: what failed, with `on_error="raise"`.
        """
        step = int(step)
        if not self._shipper.works:
            self._warn("closed", f"step {step} is not logged: this monitor is closed, or was made in another process")
            return ()
        if not self.is_due(step):
            return ()
        self._last = step
        deadline = Deadline(self._budget)
        try:
            explanations = self._explain_with(variables, step, deadline)
        except Exception as exc:
            if self._on_error == "raise":
                raise
            self._warn(type(exc).__name__, f"no heatmaps of step {step}: {type(exc).__name__}: {exc}")
            return ()
        if not self._shipper.ship(explanations, step, min(PATIENCE, deadline.left)):
            self._warn("busy", f"step {step} is not logged: the loggers are still busy with the steps before")
        return explanations

    def is_due(self, step: int) -> bool:
        """Whether `step(step)` would explain, for callbacks that prepare it: it is due, and a logger takes results."""
        if self._shipper.loggers.all_failed or self._shipper.is_stuck:
            return False
        return self._last is None or step < self._last or step // self._every > self._last // self._every

    def close(self) -> None:
        """Deliver the steps on their way and close the loggers, once. Python's exit closes a monitor that is open.

        Raises:
            XaicoreError: what a logger has raised, with `on_error="raise"`.
        """
        atexit.unregister(self._finish)
        self._finish()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _explain_with(self, variables: Any, step: int, deadline: Deadline) -> tuple[Explanation, ...]:
        if variables is not None:
            with self._backend.with_variables(variables):
                return self._explain(step, deadline)
        digest = self._backend.weights_digest()
        if digest is not None and digest == self._digest:
            self._warn(
                "weights",
                f"step {step}: the model's weights are those of the step before. If the training keeps them outside of "
                "the model, as loops with stateless_call do, pass them: monitor.step(step, variables=(trainable, "
                "non_trainable))",
            )
        self._digest = digest
        return self._explain(step, deadline)

    def _explain(self, step: int, deadline: Deadline) -> tuple[Explanation, ...]:
        if not self._backend.ready:
            raise InputError("the model has no weights yet: its first batch makes them, so train or call it first")
        fixed = self._explain_fixed(step, deadline)
        try:
            worst = [] if self._worst is None else self._worst.explain(step, deadline)
        except Exception as exc:  # the fixed images are logged all the same
            if self._on_error == "raise":
                raise
            self._warn("worst", f"step {step}: no worst predictions: {type(exc).__name__}: {exc}")
            worst = []
        return tuple(self._scale(one) for one in (*fixed, *worst))

    def _explain_fixed(self, step: int, deadline: Deadline) -> list[Explanation]:
        explanations, self._start = self._batched(self.sample, deadline, self._start)
        if self._pictures is None:
            self._pictures = self._batched.pictures(self.sample, explanations[0].input_size)
        pictures, explained = self._pictures, set(explanations[0].ids)
        self.left_out = tuple(name for name in self.ids if name not in explained)
        if self.left_out:
            pictures = pictures.take(np.array([n for n, name in enumerate(self.ids) if name in explained]))
            shown = ", ".join(self.left_out[:5]) + (", ..." if len(self.left_out) > 5 else "")
            self._warn(
                "budget",
                f"step {step}: {len(self.left_out)} of {len(self.ids)} images skipped after {self._budget:g} s "
                f"({shown}); they go first at the next step. Choose fewer images, or raise budget=",
            )
        return [dataclasses.replace(one, pictures=pictures) for one in explanations]
