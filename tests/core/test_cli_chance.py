"""When a best score near chance is reported."""

from __future__ import annotations

import numpy as np
import pytest
from toynet import ToyBackend, ToyNet

import xaicore
from xaicore.cli.chance import Chance


def explained(classes: int, gain: float, others: float = 0, **options: str) -> xaicore.Explanation:
    """Of a net whose logits are about 6 times `gain` for class 1, and 6 times `others` for any other."""
    backend = ToyBackend()
    backend.net = ToyNet(classes=classes)
    x = np.random.default_rng(0).uniform(size=(2, 3, 4, 4)).astype(np.float32)
    pool = backend.net.forward(x)["pool"][..., 0, 0]
    backend.net.w[:] = others / pool.mean()
    backend.net.w[1] = (others + gain) / pool.mean()
    return xaicore.explain(None, x, backend=backend, **options)


@pytest.mark.parametrize(("classes", "gain", "reported"), [(50, 0.02, True), (50, 30.0, False), (5, 0.02, False)])
def test_scores_near_chance(classes: int, gain: float, reported: bool) -> None:
    chance = Chance()
    chance.add(explained(classes, gain))
    assert (str(chance) != "") is reported
    if reported:
        assert str(chance).startswith(
            f"the best score is {chance.best:.2g}, and 0.02 is chance for 50 classes: are the w"
        )


def test_a_sigmoids_scores_say_nothing_of_chance() -> None:
    chance = Chance()
    chance.add(explained(50, 0.02, others=-6.0, activation="sigmoid"))
    assert str(chance) == ""
