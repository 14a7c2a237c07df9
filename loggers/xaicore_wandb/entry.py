"""What a step brings: images, rows of the table and numbers, as wandb takes them."""

from __future__ import annotations

import hashlib
import math
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import wandb
from PIL import Image

import xaicore

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["COLUMNS", "Entry"]

COLUMNS = (
    *("epoch", "id", "group", "method", "layer", "target", "predicted", "truth", "right"),
    *("score", "raw_score", "maximum", "overlay", "photo"),
)


@dataclass(frozen=True)
class Drawn:
    """One map: what is known of it, and its images where there are any."""

    row: dict[str, Any]
    overlay: wandb.Image | None
    heatmap: wandb.Image | None


class Entry:
    """One step of the history. To be closed when it has been logged.

    Args:
        step: its place on the axis `xaicore/epoch`, or None.
        drawing: `colormap`, `alpha` and `outline` as `Explanation.overlays` takes them.
    """

    def __init__(self, step: int | None, **drawing: Any) -> None:
        self.step = step
        self._drawing = drawing
        self._parts: dict[tuple[Any, ...], list[Drawn]] = {}
        self._photos: dict[str, wandb.Image] = {}
        self._folder = tempfile.TemporaryDirectory(prefix="xaicore-")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._folder.cleanup()

    def add(self, explanation: xaicore.Explanation) -> None:
        """Draw an explanation; the same one again replaces what was there."""
        part = (explanation.group, explanation.method, explanation.layer, explanation.ids)
        alone = (explanation.take([n]) for n in range(len(explanation.ids)))  # one at a time: pictures are large
        self._parts[part] = [drawn for one in alone for drawn in self._draw(one)]

    def history(self) -> dict[str, Any]:
        """Images and numbers by key, no more images a key than wandb keeps."""
        images: dict[str, list[wandb.Image]] = {}
        for drawn in self._all():
            place = "/".join(_slug(drawn.row[name]) for name in ("group", "method") if drawn.row[name] is not None)
            for kind, image in (("overlay", drawn.overlay), ("heatmap", drawn.heatmap)):
                if image is not None:
                    images.setdefault(f"xaicore/{kind}/{place}", []).append(image)
        entry = self._numbers()
        most = wandb.Image.MAX_ITEMS
        for key, every in images.items():
            for start in range(0, len(every), most):
                entry[f"{key}/{start // most + 1}" if start else key] = every[start : start + most]
        return entry

    def rows(self) -> Iterator[list[Any]]:
        """A row of `COLUMNS` for every map."""
        return ([drawn.row[name] for name in COLUMNS] for drawn in self._all())

    def _all(self) -> Iterator[Drawn]:
        return (drawn for part in self._parts.values() for drawn in part)

    def _numbers(self) -> dict[str, Any]:
        """Means over the fixed pictures; each counts once, however many methods look at it."""
        numbers: dict[str, Any] = {} if self.step is None else {"xaicore/epoch": self.step}
        fixed = [drawn.row for drawn in self._all() if drawn.row["group"] is None and drawn.row["k"] == 0]
        for name in ("right", "score"):
            known = {row["id"]: row[name] for row in fixed if row[name] is not None}
            if known:
                numbers[f"xaicore/{name}"] = sum(known.values()) / len(known)
        return numbers

    def _draw(self, one: xaicore.Explanation) -> Iterator[Drawn]:
        """The K maps of one image."""
        flat = one.maps.ndim == 3  # a signal or a volume has no pictures
        heatmaps = xaicore.overlay.colorize(one.heatmaps(), self._drawing["colormap"]) if flat else None
        overlays = one.overlays(**self._drawing) if flat and one.images is not None else None
        photo = self._photo(one.images[0]) if overlays is not None and one.images is not None else None
        for m in range(len(one)):
            row = self._row(one, m)
            caption = _caption(row)
            overlay = None if overlays is None else _image(overlays[m], caption)
            heatmap = None if heatmaps is None else _image(heatmaps[m], caption)
            yield Drawn({**row, "overlay": overlay, "photo": photo}, overlay, heatmap)

    def _row(self, one: xaicore.Explanation, m: int) -> dict[str, Any]:
        row = one.row(m)
        known = row["predicted"] is not None and row["truth"] is not None
        return {
            "epoch": self.step,
            "id": _text(row["id"]),
            "k": row["k"],
            "group": _text(row["group"]),
            "method": _text(row["method"]),
            "layer": _text(row["layer"]),
            "target": _text(row["target_name"] or one.target),
            "predicted": _text(row["predicted_name"]),
            "truth": _text(row["truth_name"]),
            "right": row["predicted"] == row["truth"] if known else None,
            "score": _finite(row["score"]),
            "raw_score": _finite(row["raw_score"]),
            "maximum": _finite(float(one.maps[m].max())),
        }

    def _photo(self, picture: np.ndarray) -> wandb.Image:
        """The same picture is one file for all methods and targets.

        wandb moves its own temporary files into a run, but not those that only a table shows; so these are ours.
        """
        name = hashlib.sha256(picture.tobytes() + repr(picture.shape).encode()).hexdigest()[:20]
        if name not in self._photos:
            path = Path(self._folder.name, f"{name}.png")
            Image.fromarray(picture).save(path)
            self._photos[name] = wandb.Image(str(path))
        return self._photos[name]


def _image(picture: np.ndarray, caption: str) -> wandb.Image:
    """(H, W, 3) uint8 RGB as it is; from an array wandb would squeeze an axis of length 1."""
    return wandb.Image(Image.fromarray(picture), caption=caption)


def _caption(row: dict[str, Any]) -> str:
    """What a reader wants to know at a glance: "cat.png | dog 0.870 | predicted dog | truth cat | wrong | gradcam"."""
    score = "" if row["score"] is None else f" {row['score']:.3f}"
    said = [row["id"], f"{row['target']}{score}"]
    said += [f"{name} {row[name]}" for name in ("predicted", "truth") if row[name] is not None]
    said += [] if row["right"] is None else ["right" if row["right"] else "wrong"]
    return " | ".join([*said, f"{row['method']} at {row['layer']}"])


def _text(value: str | None) -> Any:
    """Names of files may hold bytes that are no text."""
    return None if value is None else value.encode("utf-8", "backslashreplace").decode()


def _finite(value: float) -> float | None:
    """JSON has no NaN."""
    return value if math.isfinite(value) else None


def _slug(name: str) -> str:
    """A key names files, and "/" folders and sections."""
    return re.sub(r"[^A-Za-z0-9_+-]+", "_", name)[:80]
