"""The columns of a data set's maps: a row per map, and one per picture that could not be explained.

Every part of every run has these columns, so that any table library reads them as one table. A map is a list of
float16 numbers, row by row, whose shape is in `map_shape`. A list of fixed length would say its shape in its type, but
pyarrow cannot read such a column from Parquet where a row has none, as rows with an error have.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from xaicore.errors import InputError
from xaicore.files.arrow import arrow

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["ABOUT", "COLUMNS", "FORMAT", "about_of", "schema", "with_about"]

FORMAT = 1
"""The version of the columns; readers refuse a later one."""

ABOUT = b"xaicore"
"""The key of the schema's metadata that has, as JSON, what all maps of a run share, see `about_of`."""

COLUMNS = {
    "id": ("string", "the picture's name"),
    "position": ("int64", "of the picture in the source"),
    "path": ("string", "the picture's file; null for a picture in memory or a frame"),
    "k": ("int16", "which of the picture's targets, from 0"),
    "target": ("int32", "the explained class; null for a target that is no class"),
    "target_name": ("string", "what the target is called"),
    "score": ("float", "the target's probability where it has one, else its score"),
    "raw_score": ("float", "the target's output, before softmax or sigmoid"),
    "prediction": ("int32", "the predicted class; null where outputs are no class scores"),
    "prediction_name": ("string", "its name, or its number"),
    "truth": ("list<int32>", "the true classes: one, none or several; null where they are unknown"),
    "truth_names": ("list<string>", "their names"),
    "right": ("bool", "whether the prediction is a true class; null where either is unknown"),
    "outputs": ("list<float>", "the model's outputs, where a picture has 32 at most; else null"),
    "target_box": ("list<float>", "where the target lies: x0, y0, x1, y1 in pixels of `input_size`, or null"),
    "true_boxes": ("list<list<int32>>", "true boxes of the picture that the model saw, in its pixels, or null"),
    "share": ("float", "the share of the positive evidence in the true boxes of the target's class, or null"),
    "evidence": ("float", "the mean over the map of its positive values, in the method's own scale"),
    "maximum": ("float", "the largest magnitude of the map, in the method's own scale: what `map` is divided by"),
    "empty": ("bool", "whether the map has no evidence at all, and is zeros"),
    "map": ("list<halffloat>", "the map at the layer's resolution, divided by `maximum`, row by row"),
    "map_shape": ("list<int32>", "its shape, such as 7, 7"),
    "signed": ("bool", "whether negative values are evidence against the target"),
    "of_pixels": ("bool", "whether the map is of single pixels, which heatmaps scale by a percentile"),
    "input_size": ("list<int32>", "the spatial shape of the model's input, such as 224, 224"),
    "sketch": (
        "binary",
        "8 x 8 grey means of the picture that the model saw, to recognise it; null if not known",
    ),
    "method": ("string", "the method's name"),
    "layer": ("string", "the layer's name"),
    "error": ("string", "why the picture was not explained; all columns of the map are null then"),
}
"""{column: (its type, what it holds)}."""


def schema(about: Mapping[str, Any] | None = None) -> pa.Schema:
    """The columns, and in the metadata what all maps share; without it for rows with errors alone.

    Raises:
        DependencyError: pyarrow is not installed.
    """
    pa = arrow()
    fields = [pa.field(name, _type(kind)) for name, (kind, _) in COLUMNS.items()]
    metadata = {"format": FORMAT, **(about or {})}
    return pa.schema(fields, metadata={ABOUT: json.dumps(metadata, sort_keys=True).encode()})


def with_about(table: pa.Table, about: Mapping[str, Any]) -> pa.Table:
    """The same table with this in its metadata."""
    return table.replace_schema_metadata(schema(about).metadata)


def about_of(found: pa.Schema, where: str) -> dict[str, Any]:
    """What all maps of a run share; only the format where all rows are of errors.

    Keys: format, model, asked (the targets), outputs_kind, classes (how many outputs; None for a detector's), named
    (whether classes have names), own_names (whether targets have names of their own), views, view_names, frames,
    positions.

    Args:
        found: of a table or file.
        where: the file, for messages.

    Raises:
        InputError: these are no maps of a data set, or a later version wrote them.
    """
    text = (found.metadata or {}).get(ABOUT)
    if text is None:
        raise InputError(
            f"{where} has the columns {', '.join(found.names[:6])}, and nothing in its schema says that they are maps "
            "of xaicore: expected a part that xaicore.explain_dataset wrote"
        )
    about: dict[str, Any] = json.loads(text)
    if about["format"] > FORMAT:
        raise InputError(
            f"{where} has the format {about['format']}, and this version of xaicore reads up to {FORMAT}: "
            "pip install -U xaicore"
        )
    return about


def _type(kind: str) -> Any:
    """The Arrow type of this name, such as "list<int32>"."""
    pa = arrow()
    if kind.startswith("list<"):
        return pa.list_(_type(kind.removeprefix("list<").removesuffix(">")))
    return pa.type_for_alias(kind)
