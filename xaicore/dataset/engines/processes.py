"""Shards in several processes of this machine. Each loads the model, and takes the next shard that nobody has.

This process works on none, so that it sees when another one dies, starts it again, and knows that the picture which was
alone in work then is the reason.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from multiprocessing import connection
from typing import Any

from xaicore.dataset.devices import Device
from xaicore.dataset.shard import Job, ShardExplainer
from xaicore.errors import BackendError, InputError, XaicoreError, type_name

__all__ = ["run", "send"]

POLL = 0.2
"""Seconds between two looks at the workers."""

PATIENCE = 10.0
"""Seconds for a worker to end what it does."""

DEATHS = 3
"""Deaths in a row of workers that had no model yet: then it is not the pictures."""


def send(job: Job, asked: str) -> bytes:
    """The job for other processes.

    Args:
        job: what to make.
        asked: the argument that asks for processes.

    Raises:
        InputError: something in it cannot be sent; the message says what to pass instead.
    """
    parts: dict[str, tuple[Any, str]] = {
        "model": (
            job.recipe.model,
            "pass it by name, model='net.py:build', or the function of a module that builds it, model=build",
        ),
        **{name: (value, "pass a function or class of a module") for name, value in job.recipe.options.items()},
        "source": (job.listing, "pass paths, or a data set whose class is of a module"),
        "targets": (job.target, "pass classes, or a target whose functions are of a module"),
    }
    for name, (value, remedy) in parts.items():
        try:
            pickle.dumps(value)
        except Exception as exc:
            kind = type_name(value if name != "source" or job.listing.origin is None else job.listing.origin)
            kind = kind.removeprefix("builtins.")
            raise InputError(
                f"{asked}: {name} is a {kind}, which cannot be sent to another process "
                f"({type(exc).__name__}: {exc}); {remedy}, or leave {asked.partition('=')[0]} out"
            ) from exc
    return pickle.dumps(job)


def run(
    job: Job, shards: Sequence[int], done: Callable[[int], object], asked: str, places: Sequence[Device | None]
) -> None:
    """Make the parts of these shards that nobody has made or is making.

    Args:
        job: what to make.
        shards: their numbers.
        done: called with a number of pictures each time some are done.
        asked: the argument that asks for processes.
        places: of each process, where its model lies; None: where the model is put as it is found or built.

    Raises:
        InputError: the job cannot be sent to another process.
        BackendError: workers die, and no picture is the reason.
        XaicoreError: what a worker raised.
    """
    _Pool(send(job, asked), job, shards, done).run(places[: len(shards)])


class _Pool:
    """The workers of one run."""

    def __init__(self, payload: bytes, job: Job, shards: Sequence[int], done: Callable[[int], object]) -> None:
        self._payload, self._job, self._shards, self._done = payload, job, shards, done
        self._missing = set(shards)
        self._workers: dict[Any, tuple[Any, Device | None]] = {}
        self._deaths = 0

    def run(self, places: Sequence[Device | None]) -> None:
        try:
            with _threads_shared(len(places)):
                for place in places:
                    self._start(place)
                while self._workers:
                    ended = connection.wait([worker.sentinel for worker in self._workers], POLL)
                    self._report()
                    for worker in [worker for worker in self._workers if worker.sentinel in ended]:
                        self._bury(worker)
        finally:
            self._stop()

    def _start(self, place: Device | None) -> None:
        context = multiprocessing.get_context("spawn")
        receiver, sender = context.Pipe(duplex=False)
        task = (self._payload, None if place is None else place.alone, list(self._shards), sender)
        worker = context.Process(target=_work, args=task, daemon=True)
        with nullcontext() if place is None else place.shown():
            worker.start()
        sender.close()
        self._workers[worker] = receiver, place

    def _bury(self, worker: Any) -> None:
        """Look at why a worker ended; start it again where it died.

        Raises:
            XaicoreError: it says what is wrong.
            BackendError: it is not the first one to die without a reason.
        """
        receiver, place = self._workers.pop(worker)
        worker.join()
        has_begun = False
        with suppress(EOFError):  # it died
            while receiver.poll():
                refused = receiver.recv()
                if refused is not None:
                    raise refused
                has_begun = True
        if worker.exitcode == 0:
            return
        self._job.folder.condemn(self._shards)
        self._deaths = 0 if has_begun else self._deaths + 1
        if self._deaths >= DEATHS:
            raise BackendError(
                f"{DEATHS} workers ended with the exit code {worker.exitcode} before they had a model: memory may "
                f"not suffice for the models of all workers; pass fewer {'workers' if place is None else 'devices'}"
            )
        self._start(place)

    def _report(self) -> None:
        finished = self._missing - set(self._job.folder.missing(self._missing))
        self._missing -= finished
        if finished:
            self._done(sum(len(self._job.plan.items(shard)) for shard in finished))

    def _stop(self) -> None:
        """Let workers end what they do, so that nobody takes them for dead."""
        for worker in self._workers:
            if worker.is_alive() and os.name != "nt":
                os.kill(worker.pid, signal.SIGINT)
        until = time.monotonic() + PATIENCE
        for worker in self._workers:
            worker.join(max(0.0, until - time.monotonic()))
            if worker.is_alive():
                worker.kill()


def _work(payload: bytes, place: Device | None, shards: Sequence[int], sender: Any) -> None:
    """What a worker does; it ends with this process's parent."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        job: Job = pickle.loads(payload)
        maker = ShardExplainer(job if place is None else replace(job, recipe=replace(job.recipe, device=place)))
        sender.send(None)  # it has its model
        maker.run(shards)
    except KeyboardInterrupt:
        pass
    except XaicoreError as exc:
        sender.send(_plain(exc))
    except Exception as exc:
        sender.send(BackendError(f"a worker raised {type(exc).__name__}: {exc}"))


def _plain(error: XaicoreError) -> Exception:
    """The error, as far as it can be sent."""
    try:
        pickle.loads(pickle.dumps(error))
        return error
    except Exception:
        return XaicoreError(str(error))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


@contextmanager
def _threads_shared(workers: int) -> Iterator[None]:
    """Each worker gets its share of the processors, unless the user has said how many threads there are."""
    name = "OMP_NUM_THREADS"
    if name in os.environ:
        yield
        return
    os.environ[name] = str(max(1, (os.cpu_count() or 1) // max(1, workers)))
    try:
        yield
    finally:
        del os.environ[name]
