"""From explanations to rows of the table, and rows for pictures that could not be explained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from xaicore import localize
from xaicore.dataset.schema import COLUMNS, about_of, schema, with_about
from xaicore.dataset.sketch import sketch
from xaicore.errors import InputError
from xaicore.explanation import Explanation
from xaicore.files.arrow import arrow
from xaicore.localize.shares import picture_size
from xaicore.localize.truth import read_boxes, read_classes
from xaicore.outputs import class_count
from xaicore.show.words import escape_surrogates

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["FEW", "error_rows", "joined", "rows_of"]

FEW = 32
"""Outputs are kept where a picture has this many at most: a thousand classes would be ten times the map."""

AS_IN_ROW = ("k", "target_name", "score", "raw_score", "right", "target_box", "empty", "method", "layer")
"""The columns that are as in `Explanation.row`."""


def rows_of(
    explanation: Explanation,
    *,
    positions: Sequence[int] | None = None,
    paths: Sequence[str | None] | None = None,
    boxes: Any = None,
    box_classes: Any = None,
) -> pa.Table:
    """The rows of an explanation of N images with K targets each, N * K of them, in its order.

    Args:
        explanation: of some pictures of the data set.
        positions: N places in the source; 0 to N - 1 when None.
        paths: N files, None for a picture that has none.
        boxes: true boxes as `xaicore.localize.evaluate` takes them, in pixels of the pictures that the model saw.
        box_classes: their classes, as its `classes`; None for the truth, or "any" where that is unknown.

    Raises:
        InputError: there are more or fewer than N of something, or the boxes do not fit.
        DependencyError: pyarrow is not installed.
    """
    n = len(explanation.ids)
    _check_counts(n, positions=positions, paths=paths)
    image = explanation.image_index
    columns: dict[str, Any] = {
        "id": [explanation.ids[i] for i in image],
        "position": [int((range(n) if positions is None else positions)[i]) for i in image],
        "path": [None if paths is None else paths[i] for i in image],
        **_of_boxes(explanation, boxes, box_classes),
        **_of_maps(explanation),
        **_of_images(explanation),
    }
    rows = [explanation.row(m) for m in range(len(explanation))]
    columns |= {name: [row[name] for row in rows] for name in AS_IN_ROW}
    columns["target"] = [None if target < 0 else int(target) for target in explanation.targets]
    return _table(columns, _about(explanation))


def error_rows(
    ids: Sequence[str],
    errors: Sequence[str],
    *,
    positions: Sequence[int] | None = None,
    paths: Sequence[str | None] | None = None,
    truth: Sequence[Sequence[int] | None] | None = None,
    class_names: Sequence[str] | None = None,
) -> pa.Table:
    """One row per picture that could not be explained, with the reason; k is 0.

    Args:
        ids: N names.
        errors: N reasons.
        positions: N places in the source; 0 to N - 1 when None.
        paths: N files.
        truth: N lists of true classes, None where they are unknown.
        class_names: one name per class, by its index; numbers are names where there is none.

    Raises:
        InputError: there are more or fewer than N of something.
        DependencyError: pyarrow is not installed.
    """
    n = len(ids)
    _check_counts(n, errors=errors, positions=positions, paths=paths, truth=truth)
    known = dict(enumerate(class_names or ()))
    classes = [None if one is None else list(one) for one in ([None] * n if truth is None else truth)]
    columns: dict[str, Any] = {
        "id": list(ids),
        "position": list(range(n) if positions is None else positions),
        "path": [None] * n if paths is None else list(paths),
        "k": [0] * n,
        "truth": classes,
        "truth_names": [None if one is None else [known.get(k, str(k)) for k in one] for one in classes],
        "error": list(errors),
    }
    return _table(columns, None)


def joined(tables: Sequence[pa.Table]) -> pa.Table:
    """The rows of several tables in the order of the source; those of a picture stay in theirs.

    Raises:
        InputError: they are of different models, targets or layouts, or there are none.
    """
    if not tables:
        raise InputError("no tables to join: expected one or more")
    pa = arrow()
    known = [one for one in (about_of(table.schema, "a table") for table in tables) if len(one) > 1]
    unlike = next((one for one in known if one != known[0]), None)
    if unlike is not None:
        names = [name for name in known[0] if known[0][name] != unlike.get(name)]
        raise InputError(
            f"tables differ in {', '.join(names)}: {known[0][names[0]]!r} and {unlike.get(names[0])!r}; expected maps "
            "of one run"
        )
    table = pa.concat_tables([table.replace_schema_metadata(None) for table in tables])
    order = np.argsort(table["position"].to_numpy(), kind="stable")
    return with_about(table.take(order).combine_chunks(), known[0] if known else {})


def _about(explanation: Explanation) -> dict[str, Any]:
    """What all maps of a run share, for the schema's metadata."""
    outputs = explanation.outputs
    return {
        "model": explanation.model,
        "asked": explanation.target,
        "outputs_kind": explanation.outputs_kind,
        "classes": class_count(outputs) if explanation.target_boxes is None else None,  # a detector's are its boxes
        "named": explanation.class_names is not None,
        "own_names": explanation.names is not None,
        "views": explanation.views,
        "view_names": list(explanation.view_names),
        "frames": explanation.frames,
        "positions": explanation.positions,
    }


