"""Threads that read, and may start processes: a data loader forks its workers where its first element is asked for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from queue import Empty, SimpleQueue
from typing import Any, ParamSpec, TypeVar

__all__ = ["Threads"]

P = ParamSpec("P")
T = TypeVar("T")


class Threads(Executor):
    """A few threads that take calls in their order.

    A process that a thread of `ThreadPoolExecutor` has forked waits at its end for all threads of such pools, itself
    among them, and so exits with status 1: a `DataLoader` takes that for a worker that has crashed.

    Args:
        count: of threads.
        name: of each thread, before its number.
    """

    def __init__(self, count: int, name: str) -> None:
        self._is_shut = False
        self._calls: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._run, name=f"{name}_{number}", daemon=True) for number in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Call `fn` in one of the threads, after all calls that were submitted before.

        Raises:
            RuntimeError: they have ended, or will.
        """
        if self._is_shut:
            raise RuntimeError("cannot submit a call after shutdown")
        future: Future[T] = Future()
        self._calls.put((future, lambda: fn(*args, **kwargs)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the threads when the calls are done.

        Args:
            wait: return when the threads have ended.
            cancel_futures: leave out the calls that no thread has begun.
        """
        self._is_shut = True
        while cancel_futures:
            try:
                call = self._calls.get_nowait()
            except Empty:
                break
            if call is not None:
                call[0].cancel()
        for _ in self._threads:
            self._calls.put(None)
        for thread in self._threads if wait else ():
            thread.join()

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            future, do = call
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(do())
                except BaseException as exc:  # SystemExit of a caller's data set, too, belongs to who waits
                    future.set_exception(exc)
            del call, future, do  # a thread that waits keeps no picture
