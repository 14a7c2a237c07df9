"""cam_model: the body's features to the last bit, a dense layer on their mean, and the original left alone."""

import copy
import pickle
import threading

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch_nets import ConvGapDense, features, pictures

import xaicore
from xaicore_torch import cam_model


class Classifier(nn.Module):
    """VGG in small: in-place ReLU, pooling, a head of two dense layers that hangs on one input size."""

    def __init__(self, classes=5):
        super().__init__()
        torch.manual_seed(0)
        self.features = nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.MaxPool2d(2),
            nn.Conv2d(4, 6, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2),
        )  # fmt: skip
        self.pool = nn.AdaptiveAvgPool2d(2)
        self.classifier = nn.Sequential(nn.Linear(24, 8), nn.ReLU(inplace=True), nn.Dropout(), nn.Linear(8, classes))

    def forward(self, x):
        return self.classifier(self.pool(self.features(x)).flatten(1))


class Volumes(nn.Module):
    """Functional ops, one ReLU for all, and a skip across it."""

    def __init__(self, conv=nn.Conv3d, axes=3):
        super().__init__()
        torch.manual_seed(0)
        self.one, self.two, self.relu = conv(1, 4, 3, padding=1), conv(4, 4, 3, padding=1), nn.ReLU(inplace=True)
        self.dense = nn.Linear(4, 2)
        self.axes = tuple(range(2, 2 + axes))

    def forward(self, x):
        a = self.relu(self.one(x))
        a = self.relu(a + self.two(a))
        return torch.softmax(self.dense(a.amax(self.axes)), 1)


class Last(nn.Module):
    """Channels last, as in Swin: (N, H, W, C) from a LayerNorm."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.norm, self.dense = nn.Conv2d(3, 4, 3), nn.LayerNorm(4), nn.Linear(4, 3)

    def forward(self, x):
        return self.dense(self.norm(self.conv(x).movedim(1, -1)).mean((1, 2)))


class Wide(nn.Module):
    """Two arguments, two outputs, and a first layer that is called twice."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.head = nn.Conv2d(3, 4, 3, padding=1), nn.Linear(4, 2)

    def forward(self, left, right):
        a = self.conv(left)
        a = a * self.conv(right)
        return self.head(a.mean((2, 3))), a


def images(n=4, size=16, seed=1):
    return torch.from_numpy(np.random.default_rng(seed).random((n, 3, size, size), np.float32))


def two_kinds():
    """Pictures of two classes that are easily told apart."""
    x = images(8)
    x[1::2, 0] *= 3
    return x, torch.arange(8) % 2


def output_of(model, layer, *args):
    """What the layer of the original gives at its last run, in evaluation mode, straight from a hook."""
    seen = []
    flags = {module: module.training for module in model.modules()}
    hook = model.get_submodule(layer).register_forward_hook(lambda m, i, o: seen.append(o.clone()))
    try:
        with torch.no_grad():
            model.eval()(*args)
    finally:
        hook.remove()
        for module, flag in flags.items():
            module.training = flag
    return seen[-1]


