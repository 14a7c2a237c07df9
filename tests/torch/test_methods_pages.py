"""The Python of the pages on methods runs as it stands there."""

import pages
import pytest
import torch
from torch import nn
from torch_nets import ConvGapDense, pictures

import xaicore


class ViT(nn.Module):
    """A class token and 4 x 6 patches."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.start = nn.Conv2d(3, 8, 4, 4), nn.Parameter(torch.randn(1, 1, 8))
        block = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.blocks, self.head = nn.TransformerEncoder(block, 3, enable_nested_tensor=False), nn.Linear(8, 5)

    def forward(self, x):
        t = self.embed(x).flatten(2).transpose(1, 2)
        return self.head(self.blocks(torch.cat([self.start.expand(len(x), -1, -1), t], 1))[:, 0])


@pytest.mark.parametrize("page", ["README", "gradients", "passes", "input"])
def test_a_page_of_methods(page):
    model, x = ConvGapDense(), pictures()
    names = pages.run(f"docs/methods/{page}.md", names={"model": model, "x": x})
    found = [one for one in names.values() if isinstance(one, xaicore.Explanation)]
    if page == "input":
        assert names["explanation"].signed
        assert names["explanation"].maps.shape == (2, 6, 9)
    if page == "README":
        assert list(names["several"]) == ["gradcam", "hirescam", "eigencam"]
    assert found
    assert all(one.maps.any() for one in found)


def test_the_page_on_attention():
    x = torch.randn(2, 3, 16, 24, generator=torch.Generator().manual_seed(1))
    names = pages.run("docs/methods/attention.md", names={"vit": ViT(), "x": x})
    methods = [names[name].method for name in ("explanation", "more", "head")]
    assert methods == ["legrad", "legrad (blocks=None)", "attention (block=-1, head=1)"]
    assert all(names[name].maps.shape == (2, 4, 6) for name in ("explanation", "more", "head"))
