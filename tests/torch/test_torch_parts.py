"""Answers of any form: which axis holds the classes, parts by name, functions of the answer; all against autograd."""

import warnings
from collections import namedtuple
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import xaicore
from xaicore.outputs import Output
from xaicore_torch import answers
from xaicore_torch.backend import TorchBackend

CLOSE = {"rtol": 1e-5, "atol": 1e-7}
N, K, T, V = 2, 3, 5, 7

X = torch.rand(N, 3, 12, 16, generator=torch.Generator().manual_seed(1))


class Net(nn.Module):
    """A convolution, and a head that makes the answer of its map (N, 4, 12, 16)."""

    def __init__(self, answer=lambda y: y, head=None, **layers):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.head = head
        self.more = nn.ModuleDict(layers)
        self.answer = answer
        self.eval()

    def forward(self, x):
        y = self.conv(x).relu()
        y = y if self.head is None else self.head(y)
        return self.answer(y, **self.more)


def steps(y):
    """(N, 4, 12, 16) as (N, T, 48)."""
    return functional.adaptive_avg_pool2d(y, (12, T)).flatten(1, 2).transpose(1, 2)


def pulled(model, x, of_answer, direction):
    """(N, K, *conv): plain autograd of a direction (N, K, *O) of what a function makes of the answer."""
    kept = []
    handle = model.conv.register_forward_hook(lambda module, args, output: kept.append(output))
    y = of_answer(model(x))
    handle.remove()
    found = [
        torch.autograd.grad(y, kept, torch.from_numpy(direction[:, k].copy()), retain_graph=True)[0].numpy()
        for k in range(direction.shape[1])
    ]
    return np.stack(found, axis=1)


def rows(shape, seed=2):
    return np.random.default_rng(seed).normal(size=(shape[0], K, *shape[1:])).astype(np.float32)


