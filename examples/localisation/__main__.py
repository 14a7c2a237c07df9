"""`python -m examples.localisation`: write the tables and the figure of docs/localisation.md. Takes some minutes."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

import xaicore
from examples import efficientnet_lite0
from examples.localisation import figure
from examples.localisation.scenes import boxes_of, classes_of, pairs
from examples.localisation.table import cell, put, table
from examples.report.command import EPOCHS, SEED, TRAIN, VALIDATION
from examples.report.pictures import Data, Pictures
from examples.report.scenes import scenes
from examples.report.torch import as_input, train
from xaicore import Explanation, localize
from xaicore.localize import Localization
from xaicore_torch import cam_model

DOCS = Path(__file__).resolve().parents[2] / "docs"
BATCH = 16

METHODS = (
    *("cam", "gradcam", "hirescam", "xgradcam", "gradcam++", "gradcam-elementwise", "layercam", "shapleycam"),
    *("eigencam", "eigengradcam", "kpcacam", "segeigencam", "fem", "random"),
    *("gradient", "input-x-gradient", "guided-gradcam"),
)
"""Those that cost a pass or two."""

FINER, OF_FINER = "body._blocks.10", ("gradcam", "gradcam++", "layercam")
"""A layer with maps of 14 x 14, and methods that are measured there, too. The last layer's are of 7 x 7."""

THRESHOLDS = np.arange(0.05, 1, 0.05)
"""From which each method's own threshold is chosen, on the training pictures."""

SEVERAL = ("gradcam", "gradcam++", "layercam", "eigencam", "random")
"""Methods that are measured on scenes of two animals."""

ONE = {
    "top1_error": "top-1 error",
    "gt_known_error": "GT-known error",
    "own": "own threshold",
    "tuned": "GT-known error there",
    "pointing": "pointing game",
    "near": "within 15 pixels",
    "energy": "evidence in the box",
}
TWO = {"precision": "precision", "recall": "recall", "pointing": "pointing game", "energy": "evidence in the boxes"}


def main() -> None:
    """Train, explain, measure, write."""
    warnings.simplefilter("ignore")
    data = scenes(TRAIN, VALIDATION, SEED)
    several = pairs(VALIDATION, SEED + 1)
    model = trained(data)
    one: dict[str, dict[str, Any]] = {}
    two, tiles = [], []
    for layer, where, methods, of_two, drawn in (
        (None, "", METHODS, SEVERAL, "gradcam"),
        (FINER, " at 14 x 14", OF_FINER, OF_FINER, "layercam"),
    ):
        explainer = xaicore.Explainer(model, kind="logits", layer=layer)
        measured = one_animal(explainer, data, methods)
        one |= {f"`{name}`{where}": figures for name, figures in measured.items()}
        thresholds = {name: measured[name]["own"] for name in of_two}
        for name, result in two_animals(explainer, several, thresholds).items():
            two.append((f"`{name}`{where}", result.estimates))
        tiles += drawings(explainer, data.watched, drawn, thresholds[drawn])
    put(DOCS / "localisation.md", "one animal", table(together(one), ONE))
    put(DOCS / "localisation.md", "two animals", table(two, TWO))
    figure.write(DOCS / "localisation.jpg", tiles)


def trained(data: Data) -> torch.nn.Module:
    """The report's CAM-ready network, trained as the report does, without its monitor."""
    torch.manual_seed(SEED)
    model = cam_model(efficientnet_lite0.model().requires_grad_(False), classes=data.outputs, freeze=True).eval()
    silent: Any = SimpleNamespace(metrics=lambda epoch, values: None, step=lambda epoch: None)
    train(model, model.dense, data, range(EPOCHS), 1e-2, silent, silent)
    return model


def explain(
    explainer: xaicore.Explainer, pictures: Pictures, targets: Any, methods: Sequence[str]
) -> dict[str, Explanation]:
    """All pictures by all methods, in batches."""
    parts: dict[str, list[Explanation]] = {name: [] for name in methods}
    for start in range(0, len(pictures), BATCH):
        batch = pictures.take(range(start, min(start + BATCH, len(pictures))))
        labels = {"images": batch.images, "ids": batch.ids, "truth": batch.truth}
        for name, part in explainer.compare(as_input(batch.images), methods, targets, **labels).items():
            parts[name].append(part)
    return {name: Explanation.concatenate(of_method) for name, of_method in parts.items()}


def one_animal(explainer: xaicore.Explainer, data: Data, methods: Sequence[str]) -> dict[str, dict[str, Any]]:
    """{method: {column: figure}} of the unseen scenes with one animal."""
    seen, unseen = (explain(explainer, pictures, "truth", methods) for pictures in (data.train, data.validation))
    true, measured = boxes_of(data.validation), {}
    for name, explanation in unseen.items():
        own = own_threshold(seen[name], np.concatenate(boxes_of(data.train)))
        as_published, tuned = (localize.evaluate(explanation, true, threshold=share) for share in (0.2, own))
        measured[name] = {
            **as_published.estimates,
            "own": own,
            "tuned": tuned.gt_known_error,
            "near": localize.evaluate(explanation, true, tolerance=15).pointing,
        }
        print(f"{as_published}\nown threshold {own:.2f}: {tuned.gt_known_error}\n", flush=True)
    return measured


def own_threshold(explanation: Explanation, true: np.ndarray) -> float:
    """The threshold with which the most boxes overlap the true ones, (N, 4), by a half."""
    heatmaps = explanation.heatmaps()
    boxes = (localize.boxes(localize.masks(heatmaps, share)) for share in THRESHOLDS)
    return float(THRESHOLDS[np.argmax([(localize.iou(found, true) >= 0.5).sum() for found in boxes])])


def together(measured: dict[str, dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    """Methods that measure the same share a row, the most evidence in the box first."""
    rows: dict[Any, tuple[str, dict[str, Any]]] = {}
    for name, figures in measured.items():
        key = tuple(cell(figures[column]) for column in ONE)
        rows[key] = (f"{rows[key][0]}, {name}" if key in rows else name, figures)
    return sorted(rows.values(), key=lambda row: -row[1]["energy"].value)


def two_animals(
    explainer: xaicore.Explainer, pictures: Pictures, thresholds: dict[str, float]
) -> dict[str, Localization]:
    """By {method: threshold}, both classes of each scene: two boxes of each map against the animals of its class."""
    measured = {}
    for name, explanation in explain(explainer, pictures, [[0, 1]], list(thresholds)).items():
        measured[name] = localize.evaluate(
            *(explanation, boxes_of(pictures)), classes=classes_of(pictures), threshold=thresholds[name], components=2
        )
        print(f"{measured[name]}\n", flush=True)
    return measured


def drawings(explainer: xaicore.Explainer, watched: Pictures, method: str, threshold: float) -> list[np.ndarray]:
    """The report's scenes of two animals, with the two largest boxes of each map."""
    several = watched.take([n for n, boxes in enumerate(watched.boxes) if len(boxes) > 1])
    explanation = explain(explainer, several, [[0, 1]], [method])[method]
    boxes, points = explanation.boxes(threshold, components=2), explanation.points()
    tiles = []
    for m, (n, target) in enumerate(zip(explanation.image_index, explanation.targets, strict=True)):
        true = [box[1:] for box in several.boxes[n] if box.label == target]
        if true:
            title = f"{method}, {('cat', 'dog')[target]}"
            tiles.append(figure.tile(explanation.overlay(m), boxes[m], np.array(true), points[m], title))
    return tiles


if __name__ == "__main__":
    main()
