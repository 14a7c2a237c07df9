"""Compiled passes: the values of plain ones, a model that stays as it is, and what is refused.

The compiler is aot_eager, which traces like inductor and needs no C++ compiler; one test runs inductor where asked.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import nn

import xaicore
from xaicore import BackendError, InputError, MethodError
from xaicore_torch.backend import TorchBackend
from xaicore_torch.compiled import CompiledPasses
from xaicore_torch.compiled_pass import CompiledPass


def build() -> nn.Sequential:
    torch.manual_seed(0)
    features = (nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 6, 3), nn.ReLU(inplace=True))
    return nn.Sequential(*features, nn.AvgPool2d(4), nn.Flatten(), nn.GELU(), nn.Linear(24, 4)).eval()


def batch(count: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((count, 3, 12, 12), np.float32)


@pytest.fixture(autouse=True)
def _traced_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CompiledPasses, "compiler", "aot_eager")


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of images of each compiled pass."""
    seen: list[int] = []
    run = CompiledPass.run

    def counted(self: CompiledPass, images: Any) -> Any:
        seen.append(images.count)
        return run(self, images)

    monkeypatch.setattr(CompiledPass, "run", counted)
    return seen


def directions(*classes: int) -> Callable[..., np.ndarray]:
    return lambda outputs, kind: np.repeat(np.eye(4, dtype=np.float32)[None, list(classes)], len(outputs), 0)


def test_its_values_are_those_of_a_plain_pass(runs: list[int]) -> None:
    model = build()
    plain, compiled = TorchBackend(model), TorchBackend(model).compiled(3)
    for seed, layers in enumerate((["3"], ["2"], ["1", "4"], ["4"], ["4"])):
        own = plain.capture(batch(3, seed), layers, directions(1, 2))
        found = compiled.capture(batch(3, seed), layers, directions(1, 2))
        np.testing.assert_allclose(found.outputs, own.outputs, rtol=1e-5, atol=1e-6)
        assert list(found.gradients) == list(own.gradients) == layers
        for name in layers:
            assert found.gradients[name].shape[:2] == (3, 2)
            assert own.gradients[name].any()
            np.testing.assert_allclose(found.activations[name], own.activations[name], rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(found.gradients[name], own.gradients[name], rtol=1e-5, atol=1e-7)
    assert runs == [3] * 9, "twice where the first batch is checked"
    own, found = (one.capture(batch(2), ["4"], directions(0)) for one in (plain, compiled))
    assert np.array_equal(found.gradients["4"], own.gradients["4"])
    assert len(runs) == 9, "a batch of another size runs plainly"


def test_several_targets_of_a_batch_with_channels_last() -> None:
    """As `numpy.stack` makes of pictures that were transposed. A compiled graph has no batch of directions."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4)).eval()
    x = torch.from_numpy(batch()).to(memory_format=torch.channels_last)
    own, found = (
        one.capture(x, ["1"], directions(0, 1, 2)) for one in (TorchBackend(model), TorchBackend(model).compiled(3))
    )
    assert all(own.gradients["1"][:, k].any() for k in range(3))
    np.testing.assert_allclose(found.gradients["1"], own.gradients["1"], rtol=1e-5, atol=1e-7)


def test_the_compiler_makes_one_graph_that_runs_in_each_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    graphs, ran = [], []

    def compiler(graph: torch.fx.GraphModule, example: Any) -> Callable[..., Any]:
        graphs.append(graph)
        return lambda *args: ran.append(len(args)) or graph(*args)

    monkeypatch.setattr(CompiledPasses, "compiler", staticmethod(compiler))
    compiled = TorchBackend(build()).compiled(3)
    for seed in range(3):
        compiled.capture(batch(3, seed), ["4"], directions(0))
    assert len(graphs) == 1
    assert len(ran) == 4, "the first batch is checked"


def test_activations_alone(runs: list[int]) -> None:
    model = nn.Sequential(*build(), nn.Softmax(1))
    own, found = (one.capture(batch(), ["4"]) for one in (TorchBackend(model), TorchBackend(model).compiled(3)))
    np.testing.assert_allclose(found.activations["4"], own.activations["4"], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.outputs, own.outputs, rtol=1e-4, atol=1e-5)
    assert (found.outputs_kind, found.link) == (own.outputs_kind, own.link) == ("logits", "softmax")
    assert runs == [3, 3]


class Again(nn.Module):
    """A layer that runs twice, in a model that takes two inputs and returns a dict."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.conv, self.head = nn.Conv2d(3, 3, 3, padding=1), nn.Linear(3, 4)
        self.seen: list[torch.Tensor] = []

    def forward(self, x: torch.Tensor, scale: torch.Tensor) -> dict[str, torch.Tensor]:
        y = self.conv(self.conv(x).tanh() * scale[:, None, None, None])
        self.seen = [y]
        return {"logits": self.head(y.tanh().mean((2, 3))), "mean": y.mean()}


@pytest.mark.parametrize("layer", ["conv", "conv#1", "conv#2"])
def test_a_layer_that_runs_twice(layer: str, runs: list[int]) -> None:
    model = Again().eval()
    x = (batch(), np.array([1, 2, 3], np.float32))
    own, found = (
        one.capture(x, [layer], directions(3)) for one in (TorchBackend(model), TorchBackend(model).compiled(3))
    )
    np.testing.assert_allclose(found.activations[layer], own.activations[layer], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.gradients[layer], own.gradients[layer], rtol=1e-4, atol=1e-8)
    assert runs == [3, 3]
    assert model.seen == []


def test_the_model_and_the_process_stay_as_they_are() -> None:
    import torch._dynamo
    from torch._functorch import config

    model = build().train()
    model[0].weight.requires_grad_(False)
    model[3].weight.grad = torch.ones_like(model[3].weight)
    calls: list[int] = []
    counted = torch.compile(lambda x: x * 2, backend=lambda graph, example: calls.append(1) or graph.forward)
    counted(torch.ones(3))
    tensors = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    flags = [(part.training, dict(vars(part))) for part in model.modules()]
    needs = [weight.requires_grad for weight in model.parameters()]
    state = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()
    donated = config.donated_buffer
    xaicore.explain(model, batch(), 1, backend=TorchBackend(model).compiled(3))
    with pytest.raises(BackendError):
        TorchBackend(nn.Sequential(Noise(), *model)).compiled(3).capture(batch(), ["4"], directions(0))
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in model.state_dict().items())
    assert flags == [(part.training, dict(vars(part))) for part in model.modules()]
    assert needs == [weight.requires_grad for weight in model.parameters()]
    assert torch.equal(model[3].weight.grad, torch.ones_like(model[3].weight))
    assert torch.equal(state[0], torch.get_rng_state())
    assert state[1] == random.getstate()
    assert (state[2] == np.random.get_state()[1]).all()
    assert config.donated_buffer is donated
    assert torch.is_grad_enabled()
    counted(torch.ones(3))
    assert calls == [1], "what the user compiled is not compiled again"


