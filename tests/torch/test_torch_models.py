"""The shapes that real models come in: inputs, outputs, precisions, modes and wrappers."""

import gc
import warnings
import weakref
from collections import namedtuple

import numpy as np
import pytest
import torch
from torch import nn
from torch_nets import ConvGapDense, gradcam, pictures, truth

import xaicore
from xaicore.layers import read
from xaicore_torch.calls import Call

CLOSE = {"rtol": 1e-5, "atol": 1e-6}


def expected(x, c=1):
    return gradcam(ConvGapDense(), x, [[c]] * len(x))[:, 0]


class TwoInputs(nn.Module):
    """(signal, picture, weight): the picture is the second argument."""

    def __init__(self):
        super().__init__()
        self.net = ConvGapDense()

    def forward(self, shift, image, *, scale=1.0):
        return self.net(image) * scale + shift


def test_a_tuple_is_positional_arguments():
    x = pictures()
    explanation = xaicore.explain(TwoInputs(), (torch.zeros(2, 3), x), 1)
    np.testing.assert_allclose(explanation.maps, expected(x), **CLOSE)
    assert explanation.input_size == (6, 9)
    assert explanation.images.shape == (2, 6, 9, 3)


def test_a_mapping_is_keyword_arguments():
    x = pictures()
    explanation = xaicore.explain(TwoInputs(), {"image": x.numpy(), "shift": np.zeros((2, 3)), "scale": 2.0}, 1)
    np.testing.assert_allclose(explanation.maps, 2 * expected(x), **CLOSE)


class ModelOutput(dict):
    """As transformers answer: a mapping whose keys are attributes."""

    __getattr__ = dict.__getitem__


class WithLogits:
    def __init__(self, y):
        self.logits, self.other = y, y.exp()


Pair = namedtuple("Pair", "scores extra")


@pytest.mark.parametrize(
    "end",
    [
        lambda y: (y,),
        lambda y: [y],
        lambda y: {"anything": y},
        lambda y: ModelOutput(hidden=y.exp(), logits=y),
        lambda y: WithLogits(y),
        lambda y: (y, None),
    ],
)
def test_answers_that_hold_one_output(end):
    x = pictures()
    np.testing.assert_allclose(xaicore.explain(ConvGapDense(end=end), x, 1).maps, expected(x), **CLOSE)


@pytest.mark.parametrize(
    ("end", "output"),
    [
        (lambda y: (y.exp(), y), 1),
        (lambda y: (y.exp(), y), -1),
        (lambda y: {"a": y.exp(), "b": y}, "b"),
        (lambda y: {"a": y.exp(), "b": y}, 1),
        (lambda y: Pair(y, y.exp()), "scores"),
        (lambda y: Pair(y, y.exp()), 0),
        (lambda y: ModelOutput(logits=y.exp(), aux=y), "aux"),
        (lambda y: ((y, y.exp()), y.exp()), "0.0"),
    ],
)
def test_one_of_several_outputs(end, output):
    x = pictures()
    explanation = xaicore.explain(ConvGapDense(end=end), x, 1, output=output)
    np.testing.assert_allclose(explanation.maps, expected(x), **CLOSE)


def test_several_outputs_want_to_be_chosen_from():
    two = ConvGapDense(end=lambda y: (y, y.exp()))
    with pytest.raises(xaicore.BackendError, match=r"2 outputs, 0 \(1, 3\), 1 \(1, 3\): say which one, output=0"):
        xaicore.explain(two, pictures())
    with pytest.raises(xaicore.BackendError, match=r"output='x' is none of the model's outputs: 0 \(1, 3\)"):
        xaicore.explain(two, pictures(), output="x")
    with pytest.raises(xaicore.BackendError, match="output=2 is none of"):
        xaicore.explain(two, pictures(), output=2)


def test_no_output_at_all():
    with pytest.raises(xaicore.BackendError, match="returned no tensor but a str"):
        xaicore.explain(ConvGapDense(end=lambda y: "cat"), pictures())


