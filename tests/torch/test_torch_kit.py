"""The contract of backends, checked on PyTorch's as a stranger's author would."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch_state import fingerprint

import xaicore_torch
from xaicore import testing
from xaicore_torch import pullback

HEADS = {None: nn.Identity, "softmax": lambda: nn.Softmax(dim=-1), "sigmoid": nn.Sigmoid}


class Restless(nn.Module):
    """Passes pictures on; draws from every generator, writes a buffer, and hooks itself, as models of users do."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))
        self.table = nn.Parameter(torch.arange(3), requires_grad=False)
        self.is_hooked = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.last = torch.rand(1).item() + np.random.rand() + random.random()
        self.calls += 1
        if not self.is_hooked:
            self.register_forward_hook(lambda *_: None)
            self.is_hooked = True
        return x


class Conv(nn.Sequential):
    """The convolutional net, in layers of PyTorch's own."""

    def __init__(self, net: testing.ConvNet) -> None:
        super().__init__()
        self.restless = Restless()
        self.conv1, self.relu1 = conv(net.conv1, net.bias1), nn.ReLU()
        self.conv2, self.relu2 = conv(net.conv2, net.bias2), nn.ReLU()
        self.pool, self.flatten = nn.AdaptiveAvgPool2d(1), nn.Flatten()
        self.dropout, self.dense = nn.Dropout(0.5), dense(net.dense, net.bias)
        self.end = HEADS[net.link]()


