"""The activation that ends a model, and what moves or selects its values behind it: maps are those of its logits."""

import numpy as np
import pytest
import torch
from torch import nn

import xaicore
from xaicore_torch.backend import TorchBackend
from xaicore_torch.links import find_link

CLOSE = {"rtol": 1e-5, "atol": 1e-7}

X = torch.rand(2, 3, 4, 6, generator=torch.Generator().manual_seed(1))


class Net(nn.Module):
    """Scores (N, 5, 4, 6) of a picture (N, 3, 4, 6), and what the end makes of them."""

    def __init__(self, end=lambda z: z):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.scores = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 5, 1)
        self.end = end
        self.eval()

    def forward(self, x):
        return self.end(self.scores(self.conv(x).relu()))


def of_scores(weights):
    """(N, K, *conv): plain autograd of K sums of the scores, of weights (N, K, 5, 4, 6)."""
    model, kept = Net(), []
    handle = model.conv.register_forward_hook(lambda module, args, output: kept.append(output))
    z = model(X)
    handle.remove()
    found = [torch.autograd.grad(z, kept, weights[:, k], retain_graph=True)[0] for k in range(weights.shape[1])]
    return torch.stack(found, 1).numpy()


def as_it_was(direction):
    return torch.from_numpy(np.ascontiguousarray(direction))


# The end, the link, the output's axes, and how weights of outputs (N, K, *O) become weights of the scores.
MOVED = {
    "softmax, permuted": (lambda z: z.softmax(1).permute(0, 2, 3, 1), "softmax", "nhwc", as_it_was),
    "log_softmax, permuted": (lambda z: z.log_softmax(1).permute(0, 2, 3, 1), "softmax", "nhwc", as_it_was),
    "sigmoid, permuted": (lambda z: z.sigmoid().permute(0, 2, 3, 1), "sigmoid", "nhwc", as_it_was),
    "softmax, moved and copied": (
        lambda z: z.softmax(1).flatten(2).transpose(1, 2).contiguous(),
        "softmax",
        "nlc",
        lambda d: as_it_was(d).reshape(2, -1, 5, 4, 6),
    ),
    "images to the front": (
        lambda z: z.permute(2, 3, 0, 1).flatten(0, 1).log_softmax(-1).transpose(0, 1),
        "softmax",
        "nlc",
        lambda d: as_it_was(d).reshape(2, -1, 5, 4, 6),
    ),
    "positions dropped": (
        lambda z: z.softmax(1)[:, :, 1:, 2].transpose(1, 2),
        "softmax",
        "nlc",
        lambda d: nn.functional.pad(as_it_was(d)[..., None], (2, 3, 1, 0)),
    ),
    "one position": (
        lambda z: z.log_softmax(1)[:, :, 3, 2],
        "softmax",
        "nc",
        lambda d: nn.functional.pad(as_it_was(d)[..., None, None], (2, 3, 3, 0)),
    ),
    "rows and columns of one length": (
        lambda z: z[..., :4].softmax(1).transpose(2, 3),
        "softmax",
        "nchw",
        lambda d: nn.functional.pad(as_it_was(d).transpose(-1, -2), (0, 2)),
    ),
}


@pytest.mark.parametrize("name", MOVED)
def test_gradients_are_those_of_the_logits(name):
    end, link, axes, to_scores = MOVED[name]
    backend, given = TorchBackend(Net(end), xaicore.outputs.Output(axes=axes)), []

    def direction(outputs, kind):
        given.append(outputs)
        rng = np.random.default_rng(3)
        return rng.normal(size=(2, 3, *outputs.shape[1:])).astype(np.float32)

    backend.observe(X)
    capture = backend.capture(X, ["conv"], direction)
    assert (capture.outputs_kind, capture.link) == ("logits", link)
    weights = to_scores(direction(*given, "logits"))
    np.testing.assert_allclose(capture.gradients["conv"], of_scores(weights), **CLOSE)

    with torch.no_grad():
        z = of_outputs(Net()(X), to_scores, capture.outputs.shape)
    shift = z - capture.outputs
    np.testing.assert_allclose(shift, 0 if link == "sigmoid" else shift[:, :1].repeat(5, 1), atol=1e-5)
    np.testing.assert_allclose(TorchBackend(Net(end), backend.output).predict(X), capture.outputs, rtol=1e-6)


