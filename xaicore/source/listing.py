"""The pictures of a data set, with what is known of them: the length is known, any item can be had, in any process."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xaicore.backend import Backend
from xaicore.data.names import as_ids
from xaicore.data.truth import UNKNOWN, as_truth, check_classes, check_count, join_truth, most_suspicious
from xaicore.errors import InputError
from xaicore.pictures import File, Frame, Source, find_sources
from xaicore.source.boxes import TrueBoxes
from xaicore.source.columns import is_table, read_columns
from xaicore.source.ends import UNGUARDED, Guard
from xaicore.source.find import Known, find_set
from xaicore.source.items import Item, Prepared
from xaicore.source.sets import DataSet

__all__ = ["Listing"]

FOLDER = "folder"
"""`truth="folder"`: each picture's folder is named after its class."""


def _count_silently(count: int) -> None:
    """Nobody watches a stream being counted."""


@dataclass(frozen=True, eq=False)
class Listing:
    """The items of a data set, in order.

    Attributes:
        sources: N pictures.
        ids: their names, each of them once.
        truth: (N,) int64 true classes with -1 where unknown, (N, classes) bool, or None.
        boxes: the true boxes of each picture, or None.
        origin: the data set of a framework that they are in, or None.
        is_input: they are the model's own inputs, and are not prepared.
        class_names: of the data set where the model has none, or None.
        digest: of the first and the last element of a data set, or None.
        is_stream: they are read forward, by one process.
        is_open: a stream that nobody has counted: its pictures end where it does, and those without a name in `ids` or
            of their own are called "0", "1", ....
    """

    sources: Sequence[Source]
    ids: tuple[str, ...]
    truth: np.ndarray | None = None
    boxes: TrueBoxes | None = None
    origin: Any = None
    is_input: bool = False
    class_names: tuple[str, ...] | None = None
    digest: str | None = None
    is_stream: bool = False
    is_open: bool = False

    @classmethod
    def read(
        cls,
        source: Any,
        truth: Any = None,
        boxes: Any = None,
        ids: Any = None,
        class_names: Sequence[str] | None = None,
        is_prepared: bool = True,
        backend: Backend | None = None,
        count: Callable[[int], object] | None = _count_silently,
        box_classes: Any = None,
        guard: Guard = UNGUARDED,
    ) -> Listing:
        """The items that a caller's arguments mean.

        Args:
            source: a file, a folder with its subfolders, a pattern, a video; a list of paths, of images of Pillow, of
                uint8 arrays, or of (path, class); a CSV or Parquet file with a column of paths, see `columns`; a data
                set of a framework, see `find_set`; or a `Listing`, which knows its labels.
            truth: N true classes as everywhere, or "folder": each picture's folder is named after its class.
            boxes: (N, 4), or a list of N arrays (B, 4), also empty ones: x0, y0, x1, y1 in whole pixels of the picture
                that the model sees, the ends exclusive.
            ids: N names; None: the paths of files, "0", "1", ... of other pictures.
            class_names: one name per class, for classes that are given by name.
            is_prepared: there is a preparation for pictures.
            backend: of the model, for the code that a message offers.
            count: called with a number of elements while a stream is counted. None: it is counted only where its true
                classes are passed.
            box_classes: of the boxes, as `xaicore.localize.evaluate` takes `classes`.
            guard: reads the first and the last element of a data set.

        Raises:
            InputError: there is no picture, an id repeats, or labels do not fit; the message says what to type.
        """
        found = cls.find(source, truth, boxes, ids, class_names, is_prepared, backend, count, box_classes, guard)
        if found is not None:
            return found
        if hasattr(source, "dtype") and len(getattr(source, "shape", ())) > 2:
            raise InputError(
                f"source is an array, {source.dtype} {tuple(source.shape)}: expected a data set. Of pictures, uint8 "
                "(N, H, W, 3), pass list(numpy.asarray(x)); of the model's own inputs, floats, "
                "torch.utils.data.TensorDataset(torch.as_tensor(x)) or tf.data.Dataset.from_tensor_slices(x)"
            )
        raise InputError(
            f"source={_shown(source)}: expected pictures: a folder, a pattern such as 'photos/**/*.jpg', a list of "
            "paths, a .csv or .parquet file with a column of paths, or a data set of torch, Keras or Hugging Face; "
            "of your own, a class with source[n] and len(source)"
        )

    @classmethod
    def find(
        cls,
        source: Any,
        truth: Any,
        boxes: Any,
        ids: Any,
        class_names: Sequence[str] | None,
        is_prepared: bool,
        backend: Backend | None,
        count: Callable[[int], object] | None,
        box_classes: Any = None,
        guard: Guard = UNGUARDED,
    ) -> Listing | None:
        """The same; None where the source is neither pictures nor a data set."""
        if isinstance(source, Listing):
            return source
        if count is None and truth is not None:
            count = _count_silently
        data = find_set(source, Known(class_names, is_prepared, truth is not None, backend, count, guard))
        if data is not None:
            return _of_set(data, truth, boxes, box_classes, ids)
        if isinstance(source, (str, os.PathLike)) and is_table(source):
            columns = read_columns(source)
            truth = _only(columns.truth, truth, "truth", source)
            boxes = _only(columns.boxes, boxes, "boxes", source)
            ids = _only(columns.ids, ids, "ids", source)
            if ids is None:
                columns.check_paths(source)
            source = columns.paths
        elif isinstance(source, list) and source and all(isinstance(one, tuple) and len(one) == 2 for one in source):
            truth = _only([label for _, label in source], truth, "truth", "the list of (path, class)")
            source = [path for path, _ in source]
        sources = find_sources(source, is_prepared, backend, "source")
        return None if sources is None else cls.of(sources, truth, boxes, ids, class_names, box_classes)

    @classmethod
    def of(
        cls,
        sources: Sequence[Source],
        truth: Any = None,
        boxes: Any = None,
        ids: Any = None,
        class_names: Sequence[str] | None = None,
        box_classes: Any = None,
    ) -> Listing:
        """The items of pictures that are found already; the arguments are those of `read`."""
        count = len(sources)
        if ids is None and isinstance(sources[0], (File, Frame)):
            ids = [one.id for one in sources]
        named = _names(ids, count)
        classes = as_truth(_of_folders(sources) if _is_folder(truth) else truth, class_names)
        check_count(classes, count)
        return cls(sources, named, classes, TrueBoxes.read(boxes, box_classes, named))

    def __len__(self) -> int:
        return len(self.sources)

    def __getitem__(self, position: int) -> Item:
        name = str(position) if self.is_open and position >= len(self.ids) else self.ids[position]
        return Item(position, name, self.sources[position])

    @contextlib.contextmanager
    def awake(self) -> Iterator[None]:
        """A stream lets go of its files and processes at the end."""
        try:
            yield
        finally:
            rest = getattr(self.sources, "rest", None)
            if rest is not None:
                rest()

    def truth_of(self, items: Sequence[Prepared]) -> np.ndarray | None:
        """The true classes of N items, as `as_truth` gives them; None where none is known.

        Raises:
            InputError: some have rows of labels, and others have indices.
        """
        if self.truth is not None:
            return self.truth[[one.item.position for one in items]]
        known = [one.truth for one in items]
        if all(one is None for one in known):
            return None
        return join_truth([np.array([UNKNOWN]) if one is None else one for one in known])

    def check_classes(self, outputs: np.ndarray, kind: str) -> None:
        """Compare the true classes with those of a model's outputs (N, *O), where they are known before the run.

        Raises:
            InputError: one does not exist.
        """
        try:
            check_classes(self.truth, outputs, kind)
        except InputError as exc:
            if self.truth is None or self.truth.ndim > 1:
                raise
            raise InputError(f"{exc}. Such a picture is {self.ids[most_suspicious(self.truth)]!r}") from exc

    def labels_digest(self) -> str:
        """A hash of true classes, boxes and their classes."""
        found = hashlib.blake2b(digest_size=16)
        for array in (self.truth, *(() if self.boxes is None else self.boxes.arrays)):
            found.update(b"none" if array is None else repr(array.tolist()).encode())
        return found.hexdigest()


