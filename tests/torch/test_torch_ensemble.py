"""Methods and options of several passes, on PyTorch: against plain autograd on inputs that are changed by hand."""

import numpy as np
import pytest
import torch
from test_torch_meaning import (
    INPUTS,
    PICTURES,
    Frames,
    Prepared,
    Question,
    Siamese,
    Spectrogram,
    ViT,
    on_grid,
    rand,
)
from test_torch_outliers import Spiky
from torch_nets import ConvGapDense, pictures, truth

import xaicore
from xaicore import MethodError


def noise(shape, copy):
    return torch.from_numpy(np.random.default_rng((0, copy)).standard_normal(shape, dtype=np.float32))


def spread(x, sigma):
    flat = x.float().flatten(1)
    return sigma * (flat.amax(1) - flat.amin(1)).reshape(-1, *[1] * (x.ndim - 1))


def plain(model, x, c=1, **options):
    return xaicore.explain(model, x, c, **options).maps


# Methods.


@pytest.mark.parametrize("layer", ["relu1", "conv2"])
def test_smoothgradcam_plus_plus_is_autograds(layer, unchanged):
    model, x = ConvGapDense(4).train(), pictures(3)
    method = xaicore.method("smoothgradcam++", n=3, sigma=0.2)
    with unchanged(model):
        maps = plain(model, x, [[2, 0]] * 3, method=method, layer=layer)
    model.eval()
    a = truth(model, x, layer, [[2, 0]] * 3)[0].astype(np.float64)
    copies = [x + spread(x, 0.2) * noise(x.shape[1:], copy) for copy in range(3)]
    g = np.stack([truth(model, one, layer, [[2, 0]] * 3)[1] for one in copies]).astype(np.float64)
    d1, d2, d3 = (g**p for p in (1, 2, 3))
    d1, d2, d3 = d1.mean(0), d2.mean(0), d3.mean(0)
    below = 2 * d2 + a.sum((2, 3))[:, None, :, None, None] * d3
    alpha = np.where(below == 0, 0, d2 / np.where(below == 0, 1, below))
    w = (np.maximum(d1, 0) * alpha).sum((3, 4))
    expected = np.maximum(np.einsum("nkc,nchw->nkhw", w, a), 0).reshape(maps.shape)
    np.testing.assert_allclose(maps, expected, rtol=1e-4, atol=1e-5 * expected.max())


@pytest.mark.parametrize("end", [None, torch.nn.Softmax(1), torch.nn.LogSoftmax(1)])
def test_finercam_is_autograds(end, unchanged):
    model, x = ConvGapDense(6, end=end).eval(), pictures(3)
    method = xaicore.method("finercam", alpha=0.7, similar=2)
    with unchanged(model):
        maps = plain(model, x, [[2, 0]] * 3, method=method, layer="relu1")
    model.end = None
    z = model(x).detach().numpy()
    every = [list(range(6))] * 3
    a, g = truth(model, x, "relu1", every)
    for m in range(6):
        n, c = m // 2, (2, 0)[m % 2]
        similar = sorted((d for d in range(6) if d != c), key=lambda d: abs(z[n, d] - z[n, c]))[:2]
        gradient = g[n, c] - 0.7 * g[n, similar].mean(0)
        expected = np.maximum((gradient.mean((1, 2))[:, None, None] * a[n]).sum(0), 0)
        np.testing.assert_allclose(maps[m], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("outliers", [None, "mask"])
def test_tokens_on_their_grid(outliers):
    """Gradients of a later pass have the layout of the first, also without the outlier tokens."""
    model = Spiky(1, "token").eval()
    quiet = xaicore.method("smoothgradcam++", n=1, sigma=0)
    options = {"outliers": outliers, "layer": "blocks.0"}
    one, other = (plain(model, PICTURES, 3, method=method, **options) for method in (quiet, "gradcam++"))
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6 * other.max())
    assert one.any()
    alike = xaicore.method("finercam", alpha=0)
    one, other = (plain(model, PICTURES, 3, method=method, **options) for method in (alike, "gradcam"))
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6 * other.max())


def test_finercam_of_tokens_is_autograds():
    model = ViT(1, "average").eval()
    found = xaicore.explain(model, PICTURES, 3, method="finercam")
    kept = []
    handle = model.get_submodule(found.layer).register_forward_hook(lambda m, args, output: kept.append(output))
    z = model(PICTURES.clone().requires_grad_())
    handle.remove()
    nearest = (z - z[:, 3:4]).abs().argsort(1)[:, 1:4]
    score = z[:, 3] - z.gather(1, nearest).mean(1)
    (g,) = torch.autograd.grad(score.sum(), kept)
    a, g = on_grid(1)(kept[0].detach()), on_grid(1)(g)
    expected = (a * g.mean((2, 3), keepdim=True)).sum(1).relu().numpy()
    np.testing.assert_allclose(found.maps, expected, rtol=1e-4, atol=1e-6)


def test_refinecam_multiplies_layers_of_two_sizes():
    class Net(ConvGapDense):
        def forward(self, x):
            a = self.relu1(self.conv1(x))
            return self.dense(self.relu2(self.conv2(torch.nn.functional.avg_pool2d(a, 3))).mean((2, 3)))

    model, x = Net().eval(), pictures(2)
    fine, coarse = (plain(model, x, 2, method="gradcam++", layer=layer) for layer in ("relu1", "relu2"))
    assert (fine.shape[1:], coarse.shape[1:]) == ((6, 9), (2, 3))
    expected = xaicore.maps.normalize(fine) * xaicore.maps.resize(xaicore.maps.normalize(coarse), (6, 9))
    np.testing.assert_allclose(plain(model, x, 2, method="refinecam", layer=["relu1", "relu2"]), expected, atol=1e-6)


