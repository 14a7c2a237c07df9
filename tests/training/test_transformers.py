"""The Trainer of Transformers trains the same with and without `HeatmapCallback`, and each epoch's heatmaps arrive."""

from __future__ import annotations

import copy
import importlib
import json
import sys
from pathlib import Path
from typing import Any

import lab
import pytest
import torch
from recorder import Recorder
from torch import nn
from torch.utils.data import DataLoader

import xaicore

transformers = pytest.importorskip("transformers")
pytest.importorskip("accelerate")
from xaicore_torch.transformers import HeatmapCallback  # noqa: E402 (needs Transformers)


class NetForImageClassification(transformers.ResNetForImageClassification):
    """A ResNet with dropout and a frozen BatchNorm; its name tells Transformers which loss to take."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.classifier.insert(1, nn.Dropout(0.3))
        self.flags: list[list[bool]] = []

    def train(self, mode: bool = True) -> NetForImageClassification:
        super().train(mode)
        self.resnet.embedder.embedder.normalization.eval()
        return self

    def forward(self, pixel_values: Any = None, labels: Any = None, **kwargs: Any) -> Any:
        if self.training:
            self.flags.append([module.training for module in self.modules()])
        return super().forward(pixel_values, labels, **kwargs)


def net() -> NetForImageClassification:
    sizes = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "num_labels": 3}
    return NetForImageClassification(transformers.ResNetConfig(**sizes))


def watched(n: int = 5) -> dict[str, Any]:
    return {**lab.watched(n), "layer": "resnet.encoder"}


class Keep(transformers.TrainerCallback):
    """Copies of the model, and its losses."""

    def __init__(self) -> None:
        self.nets: dict[int, nn.Module] = {}

    def on_epoch_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        self.nets[round(state.epoch)] = copy.deepcopy(model)


class Fails(transformers.TrainerCallback):
    """Raises in the second epoch."""

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == 4:
            raise ArithmeticError("on purpose")


def trainer(folder: Path, *callbacks: Any, model: Any = None, **options: Any) -> Any:
    quiet = {"report_to": "none", "disable_tqdm": True, "save_strategy": "no", "logging_strategy": "no"}
    sizes = {"num_train_epochs": 3, "per_device_train_batch_size": 8, "learning_rate": 0.01, "use_cpu": True}
    running = transformers.Trainer(
        net() if model is None else model,
        transformers.TrainingArguments(str(folder), **{**quiet, **sizes, **options}),
        train_dataset=lab.Pictures(as_dict=True),
        eval_dataset=lab.Pictures(8, as_dict=True),
        callbacks=list(callbacks),
    )
    running.remove_callback(transformers.PrinterCallback)
    return running


def train(folder: Path, *callbacks: Any, **options: Any) -> dict[str, Any]:
    lab.seed()
    running = trainer(folder, *callbacks, **options)
    result = running.train()
    model = running.model
    return lab.traces(model, running.optimizer.optimizer, loss=result.training_loss, flags=model.flags)


def of_way(way: str) -> dict[str, Any]:
    """With a loader of the Trainer's own data set where the way needs the training's."""
    return {**lab.of_way(way, DataLoader(lab.Pictures(), 8, shuffle=True)), "layer": "resnet.encoder"}


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> dict[str, Any]:
    torch.set_num_threads(1)
    return train(tmp_path_factory.mktemp("alone"))


def test_two_trainings_are_the_same(alone, tmp_path):
    assert lab.different(train(tmp_path), alone) == []


@pytest.mark.parametrize("unit", ["epoch", "step"])
@pytest.mark.parametrize("way", lab.WAYS)
def test_training_does_not_notice(alone, quiet, tmp_path, way, unit):
    options = of_way(way)
    log, callback = options["loggers"], HeatmapCallback(options.pop("x"), unit=unit, **options)
    assert lab.different(train(tmp_path, callback), alone) == []
    lab.assert_logged(way, log, [1, 2, 3] if unit == "epoch" else list(range(1, 10)))
    assert callback.monitor is None


@pytest.mark.thorough
@pytest.mark.parametrize(
    "options",
    [{"gradient_accumulation_steps": 2}, {"bf16": True}, {"eval_strategy": "epoch", "eval_on_start": True}],
    ids=str,
)
def test_nor_in_other_settings(tmp_path, options):
    """An evaluation while training is no round of its own."""
    log = Recorder()
    callback = HeatmapCallback(**watched(), loggers=log, method=["gradcam", "eigencam"])
    assert lab.different(train(tmp_path, callback, **options), train(tmp_path, **options)) == []
    assert log.events == ["open", *(e for n in (1, 2, 3) for e in [f"log {n}", f"log {n}", "flush"]), "close"]


def test_heatmaps_are_those_of_the_model_at_that_time(tmp_path):
    log, keep = Recorder(), Keep()
    train(tmp_path, keep, HeatmapCallback(**watched(), loggers=log))
    assert list(keep.nets) == [1, 2, 3]
    lab.assert_explains(log.logged, keep.nets, layer="resnet.encoder")


def test_pictures_as_the_data_set_gives_them(tmp_path):
    """Dicts with pixel values and labels, as the Trainer takes them."""
    log = Recorder()
    callback = HeatmapCallback(lab.Pictures(as_dict=True), per_class=2, loggers=log, layer="resnet.encoder")
    train(tmp_path, callback, num_train_epochs=1)
    ((step, explanation),) = log.logged
    assert step == 1
    assert explanation.truth.tolist() == [0, 0, 1, 1, 2, 2]
    assert explanation.images.shape == (6, 32, 32, 3)


@pytest.mark.parametrize("kind", ["ResNet", "RegNet", "ConvNext", "MobileNetV2"])
def test_the_layer_is_found(kind):
    """These answer with a pooled output beside the map, and the classifier reads that one."""
    own = {"depth_multiplier": 0.25} if kind == "MobileNetV2" else {"hidden_sizes": [8, 16], "depths": [1, 1]}
    own |= {"ResNet": {"embedding_size": 8}, "RegNet": {"embedding_size": 8, "groups_width": 8}}.get(kind, {})
    own |= {"num_stages": 2} if kind == "ConvNext" else {}
    lab.seed()
    model = getattr(transformers, f"{kind}ForImageClassification")(
        getattr(transformers, f"{kind}Config")(num_labels=3, num_channels=3, image_size=32, **own)
    )
    explanation = xaicore.explain(model, lab.watched()["x"], [[0, 1, 2]])
    inside = "mobilenet_v2.layer" if kind == "MobileNetV2" else f"{kind.lower()}.encoder"
    assert explanation.layer.startswith(inside)
    assert not explanation.empty.all()


def test_evaluation_alone_is_one_round(tmp_path):
    log = Recorder()
    running = trainer(tmp_path, HeatmapCallback(**watched(), loggers=log))
    running.evaluate()
    assert log.events == ["open", "log 0", "flush", "close"]
    lab.assert_explains(log.logged, {0: running.model}, layer="resnet.encoder")


def test_a_state_that_knows_of_no_epoch(tmp_path):
    """As older versions have it before any training."""
    log = Recorder()
    state = transformers.TrainerState(epoch=None)
    HeatmapCallback(**watched(), loggers=log).on_evaluate(None, state, None, model=net())
    assert log.events == ["open", "log 0", "flush", "close"]


def test_loggers_are_closed_after_a_training_that_broke_off(tmp_path):
    """The Trainer does not say that one did; the next one does, or `close`."""
    log = Recorder()
    callback = HeatmapCallback(**watched(), loggers=log)
    running = trainer(tmp_path, callback, Fails())
    round_ = ["open", "log 1", "flush", "close"]
    for rounds in range(2):
        with pytest.raises(ArithmeticError):
            running.train()
        assert log.events[: 4 * rounds] == round_ * rounds
    assert callback.monitor is not None
    callback.close()
    assert log.events == round_ * 2


def test_a_resumed_training_goes_on_in_the_same_folder(tmp_path):
    def fit(epochs, **options):
        callback = HeatmapCallback(**watched(2), loggers={"disk": {"root": tmp_path / "run"}})
        trainer(tmp_path, callback, num_train_epochs=epochs, save_strategy="epoch").train(**options)

    fit(2)
    fit(4, resume_from_checkpoint=True)
    rows = [json.loads(line) for line in (tmp_path / "run" / "manifest.jsonl").read_text().splitlines()]
    assert [(row["step"], row["id"]) for row in rows] == [(n, rows[i]["id"]) for n in range(1, 5) for i in (0, 1)]


def test_what_is_wrong_is_said_when_the_callback_is_made():
    with pytest.raises(TypeError, match="unexpected keyword argument 'metod'"):
        HeatmapCallback(**watched(), metod="gradcam")
    with pytest.raises(xaicore.InputError, match="unit='batch': expected 'epoch' or 'step'"):
        HeatmapCallback(**watched(), unit="batch")


def test_what_is_wrong_is_said_before_the_first_epoch(tmp_path):
    running = trainer(tmp_path, HeatmapCallback(**{**watched(), "truth": [0]}, loggers=Recorder()))
    with pytest.raises(xaicore.InputError, match=r"truth of shape \(1,\) for 5 images"):
        running.train()
    assert running.model.flags == []


def test_without_transformers(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    monkeypatch.delitem(sys.modules, "xaicore_torch.transformers")
    with pytest.raises(xaicore.DependencyError, match=r'Transformers does not load .*"xaicore\[transformers\]"'):
        importlib.import_module("xaicore_torch.transformers")