def check(model, x, of_answer, output=None, **options):
    """A pass with a random direction: outputs and gradients are those of `of_answer(answer)`, in this order of axes."""
    backend = TorchBackend(model, output)
    facts = backend.observe(x)
    expected = of_answer(model(x)).detach()
    direction = rows(expected.shape)
    seen = []

    def aim(outputs, kind, *parts):
        seen.append((outputs, kind, parts))
        return direction

    capture = backend.capture(x, ["conv"], aim, **options)
    np.testing.assert_allclose(seen[0][0], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(capture.gradients["conv"], pulled(model, x, of_answer, direction), rtol=1e-4, atol=1e-7)
    return facts, capture


# Which axis holds the classes.


class Decoder(nn.Module):
    """A captioner: the picture is the state in which an LSTM begins to read words."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.start = nn.Linear(4, 6)
        self.embed = nn.Embedding(V, 6)
        self.lstm = nn.LSTM(6, 6, batch_first=True)
        self.words = nn.Linear(6, V)

    def forward(self, image, tokens):
        state = self.start(self.conv(image).relu().mean((2, 3)))[None]
        return self.words(self.lstm(self.embed(tokens), (state, state.tanh()))[0])


class CellDecoder(Decoder):
    """The same with a loop over the words."""

    def __init__(self):
        super().__init__()
        self.cell = nn.LSTMCell(6, 6)

    def forward(self, image, tokens):
        h = c = self.start(self.conv(image).relu().mean((2, 3)))
        scores = []
        for token in tokens.T:
            h, c = self.cell(self.embed(token), (h, c))
            scores.append(self.words(h))
        return torch.stack(scores, dim=1)


TOKENS = torch.tensor([[0, 3, 2, 6, 1], [0, 1, 5, 2, 4]])


@pytest.mark.parametrize("decoder", [Decoder, CellDecoder])
def test_a_captioner(decoder, unchanged):
    model = decoder()
    x = (X, TOKENS)
    backend = TorchBackend(model)
    assert backend.observe(x).class_axis == 2
    with unchanged(model):
        found = xaicore.explain(model, x, xaicore.targets.Words(TOKENS[:, 1:], start=0), layer="conv")
    kept = []
    model.eval()
    handle = model.conv.register_forward_hook(lambda module, args, output: kept.append(output))
    y = model(*x)
    handle.remove()
    p = y.softmax(2)
    for n in range(N):
        for t in range(T - 1):
            row = n * (T - 1) + t
            token = TOKENS[n, t + 1]
            (gradient,) = torch.autograd.grad(y[n, t, token], kept, retain_graph=True)
            expected = (kept[0][n] * gradient[n].mean((1, 2))[:, None, None]).sum(0).relu().detach().numpy()
            np.testing.assert_allclose(found.maps[row], expected, rtol=1e-4, atol=1e-8)
            np.testing.assert_allclose(found.scores[row], p[n, t, token].item(), rtol=1e-5)
            assert found.targets[row] == token
    assert (found.maps.reshape(N, T - 1, -1).max(-1) > 0).sum() > T


CONV = nn.Conv2d(4, 6, 1)
HEADS = {
    "dense last": (Net(lambda y, f: f(steps(y)), f=nn.Linear(48, V)), 2),
    "dense, transposed": (Net(lambda y, f: f(steps(y)).transpose(1, 2), f=nn.Linear(48, V)), 1),
    "dense, softmax": (Net(lambda y, f: f(steps(y)).softmax(2), f=nn.Linear(48, V)), 2),
    "dense, softmax, transposed": (Net(lambda y, f: f(steps(y)).softmax(-1).mT, f=nn.Linear(48, V)), 1),
    "dense, sigmoid": (Net(lambda y, f: f(steps(y)).sigmoid(), f=nn.Linear(48, V)), 2),
    "dense, dropout, scale": (
        Net(lambda y, f, d: d(f(steps(y))) * 3 + 1, f=nn.Linear(48, V), d=nn.Dropout(0.3)),
        2,
    ),
    "dense, ReLU": (Net(lambda y, f: f(steps(y)).relu(), f=nn.Linear(48, V)), 2),
    "as many steps as classes": (Net(lambda y, f: f(steps(y)), f=nn.Linear(48, T)), 2),
    "two classes, softmax": (Net(lambda y, f: f(steps(y)).softmax(2), f=nn.Linear(48, 2)), 2),
    "norm last": (Net(lambda y, f: f(steps(y)), f=nn.LayerNorm(48)), 2),
    "a 1-D convolution": (Net(lambda y, f: f(steps(y).mT), f=nn.Conv1d(48, V, 1)), 1),
    "a 1-D convolution, transposed, log-softmax": (
        Net(lambda y, f: f(steps(y).mT).mT.log_softmax(2), f=nn.Conv1d(48, V, 1)),
        2,
    ),
    "convolution": (Net(head=nn.Conv2d(4, V, 1)), 1),
    "convolution, channels last": (Net(lambda y: y.permute(0, 2, 3, 1), nn.Conv2d(4, V, 1)), 3),
    "convolution, resized": (
        Net(lambda y: functional.interpolate(y, (24, 30), mode="bilinear"), nn.Conv2d(4, V, 3)),
        1,
    ),
    "softmax over positions": (Net(lambda y: y.flatten(2).softmax(2), nn.Conv2d(4, V, 1)), 1),
    "levels beside each other": (
        Net(lambda y: torch.cat([y.flatten(2), functional.avg_pool2d(y, 2).flatten(2)], 2), nn.Conv2d(4, V, 1)),
        1,
    ),
    "boxes before classes": (
        Net(
            lambda y, b, c: torch.cat([b(y).flatten(2).exp(), c(y).flatten(2).sigmoid()], 1),
            b=nn.Conv2d(4, 4, 1),
            c=nn.Conv2d(4, V, 1),
        ),
        1,
    ),
    "a score per class": (Net(lambda y: y.mean((2, 3), keepdim=True), nn.Conv2d(4, V, 1)), 1),
    "a product of two": (
        Net(
            lambda y, q, p: torch.einsum("nqc,nchw->nqhw", q(steps(y)), p(y)), q=nn.Linear(48, 6), p=nn.Conv2d(4, 6, 1)
        ),
        None,
    ),
    "a row of all": (Net(lambda y, f: f(y.mean((2, 3))).unflatten(1, (T, V)), f=nn.Linear(4, T * V)), None),
    "a functional product": (Net(lambda y, f: steps(f(y)) @ torch.ones(48, V), f=nn.Conv2d(4, 4, 1)), None),
}


@pytest.mark.parametrize("name", HEADS)
def test_the_axis_of_the_classes(name, unchanged):
    model, axis = HEADS[name]
    with unchanged(model):
        assert TorchBackend(model).observe(X).class_axis == axis
    if axis is None:
        with pytest.raises(xaicore.OutputError, match="nothing in the model says which axis holds the classes: pass"):
            xaicore.explain(model, X, xaicore.targets.Value((1, 1)), layer="conv")
        return
    if "softmax" in name and "positions" not in name:
        return
    if "sigmoid" not in name:
        check(model, X, lambda y: y.movedim(axis, 1))


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("axes", [None, "nlc", "lnc", "cnl"])
def test_a_softmax_over_the_classes_is_the_link(name, axes):
    """The pull-back starts below it, on whatever axis the classes are."""
    order = {None: (0, 1, 2), "nlc": (0, 1, 2), "lnc": (1, 0, 2), "cnl": (2, 0, 1)}[axes]
    softmax = {"softmax": torch.softmax, "log_softmax": torch.log_softmax}[name]
    at = order.index(2)
    model = Net(lambda y, f: softmax(f(steps(y)).permute(order), at), f=nn.Linear(48, V))
    logits = Net(lambda y, f: f(steps(y)), f=model.more["f"])
    backend = TorchBackend(model, None if axes is None else Output(axes=axes))
    assert backend.observe(X).link == "softmax"
    assert backend.observe(X).class_axis == {"cnl": 1}.get(axes, 2)
    direction = rows((N, V, T))
    capture = backend.capture(X, ["conv"], lambda *_: direction)
    assert (capture.outputs_kind, capture.link) == ("logits", "softmax")
    expected = logits(X).log_softmax(2).mT.detach()
    np.testing.assert_allclose(capture.outputs, expected, rtol=1e-5, atol=1e-6)
    plain = pulled(logits, X, lambda y: y.mT, direction)
    np.testing.assert_allclose(capture.gradients["conv"], plain, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(
    ("axes", "order"),
    [("nlc", (0, 1, 2)), ("lnc", (1, 0, 2)), ("ncl", (0, 2, 1)), ("cln", (2, 1, 0)), ("lcn", (1, 2, 0))],
)
def test_axes_that_the_caller_names(axes, order):
    model = Net(lambda y, f: f(steps(y)).permute(order), f=nn.Linear(48, V))
    back = ["nlc".index(letter) for letter in axes]
    assert back == list(order)
    facts, capture = check(
        model, X, lambda y: y.permute([axes.index(letter) for letter in "ncl"]), Output(axes=axes), parts=True
    )
    part = capture.parts[0]
    assert len(part) == N
    np.testing.assert_array_equal(np.moveaxis(part, facts.class_axis, 1), capture.outputs)
    again = TorchBackend(model, Output(axes=axes))
    capture = again.capture(X, ["conv"])
    twice = np.repeat(capture.activations["conv"], 2, axis=0)
    np.testing.assert_allclose(
        again.resume(X, "conv", twice), np.repeat(capture.outputs, 2, axis=0), rtol=1e-5, atol=1e-6
    )


def test_axes_other_than_those_of_the_layers_are_reported():
    model = Net(lambda y, f: f(steps(y)), f=nn.Linear(48, V))
    said = r"axis 1 of the output holds .* channels along axis 2: if these are the classes, pass output_axes='nlc'"
    with pytest.warns(RuntimeWarning, match=said):
        xaicore.explain(model, X, xaicore.targets.Word(1), layer="conv", output_axes="ncl")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        xaicore.explain(model, X, xaicore.targets.Word(1), layer="conv", output_axes="nlc")
        unknown = Net(lambda y, f: f(steps(y)).cumsum(2), f=nn.Linear(48, V))
        xaicore.explain(unknown, X, xaicore.targets.Word(1), layer="conv", output_axes="ncl")


def test_ctc_reads_time_first():
    """(T, N, C) in log-probabilities, as torch's CTCLoss takes them."""
    model = Net(lambda y, f: f(steps(y)).transpose(0, 1).log_softmax(2), f=nn.Linear(48, V))
    with torch.no_grad():
        model.more["f"].weight.mul_(8)
    with pytest.raises(xaicore.BackendError, match=r"\(5, 2, 7\) for 2 images.*output_axes=, such as 'lnc'"):
        xaicore.explain(model, X, xaicore.targets.CTC(), layer="conv")
    found = xaicore.explain(model, X, xaicore.targets.CTC(), layer="conv", output_axes="lnc")
    kept = []
    handle = model.conv.register_forward_hook(lambda module, args, output: kept.append(output))
    y = model.more["f"](steps(model(X) is None or kept[0].relu()))
    handle.remove()
    read = y[0].argmax(1).tolist()
    runs = [t for t in range(T) if read[t] and (t == 0 or read[t] != read[t - 1])]
    assert runs
    for k, first in enumerate(runs):
        last = next((t for t in range(first, T) if read[t] != read[first]), T)
        (gradient,) = torch.autograd.grad(y[0, first:last, read[first]].mean(), kept, retain_graph=True)
        expected = (kept[0][0] * gradient[0].mean((1, 2))[:, None, None]).sum(0).relu().detach().numpy()
        np.testing.assert_allclose(found.maps[k], expected, rtol=1e-4, atol=1e-8)


def test_a_score_map_without_classes():
    model = Net(lambda y: y[:, 0], nn.Conv2d(4, 1, 1))
    with pytest.raises(xaicore.OutputError, match="nothing in the model says which axis"):
        xaicore.explain(model, X, xaicore.targets.Value((1, 1)), layer="conv")
    _, capture = check(model, X, lambda y: y[:, None], Output(axes="nhw"))
    assert capture.outputs.shape == (N, 1, 12, 16)


def test_axes_that_do_not_fit():
    model = Net(lambda y, f: f(steps(y)), f=nn.Linear(48, V))
    with pytest.raises(xaicore.OutputError, match=r"output_axes='nc': the output has shape \(1, 5, 7\), 3 axes"):
        xaicore.explain(model, X, 1, output_axes="nc", layer="conv")
    with pytest.raises(xaicore.OutputError, match=r"'lnc': axis 1 of the output \(1, 5, 7\) has no row for each of 1"):
        xaicore.explain(model, X, 1, output_axes="lnc", layer="conv")


def test_later_passes_know_the_axis():
    """Starting at a layer, and second derivatives."""
    model = Net(lambda y, f: f(steps(y)).tanh(), f=nn.Linear(48, V))
    backend = TorchBackend(model)
    capture = backend.capture(X, ["conv"])
    backend.observe(X)
    capture = backend.capture(X, ["conv"])
    assert capture.outputs.shape == (N, V, T)
    changed = np.concatenate([capture.activations["conv"] * scale for scale in (1.0, 0.5)]).astype(np.float32)
    changed = changed.reshape(2, N, *changed.shape[1:]).swapaxes(0, 1).reshape(-1, *changed.shape[1:])
    expected = model.more["f"](steps(torch.from_numpy(changed).relu())).tanh().mT.detach()
    np.testing.assert_allclose(backend.resume(X, "conv", changed), expected, rtol=1e-5, atol=1e-6)
    direction = rows((N, V, T))
    found = backend.second(X, "conv", lambda *_: direction)
    a = model.conv(X).detach().requires_grad_()
    for k in range(K):
        score = (model.more["f"](steps(a.relu())).tanh().mT * torch.from_numpy(direction[:, k].copy())).sum()
        (gradient,) = torch.autograd.grad(score, a, create_graph=True)
        (product,) = torch.autograd.grad((gradient * a.detach()).sum(), a)
        np.testing.assert_allclose(found[:, k], product, rtol=1e-4, atol=1e-7)


# Forms of answers.


@dataclass
class Answered:
    scores: Any
    hidden: Any = None


Named = namedtuple("Named", ["first", "second"])

FORMS = {
    "dataclass": (lambda y, f: Answered(f(y), (y, y)), "scores", lambda a: a.scores),
    "dataclass, inside": (lambda y, f: Answered(y, {"out": [f(y)]}), "hidden", lambda a: a.hidden["out"][0]),
    "named tuple": (lambda y, f: Named(y, f(y)), "second", lambda a: a.second),
    "nested": (lambda y, f: {"a": [y, (f(y), y)], "b": None}, "a.1.0", lambda a: a["a"][1][0]),
    "nested, position": (lambda y, f: ([y, f(y)], y), "0.1", lambda a: a[0][1]),
    "logits": (lambda y, f: {"logits": f(y), "hidden": [y, y]}, None, lambda a: a["logits"]),
}


@pytest.mark.parametrize("name", FORMS)
def test_an_output_inside_of_an_answer(name):
    answer, output, read = FORMS[name]
    model = Net(answer, nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten()), f=nn.Linear(16, V))
    check(model, X, read, output)


