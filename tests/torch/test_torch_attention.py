"""Attention of any library: weights, operands, output and gradients equal plain autograd on a softmax written out."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

import xaicore
from xaicore_torch.attention import Asked, Attentions
from xaicore_torch.attention_pass import AttentionPass
from xaicore_torch.backend import TorchBackend
from xaicore_torch.leaves import Leaves
from xaicore_torch.open_attention import Operands
from xaicore_torch.private import eager

HEADS, D, TOKENS = 2, 8, 25
BIAS = torch.randn(HEADS, TOKENS, TOKENS, generator=torch.Generator().manual_seed(2))
MASK = BIAS.mean(0) > -0.8


def literal(q, k, v, bias=0.0):
    """Softmax attention in operations that no mode looks at, apart from its products."""
    z = (q[..., None, :] * k[..., None, :, :]).sum(-1) / q.shape[-1] ** 0.5 + bias
    e = (z - z.amax(-1, keepdim=True)).exp()
    w = e / e.sum(-1, keepdim=True)
    return w, (w[..., None] * v[..., None, :, :]).sum(-2)


def by_hand(softmax, product):
    def attend(self, q, k, v):
        return product(softmax(q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5), v)

    return attend


def in_rows(self, q, k, v):
    """Images and heads share the first axis, as in older code."""
    rows = [one.flatten(0, 1) for one in (q, k, v)]
    w = F.softmax(torch.bmm(rows[0], rows[1].transpose(1, 2)) / q.shape[-1] ** 0.5, dim=-1)
    return torch.bmm(F.dropout(w, 0.5, self.training), rows[2]).unflatten(0, q.shape[:2])


def written_to(self, q, k, v):
    w = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).softmax(-1)
    w.mul_(1)
    o = w @ v
    o += 1
    return o.sub_(1)


def sdpa(**options):
    return lambda self, q, k, v: F.scaled_dot_product_attention(q, k, v, **options)


def later(self, q, k, v):
    o = torch.einsum("b h q k, b k h d -> b q h d", torch.softmax(q @ k.mT / q.shape[-1] ** 0.5, 3), v.transpose(1, 2))
    return o.transpose(1, 2)


KINDS = {
    "fused": sdpa(),
    "fused, bool mask": sdpa(attn_mask=MASK),
    "fused, bias": sdpa(attn_mask=BIAS),
    "fused, causal": sdpa(is_causal=True),
    "F.softmax": by_hand(lambda z: F.softmax(z, dim=-1), torch.matmul),
    "torch.softmax": by_hand(lambda z: torch.softmax(z, -1), lambda w, v: w @ v),
    "Tensor.softmax": by_hand(lambda z: z.softmax(dim=3), lambda w, v: torch.einsum("...qk,...kd->...qd", w, v)),
    "cast": by_hand(lambda z: F.softmax(z, dim=-1, dtype=torch.float64).to(z.dtype).contiguous(), torch.matmul),
    "values first": by_hand(lambda z: z.softmax(-1), lambda w, v: torch.einsum("bhkd,bhqk->bhqd", v, w)),
    "einsum of other axes": later,
    "rows": in_rows,
    "written to": written_to,
    "module": lambda self, q, k, v: self.drop(self.softmax(q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5)) @ v,
    "literal": lambda self, q, k, v: literal(q, k, v)[1],
}
BIASES = {
    "fused, bool mask": torch.zeros(TOKENS, TOKENS).masked_fill(~MASK, -torch.inf),
    "fused, bias": BIAS,
    "fused, causal": torch.full((TOKENS, TOKENS), -torch.inf).triu(1),
}


class Attend(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.kind, self.qkv, self.project = kind, nn.Linear(D, 3 * D), nn.Linear(D, D)
        self.softmax, self.drop = nn.Softmax(-1), nn.Dropout(0.5)
        self.truth = None

    def forward(self, x):
        q, k, v = self.qkv(x).unflatten(2, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
        if self.truth is None:
            o = KINDS[self.kind](self, q, k, v)
        else:
            w, o = literal(q, k, v, BIASES.get(self.kind, 0.0))
            self.truth.append((w, q / q.shape[-1] ** 0.5, k, v, o))
        return self.project(o.transpose(1, 2).flatten(2))


class Block(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.norm, self.attn = nn.LayerNorm(D), Attend(kind)
        self.mlp = nn.Sequential(nn.LayerNorm(D), nn.Linear(D, D), nn.GELU())

    def forward(self, x):
        x = x + self.attn(self.norm(x))
        return x + self.mlp(x)


class ViT(nn.Module):
    """A class token and 4 x 6 patches."""

    def __init__(self, kind="fused", blocks=3):
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.start = nn.Conv2d(3, D, 4, 4), nn.Parameter(torch.randn(1, 1, D))
        self.place = nn.Parameter(torch.randn(1, TOKENS, D))
        self.blocks = nn.Sequential(*(Block(kind) for _ in range(blocks)))
        self.norm, self.head = nn.LayerNorm(D), nn.Linear(D, 5)

    def forward(self, x):
        t = self.embed(x).flatten(2).transpose(1, 2)
        t = torch.cat([self.start.expand(len(x), -1, -1), t], 1) + self.place
        return self.head(self.norm(self.blocks(t))[:, 0])


X = torch.randn(3, 3, 16, 24, generator=torch.Generator().manual_seed(1))
ROWS = np.random.default_rng(0).normal(size=(3, 2, 5)).astype(np.float32)
NAMES = ["blocks.0.attn", "blocks.1.attn", "blocks.2.attn"]


def direction(outputs, kind):
    return ROWS[: len(outputs)]


def truth(model, x=X, rows=ROWS):
    """{name: (weights, q, k, v, output, gradients of weights, of output)} by plain autograd."""
    found = {}
    for name, module in model.named_modules():
        if isinstance(module, Attend):
            module.truth = found[name] = []
    try:
        y = model.eval()(x)
    finally:
        for module in model.modules():
            if isinstance(module, Attend):
                module.truth = None
    wanted = [tensor for ((w, *_, o),) in found.values() for tensor in (w, o)]
    pulled = [
        torch.autograd.grad(y, wanted, torch.from_numpy(rows[:, k]), retain_graph=True) for k in range(rows.shape[1])
    ]
    gradients = [torch.stack(column, 1) for column in zip(*pulled, strict=True)]
    return {name: (*seen[0], *gradients[2 * i : 2 * i + 2]) for i, (name, seen) in enumerate(found.items())}


def parts(one):
    return (one.weights, one.query, one.key, one.value, one.output, one.weights_gradients, one.output_gradients)


def assert_equal(found, expected, rtol=1e-5):
    assert found.shape == tuple(expected.shape)
    np.testing.assert_allclose(found, expected.detach().numpy(), rtol=rtol, atol=rtol * float(expected.abs().max()))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "literal"])
def test_any_attention_equals_plain_autograd(unchanged, kind):
    model = ViT(kind).train()
    if kind != "written to":  # no model for training
        model(X).sum().backward()
    backend = TorchBackend(model)
    with unchanged(model):
        facts = backend.attention(X)
        assert [one.name for one in facts] == NAMES
        assert {one.shape for one in facts} == {(1, HEADS, TOKENS, TOKENS)}
        assert all(one.reached for one in facts)
        assert all(one.causal == (kind == "fused, causal") for one in facts)
        capture = backend.capture(X, (), direction, attention=dict.fromkeys(NAMES, True))
    assert list(capture.attention) == NAMES
    expected = truth(model)
    for name in NAMES:
        for i, (one, right) in enumerate(zip(parts(capture.attention[name]), expected[name], strict=True)):
            if one is None:  # nothing shows what a softmax by hand was made of
                assert i in (1, 2)
                assert "fused" not in kind
            else:
                assert_equal(one, right)
    with torch.no_grad():
        assert_equal(capture.outputs, model(X), 1e-6)


class Grouped(ViT):
    """Four heads of queries, two of keys and values."""

    class Attend(nn.Module):
        def __init__(self):
            super().__init__()
            self.q, self.kv = nn.Linear(D, D), nn.Linear(D, D)

        def forward(self, x):
            q = self.q(x).unflatten(2, (4, 2)).transpose(1, 2)
            k, v = self.kv(x).unflatten(2, (2, 2, 2)).permute(2, 0, 3, 1, 4)
            o = F.scaled_dot_product_attention(q, k, v, enable_gqa=True, scale=0.3)
            self.seen = q, k, v
            return o.transpose(1, 2).flatten(2)

    def __init__(self):
        super().__init__()
        for block in self.blocks:
            block.attn = Grouped.Attend()


def test_heads_that_share_keys_and_values_have_copies_of_their_own():
    model = Grouped().eval()
    (one,) = TorchBackend(model).capture(X, (), attention={"blocks.1.attn": False}).attention.values()
    with torch.no_grad():
        y = model(X)
        q, k, v = model.blocks[1].attn.seen
        z = q @ k[:, [0, 0, 1, 1]].transpose(-1, -2) * 0.3
    assert_equal(one.weights, z.softmax(-1), 1e-5)
    assert_equal(one.query, q * 0.3)
    assert_equal(one.key, k[:, [0, 0, 1, 1]])
    assert_equal(one.output, z.softmax(-1) @ v[:, [0, 0, 1, 1]], 1e-5)
    assert one.weights_gradients is None
    assert_equal(TorchBackend(model).capture(X, (), attention=dict.fromkeys(NAMES, False)).outputs, y, 1e-6)


# nn.MultiheadAttention.

Q, KV = torch.randn(2, 5, 8), torch.randn(2, 7, 8)
PADDING = torch.arange(7).expand(2, -1) >= torch.tensor([[7], [5]])


@pytest.mark.parametrize(
    ("options", "inputs", "call"),
    [
        ({}, (Q, KV, KV), {}),
        ({}, (Q, KV, KV), {"need_weights": False}),
        ({}, (Q, KV, KV), {"key_padding_mask": PADDING}),
        ({}, (Q, KV, KV), {"attn_mask": torch.randn(5, 7) > 1, "average_attn_weights": False}),
        ({}, (Q, KV, KV), {"attn_mask": torch.randn(8, 5, 7), "key_padding_mask": PADDING}),
        ({}, (KV, KV, KV), {"attn_mask": torch.ones(7, 7, dtype=torch.bool).triu(1), "is_causal": True}),
        ({"add_bias_kv": True}, (Q, KV, KV), {"key_padding_mask": PADDING, "attn_mask": torch.randn(5, 7) > 1}),
        ({"add_zero_attn": True}, (Q, KV, KV), {"attn_mask": torch.randn(5, 7)}),
        ({"kdim": 3, "vdim": 4, "bias": False}, (Q, KV[..., :3], KV[..., :4]), {}),
        ({}, (Q[0], KV[0], KV[0]), {"key_padding_mask": PADDING[1]}),
        ({"batch_first": False}, (Q, KV[:, :5].reshape(-1, 5, 8), KV[:, :5].reshape(-1, 5, 8)), {}),
    ],
    ids=range(11),
)
@pytest.mark.filterwarnings("ignore:Support for mismatched")
def test_multi_head_attention_in_the_open_gives_what_it_gives(options, inputs, call):
    torch.manual_seed(0)
    module = nn.MultiheadAttention(8, 4, **{"batch_first": True} | options).eval()
    if module.in_proj_bias is not None:
        nn.init.normal_(module.in_proj_bias)
        nn.init.normal_(module.out_proj.bias)
    with torch.no_grad():
        expected, weights = module(*inputs, **call)
        with Attentions(Everything(), Leaves()) as mode:
            output, given = module(*inputs, **call)
    assert_equal(output.detach().numpy(), expected, 1e-6)
    assert (given is None) == (weights is None)
    if weights is not None:
        assert_equal(given.detach().numpy(), weights, 1e-6)
        heads = mode.seen[0].weights
        assert_equal(
            (heads if "average_attn_weights" in call else heads.mean(1)).reshape(weights.shape).detach().numpy(),
            weights,
            1e-6,
        )


def test_bool_masks_say_which_keys_are_left_out():
    """As a model says it that calls the function itself: the module makes numbers of them."""
    module = nn.MultiheadAttention(8, 4).eval()
    weights = module.in_proj_weight, module.in_proj_bias, None, None, False, 0.0, module.out_proj.weight, None
    masks = {"attn_mask": torch.eye(5, 7, dtype=torch.bool), "key_padding_mask": PADDING}
    arguments = Q.transpose(0, 1), KV.transpose(0, 1), KV.transpose(0, 1), 8, 4, *weights
    with torch.no_grad():
        expected, _ = F.multi_head_attention_forward(*arguments, training=False, **masks)
        with Attentions(Everything(), Leaves()):
            output, _ = F.multi_head_attention_forward(*arguments, training=False, **masks)
    assert_equal(output.detach().numpy(), expected, 1e-6)


def test_a_query_that_may_read_no_key_reads_nothing():
    q, k, v = torch.randn(3, 2, 4, 5, 8)
    mask = torch.ones(5, 5, dtype=torch.bool)
    mask[2] = False
    expected = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    with Attentions(Everything(), Leaves()) as mode:
        output = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    assert_equal(output.detach().numpy(), expected, 1e-6)
    assert not mode.seen[0].weights[:, :, 2].any()


class Everything(dict):
    """Asks for every attention of four heads."""

    def get(self, number):
        return Asked(str(number), True, 4)


class Encoder(nn.Module):
    """PyTorch's own encoder, which in evaluation mode computes a whole layer in one call."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embed = nn.Conv2d(3, D, 4, 4)
        layer = nn.TransformerEncoderLayer(D, HEADS, 16, batch_first=True)
        self.encoder, self.head = nn.TransformerEncoder(layer, 2), nn.Linear(D, 5)

    def forward(self, x):
        return self.head(self.encoder(self.embed(x).flatten(2).transpose(1, 2)).mean(1))


