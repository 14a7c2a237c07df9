"""Names that MLflow takes, made of text that nobody vouches for, and a step's predictions as CSV."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["is_right", "part", "to_csv"]

UNSAFE = re.compile(r"[^A-Za-z0-9_.-]+")
HASHED = re.compile(r"-[0-9a-f]{16}$")
COLUMNS = (
    *("group", "id", "predicted_name", "truth_name", "right", "k", "target_name", "score", "raw_score", "empty"),
    *("method", "layer", "predicted", "truth", "target", "images"),
)


def part(text: str, length: int = 36) -> str:
    """One part of a key, without slashes: the text where it is harmless, else what is and a hash of it all.

    MLflow makes names of files from keys and puts a hundred letters after them; a name has 255 at most.
    """
    safe = UNSAFE.sub("_", text)[-length:]
    if safe == text and text and not HASHED.search(text):
        return text
    return f"{safe}-{hashlib.blake2b(text.encode('utf-8', 'surrogatepass'), digest_size=8).hexdigest()}"


def is_right(row: Mapping[str, Any]) -> bool | None:
    """Whether the prediction is the truth; None where one of them is unknown."""
    known = row["predicted"] is not None and row["truth"] is not None
    return row["predicted"] == row["truth"] if known else None


def to_csv(rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows of explanations under a line with the columns' names.

    Each has the key of its `images`, in which the asterisk stands for heatmap or overlay.
    """
    file = io.StringIO()
    writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({**row, "right": is_right(row)})
    return file.getvalue().encode("utf-8", "backslashreplace").decode()  # file names may hold bytes that are no text