def detect(y, f, ragged="dicts", count=(4, 2)):
    """Boxes and scores, of which each image has its own number."""
    found = []
    for row, k in zip(f(steps(y)), count, strict=False):
        found.append({"boxes": row[:k, :4].exp(), "labels": row[:k].argmax(1), "scores": row[:k, 4].sigmoid()})
    return found if ragged == "dicts" else {key: [one[key] for one in found] for key in found[0]}


@pytest.mark.parametrize("count", [(4, 2), (1, 2), (2, 2), (0, 3)])
@pytest.mark.parametrize("ragged", ["dicts", "lists"])
def test_each_image_has_its_own_number_of_boxes(ragged, count, unchanged):
    """They are filled up with zeros, whose gradient is zero."""
    model = Net(lambda y, f: detect(y, f, ragged, count), f=nn.Linear(48, V))
    most = max(count)

    def of_answer(answer):
        scores = [one["scores"] for one in answer] if ragged == "dicts" else answer["scores"]
        return torch.stack([torch.cat([one, torch.zeros(most - len(one))]) for one in scores])

    with unchanged(model):
        facts, capture = check(model, X, of_answer, parts=True)
    assert (facts.output, facts.class_axis) == ("scores", 1)
    assert facts.outputs["boxes"] == (1, count[0], 4)
    answer = detect(model.conv(X).relu(), model.more["f"], "lists", count)
    assert list(capture.parts) == ["boxes", "labels", "scores"]
    for name, expected in answer.items():
        assert [len(one) for one in capture.parts[name]] == list(count)
        for one, other in zip(capture.parts[name], expected, strict=True):
            np.testing.assert_allclose(one, other.detach(), rtol=1e-6)
    assert capture.parts["labels"][1].dtype == np.int64