def test_a_squeeze_that_takes_the_batch_axis_with_it():
    model = ConvGapDense(classes=1, end=torch.squeeze)
    with pytest.raises(xaicore.BackendError, match=r"returned \(\) for 1 images.*squeeze\(\) without an axis"):
        xaicore.explain(model, pictures(1))
    assert xaicore.explain(model, pictures(3)).outputs.shape == (3,)  # no batch of one is needed for this


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_other_precisions(dtype, unchanged):
    model, x = ConvGapDense().to(dtype), pictures()
    with unchanged(model):
        explanation = xaicore.explain(model, x.numpy(), 1)
    tolerance = {torch.bfloat16: 2e-2, torch.float16: 2e-3, torch.float64: 1e-6}[dtype]
    np.testing.assert_allclose(explanation.maps, expected(x), atol=tolerance * expected(x).max())
    assert explanation.maps.dtype == np.float32
    assert explanation.outputs.dtype == np.float32


def test_float16_keeps_gradients_that_it_could_not_hold():
    model = ConvGapDense().half()
    with torch.no_grad():
        model.dense.weight.mul_(1e-4)  # over 54 positions: below what float16 can tell from 0 (6e-8), mostly
    x = pictures()
    reference = gradcam(ConvGapDense(), x, [[1], [1]])[:, 0] * 1e-4
    maps = xaicore.explain(model, x.half(), 1).maps
    np.testing.assert_allclose(maps, reference, atol=5e-3 * reference.max())


def test_autocast(unchanged):
    model, x = ConvGapDense(), pictures()
    with torch.autocast("cpu", torch.bfloat16):
        with unchanged(model):
            explanation = xaicore.explain(model, x, 1)
        model(x).sum().backward()  # weights cast for us without grad must not be served to this pass
    np.testing.assert_allclose(explanation.maps, expected(x), atol=2e-2 * expected(x).max())
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_a_frozen_model(unchanged):
    model, x = ConvGapDense().requires_grad_(False), pictures()
    with unchanged(model):
        np.testing.assert_allclose(xaicore.explain(model, x, 1).maps, expected(x), **CLOSE)
    softmax = ConvGapDense(end=nn.Softmax(1)).requires_grad_(False)
    np.testing.assert_allclose(xaicore.explain(softmax, x, 1).maps, expected(x), **CLOSE)
    logits = xaicore.Explainer(softmax).backend.predict(x)  # the link is seen without any weight to record for
    np.testing.assert_allclose(logits, ConvGapDense()(x).log_softmax(1).detach().numpy(), **CLOSE)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_inside_any_grad_mode(mode, unchanged):
    model = ConvGapDense()
    with mode():
        x = pictures() + 0
        with unchanged(model):
            explainer = xaicore.Explainer(model)
            for _ in range(3):
                np.testing.assert_allclose(explainer(x, 1).maps, expected(pictures()), **CLOSE)


def test_weights_made_in_inference_mode_cannot_be_explained():
    with torch.inference_mode():
        model = ConvGapDense()
    with pytest.raises(xaicore.BackendError, match=r"created under torch.inference_mode\(\)"):
        xaicore.explain(model, pictures(), layer="relu1")


class FrozenBackbone(nn.Module):
    """Switches grad off itself, around the part that holds the layer."""

    def __init__(self):
        super().__init__()
        self.net = ConvGapDense()

    def forward(self, x):
        with torch.no_grad():
            a = self.net.relu2(self.net.conv2(self.net.relu1(self.net.conv1(x))))
        return self.net.dense(a.mean((2, 3)))


def test_a_backbone_under_its_own_no_grad(unchanged):
    model, x = FrozenBackbone(), pictures()
    with unchanged(model):
        explanation = xaicore.explain(model, x, 1)
    assert explanation.layer == "net.relu2"
    np.testing.assert_allclose(explanation.maps, expected(x), **CLOSE)


def test_a_head_under_its_own_no_grad_does_not_reach_the_outputs():
    class NoGradHead(ConvGapDense):
        def forward(self, x):
            a = self.relu2(self.conv2(self.relu1(self.conv1(x))))
            with torch.no_grad():
                return self.dense(a.mean((2, 3)))

    with pytest.raises(
        xaicore.LayerError, match=r"'relu2' does not reach the outputs.*the model switches gradients off itself"
    ):
        xaicore.explain(NoGradHead(), pictures())


