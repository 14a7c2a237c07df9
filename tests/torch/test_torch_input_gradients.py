"""Gradients of inputs: plain ones against autograd; guided and deconvolution against their papers' rules by hand."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint
from torch_nets import ConvGapDense, pictures, truth

from xaicore.errors import BackendError, MethodError
from xaicore_torch.backend import TorchBackend

CLOSE = {"rtol": 1e-5, "atol": 1e-7}
CLASSES = np.array([[0, 2], [1, 0]])


def one_hot(classes):
    """A direction of classes (N, K)."""
    return lambda outputs, kind: np.eye(outputs.shape[1], dtype=np.float32)[classes]


def gradients(model, x, rules=("plain",), layers=(), classes=CLASSES, **options):
    capture = TorchBackend(model, **options).capture(x, layers, one_hot(classes), rules=rules)
    assert list(capture.input_gradients) == list(rules)
    return capture


def by_autograd(model, x, classes=CLASSES, through=lambda y: y):
    """(N, K, *input) for each floating-point input."""
    args = tuple(t.clone().requires_grad_(t.is_floating_point()) for t in (x if isinstance(x, tuple) else (x,)))
    leaves = [t for t in args if t.requires_grad]
    y = through(model(*(t.clone() for t in args)))
    rows = torch.arange(len(y))
    picked = [
        torch.autograd.grad(y[rows, torch.as_tensor(c)].sum(), leaves, retain_graph=True, allow_unused=True)
        for c in np.asarray(classes).T
    ]
    return [np.stack([one.float().numpy() for one in each], 1) for each in zip(*picked, strict=True)]


def test_plain_gradients_are_those_of_autograd_and_leave_the_layers_as_they_are():
    model, x = ConvGapDense(), pictures()
    capture = gradients(model, x, layers=["relu1", "conv2"])
    (found,) = capture.input_gradients["plain"]
    np.testing.assert_allclose(found, by_autograd(model, x)[0], **CLOSE)
    for layer in ("relu1", "conv2"):
        activations, expected = truth(model, x, layer, CLASSES)
        np.testing.assert_allclose(capture.activations[layer], activations, **CLOSE)
        np.testing.assert_allclose(capture.gradients[layer], expected, **CLOSE)
    assert np.abs(found).max() > 1e-4


def test_a_pass_runs_once_forward_and_once_backward_for_layers_and_inputs():
    model, x = ConvGapDense(), pictures()
    backend, counts = TorchBackend(model), {"forward": 0, "backward": 0}

    class Counts(nn.Module):
        def forward(self, a):
            counts["forward"] += 1
            a.register_hook(lambda g: counts.update(backward=counts["backward"] + 1)) if a.requires_grad else None
            return a

    model.relu1 = nn.Sequential(nn.ReLU(), Counts())
    for _ in range(2):  # the first one looks at the model, and whether images are coupled
        counts.update(forward=0, backward=0)
        backend.capture(x, ["relu2"], one_hot(CLASSES[:, :1]), rules=("plain",))
    assert counts == {"forward": 1, "backward": 1}
    counts.update(forward=0, backward=0)
    backend.capture(x, ["relu2"], one_hot(CLASSES[:, :1]), rules=("guided",))
    assert counts == {"forward": 1, "backward": 1}


class TwoInputs(nn.Module):
    """A picture of floats, whole numbers, and floats in a dictionary; one input is not read, one is not per image."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.picture, self.word = nn.Conv2d(1, 3, 3), nn.Embedding(5, 3)

    def forward(self, x, words, more):
        y = self.picture(x).mean((2, 3)) + self.word(words)
        return y * more["scale"] + more["shared"][:3] * y


def test_each_input_has_a_gradient_in_order_and_whole_numbers_have_none():
    model, x, scale = TwoInputs(), pictures(2, 1, 5, 6), torch.tensor([[2.0], [3.0]])
    words, unread, shared = torch.tensor([1, 4]), torch.ones(2, 3), torch.ones(7)
    given = (x, words, {"scale": scale, "unread": unread, "shared": shared})
    found = gradients(model, given).input_gradients["plain"]
    x.requires_grad_(), scale.requires_grad_()
    y = model(x, words, {"scale": scale, "shared": shared})
    for k in range(2):
        expected = torch.autograd.grad(y[[0, 1], CLASSES[:, k]].sum(), [x, scale], retain_graph=True)
        np.testing.assert_allclose(found[0][:, k], expected[0], **CLOSE)
        np.testing.assert_allclose(found[2][:, k], expected[1], **CLOSE)
    assert [one is None for one in found] == [False, True, False, True, True]


