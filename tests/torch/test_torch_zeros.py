"""Directions that are zero at most positions: values as by plain autograd, and how much is multiplied."""

import contextlib

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import xaicore
from xaicore_torch import pullback, zeros
from xaicore_torch.pullback import pull_back
from xaicore_torch.zeros import SkippedZeros

CLOSE = {"rtol": 1e-6, "atol": 1e-7}
WORDS, TOKENS, WIDTH = 8, 2**14, 256


def matrix(rows, columns, seed=0):
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))


def flops(run):
    with FlopCounterMode(display=False) as counter:
        result = run()
    return result, counter.get_total_flops()


def without(matrix, rows=(), columns=()):
    matrix = matrix.clone()
    matrix[list(rows)] = 0
    matrix[:, list(columns)] = 0
    return matrix


DENSE = matrix(64, 512)
CASES = {  # a matrix, and the rows and columns of it that are multiplied
    "dense": (DENSE, 64, 512),
    "one number": (without(DENSE, range(1, 64), range(511)), 1, 1),
    "zero rows": (without(DENSE, range(5, 60)), 9, 512),
    "zero rows and columns": (without(DENSE, range(5, 60), range(100)), 9, 512),  # too few to be worth a copy
    "few columns": (without(DENSE, range(5, 60), range(3, 512)), 9, 3),
    "a few zero rows": (without(DENSE, range(3)), 64, 512),
    "zeros": (torch.zeros(64, 512), 0, 0),
    "turned": (without(DENSE, range(5, 60)).t().contiguous().t(), 9, 512),
    "bfloat16": (without(DENSE, range(5, 60), range(3, 512)).bfloat16(), 9, 3),
}


@pytest.mark.parametrize("name", CASES)
def test_a_product_without_its_zeros(name):
    a, rows, columns = CASES[name]
    b = matrix(512, 256, 1).to(a.dtype)

    def run():
        with SkippedZeros():
            return a @ b

    found, count = flops(run)
    torch.testing.assert_close(found, a @ b, rtol=1e-6, atol=1e-5)
    assert count == 2 * rows * columns * 256


def test_a_number_that_is_none_is_no_zero():
    a = without(DENSE, range(5, 60))
    a[7, 0] = torch.nan
    with SkippedZeros():
        found = a @ matrix(512, 256, 1)
    assert found[7].isnan().all()
    assert found.isnan().any(1).sum() == 1


SQUARE = matrix(WIDTH, WIDTH, 3)
ODD = {  # functions of words (N, T, WIDTH) whose gradients multiply matrices without rows that could be taken
    "sparse": lambda h: torch.stack([SQUARE.relu().to_sparse() @ one.t() for one in h]),
    "sparse, turned": lambda h: torch.stack([one @ SQUARE.relu().to_sparse() for one in h]),
    "compressed": lambda h: torch.stack([SQUARE.relu().to_sparse_csr() @ one.t() for one in h]),
    "complex": lambda h: (h.to(torch.complex64) @ torch.complex(SQUARE, SQUARE.t())).abs(),
    "conjugate": lambda h: torch.view_as_real((h * (1 + 2j)).conj() @ torch.complex(SQUARE, SQUARE.t())).flatten(2),
}


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("name", ODD)
def test_matrices_without_rows_to_take(name, count, monkeypatch):
    monkeypatch.setattr(zeros, "LEAST", 1)
    monkeypatch.setattr(zeros, "LARGE", 1)
    h = matrix(2 * WORDS, WIDTH).reshape(2, WORDS, WIDTH).requires_grad_()
    y = ODD[name](h)
    direction = np.zeros((2, count, *y.shape[1:]), np.float32)
    for n, k in np.ndindex(2, count):
        direction[n, k, k, 5] = 1
    (found,) = pull_back(y, [h], direction)
    for k in range(count):
        (expected,) = torch.autograd.grad(y, [h], torch.from_numpy(direction[:, k].copy()), retain_graph=True)
        np.testing.assert_allclose(found[:, k], expected, rtol=1e-5, atol=1e-5)


def test_small_products_are_not_searched():
    a = torch.zeros(8, 16)

    def run():
        with SkippedZeros():
            return a @ matrix(16, 8)

    assert flops(run)[1] == 2 * 8 * 16 * 8


def direction_of_words(count=WORDS):
    """(1, K, T, tokens): word k is a token at position k."""
    direction = np.zeros((1, count, WORDS, TOKENS), np.float32)
    for k in range(count):
        direction[0, k, k, 7 * k] = 1
    return direction


@pytest.mark.parametrize("count", [1, WORDS])
def test_a_vocabulary_is_multiplied_by_what_a_word_reads(count):
    head = nn.Linear(WIDTH, TOKENS)
    h = matrix(WORDS, WIDTH)[None].requires_grad_()
    y = head(h)
    (found,), multiplied = flops(lambda: pull_back(y, [h], direction_of_words(count)))
    expected = np.zeros((1, count, WORDS, WIDTH), np.float32)
    for k in range(count):
        expected[0, k, k] = head.weight[7 * k].detach().numpy()
    np.testing.assert_array_equal(found, expected)
    assert multiplied == 2 * count * count * WIDTH


