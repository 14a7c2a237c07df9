"""The same pictures epoch after epoch: when, which, how long, and what happens when something goes wrong."""

from __future__ import annotations

import gc
import os
import queue
import random
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clock import Clock
from recorder import Recorder
from toynet import ToyBackend, ToyNet
from waiting import eventually

import xaicore
from xaicore import InputError, Monitor, Sample
from xaicore.monitor import batched, shipping
from xaicore.monitor.deadline import Deadline
from xaicore.show import pictures

NAMES = ("ant", "bee", "cat", "dog")


@pytest.fixture
def many() -> np.ndarray:
    return np.random.default_rng(2).uniform(size=(7, 3, 6, 8)).astype(np.float32)


@pytest.fixture
def log() -> Recorder:
    return Recorder()


class Slow(ToyBackend):
    """Each pass takes a second."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock
        self.sizes: list[int] = []

    def capture(self, inputs: Any, layers: Sequence[str], direction: Any = None) -> xaicore.Capture:
        self.clock.now += 1
        self.sizes.append(len(inputs))
        return super().capture(inputs, layers, direction)


def monitored(x: Any, log: Any, backend: Any = None, **options: Any) -> Monitor:
    return Monitor(None, x, backend=backend or ToyBackend(), loggers=log, **options)


# What arrives.


def test_each_step_is_what_an_explainer_says(many: np.ndarray, log: Recorder) -> None:
    backend, truth = ToyBackend(), [0, 1, 2, 3, 0, 1, -1]
    with monitored(many, log, backend, truth=truth, class_names=NAMES, batch_size=3) as monitor:
        for epoch in range(3):
            backend.net = ToyNet(seed=epoch)
            (given,) = monitor.step(epoch)
            expected = xaicore.explain(None, many, backend=backend, ids=monitor.ids, truth=truth, class_names=NAMES)
            for name in ("maps", "targets", "scores", "predicted", "outputs", "truth", "image_index", "images"):
                np.testing.assert_allclose(getattr(given, name), getattr(expected, name), rtol=1e-4, err_msg=name)
            assert (given.ids, given.class_names, given.group) == (expected.ids, NAMES, None)
    assert log.steps == [0, 1, 2]
    assert log.events == ["open", *(f for n in range(3) for f in (f"log {n}", "flush")), "close"]
    assert {thread.name for thread in log.threads} == {"xaicore-loggers"}


def test_several_methods_share_one_pass(many: np.ndarray, log: Recorder) -> None:
    backend = ToyBackend()
    with monitored(many, log, backend, method=["gradcam", "cam", "hirescam"]) as monitor:
        backend.calls.clear()
        assert [one.method for one in monitor.step(0)] == ["gradcam", "cam", "hirescam"]
        assert backend.calls == ["capture with gradients", "classifier_weights"]
    assert [one.method for _, one in log.logged] == ["gradcam", "cam", "hirescam"]
    assert log.events.count("flush") == 1


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        ("predicted", None),
        (None, None),
        ("truth", [0, 1, 2, 3, 0, 1, 2]),
        (3, [3] * 7),
        ("cat", [2] * 7),
        ([0, 1, 0, 1, 0, 1, 3], [0, 1, 0, 1, 0, 1, 3]),
        ([[1, 2]], [1, 2] * 7),
        ([[n % 4, 3] for n in range(7)], [target for n in range(7) for target in (n % 4, 3)]),
        (xaicore.targets.TopK(1), None),
    ],
)
def test_targets(many: np.ndarray, log: Recorder, targets: Any, expected: list[int] | None) -> None:
    options = {"truth": [0, 1, 2, 3, 0, 1, 2], "class_names": NAMES}
    with monitored(many, log, targets=targets, batch_size=2, **options) as monitor:
        (given,) = monitor.step(0)
    assert given.targets.tolist() == (given.predicted.tolist() if expected is None else expected)


def test_pictures_made_of_the_input_are_on_one_scale(log: Recorder) -> None:
    x = np.zeros((2, 3, 6, 8), np.float32)
    x[0], x[1, 0] = 1, 3  # as one batch: 0 to 3; as two: 1 and 0 to 3
    with monitored(x, log, batch_size=1) as monitor:
        for step in range(2):
            (given,) = monitor.step(step)
            assert given.images_from == "rescaled"
            assert (given.images[0] == 85).all()
            assert given.images[1, 0, 0].tolist() == [255, 0, 0]


def test_the_users_pictures_stay_theirs(many: np.ndarray, log: Recorder) -> None:
    images = np.random.default_rng(0).integers(0, 256, (7, 12, 16, 3), np.uint8)
    with monitored(many, log, images=images, batch_size=4) as monitor:
        (given,) = monitor.step(0)
    assert given.images_from == "user"
    np.testing.assert_array_equal(given.images, images)


def test_the_run_remembers_what_is_watched(many: np.ndarray, log: Recorder) -> None:
    with monitored(many, log, ids=list("abcdefg"), every=2, name="mine", config={"lr": 0.1}, method=["gradcam", "cam"]):
        pass
    assert log.run.name == "mine"
    about = {"ids": list("abcdefg"), "methods": ["gradcam", "cam"], "every": 2}
    assert log.run.config == {"lr": 0.1, "monitor": about}


def test_a_resumed_run_has_the_same_names_and_goes_on(many: np.ndarray, tmp_path: Path) -> None:
    from xaicore_disk.manifest import read_manifest

    for steps in ([0, 1], [1, 2]):  # the second one repeats the last epoch, as after a crash
        with monitored(many, {"disk": {"root": tmp_path}}, name="mine") as monitor:
            for step in steps:
                monitor.step(step)
    rows = read_manifest(tmp_path)
    assert [row["step"] for row in rows] == [0] * 7 + [1] * 7 + [2] * 7
    assert {row["id"] for row in rows} == set(monitor.ids)


def test_a_loader_is_chosen_from(many: np.ndarray, log: Recorder) -> None:
    loader = [(many[i : i + 2], np.array([i % 3, (i + 1) % 3])) for i in range(0, 6, 2)]
    with monitored(loader, log, per_class=1) as monitor:
        assert monitor.sample.truth.tolist() == [0, 1, 2]
        np.testing.assert_array_equal(monitor.sample.x, many[[0, 1, 2]])
    with monitored(loader, log, first=3) as monitor:
        np.testing.assert_array_equal(monitor.sample.x, many[:3])


# When.


@pytest.mark.parametrize(
    ("every", "steps", "logged"),
    [
        (1, [0, 1, 2], [0, 1, 2]),
        (2, [0, 1, 2, 3, 4, 5], [0, 2, 4]),
        (3, [1, 2, 3, 4, 5, 6], [1, 3, 6]),
        (100, [40, 80, 120, 160, 240, 290, 300], [40, 120, 240, 300]),
        (1, [3, 3, 3], [3]),  # the same step again
        (1, [0, 1, 2, 1, 2, 3], [0, 1, 2, 1, 2, 3]),  # back, as after a restart from a checkpoint
        (5, [0, 5, 10, 3, 4, 5], [0, 5, 10, 3, 5]),
        (1, [np.int64(4), 5.0], [4, 5]),
    ],
)
def test_when_it_is_time(x: np.ndarray, log: Recorder, every: int, steps: list[int], logged: list[int]) -> None:
    with monitored(x, log, every=every) as monitor:
        due, explained = [], []
        for step in steps:
            due += [int(step)] if monitor.is_due(step) else []
            explained += [int(step)] if monitor.step(step) else []
    assert due == explained
    assert log.steps == logged == explained
    assert all(type(step) is int for step in log.steps)


def test_nothing_is_due_once_every_logger_is_switched_off(x: np.ndarray) -> None:
    def fail() -> None:
        raise OSError("no space")

    with monitored(x, Recorder(fail), beside=False) as monitor:
        assert monitor.is_due(0)
        with pytest.warns(RuntimeWarning, match="no space"):
            assert len(monitor.step(0)) == 1
        assert not monitor.is_due(1)
        assert monitor.step(1) == ()


# How long.


def test_images_without_time_are_reported_and_go_first_next_time(many: np.ndarray, log: Recorder, clock: Clock) -> None:
    with monitored(many, log, Slow(clock), batch_size=2, budget=3, ids=list("abcdefg"), beside=False) as monitor:
        message = r"step 0: 1 of 7 images skipped after 3 s \(g\); they go first at the next step"
        with pytest.warns(RuntimeWarning, match=message) as warned:
            rounds = [(monitor.step(n)[0].ids, monitor.left_out) for n in range(3)]
    assert len(warned) == 1  # once
    assert rounds == [
        (tuple("abcdef"), ("g",)),
        (tuple("abcdg"), tuple("ef")),
        (tuple("abefg"), tuple("cd")),
    ]


def test_one_batch_is_explained_however_little_time_there_is(many: np.ndarray, log: Recorder, clock: Clock) -> None:
    backend = Slow(clock)
    with (
        monitored(many, log, backend, batch_size=3, budget=0.5) as monitor,
        pytest.warns(RuntimeWarning, match="4 of 7"),
    ):
        monitor.step(0)
    assert backend.sizes == [1, 3]  # the first image, and one batch


def test_also_when_time_is_up_before_it_begins(many: np.ndarray) -> None:
    explainer = xaicore.Explainer(None, backend=ToyBackend(), batch_size=3)
    explain = batched.BatchedExplainer(explainer, [xaicore.METHODS["gradcam"]], "predicted")
    (given,), next_time = explain(Sample(many).named(np.asarray), Deadline(0))
    assert (len(given.ids), next_time) == (3, 3)


def test_without_a_budget_all_are_explained(many: np.ndarray, log: Recorder, clock: Clock) -> None:
    with monitored(many, log, Slow(clock), batch_size=1, budget=None) as monitor:
        (given,) = monitor.step(0)
    assert len(given.ids) == 7
    assert monitor.left_out == ()


# The worst.


def probabilities(backend: ToyBackend, x: np.ndarray) -> np.ndarray:
    logits = backend.net.forward(x)["dense"]
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("form", ["arrays", "sample", "loader"])
def test_the_worst_are_those_whose_true_class_is_least_probable(many: np.ndarray, log: Recorder, form: str) -> None:
    backend, truth = ToyBackend(), np.array([0, 1, 2, 3, 0, -1, 2])
    pool: Any = (many, truth)
    if form == "sample":
        pool = Sample(many, truth, ids=tuple("0123456"))
    elif form == "loader":
        pool = [(many[:3], truth[:3]), (many[3:], truth[3:])]
    with monitored(many[:2], log, backend, worst=3, pool=pool, batch_size=2, method=["gradcam", "cam"]) as monitor:
        for step in range(3):
            backend.net = ToyNet(seed=step)
            explanations = monitor.step(step)
            assert [(one.method, one.group) for one in explanations] == [
                ("gradcam", None),
                ("cam", None),
                ("gradcam", "worst"),
                ("cam", "worst"),
            ]
            p = probabilities(backend, many)[np.arange(7), truth]
            p[5] = 2
            expected = np.argsort(p)[:3]
            found = explanations[2]
            assert found.ids == tuple(map(str, expected))
            assert found.truth.tolist() == truth[expected].tolist()
            expected = xaicore.explain(None, many[expected], backend=backend)
            np.testing.assert_allclose(found.maps, expected.maps, rtol=1e-5)
            np.testing.assert_array_equal(found.images, expected.images)


def test_of_a_binary_classifier_too(log: Recorder) -> None:
    x = np.random.default_rng(0).uniform(size=(6, 3, 6, 8)).astype(np.float32)
    backend = ToyBackend(ToyNet(classes=1))
    truth = np.array([0, 1, 0, 1, 0, 1])
    logits = backend.net.forward(x)["dense"][:, 0]
    p = 1 / (1 + np.exp(-np.where(truth == 1, logits, -logits)))
    with monitored(x, log, backend, worst=2, pool=(x, truth)) as monitor:
        _, worst_now = monitor.step(0)
    assert worst_now.ids == tuple(map(str, np.argsort(p)[:2]))


def test_of_several_labels_a_picture_too(log: Recorder) -> None:
    x = np.random.default_rng(0).uniform(size=(30, 3, 6, 8)).astype(np.float32)
    truth = np.arange(30) % 4
    backend = ToyBackend()
    logits = backend.net.forward(x)["dense"][np.arange(30), truth]
    assert not np.array_equal(np.argsort(logits), np.argsort(probabilities(backend, x)[np.arange(30), truth]))
    with monitored(x[:1], log, backend, worst=30, pool=(x, truth), activation="sigmoid") as monitor:
        _, found = monitor.step(0)
    assert found.ids == tuple(map(str, np.argsort(logits)))


def test_of_equally_bad_ones_the_first_are_taken(log: Recorder) -> None:
    x = np.ones((9, 3, 6, 8), np.float32)
    with monitored(x[:1], log, worst=3, pool=(x, np.zeros(9, int)), batch_size=3) as monitor:
        assert monitor.step(0)[1].ids == ("0", "1", "2")


def test_no_time_for_all_of_the_pool_is_reported(many: np.ndarray, log: Recorder, clock: Clock) -> None:
    options = {"worst": 1, "pool": (many, np.zeros(7, int)), "batch_size": 2, "budget": 3}
    with monitored(many[:2], log, Slow(clock), **options) as monitor:
        with pytest.warns(RuntimeWarning, match="step 0: no time to search all of the pool for its worst"):
            _, found = monitor.step(0)
    assert found.ids in (("0",), ("1",), ("2",), ("3",))


def test_a_pool_smaller_than_asked_for_is_all_there_is(many: np.ndarray, log: Recorder) -> None:
    with monitored(many, log, worst=9, pool=(many[:2], [0, 1])) as monitor:
        assert len(monitor.step(0)[1].ids) == 2
    with monitored(many, log, worst=9, pool=(many[:2], [-1, -1])) as monitor:
        with pytest.warns(RuntimeWarning, match="step 0: no image in the pool has a known class"):
            assert len(monitor.step(0)) == 1


def test_a_pool_without_images_is_refused(many: np.ndarray, log: Recorder) -> None:
    with pytest.raises(
        InputError, match=r"^pool=\[\] has no images: the worst predictions need true classes: pool=\(x, "
    ):
        monitored(many, log, worst=1, pool=[])


def test_a_pool_of_broken_pictures_alone(tmp_path: Path, many: np.ndarray, log: Recorder) -> None:
    paths = [tmp_path / "0.png", tmp_path / "1.png"]
    for path in paths:
        path.write_bytes(b"none")
    pool, prepare = [(str(path), 1) for path in paths], lambda picture: np.zeros((3, 6, 8), np.float32)
    with monitored(many, log, worst=1, pool=pool, preprocess=prepare) as monitor, pytest.warns(RuntimeWarning) as told:
        assert len(monitor.step(0)) == 1
    told = [str(one.message) for one in told]
    assert told[0].startswith("step 0: 2 of the pool's images are left out: ")
    assert told[1].startswith("step 0: no other image in the pool has a known class, so there are no worst ones")


# One scale.


def test_steps_on_one_scale_can_be_compared(many: np.ndarray, log: Recorder) -> None:
    backend = ToyBackend()
    with monitored(many, log, backend, scale="first", method=["gradcam", "hirescam"]) as monitor:
        first = monitor.step(0)
        tops = [one.maps.max() for one in first]
        backend.net.w = backend.net.w / 2
        for one, top in zip(monitor.step(1), tops, strict=True):
            plain = xaicore.maps.resize(one.maps, (6, 8))
            np.testing.assert_allclose(one.heatmaps(), plain / top, rtol=1e-5)
            assert one.heatmaps().max() == pytest.approx(0.5, rel=1e-5)


@pytest.mark.parametrize(("scale", "top"), [(2.5, 2.5), ({"gradcam": 0.5, "other": 1}, 0.5), (None, None)])
def test_a_scale_may_be_given(many: np.ndarray, log: Recorder, scale: Any, top: float | None) -> None:
    with monitored(many, log, scale=scale) as monitor:
        (one,) = monitor.step(0)
    assert (one.ceilings is None) if top is None else (one.ceilings == top).all()


def test_a_first_step_without_evidence_sets_no_scale(x: np.ndarray, log: Recorder) -> None:
    backend = ToyBackend()
    weights, backend.net.w = backend.net.w, backend.net.w * 0
    with monitored(x, log, backend, scale="first") as monitor:
        assert monitor.step(0)[0].ceilings is None
        backend.net.w = weights
        (one,) = monitor.step(1)
        assert one.ceilings.max() == one.maps.max() > 0


# The training does not notice.


class Drawing(ToyBackend):
    """A framework with random numbers of its own, drawn by its loaders."""

    state = 0

    @contextmanager
    def undisturbed(self, source: Any = None) -> Iterator[None]:
        before = Drawing.state
        with super().undisturbed(source):
            yield
        Drawing.state = before


def test_choosing_pictures_draws_no_random_numbers(many: np.ndarray, log: Recorder) -> None:
    def loader() -> Iterator[Any]:
        Drawing.state += 1
        order = np.random.permutation(7)
        random.shuffle(list(range(7)))
        yield many[order], np.zeros(7, int)

    class Loader:
        def __iter__(self) -> Iterator[Any]:
            return loader()

    def states() -> list[Any]:
        return [random.getstate(), np.random.get_state()[1].tolist(), np.random.get_state()[2], Drawing.state]

    before = states()
    with monitored(Loader(), log, Drawing(), first=2, worst=1, pool=Loader()) as monitor:
        assert len(monitor.step(0)) == 2
    assert states() == before


def test_a_loaders_own_generators_are_as_before(many: np.ndarray, log: Recorder) -> None:
    class Loader:
        def __init__(self) -> None:
            self.generators = None
            self.rng, self.old, self.python = np.random.default_rng(0), np.random.RandomState(0), random.Random(0)

        def draw(self) -> list[float]:
            return [self.rng.random(), self.old.random_sample(), self.python.random()]

        def __iter__(self) -> Iterator[Any]:
            self.draw()
            yield many, np.zeros(7, int)

    loader = Loader()
    with monitored(loader, log, first=2, worst=1, pool=loader) as monitor:
        assert len(monitor.step(0)) == 2
    assert loader.draw() == Loader().draw()


def test_a_model_without_weights_is_left_alone_until_it_has_some(x: np.ndarray, log: Recorder) -> None:
    class Unbuilt(ToyBackend):
        is_ready = False

        @property
        def ready(self) -> bool:
            return self.is_ready

    backend = Unbuilt()
    with monitored(x, log, backend, layer="second") as monitor:
        assert backend.calls == []
        with pytest.warns(RuntimeWarning, match="no heatmaps of step 0: .* has no weights yet"):
            assert monitor.step(0) == ()
        assert backend.calls == []
        backend.is_ready = True
        assert len(monitor.step(1)) == 1


class Failing(ToyBackend):
    fails = False

    def capture(self, inputs: Any, layers: Sequence[str], direction: Any = None) -> xaicore.Capture:
        if self.fails:
            raise ZeroDivisionError("oh no")
        return super().capture(inputs, layers, direction)


def test_an_explanation_that_fails_is_warned_of_once_and_the_next_one_tried(x: np.ndarray, log: Recorder) -> None:
    backend = Failing()
    with monitored(x, log, backend) as monitor:
        backend.fails = True
        with pytest.warns(RuntimeWarning, match="no heatmaps of step 0: ZeroDivisionError: oh no") as warned:
            assert [monitor.step(n) for n in range(3)] == [(), (), ()]
        assert len(warned) == 1
        backend.fails = False
        assert len(monitor.step(3)) == 1
    assert log.steps == [3]


def test_it_raises_with_on_error_raise(x: np.ndarray, log: Recorder) -> None:
    backend = Failing()
    with monitored(x, log, backend, on_error="raise") as monitor:
        backend.fails = True
        with pytest.raises(ZeroDivisionError, match="oh no"):
            monitor.step(0)


@pytest.mark.parametrize("beside", [True, False])
def test_a_logger_that_fails_is_switched_off_and_then_nothing_is_done(x: np.ndarray, beside: bool) -> None:
    def fail() -> None:
        raise OSError("the disk is full")

    backend, log = ToyBackend(), Recorder(fail)
    monitor = monitored(x, log, backend, beside=beside)
    with pytest.warns(RuntimeWarning, match="logger 'Recorder' is switched off: log raised OSError: the disk is full"):
        eventually(lambda: monitor.step(0) == ())
    backend.calls.clear()
    assert monitor.step(1) == ()
    assert backend.calls == []
    monitor.close()
    assert log.events == ["open", "close"]


@pytest.mark.parametrize("beside", [True, False])
def test_what_a_logger_raises_reaches_the_caller_with_on_error_raise(x: np.ndarray, beside: bool) -> None:
    def fail() -> None:
        raise OSError("the disk is full")

    monitor = monitored(x, Recorder(fail), on_error="raise", beside=beside)
    with pytest.raises(OSError, match="the disk is full"):
        monitor.step(0)
        monitor.close()
    monitor.close()


def test_a_logger_that_hangs_holds_up_one_step_and_no_more(x: np.ndarray, clock: Clock) -> None:
    begun, go, backend = threading.Event(), threading.Event(), ToyBackend()

    def hang() -> None:
        begun.set()
        go.wait()

    log = Recorder(hang)
    monitor = monitored(x, log, backend, budget=0.01)
    monitor.step(0)  # is with the logger
    begun.wait()
    monitor.step(1)  # waits for it
    with pytest.warns(RuntimeWarning, match="step 2 is not logged: the loggers are still busy with the steps before"):
        assert len(monitor.step(2)) == 1
    backend.calls.clear()
    assert monitor.step(3) == ()  # nobody asks the model for what nobody takes
    assert backend.calls == []
    go.set()
    eventually(lambda: len(monitor.step(4)) == 1)  # it moves again
    monitor.close()
    assert log.steps == [0, 1, 4]


def test_the_time_to_wait_is_spent_once(monkeypatch: pytest.MonkeyPatch) -> None:
    timeouts: list[float | None] = []
    answers = [queue.Full, queue.Full, None, queue.Full]

    class Queue(queue.Queue):  # type: ignore[type-arg]
        def put(self, parcel: Any, block: bool = True, timeout: float | None = None) -> None:
            timeouts.append(timeout)
            answer = answers.pop(0) if answers else None
            if answer is not None:
                raise answer
            super().put(parcel, block, timeout)

    monkeypatch.setattr(queue, "Queue", Queue)
    shipper = shipping.Shipper(xaicore.open_loggers([]))
    assert [shipper.ship((), 0, patience=7) for _ in range(4)] == [False, False, True, False]
    assert timeouts == [7, 0, 0, 7]
    shipper.close(patience=60)


def test_without_loggers_the_results_are_the_callers(x: np.ndarray) -> None:
    with monitored(x, []) as monitor:
        assert [len(monitor.step(n)) for n in range(2)] == [1, 1]


def test_closing_does_not_wait_for_ever(x: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    go = threading.Event()
    monkeypatch.setattr("xaicore.monitor.monitor.PATIENCE", 0.05)
    monitor = monitored(x, Recorder(go.wait))
    monitor.step(0)
    with pytest.warns(RuntimeWarning, match=r"did not finish within 0.05 s: steps not delivered by then may be lost"):
        monitor.close()
    go.set()


def test_a_tracker_that_exits_does_not_end_the_training(x: np.ndarray) -> None:
    def leave() -> None:
        raise SystemExit("bye")

    with (
        pytest.warns(RuntimeWarning, match="a logger raised SystemExit: bye"),
        monitored(x, Recorder(leave)) as monitor,
    ):
        monitor.step(0)


def test_a_pool_that_fails_leaves_the_fixed_pictures(x: np.ndarray, log: Recorder) -> None:
    with monitored(x, log, worst=1, pool=[x]) as monitor:
        with pytest.warns(RuntimeWarning, match="step 0: no worst predictions: InputError: the worst predictions need"):
            assert [one.group for one in monitor.step(0)] == [None]
    with monitored(x, log, worst=1, pool=[x], on_error="raise") as monitor, pytest.raises(InputError):
        monitor.step(0)


# The end.


@pytest.mark.parametrize("beside", [True, False])
def test_a_step_after_the_end_is_reported(x: np.ndarray, log: Recorder, beside: bool) -> None:
    backend = ToyBackend()
    with monitored(x, log, backend, beside=beside) as monitor:
        monitor.step(0)
    backend.calls.clear()
    with pytest.warns(RuntimeWarning, match="step 1 is not logged: this monitor is closed, or was made in another"):
        assert monitor.step(1) == ()
    assert backend.calls == []
    assert log.steps == [0]


def test_a_logger_that_was_late_is_closed_in_the_end(x: np.ndarray) -> None:
    begun, go = threading.Event(), threading.Event()

    def hang() -> None:
        begun.set()
        go.wait()

    log = Recorder(hang)
    shipper = shipping.Shipper(xaicore.open_loggers(log))
    one = xaicore.explain(None, x, backend=ToyBackend())
    shipper.ship([one], 0, 60)
    begun.wait()
    shipper.ship([one], 1, 60)  # the queue is full now
    with pytest.warns(RuntimeWarning, match=r"did not finish within 0.01 s"):
        shipper.close(0.01)
    go.set()
    for thread in list(log.threads):
        thread.join(60)
    assert log.events == ["open", "log 0", "flush", "log 1", "flush", "close"]


def test_a_monitor_may_be_collected_in_the_loggers_thread(x: np.ndarray) -> None:
    log = Recorder(lambda: shippers[0].close(60))
    shippers = [shipping.Shipper(xaicore.open_loggers(log))]
    shippers[0].ship([xaicore.explain(None, x, backend=ToyBackend())], 0, 60)
    while not log.threads:
        threading.Event().wait(0.001)
    for thread in list(log.threads):
        thread.join(60)
    assert log.events == ["open", "log 0", "flush", "close"]


def test_at_exit_it_comes_before_the_trackers_own_end(tmp_path: Path) -> None:
    code = """
