"""One box of a detector, in the layouts in which detectors answer, against plain autograd."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import xaicore
from xaicore.outputs.detections import overlaps
from xaicore.targets import Box, Boxes, Yolo


class Detector(nn.Module):
    """Scores and boxes for each cell of its last map."""

    def __init__(self, classes: int = 4) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, 4, 1), nn.ReLU(), nn.Conv2d(8, 16, 3, 2, 1), nn.ReLU())
        self.scores, self.places = nn.Conv2d(16, classes, 3, padding=1), nn.Conv2d(16, 4, 1)
        self.config = SimpleNamespace(num_labels=classes)
        nn.init.normal_(self.scores.weight, std=0.5)

    def cells(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits (N, Q, C), and boxes (N, Q, 4): centre and size as fractions of the picture."""
        seen = self.body(x)
        rows, columns = seen.shape[2:]
        y, across = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
        centres = torch.stack([(across + 0.5) / columns, (y + 0.5) / rows], -1).reshape(1, -1, 2)
        off = self.places(seen).flatten(2).transpose(1, 2).tanh() * 0.05
        boxes = torch.cat([centres + off[..., :2], torch.full_like(off[..., :2], 0.3)], 2)
        return self.scores(seen).flatten(2).transpose(1, 2), boxes


class Queries(Detector):
    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        logits, boxes = self.cells(x)
        return {"logits": logits, "pred_boxes": boxes}


class Ragged(Detector):
    def forward(self, x: torch.Tensor) -> list[dict[str, torch.Tensor]]:
        logits, boxes = self.cells(x)
        height, width = x.shape[2:]
        found = []
        for p, box in zip(logits.sigmoid(), boxes, strict=True):
            scores, labels = p.max(1)
            order = scores.argsort(descending=True)
            kept = order[scores[order] > 0.3]
            corners = torch.cat([box[:, :2] - box[:, 2:] / 2, box[:, :2] + box[:, 2:] / 2], 1)
            scaled = corners * torch.tensor([width, height, width, height])
            found.append({"boxes": scaled[kept], "labels": labels[kept], "scores": scores[kept]})
        return found


class Single(Detector):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits, boxes = self.cells(x)
        return torch.cat([boxes * 32, logits.sigmoid()], 2).transpose(1, 2)


class Turned(Detector):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits, boxes = self.cells(x)
        return torch.cat([boxes, logits.sigmoid()], 2)


@pytest.fixture
def x() -> torch.Tensor:
    return torch.rand(2, 3, 32, 48, generator=torch.Generator().manual_seed(1))


def logit_of(model: Detector, x: torch.Tensor, n: int, q: int, c: int) -> torch.Tensor:
    return model.cells(x)[0][n, q, c]


def score_of(model: Detector, x: torch.Tensor, n: int, q: int, c: int) -> torch.Tensor:
    return model.cells(x)[0].sigmoid()[n, q, c]


def gradcam(model: Detector, x: torch.Tensor, score: Callable[..., torch.Tensor], *where: int) -> np.ndarray:
    kept: list[torch.Tensor] = []
    hook = model.body.register_forward_hook(lambda module, inputs, output: kept.append(output))
    value = score(model, x, *where)
    hook.remove()
    (gradient,) = torch.autograd.grad(value, kept[0])
    a, g = kept[0][where[0]], gradient[where[0]]
    return torch.relu((a * g.mean((1, 2), keepdim=True)).sum(0)).detach().numpy()