def test_boxes_without_a_target_are_refused_with_one():
    model = Net(detect, f=nn.Linear(48, V))
    with pytest.raises(
        xaicore.OutputError, match=r"'scores' \(1, 4\) holds scores.*targets=xaicore.targets.Boxes\(3\)"
    ):
        xaicore.explain(model, X, layer="conv")


# Parts beside the explained one.


def test_parts_are_copied_to_the_host_when_they_are_read(monkeypatch):
    copied = []
    array = answers._array
    monkeypatch.setattr(answers, "_array", lambda tensor: copied.append(tuple(tensor.shape)) or array(tensor))
    model = Net(lambda y, f: {"logits": f(y.mean((2, 3))), "hidden": [y, y * 2], "loss": y.sum()}, f=nn.Linear(4, V))
    backend = TorchBackend(model)
    capture = backend.capture(X, ["conv"], lambda outputs, kind: rows(outputs.shape))
    assert dict(capture.parts) == {}
    assert not copied

    def direction(outputs, kind, parts):
        assert list(parts) == ["logits", "hidden.0", "hidden.1"]  # no loss
        assert "hidden.0" in parts
        assert not copied
        np.testing.assert_array_equal(parts["hidden.1"], 2 * model.conv(X).relu().detach())
        return rows(outputs.shape)

    capture = backend.capture(X, ["conv"], direction, parts=True)
    assert copied == [(N, 4, 12, 16)]
    np.testing.assert_array_equal(capture.parts["logits"], capture.outputs)
    assert len(capture.parts) == 3
    assert backend.capture(X, [], parts=True).parts["hidden.0"].shape == (N, 4, 12, 16)