def train(cam, x, y, loss=F.cross_entropy, steps=8, rate=0.1):
    """Losses of a plain loop."""
    cam.train()
    parameters = [parameter for parameter in cam.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(parameters, rate)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        value = loss(cam(x), y)
        value.backward()
        optimizer.step()
        losses.append(value.item())
    return losses


def values(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize(
    ("model", "layer", "pooled", "x"),
    [
        (Classifier(), None, "features.5", (images(),)),
        (Classifier(), "features.4", "features.4", (images(),)),
        (Classifier(), "features", "features", (images(),)),
        (ConvGapDense(), None, "relu2", (pictures(),)),
        (nn.Sequential(nn.Sequential(Classifier().features), nn.Flatten()), None, "0.0.5", (images(),)),
        (Volumes(), None, "relu", (torch.rand(2, 1, 5, 4, 6),)),
        (Volumes(nn.Conv1d, 1), None, "relu", (torch.rand(2, 1, 9),)),
        (Last(), None, "norm", (images(),)),
        (Wide(), None, "conv", (images(), images(seed=2))),
    ],
    ids=["default", "named", "block", "subclassed", "nested", "3-D", "1-D", "channels last", "two inputs"],
)
def test_a_dense_layer_on_the_mean_of_the_originals_features(unchanged, model, layer, pooled, x):
    model.eval()
    with unchanged(model), torch.random.fork_rng():
        cam = cam_model(model, 3, layer=layer, inputs=x if len(x) > 1 else x[0])
    assert cam.layer == pooled
    maps = output_of(model, pooled, *x)
    axes = (1, 2) if isinstance(model, Last) else tuple(range(2, maps.ndim))
    by_hand = maps.double().mean(axes) @ cam.dense.weight.double().T + cam.dense.bias.double()
    y = cam(*x)
    assert y.shape == (len(x[0]), 3)
    torch.testing.assert_close(y.double(), by_hand, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(output_of(cam, f"body.{pooled}", *x), maps, rtol=0, atol=0)


def test_the_old_head_is_gone_and_never_runs():
    model = Classifier().eval()
    cam = cam_model(model, 2)
    kept = [f"body.{name}" for name in model.state_dict() if name.startswith("features")]
    assert list(cam.state_dict()) == [*kept, "dense.weight", "dense.bias"]
    ran = []
    for name, module in cam.named_modules():
        module.register_forward_pre_hook(lambda m, args, name=name: ran.append(name))
    cam(images())
    assert ran == ["", "body", "body.features", *(f"body.features.{i}" for i in range(6)), "dense"]
    assert cam(images(size=40)).shape == (4, 2)  # the old head took 16 x 16 alone
    assert [len(module._forward_hooks) for module in cam.modules()] == [0] * len(list(cam.modules()))


def test_a_large_head_is_not_even_copied():
    class Heavy(nn.Linear):
        def __deepcopy__(self, memo):
            raise AssertionError("copied")

    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), Heavy(784, 2))
    model.again = [model[2]]
    assert cam_model(model, 2, inputs=images()).layer == "0"


def test_the_original_is_not_touched_by_training_the_result(unchanged):
    model = Classifier()
    with unchanged(model), torch.random.fork_rng():
        cam = cam_model(model, 2)
        losses = train(cam, *two_kinds())
    assert losses[-1] < losses[0] / 2
    assert not {id(p) for p in model.parameters()} & {id(p) for p in cam.parameters()}
    body, original = values(cam.body), values(model)
    changed = {name for name in body if not torch.equal(body[name], original[name])}
    assert changed == set(body)  # every weight and statistic of the body has learnt


def test_frozen_only_the_dense_layer_learns(unchanged):
    model = Classifier().train()
    with unchanged(model), torch.random.fork_rng():
        cam = cam_model(model, 2, freeze=True)
        assert {name for name, module in cam.named_modules() if module.training} == {"", "dense"}
        body, dense = values(cam.body), values(cam.dense)
        losses = train(cam, *two_kinds(), steps=30)
    assert losses[-1] < losses[0]
    assert equal(values(cam.body), body)
    assert equal({name: values(model)[name] for name in body}, body)
    assert not equal(values(cam.dense), dense)
    assert {name for name, module in cam.named_modules() if module.training} == {"", "dense"}
    assert [name for name, p in cam.named_parameters() if p.requires_grad] == ["dense.weight", "dense.bias"]


@pytest.mark.parametrize("training", [True, False])
def test_flags_are_kept_where_nothing_is_frozen(training):
    model = Classifier().train(training)
    model.features[0].weight.requires_grad_(False)
    model.features[1].train(not training)
    cam = cam_model(model, 2)
    assert [name for name, m in cam.named_modules() if m.training != training] == ["body.features.1"]
    assert [name for name, p in cam.body.named_parameters() if not p.requires_grad] == ["features.0.weight"]
    assert all(m.training for m in cam.train().modules())


@pytest.mark.parametrize(
    ("activation", "function"),
    [(None, lambda z: z), ("softmax", lambda z: z.softmax(1)), ("sigmoid", torch.sigmoid)],
)
def test_activations(activation, function):
    model = Classifier().eval()
    cam = cam_model(model, 3, activation)
    z = cam.dense(output_of(model, "features.5", images()).mean((2, 3)))
    torch.testing.assert_close(cam(images()), function(z))


def test_one_sigmoid_output_trains():
    cam = cam_model(Classifier(), 1, "sigmoid")
    x, y = two_kinds()
    losses = train(cam, x, y[:, None].float(), F.binary_cross_entropy)
    assert cam(images()).shape == (4, 1)
    assert losses[-1] < losses[0] / 2


@pytest.mark.parametrize("activation", [None, "softmax", "sigmoid"])
def test_cam_explains_it(unchanged, activation):
    model = ConvGapDense()
    cam, x = cam_model(model, 4, activation, inputs=pictures()), pictures()
    with unchanged(cam):
        explanation = xaicore.explain(cam, x, [[0, 3], [2, 1]], method="cam")
    a, w = features(model, x).double().numpy(), cam.dense.weight.detach().double().numpy()
    expected = np.maximum(np.einsum("nkc,nchw->nkhw", w[[[0, 3], [2, 1]]], a), 0).reshape(4, 6, 9)
    assert explanation.layer == "body.relu2"
    np.testing.assert_allclose(explanation.maps, expected, rtol=1e-5, atol=1e-6)
    gradcam = xaicore.explain(cam, x, [[0, 3], [2, 1]])
    assert gradcam.layer == "body.relu2"
    assert gradcam.maps.max() > 0
    np.testing.assert_allclose(explanation.maps, 6 * 9 * gradcam.maps, rtol=1e-4, atol=1e-6)


def test_cam_explains_both_classes_of_one_output():
    model = ConvGapDense()
    cam, x = cam_model(model, 1, "sigmoid", inputs=pictures()), pictures()
    maps = xaicore.explain(cam, x, [[0, 1], [0, 1]], method="cam").maps.reshape(2, 2, 6, 9)
    m = np.einsum("c,nchw->nhw", cam.dense.weight[0].detach().numpy(), features(model, x).numpy())
    np.testing.assert_allclose(maps[:, 1], np.maximum(m, 0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(maps[:, 0], np.maximum(-m, 0), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("model", "x"),
    [(Last(), images()), (Volumes(), torch.rand(2, 1, 5, 4, 6)), (Volumes(nn.Conv1d, 1), torch.rand(2, 1, 9))],
    ids=["channels last", "3-D", "1-D"],
)
def test_cam_explains_every_layout(model, x):
    cam = cam_model(model, 3, inputs=x)
    explainer = xaicore.Explainer(cam, "cam")
    maps = explainer(x, 1).maps
    a = output_of(model, cam.layer, x)
    a = a.movedim(-1, 1) if isinstance(model, Last) else a
    by_hand = torch.tensordot(cam.dense.weight[1].detach(), a, ([0], [1])).clamp(min=0)
    np.testing.assert_allclose(maps, by_hand, rtol=1e-4, atol=1e-5)
    assert [layer.name for layer in explainer.backend.layers(x)][-2:] == [f"body.{cam.layer}", "dense"]


def test_only_what_ran_is_listed():
    listed = xaicore.Explainer(cam_model(Classifier(), 2)).backend.layers(images())
    assert [layer.name for layer in listed] == [*(f"body.features.{i}" for i in range(6)), "dense"]


def test_copies_pickles_and_state_dicts_give_the_same():
    cam = cam_model(Classifier(), 2, "softmax", freeze=True)
    again = cam_model(Classifier().train(), 2, "softmax")
    again.load_state_dict(cam.state_dict())
    for other in (copy.deepcopy(cam), pickle.loads(pickle.dumps(cam)), again.eval()):
        assert torch.equal(other.eval()(images()), cam.eval()(images()))
    assert "layer='features.5', activation='softmax', frozen=True" in repr(cam)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_the_new_layer_has_the_bodys_type(dtype):
    cam = cam_model(Classifier().to(dtype), 2)
    assert cam.dense.weight.dtype == dtype
    assert cam(images().to(dtype)).dtype == dtype
    assert xaicore.explain(cam, images().numpy(), method="cam").layer == "body.features.5"


def test_under_autocast():
    with torch.autocast("cpu", torch.bfloat16):
        cam = cam_model(Classifier(), 2)
        y = cam(images())
    assert cam.dense.weight.dtype == torch.float32
    assert y.dtype == torch.bfloat16
    y.float().logsumexp(1).sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in cam.parameters())


def test_made_under_inference_mode_it_trains_outside():
    with torch.inference_mode():
        model = Classifier()
        cam = cam_model(model, 2)
    assert cam.dense.weight.requires_grad
    losses = train(cam, *two_kinds())
    assert losses[-1] < losses[0] / 2


def test_example_inputs_as_the_model_takes_them():
    assert cam_model(Wide(), 2, inputs={"left": images(), "right": images()}).layer == "conv"
    assert cam_model(Classifier(), 2, inputs=images()[0].numpy()).layer == "features.5"
    assert cam_model(nn.DataParallel(Classifier()), 2, layer="module.features.1").layer == "features.1"


def test_without_an_example_a_picture_of_zeros_is_tried():
    assert cam_model(Last(), 2).dense.in_features == 4
    fixed = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(784, 2))
    with pytest.raises(
        xaicore.InputError,
        match=r"zeros were tried, but the model raised RuntimeError for inputs \(1, 3, 224, 224\) float32: .* inputs=x",
    ):
        cam_model(fixed, 2)
    with pytest.raises(xaicore.InputError, match=r"Volumes has a Conv3d first.*cannot be guessed: pass inputs=x"):
        cam_model(Volumes(), 2)
    with pytest.raises(xaicore.InputError, match="Sequential has no convolution, so"):
        cam_model(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), 2)


