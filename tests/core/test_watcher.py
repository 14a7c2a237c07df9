"""The base of callbacks: one monitor per training, stepped in one unit."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
from recorder import Recorder
from toynet import ToyBackend

import xaicore
from xaicore import InputError, Watcher

X = np.random.default_rng(0).uniform(size=(2, 3, 6, 8)).astype(np.float32)


class Framework:
    """The base class that a training framework has for its callbacks."""

    def __init__(self) -> None:
        self.is_ready = True


class Callback(Watcher, Framework):
    """A callback of that framework, as a stranger would write it."""

    def on_begin(self, model: Any) -> None:
        self.start(model)

    def on_epoch_end(self, epoch: int) -> None:
        self.step("epoch", epoch)

    def on_batch_end(self, batch: int) -> None:
        self.step("step", batch)


@pytest.mark.parametrize(("unit", "steps"), [("epoch", [0, 1]), ("step", [1, 2, 3, 4])])
def test_a_training(unit: str, steps: list[int]) -> None:
    log = Recorder()
    callback = Callback(X, unit=unit, backend=ToyBackend(), loggers=log)
    assert (callback.is_ready, callback.unit, callback.monitor) == (True, unit, None)
    callback.on_epoch_end(7)  # without a training, nothing happens
    callback.on_begin(None)
    for epoch in range(2):
        for batch in (1, 2):
            callback.on_batch_end(2 * epoch + batch)
        callback.on_epoch_end(epoch)
    callback.close()
    callback.close()
    assert callback.monitor is None
    assert log.events == ["open", *(event for n in steps for event in (f"log {n}", "flush")), "close"]


def test_trainings_share_a_run_and_one_that_broke_off_is_closed() -> None:
    log, names = Recorder(), []
    callback = Callback(X, backend=ToyBackend(), loggers=log)
    for _ in range(2):
        callback.on_begin(None)
        names.append(callback.monitor.run.name)
        callback.on_epoch_end(0)
    assert log.events[:5] == ["open", "log 0", "flush", "close", "open"]
    callback.close()
    assert len(set(names)) == 1
    assert log.events.count("close") == log.events.count("open") == 2


@pytest.mark.parametrize(("unit", "step"), [("epoch", 3), ("step", 40)])
def test_an_evaluation_is_one_step(unit: str, step: int) -> None:
    log = Recorder()
    Callback(X, unit=unit, backend=ToyBackend(), loggers=log).once(None, epoch=3, step=40)
    assert log.events == ["open", f"log {step}", "flush", "close"]


def test_an_evaluation_that_fails_closes_its_loggers() -> None:
    class Failing(ToyBackend):
        fails = False

        def capture(self, *arguments: Any) -> xaicore.Capture:
            if Failing.fails:
                raise ZeroDivisionError
            Failing.fails = True
            return super().capture(*arguments)

    log = Recorder()
    with pytest.raises(ZeroDivisionError):
        Callback(X, backend=Failing(), loggers=log, on_error="raise").once(None, 0, 0)
    assert log.events == ["open", "close"]


def test_options_are_checked_at_once() -> None:
    with pytest.raises(InputError, match="unit='batch': expected 'epoch' or 'step'"):
        Callback(X, unit="batch")
    with pytest.raises(TypeError, match="unexpected keyword argument 'metod'"):
        Callback(X, metod="gradcam")


def test_a_watcher_can_go_to_another_process() -> None:
    callback = pickle.loads(pickle.dumps(Callback(X, unit="step", loggers={"disk": {"root": "runs/a"}})))
    assert callback.unit == "step"
    assert callback.make_monitor.keywords["name"]
    np.testing.assert_array_equal(callback.make_monitor.keywords["x"], X)


@pytest.mark.parametrize("name", [None, "search"])
def test_a_copy_for_a_trial_has_a_run_of_its_own(name: str | None) -> None:
    """A tuner copies its callbacks deeply for each trial, also once the first of them has trained."""
    log = Recorder()
    callback = Callback(X, backend=ToyBackend(), loggers=log, name=name, truth=[0, 1])
    runs = []
    callback.on_begin(None)
    for trial in (callback, copy.deepcopy(callback), copy.deepcopy(callback)):
        assert trial is callback or trial.monitor is None
        trial.on_begin(None)
        runs.append(trial.monitor.run.name)
        trial.on_epoch_end(0)
        trial.close()
    assert len(set(runs)) == 3
    assert name is None or (runs[0] == name and all(run.startswith(f"{name}-") for run in runs[1:]))
    first, second, third = (explanation.maps for _, explanation in log.logged)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first, third)


def test_a_copy_shares_the_images_and_copies_what_the_callback_holds() -> None:
    callback = Callback(X, backend=ToyBackend())
    callback.seen = [1]
    copied = copy.deepcopy([callback, callback])
    assert copied[0] is copied[1] is not callback
    assert copied[0].seen == [1]
    assert copied[0].seen is not callback.seen
    assert copied[0].make_monitor.keywords["x"] is X
