"""Starting a model from the middle: equal to a full pass in which the layer's output is replaced."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import xaicore
from xaicore_torch.backend import TorchBackend


def rand(*shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


class Bottleneck(nn.Module):
    """A skip connection over the layer, and one ReLU that works in place three times."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.norm = nn.Conv2d(6, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        y = self.relu(self.norm(self.a(x)))
        y = self.b(y)
        y += x
        return self.relu(y)


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.stem, self.blocks = nn.Conv2d(3, 6, 3, padding=1), nn.Sequential(Bottleneck(), Bottleneck())
        self.head = nn.Linear(6, 4)

    def forward(self, x):
        return self.head(self.blocks(F.relu(self.stem(x))).mean((2, 3)))


class Branches(nn.Module):
    """Two branches, one of which the layer is on; the input is read again behind it."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(2)
        self.left, self.right = nn.Conv2d(3, 5, 3, padding=1), nn.Conv2d(3, 5, 5, padding=2)
        self.join, self.head = nn.Conv2d(10, 4, 1), nn.Linear(4, 4)

    def forward(self, x):
        y = torch.cat([self.left(x).relu_(), self.right(x).relu_()], 1)
        return self.head(self.join(y).mean((2, 3))) + x.mean((1, 2, 3))[:, None]


class Question(nn.Module):
    """A picture and a text, which is read behind the layer."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.conv, self.words, self.head = nn.Conv2d(3, 4, 3), nn.Embedding(9, 4), nn.Linear(4, 4)

    def forward(self, x, text):
        return self.head(self.conv(x).relu().mean((2, 3)) * self.words(text).mean(1))


class Tokens(nn.Module):
    """A class token and positions, which no module makes."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(4)
        self.embed, self.token = nn.Conv2d(3, 8, 4, 4), nn.Parameter(torch.randn(1, 1, 8))
        self.layers = nn.ModuleList(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True) for _ in range(2))
        self.head = nn.Linear(8, 4)

    def forward(self, x):
        t = torch.cat([self.token.expand(len(x), -1, -1), self.embed(x).flatten(2).transpose(1, 2)], 1)
        for layer in self.layers:
            t = layer(t)
        return self.head(t[:, 0])


class Twice(nn.Module):
    """One layer that runs twice."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(5)
        self.conv, self.head = nn.Conv2d(3, 3, 3, padding=1), nn.Linear(3, 4)

    def forward(self, x):
        return self.head(self.conv(self.conv(x).relu()).relu().mean((2, 3)))


PICTURES = rand(2, 3, 12, 16)
NETS = {
    "residual": (Residual, (PICTURES,), ["stem", "blocks.0.a", "blocks.0.relu#1", "blocks.1", "blocks.1.b"]),
    "branches": (Branches, (PICTURES,), ["left", "right", "join"]),
    "question": (Question, (PICTURES, torch.arange(10).reshape(2, 5) % 9), ["conv"]),
    "tokens": (Tokens, (PICTURES,), ["embed", "layers.0", "layers.0.norm1", "layers.1.norm1"]),
    "twice": (Twice, (PICTURES,), ["conv#1", "conv#2", "conv"]),
}
CASES = [(name, layer) for name, (_, _, layers) in NETS.items() for layer in layers]


def full(model, inputs, layer, activations):
    """The model on repeated inputs; a hook replaces the output of one run of the layer."""
    name, _, run = layer.partition("#")
    module, rows, seen = model.get_submodule(name), len(activations) // len(inputs[0]), []
    with torch.no_grad():
        total = []
        counter = module.register_forward_hook(lambda *_: total.append(1))
        model(*inputs)
        counter.remove()

        def replace(*_):
            seen.append(1)
            return activations.clone() if len(seen) == int(run or len(total)) else None

        handle = module.register_forward_hook(replace)
        try:
            return model(*(one.repeat_interleave(rows, 0) for one in inputs)).numpy()
        finally:
            handle.remove()


def changes_of(model, inputs, layer, rows=3):
    """The layer's activations, changed R times."""
    own = TorchBackend(model).capture(inputs, [layer]).activations[layer]
    noise = np.random.default_rng(0).random((len(own) * rows, *own.shape[1:]), np.float32)
    return np.repeat(own, rows, axis=0) * noise


