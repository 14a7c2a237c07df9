"""The model, its gradients, hooks, modes and random state are bitwise as before; also after an exception."""

import random
import threading
import warnings
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch_nets import ConvGapDense, gradcam, pictures
from toynet import BrokenTarget

import xaicore


class Restless(nn.Module):
    """Draws random numbers, writes buffers, and has dropout and a half-frozen BatchNorm."""

    def __init__(self, fails=False):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.bn = nn.BatchNorm2d(4)
        self.frozen = nn.BatchNorm2d(4).eval()
        self.dropout = nn.Dropout(0.5)
        self.dense = nn.Linear(4, 3)
        self.register_buffer("calls", torch.zeros((), dtype=torch.long))
        self.register_buffer("cache", torch.zeros(1), persistent=False)
        self.fails = fails

    def forward(self, x):
        self.calls += 1
        self.cache = x.mean().reshape(1)  # another tensor in its place
        noise = torch.rand(1).item() + np.random.rand() + random.random()
        a = F.relu(self.frozen(self.bn(self.conv(x))))
        if self.fails:
            raise RuntimeError("on purpose")
        return self.dense(self.dropout(a.mean((2, 3)))) + 0 * noise


def training(fails=False):
    model = Restless(fails).train()
    model.frozen.eval()
    model.conv.weight.requires_grad_(False)
    fails, model.fails = model.fails, False
    model(pictures()).sum().backward()
    model.fails = fails
    return model


class HooksItself(nn.Module):
    """Sets a hook in its first pass, and notes that it did, as models of Transformers do that return hidden states."""

    def __init__(self):
        super().__init__()
        self.net = ConvGapDense()

    def forward(self, x):
        layer = next(module for module in self.modules() if isinstance(module, nn.Conv2d))
        if not getattr(self, "is_hooked", False):
            self.seen = []
            layer.register_forward_hook(lambda module, args, output: self.seen.append(output))
            self.is_hooked = True
        self.seen.clear()
        y = self.net(x)
        assert len(self.seen) == 1
        return y


@pytest.mark.parametrize("is_hooked", [False, True])
def test_hooks_that_a_model_sets_in_its_own_pass(unchanged, is_hooked):
    model, x = HooksItself(), pictures()
    if is_hooked:
        model(x)
        model.seen.clear()
    for _ in range(3):
        with unchanged(model):
            explanation = xaicore.explain(model, x, 1)
    np.testing.assert_allclose(explanation.maps, gradcam(ConvGapDense(), x, [[1]] * len(x))[:, 0], rtol=1e-5, atol=1e-7)
    model(x)


@pytest.mark.parametrize("method", ["gradcam", "eigencam", "cam", "random"])
@pytest.mark.parametrize("layer", [None, "conv"])
def test_everything_is_as_before(unchanged, method, layer):
    model, explainer = training(), None
    with unchanged(model):
        explainer = xaicore.Explainer(model, method, layer)
        try:
            explainer(pictures(), xaicore.targets.TopK(2))
        except xaicore.MethodError:
            assert method == "cam"  # a ReLU lies between the layer and the mean
    assert model.dense.weight.grad is not None


def test_predict_and_layers_leave_everything_as_before(unchanged):
    model = training()
    with unchanged(model):
        backend = xaicore.Explainer(model).backend
        backend.layers(pictures())
        backend.predict(pictures())


@pytest.mark.parametrize("layer", [None, "conv"])
def test_everything_is_as_before_when_the_model_fails(unchanged, layer):
    model = training(fails=True)
    with unchanged(model), pytest.raises(xaicore.BackendError, match=r"RuntimeError for inputs .*on purpose"):
        xaicore.explain(model, pictures(), layer=layer)


@pytest.mark.parametrize("error", [ZeroDivisionError("mine"), KeyboardInterrupt()])
def test_everything_is_as_before_when_the_target_fails(unchanged, error):
    model = training()
    with unchanged(model), pytest.raises(type(error)):  # passes unchanged
        xaicore.explain(model, pictures(), BrokenTarget(error))


def test_everything_is_as_before_when_the_pull_back_fails(unchanged):
    class Once(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, gradient):
            raise RuntimeError("no way back")

    model = ConvGapDense(end=Once.apply).train()
    with unchanged(model), pytest.raises(xaicore.BackendError, match="no gradients at 'relu2': no way back"):
        xaicore.explain(model, pictures())