def _of_set(data: DataSet, truth: Any, boxes: Any, box_classes: Any, ids: Any) -> Listing:
    if data.is_open:
        own = {"origin": data.origin, "is_input": data.is_input, "class_names": data.class_names}
        return Listing(data.sources, data.names or (), **own, is_stream=True, is_open=True)
    count = len(data.elements)
    if _is_folder(truth):
        raise InputError(
            f"truth={FOLDER!r} is for pictures in files: leave truth out for the labels of the data set, or pass "
            "truth=[...], one class per element"
        )
    classes = as_truth(truth, data.class_names)
    check_count(classes, count)
    named = _names(data.names if ids is None else ids, count)
    return Listing(
        data.sources,
        named,
        data.truth if classes is None else classes,
        TrueBoxes.read(boxes, box_classes, named),
        data.origin,
        data.is_input,
        data.class_names,
        data.digest,
        data.digests is not None,
    )


def _only(of_source: Any, given: Any, name: str, source: Any) -> Any:
    """The one of two that is there."""
    if of_source is not None and given is not None:
        raise InputError(
            f"{name} is passed, and {_shown(source)} has {name} of its own: pass {name}=None, or another list"
        )
    return given if of_source is None else of_source


def _names(ids: Any, count: int) -> tuple[str, ...]:
    try:
        return as_ids(ids, count)
    except InputError as exc:
        raise InputError(
            f"{exc}. A picture is found by its id: list each one once, or name them apart, by ids=[...] or the column "
            "id of a table"
        ) from exc


def _is_folder(truth: Any) -> bool:
    return isinstance(truth, str) and truth == FOLDER


def _of_folders(sources: Sequence[Source]) -> list[int | str]:
    """The name of each picture's folder, a number where it is digits."""
    if not all(isinstance(one, (File, Frame)) for one in sources):
        raise InputError(f"truth={FOLDER!r} is for pictures in files: pass truth=[...], one class per picture")
    folders = [Path(os.path.abspath(one.path)).parent.name for one in sources]  # type: ignore[attr-defined]
    return [int(name) for name in folders] if all(map(str.isdecimal, folders)) else list(folders)


def _shown(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:77]}..."
