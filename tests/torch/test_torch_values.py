"""Maps and gradients against values computed by hand or by plain autograd."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch_nets import ConvGapDense, features, gradcam, pictures, truth

import xaicore
from xaicore import targets
from xaicore_torch.backend import TorchBackend

CLOSE = {"rtol": 1e-5, "atol": 1e-6}


def test_grad_cam_of_the_predicted_class_is_the_hand_computed_map():
    model, x = ConvGapDense(), pictures()
    with torch.no_grad():
        predicted = model(x).argmax(1).numpy()
    explanation = xaicore.explain(model, x)
    assert explanation.layer == "relu2"
    np.testing.assert_array_equal(explanation.targets, predicted)
    np.testing.assert_allclose(explanation.maps, gradcam(model, x, predicted[:, None])[:, 0], **CLOSE)
    assert explanation.maps.max() > 0


@pytest.mark.parametrize("inputs", ["tensor", "array", "float64 array", "read-only array", "reversed array"])
def test_arrays_and_tensors_give_the_same_map(inputs):
    model, x = ConvGapDense(), pictures()
    given = {
        "tensor": x,
        "array": x.numpy(),
        "float64 array": x.numpy().astype(np.float64),
        "read-only array": np.frombuffer(x.numpy().tobytes(), np.float32).reshape(x.shape),
        "reversed array": np.ascontiguousarray(x.numpy()[:, :, ::-1])[:, :, ::-1],
    }[inputs]
    np.testing.assert_allclose(
        xaicore.explain(model, given, targets=1).maps, gradcam(model, x, [[1], [1]])[:, 0], **CLOSE
    )


def test_one_image_without_a_batch_axis():
    model, x = ConvGapDense(), pictures(1)
    explanation = xaicore.explain(model, x[0], targets=2)
    np.testing.assert_allclose(explanation.maps, gradcam(model, x, [[2]])[:, 0], **CLOSE)
    assert explanation.images.shape == (1, 6, 9, 3)


def test_several_targets_an_image_share_a_pass_and_keep_their_order():
    model, x = ConvGapDense(), pictures(3)
    classes = np.array([[0, 2], [1, 0], [2, 1]])
    calls = []
    model.register_forward_hook(lambda *a: calls.append(1))
    explainer = xaicore.Explainer(model, layer="relu2")
    explainer(x)  # the first call looks at the layers in a pass of its own
    calls.clear()
    explanation = explainer(x, classes)
    assert len(calls) == 1
    np.testing.assert_allclose(explanation.maps, gradcam(model, x, classes).reshape(6, 6, 9), **CLOSE)
    np.testing.assert_array_equal(explanation.targets, classes.reshape(-1))


def test_both_classes_of_a_one_output_classifier_are_opposites():
    model, x = ConvGapDense(classes=1), pictures()
    explanation = xaicore.explain(model, x, [[1, 0], [1, 0]])
    expected = gradcam(model, x, [[1, -1], [1, -1]])
    np.testing.assert_allclose(explanation.maps.reshape(expected.shape), expected, **CLOSE)
    p = torch.sigmoid(model(x)).detach().numpy()[:, 0]
    np.testing.assert_allclose(explanation.scores, np.stack([p, 1 - p], 1).reshape(-1), atol=1e-6)


@pytest.mark.parametrize(
    ("end", "link"),
    [
        (lambda y: F.softmax(y, dim=1), "softmax"),
        (lambda y: F.softmax(y, dim=-1), "softmax"),
        (nn.Softmax(dim=1), "softmax"),
        (lambda y: F.log_softmax(y, dim=1), "softmax"),
        (lambda y: y.double().softmax(1).float(), "softmax"),
        (torch.sigmoid, "sigmoid"),
        (nn.Sigmoid(), "sigmoid"),
    ],
)
def test_logits_are_reached_below_the_last_activation(end, link):
    plain, x = ConvGapDense(), pictures()
    model = ConvGapDense(end=end)
    direct = targets.Classes([[0, 1, 2]] * 2).aim(np.zeros((2, 3), np.float32), "logits").direction
    backend = TorchBackend(model)
    capture = backend.capture(x, ["relu2"], lambda outputs, kind: direct)
    reference = TorchBackend(plain).capture(x, ["relu2"], lambda outputs, kind: direct)
    assert (capture.outputs_kind, capture.link, reference.link) == ("logits", link, None)
    np.testing.assert_allclose(capture.gradients["relu2"], reference.gradients["relu2"], **CLOSE)
    shift = reference.outputs - capture.outputs
    np.testing.assert_allclose(shift, shift[:, :1].repeat(3, 1) if link == "softmax" else 0, atol=1e-5)
    np.testing.assert_allclose(backend.predict(x), capture.outputs, rtol=1e-6)
    np.testing.assert_allclose(TorchBackend(model).predict(x), capture.outputs, rtol=1e-6)
    scores = xaicore.explain(model, x, 1).scores
    y = plain(x).detach()
    np.testing.assert_allclose(scores, (y.softmax(1) if link == "softmax" else y.sigmoid())[:, 1], atol=1e-6)


def test_a_sigmoid_that_drops_the_only_column():
    plain, x = ConvGapDense(classes=1), pictures(3)
    model = ConvGapDense(classes=1, end=lambda y: torch.sigmoid(y).squeeze(1))
    explanation = xaicore.explain(model, x, 0)
    assert (explanation.outputs.shape, explanation.outputs_kind) == ((3,), "logits")
    np.testing.assert_allclose(explanation.maps, gradcam(plain, x, [[-1]] * 3)[:, 0], **CLOSE)
    np.testing.assert_allclose(explanation.scores, 1 - torch.sigmoid(plain(x)).detach().numpy()[:, 0], atol=1e-6)


def test_one_column_of_a_softmax_is_a_probability():
    model, x = ConvGapDense(classes=2, end=lambda y: y.softmax(1)[:, 1]), pictures()
    explanation = xaicore.explain(model, x, 1)
    assert explanation.outputs_kind == "probabilities"
    a = features(model, x).numpy()
    w = model.dense.weight.detach().numpy()
    logit_difference = np.maximum(np.einsum("c,nchw->nhw", w[1] - w[0], a) / 54, 0)
    np.testing.assert_allclose(explanation.maps, logit_difference, **CLOSE)


def test_a_hand_written_softmax_gives_the_gradient_of_the_centred_logit():
    def softmax(y):
        e = (y - y.amax(1, keepdim=True)).exp()
        return e / e.sum(1, keepdim=True)

    model, x = ConvGapDense(end=softmax), pictures()
    explanation = xaicore.explain(model, x, 1)
    assert explanation.outputs_kind == "probabilities"
    a, w = features(model, x).numpy(), model.dense.weight.detach().numpy()
    expected = np.maximum(np.einsum("c,nchw->nhw", w[1] - w.mean(0), a) / 54, 0)
    np.testing.assert_allclose(explanation.maps, expected, rtol=1e-4, atol=1e-6)


def test_logits_that_happen_to_be_small_are_still_logits():
    model, x = ConvGapDense(classes=2), pictures()
    assert xaicore.explain(model, x).outputs_kind == "logits"


@pytest.mark.parametrize("layer", ["conv1", "relu1", "conv2", "relu2"])
def test_gradients_at_every_layer_equal_plain_autograd(layer):
    model, x = ConvGapDense(), pictures()
    classes = np.array([[0, 1], [2, 0]])
    a, g = truth(model, x, layer, classes)
    direction = targets.Classes(classes)
    capture = TorchBackend(model).capture(x, [layer], lambda o, kind: direction.aim(o, kind).direction)
    np.testing.assert_allclose(capture.activations[layer], a, **CLOSE)
    np.testing.assert_allclose(capture.gradients[layer], g, **CLOSE)
    assert capture.input_size == (6, 9)


def test_several_layers_in_one_pass_have_the_gradients_they_have_alone():
    model, x = ConvGapDense(), pictures()
    layers = ["relu2", "conv1", "relu1"]  # whatever the order
    aim = targets.Classes(1)
    capture = TorchBackend(model).capture(x, layers, lambda o, kind: aim.aim(o, kind).direction)
    for layer in layers:
        a, g = truth(model, x, layer, [[1], [1]])
        np.testing.assert_allclose(capture.activations[layer], a, **CLOSE)
        np.testing.assert_allclose(capture.gradients[layer], g, **CLOSE)


class InPlace(nn.Module):
    """DenseNet's ending: an in-place operation on the output of the layer that is explained."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.features = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4))
        self.dense = nn.Linear(4, 3)

    def forward(self, x):
        return self.dense(F.relu(self.features(x), inplace=True).mean((2, 3)))


