"""A loop of one's own with `Monitor`: every bit of the training is the same."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import lab
import numpy as np
import pytest
import torch
from lab import Net
from recorder import Recorder
from torch import nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.checkpoint import checkpoint
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, Subset
from toynet import ToyBackend

import xaicore
from xaicore import Monitor


@dataclass
class Observer:
    """Does something at each epoch or batch, and then a monitor's step."""

    first: Callable[[int], Any]
    monitor: Monitor | None = None

    def step(self, n: int) -> None:
        self.first(n)
        if self.monitor is not None:
            self.monitor.step(n)

    def close(self) -> None:
        if self.monitor is not None:
            self.monitor.close()


Observe = Callable[[nn.Module, Any], Monitor | Observer]
"""Given the model and the loader."""


def train(
    watch: Observe | None = None,
    make: Callable[[], nn.Module] = Net,
    each: str = "epoch",
    epochs: int = 3,
    accumulate: int = 1,
    autocast: bool = False,
    wrap: Callable[[nn.Module], nn.Module] = lambda net: net,
    load: Callable[[], DataLoader] = lab.shuffled,
) -> dict[str, Any]:
    lab.seed()
    net = make()
    model, loader = wrap(net), load()
    optimizer = torch.optim.AdamW([p for p in net.parameters() if p.requires_grad], 0.01)
    observer = None if watch is None else watch(model, loader)
    losses, flags, count = [], [], 0
    for epoch in range(epochs):
        for x, y in loader:
            count += 1
            flags.append([module.training for module in net.modules()])
            with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
                if observer is not None and each == "forward":
                    observer.step(count)
                loss = F.cross_entropy(model(x), y)
            loss.backward()
            losses.append(loss.item())
            if observer is not None and each == "batch":
                observer.step(count)
            if count % accumulate == 0:
                optimizer.step()
                optimizer.zero_grad()
        if observer is not None and each == "epoch":
            observer.step(epoch)
    if observer is not None:
        observer.close()
    return lab.traces(net, optimizer, loader, losses=losses, flags=flags)


def monitored(**options: Any) -> Observe:
    """Monitors fixed pictures, or as `options` say."""
    return lambda model, loader: Monitor(model, **{**lab.watched(), "loggers": Recorder(), **options})


def test_two_trainings_are_the_same(alone):
    assert lab.different(train(), alone) == []


RUDE = {
    "weights and statistics": lambda net: net.conv1.weight.data.add_(1e-7),
    "training flags": lambda net: net.learning.eval(),
    "flags": lambda net: net.frozen.train(),
    "gradients": lambda net: setattr(net.dense.weight, "grad", torch.ones(3, 8)),
    "torch's random stream": lambda net: torch.rand(1),
    "Python's random stream": lambda net: random.random(),
    "NumPy's random stream": lambda net: np.random.rand(),
    "hooks": lambda net: net.conv1.register_forward_hook(lambda *args: None),
    "losses": lambda net: net(torch.ones(2, 3, 32, 32)),
}


@pytest.mark.parametrize("trace", RUDE)
def test_what_is_compared_shows_a_rude_observer(alone, trace):
    def watch(net, loader):
        return Observer(lambda epoch: RUDE[trace](net))

    assert trace in lab.different(train(watch), alone)


@pytest.mark.parametrize("way", lab.WAYS)
def test_training_does_not_notice(alone, quiet, way):
    options = {}

    def watch(net, loader):
        options.update(lab.of_way(way, loader))
        return Monitor(net, **options)

    assert lab.different(train(watch), alone) == []
    lab.assert_logged(way, options["loggers"], [0, 1, 2])


SETTINGS: dict[str, dict[str, Any]] = {
    "gradients accumulate": {"each": "batch", "accumulate": 3},
    "autocast, and steps inside of it": {"autocast": True, "each": "forward"},
    "workers": {"load": partial(lab.shuffled, num_workers=2)},
}


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("way", ["several methods", "worst of the training data", "per class of the training data"])
def test_nor_in_other_settings(setting, way):
    def watch(model, loader):
        return Monitor(model, every=2, **lab.of_way(way, loader))

    assert lab.different(train(watch, **SETTINGS[setting]), train(**SETTINGS[setting])) == []


