"""The code of the pages that need a PyTorch model runs as it stands there, and does what they say."""

from __future__ import annotations

import doctest
import re
from typing import Any

import numpy as np
import pages
import pytest
import torch
from torch import nn
from torch_nets import ConvGapDense, pictures

import xaicore


class TwoHeads(nn.Module):
    def __init__(self, body: nn.Module):
        super().__init__()
        self.body = body

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        kind = self.body(x)
        return {"kind": kind, "age": kind[:, :1]}


def classifier() -> nn.Sequential:
    torch.manual_seed(0)
    convolutions = [nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 5, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*convolutions, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 3))


def models() -> dict[str, Any]:
    """The nets that docs/errors.md speaks of."""
    reader = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Flatten(), nn.Linear(256, 12), nn.Unflatten(1, (4, 3)))
    return {
        "model": classifier(),
        "two_heads": TwoHeads(classifier()),
        "reader": reader,
        "segmenter": nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 1)),
        "dense": nn.Sequential(nn.Flatten(), nn.Linear(192, 3)),
        "x": torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)),
        **{"np": np, "xaicore": xaicore},
    }


EXAMPLES = re.findall(r"^\*\*(.*?)\*\*.*?^```pycon\n(.*?)^```", pages.text("docs/errors.md"), re.S | re.M)


@pytest.mark.parametrize("code", [code for _, code in EXAMPLES], ids=[title for title, _ in EXAMPLES])
def test_an_error_has_this_message_and_this_remedy(code: str) -> None:
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    test = doctest.DocTestParser().get_doctest(code, models(), "docs/errors.md", None, 0)
    printed: list[str] = []
    result = doctest.DocTestRunner(optionflags=flags).run(test, out=printed.append)
    assert not result.failed, "".join(printed)
    assert any(example.exc_msg for example in test.examples)


def test_the_front_page(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pages.run("docs/index.md", names={"model": ConvGapDense(), "x": pictures()})
    assert len((tmp_path / "runs/first/manifest.jsonl").read_text().splitlines()) == 2


def test_explaining(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    x, y = pictures(), np.array([0, 1])
    model = ConvGapDense()
    y[0] = (model(x[:1]).argmax() + 1) % 3  # one mistake
    names = {"model": model, "x": x, "y": y, "names": ["ant", "bee", "cat"], "boxes": [[0, 0, 4, 4], [1, 1, 5, 5]]}
    names = pages.run("docs/explain.md", names=names)
    assert 0 in names["wrong"]
    assert len((tmp_path / "runs/wrong/manifest.jsonl").read_text().splitlines()) == 2 * len(names["wrong"])
    assert len((tmp_path / "runs/all/manifest.jsonl").read_text().splitlines()) == 2
    assert names["finer"].layer == names["layers"][0].name == "conv1"
    assert 0 <= names["result"].energy.value <= 1


def test_comparing(capsys: pytest.CaptureFixture[str]) -> None:
    names = {"model": ConvGapDense(), "x": pictures(), "boxes": [[0, 0, 4, 4], [1, 1, 5, 5]]}
    names = pages.run("docs/compare.md", names=names)
    assert list(names["shares"]) == list(names["several"]) == ["gradcam", "hirescam", "layercam", "random"]
    assert all(0 <= share <= 1 for share in names["shares"].values())
    printed = capsys.readouterr().out
    assert re.search(r"^gradcam fits$", printed, re.M)
    assert re.search(r"^legrad .*no attention", printed, re.M)
    assert names["two"].maps.shape[0] == 4


def test_the_first_minute(tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    names = pages.run("docs/start.md", "PyTorch")
    assert names["explanation"].targets.tolist() == [285]
    assert ": Egyptian cat 0.403; gradcam at" in capsys.readouterr().out.splitlines()[-1]
    assert (tmp_path / "runs/chelsea/index.html").stat().st_size > 1000


def test_the_tutorial(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A perfect score for the wrong reason, found and mended."""
    monkeypatch.chdir(tmp_path)
    names = pages.run_notebook("docs/tutorials/pytorch.ipynb")
    assert names["perfect"] > 0.95
    assert names["fooled"] < 0.2
    assert names["on_stamp"].energy.value > 5 * names["on_stamp"].uniform
    assert names["on_shape"].energy.value < names["on_shape"].uniform / 2
    assert min(names["first"], names["second"]) > 0.95
    assert names["mended_on_shape"].energy.value > 2 * names["mended_on_shape"].uniform
    assert names["shares"]["gradcam"] > names["shares"]["random"]
    assert len((tmp_path / "runs/tutorial/manifest.jsonl").read_text().splitlines()) == 8 * 12