def test_what_runs_in_training_alone_is_kept():
    class Auxiliary(Classifier):
        def __init__(self):
            super().__init__()
            self.aux = nn.Linear(24, 5)

        def forward(self, x):
            if self.training:
                self.aux(self.pool(self.features[:5](x)).flatten(1))
            return super().forward(x)

    cam = cam_model(Auxiliary(), 2)
    assert isinstance(cam.body.aux, nn.Linear)
    assert cam.train()(images()).shape == (4, 2)


class Branching(nn.Module):
    """Takes another way for dark pictures."""

    def __init__(self):
        super().__init__()
        self.conv, self.late, self.dense = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), nn.Linear(4, 2)

    def forward(self, x):
        if x.mean() < 0:
            return self.dense(x.new_zeros(len(x), 4))
        if x.mean() > 1:
            x = F.pad(self.late(x.new_zeros(len(x), 4, 9, 9)), (5, 5, 5, 5))[:, :3]
        return self.dense(self.late(self.conv(x)).mean((2, 3)))


def test_another_way_through_the_model_is_named():
    cam = cam_model(Branching(), 2, layer="conv", inputs=images())
    with pytest.raises(xaicore.BackendError, match="'late' was dropped by cam_model, since it ran only after 'conv'"):
        cam(images() + 2)
    cam.body.dense = nn.Identity()
    with pytest.raises(xaicore.LayerError, match="layer 'conv' did not run for these inputs"):
        cam(images() - 2)