import atexit, weakref
weakref.finalize(weakref, print)  # its hook at exit is there before all others
import numpy as np, xaicore
from recorder import Recorder
from toynet import ToyBackend

class Tracker(Recorder):
    def open(self, run):
        atexit.register(self.events.append, "gone")
    def close(self):
        print("gone" in self.events, self.steps)

monitor = xaicore.Monitor(None, np.ones((1, 3, 6, 8), np.float32), backend=ToyBackend(), loggers=Tracker())
monitor.step(0)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.stdout.strip().splitlines()[0] == "False [0]", done.stderr


def test_closing_delivers_what_is_on_its_way(many: np.ndarray) -> None:
    slow = threading.Event()
    log = Recorder(lambda: slow.wait(0.05) and None)
    monitor = monitored(many, log)
    for step in range(4):
        monitor.step(step)
    monitor.close()
    monitor.close()
    assert log.steps == [0, 1, 2, 3]
    assert log.events[-1] == "close"
    assert log.events.count("close") == 1
    assert not any(thread.is_alive() for thread in log.threads)


def test_a_monitor_that_nobody_closes_closes_itself(x: np.ndarray, log: Recorder) -> None:
    monitor = monitored(x, log)
    monitor.step(0)
    del monitor
    gc.collect()
    assert log.events == ["open", "log 0", "flush", "close"]


