"""How a run is made: by how many processes, in which batches, with which engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from xaicore.backend import Backend
from xaicore.data.flags import check_flag
from xaicore.data.numbers import check_whole
from xaicore.dataset.devices import Device, read_devices
from xaicore.dataset.engines import check_engine, local, processes, ray
from xaicore.dataset.folder import RunFolder
from xaicore.dataset.plan import Plan, read_share, usual_shard_size
from xaicore.dataset.settings import check_stream
from xaicore.dataset.shard import Job
from xaicore.errors import InputError
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
        devices: of each process; none: all of them take the model as it is found or built.
        readers: threads that read and prepare pictures, in each process.
        part, parts: this job makes every `parts`-th file, from `part` on.
        engine, address: who makes them.
        is_compiled: whether batches of full size run compiled.
    """

    batch_size: int
    shard_size: int | None
    workers: int | None
    devices: tuple[Device, ...]
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
        devices: str | Sequence[str] | None,
        readers: int | None,
        shard: str | tuple[int, int] | None,
        engine: str,
        address: str | None,
        is_compiled: bool = False,
    ) -> Execution:
        """The caller's arguments.

        Raises:
            InputError: one is out of range, or they do not go together, or nothing answers at the address.
        """
        check_engine(engine, address)
        ray.check_answers(address)
        places = read_devices(devices)
        _check_devices(places, workers, engine)
        return cls(
            check_whole(batch_size, "batch_size", 1),
            None if shard_size is None else check_whole(shard_size, "shard_size", 1),
            len(places) or (None if workers is None else check_whole(workers, "workers", 1)),
            places,
            default_readers() if readers is None else check_whole(readers, "readers", 1),
            *read_share(shard),
            engine,
            address,
            check_flag(is_compiled, "compile", "; modes of torch.compile are not passed on"),
        )

    @property
    def asked(self) -> str | None:
        """The argument that asks for other processes; None where this one makes the shards."""
        if self.engine != "local":
            return f"engine={self.engine!r}"
        if self.devices:
            return f"devices={','.join(map(str, self.devices))!r}"
        return None if self.workers is None else f"workers={self.workers}"

    @property
    def changes_devices(self) -> bool:
        """Whether the processes that make the shards see other devices than this one."""
        return bool(self.devices) or self.engine == "ray"

    def check(self, listing: Listing, backend: Backend) -> None:
        """Refuse several processes for pictures that one has to read, and devices that are not there.

        Raises:
            InputError: see above.
            BackendError: the backend has no choice of devices.
        """
        check_stream(listing, self.asked)
        for device in self.devices:
            device.check(backend, str(self.asked))

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
            DependencyError: Ray is not installed.
        """
        if self.engine == "ray":
            ray.library()  # raises before the folder is written
            return partial(ray.run, address=self.address, workers=self.workers)
        if self.asked is None or self.workers is None:
            return local.run
        processes.send(job, self.asked)
        return partial(processes.run, asked=self.asked, places=self.devices or [None] * self.workers)


def _check_devices(devices: Sequence[Device], workers: int | None, engine: str) -> None:
    """Refuse what a list of devices says already, and one that the engine makes itself.

    Raises:
        InputError: see above.
    """
    if not devices:
        return
    asked = f"devices={','.join(map(str, devices))!r}"
    if engine != "local":
        raise InputError(
            f"{asked} is for processes of this machine, and engine={engine!r} gives each of its workers a GPU itself: "
            f"leave devices out, and pass workers={len(devices)}"
        )
    if workers is not None:
        raise InputError(
            f"{asked} is one process per device, and workers={workers} is their number, too: leave workers out, and "
            "name a device twice for two processes on it"
        )