def test_an_in_place_operation_after_the_layer_does_not_overwrite_its_activations():
    model, x = InPlace().eval(), pictures()
    explanation = xaicore.explain(model, x, 0, method="hirescam")
    assert explanation.layer == "features"
    a = model.features(x).detach()
    g = model.dense.weight[0].detach()[:, None, None] * (a > 0) / 54
    np.testing.assert_allclose(explanation.maps, torch.relu((g * a).sum(1)).numpy(), **CLOSE)
    assert (a < 0).any()


class Reused(nn.Module):
    """One ReLU for the whole net, as ResNet does it; `runs` can be changed."""

    def __init__(self, runs=3, inplace=False):
        super().__init__()
        torch.manual_seed(0)
        self.convs = nn.ModuleList([nn.Conv2d(1 if i == 0 else 4, 4, 3, padding=1) for i in range(4)])
        self.relu = nn.ReLU(inplace=inplace)
        self.dense = nn.Linear(4, 3)
        self.runs = runs

    def forward(self, x):
        for conv in self.convs[: self.runs]:
            x = self.relu(conv(x))
        return self.dense(x.mean((2, 3)))


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("surveyed", [False, True])
def test_a_layer_that_runs_several_times_counts_by_its_last_run(surveyed, inplace):
    model, x = Reused(inplace=inplace), pictures()
    backend = TorchBackend(model)
    if surveyed:
        names = [layer.name for layer in backend.layers(x)]
        assert names == ["convs.0", "convs.1", "convs.2", "relu", "dense"]  # where its last run ended
    aim = targets.Classes(1)
    a, g = truth(Reused(), x, "relu", [[1], [1]])
    for _ in range(2):
        capture = backend.capture(x, ["relu"], lambda o, kind: aim.aim(o, kind).direction)
        np.testing.assert_allclose(capture.activations["relu"], a, **CLOSE)
        np.testing.assert_allclose(capture.gradients["relu"], g, **CLOSE)


