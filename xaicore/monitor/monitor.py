"""The same pictures, epoch after epoch, from a training run that does not notice."""

from __future__ import annotations

import atexit
import dataclasses
import functools
import inspect
import time
import warnings
import weakref
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np

from xaicore.data.sample import choose
from xaicore.errors import InputError, MethodError
from xaicore.explainer import Explainer, MethodLike
from xaicore.explanation import Explanation
from xaicore.logger import Run
from xaicore.loggers import Spec, open_loggers
from xaicore.methods import Method, find_method
from xaicore.monitor.rounds import Watch, as_wanted
from xaicore.monitor.scale import Scale
from xaicore.monitor.shipping import Shipper
from xaicore.monitor.worst import Pool

if TYPE_CHECKING:
    from typing_extensions import Self

    from xaicore.show.pictures import Pictures

__all__ = ["Monitor"]

PATIENCE = 60.0
"""Seconds that closing waits for loggers: far longer than two steps take to encode. Nobody waits for ever."""


class Monitor:
    """Explains a fixed set of pictures again and again while a model trains, and sends the results to loggers.

    with xaicore.Monitor(model, x, truth=y, loggers="disk") as monitor:
        for epoch in range(10):
            train()
            monitor.step(epoch)

    Training is the same with and without it, bit for bit. What fails in a step, in explaining or in a logger, is
    warned of and never stops the training; a step takes no longer than its budget and one batch.

    Args:
        model: a model of any framework that a backend plugin accepts.
        x: the pictures to watch: N inputs as the model takes them, a `Sample`, or, with `first` or `per_class`, a
            loader of batches (x, truth) to take them from. They stay the same for the whole run.
        truth: N true classes: indices, a column, or one-hot rows; -1 where one is not known.
        images: the pictures in the frame that the model sees, (N, H, W, 3) uint8 RGB; made of x when None.
        ids: N names; when None, position and content's hash, so that a resumed run has the same.
        first: take the first so many pictures of x.
        per_class: take the first so many pictures of each class of x.
        class_names: a name a class.
        targets: "predicted", "truth", a class (index or name), or what `Explainer` takes.
        method: a name, a function, or several, which share one pass.
        layer, backend, output, activation: as in `Explainer`.
        worst: explain the so many worst predictions in `pool`, too, found anew at each step.
        pool: (x, truth), a `Sample` or a loader.
        every: explain every so many steps: the first, and each that reaches or passes a multiple.
        budget: seconds that a step may take. What is left out then is said, and comes first at the next step.
            None: no limit.
        batch_size: pictures a pass.
        scale: None: each map has a colour scale of its own. "first": the largest value of the first step is the top
            of the scale from then on. A number, or {method: number}: that is the top. So steps can be compared.
        loggers: as `open_loggers` takes them.
        name: the run's name; a new one when None.
        config: what the run should remember, JSON values.
        on_error: "warn", or "raise" what fails in a step.
        beside: whether loggers work in a thread of their own, beside the training.

    Attributes:
        sample: the pictures, a `Sample`.
        left_out: the ids that the last step had no time for.

    Raises:
        InputError: no pictures, labels of another number, or an option out of range.
        XaicoreError: what a look at one picture finds wrong with layer, method or target, and what loggers raise while
            they open.
    """

    def __init__(
        self,
        model: Any,
        x: Any,
        *,
        truth: Any = None,
        images: Any = None,
        ids: Sequence[Any] | None = None,
        first: int | None = None,
        per_class: int | None = None,
        class_names: Sequence[str] | None = None,
        targets: Any = "predicted",
        method: MethodLike | Sequence[MethodLike] = "gradcam",
        layer: str | Sequence[str] | None = None,
        backend: Any = None,
        output: int | str | None = None,
        activation: str | None = None,
        worst: int = 0,
        pool: Any = None,
        every: int = 1,
        budget: float | None = 60.0,
        batch_size: int = 16,
        scale: float | str | Mapping[str, float] | None = None,
        loggers: Spec = "disk",
        name: str | None = None,
        config: Mapping[str, Any] | None = None,
        on_error: str = "warn",
        beside: bool = True,
    ) -> None:
        _check(every, budget, batch_size, worst, pool)
        methods = _methods(method)
        explainer = Explainer(model, methods[0], layer, backend, output, activation)
        self._backend = explainer.backend
        with self._backend.undisturbed(x):
            chosen = choose(x, truth, images, ids, first, per_class, class_names, self._backend.to_numpy)
            self.sample = chosen.named(self._backend.to_numpy)
        wanted = as_wanted(targets, self.sample, class_names)
        self._watch = Watch(explainer, methods, wanted, class_names, batch_size)
        self._pool = None if pool is None else Pool(pool, batch_size, self._backend, activation)
        per_picture = isinstance(wanted, np.ndarray) and (wanted.ndim == 1 or (wanted.ndim == 2 and len(wanted) > 1))
        if self._pool is not None and per_picture:
            raise InputError("targets one a picture say nothing of the worst: use 'predicted', 'truth' or [[a, b]]")
        self._worst, self._every, self._budget, self._on_error = worst, every, budget, on_error
        self._scale = Scale(scale, [one.name for one in methods])
        self._pictures: Pictures | None = None
        self._turn = 0
        self._last: int | None = None
        self._said: set[str] = set()
        self.left_out: tuple[str, ...] = ()
        if self._backend.ready:  # a mistake is to show now, not after the first epoch
            self._watch.piece(self.sample, self._watch.telling(self.sample))
            if self._pool is not None:
                self._pool.check()
        about = {"ids": list(self.ids), "methods": [one.name for one in methods], "every": every}
        with self._backend.undisturbed():  # names of runs are drawn, too
            opened = open_loggers(loggers, name=name, config={**(config or {}), "monitor": about}, on_error=on_error)
            opened.__enter__()
        self._shipper = Shipper(opened, beside)
        self._finish = weakref.finalize(self, self._shipper.close, PATIENCE)
        atexit.register(self._finish)  # registered after the trackers' own hooks, it runs before them

    @classmethod
    def later(cls, x: Any, **options: Any) -> Callable[[Any], Monitor]:
        """A function that makes a monitor of a model once there is one; for callbacks. Of one run, however often.

        Raises:
            TypeError: an option is unknown.
        """
        options["name"] = options.get("name") or Run().name
        inspect.signature(cls).bind(None, x, **options)
        return functools.partial(cls, x=x, **options)  # unlike a function made here, it can go to other processes

    @property
    def run(self) -> Run:
        """The run that loggers were opened for; `run.name` tells where to look, runs/<name> for the disk logger."""
        return self._shipper.loggers.run

    @property
    def ids(self) -> tuple[str, ...]:
        """The names of the pictures."""
        return self.sample.ids or ()

    def step(self, step: int) -> tuple[Explanation, ...]:
        """Explain and log, if it is time to.

        Args:
            step: the epoch, or how many training steps there were. The same one again does nothing; an earlier one
                is explained anew, and replaces what was logged of it where the tracker can.

        Returns:
            The explanations: the fixed pictures, one a method, then the worst. None of them if it was not time, if
            no logger works any more or takes anything, or if it went wrong.

        Raises:
            XaicoreError: what went wrong, with `on_error="raise"`.
        """
        step = int(step)
        if not self._shipper.works:
            self._say("closed", f"step {step} is not logged: this monitor is closed, or was made in another process")
            return ()
        if not self._is_due(step) or self._shipper.loggers.all_failed or self._shipper.is_stuck:
            return ()
        self._last = step
        ends = time.monotonic() + (float("inf") if self._budget is None else self._budget)
        try:
            explanations = self._explain(step, ends)
        except Exception as exc:
            if self._on_error == "raise":
                raise
            self._say(type(exc).__name__, f"no heatmaps of step {step}: {type(exc).__name__}: {exc}")
            return ()
        patience = min(PATIENCE, ends - time.monotonic())
        if not self._shipper.ship(explanations, step, patience):
            self._say("busy", f"step {step} is not logged: the loggers are still busy with the steps before")
        return explanations

    def close(self) -> None:
        """Deliver what is on its way and close the loggers; once. A monitor that is left alone is closed at exit.

        Raises:
            XaicoreError: what a logger has raised, with `on_error="raise"`.
        """
        atexit.unregister(self._finish)
        self._finish()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _is_due(self, step: int) -> bool:
        if self._last is None:
            return True
        return step < self._last or step // self._every > self._last // self._every

    def _explain(self, step: int, ends: float) -> tuple[Explanation, ...]:
        if not self._backend.ready:
            raise InputError("the model has no weights yet: its first batch makes them, so train or call it first")
        fixed = self._fixed(step, ends)
        try:
            worst = self._worst_now(step, ends)
        except Exception as exc:  # the fixed pictures are not to suffer from it
            if self._on_error == "raise":
                raise
            self._say("worst", f"step {step}: no worst predictions: {type(exc).__name__}: {exc}")
            worst = []
        return tuple(self._scale(one) for one in (*fixed, *worst))

    def _fixed(self, step: int, ends: float) -> list[Explanation]:
        explanations, self._turn = self._watch(self.sample, ends, self._turn)
        first = explanations[0]
        if self._pictures is None:
            self._pictures = self._watch.pictures(self.sample, first.input_size)
        done = set(first.ids)
        positions = np.array([n for n, name in enumerate(self.ids) if name in done])
        self.left_out = tuple(name for name in self.ids if name not in done)
        if self.left_out:
            shown = ", ".join(self.left_out[:5]) + (", ..." if len(self.left_out) > 5 else "")
            self._say(
                "budget",
                f"step {step}: {len(self.left_out)} of {len(self.ids)} pictures left out after {self._budget:g} s "
                f"({shown}); they come first next time. Watch fewer, or raise budget=",
            )
        pictures = self._pictures.take(positions)
        return [dataclasses.replace(one, pictures=pictures) for one in explanations]

    def _worst_now(self, step: int, ends: float) -> list[Explanation]:
        if self._pool is None:
            return []
        with self._backend.undisturbed(self._pool.source):
            worst, all_seen = self._pool.worst(self._worst, ends)
        if not all_seen:
            self._say("pool", f"step {step}: no time to look at all of the pool for its worst; raise budget=")
        if worst is None:
            self._say("none", f"step {step}: no picture in the pool has a known class, so there are no worst ones")
            return []
        explanations, _ = self._watch(worst, float("inf"))
        pictures = self._watch.pictures(worst, explanations[0].input_size)
        return [dataclasses.replace(one, pictures=pictures, group="worst") for one in explanations]

    def _say(self, kind: str, message: str) -> None:
        """Warn, once of a kind: a line an epoch would drown the training's own."""
        if kind not in self._said:
            self._said.add(kind)
            warnings.warn(f"{message} (said once)", RuntimeWarning, stacklevel=3)


def _check(every: int, budget: float | None, batch_size: int, worst: int, pool: Any) -> None:
    for option, value in (("every", every), ("batch_size", batch_size)):
        if not isinstance(value, Integral) or value < 1:
            raise InputError(f"{option}={value!r}: expected a whole number, 1 or more")
    if budget is not None and not (isinstance(budget, Real) and budget > 0):
        raise InputError(f"budget={budget!r}: expected seconds, or None for no limit")
    if worst < 0 or (worst > 0) != (pool is not None):
        given = "None" if pool is None else f"a {type(pool).__name__}"
        raise InputError(f"worst={worst} with pool={given}: give both, how many and where to look, or neither")


def _methods(method: MethodLike | Sequence[MethodLike]) -> list[Method]:
    if isinstance(method, Sequence) and not method:
        raise MethodError("no method: expected a name, a function, or a list of them")
    several = list(method) if isinstance(method, Sequence) and not isinstance(method, str) else [method]
    return list(dict.fromkeys(find_method(one) for one in several))