@pytest.mark.parametrize("wrap", [nn.DataParallel, lambda m: torch.compile(m, backend="eager")])
def test_wrappers_are_looked_through(wrap, unchanged):
    model, x = ConvGapDense(), pictures()
    wrapped = wrap(model)
    wrapped(x)  # compiled before the hooks come
    with unchanged(model):
        explanation = xaicore.explain(wrapped, x, 1)
    assert explanation.layer == "relu2"
    np.testing.assert_allclose(explanation.maps, expected(x), **CLOSE)
    prefix = "module." if isinstance(wrapped, nn.DataParallel) else "_orig_mod."
    assert xaicore.Explainer(wrapped, layer=prefix + "relu2")(x, 1).maps.max() == explanation.maps.max()


def test_distributed_data_parallel_on_one_rank(tmp_path):
    from torch import distributed

    distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/rank", rank=0, world_size=1)
    try:
        model, x = ConvGapDense(), pictures()
        wrapped = nn.parallel.DistributedDataParallel(model)
        np.testing.assert_allclose(xaicore.explain(wrapped, x, 1).maps, expected(x), **CLOSE)
    finally:
        distributed.destroy_process_group()


def test_parts_that_were_compiled_in_place():
    model, x = ConvGapDense(), pictures()
    model.compile(backend="eager")
    model.conv2 = torch.compile(model.conv2, backend="eager")
    model(x)
    np.testing.assert_allclose(xaicore.explain(model, x, 1).maps, expected(x), **CLOSE)
    assert xaicore.explain(model, x, 1, layer="conv2").maps.shape == (2, 6, 9)
    model(x)  # and compiled code still runs


def test_an_operation_that_cannot_be_batched_is_pulled_back_row_by_row():
    single = []

    class Double(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return 2 * x

        @staticmethod
        def backward(ctx, gradient):
            single.append(gradient.sum().item())  # a value out of a batch of gradients: refused
            return 2 * gradient

    model, x = ConvGapDense(end=Double.apply), pictures()
    explainer = xaicore.Explainer(model)
    explainer(x)  # the first call looks at the layers, and pulls back once for that
    single.clear()
    explanation = explainer(x, [[0, 1, 2]] * 2)
    rows = 2 * gradcam(ConvGapDense(), x, [[0, 1, 2]] * 2).reshape(6, 6, 9)
    np.testing.assert_allclose(explanation.maps, rows, **CLOSE)
    assert len(single) == 3


def test_a_model_that_takes_no_other_batch_size():
    class Fixed(ConvGapDense):
        def forward(self, x):
            return super().forward(x.reshape(2, 1, 6, 9))

    x = pictures()
    np.testing.assert_allclose(xaicore.explain(Fixed(), x, 1).maps, expected(x), **CLOSE)


def test_a_layer_with_several_outputs_means_its_first_tensor():
    class Split(nn.Module):
        def forward(self, a):
            return {"none": None, "pair": Pair(a * 1, [a + 1])}

    class Net(ConvGapDense):
        def __init__(self):
            super().__init__()
            self.split = Split()

        def forward(self, x):
            parts = self.split(self.relu2(self.conv2(self.relu1(self.conv1(x)))))
            return self.dense(parts["pair"].scores.mean((2, 3)))

    x = pictures()
    explanation = xaicore.explain(Net(), x, 1)
    assert explanation.layer == "split"
    np.testing.assert_allclose(explanation.maps, expected(x), **CLOSE)


def test_a_channels_last_memory_format_is_the_same_model():
    model, x = ConvGapDense(channels=3), pictures(channels=3)
    plain = xaicore.explain(model, x, 1).maps
    again = xaicore.explain(model.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last), 1)
    np.testing.assert_allclose(again.maps, plain, **CLOSE)


