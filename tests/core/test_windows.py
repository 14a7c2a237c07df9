"""Windows: they cover all of an input, and their weighted mean is the map of the whole."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toynet import ToyBackend

import xaicore
from xaicore.windows.plan import Stitch, plan_windows

RNG = np.random.default_rng(0)


@given(
    size=st.lists(st.integers(1, 40), min_size=1, max_size=2),
    window=st.integers(1, 50),
    overlap=st.sampled_from([0, 0.25, 0.5, 0.9]),
)
def test_windows_cover_all_and_constants_stay_what_they_are(size: list[int], window: int, overlap: float) -> None:
    plan = plan_windows(size, window, overlap)
    assert plan.window == tuple(min(window, n) for n in size)
    seen = np.zeros(size, int)
    for start in plan.starts:
        assert all(s >= 0 and s + w <= n for s, w, n in zip(start, plan.window, size, strict=True))
        seen[plan.at(start)] += 1
    assert seen.min() >= 1
    assert len(set(plan.starts)) == len(plan.starts)
    stitch = Stitch(plan, 2)
    for start in plan.starts:
        stitch.add(start, np.stack([np.full(plan.window, 3.0), np.full(plan.window, -1.5)]))
    np.testing.assert_allclose(
        stitch.maps(), np.broadcast_to(np.reshape([3, -1.5], (2, *[1] * len(size))), (2, *size)), rtol=1e-5
    )


def test_neighbours_overlap_as_asked() -> None:
    assert plan_windows((100,), 40, 0.5).starts == ((0,), (20,), (40,), (60,))
    assert plan_windows((100,), 40, 0.25).starts == ((0,), (30,), (60,))
    assert plan_windows((90,), 40, 0).starts == ((0,), (40,), (50,))  # the last one ends where the input does
    assert plan_windows((6, 4), (3, 9), 0).starts == ((0, 0), (3, 0))


def test_what_lies_in_the_middle_of_a_window_counts_more() -> None:
    plan = plan_windows((6,), 4, 0.5)
    np.testing.assert_allclose(plan.weights, [0.125, 0.375, 0.375, 0.125])
    stitch = Stitch(plan, 1)
    stitch.add((0,), np.full((1, 4), 1.0))
    stitch.add((2,), np.full((1, 4), 5.0))
    between = [(0.375 * 1 + 0.125 * 5) / 0.5, (0.125 * 1 + 0.375 * 5) / 0.5]
    np.testing.assert_allclose(stitch.maps()[0], [1, 1, *between, 5, 5])


@pytest.mark.parametrize("window", [0, -3, 2.5, (3, 4), (3, 0, 2), "abc", None])
def test_windows_that_make_no_sense_are_refused(window: object) -> None:
    with pytest.raises(xaicore.InputError, match=r"for an input with the positions \(7, 8, 9\): expected 3 positive"):
        plan_windows((7, 8, 9), window, 0.5)


@pytest.mark.parametrize("overlap", [1, -0.1, "half"])
def test_overlaps_that_make_no_sense_are_refused(overlap: object) -> None:
    with pytest.raises(xaicore.InputError, match="expected a share of the window, 0 <= overlap < 1"):
        plan_windows((7,), 3, overlap)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [(9,), (6, 8), (3, 4, 5)])
@pytest.mark.parametrize("targets", [None, "predicted", 2, [[0, 2]], [1, 2], "truth", xaicore.targets.TopK(2)])
def test_one_window_gives_what_one_pass_gives(size: tuple[int, ...], targets: object) -> None:
    x = RNG.normal(size=(2, 3, *size)).astype(np.float32)
    explainer = xaicore.Explainer(None, backend=ToyBackend())
    known = {"truth": [0, 1], "ids": ["a", "b"], "targets": targets}
    one, other = explainer(x, **known), xaicore.sliding(explainer, x, max(size), **known)
    for name in ("image_index", "targets", "predicted", "empty", "truth", "images"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), name)
    for name in ("scores", "outputs"):  # of passes of one image and of two
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-5, atol=1e-6, err_msg=name)
    assert (one.ids, one.target, one.input_size) == (other.ids, other.target, other.input_size)
    np.testing.assert_allclose(one.heatmaps(), other.heatmaps(), rtol=1e-5, atol=1e-7)
    assert other.maps.shape == (len(one), *size)
    np.testing.assert_array_equal(one.draw(1)["picture"], other.draw(1)["picture"])


class Watch:
    """Counts the batches of windows, seen by the model, that are still alive when a window of another one is cut."""

    def __init__(self) -> None:
        self.batches: list[weakref.ref[np.ndarray]] = []
        self.alive: list[int] = []

    def see(self, windows: np.ndarray) -> None:
        self.batches.append(weakref.ref(windows))

    def cut(self) -> None:
        self.alive.append(sum(one() is not None for one in self.batches))


class WatchedArray(np.ndarray):
    watch: Watch

    def __getitem__(self, where: Any) -> Any:
        self.watch.cut()
        return np.asarray(self)[where]


class WatchedBackend(ToyBackend):
    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self.watch = watch

    def predict(self, inputs: Any) -> np.ndarray:
        self.watch.see(inputs)
        return super().predict(inputs)


class WatchedExplainer(xaicore.Explainer):
    def __call__(self, x: Any, *args: Any, **options: Any) -> xaicore.Explanation:
        assert isinstance(self.backend, WatchedBackend)
        self.backend.watch.see(x)
        return super().__call__(x, *args, **options)


@pytest.mark.parametrize("targets", [None, 1])
def test_one_batch_of_windows_is_held_at_a_time(targets: int | None) -> None:
    watch = Watch()
    x = RNG.normal(size=(2, 3, 16, 16)).astype(np.float32).view(WatchedArray)
    x.watch = watch
    explainer = WatchedExplainer(None, backend=WatchedBackend(watch))
    explanation = xaicore.sliding(explainer, x, 4, batch_size=3, targets=targets)
    assert len(watch.batches) > 30
    assert len(watch.alive) > 90
    assert set(watch.alive) == {0}
    assert explanation.images.shape == (2, 16, 16, 3)


@pytest.mark.parametrize(("targets", "passes"), [(None, 2), (1, 1)])
def test_progress_counts_the_windows_of_all_inputs(targets: int | None, passes: int) -> None:
    x = RNG.normal(size=(2, 3, 8, 8)).astype(np.float32)
    told: list[tuple[int, int]] = []
    own: list[tuple[int, int]] = []
    explainer = xaicore.Explainer(
        None, "ablationcam", backend=ToyBackend(), progress=lambda done, total: own.append((done, total))
    )
    total = 2 * 9 * passes
    steps = [4, 8, 9, 13, 17, 18, 22, 26, 27, 31, 35, 36][: total // 3]
    xaicore.sliding(explainer, x, 4, targets=targets, progress=lambda done, total: told.append((done, total)))
    assert told == [(done, total) for done in steps]
    assert not own  # the bars of each batch would hide that of the whole
    xaicore.sliding(explainer, x, 4, targets=targets)
    assert own == told
    own.clear()
    xaicore.sliding(explainer, x, 4, targets=targets, progress=False)
    assert not own
    explainer(x[:1], 1)
    assert own  # the explainer itself is as it was


def test_what_does_not_fit_is_refused() -> None:
    explainer = xaicore.Explainer(None, backend=ToyBackend())
    x = RNG.normal(size=(2, 3, 6, 8)).astype(np.float32)
    with pytest.raises(xaicore.InputError, match="2 inputs: windows are cut of one array"):
        xaicore.sliding(explainer, (x, x), 4)
    with pytest.raises(xaicore.InputError, match=r"an input of shape \(2, 3\): expected \(N, C, \.\.\.\)"):
        xaicore.sliding(explainer, x[:, :, 0, 0], 4)
    with pytest.raises(xaicore.InputError, match="progress=7: expected None, True, False or a function"):
        xaicore.sliding(explainer, x, 4, progress=7)  # type: ignore[arg-type]
    with pytest.raises(xaicore.InputError, match="batch_size=0: expected a whole number, 1 or more"):
        xaicore.sliding(explainer, x, 4, batch_size=0)
    with pytest.raises(xaicore.TargetError, match="3 targets for 2 images"):
        xaicore.sliding(explainer, x, 4, targets=[0, 1, 2])
    with pytest.raises(xaicore.InputError, match="truth"):
        xaicore.sliding(explainer, x, 4, truth=[0, 1, 2])
