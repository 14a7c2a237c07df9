"""Weights that are computed: spectral_norm, weight_norm and parametrizations of the user's, in a model that trains.

Computing such a weight may change the model, so it is computed only where its state is restored afterwards.
"""

import copy
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, parametrize
from torch_nets import ConvGapDense, gradcam, pictures

import xaicore
from xaicore.layers import read
from xaicore_torch import cam_model

CLOSE = {"rtol": 1e-4, "atol": 1e-6}


class Restless(nn.Module):
    """Counts, remembers and draws whenever the weight is computed, in either mode."""

    def __init__(self):
        super().__init__()
        self.calls = 0
        self.register_buffer("count", torch.zeros((), dtype=torch.long))
        self.register_buffer("last", torch.zeros(1))

    def forward(self, weight):
        self.calls += 1
        self.count += 1
        self.last = weight.detach().mean().reshape(1)
        return weight * (2 if torch.rand(1) < 2 else 1)


class Scaled(nn.Module):
    """A parametrization with a dense layer inside, which has a parametrization itself."""

    def __init__(self):
        super().__init__()
        self.inner = parametrizations.spectral_norm(nn.Linear(1, 1, bias=False))

    def forward(self, weight):
        return weight * self.inner(weight.new_ones(1, 1)).abs()


def restless(module):
    return parametrize.register_parametrization(module, "weight", Restless())


def nested(module):
    return parametrize.register_parametrization(module, "weight", Scaled())


def stacked(module):
    return restless(parametrizations.spectral_norm(module))


def old(norm):
    def apply(module):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # both say that they are deprecated
            return norm(module)

    return apply