def _of_maps(explanation: Explanation) -> dict[str, list[Any]]:
    flat = explanation.maps.reshape(len(explanation), -1).astype(np.float32, copy=False)
    maximum = np.abs(flat).max(axis=1)
    scaled = np.divide(flat, maximum[:, None], out=np.zeros_like(flat), where=maximum[:, None] > 0)
    count = len(flat)
    return {
        "map": list(scaled.astype(np.float16)),
        "map_shape": [list(explanation.maps.shape[1:])] * count,
        "maximum": maximum.tolist(),
        "evidence": np.maximum(flat, 0).mean(axis=1, dtype=np.float64).tolist(),
        "signed": [explanation.signed] * count,
        "of_pixels": [explanation.of_pixels] * count,
        "input_size": [list(explanation.input_size)] * count,
    }


def _of_images(explanation: Explanation) -> dict[str, list[Any]]:
    """The columns that are alike for all targets of an image."""
    count, outputs = len(explanation.ids), explanation.outputs
    predicted = [None] * count if explanation.predicted is None else explanation.predicted.tolist()
    truth = [explanation.true_classes(n) for n in range(count)]
    is_few = outputs.ndim <= 2 and outputs.size <= FEW * count
    given = explanation.pictures.given if explanation.views == 1 and explanation.form == "picture" else None
    columns: dict[str, list[Any]] = {
        "prediction": predicted,
        "prediction_name": [None if one is None else explanation.class_name(one) for one in predicted],
        "truth": [None if true is None else list(true) for true in truth],
        "truth_names": [None if true is None else [explanation.class_name(one) for one in true] for true in truth],
        "outputs": [one.reshape(-1).tolist() if is_few else None for one in outputs],
        "sketch": [None] * count if given is None else [sketch(picture) for picture in given],
    }
    return {name: [values[n] for n in explanation.image_index] for name, values in columns.items()}


def _of_boxes(explanation: Explanation, boxes: Any, classes: Any) -> dict[str, list[Any]]:
    if boxes is None:
        return {}
    read = read_boxes(boxes, explanation.ids, picture_size(explanation))
    known = read_classes(classes, read, explanation.truth, explanation.ids, "box_classes")
    shares = localize.shares(explanation, boxes, classes="any" if known is None else known)
    listed = [np.asarray(one, np.int64).reshape(-1, 4).tolist() for one in boxes]
    return {
        "share": [None if np.isnan(share) else share for share in shares],
        "true_boxes": [listed[n] for n in explanation.image_index],
    }


def _table(columns: dict[str, Any], about: dict[str, Any] | None) -> pa.Table:
    pa = arrow()
    count = len(columns["id"])
    fields = schema(about)
    arrays = []
    for name, (kind, _) in COLUMNS.items():
        values = columns.get(name, [None] * count)
        if kind == "string":  # names of files may have bytes that are no text
            values = [None if one is None else escape_surrogates(one) for one in values]
        arrays.append(pa.array(values, fields.field(name).type))
    return pa.table(arrays, schema=fields)


def _check_counts(n: int, **given: Sequence[Any] | None) -> None:
    for name, values in given.items():
        if values is not None and len(values) != n:
            raise InputError(f"{len(values)} {name} for {n} pictures: expected one per picture")