def test_the_fast_path_hides_nothing(unchanged):
    model = Encoder().eval()
    flag = torch.backends.mha.get_fastpath_enabled()
    names = [f"encoder.layers.{i}.self_attn" for i in range(2)]
    with torch.no_grad():
        y = model(X)
    with unchanged(model):
        backend = TorchBackend(model)
        assert [one.name for one in backend.attention(X)] == names
        capture = backend.capture(X, (), direction, attention=dict.fromkeys(names, True))
    assert torch.backends.mha.get_fastpath_enabled() == flag
    assert_equal(capture.outputs, y, 1e-6)
    tokens, (n, t) = model.embed(X).flatten(2).transpose(1, 2), (3, 24)
    w, b = model.encoder.layers[0].self_attn.in_proj_weight, model.encoder.layers[0].self_attn.in_proj_bias
    q, k, v = F.linear(tokens, w, b).reshape(n, t, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
    weights, output = literal(q, k, v)
    one = capture.attention[names[0]]
    assert_equal(one.weights, weights)
    assert_equal(one.output, output)
    assert_equal(one.value, v)


# Only what is asked for.


class Watch(TorchFunctionMode):
    """Counts the fused attentions that are left to PyTorch."""

    def __init__(self):
        super().__init__()
        self.fused = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.fused += func is F.scaled_dot_product_attention
        return func(*args, **(kwargs or {}))


def test_the_other_attentions_stay_fused_and_what_comes_before_is_not_recorded():
    model = ViT().eval()
    backend = TorchBackend(model)
    backend.attention(X)
    recorded = []
    hook = model.blocks[0].register_forward_hook(lambda module, args, output: recorded.append(output.requires_grad))
    with Watch() as watch:
        backend.capture(X, (), direction, attention={"blocks.1.attn": True})
    assert watch.fused == 2
    assert recorded == [False]
    hook.remove()


def test_without_attention_no_mode_is_entered():
    assert AttentionPass({}, {}).modes == []
    assert xaicore.explain(ViT().eval(), X, 0).maps.any()


def test_a_layer_and_attentions_share_one_pull_back():
    model = ViT().eval()
    backend = TorchBackend(model)
    for layer in ("blocks.0.norm", "blocks.2.norm", "blocks.1.mlp"):
        both = backend.capture(X, (layer,), direction, attention={"blocks.1.attn": True})
        alone = backend.capture(X, (layer,), direction)
        np.testing.assert_allclose(both.gradients[layer], alone.gradients[layer], rtol=1e-4, atol=1e-6)
        assert_equal(both.attention["blocks.1.attn"].weights_gradients, truth(model)["blocks.1.attn"][5])


@pytest.mark.parametrize("kind", ["fused", "rows", "module"])
def test_a_batch_equals_single_images_and_single_targets(kind):
    backend = TorchBackend(ViT(kind).eval())
    whole = backend.capture(X, (), direction, attention={"blocks.1.attn": True}).attention["blocks.1.attn"]
    for n in range(3):
        for k in range(2):
            single = backend.capture(
                X[n : n + 1], (), lambda y, _, n=n, k=k: ROWS[n : n + 1, k : k + 1], attention={"blocks.1.attn": True}
            ).attention["blocks.1.attn"]
            np.testing.assert_allclose(single.weights[0], whole.weights[n], rtol=1e-5, atol=1e-7)
            np.testing.assert_allclose(
                single.weights_gradients[0, 0], whole.weights_gradients[n, k], rtol=1e-4, atol=1e-6
            )
            np.testing.assert_allclose(
                single.output_gradients[0, 0], whole.output_gradients[n, k], rtol=1e-4, atol=1e-6
            )


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(dtype):
    model = ViT().eval().to(dtype)
    capture = TorchBackend(model).capture(X.to(dtype), (), direction, attention=dict.fromkeys(NAMES, True))
    with torch.no_grad():
        y = model(X.to(dtype))
    assert_equal(capture.outputs, y.float(), 0.02)
    expected = truth(model.float())["blocks.2.attn"]
    assert_equal(capture.attention["blocks.2.attn"].weights, expected[0], 0.03)
    assert_equal(capture.attention["blocks.2.attn"].weights_gradients, expected[5], 0.05)


def test_a_model_that_switches_gradients_off_itself_is_recorded_from_its_start():
    class Frozen(ViT):
        def forward(self, x):
            with torch.no_grad():
                x = x + 0
                self.blocks[0](self.place)
            return super().forward(x)

    model = Frozen().eval()
    name = "blocks.2.attn"
    capture = TorchBackend(model).capture(X, (), direction, attention={name: True})
    assert_equal(capture.attention[name].weights_gradients, truth(ViT().eval())[name][5])


@pytest.mark.parametrize("is_fused", [False, True])
@pytest.mark.parametrize("with_gradients", [False, True])
def test_what_the_model_writes_into_does_not_change_what_is_kept(with_gradients, is_fused):
    def attend(q, k, v):
        w = F.softmax(q @ k.transpose(1, 2), -1) if not is_fused else torch.ones(1)
        o = F.scaled_dot_product_attention(q, k, v, scale=1.0) if is_fused else w @ v
        y = o * 2
        o.zero_()
        w.zero_()
        return y

    model = Around(Inner(attend)).eval()
    one = TorchBackend(model).capture(X, (), attention={"inner": with_gradients}).attention["inner"]
    with torch.no_grad():
        q, k, v = model.inner.qkv(model.embed(X).flatten(2).transpose(1, 2)).chunk(3, -1)
        w = F.softmax(q @ k.transpose(1, 2), -1)
    assert_equal(one.weights[:, 0], w)
    assert_equal(one.output[:, 0], w @ v)


def test_methods_without_gradients_do_not_widen_what_is_recorded():
    model = ViT().eval()
    explainer = xaicore.Explainer(model)
    explainer.compare(X, ["rollout", "legrad"], 1)
    recorded = []
    for block in model.blocks:
        block.register_forward_hook(lambda module, args, output: recorded.append(output.requires_grad))
    explainer.compare(X, ["rollout", "legrad"], 1)
    assert recorded == [False, True, True]


# What is an attention.


class Around(nn.Module):
    """A model around something that may be an attention, on (N, 24, 8) tokens."""

    def __init__(self, inner):
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.inner, self.head = nn.Conv2d(3, D, 4, 4), inner, nn.Linear(D, 5)

    def forward(self, x):
        t = self.embed(x).flatten(2).transpose(1, 2)
        return self.head((t + self.inner(t)).mean(1)).softmax(-1)


class Inner(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function, self.qkv = function, nn.Linear(D, 3 * D)

    def forward(self, t):
        return self.function(*self.qkv(t).chunk(3, -1))


def facts_of(function):
    return TorchBackend(Around(Inner(function)).eval()).attention(X)


def test_a_softmax_over_channels_is_none():
    def cross_covariance(q, k, v):  # 8 x 8, as many channels as tokens would be
        w = (q.transpose(1, 2) @ k / 5).softmax(-1)
        return (w @ v.transpose(1, 2)).transpose(1, 2)

    assert facts_of(cross_covariance) == ()


def test_a_softmax_over_other_axes_or_of_no_scores_is_none():
    assert facts_of(lambda q, k, v: q.softmax(1)) == ()
    assert facts_of(lambda q, k, v: q.softmax(-1) * v) == ()


def test_weights_that_are_used_otherwise_have_no_output():
    def mixed(q, k, v):
        w = (q @ k.transpose(1, 2)).softmax(-1)
        return (w + w.transpose(1, 2)) @ v

    model = Around(Inner(mixed)).eval()
    backend = TorchBackend(model)
    assert [one.shape for one in backend.attention(X)] == [(1, 1, 24, 24)]
    one = backend.capture(X, (), direction, attention={"inner": True}).attention["inner"]
    assert one.output is None
    assert one.value is None
    assert one.weights_gradients is not None
    assert one.output_gradients is None
    np.testing.assert_allclose(one.weights.sum(-1), 1, rtol=1e-5)


def test_weights_that_are_multiplied_twice_belong_to_the_first_values():
    def twice(q, k, v):
        w = (q @ k.transpose(1, 2)).softmax(-1)
        return w @ v + w @ (2 * v)

    model = Around(Inner(twice)).eval()
    one = TorchBackend(model).capture(X, (), None, attention={"inner": False}).attention["inner"]
    with torch.no_grad():
        v = model.inner.qkv(model.embed(X).flatten(2).mT).chunk(3, -1)[2].numpy()
    np.testing.assert_allclose(one.value[:, 0], v, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(one.output[:, 0], one.weights[:, 0] @ v, rtol=1e-5, atol=1e-6)


def test_two_attentions_of_one_layer_and_fewer_queries():
    def twice(q, k, v):
        o = F.scaled_dot_product_attention(q, k, v)
        return (F.softmax(q[:, :4] @ k.transpose(1, 2), -1) @ o).mean(1, keepdim=True)

    names = [(one.name, one.shape) for one in facts_of(twice)]
    assert names == [("inner", (1, 1, 24, 24)), ("inner#2", (1, 1, 4, 24))]


def test_windows_are_rows():
    def windows(q, k, v):
        q, k, v = (one.reshape(-1, 6, D) for one in (q, k, v))
        return F.scaled_dot_product_attention(q, k, v).reshape(-1, 24, D)

    class Windowed(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = Inner(lambda q, k, v: torch.softmax(q @ k.transpose(1, 2), -1) @ v)

        def forward(self, t):
            return self.inner(t.reshape(-1, 6, D)).reshape(t.shape)

    assert [one.shape for one in facts_of(windows)] == [(4, 1, 6, 6)]
    model = Around(Windowed()).eval()
    assert [(one.name, one.shape) for one in TorchBackend(model).attention(X)] == [("inner.inner", (4, 1, 6, 6))]
    with pytest.raises(xaicore.MethodError, match=r"'inner.inner' has 4 rows of 6 tokens for 1 image\(s\).*'gradcam'"):
        xaicore.explain(model, X, method="legrad")


def test_an_attention_that_is_not_used_is_not_reached():
    def unused(q, k, v):
        F.scaled_dot_product_attention(q, k, v)
        return v

    assert [one.reached for one in facts_of(unused)] == [False]
    with pytest.raises(xaicore.MethodError, match="no attention over the picture was seen"):
        xaicore.explain(Around(Inner(unused)).eval(), X, method="rollout")


@pytest.mark.filterwarnings("ignore:flex_attention called without")
def test_flex_attention_is_refused():
    flex = pytest.importorskip("torch.nn.attention.flex_attention").flex_attention
    pytest.importorskip("torch._dynamo")  # without it, nothing was compiled, and eager() does nothing
    q = torch.rand(1, 2, 16, 16)
    with pytest.raises(xaicore.BackendError, match=r"flex_attention, whose weights cannot be seen.*sdpa"):
        with torch.no_grad(), eager(), Attentions({}, Leaves()):
            flex(q, q, q)


def test_what_ran_otherwise_or_has_no_such_name_is_refused():
    calls = []

    def changing(q, k, v):
        calls.append(None)
        q, k, v = (one[:, : 24 - len(calls)] for one in (q, k, v))
        return F.scaled_dot_product_attention(q, k, v).mean(1, keepdim=True)

    backend = TorchBackend(Around(Inner(changing)).eval())
    with pytest.raises(
        xaicore.BackendError, match=r"attention 'inner' ran with weights .* differently from pass to pass"
    ):
        backend.capture(X, (), attention={"inner": False})
    with pytest.raises(
        xaicore.BackendError, match=r"no attention called 'iner'; there are inner; did you mean 'inner'"
    ):
        backend.capture(X, (), attention={"iner": False})


# Nothing is left behind.


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_exception_leaves_everything_as_before(unchanged, error):
    model = ViT("rows").train()
    model(X).sum().backward()
    backend = TorchBackend(model)
    backend.attention(X)

    def fails(outputs, kind):
        raise error

    class Broken(nn.Module):
        def forward(self, x):
            raise error

    with unchanged(model), pytest.raises(error):
        backend.capture(X, (), fails, attention=dict.fromkeys(NAMES, True))
    model.blocks[2].mlp[2] = Broken()
    for call in (
        lambda: backend.attention(X[..., :12]),
        lambda: backend.capture(X, (), direction, attention={NAMES[0]: True}),
    ):
        with unchanged(model), pytest.raises((xaicore.BackendError, error)):
            call()
    with Watch() as watch:  # no mode was left
        F.scaled_dot_product_attention(torch.rand(1, 2, 3, 4), torch.rand(1, 2, 3, 4), torch.rand(1, 2, 3, 4))
    assert watch.fused == 1


# Methods.


def of_grid(values):
    return np.maximum(values[..., 1:], 0).reshape(-1, 4, 6)


@pytest.mark.parametrize("kind", ["fused", "module"])
def test_methods_on_a_model(unchanged, kind):
    model = ViT(kind).eval()
    rows = np.eye(5, dtype=np.float32)[[[0, 3], [1, 2], [4, 0]]]
    expected = {name: [part.detach().double().numpy() for part in one] for name, one in truth(model, rows=rows).items()}
    weights = [one[0].mean(1) for one in expected.values()]
    gradients = [one[5] for one in expected.values()]
    with unchanged(model):
        methods = ["rollout", "attention", "legrad", "chefer", "gradcam"]
        found = xaicore.Explainer(model).compare(X, methods, [[0, 3], [1, 2], [4, 0]])
    half = [(one + np.eye(TOKENS)) / 2 for one in weights]
    right = {
        "rollout": np.repeat((half[2] @ half[1] @ half[0])[:, :1], 2, 1),
        "attention": np.repeat(weights[2][:, :1], 2, 1),
        "legrad": np.mean([np.maximum(one, 0).mean((2, 3)) for one in gradients[1:]], 0),
    }
    steps = [
        np.maximum(gradient * one[0][:, None], 0).mean(2) + np.eye(TOKENS)
        for gradient, one in zip(gradients, expected.values(), strict=True)
    ]
    right["chefer"] = (steps[2] @ steps[1] @ steps[0])[:, :, 0]
    for name, values in right.items():
        np.testing.assert_allclose(found[name].maps, of_grid(values), rtol=1e-4, atol=1e-7)
        assert found[name].maps.max() > 0
    assert found["legrad"].layer == "blocks.1.attn + blocks.2.attn"
    assert found["rollout"].layer == "3 attentions, blocks.0.attn to blocks.2.attn"
    alone = xaicore.explain(model, X, [[0, 3], [1, 2], [4, 0]])
    np.testing.assert_allclose(found["gradcam"].maps, alone.maps, rtol=1e-4, atol=1e-6)


def test_gradeclip_on_a_model():
    model = ViT().eval()
    _, q, k, v, _, _, g = (
        one.detach().double().numpy() for one in truth(model, rows=np.eye(5, dtype=np.float32)[[[1]] * 3])[NAMES[2]]
    )
    maps = []
    for n in range(3):
        asked, answers = q[n, :, 0].reshape(-1), k[n, :, 1:].transpose(1, 0, 2).reshape(24, -1)
        cosine = answers @ asked / np.linalg.norm(answers, axis=1) / np.linalg.norm(asked)
        channels = (g[n, 0, :, 0] * v[n, :, 1:].transpose(1, 0, 2)).reshape(24, -1).sum(1)
        maps.append(channels * (cosine - cosine.min()) / (cosine.max() - cosine.min()))
    found = xaicore.explain(model, X, 1, method="gradeclip")
    np.testing.assert_allclose(found.maps, np.maximum(maps, 0).reshape(3, 4, 6), rtol=1e-4, atol=1e-7)
    assert not found.empty.all()
    with pytest.raises(xaicore.MethodError, match=r"softmax of the model's own.*use 'legrad'"):
        xaicore.explain(ViT("module").eval(), X, 1, method="gradeclip")


def test_the_grid_may_be_stated():
    class Odd(ViT):
        """Its patches come from no map that fits."""

        def __init__(self):
            super().__init__()
            self.embed = nn.Linear(48, D)

        def forward(self, x):
            t = self.embed(x.reshape(len(x), 3, 4, 4, 6, 4).permute(0, 2, 4, 1, 3, 5).reshape(len(x), 24, 48)[:, :23])
            t = torch.cat([self.start.expand(len(x), 2, -1), t], 1) + self.place
            return self.head(self.norm(self.blocks(t))[:, 0])

    model = Odd().eval()
    with pytest.raises(xaicore.MethodError, match=r"25 tokens .*say so: grid=\(h, w\)"):
        xaicore.explain(model, X, 1, method="legrad", input_axes="nchw")
    w = truth(model)[NAMES[2]][0].mean(1)[:, 0, 2:].detach().numpy()
    found = xaicore.explain(model, X, 1, method="attention", input_axes="nchw", grid=(1, 23))
    np.testing.assert_allclose(found.maps, w.reshape(3, 1, 23), rtol=1e-5)
    assert xaicore.explain(model, X, 1, method="legrad", input_axes="nchw", grid=(1, 23)).maps.shape == (3, 1, 23)


def test_weights_are_dropped_in_evaluation_mode_where_the_model_asks_for_it():
    """As by a fixed `dropout_p` of `scaled_dot_product_attention`."""
    q, k, v = torch.randn(3, 1, 4, 5, generator=torch.Generator().manual_seed(0))
    kept, dropped = Operands(q, k, v), Operands(q, k, v, dropout=1.0)
    torch.testing.assert_close(kept.output(kept.weights), F.scaled_dot_product_attention(q, k, v, scale=1.0))
    assert not dropped.output(dropped.weights).any()
