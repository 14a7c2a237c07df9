"""The same residual net in Flax and in PyTorch: the same weights give the same maps."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xaicore_flax.backend
from flax import nnx

import xaicore

torch = pytest.importorskip("torch", reason="needs torch: make test-plugins")

METHODS = (
    "gradcam",
    "gradcam++",
    "layercam",
    "hirescam",
    "eigencam",
    "ablationcam",
    "reciprocam",
    "scorecam",
    "gradient",
)


class Residual(nnx.Module):
    """Convolution with stride 2, batch norm, a block with a way around it, dense."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.stem = nnx.Conv(3, 8, (5, 5), 2, padding=((2, 2), (2, 2)), rngs=rngs)
        self.norm = nnx.BatchNorm(8, momentum=0.9, epsilon=1e-5, rngs=rngs)
        self.first = nnx.Conv(8, 8, (3, 3), padding=((1, 1), (1, 1)), rngs=rngs)
        self.second = nnx.Conv(8, 8, (3, 3), padding=((1, 1), (1, 1)), rngs=rngs)
        self.dense = nnx.Linear(8, 5, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = nnx.relu(self.norm(self.stem(x)))
        x = nnx.relu(x + self.second(nnx.relu(self.first(x))))
        return self.dense(x.mean((1, 2)))


def in_torch(model: Residual) -> Any:
    """The net with the weights of the one in Flax."""

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.norm = torch.nn.Conv2d(3, 8, 5, 2, 2), torch.nn.BatchNorm2d(8)
            self.first, self.second = (torch.nn.Conv2d(8, 8, 3, 1, 1) for _ in range(2))
            self.dense = torch.nn.Linear(8, 5)

        def forward(self, x: Any) -> Any:
            x = self.norm(self.stem(x)).relu()
            x = (x + self.second(self.first(x).relu())).relu()
            return self.dense(x.mean((2, 3)))

    net = Net().eval()
    weights = {
        **{f"{name}.weight": getattr(model, name).kernel[...].transpose(3, 2, 0, 1) for name in CONVOLUTIONS},
        **{f"{name}.bias": getattr(model, name).bias[...] for name in (*CONVOLUTIONS, "norm", "dense")},
        "norm.weight": model.norm.scale[...],
        "norm.running_mean": model.norm.mean[...],
        "norm.running_var": model.norm.var[...],
        "dense.weight": model.dense.kernel[...].T,
    }
    net.load_state_dict({name: torch.tensor(np.asarray(one)) for name, one in weights.items()}, strict=False)
    return net


CONVOLUTIONS = ("stem", "first", "second")


@pytest.fixture(scope="module")
def model() -> Residual:
    model = Residual(nnx.Rngs(0))
    rng = np.random.default_rng(1)
    for value, lowest in (
        (model.norm.scale, 0.5),
        (model.norm.bias, -0.5),
        (model.norm.mean, -0.5),
        (model.norm.var, 0.5),
    ):
        value[...] = jnp.asarray(rng.uniform(lowest, lowest + 1, 8), jnp.float32)
    return model


@pytest.mark.parametrize("layer", ["norm", "second"])
def test_maps_are_those_of_pytorch(model: Residual, layer: str) -> None:
    picture = np.random.default_rng(2).normal(size=(2, 3, 20, 24)).astype(np.float32)
    targets = [[0, 3], [1, 2]]
    ours = xaicore.Explainer(model, layer=layer)
    assert isinstance(ours.backend, xaicore_flax.backend.FlaxBackend)
    came = ours.compare(jnp.asarray(picture.transpose(0, 2, 3, 1)), METHODS, targets)
    expected = xaicore.Explainer(in_torch(model), layer=layer).compare(torch.from_numpy(picture), METHODS, targets)
    for name in METHODS:
        largest = float(np.abs(expected[name].maps).max())
        assert largest > 1e-4
        np.testing.assert_allclose(came[name].maps, expected[name].maps, rtol=1e-3, atol=1e-3 * largest, err_msg=name)
        np.testing.assert_allclose(came[name].scores, expected[name].scores, rtol=1e-4)


def test_the_layer_that_is_found(model: Residual) -> None:
    """Functions are no modules: the sum and its ReLU have no name, and the last convolution is explained."""
    assert xaicore.explain(model, jnp.ones((1, 20, 24, 3))).layer == "second"


class Compiled(Residual):
    """Its block runs inside of a transformation, where no array can be seen from outside."""

    def __call__(self, x: jax.Array) -> jax.Array:
        x = nnx.relu(self.norm(self.stem(x)))
        inside = nnx.jit(lambda first, second, x: second(nnx.relu(first(x))))
        return self.dense(nnx.relu(x + inside(self.first, self.second, x)).mean((1, 2)))


def test_layers_inside_of_a_transformation_are_left_out() -> None:
    x = jax.random.normal(jax.random.key(0), (1, 20, 24, 3))
    compiled, plain = Compiled(nnx.Rngs(0)), Residual(nnx.Rngs(0))
    names = [layer.name for layer in xaicore.Explainer(compiled).backend.layers(x)]
    assert names == ["stem", "norm", "dense"]
    came, expected = (xaicore.explain(one, x, targets=1, layer="norm").maps for one in (compiled, plain))
    np.testing.assert_allclose(came, expected, rtol=1e-4, atol=1e-6)
    with pytest.raises(xaicore.LayerError, match="no layer called 'second' in Compiled"):
        xaicore.explain(compiled, x, layer="second")


ERRORS = {
    "xaicore.explain(model, x[..., :2])": r"BackendError: the model raised ValueError for inputs \(1, 20, 24, 2\)",
    "xaicore.explain(model, x, layer='secnd')": "LayerError: no layer called 'secnd' in Residual; nearest names: sec",
    "xaicore.explain(model, x, output=3)": "OutputError: output=3 is none of the model's outputs: 0",
    "xaicore.explain(model, x, layer='stem#2')": "LayerError: ",
    "xaicore.explain(model, x[:0])": "InputError: ",
    "xaicore.explain(model, x, method='shapleycam')": "MethodError: method 'shapleycam' needs 'second', which",
}


@pytest.mark.parametrize(("statement", "expected"), ERRORS.items())
def test_errors(model: Residual, statement: str, expected: str) -> None:
    known = {"xaicore": xaicore, "model": model, "x": jnp.ones((1, 20, 24, 3))}
    with pytest.raises(xaicore.XaicoreError) as caught:
        eval(statement, known)
    kind, _, text = expected.partition(": ")
    assert type(caught.value).__name__ == kind
    assert caught.match(text)
