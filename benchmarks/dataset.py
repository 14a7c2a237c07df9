"""`python -m benchmarks.dataset speed|memory|ray`: explaining a data set.

speed: pictures a second, from JPEG files to Parquet files, beside a bare loop of loader and forward pass. memory: that
of the process while small pictures go through. ray: a cluster of two nodes on this machine, one of which is killed in
the middle; the rows are compared with those of a run in this process.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
import torch
from rich.console import Console
from torch import nn
from torch.utils.data import DataLoader, Dataset

import xaicore
from benchmarks.measure import seconds, used_memory
from benchmarks.nets import resnet50

SIZES = {"speed": (192, 224), "memory": (100_000, 32), "ray": (20_000, 32)}
"""{what is measured: (pictures, their side)}"""

FILES = 5_000
"""The most files; more pictures are the same files under other ids."""


def main() -> None:
    """Measure, and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("what", choices=SIZES)
    options.add_argument("--pictures", type=int, help="how many (default: 192, 100000, 20000)")
    options.add_argument("--rounds", type=int, default=5, help="of speed (default: 5)")
    options.add_argument("--threads", type=int, default=1, help="of torch (default: 1)")
    chosen = options.parse_args()
    torch.set_num_threads(chosen.threads)
    count, side = SIZES[chosen.what]
    count = chosen.pictures or count
    with _pictures(min(count, FILES), side) as (folder, files):
        sources = [files[n % len(files)] for n in range(count)]
        if chosen.what == "speed":
            _speed(Console(), folder, sources, chosen.rounds)
        elif chosen.what == "memory":
            _memory(Console(), folder, sources)
        else:
            _ray(Console(), folder, sources)


def small() -> nn.Module:
    """A net that costs little, so that all else is seen."""
    torch.manual_seed(0)
    layers = (
        nn.Conv2d(3, 8, 3, 2),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, 2),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )
    return nn.Sequential(*layers, nn.Linear(16, 10)).eval()


def prepare(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A picture in its own size, scaled to -1 to 1."""
    return (picture.astype(np.float32) / 127.5 - 1).transpose(2, 0, 1), picture


class Files(Dataset):
    """What the bare loop reads: the same files, prepared in the same way."""

    def __init__(self, files: list[str]) -> None:
        self.files = files

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, n: int) -> np.ndarray:
        return prepare(cv2.imread(self.files[n])[..., ::-1])[0]


def _speed(console: Console, folder: Path, files: list[str], rounds: int) -> None:
    model = resnet50().eval()
    console.print("throughput of ResNet-50, relative to a bare loop of loader and forward pass; batches of 32")
    for readers in (1, 2):
        loader = DataLoader(Files(files), batch_size=32, num_workers=readers)

        def bare(loader: DataLoader = loader) -> None:
            with torch.inference_mode():
                for x in loader:
                    model(x)

        def ours(readers: int = readers) -> None:
            _explain(model, files, folder / "out", readers=readers)

        bare(), ours()
        console.print(f"{readers} readers: {_throughput(ours, bare, rounds):.2f}")


def _throughput(ours: Callable[[], None], bare: Callable[[], None], rounds: int) -> float:
    times = [(seconds(bare), seconds(ours), seconds(bare)) for _ in range(rounds)]
    return median((before + after) / (2 * own) for before, own, after in times)


def _memory(console: Console, folder: Path, files: list[str]) -> None:
    start, seen, step = time.perf_counter(), [], max(1, len(files) // 8)

    def progress(done: int, total: int) -> None:
        if done // step > len(seen):
            seen.append((done, used_memory()))

    _explain(small(), files, folder / "out", ids=[f"{n}" for n in range(len(files))], progress=progress)
    console.print(f"{len(files)} pictures of 32 x 32 in {time.perf_counter() - start:.1f} s; MiB of the process:")
    console.print(", ".join(f"{done}: {memory:.0f}" for done, memory in seen))


def _ray(console: Console, folder: Path, files: list[str]) -> None:
    import ray
    from ray.cluster_utils import Cluster

    ids = [f"{n}" for n in range(len(files))]
    here = seconds(lambda: _explain(small, files, folder / "here", ids=ids))
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    node = cluster.add_node(num_cpus=1)
    ray.init(cluster.address, log_to_driver=False, logging_level="error")
    killed: list[int] = []

    def kill() -> None:
        while len(list((folder / "there").glob("parts/*.parquet"))) < len(files) // 512 // 3:
            time.sleep(0.05)
        cluster.remove_node(node, allow_graceful=False)
        killed.append(len(list((folder / "there").glob("parts/*.parquet"))))

    threading.Thread(target=kill, daemon=True).start()
    there = seconds(lambda: _explain(small, files, folder / "there", ids=ids, engine="ray", workers=2))
    parts = [
        {path.name: path.read_bytes() for path in (folder / name / "parts").iterdir()} for name in ("here", "there")
    ]
    console.print(
        f"{len(files)} pictures: {here:.1f} s in this process, {there:.1f} s on two nodes of one processor each"
    )
    console.print(f"one node killed after {killed} of {len(parts[0])} parts; the same bytes: {parts[0] == parts[1]}")
    ray.shutdown()
    cluster.shutdown()


def _explain(model: Any, files: list[str], out: Path, **options: Any) -> None:
    shutil.rmtree(out, ignore_errors=True)
    options = {"progress": False, "ids": [f"{n}" for n in range(len(files))], **options}
    xaicore.explain_dataset(model, files, out, preprocess=prepare, **options)


@contextmanager
def _pictures(count: int, side: int) -> Iterator[tuple[Path, list[str]]]:
    """A folder for results, and JPEG files of blurred noise."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        files = [f"{name}/{n:05}.jpg" for n in range(count)]
        for file in files:
            noise = rng.integers(0, 255, (side // 8, side // 8, 3), dtype=np.uint8)
            cv2.imwrite(file, cv2.resize(noise, (side, side), interpolation=cv2.INTER_CUBIC))
        yield Path(name), files


if __name__ == "__main__":
    main()
