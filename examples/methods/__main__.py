"""`python -m examples.methods`: write the galleries and the shares in docs/methods."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import xaicore
from examples import efficientnet_lite0
from examples.demo import labelled
from examples.methods import vit
from examples.methods.pointing import mosaics, share_in_cells
from examples.methods.sheet import write_sheet
from examples.report.scenes import photo, scenes

DOCS = Path(__file__).resolve().parents[2] / "docs" / "methods"
CAT, DOG = 281, 251
"""ImageNet's tabby and dalmatian."""

OPTIONS: dict[str, dict[str, Any]] = {
    "rise": {"masks": 600},
    "scorecam": {"channels": 64},
    "sscam": {"channels": 8},
    "iscam": {"channels": 24},
    "refinecam": {},
}
"""Of methods of many passes, so that the galleries take minutes."""
OF_INPUT = ("input_gradients", "guided", "deconv")
SCORES = ("activations", "gradients", "weights", "attention", "attention_gradients", "resume", "second", *OF_INPUT)
"""What methods need whose evidence is quick to get; the others are left out of the pointing game."""


def main() -> None:
    """Both galleries, then the pointing game."""
    DOCS.mkdir(exist_ok=True)
    warnings.simplefilter("ignore")
    scene = np.concatenate([square("skimage/data/chelsea.png"), square("foolbox/data/imagenet_16_251.jpg")], axis=1)
    lite0 = efficientnet_lite0.model()
    gallery("cnn.jpg", lite0, scene, lite0_input(scene), [CAT, DOG], xaicore.METHODS)
    transformer = vit.classifier(scenes(192, 4, seed=1).train)
    gallery("vit.jpg", transformer, scene, vit.as_input(scene[None]), [0, 1], xaicore.METHODS)
    pictures, classes = photographs(lite0)
    given = mosaics(pictures, classes)
    rows = []
    for name, method in xaicore.METHODS.items():
        if set(method.asks) <= set(SCORES):
            try:
                share = share_in_cells(xaicore.Explainer(lite0, method, batch_size=4), given, lite0_input)
            except xaicore.MethodError:
                continue
            rows.append((share, name))
            print(f"{name}: {share:.3f}", flush=True)
    (DOCS / "pointing.md").write_text(page(sorted(rows, reverse=True), 4 * len(given)), encoding="utf-8")


def gallery(
    file: str, model: Any, picture: np.ndarray, x: np.ndarray, classes: Sequence[int], methods: Iterable[str]
) -> None:
    """One sheet of all the methods that fit a model."""
    rows = {}
    for name in methods:
        method = xaicore.methods.method(name, **OPTIONS.get(name, {}))
        start = time.perf_counter()
        try:
            explanation = xaicore.Explainer(model, method)(x, [classes], images=picture[None])
        except xaicore.MethodError as exc:
            print(f"{file}: {name} is left out: {exc}")
            continue
        rows[name] = list(explanation.overlays(**look(explanation.signed)))
        print(f"{file}: {name}, {time.perf_counter() - start:.1f} s", flush=True)
    write_sheet(DOCS / file, picture, rows, ("cat", "dog"))


def square(path: str) -> np.ndarray:
    """The middle of a package's photograph, (224, 224, 3) uint8 RGB."""
    return efficientnet_lite0.preprocess(photo(path))[1]


def look(signed: bool) -> dict[str, Any]:
    """How overlays are drawn."""
    return {"alpha": 0.9} if signed else {"colormap": "inferno", "alpha": 0.75}


def lite0_input(picture: np.ndarray) -> np.ndarray:
    """A picture (H, W, 3) uint8 RGB as EfficientNet-Lite0 takes it, of any size: (1, 3, H, W)."""
    return np.ascontiguousarray(((picture.astype(np.float32) - 127) / 128).transpose(2, 0, 1)[None])


def photographs(model: Any) -> tuple[list[np.ndarray], list[int]]:
    """Squares of the demo's photographs that the net recognises, the surest first, and their classes."""
    explainer = xaicore.Explainer(model, "random")
    found: list[tuple[float, np.ndarray, int]] = []
    for path, label in labelled().items():
        picture = square(f"foolbox/data/{path.name}")
        explanation = explainer(lite0_input(picture), label)
        if explanation.predicted is not None and explanation.predicted[0] == label:
            found.append((float(explanation.scores[0]), picture, label))
    found.sort(key=lambda one: -one[0])
    return [picture for _, picture, _ in found], [label for *_, label in found]


def page(rows: Sequence[tuple[float, str]], count: int) -> str:
    """The page as Markdown, from (share, method)."""
    lines = [
        "# Does the evidence lie where it should?",
        "",
        "`make gallery` writes this page. Four photographs that EfficientNet-Lite0 recognises make a mosaic, and each",
        "of their classes is explained. The table says how much of the positive evidence for a class lies in its own",
        f"cell, on average over {count} classes in {count // 4} mosaics (the grid pointing game, Boehle et al. 2021).",
        "Evidence that is spread evenly has 0.25 there.",
        "",
        "| method | share |",
        "|---|---|",
        *(f"| `{name}` | {share:.2f} |" for share, name in rows),
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
