"""What layers, inputs and outputs mean: tokens, sequences, several inputs, frames, axes of inputs, values.

Every map is compared with plain autograd at the same layer, arranged here by hand.
"""

from __future__ import annotations

import re
import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import xaicore
from xaicore_torch.backend import TorchBackend


def rand(*shape, seed=7):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def of_class(c):
    return lambda y: y[:, c].sum()


CLASS_1 = of_class(1)


def plain_gradcam(model, x, module, arrange, score=CLASS_1, run=-1):
    """Grad-CAM by autograd; `arrange` makes (N, C, *S) of the module's output."""
    kept = []
    handle = module.register_forward_hook(lambda m, args, output: kept.append(output))
    args = x if isinstance(x, tuple) else (x,)
    y = model.eval()(*(a.clone().requires_grad_(a.is_floating_point()) for a in args))
    handle.remove()
    output = kept[run][0] if isinstance(kept[run], tuple) else kept[run]
    (gradient,) = torch.autograd.grad(score(y), [output])
    a, g = arrange(output.detach()), arrange(gradient)
    return (a * g.mean(tuple(range(2, a.ndim)), keepdim=True)).sum(1).relu().numpy()


def check(model, x, found, module, arrange=lambda t: t, score=None, target=None, run=-1, **options):
    """An explanation at the layer `found`, compared; of the first class that has a map, without a score."""
    if score is None:
        maps = (plain_gradcam(model, x, module, arrange, of_class(c), run) for c in range(5))
        target, expected = next((c, one) for c, one in enumerate(maps) if one.any())
    else:
        expected = plain_gradcam(model, x, module, arrange, score, run)
    explanation = xaicore.explain(model.eval(), x, target, **options)
    assert explanation.layer == found
    maps = explanation.maps.reshape(-1, *explanation.maps.shape[-len(explanation.input_size) :])
    np.testing.assert_allclose(maps, expected, rtol=1e-4, atol=1e-5 * max(1, np.abs(expected).max()))
    assert not explanation.empty.all()
    return explanation


def are_shown(given, explanation):
    """Whether the pictures under the maps are these (N, 3, H, W)."""
    shown = np.stack([explanation.picture(m) for m in range(len(given))])
    pairs = zip(given.permute(0, 2, 3, 1).numpy(), shown, strict=True)
    return all(a.shape == b.shape and np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.99 for a, b in pairs)


class OwnNorm(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.scale = nn.Parameter(torch.rand(d) + 0.5)

    def forward(self, x):
        return x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt() * self.scale


class Block(nn.Module):
    def __init__(self, d, norm=nn.LayerNorm):
        super().__init__()
        self.norm1, self.attn, self.norm2 = norm(d), nn.MultiheadAttention(d, 2, batch_first=True), norm(d)
        self.mlp = nn.Sequential(nn.Linear(d, 2 * d), nn.GELU(), nn.Linear(2 * d, d))

    def forward(self, x):
        y = self.norm1(x)
        x = x + self.attn(y, y, y, need_weights=False)[0]
        return x + self.mlp(self.norm2(x))


class ViT(nn.Module):
    """A vision transformer of 4 x 6 patches."""

    def __init__(self, prefix=1, pool="token", norm=nn.LayerNorm, order="before", d=8, linear=False):
        super().__init__()
        torch.manual_seed(0)
        self.linear, self.order, self.pool, self.prefix = linear, order, pool, prefix
        self.embed = nn.Linear(48, d) if linear else nn.Conv2d(3, d, 4, 4)
        self.others = nn.Parameter(torch.randn(1, prefix, d))
        self.position = nn.Parameter(torch.randn(1, 24, d))
        self.blocks = nn.ModuleList([Block(d, norm) for _ in range(2)])
        self.norm, self.head = norm(d), nn.Linear(d, 5)
        self.query = nn.Parameter(torch.randn(1, 1, d))
        self.map = nn.MultiheadAttention(d, 2, batch_first=True)

    def forward(self, x):
        if self.linear:
            patches = x.unfold(2, 4, 4).unfold(3, 4, 4).permute(0, 2, 3, 1, 4, 5)
            t = self.embed(patches.flatten(3).flatten(1, 2))
        else:
            t = self.embed(x).flatten(2).transpose(1, 2)
        t = t + self.position
        others = self.others.expand(len(x), -1, -1)
        parts = {"before": [others, t], "behind": [t, others], "between": [t[:, :12], others, t[:, 12:]]}
        t = torch.cat(parts[self.order], 1)
        for block in self.blocks:
            t = block(t)
        t = self.norm(t)
        if self.pool == "token":
            return self.head(t[:, {"before": 0, "behind": -1, "between": 12}[self.order]])
        if self.pool == "average":
            return self.head((t[:, self.prefix :] if self.order == "before" else t[:, : -self.prefix]).mean(1))
        if self.pool == "attention":
            return self.head(self.map(self.query.expand(len(x), -1, -1), t, t)[0][:, 0])
        return (self.head(t[:, 0]) + 2 * self.head(t[:, 1])) / 2  # a distillation token


def on_grid(prefix, h=4, w=6):
    return lambda t: t[:, prefix : prefix + h * w].transpose(1, 2).unflatten(2, (h, w))


PICTURES = rand(2, 3, 16, 24)


@pytest.mark.parametrize(
    ("options", "layer"),
    [
        ({}, "blocks.1.norm1"),
        ({"norm": OwnNorm}, "blocks.1.norm1"),
        ({"norm": getattr(nn, "RMSNorm", OwnNorm)}, "blocks.1.norm1"),
        ({"linear": True}, "blocks.1.norm1"),
        ({"prefix": 5}, "blocks.1.norm1"),
        ({"prefix": 2, "pool": "distillation"}, "blocks.1.norm1"),
        ({"prefix": 4, "pool": "average"}, "norm"),
        ({"prefix": 0, "pool": "average"}, "norm"),
        ({"prefix": 0, "pool": "average", "d": 24}, "norm"),  # as many channels as tokens
        ({"prefix": 0, "pool": "average", "d": 24, "norm": OwnNorm}, "norm"),
        ({"prefix": 0, "pool": "attention"}, "norm"),
        ({"prefix": 1, "pool": "attention"}, "norm"),
    ],
    ids=str,
)
def test_tokens_on_their_grid(options, layer):
    model = ViT(**options)
    check(model, PICTURES, layer, model.get_submodule(layer), on_grid(options.get("prefix", 1)))


@pytest.mark.parametrize(("pool", "layer"), [("token", "blocks.1.norm1"), ("average", "norm")])
def test_tokens_behind_the_positions(pool, layer):
    model = ViT(2 if pool == "average" else 1, pool, order="behind")
    check(model, PICTURES, layer, model.get_submodule(layer), on_grid(0))


def test_a_class_token_between_the_positions_is_refused():
    with pytest.raises(xaicore.LayerError, match=r"layer 'norm' gives \(1, 25, 8\).*grid="):
        xaicore.explain(ViT(order="between"), PICTURES, layer="norm")


def test_a_norm_behind_the_last_attention_of_a_class_token_is_blank_and_says_so():
    model = ViT().eval()
    with pytest.warns(RuntimeWarning, match="the maps at 'norm' are blank: .* layer=None finds the last layer"):
        assert xaicore.explain(model, PICTURES, layer="norm").empty.all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not xaicore.explain(model, PICTURES, 0, layer=None).empty.all()
        xaicore.explain(model, PICTURES, layer="norm", method="eigencam")
        xaicore.explain(ViT(pool="average").eval(), PICTURES, layer="norm")


class Sequence(nn.Module):
    """A transformer of torch's own, over patches or over time."""

    def __init__(self, batch_first, norm_first=True, token=True):
        super().__init__()
        torch.manual_seed(0)
        self.batch_first, self.token = batch_first, token
        self.embed, self.start = nn.Conv2d(3, 8, 4, 4), nn.Parameter(torch.randn(1, 1, 8))
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=batch_first, norm_first=norm_first)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.norm, self.head = nn.LayerNorm(8), nn.Linear(8, 5)

    def forward(self, x):
        t = self.embed(x).flatten(2).permute(2, 0, 1)
        t = torch.cat([self.start.expand(-1, len(x), -1), t])
        t = t.transpose(0, 1) if self.batch_first else t
        t = self.norm(self.encoder(t))
        t = t.transpose(0, 1) if self.batch_first else t
        return self.head(t[0] if self.token else t[1:].mean(0))