def test_the_loop_that_fails_still_closes(x: np.ndarray, log: Recorder) -> None:
    with pytest.raises(KeyError), monitored(x, log) as monitor:
        monitor.step(0)
        raise KeyError
    assert log.events[-1] == "close"


def test_later_is_for_a_model_that_is_not_there_yet(x: np.ndarray, log: Recorder) -> None:
    make = Monitor.later(x, backend=ToyBackend(), loggers=log)
    names = []
    for _ in range(2):
        with make(None):
            names.append(log.run.name)
    assert len(set(names)) == 1
    with pytest.raises(TypeError, match="unexpected keyword argument 'evry'"):
        Monitor.later(x, evry=2)


def test_repr_tells_what_a_monitor_does(many: np.ndarray, log: Recorder) -> None:
    with monitored(
        many, log, every=5, name="mine", method=["gradcam", "cam"], worst=2, pool=(many, [0] * 7)
    ) as monitor:
        assert repr(monitor) == (
            "<Monitor of 7 images and the 2 worst of a pool, every 5 steps, to Recorder, run 'mine': "
            "builtins.NoneType: gradcam, cam at second, backend toy>"
        )
    with monitored(many[:1], [], name="yours", layer="first") as monitor:
        assert repr(monitor) == (
            "<Monitor of 1 image, every step, to no logger, run 'yours': "
            "builtins.NoneType: gradcam at first, backend toy>"
        )


