"""Which layers there are, which one is taken, and what happens with a wrong one."""

import re

import numpy as np
import pytest
import torch
from torch import nn
from torch_nets import ConvGapDense, pictures

import xaicore
from xaicore import Layer


def layers(model, x):
    return list(xaicore.Explainer(model).backend.layers(x))


def test_every_layer_in_order_of_completion():
    assert layers(ConvGapDense(), pictures()) == [
        Layer("conv1", "Conv2d", (1, 4, 6, 9), True),
        Layer("relu1", "ReLU", (1, 4, 6, 9), True),
        Layer("conv2", "Conv2d", (1, 5, 6, 9), True),
        Layer("relu2", "ReLU", (1, 5, 6, 9), True),
        Layer("dense", "Linear", (1, 3), False),
    ]


def test_a_shared_output_has_its_outermost_name_and_pooling_shows_through():
    block = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True))
    pooled = nn.Sequential(nn.Conv2d(4, 4, 1), nn.MaxPool2d(2), nn.Dropout(), nn.Identity())
    model = nn.Sequential(block, pooled, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    found = {layer.name: layer for layer in layers(model, pictures())}
    # The in-place ReLU is another output than the BatchNorm's, of the same tensor.
    assert list(found) == ["0.0", "0.1", "0", "1.0", "1", "2", "3", "4"]
    assert [name for name, layer in found.items() if layer.pooled] == ["1", "2"]
    assert xaicore.explain(model, pictures()).layer == "1.0"


def test_an_in_place_operation_on_a_pooled_output_is_no_longer_the_pooled_one():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.MaxPool2d(2), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(24, 2))
    assert [(layer.name, layer.pooled) for layer in layers(model, pictures())[1:3]] == [("1", True), ("2", False)]
    assert xaicore.explain(model, pictures()).layer == "2"


def test_a_pooling_layer_by_its_base():
    pool = type("Halve", (nn.MaxPool2d,), {})
    model = nn.Sequential(nn.Conv2d(1, 4, 3), pool(2), nn.Flatten(), nn.Linear(24, 2))
    assert xaicore.explain(model, pictures()).layer == "0"


@pytest.mark.parametrize("name", ["GlobalAvgPool", "BlurPool2d", "AttentionPooling", "GeM"])
def test_pooling_layers_that_are_not_torchs(name):
    pool = type(name, (nn.Module,), {"forward": lambda self, x: x[:, :, ::2, ::2] * 1})
    model = nn.Sequential(nn.Conv2d(1, 4, 3), pool(), nn.Flatten(), nn.Linear(32, 2))
    assert xaicore.explain(model, pictures()).layer == "0"


