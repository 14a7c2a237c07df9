"""Keras nets whose attention is also written out in plain operations, so that autodiff gives what a pass should give.

A kind of attention is a layer of tokens (N, T, C): its `call` is as a user writes it, and `plain(t, put)` computes the
same in the open. `put(part, tensor)` takes "weights" (N, H, T, T) or "output" (N, H, T, E), and returns what goes on.
"""

from __future__ import annotations

import keras
import numpy as np
from keras import layers, ops
from keras_nets import BACKEND, gradients_of, numpy, pictures, settle

CHANNELS, TOKENS = 8, 7  # 2 x 3 patches after a class token
EARLIER = np.tril(np.ones((TOKENS, TOKENS), bool))
SOME = np.eye(TOKENS, dtype=bool) | (np.random.default_rng(3).random((TOKENS, TOKENS)) < 0.6)


def heads_first(t):
    return ops.transpose(t, (0, 2, 1, 3))


def mixed(q, k, v, put, scale=1.0, mask=None, bias=None):
    """Attention in the open, of (N, T, H, D), all of as many heads."""
    scores = ops.einsum("bqhd,bkhd->bhqk", q, k) * scale
    scores = scores if bias is None else scores + ops.convert_to_tensor(bias)
    weights = put("weights", ops.softmax(scores if mask is None else ops.where(mask, scores, -1e9), axis=-1))
    return heads_first(put("output", ops.einsum("bhqk,bkhd->bhqd", weights, v)))


