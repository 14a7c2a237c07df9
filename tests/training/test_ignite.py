"""Ignite's engine trains the same with and without `HeatmapCallback`, and each epoch's heatmaps arrive."""

from __future__ import annotations

import copy
import importlib
import sys
from collections.abc import Callable
from typing import Any

import lab
import pytest
import torch
from recorder import Recorder
from torch import nn
from torch.nn import functional as F

import xaicore

ignite = pytest.importorskip("ignite.engine")
from ignite import distributed as idist  # noqa: E402 (needs Ignite)
from ignite.engine import Engine, Events  # noqa: E402 (needs Ignite)

from xaicore_torch.ignite import HeatmapCallback  # noqa: E402


def train(attach: Callable[[Engine, nn.Module, Any], None] = lambda *_: None, epochs: int = 3) -> dict[str, Any]:
    """`attach` gets the engine, the net and the loader."""
    lab.seed()
    net, loader = lab.Net(), lab.shuffled()
    optimizer = torch.optim.AdamW([p for p in net.parameters() if p.requires_grad], 0.01)
    losses, flags = [], []

    def update(engine, batch):
        flags.append([module.training for module in net.modules()])
        optimizer.zero_grad()
        loss = F.cross_entropy(net(batch[0]), batch[1])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())

    engine = Engine(update)
    attach(engine, net, loader)
    engine.run(loader, max_epochs=epochs)
    return lab.traces(net, optimizer, loader, losses=losses, flags=flags)


def with_callback(**options: Any) -> Callable[..., None]:
    return lambda engine, net, loader: HeatmapCallback(**{**lab.watched(), **options}).attach(engine, net)


def test_two_trainings_are_the_same(alone):
    assert lab.different(train(), alone) == []


@pytest.mark.parametrize("unit", ["epoch", "step"])
@pytest.mark.parametrize("way", lab.WAYS)
def test_training_does_not_notice(alone, quiet, way, unit):
    found = []

    def attach(engine, net, loader):
        found[:] = lab.callback(HeatmapCallback, way, loader, unit=unit)
        found[0].attach(engine, net)

    assert lab.different(train(attach), alone) == []
    callback, log = found
    lab.assert_logged(way, log, [1, 2, 3] if unit == "epoch" else list(range(1, 10)))
    assert callback.monitor is None


def test_heatmaps_are_those_of_the_model_at_that_time():
    log, nets = Recorder(), {}

    def attach(engine, net, loader):
        HeatmapCallback(**lab.watched(), loggers=log).attach(engine, net)
        keep = lambda engine: nets.update({engine.state.epoch: copy.deepcopy(net)})  # noqa: E731
        engine.add_event_handler(Events.EPOCH_COMPLETED, keep)

    train(attach)
    assert list(nets) == [1, 2, 3]
    lab.assert_explains(log.logged, nets)


@pytest.mark.parametrize("skip_completed", [False, True])
def test_a_training_that_is_ended_early(skip_completed):
    log = Recorder()

    def attach(engine, net, loader):
        with_callback(loggers=log)(engine, net, loader)
        stop = lambda engine: engine.terminate(skip_completed)  # noqa: E731
        engine.add_event_handler(Events.ITERATION_COMPLETED(once=5), stop)

    train(attach)
    assert log.events == ["open", "log 1", "flush", "close"]


def failing(error: BaseException, handle: Callable | None, *logs: Recorder) -> None:
    """A training whose second epoch breaks off; `handle` is a handler of the user's."""

    def attach(engine, net, loader):
        def fail():
            raise error

        for log in logs:
            with_callback(loggers=log)(engine, net, loader)
        if handle is not None:
            engine.add_event_handler(Events.EXCEPTION_RAISED, handle)
        engine.add_event_handler(Events.ITERATION_STARTED(once=5), fail)

    train(attach)


@pytest.mark.parametrize("error", [ArithmeticError("on purpose"), KeyboardInterrupt()])
def test_loggers_are_closed_when_training_breaks_off(error):
    logs = [Recorder(), Recorder()]
    with pytest.raises(type(error)):
        failing(error, None, *logs)
    assert [log.events for log in logs] == [["open", "log 1", "flush", "close"]] * 2


def test_a_handler_of_the_users_decides_whether_the_training_goes_on():
    """Ignite raises only what nobody handles: watching must not change that."""
    seen, log = [], Recorder()
    failing(ArithmeticError("on purpose"), seen.append, log)
    assert [str(error) for error in seen] == ["on purpose"]
    assert log.steps == [1, 2, 3]
    assert log.events[-1] == "close"


def test_a_resumed_training_goes_on_counting():
    log = Recorder()

    def attach(engine, net, loader):
        with_callback(loggers=log)(engine, net, loader)
        engine.load_state_dict({"epoch": 2, "max_epochs": 4, "epoch_length": len(loader)})

    train(attach, epochs=4)
    assert log.steps == [3, 4]


def test_what_is_wrong_is_said_when_the_callback_is_made():
    with pytest.raises(TypeError, match="unexpected keyword argument 'metod'"):
        HeatmapCallback(**lab.watched(), metod="gradcam")
    with pytest.raises(xaicore.InputError, match="unit='batch': expected 'epoch' or 'step'"):
        HeatmapCallback(**lab.watched(), unit="batch")


def test_what_is_wrong_is_said_before_the_first_epoch():
    with pytest.raises(xaicore.InputError, match=r"truth of shape \(1,\) for 5 images"):
        train(with_callback(truth=[0], loggers=Recorder()))


def test_without_ignite(monkeypatch):
    monkeypatch.setitem(sys.modules, "ignite", None)
    monkeypatch.delitem(sys.modules, "xaicore_torch.ignite")
    with pytest.raises(xaicore.DependencyError, match=r'Ignite does not load .*pip install "xaicore\[ignite\]"'):
        importlib.import_module("xaicore_torch.ignite")


@pytest.mark.filterwarnings("ignore:Local rank information")
def test_a_model_in_pieces_is_refused():
    """One process that asks for them alone would wait for ever."""
    from torch import distributed
    from torch.distributed.fsdp import fully_shard

    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    try:
        mesh = distributed.device_mesh.init_device_mesh("cpu", (1,))

        def attach(engine, net, loader):
            HeatmapCallback(**lab.watched(), loggers=Recorder()).attach(engine, fully_shard(net, mesh=mesh))

        with pytest.raises(xaicore.BackendError, match="the weights of FSDPNet are sharded over several processes"):
            train(attach)
    finally:
        idist.finalize()  # Ignite remembers the group