def test_a_model_that_catches_errors_does_not_catch_the_end():
    class Careful(ConvGapDense):
        def forward(self, x):
            try:
                a = self.relu2(self.conv2(self.relu1(self.conv1(x))))
            except Exception:
                a = torch.zeros(len(x), 5, 2, 2)
            return self.dense(a.mean((2, 3)))

    cam = cam_model(Careful(), 2, inputs=pictures())
    assert cam(pictures()).shape == (2, 2)


def test_a_body_that_changes_the_type_by_itself():
    class Mixed(ConvGapDense):
        def forward(self, x):
            with torch.autocast("cpu", torch.bfloat16):
                return super().forward(x)

    cam = cam_model(Mixed(), 2, inputs=pictures())
    assert output_of(cam, f"body.{cam.layer}", pictures()).dtype == torch.bfloat16
    assert cam(pictures()).dtype == torch.float32


def test_a_model_that_writes_into_its_inputs():
    x = pictures()
    before = x.clone()
    cam_model(nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(1, 2, 3), nn.Flatten()), 2, inputs=x)
    assert torch.equal(x, before)


def test_what_serves_on_both_sides_stays():
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.conv, self.relu = nn.Conv2d(3, 3, 3, padding=1), nn.ReLU()
            self.head = nn.Sequential(nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(768, 2))

        def forward(self, x):
            a = self.relu(self.head[0](self.conv(x)))
            return self.head(self.conv(a))

    model = Both().eval()
    cam = cam_model(model, 4, layer="relu", inputs=images())
    assert [name for name in cam.body.state_dict() if name.startswith("head")] == [
        f"head.0.{name}" for name in model.head[0].state_dict()
    ]
    torch.testing.assert_close(cam(images()), cam.dense(output_of(model, "relu", images()).mean((2, 3))))


