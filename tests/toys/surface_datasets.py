"""What `explain_dataset` writes, for `surface`: files of a run, keys of its run.json, columns of its parts."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from picture_sets import backend, preprocess, write_pictures
from pyarrow import parquet

import xaicore

__all__ = ["of_datasets"]


def of_datasets() -> Iterator[tuple[str, str]]:
    """As one run over three pictures writes them, the last of which cannot be read."""
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder) / "photos", Path(folder) / "out"
        write_pictures(source, 2)
        (source / "broken.png").write_text("")
        xaicore.explain_dataset(object(), source, out, preprocess=preprocess, backend=backend(), layer="second")
        for path in sorted(out.rglob("*")):
            if not path.name.startswith("."):
                name = re.sub(r"\d+", "*", path.relative_to(out).as_posix())
                yield f"file dataset/{name}", "a folder" if path.is_dir() else "a file"
        about = json.loads((out / "run.json").read_text())
        yield from ((f"file dataset/run.json {key}", kind) for key, kind in keys(about))
        (part,) = out.rglob("*.parquet")
        schema = parquet.read_schema(part)
        for field in schema:
            kind = re.sub(r"\b(element|item): ", "", str(field.type))  # what versions of pyarrow call it
            yield f"file dataset/parts/*.parquet {field.name}", f"a column, {kind}"
        shared = json.loads(schema.metadata[b"xaicore"])
        yield from ((f"file dataset/parts/*.parquet metadata {key}", kind) for key, kind in keys(shared))


def keys(tree: dict[str, object], before: str = "") -> Iterator[tuple[str, str]]:
    """{a.b: its type} of nested dictionaries, but for those whose keys the user chooses, or the libraries installed."""
    for key, value in tree.items():
        yield f"{before}{key}", f"a {type(value).__name__}"
        if isinstance(value, dict) and key not in ("options", "versions"):
            yield from keys(value, f"{before}{key}.")
