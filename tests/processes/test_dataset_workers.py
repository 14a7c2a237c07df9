"""Several processes make the same parts as one, whatever becomes of them."""

from __future__ import annotations

import multiprocessing
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from picture_sets import Deadly, backend, ends_workers, fragile, preprocess, write_pictures

import xaicore

pytest.importorskip("pyarrow")

from pyarrow import parquet

from xaicore.dataset.engines import processes
from xaicore.source.listing import Listing


@pytest.fixture
def forked(monkeypatch) -> None:
    """Workers are forks of a process that has imported everything; `spawn` is tried by one test alone."""
    if "forkserver" in multiprocessing.get_all_start_methods():
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["picture_sets", "xaicore.dataset.engines.processes", "pyarrow.parquet"])
        monkeypatch.setattr(multiprocessing, "get_context", lambda method: context)


def run(source, out, **options):
    known = {"preprocess": preprocess, "backend": backend(), "layer": "second", "shard_size": 4, "batch_size": 2}
    return xaicore.explain_dataset(object(), source, out, **{**known, **options})


def contents(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((out / "parts").iterdir())}


def rows(out: Path) -> list[dict]:
    return [row for part in sorted((out / "parts").glob("*.parquet")) for row in parquet.read_table(part).to_pylist()]


def test_workers_write_what_one_process_writes(tmp_path: Path) -> None:
    write_pictures(tmp_path / "photos", 18)
    run(tmp_path / "photos", tmp_path / "one")
    seen: list[int] = []
    run(tmp_path / "photos", tmp_path / "two", workers=2, progress=lambda done, total: seen.append(done))
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert seen[-1] == 18
    assert not (tmp_path / "two" / "attempts").exists()


def test_a_worker_that_dies_is_started_again_and_the_picture_is_a_row(tmp_path: Path, forked) -> None:
    paths = write_pictures(tmp_path / "photos", 12)
    run(tmp_path / "photos", tmp_path / "whole")
    cv2.imwrite(str(paths[9]), np.full((6, 6, 3), 255, np.uint8))  # ends the process in the model
    listing = Listing.read(tmp_path / "photos")
    sources = list(listing.sources)
    sources[2] = Deadly(listing.ids[2], "kill")
    run(replace(listing, sources=sources), tmp_path / "out", backend=fragile(tmp_path / "deaths"), workers=1)
    whole, found = rows(tmp_path / "whole"), rows(tmp_path / "out")
    assert [row["position"] for row in found if row["error"]] == [2, 9]
    assert (tmp_path / "deaths").read_text().split() == ["died", "died"]  # with others, and alone
    assert [row for row in found if not row["error"]] == [whole[n] for n in range(12) if n not in (2, 9)]


def test_what_a_worker_raises_is_raised(tmp_path: Path, forked) -> None:
    write_pictures(tmp_path / "photos", 4)
    with pytest.raises(xaicore.TargetError, match="9"):
        run(tmp_path / "photos", tmp_path / "out", targets=9, workers=1)


def test_what_cannot_be_sent_is_refused_with_what_to_pass(tmp_path: Path) -> None:
    write_pictures(tmp_path / "photos", 4)
    with pytest.raises(xaicore.InputError, match=r"workers=2: preprocess is a function, .* of a module"):
        run(tmp_path / "photos", tmp_path / "out", preprocess=lambda picture: preprocess(picture), workers=2)
    known = {"preprocess": preprocess, "backend": backend()}
    with pytest.raises(xaicore.InputError, match=r"workers=2: model is a generator, .* model='net.py:build'"):
        xaicore.explain_dataset((n for n in "ab"), tmp_path / "photos", tmp_path / "out", workers=2, **known)

    class Items:
        def __len__(self):
            return 2

        def __getitem__(self, n):
            return np.zeros((6, 6, 3), np.uint8)

    message = r"workers=2: source is a \S+Items, .*; pass paths, or a data set whose class is of a module, or leave w"
    with pytest.raises(xaicore.InputError, match=message):
        run(Items(), tmp_path / "out", workers=2)
    with pytest.raises(xaicore.InputError, match="workers=0: expected a whole number"):
        run(tmp_path / "photos", tmp_path / "out", workers=0)
    assert not (tmp_path / "out").exists()


def test_workers_that_die_while_they_load_the_model_end_the_run(tmp_path: Path, forked, monkeypatch) -> None:
    monkeypatch.setattr(processes, "DEATHS", 2)
    write_pictures(tmp_path / "photos", 8)
    known = {"preprocess": preprocess, "layer": "second", "shard_size": 4, "backend": backend()}
    xaicore.explain_dataset(ends_workers, tmp_path / "photos", tmp_path / "out", shard="0/2", **known)
    (tmp_path / "out" / "attempts" / "00001.json").write_text('{"in_work": [4, 5]}\n')  # an earlier run was killed
    with pytest.raises(xaicore.BackendError, match="2 workers ended with the exit code 7 before they had a model"):
        xaicore.explain_dataset(ends_workers, tmp_path / "photos", tmp_path / "out", resume=True, workers=1, **known)
