"""A copy of a model in another precision: what it computes, and that the model itself stays as it is."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
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
    half = TorchBackend(model).in_precision("bfloat16")
    seen: list[torch.dtype] = []
    half[3].register_forward_hook(lambda part, args, y: seen.append(y.dtype))
    exact = xaicore.explain(model, x, 1)
    coarse = xaicore.explain(half, x, 1)
    assert set(seen) == {torch.bfloat16}
    own = {name: tensor.bfloat16() if tensor.is_floating_point() else tensor for name, tensor in before.items()}
    for name, tensor in half.state_dict().items():
        assert torch.equal(tensor, own[name]), name
    apart = np.abs(exact.heatmaps() - coarse.heatmaps()).max()
    assert 0 < apart < 0.05, "bfloat16 has eight bits"
    np.testing.assert_allclose(coarse.outputs, exact.outputs, atol=0.02)
    for name, tensor in model.state_dict().items():
        assert tensor.dtype == before[name].dtype, name
        assert torch.equal(tensor, before[name]), name
    assert model[0].weight.stride() == strides
    assert half[0].weight.is_contiguous(memory_format=torch.channels_last)


def test_float32_is_the_same_but_for_the_layout() -> None:
    model, x = build(), np.random.default_rng(1).random((2, 3, 12, 12), np.float32)
    same = TorchBackend(model).in_precision("float32")
    maps = xaicore.explain(same, x, 2).maps
    np.testing.assert_allclose(maps, xaicore.explain(model, x, 2).maps, rtol=1e-4, atol=1e-6)


def test_what_cannot_be_had_is_said() -> None:
    model = build()
    with pytest.raises(xaicore.InputError, match=r"precision='int8': expected one of 'float32', 'bfloat16', 'float16'"):
        TorchBackend(model).in_precision("int8")
    model.kept = model[0].weight * 2  # not a leaf: torch does not copy it
    with pytest.raises(
        xaicore.BackendError, match=r"cannot be copied, RuntimeError: .*pass .* model.to\(torch.bfloat16"
    ):
        TorchBackend(model).in_precision("bfloat16")


def prepare(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    seen = cv2.resize(picture, (12, 12))
    return (seen / 255).astype(np.float32).transpose(2, 0, 1), seen


def test_a_data_set_is_explained_in_it_and_the_difference_is_told(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    rng = np.random.default_rng(0)
    pictures = list(rng.integers(0, 255, (10, 12, 12, 3), dtype=np.uint8))
    model = build()
    table = xaicore.explain_dataset(
        model, pictures, tmp_path / "half", preprocess=prepare, precision="bfloat16", targets=1, progress=False
    )
    half = TorchBackend(model).in_precision("bfloat16")
    x = np.stack([prepare(picture)[0] for picture in pictures])
    coarse, own = xaicore.explain(half, x, 1), xaicore.explain(model, x, 1)
    stored = table.explanation(images=None)
    np.testing.assert_allclose(stored.maps, coarse.maps, rtol=2e-3, atol=1e-6)
    np.testing.assert_allclose(stored.scores, coarse.scores, rtol=1e-6)
    told = json.loads((tmp_path / "half" / "run.json").read_text())["precision"]
    apart = np.abs(coarse.heatmaps() - own.heatmaps())[:8]
    assert told["pictures"] == 8
    assert 0 < told["largest"] == pytest.approx(float(apart.max()), abs=0.02)
    assert told["otherwise"] == int((coarse.predicted != own.predicted)[:8].sum())
    assert told["text"].startswith("heatmaps of 8 pictures differ by 0.")
    with pytest.raises(xaicore.InputError, match=r"the options: was \{.*bfloat16.*\}, is "):
        xaicore.explain_dataset(model, pictures, tmp_path / "half", preprocess=prepare, targets=1, resume=True)
    with pytest.raises(xaicore.InputError, match=r"precision='bfloat16' makes a copy of the model, and backend=<"):
        xaicore.explain_dataset(
            *(model, pictures, tmp_path / "other"),
            **{"preprocess": prepare, "precision": "bfloat16", "backend": TorchBackend(model)},
        )
