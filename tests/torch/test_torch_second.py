"""The Hessian of a score times a layer's activations, against the Hessian written out."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch_nets import ConvGapDense, pictures

from xaicore.errors import BackendError, LayerError
from xaicore_torch.backend import TorchBackend

CLASSES = np.array([[0, 2], [1, 0]])


def one_hot(classes=CLASSES):
    return lambda outputs, kind: np.eye(outputs.shape[1], dtype=np.float32)[classes]


class Smooth(ConvGapDense):
    """Behind relu1: a convolution, a smooth activation, the mean, a dense layer."""

    def __init__(self):
        super().__init__()
        self.relu2 = nn.Softplus()


def rest(model, a):
    return model.dense(model.relu2(model.conv2(a)).mean((-2, -1)))


def written_out(model, x, rest=rest, classes=CLASSES):
    """(N, K, C, H, W): all second derivatives of each score at relu1, summed with the activations."""
    activations = model.relu1(model.conv1(x)).detach()
    found = []
    for n, a in enumerate(activations):
        for c in classes[n]:
            matrix = torch.autograd.functional.hessian(lambda a, c=c: rest(model, a[None])[0, c], a)
            size = a.numel()
            product = matrix.reshape(size, size) @ a.reshape(size)
            found.append(product.reshape(a.shape))
    return torch.stack(found).reshape(*classes.shape, *activations.shape[1:]).numpy()


def test_the_product_is_that_of_the_written_out_hessian(unchanged):
    model, x = Smooth().train(), pictures()
    backend = TorchBackend(model)
    with unchanged(model):
        found = backend.second(x, "relu1", one_hot())
    np.testing.assert_allclose(found, written_out(model, x), rtol=1e-4, atol=1e-7)
    assert np.abs(found).max() > 1e-4
    for n in range(2):  # the batch equals its images, several targets equal each alone
        for k in range(2):
            alone = backend.second(x[n : n + 1], "relu1", one_hot(CLASSES[n : n + 1, k : k + 1]))
            np.testing.assert_allclose(found[n, k], alone[0, 0], rtol=1e-5, atol=1e-7)


def test_behind_relus_and_dense_layers_the_product_is_zero():
    found = TorchBackend(ConvGapDense()).second(pictures(), "relu1", one_hot())
    assert found.shape == (2, 2, 4, 6, 9)
    assert not found.any()


def test_a_layer_that_the_head_reads_as_it_is_gives_zeros():
    assert not TorchBackend(ConvGapDense()).second(pictures(), "relu2", one_hot()).any()


def test_coupled_images():
    """The Hessian of an image's score with respect to all activations of the batch, times these, at its own."""

    class Coupled(Smooth):
        def forward(self, x):
            a = self.conv2(self.relu1(self.conv1(x)))
            return self.dense(self.relu2(F.batch_norm(a, None, None, training=True)).mean((2, 3)))

    model, x = Coupled(), pictures()
    found = TorchBackend(model).second(x, "relu1", one_hot())
    a = model.relu1(model.conv1(x)).detach().requires_grad_()
    y = model.dense(model.relu2(F.batch_norm(model.conv2(a), None, None, training=True)).mean((2, 3)))
    for n, k in np.ndindex(2, 2):
        (g,) = torch.autograd.grad(y[n, CLASSES[n, k]], a, create_graph=True)
        (expected,) = torch.autograd.grad(g, a, a.detach(), retain_graph=True)
        np.testing.assert_allclose(found[n, k], expected[n], rtol=1e-4, atol=1e-6)


class Attends(nn.Module):
    """Fused attention has no second derivative; the same in plain operations has one."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv1, self.relu1, self.dense = nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Linear(4, 3)

    def forward(self, x):
        return attend(self, self.relu1(self.conv1(x)))


def attend(model, a):
    tokens = a.flatten(2).transpose(1, 2)
    return model.dense(F.scaled_dot_product_attention(tokens, tokens, tokens).mean(1))


def test_fused_attention():
    model, x = Attends(), pictures()
    expected = written_out(model, x, attend)
    np.testing.assert_allclose(TorchBackend(model).second(x, "relu1", one_hot()), expected, rtol=1e-3, atol=1e-6)


def test_half_precision():
    model, x = Smooth(), pictures()
    expected = written_out(model, x)
    found = TorchBackend(model.half()).second(x.half(), "relu1", one_hot())
    assert np.linalg.norm(found - expected) < 0.05 * np.linalg.norm(expected)


class Once(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, g):
        return 2 * g * ctx.saved_tensors[0]


def test_an_operation_without_a_second_derivative_is_named(unchanged):
    class Net(ConvGapDense):
        def forward(self, x):
            return self.dense(Once.apply(self.conv2(self.relu1(self.conv1(x)))).mean((2, 3)))

    model = Net()
    with (
        unchanged(model),
        pytest.raises(BackendError, match=r"behind layer 'relu1' has no second derivative.*once_diff"),
    ):
        TorchBackend(model).second(pictures(), "relu1", one_hot())


def test_a_layer_that_does_not_reach_the_outputs_is_refused():
    class Net(ConvGapDense):
        def forward(self, x):
            self.relu1(x)
            return self.dense(self.conv2(self.conv1(x)).mean((2, 3)))

    with pytest.raises(LayerError, match="does not reach the outputs"):
        TorchBackend(Net()).second(pictures(), "relu1", one_hot())


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_nothing_is_left_behind_by_an_exception(error, unchanged):
    model = Smooth().train()

    def direction(outputs, kind):
        raise error("on purpose")

    with unchanged(model), pytest.raises(error, match="on purpose"):
        TorchBackend(model).second(pictures(), "relu1", direction)