@pytest.mark.parametrize("count", [2, 25])  # 25 images of 25 tokens
@pytest.mark.parametrize("token", [True, False])
@pytest.mark.parametrize("batch_first", [True, False])
def test_torchs_own_transformer(batch_first, token, count):
    model = Sequence(batch_first, token=token)
    layer = "encoder.layers.1.norm1" if token else "norm"

    def arrange(t):
        return on_grid(1)(t if batch_first else t.transpose(0, 1))

    check(model, rand(count, 3, 16, 24, seed=1), layer, model.get_submodule(layer), arrange)


class ChannelsFirstTokens(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.mix, self.norm = nn.Conv2d(3, 8, 4, 4), nn.Conv1d(8, 6, 1), nn.BatchNorm1d(6)
        self.act, self.head = nn.GELU(), nn.Linear(6, 5)

    def forward(self, x):
        return self.head(self.act(self.norm(self.mix(self.embed(x).flatten(2)))).mean(2))


def test_tokens_with_channels_first():
    model = ChannelsFirstTokens()
    check(model, PICTURES, "act", model.act, lambda t: t.unflatten(2, (4, 6)))


class Windows(nn.Module):
    """(N, h, w, C), attention in windows, patches merged, as in Swin."""

    def __init__(self, norm, d):
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.norm1, self.attn = (
            nn.Conv2d(3, d, 2, 2),
            norm(d),
            nn.MultiheadAttention(d, 2, batch_first=True),
        )
        self.merge, self.norm2 = nn.Linear(4 * d, 2 * d), norm(2 * d)
        self.mlp, self.norm, self.head = nn.Linear(2 * d, 2 * d), norm(2 * d), nn.Linear(2 * d, 5)

    def forward(self, x):
        x = self.embed(x).permute(0, 2, 3, 1)
        n, h, w, c = x.shape
        y = self.norm1(x).view(n, h // 2, 2, w // 2, 2, c).permute(0, 1, 3, 2, 4, 5).reshape(-1, 4, c)
        y = self.attn(y, y, y, need_weights=False)[0].view(n, h // 2, w // 2, 2, 2, c)
        x = x + y.permute(0, 1, 3, 2, 4, 5).reshape(n, h, w, c)
        x = self.merge(torch.cat([x[:, i::2, j::2] for i in (0, 1) for j in (0, 1)], -1))
        return self.head(self.norm(x + self.mlp(self.norm2(x)).relu()).mean((1, 2)))


@pytest.mark.parametrize("norm", [nn.LayerNorm, getattr(nn, "RMSNorm", OwnNorm), OwnNorm])
@pytest.mark.parametrize(("d", "size"), [(6, (16, 24)), (2, (16, 16))])  # 4 channels on a grid of 4 x 4
def test_windows_and_merges(norm, d, size):
    model = Windows(norm, d)
    check(model, rand(2, 3, *size, seed=3), "norm", model.norm, lambda t: t.permute(0, 3, 1, 2))


# Time.


class Recurrent(nn.Module):
    def __init__(self, batch_first, convolution=True):
        super().__init__()
        torch.manual_seed(0)
        self.batch_first = batch_first
        self.conv = nn.Conv1d(2, 6, 3, padding=1) if convolution else nn.Identity()
        self.rnn = nn.LSTM(6 if convolution else 2, 8, batch_first=batch_first)
        self.norm, self.head = nn.LayerNorm(8), nn.Linear(8, 5)

    def forward(self, x):
        y = self.conv(x)
        y = self.rnn(y.transpose(1, 2) if self.batch_first else y.permute(2, 0, 1))[0]
        return self.head(self.norm(y if self.batch_first else y.transpose(0, 1)).mean(1))


@pytest.mark.parametrize("steps", [30, 8])  # as many steps as hidden units
@pytest.mark.parametrize("batch_first", [True, False])
def test_a_recurrent_net_over_time(batch_first, steps):
    model, x = Recurrent(batch_first), rand(2, 2, steps)
    check(model, x, "norm", model.norm, lambda t: t.transpose(1, 2))
    arrange = (lambda t: t.transpose(1, 2)) if batch_first else (lambda t: t.permute(1, 2, 0))
    check(model, x, "rnn", model.rnn, arrange, layer="rnn")


@pytest.mark.parametrize("size", [(16, 12), (12, 16), (8, 18)], ids=str)
@pytest.mark.parametrize("batch_first", [True, False])
def test_columns_that_a_recurrent_layer_reads_are_no_grid(batch_first, size):
    """Twelve columns fit four rows of three."""

    class Reads(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.conv, self.head = nn.Conv2d(3, 5, 3, padding=1), nn.Linear(7, 4)
            self.rnn = nn.RNN(5, 7, batch_first=batch_first)

        def forward(self, x):
            columns = self.conv(x).relu().mean(2).permute(2, 0, 1)  # their number, images, channels
            return self.head(self.rnn(columns.transpose(0, 1))[0][:, -1] if batch_first else self.rnn(columns)[0][-1])

    model, x = Reads(), rand(2, 3, *size)
    with pytest.raises(xaicore.LayerError, match="these tokens do not follow the picture: say on which grid they lie"):
        xaicore.explain(model, x, layer="rnn")
    assert xaicore.explain(model, x).layer == "conv"


@pytest.mark.parametrize("size", [(16, 64), (64, 16), (32, 80), (80, 32)], ids=str)
def test_tokens_that_see_more_than_half_of_a_narrow_picture_lie_on_their_map(size):
    """Along its narrow side, each comes from the middle, as columns do."""

    class Hybrid(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.stem = nn.Sequential(nn.Conv2d(3, 4, 25, padding=12), nn.AvgPool2d(8), nn.Conv2d(4, 6, 1))
            self.norm, self.head = nn.LayerNorm(6), nn.Linear(6, 3)

        def forward(self, x):
            return self.head(self.norm(self.stem(x).flatten(2).transpose(1, 2)).relu().mean(1))

    explanation = xaicore.explain(Hybrid(), rand(2, 3, *size), layer="norm")
    assert explanation.maps.shape == (2, size[0] // 8, size[1] // 8)


@pytest.mark.parametrize("batch_first", [True, False])
def test_a_recurrent_layer_that_reads_the_input(batch_first):
    class Reads(nn.Module):
        def __init__(self):
            torch.manual_seed(0)
            super().__init__()
            self.rnn, self.head = nn.LSTM(6, 12, batch_first=batch_first), nn.Linear(12, 5)

        def forward(self, x):
            return self.head(self.rnn(x if batch_first else x.transpose(0, 1))[0].mean(1 if batch_first else 0))

    model = Reads()
    arrange = (lambda t: t.transpose(1, 2)) if batch_first else (lambda t: t.permute(1, 2, 0))
    check(model, rand(2, 30, 6), "rnn", model.rnn, arrange, layer="rnn")


class Series(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.block, self.norm, self.head = nn.Linear(2, 8), Block(8), OwnNorm(8), nn.Linear(8, 5)

    def forward(self, x):
        return self.head(self.norm(self.block(self.embed(x))).mean(1))


@pytest.mark.parametrize("steps", [30, 8])
def test_a_transformer_over_time(steps):
    model = Series()
    check(model, rand(2, steps, 2), "norm", model.norm, lambda t: t.transpose(1, 2))


# Several outputs and inputs.


class Features(nn.Sequential):
    def __init__(self, channels=3, conv=nn.Conv2d):
        torch.manual_seed(0)
        super().__init__(conv(channels, 4, 3, padding=1), nn.ReLU())


class Steps(nn.Module):
    """101 steps of a waveform's spectrogram, read by an LSTM; there is no convolution."""

    def __init__(self):
        torch.manual_seed(0)
        super().__init__()
        self.lstm, self.norm, self.head = nn.LSTM(9, 6, batch_first=True), nn.LayerNorm(6), nn.Linear(6, 3)

    def forward(self, x):
        windows = F.pad(x, (8, 8)).unfold(1, 16, 8)
        return self.head(self.norm(self.lstm(torch.fft.rfft(windows).abs())[0]).mean(1))


def test_a_step_more_than_a_round_number_is_no_class_token():
    model = Steps()
    explanation = check(model, rand(2, 800), "norm", model.norm, lambda t: t.transpose(1, 2), input_axes="nt")
    assert explanation.maps.shape == (2, 101)


class Text(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.dropout, self.lstm = nn.Embedding(9, 8), nn.Dropout(0.1), nn.LSTM(8, 6, batch_first=True)
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        return self.head(self.lstm(self.dropout(self.embed(x)))[0].mean(1))


def test_text_behind_a_dropout_is_no_signal():
    words = torch.arange(14).reshape(2, 7) % 9
    with pytest.raises(xaicore.LayerError, match="nothing in the model says which axes of the inputs"):
        xaicore.explain(Text(), words)


class TwoHeads(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = Features()
        self.of_age, self.of_class = nn.Conv2d(4, 6, 3), nn.Conv2d(4, 5, 3)
        self.age, self.classes = nn.Linear(6, 1), nn.Linear(5, 5)

    def forward(self, x):
        f = self.features(x)
        return {"age": self.age(self.of_age(f).mean((2, 3))), "classes": self.classes(self.of_class(f).mean((2, 3)))}


def test_the_layer_leads_to_the_chosen_output():
    model = TwoHeads()
    with torch.no_grad():
        model.age.weight.abs_()
        model.of_age.weight.abs_()
    check(model, PICTURES, "of_age", model.of_age, score=lambda y: y["age"].sum(), target=None, output="age")
    check(
        model,
        PICTURES,
        "of_class",
        model.of_class,
        score=lambda y: y["classes"][:, 2].sum(),
        target=2,
        output="classes",
    )


class Question(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = Features()
        self.words, self.rnn = nn.Embedding(20, 6), nn.GRU(6, 6, batch_first=True)
        self.head = nn.Linear(10, 5)

    def forward(self, image, text):
        words = self.rnn(self.words(text))[0].mean(1)
        return self.head(torch.cat([self.features(image).mean((2, 3)), words], 1))


def test_a_picture_beside_a_text():
    model = Question()
    check(model, (PICTURES, torch.arange(14).reshape(2, 7)), "features", model.features)


class SignalAndPicture(nn.Module):
    def __init__(self):
        super().__init__()
        self.picture, self.signal, self.head = Features(), Features(2, nn.Conv1d), nn.Linear(8, 5)

    def forward(self, image, signal):
        return self.head(torch.cat([self.picture(image).mean((2, 3)), self.signal(signal).mean(2)], 1))


def test_a_signal_beside_a_picture():
    model, x = SignalAndPicture(), (PICTURES, rand(2, 2, 30))
    assert check(model, x, "picture", model.picture).input_size == (16, 24)
    assert check(model, x, "signal", model.signal, layer="signal").input_size == (30,)


class Towers(nn.Module):
    def __init__(self):
        super().__init__()
        self.left, self.right, self.head = Features(), Features(), nn.Linear(8, 5)

    def forward(self, a, b):
        return self.head(torch.cat([self.left(a).mean((2, 3)), self.right(b).mean((2, 3))], 1))


def test_each_tower_has_the_picture_that_it_reads():
    model, x = Towers(), (PICTURES, rand(2, 3, 10, 8))
    for name, i in (("left", 0), ("right", 1)):
        explanation = check(model, x, name, model.get_submodule(name), layer=name)
        assert explanation.input_size == tuple(x[i].shape[2:])
        assert are_shown(x[i], explanation)


class Siamese(nn.Module):
    def __init__(self, stacked=False):
        super().__init__()
        self.stacked, self.net, self.head = stacked, Features(), nn.Linear(4, 5)

    def forward(self, a, b):
        if self.stacked:
            a, b = self.net(torch.cat([a, b])).mean((2, 3)).chunk(2)
        else:
            a, b = self.net(a).mean((2, 3)), self.net(b).mean((2, 3))
        return self.head(2 * a - b)


def advised(message, option):
    """What a message tells to type for an option."""
    return re.findall(rf"{option}=('[^']*'|\([\d, ]*\))", message)


def test_one_backbone_for_two_pictures_asks_for_a_run_and_takes_what_it_asks_for():
    model, x = Siamese(), (PICTURES, rand(2, 3, 16, 24, seed=1))
    with pytest.raises(xaicore.LayerError, match="run 1 reads input 0, run 2 reads input 1") as raised:
        xaicore.explain(model, x)
    one, every = (name.strip("'") for name in advised(str(raised.value), "layer"))
    assert (one, every) == ("net#1", "net#*")
    check(model, x, "net#1", model.net, run=0, layer=one)
    check(model, x, "net#2", model.net, run=1, layer="net#2")
    both = xaicore.explain(model, x, 1, layer=every)
    assert both.maps.shape == (2, 2, 16, 24)
    for run in (0, 1):
        np.testing.assert_allclose(
            both.maps[:, run], plain_gradcam(model, x, model.net, lambda t: t, run=run), atol=1e-6
        )


def test_the_picture_is_the_named_one_in_whatever_order_inputs_are_given():
    """Also where the facts of the same shapes are known already."""
    explainer = xaicore.Explainer(Towers().eval(), layer="left")
    left, right = PICTURES, rand(2, 3, 16, 24, seed=1)
    in_order = explainer({"a": left, "b": right}, 1)
    other = explainer({"b": right, "a": left}, 1)
    assert are_shown(left, in_order)
    assert are_shown(left, other)
    np.testing.assert_array_equal(other.maps, in_order.maps)


def test_stacked_pairs_are_refused_with_the_reason():
    model, x = Siamese(stacked=True), (PICTURES, PICTURES)
    for options in ({"layer": "net"}, {"layer": "net", "axes": "nchw"}):
        with pytest.raises(xaicore.LayerError, match=r"2 maps for 1 pictures in the inputs.*stacks several"):
            xaicore.explain(model, x, **options)


class Parts(nn.Module):
    """A net that runs on parts of its input."""

    def __init__(self, *parts):
        super().__init__()
        self.net, self.head, self.parts = Features(), nn.Linear(4, 5), parts

    def forward(self, x):
        return self.head(sum((i + 1) * self.net(part(x)).mean((2, 3)) for i, part in enumerate(self.parts)))


def test_pairs_in_the_channels_of_one_input_ask_for_a_run():
    model, x = Parts(lambda x: x[:, :3], lambda x: x[:, 3:]), rand(2, 6, 8, 12)
    with pytest.raises(xaicore.LayerError, match="ran 2 times, on different parts of input 0") as raised:
        xaicore.explain(model, x)
    runs = advised(str(raised.value), "layer")
    assert runs == ["'net#1'", "'net#*'"]
    for run in (0, 1):
        check(model, x, f"net#{run + 1}", model.net, run=run, layer=f"net#{run + 1}")
    assert xaicore.explain(model, x, 1, layer="net#*").views == 2


def test_two_sizes_of_a_picture_have_no_common_map():
    model, x = Parts(lambda x: x, lambda x: F.avg_pool2d(x, 2)), rand(2, 3, 8, 12)
    check(model, x, "net", model.net)
    with pytest.raises(xaicore.LayerError, match=r"gave \(2, 4, 8, 12\), \(2, 4, 4, 6\): name them one by one"):
        xaicore.explain(model, x, layer="net#*")
    check(model, x, "net#1", model.net, run=0, layer="net#1")


class Flips(nn.Module):
    """Test-time augmentation in a wrapper."""

    def __init__(self, changes, normed):
        super().__init__()
        self.net, self.head, self.changes, self.normed = Features(), nn.Linear(4, 5), changes, normed

    def forward(self, x):
        x = (x - 0.5) / 0.2 if self.normed else x
        return sum(self.head(self.net(change(x)).mean((2, 3))) for change in self.changes)


def same(x):
    return x


def flipped(x):
    return x.flip(3)


@pytest.mark.parametrize("normed", [False, True])
@pytest.mark.parametrize("changes", [(same, flipped), (flipped, same)])
def test_the_unflipped_run_is_explained(changes, normed):
    model, run = Flips(changes, normed), changes.index(same)
    check(model, PICTURES, "net", model.net, run=run)
    check(model, PICTURES, f"net#{run + 1}", model.net, run=run, layer=f"net#{run + 1}")
    for layer in (f"net#{2 - run}", "net#*"):
        with pytest.raises(xaicore.LayerError, match="the model flips it before"):
            xaicore.explain(model.eval(), PICTURES, layer=layer)


def test_flips_alone_are_refused_until_the_caller_overrules():
    model = Flips((flipped,), False)
    with pytest.raises(xaicore.LayerError, match="the model flips it before its first convolution") as raised:
        xaicore.explain(model, PICTURES)
    (axes,) = advised(str(raised.value), "input_axes")
    check(model, PICTURES, "net", model.net, input_axes=axes.strip("'"))


# How an input is a picture.


class Prepared(nn.Module):
    """A convolutional net that changes its input first."""

    def __init__(self, prepare, channels=3, conv=nn.Conv2d):
        super().__init__()
        torch.manual_seed(0)
        self.prepare = prepare
        self.conv, self.last = conv(channels, 6, 3, padding=1), conv(6, 4, 3, padding=1)
        self.head = nn.Linear(4, 5)

    def forward(self, x):
        return self.head(self.last(self.conv(self.prepare(x)).relu()).relu().flatten(2).mean(2))


def first(x):
    return x.permute(0, 3, 1, 2)


INPUTS = {
    "nhwc": (first, 3, nn.Conv2d, rand(2, 16, 24, 3), (16, 24)),
    "nhwc uint8": (lambda x: first(x).float() / 255, 3, nn.Conv2d, (255 * rand(2, 16, 24, 3)).byte(), (16, 24)),
    "nchw uint8": (lambda x: x.float() / 255, 3, nn.Conv2d, (255 * rand(2, 3, 16, 24)).byte(), (16, 24)),
    "mel": (lambda x: x[:, None], 1, nn.Conv2d, rand(2, 20, 30), (20, 30)),
    "one mel": (lambda x: x[:, None], 1, nn.Conv2d, rand(1, 20, 30), (20, 30)),
    "samples": (lambda x: x[:, None], 1, nn.Conv1d, rand(2, 50), (50,)),
    "row of pixels": (lambda x: x.reshape(-1, 1, 8, 12), 1, nn.Conv2d, rand(2, 96), (8, 12)),
    "row of colours": (lambda x: x.reshape(-1, 3, 8, 12), 3, nn.Conv2d, rand(2, 288), (8, 12)),
    "grey to colour": (lambda x: x.expand(-1, 3, -1, -1), 3, nn.Conv2d, rand(2, 1, 16, 24), (16, 24)),
    "resized": (lambda x: F.interpolate(x, (16, 24)), 3, nn.Conv2d, rand(2, 3, 40, 50), (40, 50)),
    "resized nhwc": (lambda x: F.interpolate(first(x), (16, 24)), 3, nn.Conv2d, rand(2, 40, 50, 3), (40, 50)),
    "unshuffled": (lambda x: F.pixel_unshuffle(x, 4), 48, nn.Conv2d, rand(2, 3, 32, 48), (32, 48)),
    "centred": (lambda x: x - x.mean((2, 3), keepdim=True), 3, nn.Conv2d, rand(2, 3, 16, 24), (16, 24)),
    "a little padded": (lambda x: F.pad(x, (3, 3, 3, 3)), 3, nn.Conv2d, rand(2, 3, 160, 200), (160, 200)),
    "time first": (lambda x: x.transpose(1, 2), 6, nn.Conv1d, rand(2, 40, 6), (40,)),
    "frames convolved": (lambda x: x.transpose(1, 2), 3, nn.Conv3d, rand(2, 6, 3, 8, 10), (6, 8, 10)),
    "as many frames as channels": (lambda x: x.transpose(1, 2), 3, nn.Conv3d, rand(2, 3, 3, 8, 10), (3, 8, 10)),
}


@pytest.mark.parametrize("name", INPUTS)
def test_the_axes_of_an_input(name):
    prepare, channels, conv, x, size = INPUTS[name]
    model = Prepared(prepare, channels, conv)
    explanation = check(model, x, "last", model.last)
    assert explanation.input_size == size
    assert explanation.values(0).shape == size


@pytest.mark.parametrize("size", [(16, 24), (16, 16)])
def test_pictures_that_are_transposed_inside_lie_under_their_maps(size):
    model, x = Prepared(lambda x: x.transpose(2, 3)), rand(2, 3, *size)
    explanation = check(model, x, "last", model.last)
    assert explanation.input_size == size[::-1]
    assert are_shown(x.transpose(2, 3), explanation)


@pytest.mark.parametrize(
    ("prepare", "what"),
    [
        (lambda x: x.rot90(1, (2, 3)), "flips it"),
        (lambda x: x[:, :, 8:56, 8:56], "crops or pads it"),
        (lambda x: F.pad(x, (32, 0, 32, 0)), "crops or pads it"),
        (lambda x: torch.fft.fft2(x).abs(), "mixes or rearranges the positions of it"),
    ],
)
def test_changed_inputs_are_refused(prepare, what):
    with pytest.raises(xaicore.LayerError, match=f"the model {what} before its first convolution"):
        xaicore.explain(Prepared(prepare), rand(2, 3, 64, 64))


class Spectrogram(nn.Module):
    def __init__(self, add_channels=False, trains=True):
        super().__init__()
        self.add_channels, self.trains = add_channels, trains

    def forward(self, x):
        with torch.set_grad_enabled(self.trains and torch.is_grad_enabled()):
            waves = x.flatten(0, -2) if x.ndim > 1 else x
            f = torch.stft(waves, 32, 8, window=torch.hann_window(32), return_complex=True).abs() ** 2
            return f[:, None] if self.add_channels else f


WAVES = {
    "computed in the model": (lambda x: torch.log(Spectrogram()(x) + 1e-3)[:, None], (2, 800)),
    "a layer": (Spectrogram(add_channels=True), (2, 800)),
    "a layer without gradients": (Spectrogram(add_channels=True, trains=False), (2, 800)),
    "a layer, and channels behind it": (nn.Sequential(Spectrogram(), nn.Unflatten(1, (1, 17))), (2, 800)),
    "an axis of channels": (Spectrogram(add_channels=True), (2, 1, 800)),
    "one wave": (Spectrogram(add_channels=True), (1, 800)),
    "time first": (lambda x: Spectrogram()(x).transpose(1, 2)[:, None], (2, 800)),
}


def test_a_picture_that_is_made_inside_costs_no_second_pass(unchanged):
    model, x, passes = Prepared(Spectrogram(add_channels=True), 1).train(), rand(2, 800), []
    model.head.register_forward_pre_hook(lambda module, args: passes.append(1))
    explainer = xaicore.Explainer(model)
    explainer(x)
    passes.clear()
    with unchanged(model):
        explainer(x)
    assert len(passes) == 1


@pytest.mark.parametrize("name", WAVES)
def test_a_spectrogram_made_inside_is_shown_under_its_map(name):
    prepare, shape = WAVES[name]
    model, x = Prepared(prepare, 1), rand(*shape)
    explanation = check(model, x, "last", model.last)
    spectrogram = prepare(x)
    assert explanation.input_size == spectrogram.shape[2:]
    assert are_shown(spectrogram.expand(-1, 3, -1, -1), explanation)


def test_what_dense_layers_make_of_a_vector_is_no_picture():
    model = Prepared(nn.Sequential(nn.Linear(20, 96), nn.Unflatten(1, (1, 8, 12)), nn.Tanh()), 1)
    with pytest.raises(xaicore.LayerError, match=r"turns its input \(1, 20\) into \(1, 1, 8, 12\)"):
        xaicore.explain(model, rand(2, 20))


def test_integers_ask_for_their_axes_and_take_what_is_advised():
    model = Prepared(lambda x: F.one_hot(x, 7).permute(0, 3, 1, 2).float(), 7)
    x = torch.randint(0, 7, (2, 10, 12), generator=torch.Generator().manual_seed(0))
    with pytest.raises(xaicore.LayerError, match="which axes of the inputs") as raised:
        xaicore.explain(model, x)
    axes = advised(str(raised.value), "input_axes")[0].strip("'")
    assert check(model, x, "last", model.last, input_axes=axes).input_size == (10, 12)


class Frames(nn.Module):
    def __init__(self):
        super().__init__()
        self.net, self.head = Features(), nn.Linear(4, 5)

    def forward(self, x):
        f = self.net(x.flatten(0, 1)).mean((2, 3)).unflatten(0, (len(x), -1))
        return self.head(f.amax(1))


@pytest.mark.parametrize("frames", [5, 3])  # as many frames as channels
def test_a_map_for_each_frame(frames):
    model, x = Frames(), rand(2, frames, 3, 8, 12)
    explanation = check(model, x, "net", model.net)
    assert explanation.maps.shape == (2, frames, 8, 12)
    assert check(model, x, "net", model.net, input_axes="ntchw").maps.shape == (2, frames, 8, 12)


def test_frames_are_in_order_where_a_recurrent_layer_reads_them():
    """A maximum over frames has no order, unless the caller says that the axis is time."""

    class Clip(Frames):
        def __init__(self, batch_first):
            super().__init__()
            self.rnn, self.batch_first = nn.GRU(4, 4, batch_first=batch_first), batch_first

        def forward(self, x):
            f = self.net(x.flatten(0, 1)).mean((2, 3)).unflatten(0, (len(x), -1))
            return self.head(self.rnn(f)[0][:, -1] if self.batch_first else self.rnn(f.transpose(0, 1))[0][-1])

    x = rand(2, 3, 3, 8, 12)
    for model in (Clip(True), Clip(False)):
        explanation = check(model, x, "net", model.net)
        assert (explanation.view_names, explanation.frames) == (("frame 0", "frame 1", "frame 2"), 3)
    views = xaicore.explain(Frames(), x)
    assert (views.view_names, views.frames) == (("view 0", "view 1", "view 2"), 1)
    for model in (Frames(), Loop()):
        stated = xaicore.explain(model, x, input_axes="ntchw")
        assert (stated.view_names, stated.frames) == (("frame 0", "frame 1", "frame 2"), 3)


class Loop(nn.Module):
    """A net that takes frame after frame in Python, in any order; `prepare` makes a frame of the clip and a time."""

    def __init__(self, order=range, prepare=lambda x, t: x[:, t]):
        super().__init__()
        self.net, self.head, self.order, self.prepare = Features(), nn.Linear(4, 5), order, prepare

    def forward(self, x):
        times = self.order(x.shape[1])
        f = [self.net(self.prepare(x, t)).mean((2, 3)) * (1 + 0.1 * t) for t in times]
        return self.head(torch.stack(f, 1).amax(1))


class Cell(nn.Module):
    """A recurrent layer of convolutions."""

    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels + 4, 4, 3, padding=1)

    def forward(self, frames):
        h, states = torch.zeros(len(frames[0]), 4, *frames[0].shape[2:]), []
        for frame in frames:
            h = self.step(frame, h)
            states.append(h)
        return states

    def step(self, frame, h):
        return self.conv(torch.cat([frame, h], 1)).tanh()


class Recurrence(nn.Module):
    """Recurrent layers of convolutions, on the frames, or forth and back on what a net makes of them."""

    def __init__(self, both_ways):
        torch.manual_seed(0)
        super().__init__()
        self.net = Features() if both_ways else None
        self.forth, self.back = Cell(4 if both_ways else 3), Cell(4) if both_ways else None
        self.head = nn.Linear(8 if both_ways else 4, 5)

    def forward(self, x):
        frames = x.unbind(1)
        if self.net is None:
            return self.head(self.forth(frames)[-1].mean((2, 3)))
        frames = [self.net(frame) for frame in frames]
        return self.head(torch.cat([self.forth(frames)[-1], self.back(frames[::-1])[-1]], 1).mean((2, 3)))


def check_by_frame(model, x, module, frames, **options):
    """The maps of all frames, and the pictures under them, by autograd; `frames` are those of the runs in order."""
    kept = []
    handle = module.register_forward_hook(lambda m, args, output: kept.append(output))
    y = model.eval()(x.clone().requires_grad_())
    handle.remove()
    gradients = torch.autograd.grad(y[:, 1].sum(), kept)
    by_run = [(a * g.mean((2, 3), keepdim=True)).sum(1).relu().detach() for a, g in zip(kept, gradients, strict=True)]
    expected = torch.stack([by_run[frames.index(t)] for t in sorted(frames)], 1).numpy()
    explanation = xaicore.explain(model, x, 1, **options)
    assert explanation.maps.any()
    np.testing.assert_allclose(explanation.maps, expected, rtol=1e-4, atol=1e-6)
    shown = torch.cat(list(x[:, sorted(frames)].permute(0, 1, 3, 4, 2).flatten(0, 1)), 0)
    assert np.corrcoef(explanation.pictures.array.reshape(-1), by_side(shown, x, len(frames)))[0, 1] > 0.99
    return explanation


def by_side(shown, x, frames):
    """Pictures (N * frames * H, W, 3), one under the other, as one row of pictures for each image."""
    return shown.unflatten(0, (len(x), frames, -1)).transpose(1, 2).reshape(-1).numpy()


ORDERS = {
    "in order": (range, [0, 1, 2, 3, 4]),
    "backwards": (lambda count: reversed(range(count)), [4, 3, 2, 1, 0]),
    "every second": (lambda count: range(0, count, 2), [0, 2, 4]),
    "in no order": (lambda count: [2, 0, 4, 1, 3], [2, 0, 4, 1, 3]),
}


@pytest.mark.parametrize("name", ORDERS)
def test_frames_that_are_convolved_one_by_one(name):
    order, frames = ORDERS[name]
    model, x = Loop(order), rand(2, 5, 3, 8, 12)
    assert check_by_frame(model, x, model.net, frames).layer == "net"
    check_by_frame(model, x, model.net[0], frames, layer="net.0")
    check_by_frame(model, x, model.net, frames, layer="net#*", input_axes="ntchw")


def test_as_many_frames_as_channels_one_by_one():
    model, x = Loop(), rand(2, 3, 3, 8, 12)
    check_by_frame(model, x, model.net, [0, 1, 2])
    behind = Loop(prepare=lambda x, t: x[:, :, t])
    assert xaicore.explain(behind.eval(), x.swapaxes(1, 2), 1).maps.shape == (2, 3, 8, 12)


def test_a_loop_over_the_batch_takes_one_image_at_a_time_as_advised():
    class OneByOne(Scores):
        def forward(self, x):
            return torch.cat([super(OneByOne, self).forward(one) for one in x.split(1)])

    model = OneByOne(5)
    with pytest.raises(xaicore.LayerError, match=r"gave 1 maps for 2 pictures.*explain one image at a time"):
        xaicore.explain(model, PICTURES, 1)
    check(model, PICTURES[:1], "features", model.features)


class Bag(nn.Module):
    """One answer for a batch of pictures."""

    def __init__(self):
        torch.manual_seed(0)
        super().__init__()
        self.net, self.attention, self.head = Features(), nn.Linear(4, 1), nn.Linear(4, 5)

    def forward(self, x):
        f = self.net(x).mean((2, 3))
        return self.head((self.attention(f).softmax(0) * f).sum(0, keepdim=True))


class Unpacked(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model(x[0])


def test_a_bag_with_one_answer_as_advised():
    model, x = Bag(), rand(7, 3, 8, 12)
    with pytest.raises(xaicore.BackendError, match=r"takes \(1, images, ...\), a batch of one bag"):
        xaicore.explain(model, x)
    explanation = check(Unpacked(model), x[None], "model.net", model.net)
    assert explanation.maps.shape == (1, 7, 8, 12)


def test_one_of_the_frames_that_are_convolved_one_by_one():
    model, x = Loop(ORDERS["backwards"][0]), rand(2, 5, 3, 8, 12)
    explanation = check(model, x, "net#2", model.net, run=1, layer="net#2")
    assert are_shown(x[:, 3], explanation)


def test_a_run_again_and_again():
    explainer = xaicore.Explainer(Loop().eval(), layer="net#2")
    first, second = explainer(rand(2, 5, 3, 8, 12), 1), explainer(rand(2, 5, 3, 8, 12), 1)
    np.testing.assert_array_equal(first.maps, second.maps)


def test_convolutions_that_are_recurrent():
    model, x = Recurrence(both_ways=False), rand(2, 5, 3, 8, 12)
    assert check_by_frame(model, x, model.forth.conv, [0, 1, 2, 3, 4]).layer == "forth.conv"
    model = Recurrence(both_ways=True)
    assert check_by_frame(model, x, model.back.conv, [4, 3, 2, 1, 0]).layer == "back.conv"
    check_by_frame(model, x, model.net, [0, 1, 2, 3, 4], layer="net")


@pytest.mark.parametrize(
    "prepare",
    [
        lambda x, t: x[:, max(0, t - 1) : t + 2].mean(1),  # several frames at a time
        lambda x, t: x[:, 0],  # always the same
    ],
)
def test_parts_that_are_no_frames_are_refused(prepare):
    with pytest.raises(xaicore.LayerError, match=r"runs 5 times, on \(1, 3, 8, 12\), .*: nothing says which"):
        xaicore.explain(Loop(prepare=prepare), rand(2, 5, 3, 8, 12))


def test_a_layer_that_lies_over_no_frame_is_refused_and_advice_followed():
    model, x = Loop(), rand(2, 5, 3, 8, 12)
    model.net = nn.Sequential(model.net[0], model.net[1], nn.Hardtanh(), model.net[1])  # which runs twice per frame
    with pytest.raises(xaicore.LayerError, match="ran 10 times, and the first convolution 5 times"):
        xaicore.explain(model, x, layer="net.1")
    check_by_frame(model, x, model.net[0], [0, 1, 2, 3, 4], layer="net.0")


@pytest.mark.parametrize("frames", [2, 3, 5])
def test_frames_in_another_order_belong_to_no_picture(frames):
    class InTurn(Frames):
        def forward(self, x):
            f = self.net(x.transpose(0, 1).flatten(0, 1)).mean((2, 3)).unflatten(0, (-1, len(x)))
            return self.head(f.amax(0))

    class Backwards(Frames):
        def forward(self, x):
            return super().forward(x.flip(1))

    for model in (InTurn(), Backwards()):
        with pytest.raises(xaicore.LayerError, match="takes its frames or views in another order"):
            xaicore.explain(model, rand(2, frames, 3, 8, 12), 1)


@pytest.mark.parametrize(("axes", "shape"), [("ntchw", (2, 5, 3, 8, 12)), ("ncthw", (2, 3, 5, 8, 12))])
def test_notation_does_not_overrule_frames_in_another_order(axes, shape):
    class Stacked(Frames):
        def __init__(self, in_turn):
            super().__init__()
            self.in_turn = in_turn

        def forward(self, x):
            x = x.movedim(axes.index("t"), 1)
            if not self.in_turn:
                return super().forward(x)
            f = self.net(x.transpose(0, 1).flatten(0, 1)).mean((2, 3)).unflatten(0, (-1, len(x)))
            return self.head(f.amax(0))

    assert xaicore.explain(Stacked(False), rand(*shape), 1, input_axes=axes).views == 5
    with pytest.raises(xaicore.LayerError, match="takes its frames or views in another order"):
        xaicore.explain(Stacked(True), rand(*shape), 1, input_axes=axes)


def test_frames_of_a_model_that_takes_one_batch_size():
    class Fixed(Frames):
        def forward(self, x):
            return self.head(self.net(x.reshape(8, 3, 8, 12)).mean((2, 3)).reshape(2, 4, 4).amax(1))

    model, x = Fixed(), rand(2, 4, 3, 8, 12)
    assert check(model, x, "net", model.net).maps.shape == (2, 4, 8, 12)


def test_a_part_of_the_frames_is_not_followed():
    class Middle(Frames):
        def forward(self, x):
            return super().forward(x[:, 1:4])

    with pytest.raises(xaicore.LayerError, match=r"runs once, on \(3, 3, 8, 12\), .* reshaped to \(N \* frames"):
        xaicore.explain(Middle(), rand(1, 5, 3, 8, 12), 1)


class TwoClips(nn.Module):
    def __init__(self, one_by_one):
        super().__init__()
        self.one_by_one = one_by_one
        self.net, self.head = Features(), nn.Linear(4, 5)

    def features(self, x):
        if self.one_by_one:
            return torch.stack([self.net(frame).mean((2, 3)) for frame in x.unbind(1)], 1).amax(1)
        return self.net(x.flatten(0, 1)).mean((2, 3)).unflatten(0, (len(x), -1)).amax(1)

    def forward(self, a, b):
        return self.head(self.features(a) - self.features(b))


def test_two_clips_through_one_loop_are_explained_as_advised():
    clips = rand(2, 5, 3, 8, 12), rand(2, 5, 3, 8, 12, seed=1)
    with pytest.raises(xaicore.LayerError, match=r"no map of its own for each frame.*: x.flatten\(0, 1\)"):
        xaicore.explain(TwoClips(one_by_one=True), clips, layer="net")
    model = TwoClips(one_by_one=False)
    for run in (0, 1):
        explanation = check(model, clips, f"net#{run + 1}", model.net, run=run, layer=f"net#{run + 1}")
        assert explanation.maps.shape == (2, 5, 8, 12)


# Tokens that are no positions, or not in their order.


class Mixed(nn.Module):
    """Patches that are pooled or reordered: `mix` makes tokens (N, T, 8) of a map (N, 8, 4, 6)."""

    def __init__(self, mix):
        super().__init__()
        torch.manual_seed(0)
        self.patches, self.mix = nn.Conv2d(3, 8, 4, stride=4), mix
        self.norm, self.head = nn.LayerNorm(8), nn.Linear(8, 5)

    def forward(self, x):
        return self.head(self.norm(self.mix(self.patches(x))).mean(1))


def test_what_windows_add_to_their_attention_is_no_query():
    """The merged tokens are as many as the positions of a window, as in Swin's last stage."""

    class Bias(nn.Module):
        def __init__(self, windows):
            super().__init__()
            self.table = nn.Parameter(torch.randn(*windows, 16, 16))

        def forward(self):
            return self.table.mT

    class Windows(nn.Module):
        def __init__(self, windows):
            super().__init__()
            torch.manual_seed(0)
            self.patches, self.bias = nn.Conv2d(3, 6, 4, 4), Bias(windows)
            self.merge, self.norm, self.head = nn.Linear(24, 12), nn.LayerNorm(12), nn.Linear(12, 3)

        def forward(self, x):
            merged = nn.functional.unfold(self.patches(x), 2, stride=2).transpose(1, 2)
            tokens = self.merge(merged)
            weights = (tokens @ tokens.transpose(1, 2) + self.bias().reshape(-1, 16, 16)[0]).softmax(-1)
            return self.head(self.norm(tokens + weights @ tokens).relu().mean(1))

    for windows in ((1, 2), (2,)):
        explanation = xaicore.explain(Windows(windows), rand(2, 3, 32, 32))
        assert (explanation.layer, explanation.maps.shape) == ("norm", (2, 4, 4))


class Queries(nn.Module):
    """Learned queries that gather what they need from all patches."""

    def __init__(self, count):
        super().__init__()
        torch.manual_seed(0)
        self.queries, self.norm = nn.Parameter(torch.randn(1, count, 8)), nn.LayerNorm(8)

    def forward(self, f):
        patches, queries = f.flatten(2).transpose(1, 2), self.norm(self.queries).expand(len(f), -1, -1)
        return (queries @ patches.transpose(1, 2)).softmax(-1) @ patches


class Resampler(nn.Module):
    """Learned queries and torch's own attention."""

    def __init__(self, count, batch_first=True):
        super().__init__()
        torch.manual_seed(0)
        self.queries = nn.Parameter(torch.randn(1, count, 8))
        self.attention = nn.MultiheadAttention(8, 2, batch_first=batch_first)

    def forward(self, f):
        patches, queries = f.flatten(2).transpose(1, 2), self.queries.expand(len(f), -1, -1)
        if self.attention.batch_first:
            return self.attention(queries, patches, patches)[0]
        patches = patches.transpose(0, 1)
        return self.attention(queries.transpose(0, 1), patches, patches)[0].transpose(0, 1)


class Asking(nn.Module):
    """An attention of one's own, which ends in a layer."""

    def __init__(self):
        super().__init__()
        self.proj = nn.Linear(8, 8)

    def forward(self, queries, patches):
        return self.proj((queries @ patches.transpose(1, 2)).softmax(-1) @ patches)


class Projected(nn.Module):
    """Learned queries that such an attention takes."""

    def __init__(self, count):
        super().__init__()
        torch.manual_seed(0)
        self.queries, self.attention = nn.Parameter(torch.randn(1, count, 8)), Asking()

    def forward(self, f):
        return self.attention(self.queries.expand(len(f), -1, -1), f.flatten(2).transpose(1, 2))


class Pooled(nn.Linear):
    def forward(self, f):
        return super().forward(f.flatten(2)).transpose(1, 2)


MIXED = {
    "7 pooled tokens": Pooled(24, 7),
    "8 pooled tokens": Pooled(24, 8),
    "6 queries": Queries(6),
    "7 queries": Queries(7),
    "6 queries of an attention": Resampler(6),
    "6 queries of an attention of one's own": Projected(6),
    "6 queries of an attention with the images second": Resampler(6, batch_first=False),
    "columns first": lambda f: f.transpose(2, 3).flatten(2).transpose(1, 2),
    "from the end": lambda f: f.flatten(2).flip(2).transpose(1, 2),
}


@pytest.mark.parametrize("is_frozen", [False, True])
@pytest.mark.parametrize("name", MIXED)
def test_tokens_that_are_no_positions_in_their_order_are_refused(name, is_frozen):
    model, x = Mixed(MIXED[name]), rand(2, 3, 16, 24)
    model.requires_grad_(not is_frozen)
    check(model, x, "patches", model.patches)
    assert all(parameter.requires_grad is not is_frozen for parameter in model.parameters())
    with pytest.raises(xaicore.LayerError, match="these tokens do not follow the picture"):
        xaicore.explain(model, x, layer="norm")


class Columns(nn.Module):
    """A net that reads a picture column by column: 24 steps are no 4 x 6 patches."""

    def __init__(self):
        torch.manual_seed(0)
        super().__init__()
        self.net, self.reads, self.head = Features(), nn.GRU(4 * 16, 6, batch_first=True), nn.Linear(6, 5)

    def forward(self, x):
        return self.head(self.reads(self.net(x).permute(0, 3, 1, 2).flatten(2))[0].mean(1))


def test_columns_are_no_patches():
    model, x = Columns(), rand(2, 3, 16, 24)
    check(model, x, "net", model.net)
    with pytest.raises(xaicore.LayerError, match="these tokens do not follow the picture"):
        xaicore.explain(model, x, layer="reads")


@pytest.mark.parametrize("order", [lambda f: f, lambda f: F.avg_pool2d(f, 2)])
def test_tokens_in_the_order_of_the_picture(order):
    model, x = Mixed(lambda f: order(f).flatten(2).transpose(1, 2)), rand(2, 3, 16, 24)
    size = (4, 6) if order(torch.ones(1, 1, 4, 6)).numel() == 24 else (2, 3)
    check(model, x, "norm", model.norm, on_grid(0, *size))


# The caller's notation.


def test_notation_overrules_and_wrong_notation_is_refused():
    model = ViT(prefix=0, pool="average")
    check(model, PICTURES, "norm", model.norm, on_grid(0, 2, 12), layer="norm", axes="nlc", grid=(2, 12))
    check(model, PICTURES, "norm", model.norm, on_grid(4, 4, 5), layer="norm", grid=(4, 5))
    refused = {
        "expected 3 letters": {"layer": "norm", "axes": "nchw"},
        "axes='ntc' has 1 axes of positions for an input with 2; tokens in one row are l": {
            "layer": "norm",
            "axes": "ntc",
        },
        "grid=24: expected the numbers of positions": {"layer": "norm", "grid": 24},
        "grid='4x6': expected the numbers of positions": {"layer": "norm", "grid": "4x6"},
        r"no tokens: grid=\(4, 6\) is for these alone. Pass grid=None": {"layer": "embed", "grid": (4, 6)},
        r"has no tokens, and grid=\(4, 6\) is": {"layer": "embed", "axes": "nchw", "grid": (4, 6)},
        "24 tokens do not hold grid": {"layer": "norm", "grid": (5, 5)},
        "a letter per axis": {"axes": "nxyz"},
        "expected a letter per axis": {"input_axes": "nhw"},
    }
    for message, options in refused.items():
        with pytest.raises(xaicore.XaicoreError, match=message):
            xaicore.explain(model, PICTURES, **options)


def test_advice_for_tokens_without_a_grid_works():
    class Pooled(ViT):
        def __init__(self):
            super().__init__(prefix=0, pool="average")
            self.few = nn.Linear(24, 20)

        def forward(self, x):
            t = self.embed(x).flatten(2)
            return self.head(self.norm(self.few(t).transpose(1, 2)).mean(1))

    model = Pooled()
    with pytest.raises(xaicore.LayerError, match="these tokens do not follow the picture") as raised:
        xaicore.explain(model, PICTURES, layer="norm")
    (grid,) = advised(str(raised.value), "grid")
    grid = tuple(int(n) for n in re.findall(r"\d+", grid))
    check(model, PICTURES, "norm", model.norm, on_grid(20 - grid[0] * grid[1], *grid), layer="norm", grid=grid)
    with pytest.raises(xaicore.LayerError, match="has tokens; say on which grid") as raised:
        xaicore.explain(model, PICTURES, layer="norm", axes="nlc")
    assert advised(str(raised.value), "grid") == [str(grid)]


def test_advice_for_positions_that_do_not_follow_the_picture_works():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.conv, self.norm, self.head = nn.Conv2d(3, 4, 4, 4), nn.LayerNorm(4), nn.Linear(4, 5)

        def forward(self, x):
            y = F.interpolate(self.conv(x), (5, 3)).permute(0, 2, 3, 1)
            return self.head(self.norm(y).mean((1, 2)))

    model = Odd()
    with pytest.raises(xaicore.LayerError, match="these positions do not follow the picture") as raised:
        xaicore.explain(model, PICTURES, layer="norm")
    (axes,) = advised(str(raised.value), "axes")
    check(model, PICTURES, "norm", model.norm, lambda t: t.permute(0, 3, 1, 2), layer="norm", axes=axes.strip("'"))


# Outputs.


class Scores(nn.Module):
    def __init__(self, outputs, end=same):
        super().__init__()
        self.features, self.end = Features(), end
        torch.manual_seed(1)
        self.head = nn.Linear(4, outputs)

    def forward(self, x):
        return self.end(self.head(self.features(x).mean((2, 3))))


@pytest.mark.parametrize("sign", [1, -1])
def test_one_linear_output_is_a_value_unless_something_calls_it_binary(sign):
    model = Scores(1)
    with torch.no_grad():
        model.head.weight.copy_(sign * model.head.weight.abs())
        model.head.bias.fill_(-3 * sign)
    value = model(PICTURES).detach().numpy()[:, 0]
    plus = plain_gradcam(model, PICTURES, model.features, same, lambda y: y.sum())
    minus = plain_gradcam(model, PICTURES, model.features, same, lambda y: -y.sum())
    explanation = xaicore.explain(model, PICTURES)
    assert explanation.outputs_kind == "values"
    assert explanation.predicted is None
    np.testing.assert_allclose(explanation.maps, plus, atol=1e-6)
    np.testing.assert_allclose(explanation.scores, value, rtol=1e-6)
    p = 1 / (1 + np.exp(-value.astype(np.float64)))
    for options in (
        {"class_names": ["cat", "dog"]},
        {"truth": [0, 1]},
        {"activation": "sigmoid"},
        {"kind": "logits"},
        {"targets": 0},
        {"targets": 1},
    ):
        classes = np.full(2, options["targets"]) if "targets" in options else (value > 0).astype(int)
        binary = xaicore.explain(model, PICTURES, **options)
        assert binary.outputs_kind == "logits"
        assert binary.targets.tolist() == classes.tolist()
        np.testing.assert_allclose(binary.maps, np.where(classes[:, None, None] == 1, plus, minus), atol=1e-6)
        np.testing.assert_allclose(binary.scores, np.where(classes == 1, p, 1 - p), atol=1e-6)


def test_several_values_are_no_classes():
    model = Scores(4)
    with pytest.raises(xaicore.TargetError, match="values, so no class is predicted"):
        xaicore.explain(model, PICTURES, kind="values")
    explanation = xaicore.explain(model, PICTURES, 2, kind="values")
    np.testing.assert_allclose(explanation.scores, model(PICTURES)[:, 2].detach(), rtol=1e-6)
    expected = plain_gradcam(model, PICTURES, model.features, same, lambda y: y[:, 2].sum())
    np.testing.assert_allclose(explanation.maps, expected, atol=1e-6)


def test_detections_are_refused_as_what_they_are():
    model = Scores(4, lambda y: [{"boxes": row.expand(2, 4), "scores": row[:2]} for row in y])
    with pytest.raises(xaicore.OutputError, match=r"'scores' \(1, 2\) holds scores for each of the boxes.*Boxes\(3\)"):
        xaicore.explain(model, PICTURES)
    model = Scores(4, lambda y: {"boxes": y, "scores": y[:, :3]})
    with pytest.raises(xaicore.OutputError, match=r"'boxes' \(1, 4\) holds boxes"):
        xaicore.explain(model, PICTURES[:1], output="boxes")
    model = Scores(4, lambda y: (y, y[:, 0]))
    with pytest.raises(
        xaicore.OutputError,
        match=r"0 \(1, 4\) holds boxes, .*: explain one of its numbers, kind='values' with targets=0",
    ):
        xaicore.explain(model, PICTURES, output=0)
    check(
        model, PICTURES, "features", model.features, score=lambda y: y[0][:, 2].sum(), target=2, output=0, kind="values"
    )


class OpaqueSoftmax(torch.autograd.Function):
    """A softmax that autograd's graph does not show."""

    @staticmethod
    def forward(ctx, z):
        p = z.softmax(1)
        ctx.save_for_backward(p)
        return p

    @staticmethod
    def backward(ctx, gradient):
        (p,) = ctx.saved_tensors
        return p * (gradient - (gradient * p).sum(1, keepdim=True))


def test_the_activation_decides_how_opaque_probabilities_are_pulled_back():
    model, logits = Scores(3, OpaqueSoftmax.apply), Scores(3)
    logits.load_state_dict(model.state_dict())
    centred = plain_gradcam(logits, PICTURES, logits.features, same, lambda z: (z[:, 1] - z.mean(1)).sum())
    as_found = xaicore.explain(model, PICTURES, 1)
    assert as_found.outputs_kind == "probabilities"
    np.testing.assert_allclose(as_found.maps, centred, atol=1e-5)
    as_sigmoid = xaicore.explain(model, PICTURES, 1, activation="sigmoid")

    def logit(p):
        return (p[:, 1].log() - (1 - p[:, 1]).log()).sum()

    expected = plain_gradcam(model, PICTURES, model.features, same, logit)
    np.testing.assert_allclose(as_sigmoid.maps, expected, atol=1e-5)
    assert np.abs(as_sigmoid.maps / as_sigmoid.maps.max() - as_found.maps / as_found.maps.max()).max() > 1e-3
    np.testing.assert_allclose(as_sigmoid.scores, model(PICTURES)[:, 1].detach(), rtol=1e-6)


class Similarity(xaicore.targets.Target):
    """The cosine between each output and a fixed one."""

    def __init__(self, other):
        self.other = other

    def aim(self, outputs, kind):
        with torch.enable_grad():
            z = torch.tensor(outputs, requires_grad=True)
            cosine = F.cosine_similarity(z, self.other)
            (direction,) = torch.autograd.grad(cosine.sum(), z)
        scores = cosine.detach().numpy()[:, None]
        return xaicore.targets.Aim(direction.numpy()[:, None], np.full((len(outputs), 1), -1), scores)


def test_a_target_that_knows_its_score():
    model, other = Scores(6), rand(1, 6)
    explanation = xaicore.explain(model, PICTURES, Similarity(other))
    np.testing.assert_allclose(explanation.scores, F.cosine_similarity(model(PICTURES), other).detach(), atol=1e-6)
    expected = plain_gradcam(model, PICTURES, model.features, same, lambda y: F.cosine_similarity(y, other).sum())
    np.testing.assert_allclose(explanation.maps, expected, atol=1e-6)


# Images that depend on each other.


class Coupled(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.norm = nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6, track_running_stats=False)
        self.head = nn.Linear(6, 5)

    def forward(self, x):
        return self.head(self.norm(self.conv(x)).relu().mean((2, 3)))


class AcrossTheBatch(nn.Module):
    """Attention whose `batch_first` was forgotten."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.norm, self.attn = nn.Conv2d(3, 8, 4, 4), nn.LayerNorm(8), nn.MultiheadAttention(8, 2)
        self.head = nn.Linear(8, 5)

    def forward(self, x):
        t = self.norm(self.embed(x).flatten(2).transpose(1, 2))
        return self.head((t + self.attn(t, t, t, need_weights=False)[0]).mean(1))


@pytest.mark.parametrize(("make", "layer", "arrange"), [(Coupled, "conv", same), (AcrossTheBatch, "norm", on_grid(0))])
def test_the_map_of_an_image_does_not_depend_on_what_is_asked_of_another(make, layer, arrange):
    model, x = make().eval(), rand(3, 3, 16, 24, seed=2)
    explainer = xaicore.Explainer(model, layer=layer)
    maps = explainer(x, [1, 0, 0]).maps
    np.testing.assert_array_equal(maps[0], explainer(x, [1, 2, 3]).maps[0])
    alone = plain_gradcam(model, x, model.get_submodule(layer), arrange, lambda y: y[0, 1])
    np.testing.assert_allclose(maps[0], alone[0], atol=1e-6)
    several = explainer(x, [[1, 0], [4, 2], [3, 3]]).maps
    np.testing.assert_allclose(several[0], alone[0], atol=1e-6)


def test_images_that_are_not_coupled_take_one_pull_back():
    passes = []

    class Counting(torch.autograd.Function):
        @staticmethod
        def forward(ctx, y):
            return 2 * y

        @staticmethod
        def backward(ctx, gradient):
            passes.append(1)
            return 2 * gradient

    model = Scores(5, Counting.apply)
    explainer = xaicore.Explainer(model, layer="features")
    explainer(PICTURES)
    passes.clear()
    check(model, PICTURES, "features", model.features)
    passes.clear()
    explainer(PICTURES, 1)
    assert passes == [1]


# The survey.


class Frozen(nn.Module):
    def __init__(self):
        super().__init__()
        self.features, self.tail, self.head = Features(), nn.Conv2d(4, 6, 3), nn.Linear(6, 5)

    def forward(self, x):
        with torch.no_grad():
            x = self.features(x)
        return self.head(self.tail(x).relu().mean((2, 3)))


def test_a_backbone_under_no_grad():
    model = Frozen()
    check(model, PICTURES, "tail", model.tail)


def test_facts_are_kept_for_a_few_shapes_only():
    backend = TorchBackend(Scores(3))
    for width in range(8, 30):
        backend.observe(rand(1, 3, 8, width))
    assert len(backend._surveys._facts) == 16
