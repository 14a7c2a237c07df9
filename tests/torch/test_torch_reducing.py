"""Maps that torch computes where the tensors lie are those of NumPy; nothing else is brought to the host."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch_nets import ConvGapDense, pictures

import xaicore
from xaicore import Explainer
from xaicore.methods import METHODS
from xaicore.targets import Box, Boxes
from xaicore_torch import copies, pullback
from xaicore_torch.backend import TorchBackend

FORMULAS = [name for name, method in METHODS.items() if method.is_formula and method.fusion is None]
CLASSES = [[0, 2], [1, 0]]


class Remote(TorchBackend):
    """As if the model lay on an accelerator."""

    on_accelerator = True


@pytest.fixture
def brought(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[list[tuple[int, ...]]]]:
    """The shapes of what is copied to the host, each time that it is waited for."""
    seen: list[list[tuple[int, ...]]] = []
    begun: set[int] = set()
    start, wait = copies.Copies.__init__, copies.Copies.arrays

    def begin(self: Any, tensors: Any) -> None:
        tensors = list(tensors)
        start(self, tensors)
        if tensors:
            begun.add(id(self))

    def arrays(self: Any) -> list[np.ndarray]:
        found = wait(self)
        begun.discard(id(self))
        seen.append([array.shape for array in found])
        return found

    monkeypatch.setattr(copies.Copies, "__init__", begin)
    monkeypatch.setattr(copies.Copies, "arrays", arrays)
    yield seen
    assert not begun  # nothing is copied that nobody waits for


def check_same(model: nn.Module, x: Any, targets: Any = CLASSES, rtol: float = 1e-5, **options: Any) -> Any:
    """Explain on both ways; the explanation of reduced layers."""
    calls: list[Any] = []

    class Seen(Remote):
        def capture(self, *args: Any, **kwargs: Any) -> Any:
            captured = super().capture(*args, **kwargs)
            if len(args) > 2 and args[2] is not None:
                calls.append((dict(captured.activations), dict(captured.gradients), dict(captured.reduced)))
            return captured

    output = options.pop("output", None)
    there = Explainer(model, backend=Seen(model, output), **options)(x, targets)
    here = Explainer(model, backend=TorchBackend(model, output), **options)(x, targets)
    activations, gradients, reduced = calls[-1]  # a layer that is found may first be looked for
    assert reduced
    assert not activations
    assert not gradients
    assert not here.empty.all()
    np.testing.assert_allclose(there.maps, here.maps, rtol=rtol, atol=rtol * np.abs(here.maps).max())
    np.testing.assert_array_equal(there.scores, here.scores)
    assert there.layer == here.layer
    return there


@pytest.mark.parametrize("method", FORMULAS)
@pytest.mark.parametrize("layer", ["relu1", ["conv2", "relu1"]])
def test_convolutions(method: str, layer: Any, unchanged: Any) -> None:
    model = ConvGapDense()
    with unchanged(model):
        check_same(model, pictures(), method=method, layer=layer)


def test_several_layers_that_are_multiplied() -> None:
    check_same(ConvGapDense(), pictures(), method="refinecam", layer=["relu1", "relu2"])


class Tokens(nn.Module):
    """A vision transformer with a class token, and maps of a convolution before it."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.patches = nn.Conv2d(3, 8, 4, 4)
        self.start = nn.Parameter(torch.randn(1, 1, 8))
        self.blocks = nn.Sequential(
            *(nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True, norm_first=True) for _ in range(2))
        )
        self.head = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        patches = self.patches(x).flatten(2).transpose(1, 2)
        return self.head(self.blocks(torch.cat([self.start.expand(len(x), 1, 8), patches], 1))[:, 0])


class ChannelsLast(nn.Module):
    """Convolutions between permutations, as in ConvNeXt and Swin: a layer gives (N, H, W, C)."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 6, 3, padding=1)
        self.norm = nn.LayerNorm(6)
        self.mix = nn.Linear(6, 7)
        self.head = nn.Linear(7, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        seen = self.norm(self.conv(x).permute(0, 2, 3, 1))
        return self.head(self.mix(seen).relu().mean((1, 2)))


@pytest.mark.parametrize("method", FORMULAS)
@pytest.mark.parametrize(("make", "layer"), [(Tokens, "blocks.0"), (ChannelsLast, "norm")])
def test_tokens_and_channels_last(method: str, make: Any, layer: str, unchanged: Any) -> None:
    model = make().eval()
    with unchanged(model):
        check_same(model, pictures(2, 3, 16, 24), method=method, layer=layer, rtol=2e-5)


class StepsFirst(nn.Module):
    """Tokens of all images on the first axis, images on the second."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.patches, self.block = nn.Conv2d(3, 8, 4, 4), nn.TransformerEncoderLayer(8, 2, 16, 0.0)
        self.head = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.block(self.patches(x).flatten(2).permute(2, 0, 1)).mean(0))


