"""From the maps of a call to explanations."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from xaicore.capture import Capture
from xaicore.data.labels import Labels
from xaicore.ensemble import Maps, Walk
from xaicore.evidence import group_views, scores_of
from xaicore.explanation import Explanation
from xaicore.layers import blank
from xaicore.outputs import predicted_classes
from xaicore.show.pictures import Pictures
from xaicore.targets import Aim

__all__ = ["Found", "explanations"]


@dataclass(frozen=True, eq=False)
class Found:
    """What a walk found: the first pass, what it aimed at, and {(method, layer): maps}."""

    captured: Capture
    aim: Aim
    maps: Maps


def explanations(walk: Walk, found: Found, labels: Labels, pictures: Pictures, model: str) -> list[Explanation]:
    """One explanation per method, and per layer kept apart.

    Args:
        walk: how the maps were made.
        found: the maps.
        labels: of the images, compared with the outputs.
        pictures: under the maps.
        model: the model's class.
    """
    captured, aim, place = found.captured, found.aim, walk.place
    count, k = aim.classes.shape
    views = 1 if place is None else place.views
    shared: dict[str, Any] = {
        "image_index": np.repeat(np.arange(count), k),
        "targets": aim.classes.reshape(-1),
        "scores": scores_of(captured.answer, aim, walk.activation),
        "predicted": predicted_classes(captured.outputs, captured.outputs_kind) if walk.target.of_class_axis else None,
        "outputs": captured.outputs,
        "outputs_kind": captured.outputs_kind,
        "input_size": captured.input_size if place is None else place.frame.size,
        "views": views,
        "view_names": () if place is None else place.view_names,
        "frames": 1 if place is None else place.frames,
        "positions": "" if place is None else place.positions,
        "ids": labels.ids,
        "truth": labels.truth,
        "class_names": labels.class_names,
        "model": model,
        "target": str(walk.target),
        "pictures": pictures,
        "names": None if aim.names is None else aim.names.reshape(-1),
        "target_boxes": None if aim.boxes is None else aim.boxes.reshape(-1, 4),
    }
    results = []
    for method in walk.methods:
        for layer, rows in walk.joined(method, found.maps):
            maps = group_views(rows, count, views)
            if aim.boxes is not None:  # a method that reads activations alone has a map of a box that is not there
                maps = np.where(_is_there(aim.boxes, maps.ndim), maps, np.float32(0))
            empty = np.logical_not((maps != 0).reshape(len(maps), -1).any(axis=1))
            needs_gradients = {"gradients", "gradients_again"} & set(method.asks)
            if place is not None and place.unreached and empty.all() and needs_gradients:
                warnings.warn(blank(place.unreached), RuntimeWarning, stacklevel=4)
            own: dict[str, Any] = {"maps": maps, "empty": empty, "method": method.name, "layer": layer}
            own |= {"signed": method.signed, "of_pixels": method.is_of_pixels}
            results.append(Explanation(**own, **shared))
    return results


def _is_there(boxes: np.ndarray, axes: int) -> np.ndarray:
    """Whether each row has a box, (M, 1, ...)."""
    is_there: np.ndarray = ~np.isnan(boxes).any(axis=-1).reshape(-1, *[1] * (axes - 1))
    return is_there