@pytest.mark.parametrize("then", [2, 4])
def test_a_layer_that_runs_another_number_of_times_than_before(then):
    model, x = Reused(3), pictures()
    explainer = xaicore.Explainer(model, layer="relu", method="hirescam")
    explainer(x)
    model.runs = then
    _, g = truth(model, x, "relu", [[1], [1]])
    a, _ = truth(model, x, "relu", [[1], [1]])
    expected = np.maximum((a[:, None] * g).sum(2), 0)[:, 0]
    np.testing.assert_allclose(explainer(x, 1).maps, expected, **CLOSE)


def test_a_reused_layer_beside_another_one_does_not_cut_it_off():
    model, x = Reused(), pictures()
    aim = targets.Classes(2)
    backend = TorchBackend(model)
    for _ in range(2):
        capture = backend.capture(x, ["relu", "convs.0"], lambda o, kind: aim.aim(o, kind).direction)
        for layer in ("relu", "convs.0"):
            _, g = truth(Reused(), x, layer, [[2], [2]])
            np.testing.assert_allclose(capture.gradients[layer], g, **CLOSE)


def test_only_what_follows_the_last_run_is_recorded_once_it_is_known():
    model, x = Reused(), pictures()
    explainer = xaicore.Explainer(model, layer="relu")
    explainer(x)
    recorded = []
    model.convs[1].register_forward_hook(lambda m, i, o: recorded.append(o.requires_grad))
    explainer(x)
    assert recorded == [False]


def test_cam_and_grad_cam_agree_up_to_the_number_of_positions():
    model, x = ConvGapDense(), pictures()
    both = xaicore.Explainer(model).compare(x, ["cam", "gradcam"], [[0, 1, 2]] * 2)
    np.testing.assert_allclose(both["cam"].maps, 54 * both["gradcam"].maps, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "head",
    [
        lambda: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(), nn.Linear(5, 3)),
        lambda: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(5, 3, 1), nn.Flatten()),
        lambda: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 3), nn.Softmax(1)),
    ],
)
def test_cam_reads_the_dense_layer_whatever_lies_between(head):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 5, 3, padding=1), nn.ReLU(), head())
    x = pictures()
    explanation = xaicore.explain(model, x, 1, method="cam")
    w = next(m for m in model[2].modules() if hasattr(m, "weight")).weight.detach().reshape(3, 5)
    expected = torch.relu(torch.einsum("c,nchw->nhw", w[1], torch.relu(model[0](x)))).detach()
    np.testing.assert_allclose(explanation.maps, expected.numpy(), **CLOSE)