@pytest.mark.parametrize("count", [2, 3])
def test_images_on_another_axis(count: int) -> None:
    check_same(StepsFirst().eval(), pictures(count, 3, 16, 24), [[0, 2]] * count, method="layercam", layer="block")


def test_a_layer_that_runs_for_one_image_after_the_other() -> None:
    class OneByOne(ConvGapDense):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.cat([super(OneByOne, self).forward(one[None]) for one in x])

    model, said = OneByOne(), []
    for backend in (Remote(model), TorchBackend(model)):
        with pytest.raises(xaicore.LayerError) as caught:
            Explainer(model, layer="relu1", backend=backend)(pictures(2))
        said.append(str(caught.value))
    assert said[0] == said[1]
    assert "gave 1 maps for 2 pictures" in said[0]


def test_memory_with_channels_last() -> None:
    model = ConvGapDense(channels=3).to(memory_format=torch.channels_last)
    check_same(model, pictures(2, 3).to(memory_format=torch.channels_last), method="layercam", layer="relu1")


class Twice(nn.Module):
    """One body for two pictures."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body, self.head = nn.Conv2d(1, 4, 3, padding=1), nn.Linear(8, 3)

    def forward(self, one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        return self.head(torch.cat([self.body(x).relu().mean((2, 3)) for x in (one, other)], 1))


@pytest.mark.parametrize("layer", ["body#*", "body#1"])
def test_runs_of_a_layer(layer: str) -> None:
    x = pictures(4)
    found = check_same(Twice(), (x[:2], x[2:] + 1), method="xgradcam", layer=layer)
    assert found.maps.shape == ((4, 2, 6, 9) if layer == "body#*" else (4, 6, 9))


class Detector(nn.Module):
    """Logits and boxes per cell of its last map."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, 4, 1), nn.ReLU(), nn.Conv2d(8, 16, 3, 2, 1), nn.ReLU())
        self.scores = nn.Conv2d(16, 4, 3, padding=1)
        self.config = SimpleNamespace(num_labels=4)
        self.passes = 0

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        seen = self.body(x)
        rows, columns = seen.shape[2:]
        y, across = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
        centres = torch.stack([(across + 0.5) / columns, (y + 0.5) / rows], -1).reshape(1, -1, 2)
        boxes = torch.cat([centres, torch.full_like(centres, 0.3)], 2).expand(len(x), -1, 4)
        return {"logits": 20 * self.scores(seen).flatten(2).transpose(1, 2), "pred_boxes": boxes}


@pytest.mark.parametrize("layer", ["body", None])
def test_boxes(layer: str | None) -> None:
    """A layer that is found leads to all of them."""
    x = torch.rand(2, 3, 32, 48, generator=torch.Generator().manual_seed(1))
    found = check_same(Detector().eval(), x, Boxes(3), method="gradcam++", layer=layer)
    assert len(found.maps) == 6


def test_a_layer_that_is_found_for_boxes_costs_no_pass_more() -> None:
    model = Detector().eval()
    x = torch.rand(1, 3, 32, 48, generator=torch.Generator().manual_seed(1))
    explainer, counts = Explainer(model, backend=Remote(model)), []
    model.register_forward_hook(lambda *_: counts.append(1))
    explainer(x, Box())
    counts.clear()
    explainer(x, Box())
    assert len(counts) == 1


def test_a_direction_of_zeros_at_outputs_that_are_new_zeros() -> None:
    """As of a detector that finds nothing in changed pictures."""

    class Blind(ConvGapDense):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x).new_zeros(len(x), 3)

    def table(xp: Any, activations: Any, gradients: Any) -> Any:
        sums = xp.sum(xp.reshape(activations, (2, 1, -1)), axis=-1)
        return xp.stack([xp.sum(xp.abs(gradients), axis=(2, 3, 4)), xp.broadcast_to(sums, (2, 5))], axis=-1)

    model, x = Blind(), pictures()
    zeros = np.zeros((2, 5, 3), np.float32)
    found = TorchBackend(model).capture(x, ["relu1"], lambda *_: zeros, reduce={"relu1": table}).reduced["relu1"]
    assert not found[..., 0].any()
    sums = TorchBackend(model).capture(x, ["relu1"]).activations["relu1"].reshape(2, 1, -1).sum(axis=-1)
    np.testing.assert_allclose(found[..., 1], np.repeat(sums, 5, axis=1), rtol=1e-5)


