"""How one map becomes a row of the manifest, and files."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

import xaicore
from xaicore.show import png
from xaicore_disk import manifest, names, nifti
from xaicore_disk.options import Options
from xaicore_disk.thumbnails import shrunk

__all__ = ["make_row", "picture_name"]


def make_row(
    explanation: xaicore.Explanation, m: int, step: int | None, options: Options, session: int = 1
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Row m of an explanation, as the manifest has it, and its files: {name: content}.

    The name of a file holds a hash of its row's key and of all contents. Other contents have other names, so the files
    that a row names are those that were written for it.
    """
    known = explanation.row(m, options)
    peak, resized = None, None
    picture = explanation.picture(m, options) if explanation.drawable else None
    contents = {"map": _npy(options.stored(explanation.maps[m]))}
    if explanation.drawable:
        peak, resized = explanation.peak(m), explanation.heatmap(m, "none", options)
        contents |= {kind: png(image) for kind, image in explanation.draw(m, options).items() if kind != "picture"}
        grey = _grey(xaicore.maps.normalize(resized[None], "max", np.array([peak]))[0], explanation.signed)
        contents["grey"] = png(grey)
        small = shrunk(grey, known)
        if small is not None:
            contents["thumbnail"] = png(small)
        if options.outline is not None:
            contents["outline"] = png(options.outline_alone(explanation.outline(m, options)))
        contents |= _of_parts(explanation, m, options)
    row = {
        "step": step,
        **known,
        "peak": peak,
        "scaling": explanation.scaling,
        "ceiling": None if explanation.ceilings is None else float(explanation.ceilings[m]),
        "size": None if resized is None else list(resized.shape),
        "input_size": list(explanation.input_size),
        "box": options.box(explanation.heatmap(m)) if explanation.form == "picture" else None,
        "images_from": explanation.images_from,
        "session": session,
    }
    row |= {name: xaicore.show.finite(row[name]) for name in ("score", "raw_score", "ceiling")}
    stem = _stem(row, contents)
    suffixes = {"map": ".npy", "animation": f".{options.animation}", "volume": ".nii.gz"}
    files = {column: f"{column}s/{stem}{suffixes.get(column, '.png')}" for column in contents}
    row |= {column: files.get(column) for column in manifest.FILES}
    if picture is not None:
        row["picture"] = picture_name(row["id"], picture)
        if "thumbnail" in contents:
            row["picture_thumbnail"] = row["picture"].replace("pictures/", "picture_thumbnails/", 1)
    return row, {files[column]: content for column, content in contents.items()}


def _of_parts(explanation: xaicore.Explanation, m: int, options: Options) -> dict[str, bytes]:
    """The files that clips and volumes have beside those of pictures, as the options ask for them."""
    found = {}
    if options.animation is not None and explanation.tiling(options).parts > 1:
        kind = "heatmap" if explanation.images is None else "overlay"
        found["animation"] = explanation.animation(m, kind, options.animation, drawing=options)
    affine = nifti.affine_of(options.spacing, explanation.ids[explanation.image_index[m]])
    if affine is not None and explanation.form == "volume" and explanation.views == 1:
        found["volume"] = nifti.nifti(explanation.values(m, "none"), affine)
    return found


def picture_name(name: str, picture: np.ndarray) -> str:
    """The name of a picture's file; another picture of the same id has another name."""
    return f"pictures/{names.slug(name)}-{names.digest(name, repr(picture.shape), picture.tobytes())}.png"


def _grey(heatmap: np.ndarray, signed: bool) -> np.ndarray:
    """A heatmap (H, W) in [0, 1] for the page, which colours it: uint8 (H, W).

    A signed one in [-1, 1] is (H, W, 3), evidence for the target in red and against it in green, so that the page can
    scale both from zero.
    """
    if not signed:
        return np.rint(heatmap * 255).astype(np.uint8)
    parts = np.maximum(np.dstack([heatmap, -heatmap, np.zeros_like(heatmap)]), 0)
    return np.rint(parts * 255).astype(np.uint8)


def _npy(values: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, values, allow_pickle=False)
    return file.getvalue()


def _stem(row: dict[str, Any], contents: dict[str, bytes]) -> str:
    words = [names.slug(row["id"]), names.slug(row["method"], 24)]
    if row["step"] is not None:
        words.append(f"step{row['step']}")
    return f"{'_'.join(words)}_{row['k']}-{names.digest(repr(manifest.key(row)), *contents.values())}"
