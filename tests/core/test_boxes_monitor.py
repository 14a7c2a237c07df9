"""A monitor follows the boxes of its first step, also where the detector no longer finds them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from detector import DetectorBackend, DetectorNet

import xaicore
from xaicore.show import caption
from xaicore.targets import Box, Boxes


class Training:
    """A detector whose scores and boxes the test changes from step to step."""

    def __init__(self, images: int = 2) -> None:
        self.net = DetectorNet()
        self.backend = DetectorBackend("ragged", self.net)
        self.x = np.random.default_rng(1).uniform(size=(3, 3, 6, 9)).astype(np.float32)[:images]

    def monitor(self, target: Any, **options: Any) -> xaicore.Monitor:
        return xaicore.Monitor(
            self.net, self.x, backend=self.backend, targets=target, loggers=(), on_error="raise", **options
        )


def rank(explanation: xaicore.Explanation, net: DetectorNet, m: int) -> int:
    """The cell of the box of row m."""
    return int(np.abs(net.boxes(6, 9) - explanation.target_box(m)).sum(axis=1).argmin())


@pytest.mark.filterwarnings("ignore:step")
def test_the_same_object_is_followed() -> None:
    training = Training()
    with training.monitor(Box(0)) as monitor:
        (first,) = monitor.step(0)
        cells = [rank(first, training.net, m) for m in range(2)]
        training.net.offsets += 0.2  # boxes move
        training.net.bias[cells] = -9
        (gone,) = monitor.step(1)
        assert gone.scores.tolist() == [0, 0]
        assert gone.empty.all()
        assert gone.targets.tolist() == first.targets.tolist()
        assert [gone.target_name(m) for m in range(2)] == ["1 not found", "2 not found"]
        assert gone.target_box(0) is None
        assert caption(gone.row(0)).split(" | ")[1] == "1 not found 0.000"
        training.net.offsets += 0.2
        training.net.bias[:] = 1  # others are better now
        training.net.bias[cells] = 0
        (found,) = monitor.step(2)
        assert [rank(found, training.net, m) for m in range(2)] == cells
        assert found.target == "best box"
        assert (found.scores > 0.7).all()


def test_the_place_is_that_of_the_step_before() -> None:
    training = Training()
    with training.monitor(Box(0)) as monitor:
        (first,) = monitor.step(0)
        for step in range(1, 6):  # three times as far as a box may be from its place in one step
            training.net.offsets += 0.5
            (last,) = monitor.step(step)
        assert last.scores == pytest.approx(first.scores)


def test_nothing_found_at_first_is_no_error_and_filled_later() -> None:
    training = Training()
    training.backend.least = 0.73  # image 0 has one box, image 1 two
    with training.monitor(Boxes(3), batch_size=1) as monitor:
        (first,) = monitor.step(0)
        assert [first.target_name(m) for m in range(6)] == ["1", *["no box"] * 2, "2", "2", "no box"]
        training.backend.least = 0.6
        (second,) = monitor.step(1)
        assert [rank(second, training.net, m) for m in (0, 3, 4)] == [rank(first, training.net, m) for m in (0, 3, 4)]
        assert len({rank(second, training.net, m) for m in range(3)}) == 3
        assert (second.scores > 0.6).all()


def test_a_detector_that_finds_nothing_yet_is_monitored() -> None:
    training = Training()
    training.backend.least = 1.0
    with training.monitor(Box(0)) as monitor:
        (empty,) = monitor.step(0)
        assert empty.empty.all()
        assert empty.target_name(0) == "no box"
        training.backend.least = 0.7
        (found,) = monitor.step(1)
        assert (found.scores > 0.7).all()


def test_places_per_image_are_followed() -> None:
    training = Training()
    places = training.net.boxes(6, 9)[[0, 3]]
    with training.monitor(Box(near=places), batch_size=1) as monitor:
        (first,) = monitor.step(0)
        assert [rank(first, training.net, m) for m in range(2)] == [0, 3]
    with pytest.raises(xaicore.TargetError, match="near= has 3 boxes for 2 images"):
        training.monitor(Box(near=[*places, places[0]]))


def test_there_are_no_worst_boxes() -> None:
    training = Training()
    with pytest.raises(xaicore.InputError, match="which boxes of a detector do not have"):
        training.monitor(Box(0), worst=1, pool=(training.x, [0, 1]))
