"""Tokens of a picture in a sequence with words, and words as many as positions: which layer has a map, and where."""

import numpy as np
import pytest
import torch
from torch import nn

import xaicore

D, WORDS = 16, 30


class Attend(nn.Module):
    """Attention from some tokens to others, written out."""

    def __init__(self):
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(D, D) for _ in range(3))

    def forward(self, x, y):
        return x + (self.q(x) @ self.k(y).mT / D**0.5).softmax(-1) @ self.v(y)


class Reader(nn.Module):
    """A decoder that reads image tokens between words; a class token may be among them."""

    def __init__(self, before=2, class_token=False, grid=(4, 6)):
        super().__init__()
        torch.manual_seed(0)
        self.before = before
        self.embed = nn.Embedding(WORDS, D)
        self.patches = nn.Conv2d(3, D, 8, 8)
        self.token = nn.Parameter(torch.randn(1, 1, D)) if class_token else None
        self.vision = Attend()
        self.project = nn.Linear(D, D)
        self.norm, self.mix, self.out = nn.LayerNorm(D), Attend(), nn.LayerNorm(D)
        self.head = nn.Linear(D, WORDS)
        self.eval()

    def image_tokens(self, picture):
        tokens = self.patches(picture).flatten(2).mT
        if self.token is not None:
            tokens = torch.cat([self.token.expand(len(tokens), -1, -1), tokens], 1)
        return self.project(self.vision(tokens, tokens))

    def forward(self, picture, words):
        embedded = self.embed(words)
        tokens = torch.cat([embedded[:, : self.before], self.image_tokens(picture), embedded[:, self.before :]], 1)
        tokens = self.norm(tokens)
        return self.head(self.out(self.mix(tokens, tokens)))


PICTURE = torch.rand(2, 3, 32, 48, generator=torch.Generator().manual_seed(3))


def words(count):
    return torch.randint(WORDS, (2, count), generator=torch.Generator().manual_seed(4))


def expected(model, x, layer, first, target=(3, -1)):
    """Grad-CAM of a word's logit at the last position, of the 24 tokens from the first on."""
    kept = []
    handle = model.get_submodule(layer).register_forward_hook(lambda module, args, output: kept.append(output))
    y = model(*x)
    handle.remove()
    (gradient,) = torch.autograd.grad(y[:, target[1], target[0]].sum(), kept)
    maps = [(a[:, first : first + 24]).mT.unflatten(2, (4, 6)) for a in (kept[0], gradient)]
    return (maps[0] * maps[1].mean((2, 3), keepdim=True)).sum(1).relu().detach().numpy()


@pytest.mark.parametrize("class_token", [False, True])
@pytest.mark.parametrize(("before", "behind"), [(0, 5), (1, 7), (2, 0), (6, 6), (5, 40)])
@pytest.mark.parametrize("layer", ["norm", "mix", "project"])
def test_image_tokens_between_words(before, behind, class_token, layer, unchanged):
    model = Reader(before, class_token)
    x = (PICTURE, words(before + behind))
    with unchanged(model):
        found = xaicore.explain(model, x, xaicore.targets.Word(-1, 3), layer=layer)
    first = class_token + (0 if layer == "project" else before)
    np.testing.assert_allclose(found.maps, expected(model, x, layer, first), rtol=1e-4, atol=1e-8)
    # Only its own token reaches a word behind the last attention, and the last of the image tokens if words precede it.
    assert found.maps.any() == (layer != "mix" or not behind)


def test_no_word_reads_image_tokens_behind_the_last_attention():
    model, x = Reader(2), (PICTURE, words(9))
    found = xaicore.explain(model, x, xaicore.targets.Words(words(9)[:, 3:], start=26))
    assert found.layer == "norm"
    assert not found.empty.all()


def test_a_stated_grid_lies_where_the_image_tokens_are():
    model, x = Reader(3), (PICTURE, words(8))
    stated = xaicore.explain(model, x, xaicore.targets.Word(-1, 3), layer="mix", grid=(4, 6))
    np.testing.assert_allclose(stated.maps, expected(model, x, "mix", 3), rtol=1e-4, atol=1e-8)
    with pytest.raises(xaicore.LayerError, match=r"32 tokens, of which the picture makes those from 3 to 26: grid=\(5"):
        xaicore.explain(model, x, xaicore.targets.Word(-1, 3), layer="mix", grid=(5, 6))