# Options.

WIDTH = {"nhwc": 2, "nhwc uint8": 2, "nchw uint8": 3, "mel": 2, "one mel": 2, "grey to colour": 3, "resized nhwc": 2}


@pytest.mark.parametrize("name", WIDTH)
def test_a_mirrored_input_is_mapped_back(name, unchanged):
    prepare, channels, conv, x, _ = INPUTS[name]
    model = Prepared(prepare, channels, conv).eval()
    with unchanged(model):
        found = xaicore.explain(model, x, 1, augment="hflip")
    other = np.flip(plain(model, x.flip(WIDTH[name])), 2)
    np.testing.assert_allclose(found.maps, (plain(model, x) + other) / 2, rtol=1e-4, atol=1e-6)
    assert np.array_equal(found.images, xaicore.explain(model, x, 1).images)


@pytest.mark.parametrize("name", INPUTS)
def test_noise_reaches_the_picture_whatever_its_axes(name):
    prepare, channels, conv, x, size = INPUTS[name]
    model = Prepared(prepare, channels, conv).eval()
    seen = []
    model.register_forward_pre_hook(lambda module, args: seen.append(args[0].clone()))
    found = xaicore.explain(model, x, 1, smooth=(2, 0.1))
    changed = [one for one in seen if one.shape == x.shape and not torch.equal(one, x)][-2:]
    assert len(changed) == 2
    assert all(one.dtype == x.dtype for one in changed)
    expected = (plain(model, changed[0]) + plain(model, changed[1])) / 2
    np.testing.assert_allclose(found.maps, expected, rtol=1e-4, atol=1e-6)
    assert found.input_size == size
    for one in changed:
        difference = ((one.float() - x.float()) / spread(x, 0.1)).flatten(1)
        assert 0.8 < float(difference.std()) < 1.2
        if x.dtype.is_floating_point:
            assert torch.allclose(difference[0], difference[-1], atol=1e-3)  # the same noise for every picture


def test_frames_are_changed_one_by_one():
    model, x = Frames().eval(), rand(2, 5, 3, 8, 12)
    frames = x.flatten(0, 1)
    changed = (frames + spread(frames, 0.2) * noise((3, 8, 12), 0)).unflatten(0, (2, 5))
    found = plain(model, x, smooth=(1, 0.2))
    assert found.shape == (2, 5, 8, 12)
    np.testing.assert_allclose(found, plain(model, changed), rtol=1e-4, atol=1e-6)
    found = plain(model, x, augment="hflip")
    np.testing.assert_allclose(found, (plain(model, x) + np.flip(plain(model, x.flip(4)), 3)) / 2, atol=1e-6)
    smooth = xaicore.method("smoothgradcam++", n=1, sigma=0.2)
    assert plain(model, x, method=smooth).shape == (2, 5, 8, 12)


def test_both_inputs_of_a_pair_are_changed():
    model, x = Siamese().eval(), (PICTURES, rand(2, 3, 16, 24, seed=1))
    found = plain(model, x, layer="net#*", augment="hflip")
    mirrored = plain(model, tuple(one.flip(3) for one in x), layer="net#*")
    np.testing.assert_allclose(found, (plain(model, x, layer="net#*") + np.flip(mirrored, 3)) / 2, atol=1e-6)


def test_a_text_beside_a_picture_stays():
    model, text = Question().eval(), torch.arange(14).reshape(2, 7)
    found = plain(model, (PICTURES, text), augment="hflip")
    other = np.flip(plain(model, (PICTURES.flip(3), text)), 2)
    np.testing.assert_allclose(found, (plain(model, (PICTURES, text)) + other) / 2, atol=1e-6)


@pytest.mark.parametrize("options", [{"smooth": 2}, {"augment": True}, {"method": "smoothgradcam++"}])
def test_pictures_that_the_model_makes_cannot_be_changed(options, unchanged):
    model = Prepared(Spectrogram(add_channels=True), 1).eval()
    with unchanged(model), pytest.raises(MethodError, match="the model makes the picture"):
        xaicore.explain(model, rand(2, 800), **options)


def test_one_picture_without_its_batch():
    model, x = ConvGapDense().eval(), pictures(1)
    for options in ({"smooth": 2}, {"augment": True}, {"method": "smoothgradcam++"}, {"method": "finercam"}):
        np.testing.assert_array_equal(plain(model, x[0], **options), plain(model, x, **options))


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize("options", [{"smooth": 20}, {"method": "smoothgradcam++"}])
def test_an_exception_in_the_seventh_of_twenty_passes(error, options, unchanged):
    class Stops(ConvGapDense):
        count = -2  # the facts, and the pass over the picture itself

        def forward(self, x):
            Stops.count += 1
            if Stops.count == 7:
                raise error("stop")
            return super().forward(x)

    model, x = Stops().train(), pictures(2)
    with unchanged(model), pytest.raises(error if error is KeyboardInterrupt else Exception, match="stop"):
        xaicore.explain(model, x, 1, layer="relu1", **options)
    Stops.count = 100
    assert plain(model, x, 2, layer="relu1").any()


@pytest.mark.parametrize("options", [{"smooth": 3}, {"augment": True}, {"method": "smoothgradcam++"}])
def test_batches_are_single_ones(options, unchanged):
    model, x = ConvGapDense().train(), pictures(4)
    with unchanged(model):
        together = plain(model, x, [[2, 0]] * 4, layer="relu1", **options)
        for n in range(4):
            single = plain(model, x[n : n + 1], [[2, 0]], layer="relu1", **options)
            np.testing.assert_allclose(together[2 * n : 2 * n + 2], single, rtol=1e-4, atol=1e-6)