@pytest.mark.parametrize(("name", "layer"), CASES)
@pytest.mark.parametrize("count", [1, 2])
def test_it_is_a_full_pass_with_the_layers_output_replaced(name, layer, count, unchanged):
    build, inputs, _ = NETS[name]
    model, inputs = build().eval(), tuple(one[:count] for one in inputs)
    changed = changes_of(model, inputs, layer)
    expected = full(model, inputs, layer, torch.from_numpy(changed))
    backend = TorchBackend(model)
    with unchanged(model), warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(2):  # again from what is kept
            outputs = backend.resume(inputs, layer, changed)
            np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-6)
    assert np.abs(expected[0] - expected[1]).max() > 1e-6


def test_what_comes_before_the_layer_does_not_run():
    model, ran = Residual().eval(), []
    changed = changes_of(model, (PICTURES,), "blocks.1.b")
    backend = TorchBackend(model)
    backend.resume((PICTURES,), "blocks.1.b", changed)

    class Spy(nn.Conv2d):
        def _conv_forward(self, *arguments):
            ran.append(self)
            return super()._conv_forward(*arguments)

    for conv in (model.stem, model.blocks[0].a, model.blocks[1].a):
        conv.__class__ = Spy
    backend.resume((PICTURES,), "blocks.1.b", changed)
    assert ran == []


@pytest.mark.parametrize("change", ["weights", "inputs", "layer"])
def test_nothing_stale_is_kept(change):
    model, inputs, layer = Residual().eval(), (PICTURES,), "blocks.1.a"
    backend = TorchBackend(model)
    changed = changes_of(model, inputs, layer)
    backend.resume(inputs, layer, changed)
    if change == "weights":
        with torch.no_grad():
            model.stem.weight.mul_(2)
    elif change == "inputs":
        inputs = (PICTURES.flip(3),)
    else:
        layer = "blocks.1.b"
    expected = full(model, inputs, layer, torch.from_numpy(changed))
    np.testing.assert_allclose(backend.resume(inputs, layer, changed), expected, rtol=1e-5, atol=1e-6)


class Remembering(nn.Conv2d):
    """It keeps what the model reads later: a run of it cannot be left out."""

    def forward(self, x):
        self.seen = super().forward(x)
        return self.seen


class Particular(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(7)
        self.first, self.last, self.head = Remembering(3, 4, 3), nn.Conv2d(4, 4, 3), nn.Linear(4, 4)

    def forward(self, x):
        y = self.last(self.first(x)).relu().mean((2, 3))
        return self.head(y + self.first.seen.mean((2, 3)))


def test_a_model_that_cannot_be_started_there_runs_as_a_whole_and_says_so(unchanged):
    model, inputs = Particular().eval(), (PICTURES[:1],)
    changed = changes_of(model, inputs, "last")
    expected = full(model, inputs, "last", torch.from_numpy(changed))
    del model.first.seen
    backend = TorchBackend(model)
    message = "Particular cannot be started at layer 'last': it is run as a whole"
    with unchanged(model), pytest.warns(RuntimeWarning, match=message):
        found = [backend.resume(inputs, "last", changed) for _ in range(3)]
    np.testing.assert_allclose(found, [expected] * 3, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_exception_leaves_the_model_as_it_was(error, unchanged):
    """In pass 7 of 12."""
    model, passes = Residual().eval(), []

    class Failing(nn.Linear):
        def forward(self, x):
            passes.append(1)
            if len(passes) >= 7:
                raise error("stop")
            return super().forward(x)

    model.head.__class__ = Failing
    with unchanged(model), pytest.raises((error, xaicore.BackendError)):
        xaicore.explain(model, rand(1, 3, 12, 16), 1, method="ablationcam", batch_size=1)
    assert len(passes) >= 7


def test_ablation_is_the_papers_loop():
    model, x = Residual().eval(), PICTURES
    found = xaicore.Explainer(model, "ablationcam", "blocks.1")(x, [[1, 3]])
    with torch.no_grad():
        logits = model(x).numpy()
    activations = TorchBackend(model).capture(x, ["blocks.1"]).activations["blocks.1"]
    for n in range(2):
        for k, target in enumerate((1, 3)):
            expected = np.zeros((12, 16))
            for c in range(6):
                without = activations[n : n + 1].copy()
                without[:, c] = 0
                score = full(model, (x[n : n + 1],), "blocks.1", torch.from_numpy(without))[0, target]
                expected += (logits[n, target] - score) / abs(logits[n, target]) * activations[n, c]
            np.testing.assert_allclose(found.maps[2 * n + k], np.maximum(expected, 0), rtol=1e-4, atol=1e-5)
