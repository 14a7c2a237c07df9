"""`python -m benchmarks.methods`: what methods cost beside a pass of the model, and beside other libraries, in PyTorch.

Each figure is a ratio to its reference, which runs before and after it: a forward pass, a forward and a backward pass,
the same method of another library with the same batches, or the same method with fewer channels.
"""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import nn

import xaicore
from benchmarks.measure import can_measure_memory, peak_of, seconds, time_ratio
from benchmarks.nets import build

GRADIENT_METHODS = (
    *("gradcam", "gradcam++", "xgradcam", "hirescam", "gradcam-elementwise", "layercam"),
    *("eigencam", "eigengradcam", "fem", "random"),
)
BATCH = 32
"""Rows of a batch of changed pictures or activations, for all libraries."""


@dataclass(frozen=True)
class Figure:
    """One line of the table.

    Attributes:
        net: a name in `benchmarks.nets.NETS`.
        batch: the number of images.
        subject, reference: what they are called.
        limit: of the ratio.
        make: from a model and a batch to (what is measured, its reference).
        module: of the other library, if there is one.
        rounds: where one is too long to repeat as often as the others.
    """

    net: str
    batch: int
    subject: str
    reference: str
    limit: float
    make: Callable[[nn.Module, torch.Tensor], tuple[Callable[[], Any], Callable[[], Any]]]
    module: str | None = None
    rounds: int | None = None


def ours(
    *methods: str, at_last: bool = False, **options: Any
) -> Callable[[nn.Module, torch.Tensor], Callable[[], Any]]:
    """One call of `compare`, of class 3; at the layer of the other libraries, or at the one that xaicore finds."""

    def make(model: nn.Module, x: torch.Tensor) -> Callable[[], Any]:
        explainer = xaicore.Explainer(model, layer=last_layer(model) if at_last else None, batch_size=BATCH)
        found = [xaicore.methods.method(name, **options) for name in methods]
        return partial(explainer.compare, x, found, 3)

    return make


def forward(model: nn.Module, x: torch.Tensor) -> Callable[[], Any]:
    """The bare forward pass."""

    def run() -> Any:
        with torch.inference_mode():
            return model(x)

    return run


def forward_and_backward(model: nn.Module, x: torch.Tensor) -> Callable[[], Any]:
    """A forward pass and the gradient of the input."""

    def run() -> Any:
        given = x.clone().requires_grad_()
        return torch.autograd.grad(model(given)[:, 3].sum(), given)

    return run


def grad_cam(name: str) -> Callable[[nn.Module, torch.Tensor], Callable[[], Any]]:
    """A method of pytorch-grad-cam."""

    def make(model: nn.Module, x: torch.Tensor) -> Callable[[], Any]:
        import pytorch_grad_cam
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

        cam = getattr(pytorch_grad_cam, name)(model=model, target_layers=[model.get_submodule(last_layer(model))])
        cam.batch_size = BATCH
        return lambda: cam(input_tensor=x, targets=[ClassifierOutputTarget(3)] * len(x))

    return make


def torchcam(name: str) -> Callable[[nn.Module, torch.Tensor], Callable[[], Any]]:
    """A method of torchcam."""

    def make(model: nn.Module, x: torch.Tensor) -> Callable[[], Any]:
        import torchcam.methods

        cam = getattr(torchcam.methods, name)(
            model, target_layer=model.get_submodule(last_layer(model)), batch_size=BATCH
        )

        def run() -> Any:
            with torch.no_grad():
                model(x)
            return cam([3] * len(x))

        return run

    return make


@cache
def last_layer(model: nn.Module) -> str:
    """The last map that a module makes in its only run: other libraries take the first run of a shared one."""
    backend = xaicore.Explainer(model).backend
    x = torch.zeros(1, 3, 224, 224)
    facts = backend.observe(x)
    maps = {layer.name for layer in backend.layers(x) if layer.spatial and not layer.pooled}
    return [layer.name for layer in facts.layers if layer.name in maps and layer.runs == 1][-1]


def arithmetic(model: nn.Module, x: torch.Tensor) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """The first component of one image's activations, as Eigen-CAM and as pytorch-grad-cam compute it."""
    from pytorch_grad_cam.utils.svd_on_activations import get_2d_projection

    activations = np.random.default_rng(0).random((len(x), 2048, 7, 7), np.float32)
    eigencam = xaicore.METHODS["eigencam"].function
    return partial(eigencam, activations, None), partial(get_2d_projection, activations)