class Owner(lab.Pictures):
    """Draws from generators of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.numpy, self.python = np.random.default_rng(0), random.Random(0)
        self.legacy, self.torch = np.random.RandomState(0), torch.Generator()

    def __getitem__(self, n: int) -> Any:
        x, y = super().__getitem__(n)
        tint = self.numpy.random() + self.legacy.rand() + self.python.random() + torch.rand(1, generator=self.torch)
        return x + 0.1 * tint, y


def own_sampler() -> DataLoader:
    data = lab.Pictures()
    order = RandomSampler(data, generator=torch.Generator().manual_seed(5))
    return DataLoader(data, batch_sampler=BatchSampler(order, 8, drop_last=False))


LOADERS: dict[str, Callable[[], DataLoader]] = {
    "a sampler with a generator": own_sampler,
    "a data set with generators": lambda: DataLoader(Owner(), 8, shuffle=True),
    "a part of one": lambda: DataLoader(Subset(Owner(), range(16)), 8, shuffle=True),
    "workers that stay": lambda: lab.shuffled(num_workers=2, persistent_workers=True),
}


@pytest.mark.parametrize("each", ["epoch", "batch"])
@pytest.mark.parametrize("kind", LOADERS)
def test_a_loader_that_trains_can_be_read_at_any_time(kind, each):
    def watch(net, loader):
        options = {"first": 4, "worst": 2, "pool": loader, "every": 1 if each == "epoch" else 2}
        return Monitor(net, loader, **options, loggers=Recorder())

    make = LOADERS[kind]
    assert lab.different(train(watch, each=each, load=make), train(each=each, load=make)) == []


def test_a_logger_that_draws_random_numbers_as_it_opens(alone):
    class Draws(Recorder):
        def open(self, run):
            super().open(run)
            random.random(), np.random.rand(), torch.rand(1)

    assert lab.different(train(monitored(loggers=Draws())), alone) == []


def test_heatmaps_are_those_of_the_model_at_that_time():
    log, nets = Recorder(), {}

    def watch(net, loader):
        return Observer(
            lambda epoch: nets.update({epoch: copy.deepcopy(net)}), Monitor(net, **lab.watched(), loggers=log)
        )

    train(watch)
    lab.assert_explains(log.logged, nets)


def compiled_in_place(net, backend):
    net.conv2.compile(backend=backend)
    net.compile(backend=backend)
    return net


@pytest.mark.parametrize("wrap", [torch.compile, compiled_in_place])
def test_a_compiled_model_is_watched_and_not_compiled_again(wrap):
    def compiled(watch):
        graphs = []

        def backend(graph, inputs):
            graphs.append(graph)
            return graph

        torch._dynamo.reset()
        return {**train(watch, wrap=lambda net: wrap(net, backend=backend)), "graphs": len(graphs)}

    log, fixed = Recorder(), lab.watched()
    watch = monitored(loggers=log, worst=1, pool=(fixed["x"], fixed["truth"]))
    alone = compiled(None)
    assert alone["graphs"] > 0
    assert lab.different(compiled(watch), alone) == []
    assert set(log.steps) == {0, 1, 2}


class Checkpointed(Net):
    """Computes its second block anew for the gradients."""

    def features(self, x: torch.Tensor) -> torch.Tensor:
        block = nn.Sequential(self.conv2, self.frozen, nn.ReLU())
        return checkpoint(block, F.relu(self.learning(self.conv1(x))), use_reentrant=False)


class Normalized(Net):
    """With a power iteration and a weight that is computed from others, which keep buffers of their own."""

    def __init__(self) -> None:
        super().__init__()
        nn.utils.parametrizations.spectral_norm(self.conv2)
        nn.utils.parametrizations.weight_norm(self.dense)


class Noisy(Net):
    """Draws random numbers also in evaluation mode."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) + 0.1 * torch.randn(1) + 0.1 * np.random.randn() + 0.1 * random.random()


@pytest.mark.parametrize("kind", [Checkpointed, Normalized, Noisy])
def test_models_with_a_life_of_their_own(kind):
    log = Recorder()
    assert lab.different(train(monitored(loggers=log), kind), train(None, kind)) == []
    assert set(log.steps) == {0, 1, 2}


def test_the_average_of_the_weights_is_watched_beside_the_training():
    def averaged(log):
        nets = {}

        def watch(net, loader):
            average = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)
            monitor = None if log is None else Monitor(average, **lab.watched(), loggers=log)

            def update(epoch):
                average.update_parameters(net)
                nets[epoch] = copy.deepcopy(average.module)

            return Observer(update, monitor)

        return train(watch), nets

    log = Recorder()
    with_it, nets = averaged(log)
    assert lab.different(with_it, averaged(None)[0]) == []
    lab.assert_explains(log.logged, nets)


def test_a_hook_of_the_users_sees_the_same_training():
    def train_hooked(watch):
        seen = []

        def make():
            net = Net()
            net.register_forward_hook(lambda module, args, answer: seen.append(module.training))
            net.conv2.register_full_backward_hook(lambda module, *gradients: seen.append("backward"))
            return net

        return {**train(watch, make), "seen": [what for what in seen if what]}

    alone = train_hooked(None)
    assert len(alone["seen"]) == 18
    assert lab.different(train_hooked(monitored()), alone) == []


