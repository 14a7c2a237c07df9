"""A step's images, numbers and rows of the table, as wandb takes them."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import wandb
from PIL import Image

from xaicore import show

__all__ = ["COLUMNS", "Photos", "cells", "history", "images_of", "key_part"]

COLUMNS = (
    *("epoch", "id", "group", "method", "layer", "target", "predicted", "truth", "right"),
    *("score", "raw_score", "maximum", "overlay", "photo"),
)


class Photos:
    """The photos of a step; each is one file for all methods and targets.

    wandb moves its own temporary files into a run, but not those that only a table shows, so these files are made here.
    """

    def __init__(self) -> None:
        self._photos: dict[str, wandb.Image] = {}
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def get(self, picture: np.ndarray) -> wandb.Image:
        """The image of a picture (H, W, 3) uint8 RGB."""
        self._folder = self._folder or tempfile.TemporaryDirectory(prefix="xaicore-")
        name = hashlib.sha256(picture.tobytes() + repr(picture.shape).encode()).hexdigest()[:20]
        if name not in self._photos:
            path = Path(self._folder.name, f"{name}.png")
            Image.fromarray(picture).save(path)
            self._photos[name] = wandb.Image(str(path))
        return self._photos[name]

    def close(self) -> None:
        """Remove the files."""
        if self._folder is not None:
            self._folder.cleanup()


def images_of(row: Mapping[str, Any], images: Mapping[str, np.ndarray]) -> dict[str, wandb.Image]:
    """A map's overlay and heatmap with captions. Not from arrays, of which wandb squeezes an axis of length 1."""
    kinds = [kind for kind in ("overlay", "heatmap") if kind in images]
    return {kind: wandb.Image(Image.fromarray(images[kind]), caption=show.caption(row)) for kind in kinds}


def history(step: int | None, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A step's images by key, no more per key than wandb keeps, and the means over the images outside of groups."""
    entry: dict[str, Any] = {} if step is None else {"xaicore/epoch": step}
    fixed = show.by_group(rows).get(None, [])
    means = {f"xaicore/{name}": show.mean(fixed, name) for name in ("right", "score")}
    entry |= {key: value for key, value in means.items() if value is not None}
    images: dict[str, list[wandb.Image]] = {}
    for row in rows:
        source = "/".join(key_part(row[name]) for name in ("group", "method") if row[name] is not None)
        for kind, image in row["images"].items():
            images.setdefault(f"xaicore/{kind}/{source}", []).append(image)
    most = wandb.Image.MAX_ITEMS
    for key, of_key in images.items():
        for start in range(0, len(of_key), most):
            entry[f"{key}/{start // most + 1}" if start else key] = of_key[start : start + most]
    return entry


def cells(row: Mapping[str, Any]) -> list[Any]:
    """A map's row of the table."""
    texts = {name: row[name] for name in ("id", "group", "method", "layer")}
    texts |= {"predicted": row["predicted_name"], "truth": row["truth_name"]}
    texts["target"] = row["target_name"] or row["asked"]
    known: dict[str, Any] = {name: text and show.escape_surrogates(text) for name, text in texts.items()}
    known |= {name: show.finite(row[name]) for name in ("score", "raw_score", "maximum")}
    known |= {
        "epoch": row["step"],
        "right": row["right"],
        "photo": row["photo"],
        "overlay": row["images"].get("overlay"),
    }
    return [known[name] for name in COLUMNS]


def key_part(name: str) -> str:
    """One part of a key. wandb names files after keys; "/" in a key makes folders and sections."""
    return show.slug(show.escape_surrogates(name), allowed="A-Za-z0-9_+-")