def against(subject: Any, reference: Any) -> Any:
    """A `Figure.make` of two."""
    return lambda model, x: (subject(model, x), reference(model, x))


FIGURES = (
    Figure("ResNet-50", 8, "ten methods by compare", "forward", 1.3, against(ours(*GRADIENT_METHODS), forward)),
    Figure("ViT-B/16", 8, "legrad", "forward", 1.25, against(ours("legrad"), forward)),
    Figure("ViT-B/16", 8, "gradeclip", "forward", 1.25, against(ours("gradeclip"), forward)),
    Figure(
        *("ResNet-50", 8, "guided-gradcam", "forward + backward", 1.1),
        against(ours("guided-gradcam"), forward_and_backward),
    ),
    Figure("ResNet-50", 1, "eigencam, arithmetic", "grad-cam", 1 / 20, arithmetic, "pytorch_grad_cam"),
    Figure(
        *("EfficientNet-Lite0", 1, "scorecam", "grad-cam", 1.0),
        *(against(ours("scorecam", at_last=True), grad_cam("ScoreCAM")), "pytorch_grad_cam", 2),
    ),
    Figure(
        *("EfficientNet-Lite0", 1, "scorecam", "torchcam", 1.0),
        *(against(ours("scorecam", at_last=True), torchcam("ScoreCAM")), "torchcam", 2),
    ),
    Figure(
        *("ResNet-50", 1, "ablationcam", "grad-cam", 1 / 20),
        *(against(ours("ablationcam", at_last=True), grad_cam("AblationCAM")), "pytorch_grad_cam", 1),
    ),
)


@cache
def net(name: str) -> nn.Module:
    """One net, built once."""
    return build(name)


def main() -> None:
    """Measure, and print the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=9, help="rounds per figure (default: 9)")
    options.add_argument("--threads", type=int, default=2, help="threads of torch (default: 2)")
    options.add_argument("--only", nargs="+", metavar="SUBJECT", help="subjects, or parts of their names")
    chosen = options.parse_args()
    torch.set_num_threads(chosen.threads)
    table = Table(title="Time as a ratio to the reference, median of the undisturbed rounds")
    for heading in ("net", "batch", "subject", "reference", "ratio", "limit", "rounds"):
        table.add_column(heading)
    console = Console()
    for figure in FIGURES:
        if chosen.only and not any(part in figure.subject for part in chosen.only):
            continue
        console.print(f"measuring {figure.subject} of {figure.net} against {figure.reference}", markup=False)
        table.add_row(*_row(figure, chosen.rounds))
    console.print(table)
    if can_measure_memory() and not chosen.only:
        few, many = (_memory(channels) for channels in (64, 512))
        console.print(f"scorecam, peak memory above the model: {few:.0f} MiB for 64 channels, {many:.0f} MiB for 512")


def _row(figure: Figure, rounds: int) -> tuple[str, ...]:
    head = (figure.net, str(figure.batch), figure.subject, figure.reference)
    if figure.module is not None and importlib.util.find_spec(figure.module) is None:
        return (*head, "not installed", f"{figure.limit:.2f}", "-")
    rounds = figure.rounds or rounds
    model = net(figure.net)
    subject, reference = figure.make(model, torch.randn(figure.batch, 3, 224, 224))
    seconds(subject)  # finds the layer
    if rounds > 1:
        seconds(reference)
        ratio, undisturbed = time_ratio(subject, reference, rounds)
    else:  # too long for more
        ratio, undisturbed = seconds(subject) / seconds(reference), 1
    mark = " !" if ratio > figure.limit else ""
    return (*head, f"{ratio:.3f}{mark}", f"{figure.limit:.2f}", f"{undisturbed}/{rounds}")


def _memory(channels: int) -> float:
    """Peak memory of Score-CAM in MiB above what was there before."""
    model = net("EfficientNet-Lite0")
    explain = ours("scorecam", channels=channels)(model, torch.randn(1, 3, 224, 224))
    explain()
    return peak_of(explain)


if __name__ == "__main__":
    main()