def test_training_goes_on_as_if_nothing_had_happened():
    def train(explained):
        torch.manual_seed(1)
        model = Restless().train()
        optimizer = torch.optim.Adam(model.parameters(), 0.01)
        explainer = xaicore.Explainer(model)
        for step in range(6):
            x = torch.randn(4, 1, 6, 9)
            loss = F.cross_entropy(model(x), torch.tensor([0, 1, 2, 0]))
            loss.backward()
            if explained:
                explainer(x)  # between backward and step: gradients must survive
            optimizer.step()
            optimizer.zero_grad()
            if explained and step % 2:
                explainer(x, [[0, 1]] * 4)
        return [*model.state_dict().values(), torch.rand(3)]

    assert all(map(torch.equal, train(False), train(True)))


def test_an_explanation_inside_a_recorded_step_does_not_disturb_it():
    model, x = ConvGapDense(), pictures()
    y = model(x)
    xaicore.explain(model, x)
    y.sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


class InPlaceOnInput(ConvGapDense):
    def forward(self, x):
        x -= 0.5
        return super().forward(x)


@pytest.mark.parametrize("layer", [None, "relu2"])
def test_the_callers_input_is_not_written_to(layer):
    model, x = InPlaceOnInput(), pictures()
    before = x.clone()
    explainer = xaicore.Explainer(model, layer=layer)
    for _ in range(3):
        np.testing.assert_allclose(explainer(x, 1).maps, gradcam(model, x - 0.5, [[1], [1]])[:, 0], rtol=1e-5)
        assert torch.equal(x, before)
    array = x.numpy().copy()
    explainer(array)
    np.testing.assert_array_equal(array, before.numpy())


def test_results_do_not_share_memory_with_the_model():
    model, x = ConvGapDense(), pictures()
    kept = {}
    model.relu2.register_forward_hook(lambda m, i, o: kept.update(a=o))
    backend = xaicore.Explainer(model).backend
    capture = backend.capture(x, ["relu2"])
    before = capture.activations["relu2"].copy()
    backend.capture(pictures() * 2, ["relu2"])
    np.testing.assert_array_equal(capture.activations["relu2"], before)


