"""A copy of a model in another precision: what it computes, and that the model itself stays as it is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import xaicore
from xaicore_torch.backend import TorchBackend


def build() -> nn.Module:
    torch.manual_seed(0)
    features = (nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 6, 3), nn.ReLU())
    return nn.Sequential(*features, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4)).eval()


def test_the_copy_computes_in_the_precision_and_the_model_stays() -> None:
    model, x = build(), np.random.default_rng(0).random((2, 3, 12, 12), np.float32)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    strides = model[0].weight.stride()
    backend = TorchBackend(model)
    half = backend.in_precision("bfloat16")
    seen: list[torch.dtype] = []
    half.model[3].register_forward_hook(lambda part, args, y: seen.append(y.dtype))
    exact = xaicore.explain(model, x, 1)
    coarse = xaicore.Explainer(half.model, backend=half)(x, 1)
    assert set(seen) == {torch.bfloat16}
    own = {name: tensor.bfloat16() if tensor.is_floating_point() else tensor for name, tensor in before.items()}
    for name, tensor in half.model.state_dict().items():
        assert torch.equal(tensor, own[name]), name
    apart = np.abs(exact.heatmaps() - coarse.heatmaps()).max()
    assert 0 < apart < 0.05, "bfloat16 has eight bits"
    np.testing.assert_allclose(coarse.outputs, exact.outputs, atol=0.02)
    for name, tensor in model.state_dict().items():
        assert tensor.dtype == before[name].dtype, name
        assert torch.equal(tensor, before[name]), name
    assert model[0].weight.stride() == strides
    assert half.model[0].weight.is_contiguous(memory_format=torch.channels_last)


def test_float32_is_the_same_but_for_the_layout() -> None:
    model, x = build(), np.random.default_rng(1).random((2, 3, 12, 12), np.float32)
    same = TorchBackend(model).in_precision("float32")
    maps = xaicore.Explainer(same.model, backend=same)(x, 2).maps
    np.testing.assert_allclose(maps, xaicore.explain(model, x, 2).maps, rtol=1e-4, atol=1e-6)


def test_the_output_that_is_explained_stays() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = build()

        def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
            scores = self.body(x)
            return {"first": scores, "second": -scores}

    x = torch.rand(1, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    half = TorchBackend(Two().eval(), "second").in_precision("float16")
    np.testing.assert_allclose(half.predict(x.half()), -Two().eval()(x)["first"].detach().numpy(), atol=0.02)


def test_what_cannot_be_had_is_said() -> None:
    model = build()
    with pytest.raises(xaicore.InputError, match=r"precision='int8': expected one of 'float32', 'bfloat16', 'float16'"):
        TorchBackend(model).in_precision("int8")
    model.kept = model[0].weight * 2  # not a leaf: torch does not copy it
    with pytest.raises(
        xaicore.BackendError, match=r"cannot be copied, RuntimeError: .*pass .* model.to\(torch.bfloat16"
    ):
        TorchBackend(model).in_precision("bfloat16")
