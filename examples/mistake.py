"""`python -m examples.mistake`: why a network takes a jeep for a convertible. Writes docs/mistake.jpg."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

import xaicore
from examples.demo import class_names, labelled
from examples.efficientnet_lite0 import model, preprocess

PICTURE = Path(__file__).parents[1] / "docs" / "mistake.jpg"
PHOTO = "imagenet_07_609.jpg"
WIDTH, GAP, TITLE = 400, 12, 44
"""The width of a picture, the space between two, and the height of the words above, in pixels."""


def explain() -> xaicore.Explanation:
    """The predicted class and the true one of the photograph that the network gets wrong."""
    (path, truth), *_ = ((path, truth) for path, truth in labelled().items() if path.name == PHOTO)
    photo = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    x, _ = preprocess(photo)
    known = {"images": photo, "truth": truth, "class_names": class_names()}
    explainer = xaicore.Explainer(model())
    predicted = int(explainer(x, **known).predicted[0])
    return explainer(x, targets=[[predicted, truth]], **known)


def sheet(explanation: xaicore.Explanation) -> Image.Image:
    """The photograph, and the evidence for each class, side by side under their titles."""
    predicted, true = explanation.row(0), explanation.row(1)
    panels = {
        f"a {true['target_name']}, taken for a {predicted['target_name']}": explanation.picture(0),
        **{
            f"evidence for {row['target_name']} ({100 * row['score']:.0f} %)": explanation.overlay(m)
            for m, row in enumerate((predicted, true))
        },
    }
    page = Image.new("RGB", (len(panels) * (WIDTH + GAP) - GAP, WIDTH + TITLE), "white")
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(22)
    for i, (title, pixels) in enumerate(panels.items()):
        left = i * (WIDTH + GAP)
        draw.text((left + 2, 8), title, "black", font)
        page.paste(Image.fromarray(np.asarray(pixels)).resize((WIDTH, WIDTH), Image.Resampling.LANCZOS), (left, TITLE))
    return page


def main() -> None:
    """Draw the picture, and print what it shows."""
    explanation = explain()
    sheet(explanation).save(PICTURE, quality=80)
    print(f"{PICTURE.name}: {', '.join(explanation.row(m)['target_name'] for m in range(2))}, {explanation.scores}")


if __name__ == "__main__":
    main()
