"""A worker per device: where a model lies, what a process sees, and rows as of one process."""

from __future__ import annotations

import multiprocessing
import os
from functools import partial
from pathlib import Path

import pytest
import torch
from picture_sets import preprocess, write_pictures
from torch import nn
from torch_workers import build, build_in_worker

import xaicore
from xaicore_torch.backend import TorchBackend

pytest.importorskip("pyarrow")

from xaicore.dataset.devices import Device
from xaicore.dataset.engines import processes
from xaicore.dataset.recipe import Recipe
from xaicore.dataset.schema import COLUMNS
from xaicore.models import NamedModel


def run(model, source, out, **options):
    known = {"preprocess": preprocess, "layer": "maps.3", "shard_size": 4, "batch_size": 2, "progress": False}
    return xaicore.explain_dataset(model, source, out, **{**known, **options})


def test_a_model_on_another_device_is_a_copy_and_the_model_stays(unchanged) -> None:
    model = build()
    model.tags = nn.Parameter(torch.ones(2))
    with unchanged(model):
        moved = TorchBackend(model).on_device("meta")
    assert {tensor.device.type for tensor in moved.state_dict().values()} == {"meta"}
    assert {tensor.device.type for tensor in model.state_dict().values()} == {"cpu"}
    assert TorchBackend(model).on_device("cpu") is model
    moved.head.to_empty(device="cpu")  # a part of it is elsewhere
    assert TorchBackend(moved).on_device("meta") is not moved


def test_a_model_that_cannot_be_copied_is_told_with_what_to_pass() -> None:
    model = build()
    model.lock = (n for n in "ab")
    with pytest.raises(xaicore.BackendError, match=r"cannot be copied to meta, TypeError: .*; pass a function that"):
        TorchBackend(model).on_device("meta")


def test_the_devices_are_those_of_torch(monkeypatch) -> None:
    backend = TorchBackend(build())
    assert backend.devices()[0] == "cpu"
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert backend.devices()[:3] == ("cpu", "cuda:0", "cuda:1")
    assert Device("cuda", 1).name_in(backend) == "cuda:1"
    assert Device("cuda", 2).name_in(backend) is None


def test_a_worker_per_device_writes_what_one_process_writes(tmp_path: Path, monkeypatch) -> None:
    write_pictures(tmp_path / "photos", 18)
    whole = run(build, tmp_path / "photos", tmp_path / "one").to_arrow(tuple(COLUMNS))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    model = partial(build_in_worker, str(tmp_path / "moves"))
    found = run(model, tmp_path / "photos", tmp_path / "two", devices="cpu,cpu")
    assert found.to_arrow(tuple(COLUMNS)).equals(whole)
    moves = [line.split() for line in (tmp_path / "moves").read_text().splitlines()]
    assert len({pid for pid, *_ in moves}) == len(moves) == 2
    assert {tuple(rest) for _, *rest in moves} == {("cpu", "-1")}
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "3,5"


@pytest.mark.thorough
def test_a_run_goes_on_from_devices_to_workers_to_this_process(tmp_path: Path, monkeypatch) -> None:
    if "forkserver" in multiprocessing.get_all_start_methods():  # as `spawn` does, without imports
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["torch_workers", "xaicore.dataset.engines.processes", "pyarrow.parquet"])
        monkeypatch.setattr(multiprocessing, "get_context", lambda method: context)
    model = build()
    write_pictures(tmp_path / "photos", 20)
    whole = run(model, tmp_path / "photos", tmp_path / "whole").to_arrow(tuple(COLUMNS))
    model.deadly = tmp_path / "deadly"
    model.deadly.touch()  # the first pass of a worker ends it; another one is started on its device
    places: list[Device | None] = []
    start = processes._Pool._start
    monkeypatch.setattr(processes._Pool, "_start", lambda pool, place: places.append(place) or start(pool, place))
    more = {"source": tmp_path / "photos", "out": tmp_path / "out"}
    run(model, shard="0/3", devices=["cpu", "cpu:0"], **more)
    assert not model.deadly.exists()
    assert places == [Device("cpu", 0)] * 3, "two workers, and one in the place of that which was ended"
    kept = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out" / "parts").iterdir()}
    assert sorted(kept) == ["part-00000.parquet", "part-00003.parquet"]
    run(model, shard="1/3", workers=1, **more)
    found = run(model, resume=True, **more)
    assert found.to_arrow(tuple(COLUMNS)).equals(whole)
    assert {name: (tmp_path / "out" / "parts" / name).stat().st_mtime_ns for name in kept} == kept


def test_a_copy_in_another_precision_is_made_on_the_device(tmp_path: Path) -> None:
    write_pictures(tmp_path / "photos", 4)
    model = build()
    known = {"precision": "bfloat16", "shard_size": 2}
    here = run(model, tmp_path / "photos", tmp_path / "here", **known)
    there = run(model, tmp_path / "photos", tmp_path / "there", devices="cpu", **known)
    assert there.to_arrow(tuple(COLUMNS)).equals(here.to_arrow(tuple(COLUMNS)))
    assert there.run["precision"] == here.run["precision"]


def test_a_model_elsewhere_is_sent_from_the_cpu(monkeypatch) -> None:
    elsewhere, here = build(), build()
    monkeypatch.setattr(TorchBackend, "on_device", lambda self, device: here if device == "cpu" else elsewhere)
    recipe = Recipe(elsewhere, {}, {}, "bfloat16")
    assert recipe.on_host().model is here
    assert Recipe(NamedModel(elsewhere, "mine"), {}, {}).on_host().model == NamedModel(here, "mine")
    assert recipe.on_host().precision == "bfloat16"
    assert Recipe(build, {}, {}).on_host().model is build
    assert Recipe("net.py:build", {}, {}).on_host().model == "net.py:build"


def test_the_model_moves_before_its_precision_changes(monkeypatch) -> None:
    model, moved = build(), build()
    monkeypatch.setattr(TorchBackend, "on_device", lambda self, device: moved)
    asked: list[tuple[nn.Module, str]] = []
    monkeypatch.setattr(TorchBackend, "in_precision", lambda self, to: asked.append((self.model, to)) or self.model)
    explainer = Recipe(model, {}, {}, "float16", Device("cpu", 0)).explainer()
    assert explainer.backend.model is moved
    assert asked == [(moved, "float16")]


def test_a_model_that_cannot_be_sent_is_told_with_what_to_pass(tmp_path: Path) -> None:
    write_pictures(tmp_path / "photos", 4)
    model = build()
    model.lock = (n for n in "ab")
    with pytest.raises(
        xaicore.InputError, match=r"devices='cpu:0': model is a torch_workers.Net, .* leave devices out"
    ):
        run(model, tmp_path / "photos", tmp_path / "out", devices="cpu")


class Forward(torch.utils.data.IterableDataset):
    def __iter__(self):
        return iter(torch.rand(4, 3, 12, 12, generator=torch.Generator().manual_seed(0)))


def test_what_is_read_forward_is_for_one_process(tmp_path: Path) -> None:
    with pytest.raises(xaicore.InputError, match=r"devices='cpu:0,cpu:0': source \(Forward\) .* leave devices out"):
        run(build(), Forward(), tmp_path / "out", devices="cpu,cpu", preprocess=None)


def test_workers_that_die_while_they_load_the_model_name_devices(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(processes, "DEATHS", 1)
    write_pictures(tmp_path / "photos", 4)
    with pytest.raises(xaicore.BackendError, match=r"exit code 7 before they had a model: .* pass fewer devices"):
        run(partial(build, deadly=True), tmp_path / "photos", tmp_path / "out", devices="cpu")
