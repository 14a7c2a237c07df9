"""Results on their way to the loggers, while the training goes on.

One thread hands them over, so that encoding and writing run beside the training, and a tracker that hangs delays
nothing. At most two steps are on their way: one at the loggers and one in the queue. Memory does not grow.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import warnings
from collections.abc import Callable, Sequence

from xaicore.explanation import Explanation
from xaicore.loggers import Loggers

__all__ = ["PATIENCE", "Shipper"]

PATIENCE = 60.0
"""Seconds that closing waits for loggers: far longer than two steps take to encode. Nothing waits for ever."""

Parcel = tuple[Sequence[Explanation], "int | None"]


class Shipper:
    """Opens loggers, hands them each step's explanations in order, and closes them at the end.

    Args:
        loggers: not yet open. They are opened in the caller's thread; `log`, `flush` and `close` run in the shipper's.
        beside: False hands over in the caller's thread, which then waits for the loggers.

    Raises:
        Exception: what a logger raises as it opens.
    """

    def __init__(self, loggers: Loggers, beside: bool = True) -> None:
        self._opened = contextlib.ExitStack()
        self.loggers = self._opened.enter_context(loggers)
        self._queue: queue.Queue[Parcel | None] = queue.Queue(maxsize=1)
        self._error: BaseException | None = None
        self._is_late = False
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="xaicore-loggers", daemon=True) if beside else None
        if self._thread is not None:
            self._thread.start()

    @property
    def works(self) -> bool:
        """Whether steps are delivered: not after closing, nor in a process that was forked from the thread's."""
        return not self._ending.is_set() and (self._thread is None or self._thread.is_alive())

    @property
    def is_stuck(self) -> bool:
        """Whether the last step found no place in the queue, and the next one would not either."""
        return self._is_late and self._queue.full()

    def ship(self, explanations: Sequence[Explanation], step: int | None, patience: float) -> bool:
        """Send one step; False if the loggers were still busy with earlier ones after `patience` seconds.

        A tracker that hangs costs that time once: until it moves again, no further step waits for it.

        Raises:
            Exception: what a logger has raised, with `on_error="raise"`.
        """
        self._raise()
        if self._thread is None:
            self._deliver((explanations, step))
            return True
        try:
            self._queue.put((explanations, step), timeout=0 if self._is_late else max(0.0, patience))
            self._is_late = False
        except queue.Full:
            self._is_late = True
        return not self._is_late

    def close(self, patience: float) -> None:
        """Deliver the steps on their way, close the loggers, and warn if that takes longer than `patience` seconds.

        Raises:
            Exception: what a logger has raised, with `on_error="raise"`.
        """
        self._ending.set()
        if self._thread is None:
            self._opened.close()
            return
        if threading.current_thread() is self._thread:
            return  # a forgotten monitor was garbage-collected in this thread, which ends by itself
        with contextlib.suppress(queue.Full):  # a full queue needs no wake-up
            self._queue.put_nowait(None)
        self._thread.join(patience)
        if self._thread.is_alive():
            warnings.warn(
                f"the loggers did not finish within {patience:g} s: steps not delivered by then may be lost",
                RuntimeWarning,
                stacklevel=3,
            )
        self._raise()

    def _run(self) -> None:
        while (parcel := self._next()) is not None:
            self._guarded(lambda parcel=parcel: self._deliver(parcel))  # type: ignore[misc]
        self._guarded(self._opened.close)

    def _next(self) -> Parcel | None:
        """The next step; None at the end, when all are delivered."""
        while True:
            try:
                parcel = self._queue.get(block=not self._ending.is_set())
            except queue.Empty:
                return None
            if parcel is not None:
                return parcel

    def _guarded(self, act: Callable[[], None]) -> None:
        """Keep a logger's exception for the caller; turn SystemExit and its like into a warning."""
        try:
            act()
        except Exception as exc:
            self._error = exc
        except BaseException as exc:
            warnings.warn(f"a logger raised {type(exc).__name__}: {exc}", RuntimeWarning, stacklevel=2)

    def _deliver(self, parcel: Parcel) -> None:
        explanations, step = parcel
        for explanation in explanations:
            self.loggers(explanation, step)
        self.loggers.flush()

    def _raise(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error
