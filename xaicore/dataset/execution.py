"""How a run is made: by how many processes, in which batches, with which engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from xaicore.data.numbers import check_whole
from xaicore.dataset.engines import check_engine, local, processes, ray
from xaicore.dataset.folder import RunFolder
from xaicore.dataset.plan import Plan, read_share, usual_shard_size
from xaicore.dataset.settings import check_stream
from xaicore.dataset.shard import Job
from xaicore.source.listing import Listing
from xaicore.source.reading import default_readers

__all__ = ["Execution", "Make"]

Make = Callable[[Job, Sequence[int], Callable[[int], object]], None]
"""Makes the parts of some shards of a job; it is given what to call with a number of pictures that are done."""


@dataclass(frozen=True)
class Execution:
    """Arguments of `explain_dataset` that rows depend on by rounding at most, checked.

    Attributes:
        batch_size: pictures per pass of the model.
        shard_size: pictures per file; None: those of the run in the folder, else the usual number.
        workers: processes or actors; None: this process, or those that the engine chooses.
        readers: threads that read and prepare pictures, in each process.
        part, parts: this job makes every `parts`-th file, from `part` on.
        engine, address: who makes them.
        is_compiled: whether batches of full size run compiled.
    """

    batch_size: int
    shard_size: int | None
    workers: int | None
    readers: int
    part: int
    parts: int
    engine: str
    address: str | None
    is_compiled: bool = False

    @classmethod
    def checked(
        cls,
        batch_size: int,
        shard_size: int | None,
        workers: int | None,
        readers: int | None,
        shard: str | tuple[int, int] | None,
        engine: str,
        address: str | None,
        is_compiled: bool = False,
    ) -> Execution:
        """The caller's arguments.

        Raises:
            InputError: one is out of range, or they do not go together.
        """
        check_engine(engine, address)
        return cls(
            check_whole(batch_size, "batch_size", 1),
            None if shard_size is None else check_whole(shard_size, "shard_size", 1),
            None if workers is None else check_whole(workers, "workers", 1),
            default_readers() if readers is None else check_whole(readers, "readers", 1),
            *read_share(shard),
            engine,
            address,
            is_compiled,
        )

    @property
    def is_alone(self) -> bool:
        """Whether this process makes the shards, and not others."""
        return self.engine == "local" and self.workers is None

    def check(self, listing: Listing) -> None:
        """Refuse several processes for pictures that one has to read.

        Raises:
            InputError: see above.
        """
        check_stream(listing, self.engine, self.workers)

    def plan(self, count: int, folder: RunFolder) -> Plan:
        """The shards of `count` pictures: of the caller's size, else of the run's in the folder, else of the usual."""
        if self.shard_size is not None:
            return Plan(count, self.shard_size)
        found = folder.read()
        if found is not None:
            return Plan(count, int(found["fingerprint"]["shard_size"]))
        return Plan(count, usual_shard_size(count, self.batch_size, self.parts * (self.workers or 1)))

    def maker(self, job: Job) -> Make:
        """What makes the shards of a job.

        Raises:
            InputError: the job cannot be sent to another process.
        """
        if self.engine == "ray":
            return partial(ray.run, address=self.address, workers=self.workers)
        if self.workers is None:
            return local.run
        processes.send(job, self.workers)
        return partial(processes.run, workers=self.workers)