def test_blocks_with_their_channels_at_the_end():
    class Block(nn.Module):
        """As in Swin: (N, h, w, C) inside."""

        def __init__(self):
            super().__init__()
            self.norm = nn.LayerNorm(5)
            self.mlp = nn.Sequential(nn.Linear(5, 8), nn.GELU(), nn.Linear(8, 5))

        def forward(self, x):
            return x + self.mlp(self.norm(x))

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.embed = nn.Conv2d(1, 5, 3, padding=1)
            self.block = Block()
            self.norm = nn.LayerNorm(5)
            self.head = nn.Linear(5, 3)

        def forward(self, x):
            x = self.block(self.embed(x).permute(0, 2, 3, 1))
            return self.head(self.norm(x).mean((1, 2)))

    model = Net()
    as_high_as_deep = pictures(h=5)  # only the layer's type can tell the axes apart
    for layer, x in (
        ("norm", as_high_as_deep),
        ("block", pictures()),
        ("norm", pictures()),
        ("block.mlp.2", pictures()),
    ):
        a, g = truth(model, x, layer, [[1], [1]])
        a, g = np.moveaxis(a, -1, 1), np.moveaxis(g[:, 0], -1, 1)
        expected = np.maximum((g * a).sum(1), 0)
        explanation = xaicore.explain(model, x, 1, layer=layer, method="hirescam")
        np.testing.assert_allclose(explanation.maps, expected, rtol=1e-4, atol=1e-6)
    assert xaicore.explain(model, x).layer == "norm"
    assert {la.name: la.shape for la in xaicore.Explainer(model).backend.layers(x)}["block"] == (1, 5, 6, 9)


def test_nothing_is_alive_after_the_model():
    def once():
        model = ConvGapDense()
        explanation = xaicore.explain(model, pictures())
        return weakref.ref(model), explanation

    def tensors():
        gc.collect()
        return sum(type(one) is torch.Tensor for one in gc.get_objects())

    once()
    before = tensors()
    alive = [once() for _ in range(5)]
    gc.collect()
    assert all(model() is None for model, _ in alive)
    del alive  # arrays of an explanation may lie in the memory of a tensor
    assert tensors() == before


def test_nothing_is_kept_of_the_pass_of_an_explainer():
    explainer, sizes = xaicore.Explainer(ConvGapDense()), range(6, 12)
    explainer(pictures(h=5))
    gc.collect()
    before = sum(type(one) is Call for one in gc.get_objects())
    for size in sizes:  # each size is surveyed
        explainer(pictures(h=size))
    gc.collect()
    assert sum(type(one) is Call for one in gc.get_objects()) == before == 0


def test_no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        xaicore.explain(ConvGapDense(), pictures(), xaicore.targets.TopK(2)).overlays()


def test_a_backward_hook_of_the_users_does_not_hide_the_sigmoid():
    model, x = ConvGapDense(classes=1, end=nn.Sigmoid()), pictures()
    model.end.register_full_backward_hook(lambda *arguments: None)
    model.register_full_backward_hook(lambda *arguments: None)
    explanation = xaicore.explain(model, x, 0)
    assert explanation.outputs_kind == "logits"
    np.testing.assert_allclose(explanation.maps, gradcam(ConvGapDense(classes=1), x, [[-1]] * 2)[:, 0], **CLOSE)


@pytest.mark.parametrize(
    ("end", "kind"),
    [(lambda p: p.clamp(1e-6, 1 - 1e-6), "probabilities"), (lambda p: p.t().contiguous().t(), "logits")],
)
def test_a_sigmoid_may_be_limited_or_turned(end, kind):
    plain, x = ConvGapDense(classes=1), pictures()
    model = ConvGapDense(classes=1, end=lambda y: end(torch.sigmoid(y)))
    for net in (plain, model):
        with torch.no_grad():
            net.dense.bias.fill_(-3)
    explanation = xaicore.explain(model, x, 1)
    assert explanation.outputs_kind == kind
    np.testing.assert_array_equal(explanation.predicted, [0, 0])
    np.testing.assert_allclose(explanation.maps, gradcam(plain, x, [[1]] * 2)[:, 0], rtol=1e-4)


