"""From rows of the table to an `Explanation` again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from xaicore.dataset.means import maps_in
from xaicore.errors import InputError
from xaicore.explanation import Explanation
from xaicore.show.pictures import Pictures

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["only", "restored"]


def restored(table: pa.Table, about: dict[str, Any], pictures: Pictures) -> Explanation:
    """The explanation whose rows these are.

    Maps are equal within float16, scores within float32. Outputs that the table did not keep are NaN, but for those of
    the targets.

    Args:
        table: all columns of N * K rows, those of a picture one after the other.
        about: what all maps share.
        pictures: N, under the maps.

    Raises:
        InputError: the rows are of several methods, layers, or sizes.
    """
    rows = {name: table[name].to_pylist() for name in table.column_names if name not in ("map", "sketch")}
    ids = list(dict.fromkeys(rows["id"]))
    per_image = len(table) // len(ids)
    of_images = {name: values[::per_image] for name, values in rows.items()}
    shape = only("maps of shape", map(tuple, rows["map_shape"]))
    maxima = np.array(rows["maximum"], np.float32).reshape(-1, *[1] * len(shape))
    targets = np.array([-1 if one is None else one for one in rows["target"]], np.int64)
    predicted = of_images["prediction"]
    class_names = _class_names(rows, about)
    boxes = rows["target_box"]
    explanation = Explanation(
        maps=maps_in(table, shape) * maxima,
        image_index=np.repeat(np.arange(len(ids)), per_image),
        targets=targets,
        scores=np.array(rows["score"], np.float32),
        predicted=None if None in predicted else np.array(predicted, np.int64),
        outputs=_outputs(rows, about, targets, per_image),
        outputs_kind=about["outputs_kind"],
        empty=np.array(rows["empty"], bool),
        input_size=only("inputs of", map(tuple, rows["input_size"])),
        ids=tuple(ids),
        truth=_truth(of_images["truth"], ids, about),
        class_names=class_names,
        method=only("maps of", rows["method"]),
        layer=only("maps at", rows["layer"]),
        model=about["model"],
        target=about["asked"],
        pictures=pictures,
        views=about["views"],
        view_names=tuple(about["view_names"]),
        frames=about["frames"],
        signed=only("signed maps:", rows["signed"]),
        of_pixels=only("maps of pixels:", rows["of_pixels"]),
        names=np.array(rows["target_name"]) if about["own_names"] else None,
        target_boxes=None if not any(boxes) else np.array([one or [np.nan] * 4 for one in boxes], np.float64),
        positions=about["positions"],
    )
    return explanation


def only(what: str, values: Any) -> Any:
    """The one value that all rows have.

    Raises:
        InputError: they have several.
    """
    found = list(dict.fromkeys(values))
    if len(found) > 1:
        raise InputError(
            f"{what} {found[0]} and {found[1]} do not fit into one explanation: choose some first, with table.filter "
            "or ids="
        )
    return found[0]


def _outputs(rows: dict[str, Any], about: dict[str, Any], targets: np.ndarray, per_image: int) -> np.ndarray:
    kept = rows["outputs"][::per_image]
    if None not in kept:
        return np.array(kept, np.float32)
    classes = about["classes"] or 1
    outputs = np.full((len(kept), classes), np.nan, np.float32)
    for m, target in enumerate(targets):
        if 0 <= target < classes:
            outputs[m // per_image, target] = rows["raw_score"][m]
    return outputs


def _class_names(rows: dict[str, Any], about: dict[str, Any]) -> tuple[str, ...] | None:
    """The names that the rows know; the others are numbers, as without names."""
    if not about["named"]:
        return None
    known = dict(zip(rows["prediction"], rows["prediction_name"], strict=True))
    if not about["own_names"]:
        known |= dict(zip(rows["target"], rows["target_name"], strict=True))
    for classes, names in zip(rows["truth"], rows["truth_names"], strict=True):
        known |= dict(zip(classes or (), names or (), strict=True))
    known.pop(None, None)
    count = max([about["classes"] or 0, *(index + 1 for index in known)])
    return tuple(known.get(index, str(index)) for index in range(count))


def _truth(truth: Sequence[list[int] | None], ids: Sequence[str], about: dict[str, Any]) -> np.ndarray | None:
    if all(true is None for true in truth):
        return None
    if all(true is None or len(true) == 1 for true in truth):
        return np.array([-1 if true is None else true[0] for true in truth], np.int64)
    unknown = next((name for name, true in zip(ids, truth, strict=True) if true is None), None)
    if unknown is not None:
        raise InputError(
            f"the truth of {unknown!r} is unknown, and other pictures have several labels or none, which one "
            "explanation cannot say: filter the table by truth first"
        )
    found = np.zeros((len(ids), about["classes"]), bool)
    for n, true in enumerate(truth):
        found[n, true] = True
    return found