def test_a_module_with_parts_on_both_sides_is_dropped_in_parts():
    class Ends(nn.Module):
        def __init__(self):
            super().__init__()
            self.parts = nn.ModuleDict({"conv": nn.Conv2d(3, 4, 3), "dense": nn.Linear(4, 2)})
            self.last = self.parts["dense"]

        def forward(self, x):
            return self.last(self.parts["conv"](x).mean((2, 3)))

    cam = cam_model(Ends(), 5, inputs=images())
    assert list(cam.state_dict()) == ["body.parts.conv.weight", "body.parts.conv.bias", "dense.weight", "dense.bias"]


def test_a_result_can_be_cut_again():
    model = Classifier().eval()
    inner = cam_model(model, 3)
    cam = cam_model(inner, 2, inputs=images())
    assert cam.layer == "body.features.5"
    assert not any(name.startswith("body.dense") for name in cam.state_dict())
    mean = output_of(model, "features.5", images()).mean((2, 3))
    torch.testing.assert_close(cam(images()), cam.dense(mean))
    earlier = cam_model(inner, 2, layer="body.features.0", inputs=images())
    mean = output_of(model, "features.0", images()).mean((2, 3))
    torch.testing.assert_close(earlier(images()), earlier.dense(mean))


def test_threads_do_not_stop_each_other():
    cam = cam_model(Classifier().eval(), 2)
    expected, found = [cam(images(seed=seed)) for seed in range(2)], []
    under_way, may_go_on, main = threading.Event(), threading.Event(), threading.get_ident()

    def wait(*args):
        if threading.get_ident() != main:
            under_way.set()
            may_go_on.wait(20)

    cam.body.features[0].register_forward_hook(wait)
    thread = threading.Thread(target=lambda: found.append(cam(images(seed=0))))
    thread.start()
    under_way.wait(20)
    between = cam(images(seed=1))
    may_go_on.set()
    thread.join()
    assert torch.equal(between, expected[1])
    assert torch.equal(found[0], expected[0])


def test_another_threads_use_of_the_model_is_not_taken_for_ours():
    model = Classifier().eval()

    def use_the_head(*args):
        thread = threading.Thread(target=lambda: model.classifier(torch.zeros(1, 24)))
        thread.start()
        thread.join()

    hook = model.features[0].register_forward_hook(use_the_head)
    cam = cam_model(model, 2)
    hook.remove()
    assert not any(name.startswith("body.classifier") for name in cam.state_dict())


@pytest.mark.parametrize(
    ("classes", "activation", "message"),
    [
        (0, None, "classes=0: expected a whole number, 1 or more"),
        (2.0, None, "classes=2.0: expected a whole number"),
        (True, None, "classes=True: expected"),
        (2, "relu", r"activation='relu' is not known; expected None \(logits\), 'softmax' or 'sigmoid'"),
        (1, "softmax", "softmax over one class is always 1: use activation='sigmoid'"),
    ],
)
def test_heads_that_make_no_sense(classes, activation, message):
    with pytest.raises(xaicore.InputError, match=message):
        cam_model(Classifier(), classes, activation)


