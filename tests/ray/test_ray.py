"""Data sets on a Ray cluster: the same bytes as in this process, whatever dies."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from picture_sets import SIDE, DatasetBackend, backend, preprocess, write_pictures
from toynet import ToyNet

import xaicore
from xaicore.dataset.schema import COLUMNS

ray = pytest.importorskip("ray")
parquet = pytest.importorskip("pyarrow.parquet")
Cluster = pytest.importorskip("ray.cluster_utils").Cluster

DEADLY = 253
"""A first value of a picture that ends the process that prepares it."""


class Slow(DatasetBackend):
    """As slow as a model, so that a node can be killed in the middle."""

    def capture(self, inputs, layers, direction=None):
        time.sleep(0.05)
        return super().capture(inputs, layers, direction)


def slow() -> Slow:
    return Slow(ToyNet(seed=0))


def deadly(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if picture[0, 0, 0] == DEADLY:
        os.kill(os.getpid(), signal.SIGKILL)
    return preprocess(picture)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head and one more node, with two processors each."""
    started = Cluster(initialize_head=True, head_node_args={"num_cpus": 2})
    started.add_node(num_cpus=2)
    path = os.pathsep.join(sys.path)
    ray.init(
        started.address, log_to_driver=False, logging_level="error", runtime_env={"env_vars": {"PYTHONPATH": path}}
    )
    yield started
    ray.shutdown()
    started.shutdown()


def run(source: Any, out: Path, **options: Any) -> None:
    known: dict[str, Any] = {"preprocess": preprocess, "backend": backend(), "layer": "second"}
    sizes = {"shard_size": 4, "batch_size": 2, "progress": False}
    xaicore.explain_dataset(object(), source, out, **{**known, **sizes, **options})


def parts(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((out / "parts").iterdir())}


def tables(out: Path) -> list[Any]:
    return [parquet.read_table(path) for path in sorted((out / "parts").iterdir())]


# The first test: the others are connected to a cluster.
def test_a_cluster_that_does_not_answer_is_said(tmp_path: Path) -> None:
    write_pictures(tmp_path / "photos", 4)
    with pytest.raises(xaicore.InputError, match=r"address='127.0.0.1:1': no Ray cluster answers there"):
        run(tmp_path / "photos", tmp_path / "out", engine="ray", address="127.0.0.1:1")


def test_the_parts_are_those_of_a_local_run(cluster: Any, tmp_path: Path) -> None:
    write_pictures(tmp_path / "photos", 30)
    run(tmp_path / "photos", tmp_path / "here")
    seen: list[tuple[int, int]] = []
    run(tmp_path / "photos", tmp_path / "there", engine="ray", workers=2, progress=lambda *at: seen.append(at))
    assert parts(tmp_path / "there") == parts(tmp_path / "here")
    for here, there in zip(tables(tmp_path / "here"), tables(tmp_path / "there"), strict=True):
        assert here.equals(there, check_metadata=True)
    assert seen[-1] == (30, 30)
    assert len(seen) == 9  # none at first, then shard by shard
    assert not (tmp_path / "there" / "attempts").exists()


def test_a_run_goes_on_with_another_engine(cluster: Any, tmp_path: Path) -> None:
    write_pictures(tmp_path / "photos", 20)
    run(tmp_path / "photos", tmp_path / "whole")
    run(tmp_path / "photos", tmp_path / "out", shard="1/2")
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "parts").iterdir()}
    assert len(kept) == 2
    run(tmp_path / "photos", tmp_path / "out", engine="ray", workers=2, resume=True)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert parts(tmp_path / "out") == parts(tmp_path / "whole")