class Beside(xaicore.Target):
    """The output where another one is largest."""

    needs_parts = True

    def aim(self, outputs, kind, answer=None):
        best = answer.parts["other"].argmax(1)
        direction = np.eye(outputs.shape[1], dtype=np.float32)[best][:, None]
        return xaicore.targets.Aim(direction, best[:, None])


def test_a_target_reads_another_output(unchanged):
    model = Net(lambda y, f, g: {"logits": f(y), "other": g(y)}, nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten()))
    model.more.update({"f": nn.Linear(16, V), "g": nn.Linear(16, V)})
    with unchanged(model):
        found = xaicore.explain(model, X, Beside(), layer="conv")
    best = model(X)["other"].argmax(1)
    assert found.targets.tolist() == best.tolist()
    direction = np.eye(V, dtype=np.float32)[best.numpy()][:, None]
    gradient = pulled(model, X, lambda a: a["logits"], direction)[:, 0]
    a = model.conv(X).detach().numpy()
    expected = np.maximum((a * gradient.mean((2, 3), keepdims=True)).sum(1), 0)
    np.testing.assert_allclose(found.maps, expected, rtol=1e-4, atol=1e-8)
    occluded = xaicore.explain(model, X, Beside(), layer="conv", method="scorecam", progress=False)
    assert occluded.targets.tolist() == best.tolist()


