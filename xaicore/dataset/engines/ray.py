"""Shards made by actors of a Ray cluster. What is done is what lies in the folder: Ray knows no more of the run.

Ray Data would hand out the shards as well. It starts what died again and again, unless arguments that it is about to
drop say otherwise, and with these it waits without end for an actor that a picture ended. Actors alone do not: who
dies is reported at once, with the shard that it had.
"""

from __future__ import annotations

import contextlib
import socket
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from xaicore.dataset.shard import Job, ShardExplainer
from xaicore.errors import DependencyError, InputError, LoggerError, XaicoreError

__all__ = ["check_answers", "library", "run"]

CONNECTING = 10.0
"""Seconds for the address of a cluster to answer."""

DEATHS = 3
"""Deaths in a row of a shard's process, without a picture as the reason, that end the run."""


def run(
    job: Job,
    shards: Sequence[int],
    done: Callable[[int], object],
    address: str | None = None,
    workers: int | None = None,
) -> None:
    """Make the parts of these shards that nobody has made or is making, by actors that load the model once.

    Args:
        job: what to make; all nodes see its folder and its pictures under the same paths.
        shards: their numbers.
        done: called with a number of pictures each time a shard is done.
        address: of a cluster, as `ray.init` takes it; None: one that this process is connected to, else one on this
            machine, which is shut down at the end.
        workers: actors; None: one per GPU, without GPUs one per two processors.

    Raises:
        DependencyError: Ray is not installed.
        InputError: no cluster answers, or the job cannot be sent.
        LoggerError: an actor does not see the folder, cannot write, or dies again and again.
        XaicoreError: as `ShardExplainer.run` does.
    """
    ray = library()
    missing = job.folder.missing(shards)
    done(sum(len(job.plan.items(shard)) for shard in set(shards) - set(missing)))
    with _cluster(ray, address):
        with contextlib.closing(_Crew(ray, job, missing, workers)) as crew:
            while (shard := crew.next_done()) is not None:
                done(len(job.plan.items(shard)))


class _Crew:
    """Actors, and the shards that they work on.

    Args:
        ray: the library, connected.
        job: what to make.
        shards: what is missing.
        workers: how many actors; None: as many as the cluster has room for.
    """

    def __init__(self, ray: Any, job: Job, shards: Sequence[int], workers: int | None) -> None:
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        size, resources = _actors(nodes, workers, len(shards))
        self._ray, self._job, self._held = ray, job, _put(ray, job)
        self._actor = ray.remote(**resources, max_restarts=0)(_Actor)
        self._left = deque(shards)
        self._deaths: Counter[int | None] = Counter()
        self._starting: dict[Any, Any] = {}
        self._working: dict[Any, tuple[Any, int]] = {}
        for _ in range(size):
            self._start()

    def next_done(self) -> int | None:
        """The next shard that is done; None where all have been.

        Raises:
            XaicoreError: what an actor refused.
            LoggerError: a shard's process died too often.
        """
        while self._working or self._left:
            (reference,), _ = self._ray.wait([*self._working, *self._starting], num_returns=1)
            actor, shard = self._working.pop(reference, (None, None))
            actor = actor or self._starting.pop(reference)
            try:
                refused = self._ray.get(reference)
            except self._ray.exceptions.RayError as exc:
                self._bury(shard, exc)
                continue
            if refused is not None:
                raise refused
            del self._deaths[shard]
            if self._left:
                following = self._left.popleft()
                self._working[actor.make.remote(following)] = actor, following
            if shard is not None and self._job.folder.is_done(shard):
                return shard
        return None

    def close(self) -> None:
        """End the actors; what they are working on is begun anew by the next run."""
        for actor in [*self._starting.values(), *(actor for actor, _ in self._working.values())]:
            self._ray.kill(actor)

    def _start(self) -> None:
        actor = self._actor.remote([self._held])
        self._starting[actor.fault.remote()] = actor

    def _bury(self, shard: int | None, exc: Exception) -> None:
        """An actor died: start another one, and hand its shard out again."""
        is_explained = shard is not None and self._job.folder.condemn([shard]) > 0
        self._deaths[shard] = 0 if is_explained else self._deaths[shard] + 1
        if self._deaths[shard] >= DEATHS:
            raise _died(self._job, shard, exc) from exc
        if shard is not None:
            self._left.appendleft(shard)
        self._start()