class Read(nn.Module):
    """Words that look at the picture's map, each knowing the words before it, by an LSTM, its cell or attention."""

    def __init__(self, decoder):
        super().__init__()
        torch.manual_seed(0)
        self.decoder = decoder
        self.conv = nn.Conv2d(3, WIDTH, 3, padding=1)
        self.embedding = nn.Embedding(TOKENS, WIDTH)
        self.lstm = nn.LSTM(WIDTH, WIDTH, batch_first=True)
        self.cell = nn.LSTMCell(WIDTH, WIDTH)
        self.layer = nn.TransformerDecoderLayer(WIDTH, 4, 512, batch_first=True)
        self.head = nn.Linear(WIDTH, TOKENS)

    def forward(self, x, words):
        places, words = self.conv(x).relu().flatten(2).transpose(1, 2), self.embedding(words)
        state = places.mean(1)
        if self.decoder == "attention":
            mask = nn.Transformer.generate_square_subsequent_mask(words.shape[1])
            return self.head(self.layer(words, places, mask, tgt_is_causal=True))
        if self.decoder == "lstm":
            return self.head(self.lstm(words, (state[None], torch.zeros_like(state)[None]))[0])
        h, c, steps = state, torch.zeros_like(state), []
        for word in words.unbind(1):
            h, c = self.cell(word, (h, c))
            steps.append(self.head(h))
        return torch.stack(steps, 1)


@pytest.mark.parametrize("decoder", ["attention", "lstm", "cell"])
def test_the_words_of_a_caption(decoder, monkeypatch, unchanged):
    monkeypatch.setattr(zeros, "LEAST", 1)
    monkeypatch.setattr(zeros, "LARGE", 1)
    model = Read(decoder).eval()
    x = (torch.randn(2, 3, 6, 5), torch.randint(TOKENS, (2, WORDS)))
    explainer = xaicore.Explainer(model, "gradcam-elementwise", layer="conv")
    with unchanged(model):
        found = explainer(x, xaicore.targets.Words())

    a = model.conv(x[0]).detach().requires_grad_()
    with contextlib.ExitStack() as stack:
        handle = model.conv.register_forward_hook(lambda *args: a.clone())
        stack.callback(handle.remove)
        y = model(*x)
    expected = []
    for n, k in np.ndindex(2, WORDS):
        (gradient,) = torch.autograd.grad(y[n, k].max(), a, retain_graph=True)
        expected.append((gradient * a)[n].relu().sum(0).detach().numpy())
    np.testing.assert_allclose(found.maps, np.stack(expected), rtol=1e-5, atol=1e-6 * np.abs(expected).max())
    assert np.any(found.maps > 0, axis=(1, 2)).all()


@pytest.mark.parametrize("shape", [(WORDS,), (1, WORDS // 2)])
def test_nothing_is_searched_for_classes_and_small_outputs(shape, monkeypatch):
    monkeypatch.setattr(zeros, "_product", lambda a, b: pytest.fail("searched"))
    head, h = nn.Linear(WIDTH, TOKENS), matrix(int(np.prod(shape)), WIDTH).reshape(*shape, WIDTH).requires_grad_()
    direction = np.zeros((shape[0], 3, *shape[1:], TOKENS), np.float32)
    direction[..., 5] = 1
    (found,) = pull_back(head(h), [h], direction)
    np.testing.assert_allclose(found, np.broadcast_to(head.weight[5].detach(), found.shape), **CLOSE)


@pytest.mark.parametrize(("rows", "passes"), [(1, [1] * 7), (3, [3, 3, 1]), (7, [7])])
@pytest.mark.parametrize("retain_graph", [True, False])
def test_a_backward_pass_holds_directions_of_bounded_size(rows, passes, retain_graph, monkeypatch):
    head, h, other = nn.Linear(6, 5), matrix(2, 6).requires_grad_(), torch.ones(2, requires_grad=True)
    y = head(h).tanh()
    monkeypatch.setattr(pullback, "MOST", rows * 4 * (2 * 5 + 2 * 6 + 2) + 3)
    taken = []
    differentiate = pullback._differentiate

    def count(start, leaves, directions, *more):
        taken.append(len(directions))
        return differentiate(start, leaves, directions, *more)

    monkeypatch.setattr(pullback, "_differentiate", count)
    direction = np.random.default_rng(0).normal(size=(2, 7, 5)).astype(np.float32)
    slope = 1 - y.detach().numpy() ** 2
    found, none = pull_back(y, [h, other], direction, retain_graph=retain_graph)
    expected = direction * slope[:, None] @ head.weight.detach().numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert (taken, none) == (passes, None)