# Functions of the answer.


def test_an_output_that_a_function_reads():
    model = Net(lambda y, f: Answered(f(steps(y)), y), f=nn.Linear(48, V))

    def read(answer):
        return answer.scores.softmax(2).square().sum(1)

    facts, _ = check(model, X, read, Output(read=read))
    assert (facts.output, facts.class_axis, facts.link) == (None, 1, None)
    check(model, X, lambda a: a.scores.mT, Output(read=lambda a: a.scores))
    check(model, X, lambda a: a.scores.mT, Output(axes="lnc", read=lambda a: a.scores.transpose(0, 1)))


def test_scores_are_explained_as_they_are(unchanged):
    model = Net(lambda y, f: f(y.mean((2, 3))), f=nn.Linear(4, V))
    target = xaicore.targets.Score(lambda y: y.softmax(1)[:, :2], names=["first", "second"])
    with unchanged(model):
        found = xaicore.explain(model, X, target, layer="conv")
    expected = model(X).softmax(1)[:, :2].detach()
    np.testing.assert_allclose(found.scores.reshape(N, 2), expected, rtol=1e-5)
    direction = np.broadcast_to(np.eye(2, dtype=np.float32), (N, 2, 2))
    gradient = pulled(model, X, lambda y: y.softmax(1)[:, :2], direction)
    a = model.conv(X).detach().numpy()[:, None]
    maps = np.maximum((a * gradient.mean((3, 4), keepdims=True)).sum(2), 0)
    np.testing.assert_allclose(found.maps.reshape(maps.shape), maps, rtol=1e-4, atol=1e-9)
    whole = xaicore.explain(model, X, xaicore.targets.Score(lambda y: y.softmax(1)), layer="conv")
    np.testing.assert_allclose(whole.scores.reshape(N, V), model(X).softmax(1).detach(), rtol=1e-5)