class _Actor:
    """One process of the cluster.

    Args:
        held: where Ray holds the job, in a list: Ray then leaves it to the driver to keep it.
    """

    def __init__(self, held: list[Any]) -> None:
        self._fault: XaicoreError | None = None
        try:
            self._maker = _maker(held[0])
        except XaicoreError as exc:  # an exception in a constructor would be tried again
            self._fault = exc

    def fault(self) -> XaicoreError | None:
        """Why it can do nothing."""
        return self._fault

    def make(self, shard: int) -> XaicoreError | None:
        """One shard; what xaicore refuses is returned, as an exception of Ray would wrap it."""
        try:
            self._maker.shard(shard)
        except XaicoreError as exc:
            return exc
        return None


def _maker(held: Any) -> ShardExplainer:
    """What makes shards in this process.

    Raises:
        XaicoreError: the job does not arrive here, or its folder is not seen, or its model cannot be had.
    """
    try:
        job: Job = library().get(held)
    except Exception as exc:  # whatever unpickling raises
        last = str(exc).strip().splitlines()[-1:]
        raise InputError(
            f"a worker cannot read what it is to do, {type(exc).__name__}: {' '.join(last)}; install the same packages "
            "on all nodes, and define the model and preprocess in a module that is importable there"
        ) from exc
    if not job.folder.about.exists():
        raise LoggerError(
            f"a worker does not see {job.folder.root}: pass an out that all nodes share under the same path"
        )
    if library().get_gpu_ids():
        job = replace(job, recipe=job.recipe.on_own_gpu())
    return ShardExplainer(job)


def _actors(nodes: Sequence[Mapping[str, float]], workers: int | None, most: int) -> tuple[int, dict[str, int]]:
    """How many actors, and what each one takes of its node.

    Args:
        nodes: what each node has, by Ray's names.
        workers: as the caller wishes, or None.
        most: no more are of use.
    """
    gpus = sum(int(node.get("GPU", 0)) for node in nodes)
    if gpus:
        return min(workers or gpus, most), {"num_gpus": 1}
    processors = [int(node.get("CPU", 0)) for node in nodes]
    each = min(2, max(processors, default=1))
    places = sum(count // each for count in processors)
    return min(workers or places, most), {"num_cpus": each if places >= (workers or 1) else 1}


def library() -> Any:
    """Ray.

    Raises:
        DependencyError: it is not installed.
    """
    try:
        import ray
    except ImportError as exc:
        raise DependencyError(f"engine='ray' needs Ray: {exc}; pip install 'xaicore[ray]'") from exc
    return ray


@contextlib.contextmanager
def _cluster(ray: Any, address: str | None) -> Iterator[None]:
    """A connection to a cluster, which is closed again if it was opened here."""
    if ray.is_initialized():
        if address is not None:
            raise InputError(f"address={address!r}: this process is connected to a cluster already; leave address out")
        yield
        return
    try:
        ray.init(address=address, log_to_driver=False, logging_level="error")
    except Exception as exc:  # of several kinds, by what failed first
        raise _silent(address, exc) from exc
    try:
        yield
    finally:
        ray.shutdown()


def check_answers(address: str | None) -> None:
    """Refuse an address where nothing listens, without Ray, which would try for minutes.

    Raises:
        InputError: see above.
    """
    host, _, port = (address or "").rpartition("/")[2].rpartition(":")
    loaded = sys.modules.get("ray")
    is_connected = loaded is not None and loaded.is_initialized()
    if is_connected or not port.isdigit():  # "auto", "local", or none
        return
    try:
        socket.create_connection((host, int(port)), CONNECTING).close()
    except OSError as exc:
        raise _silent(address, exc) from exc


def _silent(address: str | None, exc: Exception) -> InputError:
    return InputError(
        f"address={address!r}: no Ray cluster answers there, {type(exc).__name__}: {exc}; `ray status` shows one that "
        "runs, and without an address Ray starts on this machine"
    )


def _put(ray: Any, job: Job) -> Any:
    """The job, held once for all actors.

    Raises:
        InputError: it cannot be sent.
    """
    try:
        return ray.put(job)
    except Exception as exc:
        cause = exc.__cause__ or exc
        raise InputError(
            f"the model or its preprocessing cannot be sent to another process, {type(cause).__name__}: {cause}; "
            "pass a name, such as model='net.py:build', or a function of a module that builds it"
        ) from exc


def _died(job: Job, shard: int | None, exc: Exception) -> LoggerError:
    what = "before it could begin" if shard is None else f"with part {shard}"
    first = next(iter(str(exc).strip().splitlines()), "")
    return LoggerError(
        f"a worker died {DEATHS} times {what}, and no picture is seen to be the reason, {type(exc).__name__}: {first}; "
        f"it may need more memory. Finished parts are in {job.folder.root}: the same call with resume=True goes on"
    )