def test_pictures_are_made_once(many: np.ndarray, log: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    def from_inputs(x: np.ndarray, *rest: Any) -> Any:
        made.append(len(x))
        return make(x, *rest)

    make = pictures.from_inputs
    monkeypatch.setattr(pictures, "from_inputs", from_inputs)
    with monitored(many, log, batch_size=2, method=["gradcam", "cam"], beside=False, on_error="raise") as monitor:
        seen = [one.images for step in range(3) for one in monitor.step(step)]
    assert made == [7]
    for images in seen:
        assert images is seen[0]  # no step copies them


# What is wrong.


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"every": 0}, InputError, "every=0: expected a whole number, 1 or more"),
        ({"batch_size": -1}, InputError, "batch_size=-1: expected a whole number"),
        ({"every": 1.5}, InputError, "every=1.5: expected a whole number"),
        ({"worst": "a", "pool": [1]}, InputError, "worst='a': expected a whole number, 0 or more"),
        ({"worst": 1.5, "pool": [1]}, InputError, "worst=1.5: expected a whole number, 0 or more"),
        ({"first": 1.5}, InputError, "first=1.5: expected a whole number, 1 or more"),
        ({"budget": "10s"}, InputError, "budget='10s': expected seconds"),
        ({"budget": True}, InputError, "budget=True: expected seconds"),
        ({"every": True}, InputError, "every=True: expected a whole number, 1 or more"),
        ({"beside": "no"}, InputError, "^beside='no': expected True or False$"),
        ({"budget": float("nan")}, InputError, "budget=nan: expected seconds"),
        ({"worst": 1, "pool": iter([])}, InputError, "pool is a list_iterator, which can be read once: pass a loader"),
        ({"worst": 1, "pool": Sample(np.zeros((2, 3, 6, 8)))}, InputError, "the worst predictions need true classes"),
        (
            {"worst": 1, "pool": (np.zeros((2, 3, 6, 8), np.float32), [0, 7])},
            InputError,
            r"pool: truth 7 is out of range: outputs \(1, 4\) have classes 0 to 3",
        ),
        (
            {"worst": 1, "pool": (np.zeros((3, 3, 6, 8), np.float32), [0, -7, 3])},
            InputError,
            r"pool: truth -7 is out of range: outputs \(1, 4\) have classes 0 to 3",
        ),
        ({"budget": 0}, InputError, "budget=0: expected seconds, or None for no limit"),
        ({"worst": 2}, InputError, "worst=2 with pool=None: give both"),
        ({"pool": [1]}, InputError, "worst=0 with pool=a list: give both"),
        ({"worst": 1, "pool": np.zeros(3)}, InputError, r"pool is an array: expected \(x, truth\)"),
        ({"worst": 1, "pool": (np.zeros((2, 3, 4, 4)), [1])}, InputError, "truth of shape .1,. for 2 images"),
        ({"worst": 1, "pool": [1], "targets": [0, 1, 2]}, InputError, "per-image targets cannot be used for the worst"),
        ({"truth": [0, 1]}, InputError, r"truth of shape \(2,\) for 3 images: expected 3 class indices"),
        ({"truth": [0, 9, 1]}, InputError, "truth 9 is out of range: outputs"),
        ({"targets": "truth"}, xaicore.TargetError, "targets 'truth' needs the true classes: pass truth"),
        ({"targets": "truth", "truth": [0, 1, -1]}, xaicore.TargetError, "the true class of 1 of 3 images is unknown"),
        (
            {"targets": "cow", "class_names": NAMES},
            xaicore.TargetError,
            "targets: none of the 4 class names is 'cow'",
        ),
        ({"targets": "cow"}, xaicore.TargetError, "targets: 'cow' is no class index; to use names, pass class_names"),
        ({"targets": [0, 1]}, xaicore.TargetError, "2 targets for 3 images: give one per image, a single number for"),
        ({"targets": [0, 1, 4]}, xaicore.TargetError, "target 4 is out of range"),
        ({"targets": 4}, xaicore.TargetError, "target 4 is out of range"),
        ({"targets": [0.5]}, xaicore.TargetError, "expected None, a class index"),
        ({"layer": "secnod"}, xaicore.LayerError, "no layer called 'secnod' in Toy; nearest names: second"),
        ({"method": "gradcan"}, xaicore.MethodError, "no method called 'gradcan'"),
        ({"method": []}, xaicore.MethodError, "no method: expected a name, a function, or a list of them"),
        ({"scale": "last"}, InputError, "scale='last': expected None, 'first', a positive number"),
        ({"scale": 0}, InputError, "scale=0: expected None, 'first', a positive number"),
        ({"scale": {"cam": 1}}, InputError, "scale has no number for gradcam: expected one for each method"),
        ({"on_error": "ignore"}, InputError, "on_error='ignore': expected 'warn' or 'raise'"),
        (
            {"method": [lambda a, g: a, lambda a, g: a + g]},
            xaicore.MethodError,
            "methods of one name in <la",
        ),
        ({"ids": "abc"}, InputError, "1 ids for 3 images: expected one per image"),
        ({"ids": list("aab")}, InputError, "ids repeat: a; expected a different one for each image"),
        ({"images": np.zeros((2, 4, 4, 3), np.uint8)}, InputError, "images of shape"),
        ({"loggers": "dsik"}, xaicore.PluginError, "no logger plugin called 'dsik'"),
    ],
)
def test_mistakes_show_before_the_training(
    x: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: Any, error: Any, message: str | None
) -> None:
    monkeypatch.chdir(tmp_path)

    class Strict(ToyBackend):
        def capture(self, inputs: Any, layers: Sequence[str], direction: Any = None) -> xaicore.Capture:
            for name in layers:
                if name not in ("first", "second"):
                    raise xaicore.unknown_layer(name, ["first", "second"], "Toy")
            return super().capture(inputs, layers, direction)

    with pytest.raises(error, match=message):
        Monitor(None, x, backend=Strict(), **options)
    assert list(tmp_path.iterdir()) == []  # and nothing was begun


def test_loggers_that_do_not_open_raise(x: np.ndarray) -> None:
    class Closed(Recorder):
        def open(self, run: xaicore.Run) -> None:
            raise OSError("no such tracker")

    with pytest.raises(xaicore.LoggerError, match="'Closed' does not open: OSError: no such tracker"):
        monitored(x, Closed())


def test_memory_does_not_grow(many: np.ndarray) -> None:
    class Forgetful(Recorder):
        def log(self, explanation: xaicore.Explanation, step: int | None = None) -> None:
            self.events[:] = []

    import tracemalloc

    with monitored(many, Forgetful(), worst=2, pool=(many, np.zeros(7, int)), scale="first", beside=False) as monitor:
        sizes = []
        for step in range(200):
            monitor.step(step)
            if step == 20:
                tracemalloc.start()
            if step in (40, 199):
                gc.collect()
                sizes.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
    assert sizes[1] - sizes[0] < 20_000
