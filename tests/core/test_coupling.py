"""Models in which the rows of a batch influence each other, in methods of many passes."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from biasnet import BiasBackend

import xaicore
from xaicore import MethodError
from xaicore.methods import method

RISE = method("rise", masks=20, grid=2)


@pytest.fixture
def x() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(3, 3, 4, 6)).astype(np.float32)


class Coupled(BiasBackend):
    """Subtracts from the outputs of each row a share of the mean over the batch; `noise` is that of the sums."""

    powers = frozenset({"input_gradients", "resume"})

    def __init__(self, share: float, noise: float = 0.0) -> None:
        super().__init__()
        self.share, self.noise = share, noise

    def capture(self, inputs: Any, *args: Any, **kwargs: Any) -> xaicore.Capture:
        found = super().capture(inputs, *args, **kwargs)
        return replace(found, outputs=self.mixed(found.outputs))

    def resume(self, inputs: Any, layer: str, activations: np.ndarray) -> np.ndarray:
        self.sizes.append(len(activations))
        logits = np.maximum(activations, 0).mean(axis=(2, 3)) @ self.net.w.T + self.net.d
        return self.mixed(logits.astype(np.float32))

    def mixed(self, outputs: np.ndarray) -> np.ndarray:
        factor = 1 + self.noise * (len(outputs) - 4)
        return outputs * factor - self.share * outputs.mean(axis=0)


COUPLED = [RISE, method("scorecam"), method("ablationcam"), method("smoothgrad", n=7, sigma=0.1)]


@pytest.mark.parametrize("one", COUPLED, ids=lambda one: one.name)
def test_rows_that_influence_each_other_run_one_by_one(x: np.ndarray, one: xaicore.Method) -> None:
    backend = Coupled(0.5)
    with pytest.warns(RuntimeWarning, match="rows of a batch influence each other .* run one by one"):
        found = xaicore.explain(None, x[:1], [[1, 2]], method=one, layer="second", backend=backend)
    assert set(backend.sizes[4:]) == {1}  # the first pass, a batch, its first row alone and as often
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        alone = xaicore.explain(None, x[:1], [[1, 2]], method=one, layer="second", backend=Coupled(0.5), batch_size=1)
    np.testing.assert_allclose(found.maps, alone.maps, rtol=1e-5, atol=1e-6)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("one", COUPLED, ids=lambda one: one.name)
def test_images_that_influence_each_other_are_refused(x: np.ndarray, one: xaicore.Method) -> None:
    explainer = xaicore.Explainer(None, one, layer="second", backend=Coupled(0.5))
    for _ in range(2):  # the second time, no batch runs
        explainer.backend.sizes.clear()
        with pytest.raises(MethodError, match=r"the 3 images of the batch influence each other.*one image per call"):
            explainer(x, 1)
    assert explainer.backend.sizes == [3]


def test_what_is_known_of_a_model_is_not_asked_again(x: np.ndarray) -> None:
    for share in (0.0, 0.5):
        backend = Coupled(share)
        explainer = xaicore.Explainer(None, RISE, layer="second", backend=backend)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            explainer(x[:1], 1)
        backend.sizes.clear()
        explainer(x[:1], 1)
        assert backend.sizes == ([1, *[1] * 20] if share else [1, 16, 4])


@pytest.mark.filterwarnings("error")
def test_batches_that_round_in_their_own_way_are_not_coupled(x: np.ndarray) -> None:
    backend = Coupled(0.0, noise=0.01)
    xaicore.explain(None, x[:1], 1, method=RISE, backend=backend)
    assert backend.sizes == [1, 16, 1, 16, 4]
