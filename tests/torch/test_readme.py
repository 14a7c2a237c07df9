"""The Python of the README and of the guide runs as it stands there."""

import numpy as np
import pages
import pytest

import xaicore


def test_the_readme(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = pages.run("README.md")
    explanation = names["explanation"]
    assert explanation.targets.tolist() == [285]  # Egyptian cat
    assert explanation.images_from == "user"
    assert (tmp_path / "runs/chelsea/index.html").stat().st_size > 1000
    assert len((tmp_path / "runs/chelsea/manifest.jsonl").read_text().splitlines()) == 1
    assert len((tmp_path / "runs/watched/manifest.jsonl").read_text().splitlines()) == 4 * 3
    assert names["model"].training


@pytest.fixture(scope="module")
def guide(tmp_path_factory):
    """What the guide's Python defines, and the folder into which it writes figures, `here`."""
    from torch_nets import ConvGapDense, pictures

    explainer, x = xaicore.Explainer(ConvGapDense()), pictures()
    here = tmp_path_factory.mktemp("guide")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        names = {"explainer": explainer, "explanation": explainer(x), "x": x}
        return {**pages.run("docs/guide.md", names=names), "here": here}


def test_the_guides_figures(guide):
    assert list(guide["comparison"]) == ["gradcam", "layercam", "eigencam"]
    assert {path.name for path in guide["here"].iterdir()} == {"figure.png", "methods.pdf", "training.pdf"}


def test_the_guides_own_target(guide):
    from torch_nets import ConvGapDense, pictures

    contrast = guide["Contrast"](2, 0)
    model, x = ConvGapDense(), pictures()
    explanation = xaicore.explain(model, x, contrast)
    y = model(x).detach().numpy()
    np.testing.assert_allclose(explanation.scores, y[:, 2] - y[:, 0], rtol=1e-5)
    assert explanation.target == "Contrast"
    assert explanation.targets.tolist() == [-1, -1]


def test_the_guides_preprocess(guide):
    from torch_nets import ConvGapDense

    picture = np.random.default_rng(0).integers(0, 256, (448, 448, 3), np.uint8)
    explainer = xaicore.Explainer(ConvGapDense(channels=3), preprocess=guide["prepare"])
    (seen,) = explainer(picture).images
    means = picture.reshape(224, 2, 224, 2, 3).mean(axis=(1, 3))
    assert np.abs(seen - means).max() <= 0.5


def test_the_guides_region_of_a_segmentation(guide):
    import torch
    from torch_nets import ConvGapDense, pictures

    torch.manual_seed(0)
    net, x = torch.nn.Sequential(ConvGapDense().conv1, torch.nn.ReLU(), torch.nn.Conv2d(4, 3, 1)), pictures()
    mask = np.zeros(x.shape[2:], bool)
    mask[1:3, 4:8] = True
    explanation = xaicore.explain(net, x, guide["Region"](1, mask), layer="1")
    y = net(x).detach().numpy()
    np.testing.assert_allclose(explanation.scores, y[:, 1, mask].sum(1), rtol=1e-5)
    a = net[1](net[0](x)).detach().numpy()
    weights = net[2].weight[1, :, 0, 0].detach().numpy() * mask.mean()  # the mean of the gradient over all positions
    np.testing.assert_allclose(explanation.maps, np.maximum(np.einsum("nchw,c->nhw", a, weights), 0), rtol=1e-4)