def test_a_picture_that_ends_its_process_is_a_row(cluster: Any, tmp_path: Path) -> None:
    paths = write_pictures(tmp_path / "photos", 20)
    run(tmp_path / "photos", tmp_path / "whole")
    bad = paths[9]
    picture = cv2.imread(str(bad))
    picture[..., 2] = DEADLY
    cv2.imwrite(str(bad), picture)
    run(tmp_path / "photos", tmp_path / "out", engine="ray", workers=2, preprocess=deadly)
    rows = [row for table in tables(tmp_path / "out") for row in table.to_pylist()]
    assert [row["id"] for row in rows] == [path.as_posix() for path in paths]
    wrong = [row for row in rows if row["error"] is not None]
    assert [row["id"] for row in wrong] == [bad.as_posix()]
    assert "this picture ends the process" in wrong[0]["error"]
    others = {name: part for name, part in parts(tmp_path / "out").items() if name != "part-00002.parquet"}
    assert others == {name: part for name, part in parts(tmp_path / "whole").items() if name in others}


def test_what_is_refused_is_raised_here(cluster: Any, tmp_path: Path) -> None:
    paths = write_pictures(tmp_path / "photos", 80)
    for path in paths:
        cv2.imwrite(str(path), np.full((SIDE, SIDE, 3), 255, np.uint8))
    with pytest.raises(xaicore.XaicoreError, match="too bright"):
        run(tmp_path / "photos", tmp_path / "out", engine="ray", workers=2)


def test_what_cannot_be_sent_is_said(cluster: Any, tmp_path: Path) -> None:
    write_pictures(tmp_path / "photos", 4)
    lock = threading.Lock()

    def local(picture: np.ndarray) -> Any:
        with lock:
            return preprocess(picture)

    with pytest.raises(xaicore.InputError, match=r"already; leave address out"):
        run(tmp_path / "photos", tmp_path / "other", engine="ray", address="127.0.0.1:1")
    with pytest.raises(xaicore.InputError, match=r"cannot be sent to another process, .*lock.*; pass a name"):
        run(tmp_path / "photos", tmp_path / "out", engine="ray", preprocess=local)


def test_an_actor_has_its_model_on_its_gpu(cluster: Any, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    import torch_workers

    write_pictures(tmp_path / "photos", 8)
    known = {"layer": "maps.3", "preprocess": preprocess, "backend": "torch", "shard_size": 4}
    whole = xaicore.explain_dataset(torch_workers.build, tmp_path / "photos", tmp_path / "whole", **known)
    node = cluster.add_node(num_cpus=1, num_gpus=2)  # it has none, and Ray believes it
    try:
        for name, build in (
            ("seen", partial(torch_workers.build_on_ray, str(tmp_path / "moves"))),
            ("unseen", torch_workers.build),
        ):
            found = xaicore.explain_dataset(build, tmp_path / "photos", tmp_path / name, engine="ray", **known)
            assert found.to_arrow(tuple(COLUMNS)).equals(whole.to_arrow(tuple(COLUMNS)))
    finally:
        cluster.remove_node(node)
    moves = {tuple(line.split()[1:]) for line in (tmp_path / "moves").read_text().splitlines()}
    assert moves <= {("cuda:0", "0"), ("cuda:0", "1")}


# The last test: the cluster is one node smaller after it.
def test_a_node_is_killed_in_the_middle(cluster: Any, tmp_path: Path) -> None:
    write_pictures(tmp_path / "photos", 120)
    run(tmp_path / "photos", tmp_path / "whole", backend=slow())
    node = next(node for node in cluster.list_all_nodes() if node is not cluster.head_node)
    killed: list[int] = []

    def kill() -> None:
        while len(list((tmp_path / "out").glob("parts/*.parquet"))) < 8:
            time.sleep(0.02)
        cluster.remove_node(node, allow_graceful=False)
        killed.append(len(list((tmp_path / "out").glob("parts/*.parquet"))))

    killer = threading.Thread(target=kill)
    killer.start()
    run(tmp_path / "photos", tmp_path / "out", backend=slow(), engine="ray", workers=4)
    killer.join()
    assert killed[0] < 30
    assert parts(tmp_path / "out") == parts(tmp_path / "whole")
