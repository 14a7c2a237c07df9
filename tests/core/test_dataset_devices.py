"""How devices are named and shown to processes, and which are refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from picture_sets import DatasetBackend, backend, preprocess, write_pictures
from toynet import ToyNet

import xaicore

pytest.importorskip("pyarrow")

from xaicore.dataset.devices import Device, read_devices
from xaicore.dataset.engines import processes


class Placed(DatasetBackend):
    """Sees two GPUs."""

    def devices(self):
        return ("CPU", "gpu:0", "gpu:1")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    write_pictures(tmp_path / "photos", 4)
    return tmp_path / "photos"


def run(photos: Path, **options):
    known = {"preprocess": preprocess, "backend": backend(), "layer": "second"}
    return xaicore.explain_dataset(object(), photos, photos.parent / "out", **{**known, **options})


@pytest.mark.parametrize(
    ("text", "device"),
    [("cuda:1", ("cuda", 1)), ("gpu", ("cuda", 0)), (" CPU ", ("cpu", 0)), ("mps", ("mps", 0)), ("CPU:1", ("cpu", 1))],
)
def test_names_of_devices(text: str, device: tuple[str, int]) -> None:
    assert Device.read(text) == Device(*device)
    assert str(Device(*device)) == f"{device[0]}:{device[1]}"


def test_lists_of_devices() -> None:
    assert read_devices(None) == ()
    assert read_devices("cuda:0, cuda:1") == (Device("cuda", 0), Device("cuda", 1))
    assert read_devices(["cpu", "cpu"]) == (Device("cpu", 0),) * 2


@pytest.mark.parametrize("devices", ["", "cuda:0,", "cuda:a", "0,1", [], 0, 2, [0], ["cuda", None], "cuda 1", "/gpu:0"])
def test_what_names_no_device_is_refused(photos: Path, devices) -> None:
    with pytest.raises(
        xaicore.InputError,
        match=r"devices=.*: expected names of devices, .* devices='cuda:0,cuda:1' or devices='cpu,cpu'",
    ):
        run(photos, devices=devices)


@pytest.mark.parametrize(
    ("before", "device", "shown"),
    [
        (None, "cuda:1", "1"),
        ("", "cuda:1", "1"),
        ("4,7", "cuda:1", "7"),
        ("4, GPU-8a", "cuda:1", "GPU-8a"),
        ("4,7", "cpu", "-1"),
        (None, "mps", "-1"),
    ],
)
def test_a_process_sees_its_gpu_alone(monkeypatch, before: str | None, device: str, shown: str) -> None:
    monkeypatch.delenv("HIP_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("JAX_PLATFORMS", "cuda,cpu")
    if before is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", before)
    one = Device.read(device)
    with pytest.raises(KeyboardInterrupt), one.shown():
        assert os.environ["CUDA_VISIBLE_DEVICES"] == shown
        assert os.environ["JAX_PLATFORMS"] == ("cpu" if device == "cpu" else "cuda,cpu")
        raise KeyboardInterrupt
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == before
    assert os.environ["JAX_PLATFORMS"] == "cuda,cpu"
    assert one.alone == (Device("cuda", 0) if one.kind == "cuda" else one)


def test_gpus_of_amd_are_shown_by_their_own_name(monkeypatch) -> None:
    monkeypatch.setenv("HIP_VISIBLE_DEVICES", "2,3")
    with Device("cuda", 1).shown():
        assert os.environ["HIP_VISIBLE_DEVICES"] == "3"
    assert os.environ["HIP_VISIBLE_DEVICES"] == "2,3"


def test_a_device_that_is_not_there_is_refused_with_those_that_are(photos: Path) -> None:
    with pytest.raises(
        xaicore.InputError,
        match=r"1,cuda:2': cuda:2 is not there; backend 'toy' sees CPU, gpu:0, gpu:1: name .* devices='gpu:1'$",
    ):
        run(photos, devices="cuda:1,cuda:2", backend=Placed(ToyNet()))
    with pytest.raises(xaicore.BackendError, match=r"does not offer a choice of devices: .* leave devices out"):
        run(photos, devices="cpu")
    assert not (photos.parent / "out").exists()


def test_a_backend_that_is_built_already_is_refused(photos: Path) -> None:
    with pytest.raises(xaicore.InputError, match=r"devices makes a copy of the model, .* pass the backend's name"):
        run(photos, devices="cuda:1", backend=Placed(ToyNet()))


def test_arguments_that_say_the_same_are_refused(photos: Path) -> None:
    with pytest.raises(xaicore.InputError, match=r"devices='cpu:0,cpu:0' is one process per .*leave workers out"):
        run(photos, devices="cpu,cpu", workers=2)
    with pytest.raises(xaicore.InputError, match=r"engine='ray' gives each .* leave devices out, and pass workers=1"):
        run(photos, devices="cpu", engine="ray")
    with pytest.raises(xaicore.InputError, match=r"device='cpu' is where one process has its model"):
        run(photos, devices="cpu", device="cpu")


def test_what_cannot_be_sent_names_devices() -> None:
    class Job:
        class recipe:
            model, options = (n for n in "ab"), {}

        listing = target = None

    with pytest.raises(xaicore.InputError, match=r"devices='cpu:0': model is a generator.*leave devices out"):
        processes.send(Job, "devices='cpu:0'")