def test_a_function_that_fails_says_what_the_model_returned(unchanged):
    model = Net(lambda y, f: {"out": f(steps(y))}, f=nn.Linear(48, V))

    def wrong(answer):
        return answer["logits"]

    with unchanged(model), pytest.raises(xaicore.OutputError, match=r"function wrong .* KeyError.*'out' \(1, 5, 7\)"):
        xaicore.explain(model, X, output=wrong)
    for returned, said in ((None, "a NoneType"), (3.0, "a float"), (torch.ones(N).argsort(), r"int64 \(2,\)")):
        with pytest.raises(xaicore.OutputError, match=f"function <lambda> .* returned {said}"):
            xaicore.explain(model, X, output=lambda answer, returned=returned: returned)
    with pytest.raises(xaicore.BackendError, match=r"returned \(\) for 2 images"):
        xaicore.explain(model, X, output=lambda answer: answer["out"].sum())


def test_the_classes_of_a_configuration():
    model = Net(lambda y: y.mean((2, 3)))
    assert TorchBackend(model).observe(X).class_count is None
    model.config = type("Config", (), {"num_labels": 91})()
    assert TorchBackend(model).observe(X).class_count == 91


@pytest.mark.parametrize("axes", [(1, 0, 2), (2, 1, 0), (1, 2, 0)])
def test_as_many_steps_as_images(axes):
    """(T, N, C), T = N: one image shows that the first axis does not hold the images."""
    model = Net(lambda y, f: f(steps(y)).permute(axes), f=nn.Linear(48, T))
    x = torch.rand(T, 3, 12, 16, generator=torch.Generator().manual_seed(3))
    with pytest.raises(xaicore.BackendError, match=r"for 1 images.*output_axes=, such as 'lnc'"):
        xaicore.explain(model, x, xaicore.targets.Word(1, 2), layer="conv")
    letters = "".join("nlc"[axis] for axis in axes)
    found = xaicore.explain(model, x, xaicore.targets.Word(1, 2), layer="conv", output_axes=letters)
    of_images = Net(lambda y, f: f(steps(y)), f=model.more["f"])
    np.testing.assert_allclose(found.maps, xaicore.explain(of_images, x, xaicore.targets.Word(1, 2), layer="conv").maps)


def test_a_model_of_one_batch_size_that_fills_it_up():
    """One image gives as many rows as there are images, none of them on another axis."""
    fixed = Net(lambda y: torch.cat([y.mean((2, 3)), y.new_zeros(N - len(y), 4)]), nn.Conv2d(4, 4, 1))
    plain = Net(lambda y: y.mean((2, 3)), fixed.head)
    expected = xaicore.explain(plain, X, 1, layer="conv").maps
    np.testing.assert_allclose(xaicore.explain(fixed, X, 1, layer="conv").maps, expected)


def test_a_score_map_of_one_class_has_its_classes_on_the_axis_of_one_element():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 1, 1)).eval()
    x = torch.rand(2, 3, 6, 8)
    explanation = xaicore.explain(net, x, xaicore.targets.Region(1, where=None), layer="0")
    kept = net[0](x)
    (gradient,) = torch.autograd.grad(net[2](net[1](kept)).mean(dim=(1, 2, 3)).sum(), kept)
    expected = (gradient.mean((2, 3), keepdim=True) * kept).sum(1).relu().detach().numpy()
    np.testing.assert_allclose(explanation.maps, expected, atol=1e-6)


@pytest.mark.parametrize("target", [xaicore.targets.Region(1, (0, 0, 4, 6)), 1])
def test_regions_are_not_looked_for_in_mirrored_pictures(target):
    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 1)).eval()
    with pytest.raises(xaicore.InputError, match=r"augment= mirrors and scales the pictures, .*leave augment="):
        xaicore.explain(net, torch.rand(1, 3, 6, 8), target, layer="0", augment="hflip")


def test_a_score_of_any_callable_is_kept_for_its_explainer():
    class Unhashable:
        __hash__ = None

        def __call__(self, answer):
            return answer.square().sum(1)

    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    x, score = torch.rand(2, 3, 6, 8), xaicore.targets.Score(Unhashable())
    explainer = xaicore.Explainer(net, layer="0")
    np.testing.assert_allclose(explainer(x, score).scores, net(x).square().sum(1).detach(), rtol=1e-5)
    np.testing.assert_array_equal(explainer(x, score).maps, explainer(x, score).maps)