def of_outputs(z, to_scores, shape):
    """The scores in the outputs' places, found by weights of one element each."""
    count = int(np.prod(shape[1:]))
    ones = to_scores(
        np.broadcast_to(np.eye(count, dtype=np.float32).reshape(1, count, *shape[1:]), (2, count, *shape[1:]))
    )
    return (z[:, None] * ones).flatten(2).sum(2).numpy().reshape(shape)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_more_values_than_a_type_counts(dtype):
    """300 rows: their numbers exceed what bfloat16 holds exactly."""
    z = torch.randn(2, 300, 3, generator=torch.Generator().manual_seed(0)).to(dtype).requires_grad_()
    y = z.softmax(2).transpose(1, 2)
    end = find_link(y)
    assert end.link == "softmax"
    expected = torch.arange(1800).reshape(2, 3, 300).transpose(1, 2).reshape(-1)
    np.testing.assert_array_equal(end.order, expected)


@pytest.mark.parametrize(
    ("end", "class_axis", "kind", "link"),
    [
        (lambda z: z.softmax(2).transpose(1, 2), 2, "logits", None),  # over positions
        (lambda z: z.softmax(2).transpose(1, 2), 1, "logits", "softmax"),
        (lambda z: z.softmax(1).transpose(1, 2)[:, :, 1:], 2, "probabilities", None),  # some of the classes
        (lambda z: z.log_softmax(1).transpose(1, 2)[:, :, 1:], 2, "logits", None),
        (lambda z: z.softmax(1)[:, 1], 1, "probabilities", None),  # one class at each position
        (lambda z: z.softmax(2)[:, :2].transpose(1, 2), 2, "logits", None),  # over positions, some of the classes
        (lambda z: z.softmax(1).transpose(1, 2).clamp(0.1, 0.9), 2, "probabilities", None),
        (lambda z: z.softmax(1).transpose(1, 2)[:, [0, 0, 1]], 2, "probabilities", None),
        (lambda z: z.sigmoid().transpose(1, 2), 2, "logits", "sigmoid"),
        (lambda z: z.sigmoid().transpose(1, 2)[:, :, :2], 2, "probabilities", None),
        (lambda z: z.sigmoid().transpose(1, 2).clamp(0.1, 0.9), 2, "probabilities", None),
    ],
)
def test_what_is_a_link(end, class_axis, kind, link):
    z = torch.randn(2, 3, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    found = find_link(end(z), class_axis)
    assert (found.kind, found.link, found.start is not None) == (kind, link, link is not None)


def test_the_words_of_a_captioner_that_returns_classes_first():
    """(N, words, tokens) for nn.NLLLoss, which wants tokens on axis 1: the maps are those of each token's logit."""

    def end(z):
        return z.flatten(2).transpose(1, 2).log_softmax(-1).transpose(1, 2)

    explanation = xaicore.explain(Net(end), X, xaicore.targets.Words(stop=6), layer="conv", method="hirescam")
    with torch.no_grad():
        tokens = Net()(X).flatten(2).argmax(1)[:, :6]
        a = nn.functional.conv2d(X, Net().conv.weight, Net().conv.bias, padding=1)
    weights = torch.zeros(2, 6, 5, 24)
    for n, k in np.ndindex(2, 6):
        weights[n, k, tokens[n, k], k] = 1
    expected = (a[:, None].numpy() * of_scores(weights.reshape(2, 6, 5, 4, 6))).sum(2).clip(0)
    assert expected.any(axis=(2, 3)).sum() > 4
    np.testing.assert_allclose(explanation.maps.reshape(expected.shape), expected, **CLOSE)


def test_the_axis_of_the_classes_in_half_precision():
    """Rounded gradients of a softmax do not sum to zero: the channels are found below it."""
    model = Net(lambda z: z.flatten(2).log_softmax(1).transpose(1, 2)).to(torch.bfloat16)
    facts = TorchBackend(model).observe(X.to(torch.bfloat16))
    assert (facts.class_axis, facts.link) == (2, "softmax")


class Steps(nn.Module):
    """Words made one after the other: `join` puts (N, tokens) of each step into (N, words, tokens)."""

    def __init__(self, join, link=lambda z: z, feeds_back=False):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.cell = nn.Conv2d(3, 5, 3, padding=1), nn.RNNCell(5, 8)
        self.head, self.back = nn.Linear(8, 7), nn.Linear(7, 5)
        self.join, self.link, self.feeds_back = join, link, feeds_back

    def forward(self, x):
        picture = given = self.conv(x).mean((2, 3))
        state, steps = None, []
        for _ in range(4):
            state = self.cell(given, state)
            steps.append(self.link(self.head(state)))
            given = self.back(steps[-1].exp()) if self.feeds_back else picture
        return self.join(steps)


def written(steps):
    y = torch.zeros(len(steps[0]), len(steps), 7)
    for t, step in enumerate(steps):
        y[:, t] = step
    return y


JOINED = {
    "stack": lambda steps: torch.stack(steps, 1),
    "cat": lambda steps: torch.cat([step[:, None] for step in steps], 1),
    "written": written,
    "tokens first": lambda steps: torch.stack(steps, 2),
    "turned": lambda steps: torch.stack(steps).transpose(0, 1),
}


def of_words(model, tokens=None):
    """The maps of every word by hirescam, and what they are computed from: outputs and layer."""
    output = xaicore.outputs.Output(axes="ncl" if model.join is JOINED["tokens first"] else "nlc")
    return xaicore.explain(model, X, xaicore.targets.Words(tokens), layer="conv", method="hirescam", output=output)


@pytest.mark.parametrize("link", ["softmax", "log_softmax"])
@pytest.mark.parametrize("join", JOINED)
def test_the_softmax_of_each_step(join, link, unchanged):
    """The words' maps are those of the logits, and their scores are probabilities."""
    logits, model = Steps(JOINED[join]), Steps(JOINED[join], lambda z: getattr(z, link)(-1))
    expected = of_words(logits)
    with unchanged(model):
        found = of_words(model)
    assert expected.maps.any(axis=(1, 2)).sum() > 4
    np.testing.assert_allclose(found.maps, expected.maps, **CLOSE)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-5)
    assert found.outputs_kind == "logits"