@pytest.mark.parametrize("method", FORMULAS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_precisions(method: str, dtype: torch.dtype) -> None:
    check_same(ConvGapDense().to(dtype), pictures().to(dtype), method=method, layer="relu1")


def test_small_gradients_survive_float16() -> None:
    """Grad-CAM++ is no multiple of a power of the gradient, so that its scale must be gone before."""
    model = ConvGapDense()
    with torch.no_grad():
        model.dense.weight.mul_(2e-5)
    expected = Explainer(copy.deepcopy(model), "gradcam++", "relu1")(pictures(), CLASSES)
    found = check_same(model.half(), pictures().half(), method="gradcam++", layer="relu1")
    np.testing.assert_allclose(found.maps, expected.maps, atol=0.05 * expected.maps.max())


def test_what_overflows_in_float16_is_pulled_back_again() -> None:
    model = ConvGapDense()
    with torch.no_grad():
        model.dense.weight.mul_(3e3)
        model.dense.bias.zero_()
    x = pictures(2, 1, 2, 3) * 1e-2
    expected = Explainer(copy.deepcopy(model), "layercam", "relu1")(x, CLASSES)
    found = check_same(model.half(), x.half(), method="layercam", layer="relu1")
    np.testing.assert_allclose(found.maps, expected.maps, atol=0.02 * expected.maps.max())


class Coupled(ConvGapDense):
    """A batch norm without running statistics: the outputs of an image depend on the others."""

    def __init__(self) -> None:
        super().__init__()
        self.relu1 = nn.Sequential(nn.ReLU(), nn.BatchNorm2d(4, track_running_stats=False))


@pytest.mark.parametrize("method", FORMULAS)
def test_images_that_are_coupled(method: str) -> None:
    check_same(Coupled(), pictures(3), [[0, 2], [1, 0], [1, 1]], method=method, layer="conv1")


def test_many_targets_are_reduced_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch, brought: Any) -> None:
    monkeypatch.setattr(pullback, "MOST", 1)
    found = check_same(ConvGapDense(), pictures(), [[0, 1, 2]] * 2, method="gradcam++", layer="relu1")
    assert found.maps.shape == (6, 6, 9)
    assert [(2, 1, 57)] not in brought  # the axis of targets is the first one as they come
    assert brought.count([(1, 2, 57)]) == 6


def test_maps_alone_travel_and_are_waited_for_once(brought: Any) -> None:
    """Outputs, then three facts and a map for each image and target; the first call looks for coupled images, too."""
    model, x = ConvGapDense(), pictures()
    explainer = Explainer(model, layer=["relu1", "relu2"], backend=Remote(model))
    explainer(x, CLASSES)
    brought.clear()
    explainer(x, CLASSES)
    assert brought == [[(2, 3)], [(2, 2, 57), (2, 2, 57)]]
    brought.clear()
    Explainer(model, layer="relu1", backend=TorchBackend(model))(x, CLASSES)
    assert [(2, 4, 6, 9)] in brought
    assert [(2, 2, 4, 6, 9)] in brought


def test_what_is_brought_whole_is_copied_before_the_pull_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the wait for gradients is the last one."""
    order: list[str] = []
    start, wait = copies.Copies.__init__, copies.Copies.arrays
    monkeypatch.setattr(copies.Copies, "__init__", lambda self, x: (order.append("start"), start(self, x))[1])
    monkeypatch.setattr(copies.Copies, "arrays", lambda self: (order.append("wait"), wait(self))[1])
    model, x = ConvGapDense(), pictures(1)
    backend = TorchBackend(model)
    backend.observe(x)
    order.clear()
    backend.capture(x, ["relu1"], lambda outputs, kind: np.ones((1, 1, 3)))
    assert order == ["start", "wait", "start", "start", "wait", "wait"]  # outputs; activations, gradients


def test_a_layer_that_does_not_reach_the_outputs() -> None:
    class Aside(ConvGapDense):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.conv1(x)
            return self.dense(self.relu2(self.conv2(x.expand(-1, 4, -1, -1))).mean((2, 3)))

    model = Aside()
    with pytest.raises(xaicore.LayerError, match="layer 'conv1' does not reach the outputs"):
        Explainer(model, layer="conv1", backend=Remote(model))(pictures())


def test_a_formula_of_numpy_s_own_names_is_told_what_to_use(unchanged: Any) -> None:
    def mine(activations: Any, gradients: Any, xp: Any = np) -> Any:
        return gradients.astype(float).sum(axis=2)

    model = ConvGapDense()
    said = (
        r"method 'mine' takes arrays of any module, and fails with those of torch: .*astype.*leave out the argument xp"
    )
    with unchanged(model), pytest.raises(xaicore.MethodError, match=said):
        Explainer(model, mine, "relu1", Remote(model))(pictures())


@pytest.mark.parametrize(("device", "expected"), [("cpu", False), ("mps", False), ("cuda", True), ("xpu", True)])
def test_where_it_pays(device: str, expected: bool) -> None:
    class Elsewhere(ConvGapDense):
        def parameters(self, recurse: bool = True) -> Any:
            return iter([SimpleNamespace(device=torch.device(device))])

    assert TorchBackend(Elsewhere()).on_accelerator is expected
