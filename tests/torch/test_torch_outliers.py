"""Outlier tokens are left out of the evidence, and nothing else is."""

import numpy as np
import pytest
import torch
from test_torch_meaning import PICTURES, OwnNorm, ViT, of_class, on_grid

import xaicore
from xaicore import InputError, LayerError


class Spiky(ViT):
    """A vision transformer that writes a long vector to one token of each picture."""

    def __init__(self, *args, position=((0, 5), (1, 20)), **options):
        super().__init__(*args, **options)
        self.outliers = position
        self.blocks[0].register_forward_hook(self.lengthen)

    def lengthen(self, block, args, output):
        output = output.clone()
        for n, token in self.outliers:
            output[n, self.prefix + token] *= 30
        return output


def masked_gradcam(model, module, prefix, c):
    kept = []
    handle = module.register_forward_hook(lambda m, args, output: kept.append(output))
    y = model.eval()(PICTURES.clone().requires_grad_())
    handle.remove()
    (gradient,) = torch.autograd.grad(of_class(c)(y), kept)
    a, g = on_grid(prefix)(kept[0].detach()).clone(), on_grid(prefix)(gradient).clone()
    for n, token in model.outliers:
        a[n, :, token // 6, token % 6] = g[n, :, token // 6, token % 6] = 0
    return (a * g.mean((2, 3), keepdim=True)).sum(1).relu().numpy()


@pytest.mark.parametrize("norm", [torch.nn.LayerNorm, OwnNorm])
@pytest.mark.parametrize(
    ("pool", "layer"), [("token", None), ("average", None), ("average", "blocks.1"), ("token", "blocks.0")]
)
def test_outliers_are_left_out(pool, layer, norm):
    model = Spiky(1, pool, norm)
    explainer = xaicore.Explainer(model, layer=layer, outliers="mask")
    for c in range(5):
        explanation = explainer(PICTURES, c)
        expected = masked_gradcam(model, model.get_submodule(explanation.layer), 1, c)
        np.testing.assert_allclose(explanation.maps, expected, rtol=1e-4, atol=1e-6)
    maps = [xaicore.explain(model, PICTURES, c, layer=layer).maps.reshape(2, -1) for c in range(5)]
    assert any(found[n, token] > 0 for found in maps for n, token in model.outliers)  # without the option they count


def test_a_net_without_outliers_has_the_same_map():
    model = ViT(1).eval()
    for c in range(5):
        masked, usual = (xaicore.explain(model, PICTURES, c, outliers=one) for one in ("mask", None))
        np.testing.assert_allclose(masked.maps, usual.maps, rtol=1e-5, atol=1e-7)


def test_what_is_no_row_of_tokens_is_refused():
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
    )
    with pytest.raises(
        LayerError, match=r"outliers='mask' leaves out tokens of a layer, and '1' is \(1, 4, 14, 22\), no tokens"
    ):
        xaicore.explain(net, PICTURES, outliers="mask")
    xaicore.explain(net, PICTURES, outliers=None)
    with pytest.raises(
        LayerError, match=r"'blocks.1.norm1#1' is explained by run, blocks.1.norm1#1: pass outliers=None"
    ):
        xaicore.explain(ViT(), PICTURES, layer="blocks.1.norm1#1", outliers="mask")


def test_tokens_that_are_explained_by_run_are_refused():
    """Each run has outliers of its own."""

    class Frames(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.vit = ViT(1, "average")

        def forward(self, x):
            return torch.stack([self.vit(frame) for frame in x.unbind(1)], 1).amax(1)

    with pytest.raises(LayerError, match=r"'vit.norm' is explained by run, vit.norm#1, vit.norm#2: pass outliers=None"):
        xaicore.explain(Frames(), PICTURES[None], outliers="mask")
    assert xaicore.explain(Frames(), PICTURES[None], outliers=None).views == 2


def test_a_norm_whose_tokens_no_layer_returns_asks_for_a_block():
    model = Spiky(1, "average").eval()
    with pytest.raises(LayerError, match=r"before 'blocks.1.norm2'.*name a block as the layer"):
        xaicore.explain(model, PICTURES, layer="blocks.1.norm2", outliers="mask")
    assert xaicore.explain(model, PICTURES, 0, layer="blocks.1", outliers="mask").layer == "blocks.1"


def test_an_unknown_option_is_refused():
    with pytest.raises(InputError, match="outliers='interpolate': expected 'mask'"):
        xaicore.Explainer(ViT(), outliers="interpolate")