class Film(nn.Module):
    """Scales channels by a dense layer that is as wide as the picture: its maps are still (N, C, h, w)."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.dense = nn.Linear(4, 9)

    def forward(self, x):
        a = self.conv(x)
        return a * self.dense(a.mean((2, 3)))[:, :4, None, None]


def test_a_dense_layer_inside_a_block_does_not_turn_its_maps():
    torch.manual_seed(0)
    model, x = nn.Sequential(Film(), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 54, 3)), pictures()
    for layer in ("0", None):
        assert xaicore.explain(model, x, layer=layer).maps.shape == (2, 6, 9)
    assert xaicore.Explainer(model).backend.layers(x)[2].shape == (1, 4, 6, 9)


def test_float16_where_the_multiple_overflows():
    class Large(ConvGapDense):
        def forward(self, x):
            return 100 * super().forward(x)

    x = pictures()
    maps = xaicore.explain(Large().half(), x.half(), [[0, 1]] * 2).maps.reshape(2, 2, 6, 9)
    reference = 100 * gradcam(ConvGapDense(), x, [[0, 1]] * 2)
    np.testing.assert_allclose(maps, reference, atol=5e-3 * reference.max())


def test_a_module_with_two_names_has_both():
    model, x = ConvGapDense(), pictures()
    model.alias = nn.ModuleList([model.relu2])
    np.testing.assert_allclose(xaicore.explain(model, x, 1, layer="alias.0").maps, expected(x), **CLOSE)


def test_torchscript_has_no_hooks():
    model, x = ConvGapDense(), pictures()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        traced, conv = torch.jit.trace(model, x), torch.jit.trace(model.conv1, x)
    with pytest.raises(xaicore.BackendError, match="TorchScript model has no hooks: explain the model"):
        xaicore.explain(traced, x)
    model.conv1 = conv
    np.testing.assert_allclose(xaicore.explain(model, x, 1).maps, expected(x), **CLOSE)
    with pytest.raises(xaicore.LayerError, match="layer 'conv1' is TorchScript"):
        xaicore.explain(model, x, layer="conv1")


def test_nested_arguments():
    class Batch(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = ConvGapDense()

        def forward(self, batch):
            return self.net(batch["image"])

    x = pictures()
    np.testing.assert_allclose(xaicore.explain(Batch(), ({"image": x.numpy()},), 1).maps, expected(x), **CLOSE)
    explanation = xaicore.explain(Batch(), {"batch": {"image": x}}, 1)
    np.testing.assert_allclose(explanation.maps, expected(x), **CLOSE)
    assert explanation.images.shape == (2, 6, 9, 3)


def test_a_fully_convolutional_classifier():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Conv2d(4, 3, 1))
    x = pictures()
    explanation = xaicore.explain(model, x, xaicore.targets.TopK(2))
    flat = xaicore.explain(nn.Sequential(*model, nn.Flatten()), x, xaicore.targets.TopK(2))
    np.testing.assert_allclose(explanation.maps, flat.maps, **CLOSE)
    np.testing.assert_allclose(explanation.scores, flat.scores)
    np.testing.assert_array_equal(explanation.predicted, flat.predicted)


def test_outputs_that_are_no_numbers():
    model = ConvGapDense()
    with torch.no_grad():
        model.dense.bias[1] = float("nan")
    with pytest.raises(xaicore.BackendError, match="the outputs have 2 NaN values of 6"):
        xaicore.explain(model, pictures())


def test_a_block_is_laid_out_like_its_last_map_and_an_activation_like_its_input():
    class ToChannelsLast(nn.Module):
        def forward(self, x):
            return x.permute(0, 2, 3, 1)

    torch.manual_seed(0)
    block = nn.Sequential(nn.Conv2d(1, 5, 3, padding=1), ToChannelsLast(), nn.LayerNorm(5), nn.GELU(), nn.Linear(5, 7))
    model, x = nn.Sequential(block, nn.GELU(), nn.Flatten(), nn.Linear(7 * 54, 3)), pictures()
    for layer, channels in (("0", 7), ("0.0", 5), ("0.3", 5), ("1", 7)):
        explanation = xaicore.explain(model, x, 1, layer=layer, method="hirescam")
        assert explanation.maps.shape == (2, 6, 9)
        backend = xaicore.Explainer(model).backend
        a = backend.capture(x, [layer]).activations[layer]
        assert a.shape == ((2, 5, 6, 9) if layer == "0.0" else (2, 6, 9, channels))
        grid = read(backend.observe(x)).grids[layer]
        np.testing.assert_array_equal(grid.arrange(a), a if layer == "0.0" else a.transpose(0, 3, 1, 2))


def test_outputs_do_not_share_memory_with_the_model():
    class Answer(nn.Module):
        def __init__(self):
            super().__init__()
            self.mine = torch.zeros(2, 3)

        def forward(self, y):
            return self.mine.copy_(y.detach())

    backend = xaicore.Explainer(ConvGapDense(end=Answer())).backend
    outputs = backend.capture(pictures(), ["relu2"]).outputs
    before = outputs.copy()
    backend.capture(3 * pictures(), ["relu2"])
    np.testing.assert_array_equal(outputs, before)