class Mha(layers.Layer):
    """`MultiHeadAttention` by itself: fused, or not where it drops out."""

    def __init__(self, mask=None, causal=False, inner=None, **options):
        super().__init__(name="around")
        self.inner = inner or layers.MultiHeadAttention(2, 4, name="mha", **options)
        self.options = {"use_causal_mask": True} if causal else {}
        self.options |= {} if mask is None else {"attention_mask": mask[None]}
        self.mask = EARLIER if causal else None
        self.mask = mask if self.mask is None else self.mask if mask is None else mask & self.mask

    def call(self, t):
        return self.inner(t, t, **self.options)

    def plain(self, t, put):
        inner, t = self.inner, self.shaped(t)
        parts = inner._query_dense(t), inner._key_dense(t), inner._value_dense(t)
        q, k, v = (ops.reshape(part, (-1, TOKENS, *part.shape[-2:])) for part in parts)
        k, v = (ops.repeat(each, q.shape[2] // each.shape[2], axis=2) for each in (k, v))
        answer = mixed(q, k, v, put, q.shape[-1] ** -0.5, self.mask)
        answer = inner._output_dense(ops.reshape(answer, (*t.shape[:-1], *answer.shape[-2:])))
        return ops.reshape(answer, (-1, TOKENS, CHANNELS))

    def shaped(self, t):
        return t


class Gqa(Mha):
    """Four heads of queries share two of keys."""

    def __init__(self, **options):
        super().__init__(inner=layers.GroupQueryAttention(4, 4, 2, name="gqa"), **options)


class Keyed(Mha):
    """Each picture hides other tokens from its queries, but never the first."""

    def call(self, t):
        return self.inner(t, t, value_mask=self.seen(t), key_mask=self.seen(t))

    def seen(self, t):
        return ops.logical_or(t[..., 0] > 0, ops.arange(TOKENS) == 0)

    def plain(self, t, put):
        self.mask = self.seen(t)[:, None, None]
        return super().plain(t, put)


class OfMaps(Mha):
    """Tokens on a map (N, h, w, C), as a U-Net has them; the class token counts as a map of one row."""

    def call(self, t):
        on_map = self.shaped(t)
        return ops.reshape(self.inner(on_map, on_map), (-1, TOKENS, CHANNELS))

    def shaped(self, t):
        return ops.reshape(t, (-1, 1, TOKENS, CHANNELS))


class Heads(layers.Layer):
    """Queries, keys and values (N, T, 2, 4), and what is made of the answer."""

    def __init__(self):
        super().__init__(name="heads")
        self.q, self.k, self.v = (layers.EinsumDense("abc,cde->abde", (None, 2, 4), name=name) for name in "qkv")
        self.join = layers.Dense(CHANNELS, name="join")

    def call(self, t):
        answer = self.attend(self.q(t), self.k(t), self.v(t))
        return self.join(ops.reshape(answer, (-1, TOKENS, CHANNELS)))

    def plain(self, t, put):
        answer = self.plainly(self.q(t), self.k(t), self.v(t), put)
        return self.join(ops.reshape(answer, (-1, TOKENS, CHANNELS)))

    def plainly(self, q, k, v, put):
        return mixed(q, k, v, put, 0.5)


class ByOps(Heads):
    """`ops.dot_product_attention`."""

    def attend(self, q, k, v):
        return ops.dot_product_attention(q, k, v)


class Grouped(Heads):
    """Four heads of queries, two of keys and values."""

    def __init__(self):
        super().__init__()
        sizes = zip("qkv", (4, 2, 2), strict=True)
        self.q, self.k, self.v = (layers.EinsumDense("abc,cde->abde", (None, n, 2), name=name) for name, n in sizes)

    def attend(self, q, k, v):
        return ops.dot_product_attention(q, k, v, scale=0.5)

    def plainly(self, q, k, v, put):
        return mixed(q, ops.repeat(k, 2, axis=2), ops.repeat(v, 2, axis=2), put, 0.5)


class Biased(Heads):
    """With a scale, and a bias for each head, as relative positions have."""

    bias = np.random.default_rng(4).normal(size=(1, 2, TOKENS, TOKENS)).astype(np.float32)

    def attend(self, q, k, v):
        return ops.nn.dot_product_attention(q, k, v, bias=self.bias, scale=0.3)

    def plainly(self, q, k, v, put):
        return mixed(q, k, v, put, 0.3, bias=self.bias)


class ByHand(Heads):
    """A softmax of matrix products."""

    def attend(self, q, k, v):
        q, k, v = heads_first(q * 0.5), heads_first(k), heads_first(v)
        return heads_first(ops.matmul(ops.softmax(ops.matmul(q, ops.swapaxes(k, -1, -2))), v))


class ByEinsum(Heads):
    """A softmax by its name between two sums, with a bias in between, which hides queries and keys."""

    def attend(self, q, k, v):
        scores = ops.einsum("bqhd,bkhd->bhqk", q, k) * 0.5
        return ops.einsum("bhqk,bkhd->bqhd", keras.activations.softmax(scores), v)


class ByLayer(Heads):
    """A masked softmax layer."""

    def __init__(self):
        super().__init__()
        self.softmax, self.drop = layers.Softmax(name="softmax"), layers.Dropout(0.5, name="drop")

    def attend(self, q, k, v):
        weights = self.softmax(ops.einsum("bqhd,bkhd->bhqk", q * 0.5, k), mask=ops.convert_to_tensor(SOME))
        return ops.einsum("bhqk,bkhd->bqhd", self.drop(weights), v)

    def plainly(self, q, k, v, put):
        return mixed(q, k, v, put, 0.5, SOME)


class OneHead(layers.Layer):
    """`layers.Attention`, which has scores (N, T, T)."""

    def __init__(self, inner=None):
        super().__init__(name="one")
        self.inner = inner or layers.Attention(use_scale=True, name="attention")

    def call(self, t):
        return self.inner([t, t])

    def scores(self, t):
        return ops.matmul(t, ops.swapaxes(t, 1, 2)) * self.inner.scale

    def plain(self, t, put):
        weights = put("weights", ops.softmax(self.scores(t))[:, None])
        return put("output", ops.matmul(weights, t[:, None]))[:, 0]


class Additive(OneHead):
    """`layers.AdditiveAttention`, whose scores are no product."""

    def __init__(self):
        super().__init__(layers.AdditiveAttention(name="additive"))

    def scores(self, t):
        return ops.sum(self.inner.scale * ops.tanh(t[:, :, None] + t[:, None]), axis=-1)


KINDS = {
    "mha": Mha,
    "dropout": lambda: Mha(dropout=0.5),
    "causal": lambda: Mha(causal=True),
    "masked": lambda: Mha(SOME),
    "keyed": Keyed,
    "masked causal": lambda: Mha(SOME, causal=True),
    "masked by hand": lambda: Mha(EARLIER),
    "gqa": Gqa,
    "maps": OfMaps,
    "ops": ByOps,
    "grouped": Grouped,
    "biased": Biased,
    "by hand": ByHand,
    "einsum": ByEinsum,
    "layer": ByLayer,
    "one head": OneHead,
    "additive": Additive,
}


class Vit(keras.Model):
    """Patches (2 x 3) after a class token, two blocks of attention, and a dense layer on the class token."""

    def __init__(self, kind="mha", classes=3, shared=False):
        super().__init__(name="vit")
        self.patches = layers.Conv2D(CHANNELS, 3, 3, name="patches")
        self.token = self.add_weight(shape=(1, 1, CHANNELS), name="token")
        self.norm = layers.LayerNormalization(name="norm")
        first = KINDS[kind]()
        self.attentions = [first, first if shared else KINDS[kind]()]
        self.dense = layers.Dense(classes, name="dense")
        self(pictures())
        settle(self)

    def call(self, x):
        t = self.tokens(x)
        for attention in self.attentions:
            t = t + attention(self.norm(t))
        return self.dense(t[:, 0])

    def tokens(self, x):
        patches = ops.reshape(self.patches(x), (-1, 6, CHANNELS))
        return ops.concatenate([ops.repeat(self.token, ops.shape(patches)[0], axis=0), patches], axis=1)

    def plain(self, x, put):
        """The same in the open: `put(i, part, tensor)`, in attention i."""
        t = self.tokens(ops.convert_to_tensor(x))
        for i, attention in enumerate(self.attentions):
            t = t + attention.plain(self.norm(t), lambda part, tensor, i=i: put(i, part, tensor))
        return self.dense(t[:, 0])


def plain_parts(model, x):
    """{(block, part): (N, ...)} of all attentions, as plain operations compute them."""

    def parts(x):
        seen = {}
        model.plain(x, lambda i, name, tensor: seen.setdefault((i, name), tensor))
        return list(seen.values()), list(seen)

    if BACKEND == "jax":  # operation by operation it would take seconds to compile
        import jax

        keys = []
        values = jax.jit(lambda x: (lambda found: keys.extend(found[1]) or found[0])(parts(x)))(x)
    else:
        values, keys = parts(x)
    return dict(zip(keys, map(numpy, values), strict=True))


def plain_gradients(model, x, classes):
    """{(block, part): (N, K, ...)}, by autodiff of plain operations with zeros added to each part."""
    shapes = {key: value.shape for key, value in plain_parts(model, x).items()}
    ends = dict(zip(shapes, np.cumsum([np.prod(shape[1:]) for shape in shapes.values()]), strict=True))

    def cut(flat, key):
        return flat[..., ends[key] - np.prod(shapes[key][1:]) : ends[key]]

    def shifted(flat):
        return model.plain(x, lambda i, name, tensor: tensor + ops.reshape(cut(flat, (i, name)), shapes[i, name]))

    zeros = np.zeros((len(x), max(ends.values())), np.float32)
    found = gradients_of(shifted, ops.convert_to_tensor(zeros), np.asarray(classes))
    flat = np.stack([numpy(gradient) for gradient in found], axis=1)
    return {key: cut(flat, key).reshape(*flat.shape[:2], *shape[1:]) for key, shape in shapes.items()}
