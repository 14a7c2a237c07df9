"""Devices of this machine: how a caller names them, which ones a process sees, and the model on one of them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from xaicore.backend import Backend
from xaicore.errors import InputError

__all__ = ["GPU", "HOST", "Device", "check_device", "read_devices"]

VISIBLE = ("HIP_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES")
"""What tells a process which GPUs it sees: of AMD, where it is set, else of NVIDIA, which AMD's libraries read, too."""

NONE = "-1"
"""As a value of these: no GPU."""


@dataclass(frozen=True)
class Device:
    """One device.

    Attributes:
        kind: "cpu", "cuda" for GPUs of NVIDIA and AMD, "mps", or another one that a framework knows.
        index: among those of its kind.
    """

    kind: str
    index: int

    @classmethod
    def read(cls, text: str) -> Device | None:
        """What a text names: "cuda:1", "gpu:1", "CPU"; None where it is no name of a device."""
        found = re.fullmatch(r"([a-z]+)(?::(\d+))?", text.strip().lower())
        return None if found is None else cls({"gpu": "cuda"}.get(found[1], found[1]), int(found[2] or 0))

    def __str__(self) -> str:
        return f"{self.kind}:{self.index}"

    def name_in(self, backend: Backend) -> str | None:
        """What a backend calls it; None where its framework does not see it."""
        return next((name for name in backend.devices() if Device.read(name) == self), None)

    def check(self, backend: Backend, asked: str) -> None:
        """Refuse a device that a backend's framework does not see.

        Args:
            backend: of the model.
            asked: the argument that names the device.

        Raises:
            InputError: see above.
            BackendError: the backend has no choice of devices.
        """
        seen = backend.devices()
        if not seen:
            backend.on_device(str(self))  # which says so
        elif self.name_in(backend) is None:
            raise InputError(
                f"{asked}: {self} is not there; backend {backend.name!r} sees {', '.join(seen)}: name some of these, "
                f"such as devices={seen[-1]!r}"
            )

    def model_of(self, backend: Backend) -> Any:
        """The backend's model on this device.

        Raises:
            InputError: the framework does not see the device.
            BackendError: the backend has no choice of devices, or the model cannot be copied.
        """
        self.check(backend, f"device={str(self)!r}")
        return backend.on_device(self.name_in(backend) or str(self))

    @property
    def alone(self) -> Device:
        """What it is called in a process that sees no other GPU."""
        return Device(self.kind, 0) if self.kind == "cuda" else self

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Processes that begin meanwhile see this GPU alone; none, where it is another device.

        Frameworks open every GPU that they see: JAX and TensorFlow take the memory of them all, and torch's "cuda" is
        the first one. They read the variable as they are imported, so that a process cannot set it for itself.
        """
        shown = self._variables()
        before = {name: os.environ[name] for name in shown if name in os.environ}
        os.environ.update(shown)
        try:
            yield
        finally:
            for name in shown:
                del os.environ[name]
            os.environ.update(before)

    def _variables(self) -> dict[str, str]:
        """The environment of a process that explains here."""
        name = next((name for name in VISIBLE if name in os.environ), VISIBLE[-1])
        if self.kind == "cuda":
            seen = [one.strip() for one in os.environ.get(name, "").split(",")]
            is_listed = seen != [""] and self.index < len(seen)
            return {name: seen[self.index] if is_listed else str(self.index)}
        # JAX for CUDA raises where it sees no GPU, unless it is told to have no use of them.
        return {name: NONE, **({"JAX_PLATFORMS": "cpu"} if self.kind == "cpu" else {})}


HOST = Device("cpu", 0)
"""The processor."""

GPU = Device("cuda", 0)
"""The first GPU that a process sees."""


def check_device(device: str | None, devices: object) -> None:
    """Refuse a device of one process beside those of several.

    Raises:
        InputError: see above.
    """
    if device is not None and devices:
        raise InputError(
            f"device={device!r} is where one process has its model, and devices= names one per process: leave "
            "device out"
        )


def read_devices(devices: str | Sequence[str] | None) -> tuple[Device, ...]:
    """The devices that a caller lists; none where there is no list.

    Args:
        devices: "cuda:0,cuda:1", or a list of names.

    Raises:
        InputError: something in it is no name of a device.
    """
    if devices is None:
        return ()
    names = devices.split(",") if isinstance(devices, str) else devices if isinstance(devices, Sequence) else ()
    found = [Device.read(name) if isinstance(name, str) else None for name in names]
    read = tuple(device for device in found if device is not None)
    if not read or len(read) != len(found):
        raise InputError(
            f"devices={devices!r}: expected names of devices, one per process, such as devices='cuda:0,cuda:1' or "
            "devices='cpu,cpu'"
        )
    return read