def test_a_training_that_breaks_off_closes_its_loggers():
    log = Recorder()
    with pytest.raises(KeyboardInterrupt):
        with Monitor(Net(), **lab.watched(), loggers=log) as monitor:
            monitor.step(0)
            raise KeyboardInterrupt
    assert log.events == ["open", "log 0", "flush", "close"]


def test_a_single_picture_is_watched_as_it_is_explained():
    net, picture = Net(), lab.watched()["x"][0]
    for x in (picture, torch.from_numpy(picture)):
        labels = {"truth": 1, "ids": "one.jpg"}
        wanted = xaicore.explain(net, x, "truth", **labels)
        with Monitor(net, x, targets="truth", loggers=Recorder(), **labels) as monitor:
            (found,) = monitor.step(0)
        for name in ("maps", "scores", "targets", "truth", "images"):
            np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name), name)
        assert (found.ids, found.targets.tolist(), found.images.shape) == (("one.jpg",), [1], (1, 32, 32, 3))


def test_a_single_picture_of_a_model_without_weights():
    net = nn.Sequential(nn.LazyConv2d(4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LazyLinear(3))
    with Monitor(net, lab.watched()["x"][0], loggers=Recorder()) as monitor:
        assert len(monitor.sample) == 1
        net(torch.ones(1, 3, 32, 32))
        assert monitor.step(0)[0].maps.shape == (1, 30, 30)


CLASSES = torch.tensor([2, 0, 1, 1, 0])


@pytest.mark.parametrize(
    "labels",
    [
        CLASSES,
        list(CLASSES),
        CLASSES[:, None].half(),
        CLASSES.float().requires_grad_(),
        CLASSES.to(torch.bfloat16),
        F.one_hot(CLASSES, 3),
        F.one_hot(CLASSES, 3).to_sparse(),
        F.one_hot(CLASSES, 3).bool(),
    ],
    ids=lambda labels: f"{type(labels).__name__} {getattr(labels, 'dtype', '')} {getattr(labels, 'layout', '')}",
)
def test_labels_as_torch_has_them(labels):
    """Whatever backend explains the model: the toy one knows NumPy only."""
    x = lab.watched()["x"]
    for explanation in (
        xaicore.explain(None, x, "truth", truth=labels, backend=ToyBackend()),
        Monitor(Net(), x, truth=labels, targets="truth", loggers=[]).step(0)[0],
        Monitor(Net(), [(torch.from_numpy(x), labels)], first=5, targets="truth", loggers=[]).step(0)[0],
    ):
        assert explanation.truth.tolist() == explanation.targets.tolist() == [2, 0, 1, 1, 0]


def test_labels_without_values():
    with pytest.raises(xaicore.InputError, match=r"truth: a torch.Tensor does not become an array: .* meta tensor"):
        xaicore.explain(None, lab.watched()["x"], truth=CLASSES.to("meta"), backend=ToyBackend())


class Mirrored(Net):
    """Looks at its pictures in a mirror."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.flip(-1))


def test_what_a_message_advises_works_in_a_monitor_too():
    x = lab.watched()["x"]
    with pytest.raises(xaicore.LayerError, match="input_axes='nchw' lays the map over the input"):
        Monitor(Mirrored(), x, loggers=[])
    model = Mirrored()
    found = Monitor(model, x, loggers=[], input_axes="nchw").step(0)[0]
    np.testing.assert_array_equal(found.maps, xaicore.explain(model, x, input_axes="nchw").maps)


def test_values_are_watched_as_values():
    x, model = lab.watched()["x"], Net()
    found = Monitor(model, x, loggers=[], kind="values", targets=1).step(0)[0]
    assert found.outputs_kind == "values"
    np.testing.assert_array_equal(found.maps, xaicore.explain(model, x, 1, kind="values").maps)
    with pytest.raises(xaicore.InputError, match="there are no worst predictions"):
        Monitor(model, x, loggers=[], kind="values", targets=1, worst=1, pool=(x, [0] * len(x)))


@pytest.mark.parametrize("logger", ["disk", "tensorboard", "mlflow", "wandb"])
def test_nor_does_it_notice_a_real_tracker(alone, logger, tmp_path, monkeypatch):
    if logger != "disk":
        pytest.importorskip(logger)
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "WANDB_MODE": "offline",
        "WANDB_SILENT": "true",
        "WANDB_DATA_DIR": str(tmp_path),
        "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db",
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_RUN_ID"):
        monkeypatch.delenv(name, raising=False)

    def watch(net, loader):
        return Monitor(net, **lab.watched(2), loggers=logger, on_error="raise")

    assert lab.different(train(watch), alone) == []
    assert any(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