CASES: dict[str, tuple[type[Detector], Any, Any]] = {
    "queries": (Queries, Boxes(3), logit_of),
    "ragged": (Ragged, Boxes(3), score_of),
    "single": (Single, Boxes(3, read=Yolo(axis=1, nms=None)), score_of),
    "turned": (Turned, Boxes(3, read=Yolo(axis=2, nms=None, relative=True)), score_of),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("classes", [4, 24])
def test_maps_are_those_of_autograd(case: str, classes: int, x: torch.Tensor) -> None:
    """24 classes are as many as there are boxes."""
    torch.manual_seed(0)
    make, target, score = CASES[case]
    model = make(classes).eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    result = xaicore.explain(model, x, target, layer="body")
    p = model.cells(x)[0].sigmoid().detach().numpy()
    for m in range(6):
        n, k = divmod(m, 3)
        q = int(np.argsort(-p[n].max(1), kind="stable")[k])
        c = int(p[n, q].argmax())
        assert result.targets[m] == c
        assert result.scores[m] == pytest.approx(p[n, q, c], abs=1e-5)
        expected = gradcam(model, x, score, n, q, c)
        np.testing.assert_allclose(result.maps[m], expected, atol=1e-4 * expected.max())
        x0, y0, x1, y1 = result.target_box(m) or ()
        column, line = q % 6, q // 6
        assert abs((x0 + x1) / 2 - (column + 0.5) * 8) < 3 or case == "single"
        assert abs((y0 + y1) / 2 - (line + 0.5) * 8) < 3 or case == "single"
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


class One(nn.Module):
    """The score of one box, as a number per image."""

    def __init__(self, model: Detector, q: int, c: int) -> None:
        super().__init__()
        self.model, self.q, self.c = model, q, c

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.model.cells(x)[0].sigmoid()[:, self.q, self.c, None]


@pytest.mark.parametrize("method", ["rise", "scorecam", "integrated-gradients", "ablationcam", "reciprocam"])
def test_a_method_of_many_passes_follows_the_box(method: str, x: torch.Tensor) -> None:
    """Its map is that of a model which returns the score of this box."""
    torch.manual_seed(0)
    model = (Single if method == "integrated-gradients" else Queries)().eval()
    target = Box(0, read=Yolo(axis=1, nms=None)) if method == "integrated-gradients" else Box(0)
    options: dict[str, Any] = {"method": method, "layer": None if method == "rise" else "body", "progress": False}
    result = xaicore.Explainer(model, **options)(x[:1], target)
    p = model.cells(x[:1])[0].sigmoid().detach().numpy()[0]
    q, c = np.unravel_index(p.argmax(), p.shape)
    options["layer"] = None if method == "rise" else "model.body"
    one = xaicore.Explainer(One(model, int(q), int(c)).eval(), kind="values", **options)(x[:1], targets=0)
    np.testing.assert_allclose(result.maps, one.maps, rtol=1e-4, atol=1e-5)


def test_a_box_that_a_changed_layer_moves_scores_what_overlaps_with_it(x: torch.Tensor) -> None:
    """Passes that start at a layer return all of a list of images; a box that is gone scores 0."""
    torch.manual_seed(0)
    model = Ragged().eval()
    explainer = xaicore.Explainer(model, "ablationcam", layer="body", progress=False)
    result = explainer(x, Boxes(2))
    own = model(x)
    a = model.body(x).detach()
    for m in range(4):
        n, k = divmod(m, 2)
        box, label, score = (own[n][name][k].detach() for name in ("boxes", "labels", "scores"))
        weights = []
        for channel in range(16):
            changed = a[n : n + 1].clone()
            changed[:, channel] = 0
            hook = model.body.register_forward_hook(lambda module, args, output, given=changed: given)
            (found,) = model(x[n : n + 1])
            hook.remove()
            shared = overlaps(box.numpy(), found["boxes"].detach().double().numpy())
            shared = shared * (found["labels"] == label).numpy()
            likely = np.where(shared >= 0.5, shared * found["scores"].detach().numpy(), -1)
            still = float(found["scores"][int(likely.argmax())]) if len(likely) and likely.max() >= 0 else 0.0
            weights.append((float(score) - still) / float(score))
        expected = np.maximum((np.array(weights)[:, None, None] * a[n].numpy()).sum(0), 0)
        np.testing.assert_allclose(result.maps[m], expected, rtol=1e-3, atol=1e-4 * expected.max())


def test_a_class_of_a_detector_is_refused_with_the_way_to_its_boxes(x: torch.Tensor) -> None:
    with pytest.raises(xaicore.OutputError, match=r"targets=xaicore\.targets\.Boxes\(3\)"):
        xaicore.explain(Queries().eval(), x, 1, layer="body")


def test_detectors_of_torchvision(x: torch.Tensor) -> None:
    detection = pytest.importorskip("torchvision").models.detection
    x = x[..., :32]  # others are padded to multiples of 32 pixels, and their maps refused
    torch.manual_seed(0)
    model = detection.fasterrcnn_mobilenet_v3_large_320_fpn(
        weights=None, weights_backbone=None, num_classes=5, box_score_thresh=0.0, min_size=96
    ).eval()
    result = xaicore.explain(model, x, Boxes(2), layer="backbone.body.16")
    kept: list[torch.Tensor] = []
    hook = model.backbone.body["16"].register_forward_hook(lambda module, inputs, output: kept.append(output))
    found = model(x)
    hook.remove()
    for n in range(2):
        (g,) = torch.autograd.grad(found[n]["scores"][0], kept[0], retain_graph=True)
        expected = torch.relu((kept[0][n] * g[n].mean((1, 2), keepdim=True)).sum(0)).detach().numpy()
        np.testing.assert_allclose(result.maps[2 * n], expected, atol=1e-4 * max(expected.max(), 1e-30))
        assert result.target_box(2 * n) == pytest.approx(found[n]["boxes"][0].tolist(), abs=1e-3)
        assert result.targets[2 * n] == found[n]["labels"][0]
