"""The Python of the README and of the guide runs as it stands there."""

import numpy as np
import pages

import xaicore


def test_the_readme(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(pages.ROOT)
    names = pages.run("README.md")
    explanation = names["explanation"]
    assert explanation.targets.tolist() == [285]  # Egyptian cat
    assert explanation.images_from == "user"
    for folder in ("runs/chelsea", "runs/cats"):
        assert (tmp_path / folder / "index.html").stat().st_size > 1000
        assert len((tmp_path / folder / "manifest.jsonl").read_text().splitlines()) == 1
    assert len((tmp_path / "runs/watched/manifest.jsonl").read_text().splitlines()) == 3
    assert names["net"].training


def test_the_guides_own_target():
    from torch_nets import ConvGapDense, pictures

    contrast = pages.run("docs/guide.md")["Contrast"](2, 0)
    model, x = ConvGapDense(), pictures()
    explanation = xaicore.explain(model, x, contrast)
    y = model(x).detach().numpy()
    np.testing.assert_allclose(explanation.scores, y[:, 2] - y[:, 0], rtol=1e-5)
    assert explanation.target == "Contrast"
    assert explanation.targets.tolist() == [-1, -1]