class Attention(nn.Module):
    """A vision transformer in small: patches, tokens, attention weights in a module of their own, a class token."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.patches = nn.Conv2d(1, 8, 3, 3)
        self.norm = nn.LayerNorm(8)
        self.qkv = nn.Linear(8, 24)
        self.dropped = nn.Dropout()
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        t = self.norm(self.patches(x).flatten(2).transpose(1, 2))
        q, k, v = (part.unflatten(-1, (2, 4)).transpose(1, 2) for part in self.qkv(t).chunk(3, -1))
        weights = self.dropped((q @ k.transpose(-1, -2)).softmax(-1))
        return self.head((weights @ v).transpose(1, 2).flatten(2).mean(1))


def test_attention_weights_are_no_map_of_the_picture():
    found = {layer.name: layer for layer in layers(Attention(), pictures())}
    assert found["dropped"].shape == (1, 2, 6, 6)
    assert {name: layer.shape for name, layer in found.items() if layer.spatial} == {
        "patches": (1, 8, 2, 3),
        "norm": (1, 8, 2, 3),  # tokens on the grid of the patches
        "qkv": (1, 24, 2, 3),
    }


def test_an_attention_model_is_explained_at_its_last_tokens_that_are_no_projection():
    model, x = Attention().eval(), pictures()
    explanation = xaicore.explain(model, x, 1)
    assert explanation.layer == "norm"
    kept = []
    handle = model.norm.register_forward_hook(lambda module, args, output: kept.append(output))
    (gradients,) = torch.autograd.grad(model(torch.as_tensor(x))[:, 1].sum(), kept)
    handle.remove()
    expected = (kept[0] * gradients.mean(1, keepdim=True)).sum(2).relu().reshape(2, 2, 3)
    np.testing.assert_allclose(explanation.maps, expected.detach(), atol=1e-6)
    assert xaicore.explain(model, x, layer="patches").maps.shape == (2, 2, 3)


def test_dense_outputs_ask_for_a_layer():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 1))
    with pytest.raises(xaicore.LayerError, match=r"outputs \(2, 2, 4, 7\) are a score per position.*layer="):
        xaicore.explain(model, pictures())
    with pytest.raises(xaicore.TargetError, match=r"needs one score per class.*\(2, 2, 4, 7\)"):
        xaicore.explain(model, pictures(), xaicore.targets.TopK(1), layer="1")


def test_a_model_without_maps():
    model = nn.Sequential(nn.Flatten(), nn.Linear(54, 3))
    with pytest.raises(
        xaicore.LayerError,
        match=r"no layer gives a map .*none has positions.* The last ones: 0 \(1, 54\)",
    ):
        xaicore.explain(model, pictures())


def test_a_layer_that_does_not_exist(unchanged):
    model = ConvGapDense()
    with unchanged(model):
        with pytest.raises(xaicore.LayerError, match="no layer called 'relu' in ConvGapDense; nearest names: relu"):
            xaicore.explain(model, pictures(), layer="relu")
        with pytest.raises(xaicore.LayerError, match="called 'zzz' in ConvGapDense; its last layers: conv1, relu1"):
            xaicore.explain(model, pictures(), layer="zzz")


def test_a_layer_that_never_ran(unchanged):
    model = ConvGapDense()
    model.spare = nn.Conv2d(1, 1, 1)
    with unchanged(model), pytest.raises(xaicore.LayerError, match="'spare' never ran for this input"):
        xaicore.explain(model, pictures(), layer="spare")


def test_a_run_that_a_layer_does_not_have(unchanged):
    model, x = ConvGapDense(), pictures()
    backend, said = xaicore.Explainer(model).backend, "^layer 'conv2' ran once for this input: there is no run 2$"
    with unchanged(model), pytest.raises(xaicore.LayerError, match=said):
        backend.capture(x, ["conv2#2"])
    with unchanged(model), pytest.raises(xaicore.LayerError, match=said):
        backend.resume(x, "conv2#2", np.zeros((len(x), 5, 6, 9), np.float32))


def test_a_layer_that_gives_no_tensor(unchanged):
    class Note(nn.Module):
        def forward(self, x):
            return "seen"

    class Net(ConvGapDense):
        def __init__(self):
            super().__init__()
            self.note = Note()

        def forward(self, x):
            assert self.note(x) == "seen"
            return super().forward(x)

    model = Net()
    with unchanged(model), pytest.raises(xaicore.LayerError, match="layer 'note' gave no tensor"):
        xaicore.explain(model, pictures(), layer="note")


def test_a_layer_without_a_map(unchanged):
    model = ConvGapDense()
    with unchanged(model), pytest.raises(xaicore.LayerError, match=r"'dense' gives \(1, 3\) for .*, which is no map"):
        xaicore.explain(model, pictures(), layer="dense")


def test_a_layer_that_does_not_reach_the_outputs(unchanged):
    class Aside(ConvGapDense):
        def __init__(self):
            super().__init__()
            self.aside = nn.Conv2d(1, 2, 1)

        def forward(self, x):
            self.aside(x)
            return super().forward(x)

    model = Aside()
    with unchanged(model):
        with pytest.raises(xaicore.LayerError, match="'aside' does not reach the outputs"):
            xaicore.explain(model, pictures(), layer="aside")
        with pytest.raises(xaicore.LayerError, match="'aside' does not reach the outputs"):
            xaicore.explain(model, pictures(), layer=["relu2", "aside"])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("tensor", [False, True])
def test_broken_inputs_are_counted(bad, tensor, unchanged):
    model, x = ConvGapDense(), pictures()
    x[0, 0, 0, :2] = bad
    with unchanged(model), pytest.raises(xaicore.InputError, match="the input has 2 NaN or infinite values of 108"):
        xaicore.explain(model, x if tensor else x.numpy())


def test_large_finite_inputs_are_fine():
    x = pictures()
    x[:, 0, 0, 0] = 3e38  # their sum overflows
    assert not np.isnan(
        xaicore.Explainer(nn.Sequential(nn.Conv2d(1, 1, 1), nn.Flatten())).backend.predict(x * 0 + 1)
    ).any()
    from xaicore_torch.inputs import prepare

    assert prepare(ConvGapDense(), x).count == 2


def test_broken_gradients_and_activations_are_named(unchanged):
    model = ConvGapDense(end=lambda y: y + (0 * y).sqrt())  # finite outputs, whose gradient is 0 * inf
    with unchanged(model), pytest.raises(xaicore.BackendError, match="the gradients at layer 'relu2' have 540 NaN"):
        xaicore.explain(model, pictures(), 1)
    model = ConvGapDense(end=lambda y: y.nan_to_num())
    with torch.no_grad():
        model.conv2.bias[0] = float("inf")
    with pytest.raises(xaicore.BackendError, match="the activations of layer 'relu2' have 108 NaN"):
        xaicore.explain(model, pictures(), 0)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((0, 1, 6, 9), np.float32), r"the batch is empty: inputs \(0, 1, 6, 9\) float32"),
        (torch.zeros(()), r"the batch is empty"),
        ({}, r"no tensor or array among the inputs \(dict\)"),
        ("picture.jpg", r"x is the path 'picture\.jpg', and nothing says how this model's pictures are prepared"),
        ([np.zeros((1, 6, 9))] * 2, r"the inputs are a list of 2: stack images to one array"),
        (np.array(["a"]), r"the input is an array of type <U1, which torch does not know"),
    ],
)
def test_inputs_that_are_none(x, message, unchanged):
    model = ConvGapDense()
    with unchanged(model), pytest.raises(xaicore.InputError, match=message):
        xaicore.explain(model, x)


def test_a_wrong_number_of_channels_is_the_models_own_error_with_ours_around_it(unchanged):
    model = ConvGapDense()
    with unchanged(model), pytest.raises(xaicore.BackendError) as caught:
        xaicore.explain(model, pictures(channels=3))
    assert "the model raised RuntimeError for inputs (2, 3, 6, 9) float32" in str(caught.value)
    assert "to have 1 channels" in str(caught.value)
    assert isinstance(caught.value.__cause__, RuntimeError)


@pytest.mark.parametrize(
    ("given", "advised", "mended"),
    [
        (pictures(channels=3).permute(0, 2, 3, 1), "Its channels come last: pass x.permute(0, 3, 1, 2)", True),
        ((255 * pictures(channels=3)).byte(), "The model's weights are float32: pass x.to(torch.float32), with", True),
        (pictures(channels=3).double(), "The model's weights are float32: pass x.to(torch.float32), with", True),
        (pictures(channels=2), "The model's first convolution takes 3 channels, and this input has 2", False),
    ],
    ids=["channels last", "bytes", "doubles", "two channels"],
)
def test_a_picture_that_the_first_convolution_cannot_take(given, advised, mended):
    model = ConvGapDense(channels=3)
    with pytest.raises(xaicore.BackendError, match=re.escape(advised)):
        xaicore.explain(model, given)
    if mended:
        typed = re.search(r"pass (x\.\w+\([^)]*\))", advised)[1]
        expected = given.permute(0, 3, 1, 2) if "permute" in typed else given.float()
        maps = xaicore.explain(model, eval(typed, {"x": given, "torch": torch})).maps
        np.testing.assert_array_equal(maps, xaicore.explain(model, expected).maps)


def test_a_target_out_of_range_leaves_the_model_alone(unchanged):
    model = ConvGapDense()
    with unchanged(model), pytest.raises(xaicore.TargetError, match=r"target 3 is out of range.*classes 0 to 2"):
        xaicore.explain(model, pictures(), 3)


def test_a_map_without_positive_evidence_is_zeros_and_says_so():
    model = ConvGapDense()
    with torch.no_grad():
        model.dense.weight[1] = -model.dense.weight[1].abs()
    explanation = xaicore.explain(model, pictures(), 1)
    assert explanation.empty.all()
    assert not explanation.heatmaps().any()
    assert not explanation.boxes().any()
    np.testing.assert_array_equal(explanation.overlays(), explanation.images)


def test_a_direction_of_the_wrong_shape_is_refused(unchanged):
    model = ConvGapDense()
    backend = xaicore.Explainer(model).backend
    with unchanged(model), pytest.raises(xaicore.BackendError, match=r"direction gave shape \(2, 3\) for outputs"):
        backend.capture(pictures(), ["relu2"], lambda outputs, kind: outputs)


def test_a_model_that_is_not_torchs():
    with pytest.raises(
        xaicore.PluginError, match=r"no backend accepts .*Net \(bases from: .*\); tried .*torch: declined"
    ):
        xaicore.explain(type("Net", (), {})(), pictures())
