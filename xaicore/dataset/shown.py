"""Rows of a table as people see them: explanations with their pictures, or without where these cannot be had."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from xaicore import maps
from xaicore.dataset.questions import Questions
from xaicore.errors import InputError
from xaicore.explanation import Explanation
from xaicore.opencv import cv2
from xaicore.show import Drawing, png
from xaicore.show.words import evidence, headline, known, verdict

__all__ = ["Card", "Shower", "mean_picture"]

WIDEST = 320
"""Pixels of a card's longer side: sharp at the size at which the page shows it."""

MEAN = 96
"""Pixels of a mean map's longer side."""

QUALITY = 85
"""Of JPEG: overlays have no hard edges that would show it."""


@dataclass(frozen=True)
class Card:
    """A map on the page: its overlay as a data URI, and what is known of it."""

    id: str
    title: str
    facts: tuple[str, ...]
    is_wrong: bool
    share: float | None
    image: str


@dataclass
class Shower:
    """Makes explanations of rows, with pictures where they can be had.

    Args:
        images: "files", or None for no pictures.
        preprocess: the run's own.

    Attributes:
        failures: {id: why its picture could not be had}.
    """

    images: str | None
    preprocess: Callable[..., Any] | str | None
    failures: dict[str, str] = field(default_factory=dict)

    def explanations(self, table: Questions, size: int = 32) -> Iterator[Explanation]:
        """The pictures of a table, `size` at a time; those that do not fit together, one by one."""
        for some in table.by_pictures(size):
            try:
                yield self._whole(some)
            except InputError:
                yield from (self._one(one) for one in some.by_pictures(1))

    def _whole(self, table: Questions) -> Explanation:
        explanation = table.explanation(images=self.images, preprocess=self.preprocess)
        if self.images is not None and explanation.images is None:  # read now: this is where a lack is found
            raise InputError("there are no pictures")
        return explanation

    def _one(self, table: Questions) -> Explanation:
        try:
            return self._whole(table)
        except InputError as exc:
            explanation = table.explanation(images=None)
            self.failures[explanation.ids[0]] = str(exc)
            return explanation

    def cards(self, table: Questions) -> list[Card]:
        """A card per picture, of its first target in the table, in the table's order."""
        shares: dict[str, float | None] = {}
        for row in table.to_arrow(("id", "share")).to_pylist():
            shares.setdefault(row["id"], row["share"])
        found = []
        for explanation in self.explanations(table):
            per_image = len(explanation) // len(explanation.ids)
            for m in range(0, len(explanation), per_image):
                found.append(_card(explanation, m, shares[explanation.row(m)["id"]]))
        return found


def _card(explanation: Explanation, m: int, share: float | None) -> Card:
    row, drawn = explanation.row(m), explanation.draw(m)
    shown = drawn.get("overlay", drawn.get("heatmap"))
    is_predicted = row["predicted"] is not None and row["predicted"] == row["target"]
    told = {verdict(row["right"]), f"predicted {row['predicted_name']}"} if is_predicted else set()  # by the title
    facts = tuple(fact for fact in (*known(row), evidence(row)) if fact and fact not in told)
    image = "" if shown is None else _jpeg(shown)
    return Card(row["id"], headline(row), facts, row["right"] is False, share, image)


def mean_picture(mean: np.ndarray | None, size: tuple[int, ...], signed: bool) -> str:
    """A mean map (h, w) as a data URI, its maximum at the top of the colours; "" for one with other axes.

    Args:
        mean: of maps.
        size: (H, W) of the pictures, for the proportions.
        signed: whether negative values are evidence against the target.
    """
    if mean is None or mean.ndim != 2 or len(size) != 2:
        return ""
    height, width = (max(1, round(side * MEAN / max(size))) for side in size)
    heat = maps.normalize(maps.resize(mean[None], (height, width)))
    return _uri(png(Drawing().colorize(heat, signed)[0]), "png")


def _jpeg(image: np.ndarray) -> str:
    scale = WIDEST / max(image.shape[:2])
    if scale < 1:
        size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    options = [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    return _uri(encoded.tobytes(), "jpeg")


def _uri(data: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