@pytest.mark.parametrize("copied", [lambda p: p, torch.clone, lambda p: p[:, None].squeeze(1)])
def test_a_softmax_that_the_next_step_reads(copied):
    """Its node also hands on the gradient of later words, maybe from a copy: it is a part of the model."""
    model = Steps(JOINED["stack"], lambda z: copied(z.log_softmax(-1)), feeds_back=True)
    a = model.conv(X).detach().requires_grad_()
    handle = model.conv.register_forward_hook(lambda *args: a)
    y = model(X)
    handle.remove()
    tokens = y.argmax(2)
    expected = []
    for n, k in np.ndindex(2, 4):
        (gradient,) = torch.autograd.grad(y[n, k, tokens[n, k]], a, retain_graph=True)
        expected.append((a * gradient)[n].sum(0).relu().detach().numpy())
    np.testing.assert_allclose(of_words(model, tokens).maps, np.stack(expected), **CLOSE)


@pytest.mark.parametrize(
    ("end", "class_axis", "link", "count"),
    [
        (lambda z: torch.stack([z.log_softmax(1), z.log_softmax(1)]), 2, "log_softmax", 2),
        (lambda z: torch.stack([z.log_softmax(1), z.log_softmax(1)]), 1, None, 0),  # over another axis
        (lambda z: torch.stack([z.log_softmax(1), z.softmax(1)]), 2, None, 0),
        (lambda z: torch.stack([z.log_softmax(1), z]), 2, None, 0),
        (lambda z: torch.stack([z.softmax(1), z.softmax(1)])[:, :, 1:], 2, None, 0),  # some of the classes
        (lambda z: torch.stack([z.softmax(1), z.softmax(1)])[:, 1:], 2, "softmax", 2),
        (lambda z: torch.stack([z.sigmoid(), z.sigmoid()]), 2, None, 0),  # each class by itself
        (lambda z: torch.stack([z.softmax(1)] * 2), 2, None, 0),  # twice the same
    ],
)
def test_what_is_a_link_of_several(end, class_axis, link, count):
    z = torch.randn(3, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    found = find_link(end(z), class_axis)
    assert (found.kind, found.link, len(found.passed)) == ("logits", link, count)
    assert found.start is None