KINDS = {
    "spectral_norm": parametrizations.spectral_norm,
    "weight_norm": parametrizations.weight_norm,
    "orthogonal": parametrizations.orthogonal,
    "old spectral_norm": old(nn.utils.spectral_norm),
    "old weight_norm": old(nn.utils.weight_norm),
    "restless": restless,
    "nested": nested,
    "stacked": stacked,
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def net(kind, end=None):
    """ConvGapDense, training after two steps, so that the norms are under way."""
    model = ConvGapDense(end=end).train()
    torch.manual_seed(2)
    for name in ("conv1", "conv2", "dense"):
        setattr(model, name, KINDS[kind](getattr(model, name)))
    if end is None:
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        for _ in range(2):
            model(pictures()).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()
    return model


def evaluated(kind):
    """The same net in evaluation mode, for the weights that an explanation must use."""
    model = net(kind).eval()
    with torch.no_grad():
        model(pictures())  # the old norms compute their weights in a pass
    return model


@every_kind
@pytest.mark.parametrize("layer", [None, "relu2"])
def test_grad_cam_leaves_the_model_alone_and_uses_the_weights_of_evaluation(kind, layer, unchanged):
    model, x = net(kind), pictures()
    with unchanged(model):
        explainer = xaicore.Explainer(model, layer=layer)
        maps = [explainer(x, 1).maps for _ in range(2)]
    expected = gradcam(evaluated(kind), x, [[1], [1]])[:, 0]
    assert expected.any()
    np.testing.assert_allclose(maps[0], expected, **CLOSE)
    np.testing.assert_array_equal(maps[0], maps[1])


@every_kind
def test_cam_reads_the_weights_of_now(kind, unchanged):
    """Also after a step, with a model that has not run since."""
    model, x = net(kind), pictures()
    explainer = xaicore.Explainer(model, method="cam")
    expected = 54 * gradcam(evaluated(kind), x, [[1], [1]])[:, 0]
    with unchanged(model):
        before = explainer(x, 1).maps
    np.testing.assert_allclose(before, expected, **CLOSE)
    with torch.no_grad():
        for parameter in model.dense.parameters():
            parameter += torch.linspace(0, 1, parameter.numel()).reshape(parameter.shape)
    with unchanged(model):
        after = explainer(x, 1).maps
    assert not np.allclose(before, after)
    twin = copy_of(model).eval()
    with torch.no_grad():
        twin(x)
    np.testing.assert_allclose(after, 54 * gradcam(twin, x, [[1], [1]])[:, 0], **CLOSE)


def copy_of(model):
    """A deep copy, also where hooks have left computed weights behind, which deepcopy refuses."""
    computed = [v for m in model.modules() for v in vars(m).values() if isinstance(v, torch.Tensor) and not v.is_leaf]
    return copy.deepcopy(model, {id(value): value.detach().clone() for value in computed})


@every_kind
def test_layers_capture_and_predict_leave_the_model_alone(kind, unchanged):
    model, x = net(kind), pictures()
    expected = evaluated(kind)(x).detach().numpy()
    with unchanged(model):
        backend = xaicore.Explainer(model).backend
        backend.layers(x)
        backend.layers(x[0])  # the batch axis that is added depends on the first convolution
        outputs = backend.predict(x)
        capture = backend.capture(
            x, ["conv1", "relu2"], lambda outputs, kind: np.eye(3, dtype=np.float32)[None][[0, 0]]
        )
        weights = backend.classifier_weights(x, "relu2")
    np.testing.assert_allclose(outputs, expected, **CLOSE)
    np.testing.assert_allclose(capture.outputs, expected, **CLOSE)
    np.testing.assert_allclose(weights, evaluated(kind).dense.weight.detach(), **CLOSE)
    np.testing.assert_allclose(capture.gradients["relu2"].sum((3, 4)), np.stack([weights] * 2), **CLOSE)


@every_kind
@pytest.mark.parametrize("layer", [None, "relu2"])
def test_exceptions_leave_the_model_alone(kind, layer, unchanged):
    def fails(y):
        raise RuntimeError("on purpose")

    model = net(kind, end=fails)
    with unchanged(model), pytest.raises(xaicore.BackendError, match="on purpose"):
        xaicore.explain(model, pictures(), layer=layer)
    model = net(kind)
    with unchanged(model), pytest.raises(xaicore.TargetError):
        xaicore.explain(model, pictures(), 3, layer=layer)
    with unchanged(model), pytest.raises(xaicore.MethodError):
        xaicore.explain(model, pictures(), method="cam", layer="conv2")


@every_kind
def test_a_training_goes_on_as_if_nothing_had_happened(kind):
    def train(explained):
        model = net(kind)
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        explainers = [xaicore.Explainer(model), xaicore.Explainer(model, method="cam")]
        torch.manual_seed(3)
        for _ in range(3):
            x = torch.randn(4, 1, 6, 9)
            loss = F.cross_entropy(model(x), torch.tensor([0, 1, 2, 0]))
            if explained:
                explainers[0](x)  # between forward and backward
            loss.backward()
            if explained:
                explainers[1](x, [[0, 1]] * 4)
            optimizer.step()
            optimizer.zero_grad()
        return [*model.state_dict().values(), torch.rand(3)]

    assert all(map(torch.equal, train(False), train(True)))


@every_kind
@pytest.mark.parametrize("freeze", [False, True])
def test_cam_model_leaves_the_model_alone_and_the_copy_trains(kind, freeze, unchanged):
    model, x = net(kind), pictures()
    with unchanged(model), torch.random.fork_rng():  # the new layer is drawn
        cam = cam_model(model, 2, inputs=x, freeze=freeze)
    own, copied = ([*module.parameters(), *module.buffers()] for module in (model, cam))
    assert cam.layer == "relu2"
    assert not {id(tensor) for tensor in own} & {id(tensor) for tensor in copied}
    with unchanged(model), unchanged(cam):
        maps = xaicore.explain(cam, x, 1, method="cam").maps
    reference = evaluated(kind)
    a = reference.relu2(reference.conv2(reference.relu1(reference.conv1(x))))
    expected = torch.relu(torch.einsum("c,nchw->nhw", cam.dense.weight[1], a)).detach()
    np.testing.assert_allclose(maps, expected, **CLOSE)
    cam.train()
    cam(x).sum().backward()
    assert cam.dense.weight.grad is not None
    assert any(p.grad is not None and p.grad.any() for p in cam.body.parameters()) is not freeze


def test_a_cam_model_computes_the_weight_of_a_normed_classifier_once_per_pass():
    x = pictures()
    cam = cam_model(ConvGapDense(), 2, inputs=x).train()
    restless(cam.dense)
    before = int(cam.dense.parametrizations.weight[0].count)
    cam(x)
    assert int(cam.dense.parametrizations.weight[0].count) == before + 1


@pytest.mark.parametrize("kind", ["spectral_norm", "weight_norm", "restless", "nested", "stacked"])
def test_the_callers_cached_weights_stay_the_callers(kind, unchanged):
    """`parametrize.cached()` around a training step: the weights that it holds have a graph; ours would not."""

    def gradients(explained):
        model, x = net(kind), pictures()
        with parametrize.cached():
            y = model(x)
            weight = model.conv2.weight
            if explained:
                with unchanged(model):
                    maps = xaicore.explain(model, x, 1).maps
                twin = copy_of(model).eval()
                with torch.no_grad():
                    twin(x)
                np.testing.assert_allclose(maps, gradcam(twin, x, [[1], [1]])[:, 0], **CLOSE)
            assert model.conv2.weight is weight
            (y + model(2 * x)).square().sum().backward()
        assert not parametrize._cache
        return [*(p.grad for p in model.parameters()), *model.buffers()]

    assert all(map(torch.equal, gradients(False), gradients(True)))


@pytest.mark.parametrize("explained_first", [False, True])
def test_weights_that_were_not_cached_yet_are_not_cached_by_an_explanation(explained_first):
    model, x = net("spectral_norm"), pictures()
    with parametrize.cached():
        if explained_first:
            xaicore.explain(model, x, 1)
        model(x).sum().backward()
    expected = net("spectral_norm")
    expected(x).sum().backward()
    for p, q in zip(model.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad)


def test_a_model_that_caches_by_itself(unchanged):
    class Cached(ConvGapDense):
        def forward(self, x):
            with parametrize.cached():
                return super().forward(x) + 0 * self.dense.weight.sum()

    model, x = Cached().train(), pictures()
    for name in ("conv1", "dense"):
        stacked(getattr(model, name))
    with unchanged(model), parametrize.cached():
        maps = xaicore.explain(model, x, 1).maps
        assert not parametrize._cache
    assert not parametrize._cache_enabled
    twin = copy.deepcopy(model).eval()
    with parametrize.cached():
        np.testing.assert_allclose(maps, gradcam(twin, x, [[1], [1]])[:, 0], **CLOSE)


@pytest.mark.parametrize("norm", [parametrizations.spectral_norm, parametrizations.weight_norm, restless])
def test_what_computes_a_weight_is_no_layer(norm):
    """The weight (1, C, h, w) of one filter looks like the map of one picture."""
    torch.manual_seed(0)
    model = nn.Sequential(norm(nn.Conv2d(1, 4, 3)), nn.ReLU(), norm(nn.Conv2d(4, 1, (4, 7))), nn.Flatten())
    explainer = xaicore.Explainer(model)
    assert [(layer.name, layer.spatial) for layer in explainer.backend.layers(pictures())] == [
        ("0", True),
        ("1", True),
        ("2", False),
        ("3", False),
    ]
    assert explainer(pictures()).layer == "1"


@pytest.mark.parametrize("norm", [lambda module: module, parametrizations.weight_norm, parametrizations.spectral_norm])
def test_a_normed_layer_on_the_last_axis_still_has_its_channels_there(norm):
    class Last(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.mix, self.act, self.dense = norm(nn.Linear(1, 5)), nn.GELU(), nn.Linear(5, 3)

        def forward(self, x):
            return self.dense(self.act(self.mix(x.movedim(1, -1))).mean((1, 2)))

    model, x = Last().eval(), pictures()
    backend = xaicore.Explainer(model).backend
    assert {layer.name: layer.shape for layer in backend.layers(x)}["act"] == (1, 5, 6, 9)
    for name in ("mix", "act"):
        a = backend.capture(x, [name]).activations[name]
        expected = model.mix(x.movedim(1, -1)) if name == "mix" else model.act(model.mix(x.movedim(1, -1)))
        np.testing.assert_allclose(a, expected.detach(), **CLOSE)
        arranged = read(backend.observe(x)).grids[name].arrange(a)
        np.testing.assert_array_equal(arranged, np.moveaxis(a, -1, 1))
        backend = xaicore.Explainer(model).backend
