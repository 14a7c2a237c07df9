"""Two processes train one model: the first one alone makes heatmaps, none waits for ever, nothing changes."""

from __future__ import annotations

import importlib.util
import pickle
import socket
import time
from pathlib import Path

import pytest
import ranks
import torch.multiprocessing

PATIENCE = 240.0

LOGGED = {
    "loop": ([f"log {n}"] * 4 for n in range(1, 10)),  # two methods, of the fixed pictures and of the worst
    "ignite": ([f"log {n}"] * 2 for n in (1, 2, 3)),
    "transformers": ([f"log {n}"] * 2 for n in (1, 2, 3)),
    "lightning": ([f"log {n}"] * 2 for n in (0, 1, 2)),
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """A folder with what the processes have left, all trainings in the same two: each import takes seconds."""
    folder = tmp_path_factory.mktemp("ranks")
    asked = {item.callspec.params["training"] for item in request.session.items if item.path == request.path}
    trainings = [name for name in LOGGED if name in asked and (name == "loop" or importlib.util.find_spec(name))]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    given = (2, str(folder), port, trainings)
    processes = torch.multiprocessing.start_processes(ranks.run, given, 2, join=False, start_method="spawn")
    ends = time.monotonic() + PATIENCE
    try:
        while not processes.join(timeout=1):
            assert time.monotonic() < ends, "a process waits for the other"
    finally:
        for process in processes.processes:
            process.kill()
    return folder


@pytest.mark.parametrize(
    "training",
    ["loop", "lightning", *(pytest.param(name, marks=pytest.mark.thorough) for name in ("ignite", "transformers"))],
)
def test_only_the_main_process_logs_and_training_does_not_notice(trained, training):
    if training != "loop":
        pytest.importorskip(training)
    first, second = (pickle.loads((trained / f"{training}-{rank}").read_bytes()) for rank in range(2))
    assert first["different"] == second["different"] == []
    assert first["learnt"] == second["learnt"]
    assert second["events"] == []
    assert first["events"] == ["open", *(event for logs in LOGGED[training] for event in [*logs, "flush"]), "close"]