class Writes(ConvGapDense):
    def forward(self, x):
        x.sub_(0.5).mul_(2)
        return super().forward(x)


class SwitchesOff(ConvGapDense):
    """A frozen backbone under no_grad, and a forward pass that ends with grad off."""

    def forward(self, x):
        with torch.no_grad():
            a = self.relu1(self.conv1(x))
        torch.set_grad_enabled(False)
        return self.dense(self.relu2(self.conv2(a)).mean((2, 3)))


def test_a_model_may_write_to_its_input_and_the_callers_stays():
    model, x = Writes(), pictures()
    before = x.clone()
    found = gradients(model, x).input_gradients["plain"][0]
    np.testing.assert_allclose(found, by_autograd(model, x)[0], **CLOSE)
    torch.testing.assert_close(x, before, rtol=0, atol=0)


@pytest.mark.parametrize("rule", ["plain", "guided"])
@pytest.mark.parametrize("frozen", [True, False])
def test_a_models_own_no_grad_does_not_hide_the_input(rule, frozen, unchanged):
    model, x = SwitchesOff().requires_grad_(not frozen), pictures()
    with unchanged(model):
        found = gradients(model, x, (rule,), ["relu2"]).input_gradients[rule][0]
    expected = gradients(ConvGapDense(), x, (rule,)).input_gradients[rule][0]
    np.testing.assert_allclose(found, expected, **CLOSE)
    assert np.abs(found).max() > 0


def test_a_model_that_detaches_its_input_is_refused():
    class Detaches(ConvGapDense):
        def forward(self, x):
            return super().forward(x.detach())

    with pytest.raises(BackendError, match="no gradient arrives at the inputs"):
        gradients(Detaches(), pictures())


@pytest.mark.parametrize("rule", ["plain", "guided"])
def test_whole_numbers_alone_have_no_gradient(rule):
    class Bytes(ConvGapDense):
        def forward(self, x):
            return super().forward(x.float() / 255)

    x = (pictures() * 40 + 128).to(torch.uint8)
    capture = gradients(Bytes(), x, (rule,), ["relu2"])
    assert capture.input_gradients[rule] == [None]
    _, expected = truth(ConvGapDense(), x.float() / 255, "relu2", CLASSES)
    np.testing.assert_allclose(capture.gradients["relu2"], expected, **CLOSE)


@pytest.mark.parametrize("kind", ["bfloat16", "float16", "autocast"])
def test_half_precision(kind):
    model, x = ConvGapDense(), pictures()
    if kind == "autocast":
        with torch.autocast("cpu", torch.bfloat16, cache_enabled=False):
            found, expected = gradients(model, x, ("plain", "guided")), by_autograd(model, x)[0]
    else:
        model, x = model.to(getattr(torch, kind)), x.to(getattr(torch, kind))
        found = gradients(model, x, ("plain", "guided"))
        expected = by_autograd(model, x)[0]
    plain, guided = (found.input_gradients[rule][0] for rule in ("plain", "guided"))
    np.testing.assert_allclose(plain, expected, atol=0.01 * np.abs(expected).max())
    exact = by_hand(ConvGapDense(), pictures(), CLASSES, "guided")
    assert np.linalg.norm(guided - exact) < 0.2 * np.linalg.norm(exact)  # a ReLU near zero may open or close


def test_small_gradients_survive_float16():
    model, x = ConvGapDense(), pictures()
    with torch.no_grad():
        model.dense.weight.mul_(2e-5)
    expected = by_autograd(model, x)[0]
    found = gradients(model.half(), x.half()).input_gradients["plain"][0]
    np.testing.assert_allclose(found, expected, atol=0.02 * np.abs(expected).max())


