"""Clips: recurrent convolutions written by hand, and models that take a list of two clips at different rates."""

import re

import numpy as np
import pytest
import torch
from torch import nn

import xaicore
from xaicore_torch.backend import TorchBackend
from xaicore_torch.outputs import tensors_in


def rand(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


class Cell(nn.Module):
    """Shi et al. 2015, without peepholes: the gates of one convolution over the frame and the hidden state."""

    def __init__(self, channels, hidden):
        super().__init__()
        self.conv, self.hidden = nn.Conv2d(channels + hidden, 4 * hidden, 3, padding=1), hidden

    def forward(self, x, state):
        h, c = state
        i, f, o, g = self.conv(torch.cat([x, h], 1)).chunk(4, 1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c


class TwoConvolutions(Cell):
    """One convolution over the frame, and one over the hidden state, which is a frame behind."""

    def __init__(self, channels, hidden):
        super().__init__(channels, hidden)
        self.conv, self.state = (nn.Conv2d(n, 4 * hidden, 3, padding=1) for n in (channels, hidden))

    def forward(self, x, state):
        h, c = state
        i, f, o, g = (self.conv(x) + self.state(h)).chunk(4, 1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c


class ConvLSTM(nn.Module):
    """(N, T, C, H, W) to the last hidden state (N, hidden, H, W), or to all of them (N, T, hidden, H, W)."""

    def __init__(self, cell, gives):
        super().__init__()
        self.cell, self.gives = cell, gives

    def forward(self, x):
        h = c = x.new_zeros(len(x), self.cell.hidden, *x.shape[3:])
        hidden = []
        for frame in x.unbind(1):
            h, c = self.cell(frame, (h, c))
            hidden.append(h)
        return h if self.gives == "last" else torch.stack(hidden, 1)


class Recurrent(nn.Module):
    def __init__(self, cell=Cell, gives="last", behind=None):
        torch.manual_seed(0)
        super().__init__()
        self.lstm, self.behind = ConvLSTM(cell(3, 4), gives), behind or nn.Identity()
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        h = self.behind(self.lstm(x))
        return self.head(h.mean(tuple(axis for axis in range(h.ndim) if axis not in (0, h.ndim - 3))))


def by_run(model, x, module):
    """Grad-CAM of class 1 in each run of a module, by autograd: (N, runs, H, W)."""
    kept = []
    handle = module.register_forward_hook(lambda m, args, output: kept.append(next(iter(tensors_in(output)))))
    y = model(x.clone().requires_grad_())
    handle.remove()
    gradients = torch.autograd.grad(y[:, 1].sum(), kept)
    axes = tuple(range(2, kept[0].ndim))
    maps = [(a * g.mean(axes, keepdim=True)).sum(1).relu() for a, g in zip(kept, gradients, strict=True)]
    return torch.stack(maps, 1).detach().numpy()


@pytest.mark.parametrize(("cell", "layer"), [(Cell, "lstm.cell.conv"), (TwoConvolutions, "lstm.cell")])
@pytest.mark.parametrize("gives", ["last", "all"])
def test_a_recurrent_convolution_has_a_map_for_each_frame(cell, layer, gives):
    model, x = Recurrent(cell, gives).eval(), rand(2, 5, 3, 8, 10)
    explanation = xaicore.explain(model, x, 1)
    assert (explanation.layer, explanation.frames) == (layer, 5)
    assert explanation.view_names == tuple(f"frame {t}" for t in range(5))
    np.testing.assert_allclose(explanation.maps, by_run(model, x, model.get_submodule(layer)), rtol=1e-4, atol=1e-7)
    shown = explanation.pictures.array.reshape(2, 8, 5, 10, 3).transpose(0, 2, 4, 1, 3)
    assert np.corrcoef(shown.ravel(), x.numpy().ravel())[0, 1] > 0.99


@pytest.mark.parametrize("layer", ["lstm", "behind"])
def test_what_the_loop_gives_has_no_frame_of_its_own(layer):
    model, x = Recurrent(behind=nn.Conv2d(4, 4, 3)).eval(), rand(2, 5, 3, 8, 10)
    with pytest.raises(xaicore.LayerError, match="once for each frame of input 0") as caught:
        xaicore.explain(model, x, 1, layer=layer)
    (advised,) = re.findall("layer='([^']+)'", str(caught.value))
    assert xaicore.explain(model, x, 1, layer=advised).frames == 5


def test_the_hidden_states_with_the_axes_that_the_message_advises():
    model, x = Recurrent().eval(), rand(2, 5, 3, 8, 10)
    with pytest.raises(xaicore.LayerError, match="say so, such as axes='nchw'"):
        xaicore.explain(model, x, 1, layer="lstm.cell")
    explanation = xaicore.explain(model, x, 1, layer="lstm.cell", axes="nchw")
    np.testing.assert_allclose(explanation.maps, by_run(model, x, model.lstm.cell), rtol=1e-4, atol=1e-7)


def test_views_that_are_joined_without_a_state_are_no_frames():
    class Views(Recurrent):
        def forward(self, x):
            maps = [self.behind(view) for view in x.unbind(1)]
            return self.head(torch.stack(maps).amax(0).mean((2, 3)))

    explanation = xaicore.explain(Views(behind=nn.Conv2d(3, 4, 3)).eval(), rand(2, 5, 3, 8, 10), 1)
    assert (explanation.views, explanation.frames, explanation.view_names[0]) == (5, 1, "view 0")


def pathway(channels, out, kernel, stride=1):
    padding = tuple(n // 2 for n in kernel)
    return nn.Sequential(nn.Conv3d(channels, out, kernel, (1, stride, stride), padding), nn.BatchNorm3d(out), nn.ReLU())


class SlowFast(nn.Module):
    """Feichtenhofer et al. 2019: a fast pathway of four times the frames, and lateral convolutions with a time stride.

    `order` are the positions of the slow and of the fast clip in the list.
    """

    def __init__(self, order=(0, 1)):
        torch.manual_seed(0)
        super().__init__()
        self.order = order
        self.slow1, self.fast1 = pathway(3, 8, (1, 3, 3), 2), pathway(3, 4, (5, 3, 3), 2)
        self.lateral1 = nn.Conv3d(4, 8, (5, 1, 1), (4, 1, 1), (2, 0, 0))
        self.slow2, self.fast2 = pathway(16, 8, (1, 3, 3)), pathway(4, 4, (3, 3, 3))
        self.lateral2 = nn.Conv3d(4, 8, (5, 1, 1), (4, 1, 1), (2, 0, 0))
        self.slow3, self.fast3 = pathway(16, 8, (3, 3, 3)), pathway(4, 4, (3, 3, 3))
        self.head = nn.Linear(12, 5)

    def forward(self, clips):
        slow, fast = (clips[i] for i in self.order)
        slow, fast = self.slow1(slow), self.fast1(fast)
        slow, fast = self.slow2(torch.cat([slow, self.lateral1(fast)], 1)), self.fast2(fast)
        slow, fast = self.slow3(torch.cat([slow, self.lateral2(fast)], 1)), self.fast3(fast)
        return self.head(torch.cat([slow.mean((2, 3, 4)), fast.mean((2, 3, 4))], 1))


class TwoArguments(SlowFast):
    def forward(self, slow, fast):
        return super().forward([slow, fast])


SLOW, FAST = rand(2, 3, 2, 16, 20), rand(2, 3, 8, 16, 20, seed=1)

PATHWAYS = [("slow1", 0), ("fast1", 1), ("lateral1", 1), ("slow2", 0), ("fast2", 1), ("slow3", 0), ("fast3", 1)]


def pathway_map(model, clips, layer):
    kept = []
    handle = model.get_submodule(layer).register_forward_hook(lambda m, args, output: kept.append(output))
    y = model(clips)
    handle.remove()
    (gradient,) = torch.autograd.grad(y[:, 1].sum(), kept)
    return (kept[0] * gradient.mean((2, 3, 4), keepdim=True)).sum(1).relu().detach().numpy()


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize(("layer", "clip"), PATHWAYS)
def test_a_pathway_has_the_size_and_the_picture_of_its_own_clip(order, layer, clip):
    model = SlowFast(order).eval()
    clips = [(SLOW, FAST)[i] for i in order]
    explanation = xaicore.explain(model, clips, 1, layer=layer)
    np.testing.assert_allclose(explanation.maps, pathway_map(model, clips, layer), rtol=1e-4, atol=1e-7)
    assert explanation.maps.any()
    assert explanation.input_size == tuple((SLOW, FAST)[clip].shape[2:])
    _, place = xaicore.Explainer(model, layer=layer)._places.find(clips)
    np.testing.assert_array_equal(place.pictures([one.numpy() for one in clips]), (SLOW, FAST)[clip].numpy())


def test_a_list_is_one_argument():
    model = SlowFast().eval()
    found = xaicore.explain(model, [SLOW, FAST], 1)
    assert found.layer == "fast3"
    for x in (([SLOW, FAST],), {"clips": [SLOW, FAST]}, [SLOW.numpy(), FAST.numpy()]):
        np.testing.assert_array_equal(xaicore.explain(model, x, 1).maps, found.maps)
    np.testing.assert_array_equal(xaicore.explain(TwoArguments().eval(), (SLOW, FAST), 1).maps, found.maps)
    one = xaicore.explain(model, [SLOW[:1], FAST[:1]], 1)
    np.testing.assert_allclose(one.maps, found.maps[:1], rtol=1e-4, atol=1e-7)
    with pytest.raises(xaicore.LayerError, match=r"'slow3' over input 0, 'fast3' over input 1\. Name"):
        xaicore.explain(model, [SLOW, FAST], 1, layer=["slow3", "fast3"])


def test_the_form_of_the_inputs_that_the_message_advises():
    with pytest.raises(xaicore.BackendError, match=r"pass a list, \[a, b\], to a model whose argument is a list"):
        xaicore.explain(SlowFast().eval(), (SLOW, FAST), 1)
    with pytest.raises(xaicore.BackendError, match=r"pass a tuple, \(a, b\), to a model with several arguments"):
        xaicore.explain(TwoArguments().eval(), [SLOW, FAST], 1)


@pytest.mark.parametrize(
    "images", [[rand(3, 8, 10)] * 3, [rand(3, 8, 10), rand(3, 7, 9)], [rand(2, 3, 8, 10), rand(1, 3, 8, 10)], []]
)
def test_a_list_of_images_is_no_argument(images):
    """A model that stacks the images of a list would have as many rows as images, not as many as the first has."""
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)).eval()
    with pytest.raises(xaicore.InputError, match=f"the inputs are a list of {len(images)}: stack images to one array"):
        xaicore.explain(model, images, 1)


def test_what_a_pathway_reads():
    facts = {layer.name: layer for layer in TorchBackend(SlowFast().eval()).observe([SLOW, FAST]).layers}
    assert [facts[name].reads for name in ("slow1", "fast3", "lateral1", "slow2")] == [(0,), (1,), (1,), (0, 1)]
