"""Lightning's Trainer trains the same with and without `HeatmapCallback`, and each epoch's heatmaps arrive."""

from __future__ import annotations

import copy
import importlib
import json
import pickle
import signal
import sys
from typing import Any

import lab
import numpy as np
import pytest
import torch
from recorder import Recorder
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

import xaicore

lightning = pytest.importorskip("lightning.pytorch")
from xaicore_torch.lightning import HeatmapCallback  # noqa: E402 (needs Lightning)

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers",
    "ignore:.*number of training batches",
    "ignore:.*in eval mode at the start of training",
    "ignore:.*but have no `val_dataloader`",
    "ignore:.*LeafSpec.*is deprecated",
)


def module_of(library: Any) -> Any:
    """A LightningModule under either name of the library."""

    class Lit(library.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = lab.Net()
            self.losses: list[float] = []
            self.flags: list[list[bool]] = []

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.net(x)

        def training_step(self, batch: Any, n: int) -> torch.Tensor:
            loss = F.cross_entropy(self.net(batch[0]), batch[1])
            self.losses.append(loss.item())
            self.flags.append([module.training for module in self.modules()])
            return loss

        def validation_step(self, batch: Any, n: int) -> None:
            F.cross_entropy(self.net(batch[0]), batch[1])

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.AdamW([p for p in self.parameters() if p.requires_grad], 0.01)

    return Lit


Lit = module_of(lightning)


class Keep(lightning.Callback):
    """Copies of the model as each epoch ends."""

    def __init__(self) -> None:
        self.nets: dict[int, nn.Module] = {}

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        self.nets[trainer.current_epoch] = copy.deepcopy(pl_module.net)


class Fails(lightning.Callback):
    """Raises in the second epoch."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        if trainer.current_epoch == 1:
            raise self.error


def trainer(*callbacks: Any, **options: Any) -> Any:
    quiet = {"enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    return lightning.Trainer(
        **{"accelerator": "cpu", "devices": 1, "logger": False, "max_epochs": 3, **quiet, **options},
        callbacks=list(callbacks),
    )


def validation() -> DataLoader:
    return DataLoader(lab.Pictures(8), 8)


def train(*callbacks: Any, make: Any = None, **options: Any) -> dict[str, Any]:
    lab.seed()
    module, loader = Lit(), lab.shuffled()
    if make is not None:
        callbacks = (*callbacks, make(loader))
    running = trainer(*callbacks, **options)
    running.fit(module, loader, validation())
    return lab.traces(module, running.optimizers[0], loader, losses=module.losses, flags=module.flags)


def test_two_trainings_are_the_same(alone):
    assert lab.different(train(), alone) == []


@pytest.mark.parametrize("unit", ["epoch", "step"])
@pytest.mark.parametrize("way", lab.WAYS)
def test_training_does_not_notice(alone, quiet, way, unit):
    found = []

    def make(loader):
        found[:] = lab.callback(HeatmapCallback, way, loader, unit=unit, every=1)
        return found[0]

    assert lab.different(train(make=make), alone) == []
    callback, log = found
    lab.assert_logged(way, log, [0, 1, 2] if unit == "epoch" else list(range(1, 10)))
    assert callback.monitor is None


@pytest.mark.parametrize("options", [{"accumulate_grad_batches": 2}, {"precision": "bf16-mixed"}], ids=str)
def test_nor_in_other_settings(options):
    log = Recorder()
    callback = HeatmapCallback(**lab.watched(), loggers=log, unit="step", method=["gradcam", "eigencam"])
    assert lab.different(train(callback, **options), train(**options)) == []
    # Steps are the optimizer's; 0 is seen while the first gradients accumulate.
    assert sorted(set(log.steps)) == (list(range(7)) if "precision" not in options else list(range(1, 10)))


def test_heatmaps_are_those_of_the_model_at_that_time():
    log, keep = Recorder(), Keep()
    train(keep, HeatmapCallback(**lab.watched(), loggers=log))
    assert list(keep.nets) == [0, 1, 2]
    lab.assert_explains(log.logged, keep.nets)


def test_every_and_two_callbacks():
    logs = [Recorder(), Recorder()]
    train(*(HeatmapCallback(**lab.watched(), loggers=log, every=n) for n, log in enumerate(logs, 1)))
    assert [log.steps for log in logs] == [[0, 1, 2], [0, 2]]


def test_the_sanity_check_and_validation_while_training_are_no_rounds():
    log = Recorder()

    class Sane(lightning.Callback):
        seen: tuple[str, ...] = ()

        def on_sanity_check_end(self, trainer: Any, pl_module: Any) -> None:
            self.seen = tuple(log.events)

    sane = Sane()
    train(HeatmapCallback(**lab.watched(), loggers=log), sane, num_sanity_val_steps=2)
    assert sane.seen == ("open",)
    assert log.steps == [0, 1, 2]


def test_validation_alone_is_one_round():
    class InInference(lightning.Callback):
        def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
            assert torch.is_inference_mode_enabled()

    def validate(*callbacks):
        lab.seed()
        module = Lit()
        module.net.learning.eval()
        trainer(InInference(), *callbacks).validate(module, validation(), verbose=False)
        return module, lab.traces(module, None)

    log = Recorder()
    module, traces = validate(HeatmapCallback(**lab.watched(), loggers=log))
    assert lab.different(traces, validate()[1]) == []
    lab.assert_explains(log.logged, {0: module.net})
    assert log.events == ["open", "log 0", "flush", "close"]


def test_validation_after_training_has_the_next_number():
    log, module = Recorder(), Lit()
    running = trainer(HeatmapCallback(**lab.watched(), loggers=log), max_epochs=2)
    running.fit(module, lab.shuffled())
    running.validate(module, validation(), verbose=False)
    assert log.steps == [0, 1, 2]


@pytest.mark.parametrize(
    ("error", "raised"), [(ArithmeticError("on purpose"), ArithmeticError), (KeyboardInterrupt(), SystemExit)]
)
def test_loggers_are_closed_when_training_breaks_off(error, raised):
    log = Recorder()
    callback = HeatmapCallback(**lab.watched(), loggers=log)
    handler = signal.getsignal(signal.SIGINT)
    try:
        with pytest.raises(raised):
            train(callback, Fails(error))
    finally:
        signal.signal(signal.SIGINT, handler)  # Lightning ignores a second Ctrl-C for the rest of the process
    assert log.steps == [0, 1]
    assert log.events[-1] == "close"
    assert callback.monitor is None


def test_a_resumed_training_goes_on_in_the_same_folder(tmp_path):
    def fit(epochs, **options):
        callback = HeatmapCallback(**lab.watched(2), loggers={"disk": {"root": tmp_path / "run"}})
        running = trainer(callback, max_epochs=epochs)
        running.fit(Lit(), lab.shuffled(), **options)
        return running

    fit(2).save_checkpoint(tmp_path / "half.ckpt")
    fit(4, ckpt_path=tmp_path / "half.ckpt")
    rows = [json.loads(line) for line in (tmp_path / "run" / "manifest.jsonl").read_text().splitlines()]
    assert [(row["step"], row["id"]) for row in rows] == [(n, rows[i]["id"]) for n in range(4) for i in (0, 1)]


def test_a_callback_can_go_to_another_process():
    """As it does with strategy="ddp_spawn"."""
    callback = pickle.loads(pickle.dumps(HeatmapCallback(**lab.watched(), loggers={"disk": {"root": "runs/a"}})))
    monitor = callback.make_monitor
    assert monitor.keywords["name"]
    np.testing.assert_array_equal(monitor.keywords["x"], lab.watched()["x"])


# Which model is watched.


def test_a_module_without_forward_has_one_part_with_weights():
    class Headless(Lit):
        forward = lightning.LightningModule.forward

        def __init__(self) -> None:
            super().__init__()
            self.loss = nn.CrossEntropyLoss()

    log, module = Recorder(), Headless()
    trainer(HeatmapCallback(**lab.watched(), loggers=log)).validate(module, validation(), verbose=False)
    lab.assert_explains(log.logged, {0: module.net})

    module.other = nn.Linear(1, 1)
    with pytest.raises(xaicore.InputError, match=r"Headless has no forward.*model=.*it has net, other"):
        trainer(HeatmapCallback(**lab.watched(), loggers=log)).validate(module, validation(), verbose=False)


def test_a_part_by_name():
    class Student(Lit):
        def __init__(self) -> None:
            super().__init__()
            self.pair = nn.ModuleDict({"teacher": lab.Net(), "student": self.net})

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.pair["teacher"](x)

    log, module = Recorder(), Student()
    running = trainer(HeatmapCallback(**lab.watched(), loggers=log, model="pair.student"))
    running.validate(module, validation(), verbose=False)
    lab.assert_explains(log.logged, {0: module.net})
    with pytest.raises(xaicore.InputError, match="model='pupil' is no part of Student: it has net, pair"):
        trainer(HeatmapCallback(**lab.watched(), model="pupil")).validate(module, validation(), verbose=False)


# What is wrong, and when one is told.


def test_what_is_wrong_is_said_when_the_callback_is_made():
    with pytest.raises(TypeError, match="unexpected keyword argument 'metod'"):
        HeatmapCallback(**lab.watched(), metod="gradcam")
    with pytest.raises(xaicore.InputError, match="unit='batch': expected 'epoch' or 'step'"):
        HeatmapCallback(**lab.watched(), unit="batch")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"x": lab.watched()["x"][:0]}, r"x of shape \(0, 3, 32, 32\) has no images"),
        ({"truth": [0, 1]}, r"truth of shape \(2,\) for 5 images: expected 5 class indices"),
        ({"layer": "conv9"}, "no layer called 'conv9'"),
        ({"every": 0}, "every=0: expected a whole number, 1 or more"),
    ],
    ids=str,
)
def test_what_is_wrong_is_said_before_the_first_epoch(options, message):
    module = Lit()
    options = {**lab.watched(), "loggers": Recorder(), **options}
    with pytest.raises(xaicore.XaicoreError, match=message):
        trainer(HeatmapCallback(**options)).fit(module, lab.shuffled())
    assert module.losses == []


def fresh(monkeypatch: pytest.MonkeyPatch, *missing: str) -> Any:
    """The module, imported anew where these are not installed."""
    for name in missing:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "xaicore_torch.lightning")
    return importlib.import_module("xaicore_torch.lightning")


def test_without_lightning(monkeypatch):
    with pytest.raises(
        xaicore.DependencyError, match=r'Lightning does not load .*: pip install "xaicore\[lightning\]"'
    ):
        fresh(monkeypatch, "lightning", "lightning.pytorch", "pytorch_lightning")


@pytest.mark.parametrize("missing", [["lightning", "lightning.pytorch"], []], ids=["alone", "imported before"])
def test_the_librarys_other_name(monkeypatch, missing):
    other = pytest.importorskip("pytorch_lightning")
    monkeypatch.delitem(sys.modules, "lightning.pytorch")
    callback_class = fresh(monkeypatch, *missing).HeatmapCallback
    assert issubclass(callback_class, other.Callback)

    class Headless(module_of(other)):
        forward = other.LightningModule.forward

    log, module = Recorder(), Headless()
    options = {"accelerator": "cpu", "logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    other.Trainer(max_epochs=2, callbacks=[callback_class(**lab.watched(), loggers=log)], **options).fit(
        module, lab.shuffled()
    )
    assert log.steps == [0, 1]
    assert log.logged[0][1].outputs.shape == (5, 3)