class Coupled(ConvGapDense):
    """BatchNorm without running statistics: the outputs of an image depend on the others."""

    def __init__(self):
        super().__init__()
        self.relu1 = nn.Sequential(nn.BatchNorm2d(4, track_running_stats=False), nn.ReLU())


@pytest.mark.parametrize("first", ["plain", "guided", "deconv"])
def test_the_gradient_of_an_image_does_not_depend_on_what_is_asked_of_another(first):
    model, x = Coupled(), pictures(3)
    backend = TorchBackend(model)
    classes = np.array([[0], [1], [2]])
    for rule in (first, "plain", "guided"):
        together = backend.capture(x, (), one_hot(classes), rules=(rule,)).input_gradients[rule][0]
        for n in range(3):

            def only(outputs, kind, n=n):
                return one_hot(classes)(outputs, kind) * (np.arange(3) == n)[:, None, None]

            alone = backend.capture(x, (), only, rules=(rule,)).input_gradients[rule][0]
            np.testing.assert_allclose(together[n], alone[n], **CLOSE)
        assert np.abs(together).max() > 0


def test_an_operation_without_a_batched_backward_pass():
    class Alone(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 3

        @staticmethod
        def backward(ctx, g):
            return torch.from_numpy(g.numpy() * 3)  # vmap has no numbers here

    class Net(ConvGapDense):
        def forward(self, x):
            return super().forward(Alone.apply(x))

    model, x = Net(), pictures()
    np.testing.assert_allclose(gradients(model, x).input_gradients["plain"][0], by_autograd(model, x)[0], **CLOSE)


def test_logits_behind_a_softmax():
    model, x = ConvGapDense(end=nn.Softmax(1)), pictures()
    found = gradients(model, x).input_gradients["plain"][0]
    np.testing.assert_allclose(found, by_autograd(ConvGapDense(), x)[0], **CLOSE)


def by_hand(model, x, classes, rule):
    """(N, K, 1, H, W) of `ConvGapDense`, position by position as the papers have it."""
    x = x.double()
    model = model.double()
    z1 = F.conv2d(x, model.conv1.weight, model.conv1.bias, padding=1)
    z2 = F.conv2d(z1.clamp(min=0), model.conv2.weight, model.conv2.bias, padding=1)
    found = []
    for k in range(classes.shape[1]):
        signal = model.dense.weight[classes[:, k]][..., None, None].expand(z2.shape) / z2[0, 0].numel()
        for z, conv in ((z2, model.conv2), (z1, model.conv1)):
            passed = torch.zeros_like(z)
            for at in np.ndindex(*z.shape):
                is_open = {"plain": z[at] > 0, "guided": z[at] > 0 and signal[at] > 0, "deconv": signal[at] > 0}[rule]
                if is_open:
                    passed[at] = signal[at]
            signal = F.conv_transpose2d(passed, conv.weight, padding=1)
        found.append(signal)
    return torch.stack(found, 1).detach().numpy()


@pytest.mark.parametrize("rule", ["plain", "guided", "deconv"])
def test_the_rules_as_the_papers_have_them(rule, unchanged):
    model, x = ConvGapDense(), pictures()
    with unchanged(model):
        capture = gradients(model, x, (rule,), ["relu1"])
    expected = by_hand(ConvGapDense(), x, CLASSES, rule)
    np.testing.assert_allclose(capture.input_gradients[rule][0], expected, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(capture.gradients["relu1"], truth(model, x, "relu1", CLASSES)[1], **CLOSE)


def test_all_rules_in_one_pass_are_those_of_each_alone():
    model, x = ConvGapDense(), pictures()
    together = gradients(model, x, ("plain", "guided", "deconv")).input_gradients
    for rule, (found,) in together.items():
        np.testing.assert_array_equal(found, gradients(model, x, (rule,)).input_gradients[rule][0])
    assert np.abs(together["guided"][0] - together["deconv"][0]).max() > 1e-4


FORMS = {
    "module": nn.ReLU(),
    "module in place": nn.ReLU(inplace=True),
    "function": F.relu,
    "function in place": lambda a: F.relu(a, inplace=True),
    "torch.relu": torch.relu,
    "torch.relu_": torch.relu_,
    "method": lambda a: a.relu(),
    "method in place": lambda a: a.relu_(),
    "clamp": lambda a: a.clamp(min=0),
    "clamp in place": lambda a: a.clamp_(min=0),
    "clamp_min": lambda a: torch.clamp_min(a, 0),
    "threshold": nn.Threshold(0, 0),
    "threshold in place": nn.Threshold(0, 0, inplace=True),
    "maximum": lambda a: torch.maximum(a, torch.zeros(())),
    "hardtanh": nn.Hardtanh(0, 100),
    "for its effect alone": lambda a: (a.relu_(), a)[1],
    "of a view": lambda a: F.relu(a.flatten(1)).view_as(a),
    "of a view, in place": lambda a: F.relu(a.flatten(1), inplace=True).view_as(a),
    "of a view, method in place": lambda a: a.flatten(1).relu_().view_as(a),
    "of a view, for its effect alone": lambda a: (a.view(-1).relu_(), a)[1],
    "of a view, clamp": lambda a: (a.view(-1).clamp_(min=0), a)[1],
    "checkpoint": lambda a: checkpoint(F.relu, a, use_reentrant=False),
}


@pytest.mark.parametrize("rule", ["guided", "deconv"])
@pytest.mark.parametrize("form", list(FORMS))
def test_every_form_of_a_relu_is_seen(form, rule):
    class Net(ConvGapDense):
        def forward(self, x):
            a = FORMS[form](self.conv2(FORMS[form](self.conv1(x))))
            return self.dense(a.mean((2, 3)))

    x = pictures()
    capture, plain = gradients(Net(), x, (rule,)), ConvGapDense()
    np.testing.assert_allclose(capture.input_gradients[rule][0], by_hand(plain, x, CLASSES, rule), **CLOSE)
    np.testing.assert_array_equal(capture.outputs, ConvGapDense()(x).detach())


@pytest.mark.parametrize("form", [nn.ReLU6(), lambda a: a.clamp(0, 6), F.relu6], ids=["module", "clamp", "function"])
def test_relu6_hands_nothing_on_where_it_is_full(form):
    class Net(nn.Module):
        def forward(self, x):
            return torch.stack([form(x).sum(1), -form(x).sum(1)], 1)

    x = torch.tensor([[-1.0, 2.0, 8.0]])
    found = gradients(Net(), x, ("plain", "guided", "deconv"), classes=np.array([[0, 1]])).input_gradients
    np.testing.assert_array_equal(found["plain"][0], [[[0, 1, 0], [0, -1, 0]]])
    np.testing.assert_array_equal(found["guided"][0], [[[0, 1, 0], [0, 0, 0]]])
    np.testing.assert_array_equal(found["deconv"][0], [[[1, 1, 1], [0, 0, 0]]])


OTHERS = {
    "GELU": nn.GELU(),
    "SiLU": nn.SiLU(inplace=True),
    "Mish": nn.Mish(),
    "ELU": nn.ELU(inplace=True),
    "CELU": nn.CELU(),
    "Hardswish": nn.Hardswish(),
    "Hardsigmoid": nn.Hardsigmoid(),
    "Hardtanh": nn.Hardtanh(),
    "LeakyReLU": nn.LeakyReLU(inplace=True),
    "PReLU": nn.PReLU(),
    "Sigmoid": nn.Sigmoid(),
    "Softmax": nn.Softmax(1),
    "Softplus": nn.Softplus(),
    "Tanh": nn.Tanh(),
    "Threshold": nn.Threshold(0.5, 0),
    "RReLU": nn.RReLU().eval(),
}


@pytest.mark.parametrize("rule", ["guided", "deconv"])
@pytest.mark.parametrize("name", list(OTHERS))
def test_other_activations_pass_gradients_plainly_between_relus(name, rule):
    x = pictures()
    first, second, mixed = ConvGapDense(), ConvGapDense(), ConvGapDense()
    first.relu1 = second.relu1 = mixed.relu1 = OTHERS[name]
    found = gradients(mixed, x, (rule,)).input_gradients[rule][0]
    z = second.conv2(second.relu1(second.conv1(x)))
    signal = torch.stack([second.dense.weight[classes] for classes in torch.as_tensor(CLASSES)])
    signal = signal[..., None, None] / z[0, 0].numel() * (signal > 0)[..., None, None]
    signal = signal.expand(*signal.shape[:3], *z.shape[2:])
    passed = signal * (z > 0)[:, None] if rule == "guided" else signal
    leaf = x.clone().requires_grad_()
    z = first.conv2(first.relu1(first.conv1(leaf)))
    expected = [torch.autograd.grad(z, leaf, passed[:, k], retain_graph=True)[0] for k in range(passed.shape[1])]
    np.testing.assert_allclose(found, torch.stack(expected, 1), **CLOSE)


@pytest.mark.parametrize("rule", ["guided", "deconv"])
@pytest.mark.parametrize("name", list(OTHERS))
def test_a_net_without_relus_is_refused_with_its_activations(name, rule, unchanged):
    model = ConvGapDense()
    model.relu1, model.relu2 = OTHERS[name], nn.LogSigmoid()
    seen = (
        rf"'{rule}' is defined for ReLUs, and no ReLU .*activations: {name}\. Use method='gradient' \(.*--method grad"
    )
    with unchanged(model), pytest.raises(MethodError, match=seen):
        gradients(model, pictures(), (rule,))
    assert gradients(model, pictures(), ("plain",)).input_gradients["plain"][0].any()


def test_a_net_without_activations_is_refused():
    model = ConvGapDense()
    model.relu1 = model.relu2 = nn.Identity()
    with pytest.raises(MethodError, match="its activations: none"):
        gradients(model, pictures(), ("guided",))


def test_an_activation_that_does_not_lie_between_input_and_output_does_not_count():
    class Net(ConvGapDense):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(3))

        def forward(self, x):
            return super().forward(x) * F.gelu(self.scale)

    found = gradients(Net(), pictures(), ("guided",)).input_gradients["guided"][0]
    expected = gradients(ConvGapDense(), pictures(), ("guided",)).input_gradients["guided"][0]
    np.testing.assert_allclose(found, expected * F.gelu(torch.ones(())).item(), rtol=1e-4, atol=1e-6)


def test_a_compiled_part_runs_eagerly():
    model, x = ConvGapDense(), pictures()
    model.conv1 = torch.compile(nn.Sequential(model.conv1, nn.ReLU()), backend="eager")
    model.relu1 = nn.Identity()
    found = gradients(model, x, ("guided",)).input_gradients["guided"][0]
    np.testing.assert_allclose(found, by_hand(ConvGapDense(), x, CLASSES, "guided"), **CLOSE)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("place", ["direction", "model"])
def test_nothing_is_left_behind_by_an_exception(place, error, unchanged):
    class Net(ConvGapDense):
        fails = False

        def forward(self, x):
            a = self.relu1(self.conv1(x))
            if self.fails:
                raise error("on purpose")
            return self.dense(self.relu2(self.conv2(a)).mean((2, 3)))

    model, x = Net().train(), pictures()
    backend = TorchBackend(model)
    backend.observe(x)

    def direction(outputs, kind):
        raise error("on purpose")

    model.fails = place == "model"
    with unchanged(model), pytest.raises((BackendError, error)):
        backend.capture(x, ["relu1"], direction, rules=("plain", "guided"))
    model.fails = False
    found = backend.capture(x, (), one_hot(CLASSES), rules=("guided",)).input_gradients["guided"][0]
    np.testing.assert_allclose(found, by_hand(ConvGapDense(), x, CLASSES, "guided"), **CLOSE)


def test_equal_to_captum_where_it_sees_all_relus():
    attr = pytest.importorskip("captum.attr")
    model, x = ConvGapDense(), pictures()
    for rule, theirs in (("guided", attr.GuidedBackprop), ("deconv", attr.Deconvolution)):
        found = gradients(model, x, (rule,)).input_gradients[rule][0]
        expected = theirs(ConvGapDense()).attribute(x.clone().requires_grad_(), target=CLASSES[:, 0].tolist())
        np.testing.assert_allclose(found[:, 0], expected.detach(), **CLOSE)
