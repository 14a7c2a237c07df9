"""Results on their way to the loggers, beside the work that made them.

One thread hands them over, so that encoding and writing run beside training, and a tracker that hangs holds up
nothing. At most two steps are on their way: one at the loggers and one waiting. Memory does not grow.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import warnings
from collections.abc import Callable, Sequence

from xaicore.explanation import Explanation
from xaicore.loggers import Loggers

__all__ = ["Shipper"]

Parcel = tuple[Sequence[Explanation], "int | None"]


class Shipper:
    """Hands each step's explanations to open loggers, in order, and closes them in the end.

    Args:
        loggers: entered already; `log`, `flush` and closing happen in the shipper's thread.
        beside: False hands over in the caller's thread, who then waits for the loggers.
    """

    def __init__(self, loggers: Loggers, beside: bool = True) -> None:
        self.loggers = loggers
        self._waiting: queue.Queue[Parcel | None] = queue.Queue(maxsize=1)
        self._error: BaseException | None = None
        self._late = False
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="xaicore-loggers", daemon=True) if beside else None
        if self._thread is not None:
            self._thread.start()

    @property
    def works(self) -> bool:
        """Whether there is somebody to deliver: not so once closed, or in a process that was forked."""
        return not self._ending.is_set() and (self._thread is None or self._thread.is_alive())

    @property
    def is_stuck(self) -> bool:
        """Whether a step could not be sent off, and the next one could not either."""
        return self._late and self._waiting.full()

    def ship(self, explanations: Sequence[Explanation], step: int | None, patience: float) -> bool:
        """Send one step off; False if the loggers were still busy with earlier ones after `patience` seconds.

        A tracker that hangs costs that time once: until it moves again, nobody waits for it.

        Raises:
            Exception: what a logger has raised, where loggers are to raise.
        """
        self._raise()
        if self._thread is None:
            self._deliver((explanations, step))
            return True
        try:
            self._waiting.put((explanations, step), timeout=0 if self._late else max(0.0, patience))
            self._late = False
        except queue.Full:
            self._late = True
        return not self._late

    def close(self, patience: float) -> None:
        """Deliver what is on its way, close the loggers, and warn if that takes longer than `patience` seconds.

        Raises:
            Exception: what a logger has raised, where loggers are to raise.
        """
        self._ending.set()
        if self._thread is None:
            self.loggers.__exit__(None, None, None)
            return
        if threading.current_thread() is self._thread:
            return  # a monitor that nobody holds was collected here; this thread ends by itself
        with contextlib.suppress(queue.Full):  # a full queue needs no waking up
            self._waiting.put_nowait(None)
        self._thread.join(patience)
        if self._thread.is_alive():
            warnings.warn(
                f"the loggers did not finish within {patience:g} s: what they were still given may be lost",
                RuntimeWarning,
                stacklevel=3,
            )
        self._raise()

    def _run(self) -> None:
        while (parcel := self._next()) is not None:
            self._guarded(lambda parcel=parcel: self._deliver(parcel))  # type: ignore[misc]
        self._guarded(lambda: self.loggers.__exit__(None, None, None))

    def _next(self) -> Parcel | None:
        """The next step; None once it is to end and all are delivered."""
        while True:
            try:
                parcel = self._waiting.get(block=not self._ending.is_set())
            except queue.Empty:
                return None
            if parcel is not None:
                return parcel

    def _guarded(self, act: Callable[[], None]) -> None:
        """What a logger raises is for the caller where it is wanted; a SystemExit of a tracker's is not for anybody."""
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