def test_numpys_whole_numbers_are_whole_numbers():
    assert cam_model(Classifier(), np.int64(2)).dense.out_features == 2


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("feature.5", "no layer called 'feature.5' in Classifier; nearest names: features.5"),
        ("classifier.0", r"'classifier.0' gives \(1, 8\), which is no map of an input of size \(224, 224\)"),
        ("spare", "layer 'spare' never ran for this input"),
        ("", "no layer called ''"),
        (4, "layer=4: expected a layer's name, as in model.named_modules"),
    ],
)
def test_layers_that_do_not_fit(unchanged, layer, message):
    model = Classifier()
    model.spare = nn.Conv2d(3, 3, 1)
    with unchanged(model), pytest.raises(xaicore.LayerError, match=message):
        cam_model(model, 2, layer=layer)


def test_layers_without_one_map_an_image():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.note, self.fold = nn.Conv2d(3, 4, 3), nn.Identity(), nn.Identity()
            self.tokens, self.pool = nn.Flatten(2), nn.AdaptiveAvgPool2d(1)

        def forward(self, x):
            a = self.conv(x)
            self.note("seen")
            self.tokens(a)
            self.pool(a)
            return self.fold(a.flatten(0, 1)[:, None]).mean((1, 2, 3)).reshape(len(x), 4)

    with pytest.raises(xaicore.LayerError, match="layer 'note' gave no tensor"):
        cam_model(Odd(), 2, layer="note", inputs=images())
    with pytest.raises(
        xaicore.LayerError,
        match=r"'fold' gives \(16, 1, 14, 14\), which is no map of 4 images .*expected \(4, channels",
    ):
        cam_model(Odd(), 2, layer="fold", inputs=images())
    with pytest.raises(xaicore.LayerError, match=r"'tokens' gives \(4, 4, 196\).*2 spatial axes"):
        cam_model(Odd(), 2, layer="tokens", inputs=images())
    with pytest.raises(xaicore.LayerError, match=r"'pool' gives \(4, 4, 1, 1\).*more than one position"):
        cam_model(Odd(), 2, layer="pool", inputs=images())


@pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")  # of TorchScript
def test_models_that_cannot_be_cut():
    with pytest.raises(xaicore.BackendError, match=r"needs a torch.nn.Module, not a list"):
        cam_model([], 2)
    with pytest.raises(xaicore.BackendError, match="TorchScript"):
        cam_model(torch.jit.trace(Classifier().eval(), images()), 2)
    lazy = nn.Sequential(nn.LazyConv2d(4, 3), nn.Flatten(), nn.LazyLinear(2))
    with pytest.raises(xaicore.BackendError, match=r"lazy layers.*run the model once before cam_model"):
        cam_model(lazy, 2, inputs=images())
    with pytest.raises(xaicore.BackendError, match=r"the model raised RuntimeError for inputs \(2, 1, 6, 9\) float32"):
        cam_model(Classifier(), 2, inputs=pictures())
    with pytest.raises(xaicore.LayerError, match="no layer gives a map of the picture"):
        cam_model(nn.Sequential(nn.Flatten(), nn.Linear(768, 2)), 2, inputs=images())
    keras_like = type("Net", (Classifier,), {"__module__": "keras.src.models.model"})
    with pytest.raises(xaicore.BackendError, match=r"Net is a Keras model: use xaicore_keras\.cam_model"):
        cam_model(keras_like(), 2)


def test_a_model_that_cannot_be_copied():
    model = Classifier()
    model.features[0].lock = threading.Lock()
    with pytest.raises(xaicore.BackendError, match="Classifier cannot be copied: TypeError: cannot pickle"):
        cam_model(model, 2)


def test_tokens_have_no_such_head():
    from test_torch_meaning import PICTURES, ViT

    model = ViT()
    with pytest.raises(xaicore.MethodError, match=r"or, for a net of convolutions, xaicore_torch.cam_model"):
        xaicore.explain(model, PICTURES, method="cam")
    with pytest.raises(xaicore.LayerError, match=r"tokens lead to the output, .* method='gradcam'"):
        cam_model(model, 3, inputs=PICTURES[:1])
    assert xaicore.explain(model, PICTURES, method="gradcam").maps.shape == (2, 4, 6)
    assert cam_model(model, 3, layer="embed", inputs=PICTURES[:1]).layer == "embed"
