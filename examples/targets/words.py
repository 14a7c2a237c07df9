"""`python -m examples.targets.words`: which pixels of a photographed page made which letter, by a real reader.

Writes docs/targets/letters.jpg.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import skimage.data
import torch

import xaicore
from examples.targets.crnn import LETTERS, load

PICTURE = Path(__file__).parents[2] / "docs" / "targets" / "letters.jpg"
HEIGHT = 64
DRAWING = xaicore.Drawing(colormap="inferno", alpha=0.85)
WORDS = {"determine": (50, 66, 88, 155), "unambiguously": (84, 100, 2, 110)}
"""{word: its place in the page, top, bottom, left, right}."""


def line(word: str) -> np.ndarray:
    """The word as the reader takes it, (1, 1, 64, W) float32 in [-1, 1]."""
    top, bottom, left, right = WORDS[word]
    crop = skimage.data.page()[top:bottom, left:right]
    width = round(crop.shape[1] * HEIGHT / crop.shape[0])
    resized = cv2.resize(crop, (width, HEIGHT), interpolation=cv2.INTER_CUBIC)
    return resized.astype(np.float32)[None, None] / 127.5 - 1


def decode(ids: list[int]) -> str:
    """A letter of its index."""
    return LETTERS[ids[0] - 1]


def sheet(explanation: xaicore.Explanation) -> np.ndarray:
    """One overlay a letter, four side by side, each under its letter."""
    cells = []
    for m in range(len(explanation)):
        row = explanation.row(m)
        over = explanation.draw(m, DRAWING)["overlay"]
        title = np.full((30, over.shape[1], 3), 255, np.uint8)
        text = f"{row['target_name']}  {row['score']:.2f}"
        cv2.putText(title, text, (4, 22), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (0, 0, 0), 1, cv2.LINE_AA)
        cells.append(np.pad(np.concatenate([title, over]), ((4, 4), (4, 4), (0, 0)), constant_values=255))
    cells += [np.full_like(cells[0], 255)] * (-len(cells) % 3)
    return np.concatenate([np.concatenate(cells[i : i + 3], axis=1) for i in range(0, len(cells), 3)])


def main() -> None:
    """Read both words, print what was read, and draw the first."""
    torch.manual_seed(0)
    reader = load()
    explainer = xaicore.Explainer(reader, "layercam")
    for word in WORDS:
        explanation = explainer(line(word), xaicore.targets.CTC(decode=decode))
        read = "".join(explanation.names)
        print(f"{word}: reads {read!r} at {explanation.layer}, scores {np.round(explanation.scores, 2).tolist()}")
        if word == next(iter(WORDS)):
            picture = sheet(explanation)
            PICTURE.parent.mkdir(exist_ok=True)
            cv2.imwrite(str(PICTURE), picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])
            print(f"{PICTURE.name}: {picture.shape}, {PICTURE.stat().st_size // 1024} KiB")


if __name__ == "__main__":
    main()