class Attention(nn.Module):
    """Two heads, by the function that PyTorch has for it."""

    def __init__(self, net: testing.TokenNet) -> None:
        super().__init__()
        self.qkv, self.out = dense(net.qkv), dense(net.output)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        n, t, d = tokens.shape
        q, k, v = self.qkv(tokens).reshape(n, t, 3, 2, d // 2).permute(2, 0, 3, 1, 4)
        heads = F.scaled_dot_product_attention(q, k, v)
        return self.out(heads.swapaxes(1, 2).reshape(n, t, d))


class Tokens(nn.Module):
    """Patches behind a class token, with their positions."""

    def __init__(self, net: testing.TokenNet) -> None:
        super().__init__()
        self.first, self.positions = parameter(net.class_token), parameter(net.positions)

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        rows = patches.flatten(2).swapaxes(1, 2)
        return torch.cat([self.first.expand(len(rows), 1, -1), rows], 1) + self.positions


class Block(nn.Module):
    """Tokens and what they attend to."""

    def __init__(self, net: testing.TokenNet) -> None:
        super().__init__()
        self.norm, self.attention = nn.LayerNorm(10, net.epsilon), Attention(net)
        self.norm.weight, self.norm.bias = parameter(net.scale), parameter(net.shift)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return tokens + self.attention(self.norm(tokens))


class Transformer(nn.Module):
    """Of one block; the class token is read."""

    kind: type[nn.Module] = Tokens

    def __init__(self, net: testing.TokenNet) -> None:
        super().__init__()
        self.patches, self.tokens = conv(net.patches, net.patches_bias, 4), self.kind(net)
        self.mixed, self.dense = Block(net), dense(net.dense, net.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.dense(self.mixed(self.tokens(self.patches(x)))[:, 0])


class Pair(nn.Module):
    """One convolution for two pictures."""

    def __init__(self, net: testing.PairNet) -> None:
        super().__init__()
        self.shared, self.relu = conv(net.shared, net.shared_bias), nn.ReLU()
        self.dense = dense(net.dense, net.bias)

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self.dense(torch.cat([self.relu(self.shared(one)).mean((2, 3)) for one in (x, y)], 1))


class Skip(nn.Module):
    """A residual block; the ReLUs of the net work in place, as those of real ones do."""

    def __init__(self, net: testing.ResidualNet) -> None:
        super().__init__()
        self.conv2, self.norm2 = conv(net.conv2), norm(net, "norm2")
        self.relu2 = nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.relu2(x + self.norm2(self.conv2(x)))


class Unrecorded(nn.Module):
    """A convolution under the model's own no_grad, as frozen backbones are."""

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__()
        self.conv = layer

    @torch.no_grad()
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x)


class Clamped(nn.Module):
    """A ReLU that writes into a view of what it takes."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:].clamp_(0)


class Loop(nn.Module):
    """One convolution on what it made itself; a pooling layer halves the picture."""

    def __init__(self, net: testing.LoopNet) -> None:
        super().__init__()
        self.first, self.shared = conv(net.first, net.first_bias), conv(net.shared, net.shared_bias)
        self.relu, self.dense = Clamped(), dense(net.dense, net.bias)
        self.halved = nn.AvgPool2d(1, divisor_override=2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu(self.first(self.halved(x)))
        for _ in range(2):
            x = self.relu(self.shared(x))
        return self.dense(x.mean((2, 3)))


class OpenAttention(Attention):
    """Two heads, in single operations on three axes."""

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        n, t, _ = tokens.shape
        each = (one.unflatten(-1, (2, -1)).swapaxes(1, 2) for one in self.qkv(tokens).chunk(3, dim=-1))
        q, k, v = (one.flatten(0, 1) for one in each)
        weights = (torch.bmm(q, k.mT) / q.shape[-1] ** 0.5).softmax(dim=-1)
        return self.out(torch.bmm(weights, v).reshape(n, 2, t, -1).swapaxes(1, 2).flatten(2))


class Blocks(nn.Module):
    """Two blocks; the attention of the second is written in single operations."""

    def __init__(self, net: testing.BlocksNet) -> None:
        super().__init__()
        first, second = net.blocks
        self.patches, self.tokens = conv(first.patches, first.patches_bias, 4), Tokens(first)
        self.mixed1, self.mixed2 = Block(first), Block(second)
        self.mixed2.attention = OpenAttention(second)
        self.dense = dense(second.dense, second.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.dense(self.mixed2(self.mixed1(self.tokens(self.patches(x))))[:, 0])


class CausalAttention(Attention):
    """Five heads beside the images on one axis, whose keys are masked by the function."""

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        each = (one.unflatten(-1, (5, -1)).swapaxes(1, 2) for one in self.qkv(tokens).chunk(3, dim=-1))
        heads = F.scaled_dot_product_attention(*(one.flatten(0, 1) for one in each), is_causal=True)
        return self.out(heads.unflatten(0, (-1, 5)).swapaxes(1, 2).flatten(2))


class MaskedAttention(Attention):
    """Two heads; a mask of truth values hides keys, or a bias is added to the scores."""

    def __init__(self, net: testing.TokenNet) -> None:
        super().__init__(net)
        added = torch.from_numpy(net.mask(13)).float()
        self.register_buffer("mask", added if added.isfinite().all() else added == 0)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        q, k, v = (one.unflatten(-1, (2, -1)).swapaxes(1, 2) for one in self.qkv(tokens).chunk(3, dim=-1))
        return self.out(F.scaled_dot_product_attention(q, k, v, self.mask).swapaxes(1, 2).flatten(2))


class Masked(nn.Module):
    """Three blocks, whose attentions are masked or biased."""

    def __init__(self, net: testing.MaskedNet) -> None:
        super().__init__()
        first, last = net.blocks[0], net.blocks[-1]
        self.patches, self.tokens = conv(first.patches, first.patches_bias, 4), Tokens(first)
        self.mixed1, self.mixed2, self.mixed3 = map(Block, net.blocks)
        for block, own in zip((self.mixed1, self.mixed2, self.mixed3), net.blocks, strict=True):
            block.attention = MaskedAttention(own)
        self.dense = dense(last.dense, last.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.dense(self.mixed3(self.mixed2(self.mixed1(self.tokens(self.patches(x)))))[:, 0])


class Sequence(nn.Module):
    """Scores for each column, the columns first."""

    def __init__(self, net: testing.SequenceNet) -> None:
        super().__init__()
        self.conv1, self.relu1, self.dense = conv(net.conv1, net.bias1), nn.ReLU(), dense(net.dense, net.bias)
        self.end = nn.Softmax(dim=2) if net.link else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.end(self.dense(self.relu1(self.conv1(x)).mean(2).mT)).permute(1, 0, 2)


class Shares(nn.Module):
    """Exponentials, divided by their sum."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.exp() / x.exp().sum(1, keepdim=True)


class Positions(nn.Module):
    """Patches with their positions."""

    def __init__(self, net: testing.CausalNet) -> None:
        super().__init__()
        self.positions = parameter(net.positions)

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        return patches.flatten(2).swapaxes(1, 2) + self.positions


class Causal(Transformer):
    """Of one block; the last token is read."""

    kind = Positions

    def __init__(self, net: testing.CausalNet) -> None:
        super().__init__(net)
        self.mixed.attention = CausalAttention(net)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.dense(self.mixed(self.tokens(self.patches(x)))[:, -1])


class Mixed(nn.Module):
    """Channels that are mixed by a softmax of their products."""

    def __init__(self, net: testing.QueriesNet) -> None:
        super().__init__()
        self.project = dense(net.mix)

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        x = self.project(patches.flatten(2).mT)
        return x @ (x.mT @ x / x.shape[1]).softmax(dim=2).mT


class Gated(nn.Module):
    """Channels that are weighed by their softmax."""

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return tokens * F.softmax(tokens, dim=-1)


class Queries(nn.Module):
    """Weights alone."""

    def __init__(self, net: testing.QueriesNet) -> None:
        super().__init__()
        self.rows = parameter(net.queries[None])

    def forward(self) -> torch.Tensor:
        return self.rows


class Read(nn.Module):
    """Queries read tokens by an attention in single operations, with what models do to its weights."""

    def __init__(self, net: testing.QueriesNet) -> None:
        super().__init__()
        self.query, self.key, self.value = dense(net.query), dense(net.key), dense(net.value)
        self.dropout, self.out = nn.Dropout(0.1), dense(net.output)

    def forward(self, tokens: torch.Tensor, queries: torch.Tensor) -> torch.Tensor:
        queries = queries.expand(len(tokens), -1, -1)
        taken = self.query(queries), self.key(tokens), self.value(tokens)
        q, k, v = (one.unflatten(-1, (2, -1)).swapaxes(1, 2) for one in taken)
        weights = torch.softmax(q @ k.mT / q.shape[-1] ** 0.5, dim=3)
        heads = torch.matmul(self.dropout(weights.type_as(v)).contiguous(), v)
        return self.out(heads.swapaxes(1, 2).flatten(2))


class Queried(nn.Module):
    """Learned queries, of which the mean is read."""

    def __init__(self, net: testing.QueriesNet) -> None:
        super().__init__()
        self.patches, self.mixed, self.gated = conv(net.patches, net.patches_bias, 4), Mixed(net), Gated()
        self.queries, self.read, self.dense = Queries(net), Read(net), dense(net.dense, net.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.dense(self.read(self.gated(self.mixed(self.patches(x))), self.queries()).mean(1))


class Lines(OpenAttention):
    """Attention in single operations, heads beside the rows, of lines of patches: (R, 1, T, C), as windows are."""

    def __init__(self, along: Any) -> None:
        nn.Module.__init__(self)
        self.qkv, self.out = dense(np.concatenate([along.query, along.key, along.value])), dense(along.output)

    def forward(self, lines: torch.Tensor) -> torch.Tensor:
        return super().forward(lines[:, 0])[:, None]


class Steps(Lines):
    """The same of (T, R, C), as sequences are."""

    def forward(self, lines: torch.Tensor) -> torch.Tensor:
        return OpenAttention.forward(self, lines.swapaxes(0, 1)).swapaxes(0, 1)


class Axial(nn.Module):
    """Rows of patches, then their columns."""

    def __init__(self, net: testing.AxialNet) -> None:
        super().__init__()
        self.patches, self.dense = conv(net.patches, net.patches_bias, 4), dense(net.dense, net.bias)
        self.rows, self.columns = Lines(net.along["rows"]), Steps(net.along["columns"])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patches(x).permute(0, 2, 3, 1)
        x = x + self.rows(x.flatten(0, 1)[:, None]).reshape(x.shape)
        columns = x.transpose(1, 2)
        steps = columns.flatten(0, 1).swapaxes(0, 1)
        x = columns + self.columns(steps).swapaxes(0, 1).reshape(columns.shape)
        return self.dense(x.mean((1, 2)))


class Recurrent(nn.Module):
    """Columns of some rows of the picture, the steps first, as recurrent layers take them."""

    def __init__(self, net: testing.RecurrentNet) -> None:
        super().__init__()
        self.rows, self.columns = net.part
        self.conv1, self.relu1 = conv(net.conv1, net.bias1), nn.ReLU()
        self.recurrent, self.dense = nn.RNN(5, 7), dense(net.dense, net.bias)
        self.recurrent.weight_ih_l0, self.recurrent.weight_hh_l0 = parameter(net.kernel), parameter(net.state)
        self.recurrent.bias_ih_l0, self.recurrent.bias_hh_l0 = parameter(net.offset), parameter(0 * net.offset)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        steps = self.relu1(self.conv1(x[:, :, self.rows, self.columns])).mean(2).permute(2, 0, 1)
        return self.dense(self.recurrent(steps)[0][-1])


class Halves(nn.Module):
    """A picture in halves, and a sentence."""

    def __init__(self, net: testing.HalvesNet) -> None:
        super().__init__()
        self.halves, self.patches = net.halves, conv(net.patches, net.patches_bias, 4)
        self.embedding = nn.Embedding.from_pretrained(torch.from_numpy(net.embedding.copy()), freeze=False)
        self.tokens, self.dense = dense(net.mix), dense(net.dense, net.bias)

    def forward(self, picture: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
        left, right = (self.patches(picture[..., columns]).flatten(2).mT for columns in self.halves)
        tokens = self.tokens(torch.cat([left, right, self.embedding(words)], 1))
        return self.dense(tokens.tanh()).mean(1)


class Centred(nn.Module):
    """What images have beyond half of the mean of their batch."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x - x.mean(0) / 2


class ClassesLast(nn.Module):
    """(N, classes, h, w) to (N, h, w, classes)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.permute(0, 2, 3, 1)


class Words(nn.Module):
    """A picture and a sentence, which is looked up first; a hook of the user's doubles what is found."""

    def __init__(self, net: testing.WordsNet) -> None:
        super().__init__()
        self.conv1, self.relu1 = conv(net.conv1, net.bias1), nn.ReLU()
        self.embedding = nn.Embedding.from_pretrained(torch.from_numpy(net.embedding / 2), freeze=False)
        self.embedding.register_forward_hook(lambda module, args, output: output * 2)
        self.dense = dense(net.dense, net.bias)

    def forward(self, picture: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
        of_words = self.embedding(words).mean(1)
        return self.dense(torch.cat([self.relu1(self.conv1(picture)).mean((2, 3)), of_words], 1))


class Heads(nn.Module):
    """Two outputs."""

    def __init__(self, net: testing.HeadsNet) -> None:
        super().__init__()
        self.conv1, self.relu1 = conv(net.conv1, net.bias1), nn.ReLU()
        self.shape, self.colour = dense(net.shape, net.shape_bias), dense(net.colour, net.colour_bias)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        pooled = self.relu1(self.conv1(x)).mean((2, 3))
        return {"shape": self.shape(pooled), "colour": self.colour(pooled)}


def norm(net: testing.ResidualNet, name: str) -> nn.BatchNorm2d:
    own, layer = net.norms[name], nn.BatchNorm2d(5, net.epsilon)
    layer.weight, layer.bias = parameter(own["scale"]), parameter(own["shift"])
    layer.running_mean, layer.running_var = torch.from_numpy(own["mean"]), torch.from_numpy(own["variance"])
    return layer


def parameter(array: np.ndarray) -> nn.Parameter:
    return nn.Parameter(torch.from_numpy(array.copy()))


def conv(kernel: np.ndarray, bias: np.ndarray | None = None, stride: int = 1) -> nn.Conv2d:
    channels, taken, *size = kernel.shape
    layer = nn.Conv2d(taken, channels, size, stride, padding=size[0] // 2 if stride == 1 else 0, bias=bias is not None)
    layer.weight = parameter(kernel)
    if bias is not None:
        layer.bias = parameter(bias)
    return layer


def dense(weight: np.ndarray, bias: np.ndarray | None = None) -> nn.Linear:
    layer = nn.Linear(*weight.shape[::-1], bias=bias is not None)
    layer.weight = parameter(weight)
    if bias is not None:
        layer.bias = parameter(bias)
    return layer


@pytest.fixture(autouse=True)
def _small_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Directions of several targets go through several passes, as those of large nets do."""
    monkeypatch.setattr(pullback, "MOST", 20_000)


class TestTorch(testing.BackendTests):
    kit_version = 2
    plugin = xaicore_torch
    frameworks = ("torch",)
    lacks = {"turned": "convolutions of PyTorch take their channels first"}  # noqa: RUF012 (a constant)

    def build(self, model: nn.Module, *names: str) -> testing.Built:
        """In the midst of a training: some weights are frozen, others have gradients."""
        next(model.parameters()).requires_grad_(False)
        for weight in list(model.parameters())[1:]:
            weight.grad = torch.ones_like(weight)
        return model.train(), {name: name for name in names}

    def build_conv(self, net: testing.ConvNet) -> testing.Built:
        return self.build(Conv(net), *net.layers)

    def build_tokens(self, net: testing.TokenNet) -> testing.Built:
        return self.build(Transformer(net), *net.layers)

    def build_pair(self, net: testing.PairNet) -> testing.Built:
        return self.build(Pair(net), "shared", "relu", "dense")

    def build_residual(self, net: testing.ResidualNet) -> testing.Built:
        model = nn.Sequential()
        model.body, model.norm1, model.relu1 = Unrecorded(conv(net.conv1)), norm(net, "norm1"), nn.ReLU(inplace=True)
        model.block, model.pool, model.flatten = Skip(net), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        model.dense = dense(net.dense, net.bias)
        return self.build(model)[0], {
            **{name: name for name in ("norm1", "relu1", "pool", "dense")},
            **{name: f"block.{name}" for name in ("conv2", "norm2")},
            "conv1": "body",
            "relu2": "block",
        }

    def build_loop(self, net: testing.LoopNet) -> testing.Built:
        return self.build(Loop(net), "first", "relu", "shared", "dense")

    def build_blocks(self, net: testing.BlocksNet) -> testing.Built:
        return self.build(Blocks(net), *net.layers)

    def build_segments(self, net: testing.SegmentsNet) -> testing.Built:
        model = nn.Sequential()
        model.conv1, model.relu1, model.dense = conv(net.conv1, net.bias1), nn.ReLU(), conv(net.dense, net.bias)
        end = nn.Softmax(dim=1) if net.link == "softmax" else HEADS[net.link]()
        model.end = nn.Sequential(end, ClassesLast())
        return self.build(model, *net.layers)

    def build_words(self, net: testing.WordsNet) -> testing.Built:
        return self.build(Words(net), *net.layers)

    def build_causal(self, net: testing.CausalNet) -> testing.Built:
        return self.build(Causal(net), *net.layers)

    def build_queries(self, net: testing.QueriesNet) -> testing.Built:
        return self.build(Queried(net), *net.layers)

    def build_recurrent(self, net: testing.RecurrentNet) -> testing.Built:
        return self.build(Recurrent(net), *net.layers)

    def build_halves(self, net: testing.HalvesNet) -> testing.Built:
        return self.build(Halves(net), "patches", "embedding", "tokens")

    def build_axial(self, net: testing.AxialNet) -> testing.Built:
        return self.build(Axial(net), "patches", "dense")

    def build_coupled(self, net: testing.CoupledNet) -> testing.Built:
        model = nn.Sequential()
        model.body, model.relu1 = Unrecorded(conv(net.conv1, net.bias1)), nn.ReLU(inplace=True)
        model.centred = Centred()
        model.relu2, model.pool, model.flatten = nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        model.dense = dense(net.dense, net.bias)
        return self.build(model)[0], {name: name for name in net.layers} | {"conv1": "body.conv"}

    def build_outputs(self, net: testing.HeadsNet) -> testing.Built:
        return self.build(Heads(net), "conv1", "relu1", "shape", "colour")

    def build_open(self, net: testing.OpenNet) -> testing.Built:
        model = Blocks(net)
        model.mixed1.attention = OpenAttention(net.blocks[0])
        return self.build(model, *net.layers)

    def build_masked(self, net: testing.MaskedNet) -> testing.Built:
        return self.build(Masked(net), *net.layers)

    def build_sequence(self, net: testing.SequenceNet) -> testing.Built:
        return self.build(Sequence(net), *net.layers)

    def build_shares(self, net: testing.SharesNet) -> testing.Built:
        model = Conv(net)
        model.end = Shares()
        return self.build(model, *net.layers)

    def build_leaky(self, net: testing.LeakyNet) -> testing.Built:
        model = Conv(net)
        model.relu2 = nn.LeakyReLU(0.3)
        return self.build(model, *net.layers)

    def build_half(self, net: testing.HalfNet) -> testing.Built:
        return self.build(Conv(net).half(), *net.layers)

    def modes(self) -> dict[str, Any]:
        return {
            "no_grad": torch.no_grad,
            "inference_mode": torch.inference_mode,
            "autocast": lambda: torch.autocast("cpu", enabled=False),
        }

    def freeze(self, model: nn.Module) -> None:
        model.requires_grad_(False)

    def alias(self, model: nn.Module, layer: str) -> str:
        model.dense.again = model.get_submodule(layer)
        return "dense.again"

    def to_inputs(self, picture: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(picture.copy())

    def state(self, model: Any) -> Any:
        return fingerprint(model)


class TestModelsByName(testing.ModelSourceTests):
    """On a network whose package is here; torchvision's and timm's are loaded by the same functions."""

    plugin = xaicore_torch
    frameworks = ("torch", "torchvision", "timm", "transformers", "efficientnet_lite_pytorch")
    lacks = {"class_names": "random weights predict no classes that have names"}  # noqa: RUF012
    model = "efficientnet-lite/efficientnet-lite0"
    suffix = ".pt"

    def save(self, model: Any, file: Path) -> None:
        torch.save(model.state_dict(), file)
