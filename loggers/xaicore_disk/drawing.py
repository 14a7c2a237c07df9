"""How one map becomes a row of the manifest, and files."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np

import xaicore
from xaicore.show import png
from xaicore_disk import manifest, names

__all__ = ["Drawing", "picture_name"]

DTYPES = ("float32", "float16")


@dataclass(frozen=True)
class Drawing(xaicore.Drawing):
    """The logger's options of drawing and storing, and the row and files that a map becomes.

    Attributes:
        maps: "float32", or "float16" for half the space. A map whose maximum float16 cannot hold (above 65504,
            or below its smallest normal number) stays float32, so that stored values are within 1/2048 of the
            maximum.
        threshold: the share of the maximum that a box's pixels exceed.

    Raises:
        InputError: a value is unknown or out of range.
    """

    maps: str = "float32"
    threshold: float = 0.2

    def __post_init__(self) -> None:
        if self.maps not in DTYPES:
            raise xaicore.InputError(f"maps={self.maps!r}: expected one of {', '.join(DTYPES)}")
        super().__post_init__()
        self.box(np.zeros((1, 1), np.float32))

    def row(
        self, explanation: xaicore.Explanation, m: int, step: int | None
    ) -> tuple[dict[str, Any], dict[str, bytes]]:
        """Row m of an explanation, as the manifest has it, and its files: {name: content}.

        The name of a file holds a hash of its row's key and of all contents. Other contents have other names, so the
        files that a row names are those that were written for it.
        """
        heatmap, resized, picture = None, None, explanation.picture(m)
        contents = {"map": _npy(self.stored(explanation.maps[m]))}
        if explanation.drawable:
            heatmap, resized = explanation.heatmap(m), explanation.heatmap(m, normalize="none")
            contents["heatmap"] = png(self.colorize(heatmap))
            contents["grey"] = png(np.rint(xaicore.maps.normalize(resized[None])[0] * 255).astype(np.uint8))
            if self.outline is not None:
                contents["outline"] = png(self.line(heatmap))
            if picture is not None:
                contents["overlay"] = png(self.overlay(picture[None], heatmap[None])[0])
        row = {
            "step": step,
            **explanation.row(m),
            "peak": None if resized is None else float(resized.max()),
            "ceiling": None if explanation.ceilings is None else float(explanation.ceilings[m]),
            "size": None if heatmap is None else list(heatmap.shape),
            "box": None if heatmap is None else self.box(heatmap),
            "images_from": explanation.images_from,
        }
        row |= {name: xaicore.show.finite(row[name]) for name in ("score", "raw_score", "ceiling")}
        stem = _stem(row, contents)
        files = {column: f"{column}s/{stem}{'.npy' if column == 'map' else '.png'}" for column in contents}
        row |= {column: files.get(column) for column in manifest.FILES}
        if picture is not None:
            row["picture"] = picture_name(row["id"], picture)
        return row, {files[column]: content for column, content in contents.items()}

    def line(self, heatmap: np.ndarray) -> np.ndarray:
        """The outline alone, white where it is and transparent elsewhere: (H, W, 4) uint8 RGBA."""
        assert self.outline is not None
        line = xaicore.overlay.outline(np.zeros((1, *heatmap.shape, 3), np.uint8), heatmap[None], self.outline)[0]
        return np.dstack([np.full_like(line, 255), line[..., :1]])

    def box(self, heatmap: np.ndarray) -> list[int]:
        """x0, y0, x1, y1 as `Explanation.boxes` has it."""
        return xaicore.localize.boxes(xaicore.localize.masks(heatmap[None], self.threshold))[0].tolist()

    def stored(self, values: np.ndarray) -> np.ndarray:
        """A map in the type in which it is stored."""
        limits = np.finfo(self.maps)
        top = values.max()
        fits = top == 0 or limits.tiny <= top <= limits.max
        return values.astype(self.maps if fits else np.float32)


def picture_name(name: str, picture: np.ndarray) -> str:
    """The name of a picture's file; another picture of the same id has another name."""
    return f"pictures/{names.slug(name)}-{names.digest(name, repr(picture.shape), picture.tobytes())}.png"


def _npy(values: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, values, allow_pickle=False)
    return file.getvalue()


def _stem(row: dict[str, Any], contents: dict[str, bytes]) -> str:
    parts = [names.slug(row["id"]), names.slug(row["method"], 24)]
    if row["step"] is not None:
        parts.append(f"step{row['step']}")
    return f"{'_'.join(parts)}_{row['k']}-{names.digest(repr(manifest.key(row)), *contents.values())}"
