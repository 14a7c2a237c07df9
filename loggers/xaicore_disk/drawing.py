"""How one map becomes a row of the manifest and its files."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

import xaicore
from xaicore_disk import manifest, names

__all__ = ["Drawing", "picture_name", "png"]

DTYPES = ("float32", "float16")


@dataclass(frozen=True)
class Drawing:
    """The options of the logger, and what they make of a map.

    Attributes:
        maps: "float32", or "float16" for half the space. A map whose maximum float16 cannot hold (above 65504,
            or below its smallest normal number) stays float32, so that what is kept is within 1/2048 of the
            maximum.
        colormap: of overlays and heatmaps.
        alpha: the overlay's opacity at the maximum.
        outline: a line around this share of the pixels with the most evidence, or None.
        threshold: the share of the maximum that a box's pixels exceed.

    Raises:
        InputError: a value is unknown or out of range.
    """

    maps: str = "float32"
    colormap: str = "viridis"
    alpha: float = 0.5
    outline: float | None = None
    threshold: float = 0.2

    def __post_init__(self) -> None:
        if self.maps not in DTYPES:
            raise xaicore.InputError(f"maps={self.maps!r}: expected one of {', '.join(DTYPES)}")
        # The core knows what it takes; asked now, it spares the user an error in the middle of a run.
        self.overlay(np.zeros((1, 1), np.float32), np.zeros((1, 1, 3), np.uint8))
        self.box(np.zeros((1, 1), np.float32))

    def row(
        self, explanation: xaicore.Explanation, m: int, step: int | None
    ) -> tuple[dict[str, Any], dict[str, bytes]]:
        """Row m of an explanation, as the manifest has it, and its files: {name: content}.

        The name of a file holds a hash of its row's key and of all its content. Other content has another name,
        so a row in the manifest finds the very files that were written for it.
        """
        resized = _resized(explanation, m)
        heatmap = None if resized is None else _normalized(resized, explanation, m)
        picture = None if explanation.images is None else explanation.images[explanation.image_index[m]]
        contents = {"map": _npy(self._in_dtype(explanation.maps[m]))}
        if resized is not None and heatmap is not None:
            contents["heatmap"] = png(xaicore.overlay.colorize(heatmap, self.colormap))
            contents["grey"] = png(np.rint(xaicore.maps.normalize(resized[None])[0] * 255).astype(np.uint8))
            if self.outline is not None:
                contents["outline"] = png(self.line(heatmap))
            if picture is not None:
                contents["overlay"] = png(self.overlay(heatmap, picture))
        row = {
            "step": step,
            **explanation.row(m),
            "slot": None if explanation.group is None else int(explanation.image_index[m]),
            "model": explanation.model,
            "asked": explanation.target,
            "maximum": float(explanation.maps[m].max()),
            "peak": None if resized is None else float(resized.max()),
            "ceiling": None if explanation.ceilings is None else float(explanation.ceilings[m]),
            "size": None if heatmap is None else list(heatmap.shape),
            "box": None if heatmap is None else self.box(heatmap),
            "images_from": explanation.images_from,
        }
        for name in ("score", "raw_score", "ceiling"):
            if row[name] is not None and not math.isfinite(row[name]):
                row[name] = None  # JSON has no NaN
        stem = _stem(row, contents)
        files = {column: f"{column}s/{stem}{'.npy' if column == 'map' else '.png'}" for column in contents}
        row |= {column: files.get(column) for column in manifest.FILES}
        if picture is not None:
            row["picture"] = picture_name(row["id"], picture)
        return row, {files[column]: content for column, content in contents.items()}

    def overlay(self, heatmap: np.ndarray, picture: np.ndarray) -> np.ndarray:
        """(H, W) in [0, 1] over (H, W, 3) uint8 RGB, as `Explanation.overlays` has it."""
        over = xaicore.overlay.blend(picture[None], heatmap[None], self.colormap, self.alpha)
        if self.outline is not None:
            over = xaicore.overlay.outline(over, heatmap[None], self.outline)
        return over[0]

    def line(self, heatmap: np.ndarray) -> np.ndarray:
        """The outline alone, white where it is and transparent elsewhere: (H, W, 4) uint8 RGBA."""
        assert self.outline is not None
        line = xaicore.overlay.outline(np.zeros((1, *heatmap.shape, 3), np.uint8), heatmap[None], self.outline)[0]
        return np.dstack([np.full_like(line, 255), line[..., :1]])

    def box(self, heatmap: np.ndarray) -> list[int]:
        """x0, y0, x1, y1 as `Explanation.boxes` has it."""
        return xaicore.localize.boxes(xaicore.localize.masks(heatmap[None], self.threshold))[0].tolist()

    def _in_dtype(self, values: np.ndarray) -> np.ndarray:
        limits = np.finfo(self.maps)
        top = values.max()
        fits = top == 0 or limits.tiny <= top <= limits.max
        return values.astype(self.maps if fits else np.float32)


def picture_name(name: str, picture: np.ndarray) -> str:
    """The file of an image's picture; the same id with another picture has another one."""
    return f"pictures/{names.slug(name)}-{names.digest(name, repr(picture.shape), picture.tobytes())}.png"


def png(picture: np.ndarray) -> bytes:
    """(H, W) grey, (H, W, 3) RGB or (H, W, 4) RGBA, uint8, as a PNG."""
    codes = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}
    _, encoded = cv2.imencode(".png", picture if picture.ndim == 2 else cv2.cvtColor(picture, codes[picture.shape[2]]))
    return encoded.tobytes()


def _resized(explanation: xaicore.Explanation, m: int) -> np.ndarray | None:
    """Map m at the resolution of its picture, (H, W); None where maps are not two-dimensional.

    One at a time, for a thousand targets of large pictures are gigabytes.
    """
    if explanation.maps.ndim != 3:
        return None
    images = explanation.images
    size = explanation.input_size if images is None else images.shape[1:3]
    return xaicore.maps.resize(explanation.maps[m : m + 1], size)[0]


def _normalized(resized: np.ndarray, explanation: xaicore.Explanation, m: int) -> np.ndarray:
    """Row m of `Explanation.heatmaps()`, (H, W)."""
    ceilings = None if explanation.ceilings is None else explanation.ceilings[m : m + 1]
    return xaicore.maps.normalize(resized[None], ceilings=ceilings)[0]


def _npy(values: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, values, allow_pickle=False)
    return file.getvalue()


def _stem(row: dict[str, Any], contents: dict[str, bytes]) -> str:
    parts = [names.slug(row["id"]), names.slug(row["method"], 24)]
    if row["step"] is not None:
        parts.append(f"step{row['step']}")
    return f"{'_'.join(parts)}_{row['k']}-{names.digest(repr(manifest.key(row)), *contents.values())}"