def test_threads_that_explain_one_model_do_not_mix_up():
    model, x = ConvGapDense().train(), pictures(4)
    model.dense = nn.Sequential(nn.Dropout(0.9), model.dense)  # in training mode, should a thread see it
    model.dense.weight = model.dense[1].weight
    explainer = xaicore.Explainer(model, layer="relu2")
    expected = [gradcam(model, x, [[c]] * 4)[:, 0] for c in range(3)]
    failures = []

    def work(c):
        for _ in range(30):
            maps = explainer(x, c).maps
            if not np.allclose(maps, expected[c], rtol=1e-5, atol=1e-6):
                failures.append(c)

    threads = [threading.Thread(target=work, args=(c,)) for c in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert model.training


class During(nn.Module):
    """Does something while the model's pass is under way."""

    def __init__(self):
        super().__init__()
        self.action = lambda: None

    def forward(self, y):
        self.action()
        return y


def test_another_threads_own_pass_is_not_hooked():
    model, x = ConvGapDense(end=During()).eval(), pictures()
    with torch.no_grad():
        reference = model(x).numpy()
    elsewhere = []

    def run_elsewhere():
        model.end.action = lambda: None
        with torch.no_grad():
            thread = threading.Thread(target=lambda: elsewhere.append(own_pass()))
            thread.start()
            thread.join()

    def own_pass():
        seen = []
        handle = model.dense.register_forward_hook(lambda m, i, o: seen.append(i[0].requires_grad))
        with torch.no_grad():
            model(x)
        handle.remove()
        return seen

    backend = xaicore.Explainer(model, layer="relu2").backend
    backend.observe(x)
    model.end.action = run_elsewhere
    capture = backend.capture(x, ["relu2"])
    np.testing.assert_allclose(capture.outputs, reference, rtol=1e-6)
    assert elsewhere == [[False]]


def test_an_overridden_train_is_not_called():
    class Merging(ConvGapDense):
        """As adapters do it, which fold their weights into the model's in evaluation mode."""

        def train(self, mode=True):
            raise AssertionError("called")

    model, x = Merging(), pictures()
    assert model.training
    np.testing.assert_allclose(xaicore.explain(model, x, 1).maps, gradcam(model, x, [[1], [1]])[:, 0], rtol=1e-5)
    assert model.training


class Scaled(ConvGapDense):
    """Autograd saves its buffer for the backward pass; a forward leaves something behind."""

    def __init__(self):
        super().__init__()
        self.register_buffer("scale", torch.full((1, 5, 1, 1), 2.0))
        self.register_buffer("steps", torch.arange(5.0).expand(2, -1))  # its rows share their memory
        self.last = None

    def forward(self, x):
        a = self.relu2(self.conv2(self.relu1(self.conv1(x)))) * self.scale
        self.last = a
        self.calls = getattr(self, "calls", 0) + 1
        return self.dense(a.mean((2, 3)) + 0 * self.steps.sum())


def test_an_explanation_between_forward_and_backward_does_not_touch_what_was_saved(unchanged):
    def gradients(explained):
        model, x = Scaled(), pictures()
        y = model(x)
        if explained:
            with unchanged(model):
                xaicore.explain(model, x)
        (y.sum() + model.last.pow(2).sum()).backward()
        return [parameter.grad for parameter in model.parameters()]

    assert all(map(torch.equal, gradients(False), gradients(True)))


def test_a_hook_that_computes_a_weight_leaves_the_callers_one():
    model, x = ConvGapDense(), pictures()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the old weight_norm, which many models still have, says that it is old
        nn.utils.weight_norm(model.conv2)
    y = model(x)
    weight = model.conv2.weight
    xaicore.explain(model, x)
    assert model.conv2.weight is weight
    y.sum().backward()
    assert weight.grad_fn is not None


def test_a_model_that_answers_with_a_buffer_keeps_it_and_so_does_the_result():
    class FromBuffer(ConvGapDense):
        def __init__(self):
            super().__init__()
            self.register_buffer("answer", torch.zeros(2, 3))

        def forward(self, x):
            self.answer.copy_(super().forward(x).detach())
            return self.answer

    model, x = FromBuffer(), pictures()
    explanation = xaicore.explain(model, x, method="eigencam", layer="relu2")
    np.testing.assert_allclose(explanation.outputs, ConvGapDense()(x).detach().numpy(), rtol=1e-6)
    assert not model.answer.any()


def test_lazy_layers_are_not_made_by_an_explanation():
    model = nn.Sequential(nn.LazyConv2d(4, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(3))
    with pytest.raises(xaicore.BackendError, match=r"Sequential has lazy layers.*run the model once"):
        xaicore.explain(model, pictures())
    assert isinstance(model[0], nn.LazyConv2d)
    model(pictures())
    assert xaicore.explain(model, pictures()).layer == "1"


def test_an_input_that_is_written_to_only_at_times():
    class AtTimes(ConvGapDense):
        def forward(self, x):
            if x.max() > 20:
                x /= 255
            return super().forward(x)

    model, x = AtTimes(), pictures()
    explainer = xaicore.Explainer(model)
    explainer(x)
    large = x * 100
    before = large.clone()
    explainer(large)
    assert torch.equal(large, before)


def test_another_threads_pass_is_not_surveyed():
    model, x = ConvGapDense(end=During()), pictures()
    expected = xaicore.Explainer(model).backend.layers(x)

    def run_elsewhere():
        model.end.action = lambda: None
        thread = threading.Thread(target=lambda: model(pictures(5, h=12)))
        thread.start()
        thread.join()

    model.end.action = run_elsewhere
    backend = xaicore.Explainer(model).backend
    assert backend.layers(x) == expected
    sizes = []
    model.register_forward_hook(lambda module, arguments, output: sizes.append(len(output)))
    backend.capture(x, ["relu2"])
    assert sorted(sizes) == [2, 5]  # a layer that seemed to run twice would be looked for in one more pass


def test_an_explanation_inside_of_a_pass_that_is_explained():
    model, x = ConvGapDense(end=During()), pictures()
    inner, outer = xaicore.Explainer(model, layer="relu1"), xaicore.Explainer(model, layer="relu2")
    found = []

    def explain():
        model.end.action = lambda: None
        found.append(inner(2 * x, 0))

    model.end.action = explain
    explanation = outer(x, 1)
    np.testing.assert_allclose(explanation.maps, gradcam(model, x, [[1], [1]])[:, 0], rtol=1e-5)
    np.testing.assert_allclose(found[0].maps, inner(2 * x, 0).maps, rtol=1e-6)


def test_a_layer_that_answers_with_a_tensor_of_its_own():
    class Kept(nn.Module):
        def __init__(self):
            super().__init__()
            self.mine = torch.zeros(2, 5, 6, 9)

        def forward(self, a):
            self.mine.copy_(a.detach())
            return self.mine

    class Net(ConvGapDense):
        def __init__(self):
            super().__init__()
            self.kept = Kept()

        def forward(self, x):
            return self.dense(self.kept(self.relu2(self.conv2(self.relu1(self.conv1(x))))).mean((2, 3)))

    model, x = Net(), pictures()
    explainer = xaicore.Explainer(model, layer="kept")
    capture = explainer.backend.capture(x, ["kept"])
    before = capture.activations["kept"].copy()
    explainer.backend.capture(2 * x, ["kept"])
    np.testing.assert_array_equal(capture.activations["kept"], before)
    np.testing.assert_allclose(explainer(x, 1).maps, gradcam(model, x, [[1], [1]])[:, 0], rtol=1e-5)


def test_a_write_to_the_layers_own_tensor_after_it():
    class Net(ConvGapDense):
        def __init__(self):
            super().__init__()
            self.drop = nn.Dropout()

        def forward(self, x):
            h = self.relu2(self.conv2(self.relu1(self.conv1(x))))
            dropped = self.drop(h)  # in evaluation mode the same tensor
            h += 5
            return self.dense(dropped.mean((2, 3)))

    model, x = Net(), pictures()
    np.testing.assert_allclose(
        xaicore.explain(model, x, 1, layer="drop").maps, gradcam(model, x, [[1], [1]])[:, 0], rtol=1e-5
    )


class Own(nn.Module):
    """Returns its own parameter, as learned prompts and position embeddings do."""

    def __init__(self):
        super().__init__()
        self.value = nn.Parameter(torch.ones(1, 4, 1, 1))

    def forward(self):
        return self.value


@pytest.mark.parametrize("fails", [False, True])
def test_a_parameter_that_a_layer_returns_keeps_no_hook(unchanged, fails):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.own, self.dense = nn.Conv2d(1, 4, 3), Own(), nn.Linear(4, 3)

        def forward(self, x):
            a = F.relu(self.conv(x) + self.own())
            if fails:
                raise RuntimeError("on purpose")
            return self.dense(a.mean((2, 3)))

    net = Net()
    with unchanged(net):
        if fails:
            with pytest.raises(xaicore.BackendError, match="on purpose"):
                xaicore.explain(net, pictures())
        else:
            xaicore.explain(net, pictures())


class Listening(nn.LSTM):
    """Keeps whether it may use cuDNN, whose RNNs have no backward pass in evaluation mode."""

    def __init__(self, fails=False):
        super().__init__(4, 5, batch_first=True)
        self.allowed, self.fails = [], fails

    def forward(self, x):
        self.allowed.append(torch.backends.cudnn.enabled)
        if self.fails:
            raise (RuntimeError if self.fails is True else self.fails)("on purpose")
        return super().forward(x)


class Reading(nn.Module):
    """A convolution whose columns an LSTM reads."""

    def __init__(self, fails=False):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.lstm = Listening(fails)
        self.dense = nn.Linear(5, 3)
        self.allowed = []

    def forward(self, x):
        columns = self.conv(x).relu().mean(2).transpose(1, 2)
        y = self.lstm(columns)[0][:, -1]
        self.allowed.append(torch.backends.cudnn.enabled)
        return self.dense(y)


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("before", [False, True])
def test_only_recurrent_layers_run_without_cudnn(unchanged, monkeypatch, before, fails):
    monkeypatch.setattr(torch.backends.cudnn, "enabled", before)
    model = Reading(fails).train()
    with unchanged(model), pytest.raises(xaicore.XaicoreError, match="on purpose") if fails else nullcontext():
        xaicore.explain(model, pictures())
    assert torch.backends.cudnn.enabled is before
    assert not any(model.lstm.allowed)
    assert all(allowed is before for allowed in model.allowed)
    assert model.lstm.allowed
    assert bool(model.allowed) is not fails
    with torch.no_grad(), pytest.raises(RuntimeError) if fails else nullcontext():
        model(pictures())
    assert model.lstm.allowed[-1] is before


def test_an_interrupt_within_a_recurrent_layer_leaves_cudnn_on(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "enabled", True)
    model = Reading(fails=KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        xaicore.explain(model, pictures())
    assert torch.backends.cudnn.enabled


def test_the_hash_of_the_weights_is_theirs():
    def hash_of(model):
        return xaicore.plugins.installed().backend(model).weights_hash()

    model = training()
    known = hash_of(model)
    assert known == hash_of(training()) == hash_of(nn.DataParallel(model))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    xaicore.explain(model, pictures())
    assert hash_of(model) == known
    for name in ("conv.weight", "bn.running_mean", "calls"):
        model.load_state_dict(before)
        model.state_dict()[name].view(-1)[0] += 1
        assert hash_of(model) != known
    model.load_state_dict(before)
    model.cache += 1  # a buffer that is not saved
    assert hash_of(model) == known
    assert len({known, hash_of(model.half()), hash_of(model.to(torch.bfloat16))}) == 3
    assert hash_of(nn.Sequential(nn.LazyConv2d(3, 3))) is None
    assert hash_of(nn.Conv2d(3, 3, 3, device="meta")) is None
