"""The contract of backends, checked on this one."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xaicore_flax
from flax import nnx

from xaicore import testing

LINKS = {None: lambda x: x, "softmax": nnx.softmax, "sigmoid": nnx.sigmoid}


def conv(kernel: np.ndarray, bias: np.ndarray, stride: int = 1) -> nnx.Conv:
    """Of a kernel (out, in, height, width)."""
    size, padding = kernel.shape[2:], "SAME" if stride == 1 else "VALID"
    layer = nnx.Conv(kernel.shape[1], kernel.shape[0], size, stride, padding=padding, rngs=nnx.Rngs(0))
    layer.kernel[...], layer.bias[...] = kernel.transpose(2, 3, 1, 0), bias
    return layer


def dense(weight: np.ndarray, bias: np.ndarray) -> nnx.Linear:
    """Of weights (out, in)."""
    layer = nnx.Linear(*weight.shape[::-1], rngs=nnx.Rngs(0))
    layer.kernel[...], layer.bias[...] = weight.T, bias
    return layer


class Relu(nnx.Module):
    def __call__(self, x: jax.Array) -> jax.Array:
        return nnx.relu(x)


class Pool(nnx.Module):
    def __call__(self, x: jax.Array) -> jax.Array:
        return x.mean((1, 2))


class Restless(nnx.Module):
    """Draws a random number and counts its calls, as layers of users do."""

    def __init__(self) -> None:
        self.rngs, self.calls = nnx.Rngs(7), nnx.Variable(jnp.zeros(()))

    def __call__(self, x: jax.Array) -> jax.Array:
        self.calls[...] += 1 + 0 * self.rngs.normal(())
        return x


class Conv(nnx.Module):
    def __init__(self, net: testing.ConvNet) -> None:
        self.restless, self.dropout = Restless(), nnx.Dropout(0.5, rngs=nnx.Rngs(1))
        self.conv1, self.relu1 = conv(net.conv1, net.bias1), Relu()
        self.conv2, self.relu2 = conv(net.conv2, net.bias2), Relu()
        self.pool, self.dense, self.link = Pool(), dense(net.dense, net.bias), net.link

    def __call__(self, x: jax.Array) -> jax.Array:
        x = self.relu2(self.conv2(self.relu1(self.conv1(self.restless(x)))))
        return LINKS[self.link](self.dense(self.dropout(self.pool(x))))


class Tokens(nnx.Module):
    def __init__(self, net: testing.TokenNet) -> None:
        self.first, self.positions = nnx.Param(jnp.asarray(net.class_token)), nnx.Param(jnp.asarray(net.positions))

    def __call__(self, x: jax.Array) -> jax.Array:
        rows = x.reshape(len(x), -1, x.shape[-1])
        first = jnp.broadcast_to(self.first[...], (len(x), 1, x.shape[-1]))
        return jnp.concatenate([first, rows], 1) + self.positions[...]


class Block(nnx.Module):
    def __init__(self, net: testing.TokenNet) -> None:
        self.norm = nnx.LayerNorm(10, epsilon=net.epsilon, rngs=nnx.Rngs(0))
        self.norm.scale[...], self.norm.bias[...] = net.scale, net.shift
        self.attention = nnx.MultiHeadAttention(2, 10, use_bias=False, decode=False, rngs=nnx.Rngs(0))
        for name in ("query", "key", "value"):
            getattr(self.attention, name).kernel[...] = getattr(net, name).T.reshape(10, 2, 5)
        self.attention.out.kernel[...] = net.output.T.reshape(2, 5, 10)

    def __call__(self, x: jax.Array) -> jax.Array:
        return x + self.attention(self.norm(x))


class Transformer(nnx.Module):
    def __init__(self, net: testing.TokenNet) -> None:
        self.patches, self.tokens = conv(net.patches, net.patches_bias, 4), Tokens(net)
        self.mixed, self.dense = Block(net), dense(net.dense, net.bias)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.dense(self.mixed(self.tokens(self.patches(x)))[:, 0])


class Pair(nnx.Module):
    def __init__(self, net: testing.PairNet) -> None:
        self.shared, self.relu = conv(net.shared, net.shared_bias), Relu()
        self.dense = dense(net.dense, net.bias)

    def __call__(self, x: jax.Array, y: jax.Array) -> jax.Array:
        return self.dense(jnp.concatenate([self.relu(self.shared(one)).mean((1, 2)) for one in (x, y)], 1))


class Residual(nnx.Module):
    def __init__(self, net: testing.ResidualNet) -> None:
        self.conv1, self.conv2 = (conv(one, np.zeros(5)) for one in (net.conv1, net.conv2))
        self.norm1, self.norm2 = norm(net, "norm1"), norm(net, "norm2")
        self.relu1, self.relu2, self.pool, self.dense = Relu(), Relu(), Pool(), dense(net.dense, net.bias)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = self.relu1(self.norm1(self.conv1(x)))
        return self.dense(self.pool(self.relu2(x + self.norm2(self.conv2(x)))))


def norm(net: testing.ResidualNet, name: str) -> nnx.BatchNorm:
    own, layer = net.norms[name], nnx.BatchNorm(5, epsilon=net.epsilon, rngs=nnx.Rngs(0))
    layer.scale[...], layer.bias[...] = own["scale"], own["shift"]
    layer.mean[...], layer.var[...] = own["mean"], own["variance"]
    return layer


class TestFlax(testing.BackendTests):
    kit_version = 2
    plugin = xaicore_flax
    frameworks = ("flax", "jax")
    lacks = {  # noqa: RUF012 (a constant)
        **dict.fromkeys(
            ("loop", "blocks", "masked", "causal", "queries", "recurrent", "axial", "coupled", "halves"),
            "modules of the same kinds as those of the first nets",
        ),
        **dict.fromkeys(("segments", "sequence", "words", "outputs"), "the example explains one score per class"),
        "open": "a block as any other, whose attention is a function of JAX",
        "leaky": "a leaky ReLU is a function of JAX, and no module",
        "half": "modules of the same kinds as those of the first nets",
        "turned": "convolutions of Flax take their channels last",
        **dict.fromkeys(("logits", "shares"), "the end of a net is a function of JAX, which is not taken off"),
        "modes": "gradients are those of functions, whatever the caller does",
        "frozen": "weights have no gradients of their own",
    }

    def build_conv(self, net: testing.ConvNet) -> testing.Built:
        model = Conv(net)
        model.train()
        return model, {name: name for name in net.layers}

    def build_tokens(self, net: testing.TokenNet) -> testing.Built:
        return Transformer(net), {name: name for name in net.layers}

    def build_pair(self, net: testing.PairNet) -> testing.Built:
        return Pair(net), {name: name for name in ("shared", "relu", "dense")}

    def build_residual(self, net: testing.ResidualNet) -> testing.Built:
        return Residual(net), {name: name for name in net.layers}

    def alias(self, model: Conv, layer: str) -> str:
        model.second = getattr(model, layer)  # Flax visits attributes in the order of their names
        return "second"

    def to_inputs(self, picture: np.ndarray) -> jax.Array:
        return jnp.asarray(picture.transpose(0, 2, 3, 1))

    def state(self, model: Any) -> dict[str, Any]:
        """Weights, counters of generators, the class of each module, and whatever else it holds, such as its mode."""
        found = {}
        for path, module in nnx.iter_modules(model):
            held = {name: str(value) for name, value in vars(module).items() if not isinstance(value, nnx.Variable)}
            found[str(path)] = {"class": type(module).__name__, **held}
        weights = jax.tree_util.tree_leaves_with_path(nnx.to_pure_dict(nnx.state(model)))
        return {
            **found,
            **{
                jax.tree_util.keystr(path): np.asarray(jax.random.key_data(leaf))
                if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
                else np.asarray(leaf)
                for path, leaf in weights
            },
        }
