"""What holds on every device: maps as on the CPU, the model as before, recurrent layers in evaluation mode."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

import xaicore
from benchmarks.gpu.reducing import compared
from benchmarks.gpu.verdict import Verdict
from xaicore.methods import MethodLike
from xaicore_torch.backend import TorchBackend

ONE_PASS = ("gradcam", "gradcam++", "xgradcam", "hirescam", "layercam", "eigencam", "eigengradcam", "fem", "shapleycam")
OF_MORE_PASSES = {
    "guided-gradcam": {},
    "integrated-gradients": {"steps": 4},
    "scorecam": {"channels": 16},
    "ablationcam": {},
}
"""{method: its options}"""
CLOSE = 1e-5
"""The largest difference of a heatmap's values in float64, on any device."""


class Small(nn.Module):
    """A net whose maps have evidence: convolutions, normalisation, two pools, a dense layer."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *(nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(16, 24, 3, padding=1), nn.BatchNorm2d(24), nn.ReLU()),
        )
        self.head = nn.Linear(24, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Pictures (N, 3, H, W) to logits (N, 10)."""
        return self.head(self.features(x).mean((2, 3)))


class Reading(nn.Module):
    """Columns of a map, read by a recurrent layer: cuDNN differentiates these in training mode only."""

    def __init__(self, layer: type[nn.RNNBase]) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 12, 3, padding=1), nn.ReLU())
        self.reads = layer(12, 8, batch_first=True)
        self.head = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Pictures (N, 3, H, W) to logits (N, 5)."""
        states, _ = self.reads(self.features(x).mean(2).transpose(1, 2))
        return self.head(states[:, -1])


def values(device: torch.device) -> list[Verdict]:
    """Each method's heatmaps on this device beside those on the CPU, in double precision."""
    model, x = _seeded(Small), torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(1)).double()
    methods = [xaicore.method(name, **OF_MORE_PASSES.get(name, {})) for name in (*ONE_PASS, *OF_MORE_PASSES)]
    return [
        Verdict.of(f"{method.name} as on the CPU", lambda method=method: _difference(model, x, method, device))
        for method in methods
    ]


def recurrent(device: torch.device) -> list[Verdict]:
    """The same of nets with recurrent layers in evaluation mode."""
    x = torch.rand(2, 3, 16, 24, generator=torch.Generator().manual_seed(2)).double()
    return [
        Verdict.of(
            f"{layer.__name__} in evaluation mode, as on the CPU",
            lambda layer=layer: _difference(_seeded(Reading, layer), x, "gradcam", device, layer_name="features"),
        )
        for layer in (nn.LSTM, nn.GRU, nn.RNN)
    ]


def reduced(device: torch.device) -> list[Verdict]:
    """Maps that are computed on the device, beside NumPy's of the same activations and gradients."""
    x = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    verdicts = []
    for kind in (torch.float32, torch.bfloat16, torch.float16):
        model = _seeded(Small).to(device, kind)
        verdicts += compared(f"{kind}".removeprefix("torch."), TorchBackend, model, x.to(device, kind))
    return verdicts


def state(device: torch.device) -> list[Verdict]:
    """The model, the gradients, the modes and the random state, bit for bit, also after an exception."""
    return [
        Verdict.of("state after a call", lambda: _changes(device, lambda explainer, x: explainer(x))),
        Verdict.of("state after an exception", lambda: _changes(device, _failing)),
    ]


def _seeded(build: Callable[..., nn.Module], *arguments: type) -> nn.Module:
    torch.manual_seed(0)
    return build(*arguments).double().eval()


def _difference(
    model: nn.Module, x: torch.Tensor, method: MethodLike, device: torch.device, layer_name: str | None = None
) -> str:
    """The largest difference of heatmaps; "" where it is small and there is evidence."""
    here = xaicore.explain(model, x, 1, method=method, layer=layer_name, progress=False)
    there = xaicore.explain(
        copy.deepcopy(model).to(device), x.to(device), 1, method=method, layer=layer_name, progress=False
    )
    if here.empty.all():
        return "no evidence, so that nothing is compared"
    apart = float(np.abs(here.heatmaps() - there.heatmaps()).max())
    return "" if apart <= CLOSE else f"heatmaps differ by {apart:.2g}"


def _failing(explainer: xaicore.Explainer, x: torch.Tensor) -> None:
    class Refusing(xaicore.targets.Target):
        def aim(self, outputs: np.ndarray, kind: str) -> xaicore.targets.Aim:
            raise xaicore.TargetError("as asked")

    try:
        explainer(x, Refusing())
    except xaicore.TargetError:
        return
    raise AssertionError("the target's error was lost")


def _changes(device: torch.device, call: Callable[[xaicore.Explainer, torch.Tensor], object]) -> str:
    """What a call changed; "" for nothing."""
    model = _seeded(Small).to(device).train()
    x = torch.rand(4, 3, 32, 32, dtype=torch.float64).to(device)
    model(x).sum().backward()
    explainer = xaicore.Explainer(model)
    before = _snapshot(model, device)
    call(explainer, x)
    after = _snapshot(model, device)
    return ", ".join(key for key in before if before[key] != after[key])


def _snapshot(model: nn.Module, device: torch.device) -> dict[str, object]:
    seen: dict[str, object] = {
        "modes": [part.training for part in model.modules()],
        "hooks": [(len(part._forward_hooks), len(part._forward_pre_hooks)) for part in model.modules()],
        "random state": torch.get_rng_state().numpy().tobytes(),
        "cuDNN": (torch.backends.cudnn.enabled, torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic),
    }
    if device.type == "cuda":
        seen["random state of the device"] = torch.cuda.get_rng_state(device).numpy().tobytes()
    for name, tensor in model.state_dict().items():
        seen[name] = tensor.cpu().numpy().tobytes()
    for name, parameter in model.named_parameters():
        seen[f"gradient of {name}"] = None if parameter.grad is None else parameter.grad.cpu().numpy().tobytes()
    return seen