def test_attention_over_image_tokens_between_words():
    model, x = Reader(3), (PICTURE, words(8))
    found = xaicore.explain(model, x, xaicore.targets.Word(-1, 3), method=xaicore.method("attention", blocks=1))
    tokens = model.norm(torch.cat([model.embed(x[1])[:, :3], model.image_tokens(PICTURE), model.embed(x[1])[:, 3:]], 1))
    weights = (model.mix.q(tokens) @ model.mix.k(tokens).mT / D**0.5).softmax(-1)
    assert found.maps.shape == (2, 4, 6)
    maps = weights[..., 3:27].unflatten(2, (4, 6)).detach().numpy()
    read = [maps[:, i] for i in range(32)] + [maps.mean(1), maps[:, [*range(3), *range(27, 32)]].mean(1)]
    assert any(np.allclose(found.maps / found.maps.max(), one / one.max(), atol=1e-4) for one in read)


class Captioner(nn.Module):
    """A decoder whose words attend to a picture."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.patches = nn.Conv2d(3, D, 8, 8)
        self.vision = nn.LayerNorm(D)
        self.embed, self.own, self.cross = nn.Embedding(WORDS, D), Attend(), Attend()
        self.norm, self.head = nn.LayerNorm(D), nn.Linear(D, WORDS)
        self.eval()

    def forward(self, picture, words):
        image = self.vision(self.patches(picture).flatten(2).mT)
        tokens = self.embed(words)
        return self.head(self.norm(self.cross(self.own(tokens, tokens), image)))


@pytest.mark.parametrize("count", [6, 7, 12, 24, 25])
def test_as_many_words_as_a_grid_has_positions(count):
    """Words of a decoder are no map, also where their number fits a grid, or a halving of it, with a class token."""
    model, x = Captioner(), (PICTURE, words(count))
    explainer = xaicore.Explainer(model)
    explainer(x, xaicore.targets.Word(-1, 3))
    _, place = explainer._places.find(x)
    assert explainer.layers == (("patches",) if count == 24 else ("vision",)) or "cross" in explainer.layers[0]
    assert next(iter(place.grids.values())).size == (4, 6)
    with pytest.raises(xaicore.LayerError):
        xaicore.explain(model, x, xaicore.targets.Word(-1, 3), layer="norm")


def test_words_as_many_as_image_tokens_are_refused_with_a_grid_too():
    model, x = Captioner(), (PICTURE, words(24))
    with pytest.raises(xaicore.LayerError, match="24 tokens, as many as words that the model reads, and nothing says"):
        xaicore.explain(model, x, xaicore.targets.Word(-1, 3), layer="norm", grid=(4, 6))


class Placed(nn.Module):
    """A map of positions, computed of no input behind the last convolution, and queries that attend to the sum."""

    def __init__(self, count=6):
        super().__init__()
        torch.manual_seed(0)
        self.patches, self.norm = nn.Conv2d(3, D, 8, 8), nn.BatchNorm2d(D)
        self.places = Places()
        self.queries, self.cross = nn.Parameter(torch.randn(1, count, D)), Attend()
        self.out, self.boxes, self.classes = nn.LayerNorm(D), nn.Linear(D, 4), nn.Linear(D, 3)
        self.eval()

    def forward(self, picture):
        y = self.norm(self.patches(picture))
        y = (y + self.places(y.shape)).flatten(2).mT
        found = self.out(self.cross(self.queries.expand(len(y), -1, -1), y))
        return {"logits": self.classes(found), "pred_boxes": self.boxes(found).sigmoid()}


class Places(nn.Module):
    def forward(self, shape):
        return torch.linspace(-1, 1, shape[3]).expand(1, *shape[1:])


@pytest.mark.parametrize("count", [5, 6, 24])
def test_a_detector_is_explained_at_a_map_of_its_picture(count):
    """Not at its queries, whose number may fit the grid, nor at a table of positions."""
    model = Placed(count)
    form = {"format": "cxcywh", "relative": True}
    read = xaicore.targets.Detector(boxes="pred_boxes", scores="logits", activation="sigmoid", **form)
    found = xaicore.explain(model, PICTURE, xaicore.targets.Boxes(2, read=read))
    assert found.layer == "norm"
    kept = []
    handle = model.norm.register_forward_hook(lambda module, args, output: kept.append(output))
    y = model(PICTURE)["logits"]
    handle.remove()
    for n in range(2):
        best = y[n].max(1).values.sort(descending=True).values[:2]
        for k in range(2):
            (gradient,) = torch.autograd.grad(best[k], kept, retain_graph=True)
            expected = (kept[0][n] * gradient[n].mean((1, 2))[:, None, None]).sum(0).relu().detach().numpy()
            np.testing.assert_allclose(found.maps[2 * n + k], expected, rtol=1e-4, atol=1e-9)