def test_the_copy_has_the_models_weights() -> None:
    model = build()
    compiled = TorchBackend(model).compiled(3)
    pairs = list(zip(model.parameters(), compiled.model.parameters(), strict=True))
    assert all(own.data_ptr() == copied.data_ptr() and not copied.requires_grad for own, copied in pairs)
    compiled.capture(batch(), ["4"], directions(0))
    with torch.no_grad():
        model[8].bias += 1
    found = compiled.capture(batch(), ["4"], directions(0)).outputs
    np.testing.assert_allclose(found, TorchBackend(model).predict(batch()), rtol=1e-5, atol=1e-6)


class Noise(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.rand_like(x)


class Counter(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.count += 1
        return x * self.count


class Branch(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 2 if x.mean() > 0.1 else x


class Own(nn.Module):
    """Neither what is called nor what it calls can be copied."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x

    def __deepcopy__(self, memo: Any) -> Any:
        raise TypeError("no copies")


@pytest.mark.parametrize(
    ("first", "last", "message"),
    [
        (Noise(), nn.Identity(), "the outputs of the compiled pass differ .* it draws random numbers, or the compiler"),
        (Counter(), nn.Identity(), "the model writes to its buffers in a pass"),
        (Branch(), nn.Identity(), "torch.compile does not take this model, .*; leave compile out"),
        (Own(), nn.Identity(), "compile needs a copy of the model, which cannot be had, TypeError: no copies"),
        (nn.Identity(), nn.Softmax(1), "ends in a softmax, behind which .*: explain a model that returns them; leave"),
    ],
    ids=["noise", "counter", "branch", "copy", "softmax"],
)
def test_what_cannot_be_compiled_is_refused(
    first: nn.Module, last: nn.Module, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = nn.Sequential(first, *build(), last)
    backend = TorchBackend(model)
    for _ in range(2):
        with pytest.raises(BackendError, match=message):
            compiled = backend.compiled(3)
            compiled.capture(batch(), ["4"], directions(0))
    if not isinstance(first, Own):
        monkeypatch.setattr("xaicore_torch.compiled.CompiledPass", None)  # it is tried once
        with pytest.raises(BackendError, match=message):
            compiled.capture(batch(), ["4"], directions(0))


@pytest.mark.parametrize("what", ["outputs", "activations of '4'", "gradients at '4'"])
def test_a_compiler_that_errs_is_found(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run = CompiledPass.run

    def wrong(self: CompiledPass, images: Any) -> Any:
        recorded = run(self, images)
        leaf = recorded.leaves.tensors["layer", "4"]
        if what == "outputs":
            recorded.chosen.y.data[:, 2] *= 1.1
        elif what.startswith("activations"):
            leaf.data = leaf.data * 1.01
        else:
            leaf.register_hook(lambda gradient: gradient * 1.01)
        return recorded

    monkeypatch.setattr(CompiledPass, "run", wrong)
    with pytest.raises(BackendError, match=rf"compile: the {what} of the compiled pass differ from those .* by 0.0"):
        TorchBackend(build()).compiled(3).capture(batch(), ["4"], directions(0))


def test_an_older_pytorch_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.compiler, "set_stance")
    with pytest.raises(BackendError, match=r"compile needs PyTorch 2.6 or newer, and this is .*: pip install -U torch"):
        TorchBackend(build()).compiled(3)


def prepare(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    seen = cv2.resize(picture, (12, 12))
    return (seen / 255).astype(np.float32).transpose(2, 0, 1), seen


def pictures(count: int) -> list[np.ndarray]:
    return list(np.random.default_rng(0).integers(0, 255, (count, 12, 12, 3), dtype=np.uint8))


@pytest.mark.parametrize("precision", [None, "bfloat16"])
def test_a_data_set_is_explained_compiled(tmp_path: Path, precision: str | None, runs: list[int]) -> None:
    pytest.importorskip("pyarrow")
    model, given = build(), pictures(14)
    options = {"preprocess": prepare, "targets": 1, "batch_size": 4, "precision": precision, "progress": False}
    own = xaicore.explain_dataset(model, given, tmp_path / "own", **options).explanation(images=None)
    assert runs == []
    table = xaicore.explain_dataset(model, given, tmp_path / "compiled", compile=True, **options)
    assert runs == [4] * 6, "a check and a comparison, then a check and three batches; the last one has two pictures"
    found = table.explanation(images=None)
    np.testing.assert_allclose(found.maps, own.maps, rtol=0.02 if precision else 2e-3, atol=1e-5)
    assert own.maps.any()
    told = json.loads((tmp_path / "compiled" / "run.json").read_text())
    assert told["fingerprint"]["options"].get("compile") is True
    assert set(told["compile"]) == {"pictures", "largest", "mean", "otherwise", "text"}
    assert told["compile"]["pictures"] == 4
    assert told["compile"]["largest"] < (0.05 if precision else 1e-4)
    assert told["compile"]["text"].startswith("heatmaps of 4 pictures differ by ")
    assert ("precision" in told) is (precision is not None)
    with pytest.raises(InputError, match=r"the options: was \{.*compile.*\}, is "):
        xaicore.explain_dataset(model, given, tmp_path / "compiled", resume=True, **options)


@pytest.mark.parametrize(("targets", "batch_size"), [(None, 10), ([[1, 2]], 10), (xaicore.targets.TopK(3), 4)])
def test_what_compiling_changes_is_told_of_any_batch(targets: Any, batch_size: int, tmp_path: Path) -> None:
    """Eight pictures are compared, in a batch that has more."""
    pytest.importorskip("pyarrow")
    options = {"preprocess": prepare, "targets": targets, "batch_size": batch_size, "progress": False}
    given = (build(), pictures(12))
    own = xaicore.explain_dataset(*given, tmp_path / "own", **options).explanation(images=None)
    table = xaicore.explain_dataset(*given, tmp_path / "compiled", compile=True, **options)
    np.testing.assert_allclose(table.explanation(images=None).maps, own.maps, rtol=2e-3, atol=1e-5)
    assert table.run["compile"]["pictures"] == min(batch_size, 8)
    assert table.run["compile"]["largest"] < 1e-4


def test_runs_that_would_not_be_compiled_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    options = {"preprocess": prepare, "compile": True, "progress": False}
    run = (build(), pictures(4), tmp_path / "run")
    with pytest.raises(
        InputError, match=r"^compile='max-autotune': expected True or False; modes of torch.compile are"
    ):
        xaicore.explain_dataset(*run, **{**options, "compile": "max-autotune"})
    with pytest.raises(MethodError, match=r"method 'rise' needs 'inputs': pass method='gradcam', or leave compile out"):
        xaicore.explain_dataset(*run, method="rise", **options)
    with pytest.raises(
        InputError,
        match=r"^compile=True is for batches .* smooth= and augment= make others: leave them out, or leave compile out",
    ):
        xaicore.explain_dataset(*run, smooth=3, **options)
    with pytest.raises(InputError, match="reads others beside it: leave compile out"):
        xaicore.explain_dataset(*run, targets=xaicore.targets.Boxes(1), **options)
    with pytest.raises(BackendError, match="the model writes to its buffers in a pass"):
        xaicore.explain_dataset(nn.Sequential(Counter(), *build()), *run[1:], **options)
    assert not (tmp_path / "run").exists() or not list((tmp_path / "run").glob("*.parquet"))


@pytest.mark.skipif("XAICORE_INDUCTOR" not in os.environ, reason="it compiles C++; make test-thorough runs it")
def test_inductor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, runs: list[int]) -> None:
    monkeypatch.setattr(CompiledPasses, "compiler", "inductor")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    model = build()
    for classes in ((1,), (1, 2)):  # several are pulled back one after the other
        own, found = (
            one.capture(batch(), ["3"], directions(*classes))
            for one in (TorchBackend(model), TorchBackend(model).compiled(3))
        )
        np.testing.assert_allclose(found.activations["3"], own.activations["3"], rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(found.gradients["3"], own.gradients["3"], rtol=1e-4, atol=1e-7)
    assert runs == [3] * 4
