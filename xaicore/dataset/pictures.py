"""The pictures of an explanation that is made of rows: those of files, the caller's, or none."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from xaicore.dataset.seen import Seen, SeenPictures, check_files
from xaicore.errors import InputError
from xaicore.pictures import Preparation
from xaicore.show.pictures import Pictures

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["pictures_of", "seen_in"]


def pictures_of(
    table: pa.Table,
    images: Any,
    preprocess: Any,
    about: dict[str, Any],
    find: Callable[[], Preparation | None] = lambda: None,
) -> Pictures:
    """The pictures under the maps of a table's rows, see `MapTable.explanation`.

    Raises:
        InputError: a file is gone, the caller's pictures do not fit, or the maps do not lie over pictures of files.
    """
    seen = seen_in(table)
    if images is None:
        return Pictures.from_array(None, None)
    if not isinstance(images, str):
        return Pictures(len(seen), seen[0].size, images, lambda: images, about["views"])
    if images != "files":
        raise InputError(f"images={images!r}: expected 'files', pictures as uint8 RGB (N, H, W, 3), or None")
    if about["views"] > 1 or len(seen[0].size) != 2:
        views = f", {about['views']} views per image," if about["views"] > 1 else ""
        raise InputError(
            f"maps over inputs of {' x '.join(map(str, seen[0].size))}{views} have no one picture in a file: pass "
            "images=, or images=None for maps without pictures"
        )
    check_files(seen)
    return SeenPictures(seen, Preparation.of(preprocess), find)


def seen_in(table: pa.Table) -> list[Seen]:
    """What rows know of their pictures, each once."""
    rows = table.select(["id", "path", "input_size", "sketch"]).to_pylist()
    found = {row["id"]: Seen(row["id"], row["path"], tuple(row["input_size"]), row["sketch"]) for row in rows}
    return list(found.values())