def test_cam_records_nothing():
    model, recorded = ConvGapDense(), []
    model.dense.register_forward_hook(lambda m, i, o: recorded.append(o.requires_grad))
    backend = xaicore.Explainer(model).backend
    backend.observe(pictures())
    recorded.clear()
    backend.classifier_weights(pictures(), "relu2")
    assert recorded == [False]


def test_cam_follows_new_weights_and_a_new_head():
    model, x = ConvGapDense(), pictures()
    explainer = xaicore.Explainer(model, method="cam")
    before = explainer(x, 1).maps
    with torch.no_grad():
        model.dense.weight.mul_(2)
    np.testing.assert_allclose(explainer(x, 1).maps, 2 * before, rtol=1e-5)
    model.dense = nn.Linear(5, 3)
    expected = 54 * gradcam(model, x, [[1], [1]])[:, 0]
    np.testing.assert_allclose(explainer(x, 1).maps, expected, rtol=1e-4, atol=1e-6)


def test_cam_of_a_batch_whose_first_image_has_no_features():
    model, x = ConvGapDense(), 5 * pictures()
    x[0] = 0
    with torch.no_grad():
        model.conv1.bias.fill_(-0.1)
        model.conv2.bias.fill_(-0.1)
    maps = xaicore.explain(model, x, 1, method="cam").maps
    assert not maps[0].any()
    np.testing.assert_allclose(maps, 54 * gradcam(model, x, [[1], [1]])[:, 0], rtol=1e-4, atol=1e-6)


def test_cam_of_a_dense_layer_in_front_of_the_mean():
    """A 1 x 1 convolution and the mean may change places."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 5, 3), nn.ReLU(), nn.Conv2d(5, 3, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    explanation = xaicore.explain(model, pictures(), 1, method="cam", layer="1")
    a = torch.relu(model[0](pictures()))
    expected = torch.relu(torch.einsum("c,nchw->nhw", model[2].weight[1, :, 0, 0], a)).detach()
    np.testing.assert_allclose(explanation.maps, expected, **CLOSE)


@pytest.mark.parametrize(
    ("head", "layer"),
    [
        (nn.Sequential(nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(5, 3)), "1"),
        (nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3)), "1"),
        (nn.Sequential(nn.Flatten(), nn.Linear(5 * 54, 3)), "1"),
        (nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 3)), "0"),
    ],
)
def test_cam_refuses_other_nets_and_offers_grad_cam(head, layer, unchanged):
    model = nn.Sequential(nn.Conv2d(1, 5, 3, padding=1), nn.ReLU(), head)
    with unchanged(model), pytest.raises(xaicore.MethodError, match=r"global average pooling.*method='gradcam'"):
        xaicore.explain(model, pictures(), method="cam", layer=layer)


@pytest.mark.parametrize("dimensions", [1, 3])
def test_signals_and_volumes(dimensions):
    torch.manual_seed(0)
    conv = {1: nn.Conv1d, 3: nn.Conv3d}[dimensions]
    model = nn.Sequential(conv(2, 4, 3, padding=1), nn.ReLU(), nn.Flatten(2))
    dense = nn.Linear(4, 3)
    model = nn.Sequential(*model[:2], _Mean(), dense)
    shape = {1: (9,), 3: (3, 4, 5)}[dimensions]
    x = torch.randn(2, 2, *shape)
    explanation = xaicore.explain(model, x, 1)
    a = model[:2](x).detach()
    expected = torch.relu(torch.einsum("c,nc...->n...", dense.weight[1], a)) / np.prod(shape)
    np.testing.assert_allclose(explanation.maps, expected.detach().numpy(), **CLOSE)
    assert explanation.heatmaps().shape == (2, *shape)
    assert (explanation.images is None) == (dimensions == 3)  # a signal is drawn as curves; two channels are no picture


class _Mean(nn.Module):
    def forward(self, x):
        return x.flatten(2).mean(2)
