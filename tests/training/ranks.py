"""What each process of a distributed training runs, alone and then watched; a module, so that they can import it."""

from __future__ import annotations

import contextlib
import importlib
import os
import pickle
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import lab
import torch
from recorder import Recorder
from torch import distributed
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler

from xaicore import Monitor


def run(rank: int, ranks: int, folder: str, port: int, trainings: list[str]) -> None:
    """Join the others, train alone and watched, and leave what came of it in a file a training."""
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": ranks, "LOCAL_WORLD_SIZE": ranks, "GROUP_RANK": 0}
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "test"}
    os.environ.update({name: str(value) for name, value in {**place, **meeting}.items()})
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", timeout=timedelta(seconds=60))
    for name in trainings:
        train, log = globals()[name], Recorder()
        if name != "loop":
            importlib.import_module(f"xaicore_torch.{name}")  # to import Lightning draws random numbers
        lab.seed()
        alone = train(None)
        lab.seed()
        watched = train({**lab.watched(), "method": ["gradcam", "hirescam"], "loggers": log})
        learnt = {key: value for key, value in watched["weights and statistics"].items() if key.endswith("weight")}
        found = {"different": lab.different(alone, watched), "learnt": learnt, "events": log.events}
        Path(folder, f"{name}-{rank}").write_bytes(pickle.dumps(found))
    distributed.destroy_process_group()


def shared() -> DataLoader:
    data = lab.Pictures()
    return DataLoader(data, 4, sampler=DistributedSampler(data, seed=3))


def loop(options: dict[str, Any] | None) -> dict[str, Any]:
    """Batches in pairs: between the two, gradients that no other rank has seen yet."""
    model, loader = DistributedDataParallel(lab.Net()), shared()
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], 0.1, momentum=0.9)
    main = options is not None and distributed.get_rank() == 0
    pool = (lab.watched()["x"], lab.watched()["truth"])
    monitor = Monitor(model, **options, worst=1, pool=pool) if main else None
    count = 0
    for epoch in range(3):
        loader.sampler.set_epoch(epoch)
        for x, y in loader:
            count += 1
            with model.no_sync() if count % 2 else contextlib.nullcontext():
                F.cross_entropy(model(x), y).backward()
            if monitor is not None:
                monitor.step(count)
            if count % 2 == 0:
                optimizer.step()
                optimizer.zero_grad()
    if monitor is not None:
        monitor.close()
    return lab.traces(model.module, optimizer)


def ignite(options: dict[str, Any] | None) -> dict[str, Any]:
    from ignite.engine import Engine

    from xaicore_torch.ignite import HeatmapCallback

    model, loader = DistributedDataParallel(lab.Net()), shared()
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], 0.1, momentum=0.9)

    def update(engine: Engine, batch: Any) -> None:
        optimizer.zero_grad()
        F.cross_entropy(model(batch[0]), batch[1]).backward()
        optimizer.step()

    engine = Engine(update)
    if options is not None:
        HeatmapCallback(**options).attach(engine, model)
    engine.run(loader, max_epochs=3)
    return lab.traces(model.module, optimizer)


def lightning(options: dict[str, Any] | None) -> dict[str, Any]:
    from test_lightning import Lit, trainer, validation

    from xaicore_torch.lightning import HeatmapCallback

    module = Lit()
    running = trainer(*([HeatmapCallback(**options)] if options else []), strategy="ddp", devices=2)
    running.fit(module, DataLoader(lab.Pictures(), 4, shuffle=True), validation())
    return lab.traces(module, running.optimizers[0], losses=module.losses)


def transformers(options: dict[str, Any] | None) -> dict[str, Any]:
    from test_transformers import train

    from xaicore_torch.transformers import HeatmapCallback

    callbacks = [HeatmapCallback(**options, layer="resnet.encoder")] if options else []
    with tempfile.TemporaryDirectory() as folder:
        return train(Path(folder), *callbacks, ddp_backend="gloo", eval_strategy="epoch")
