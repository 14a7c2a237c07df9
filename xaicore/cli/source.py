"""The pictures that the command line names, with their true classes: the same for loggers and for a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xaicore.cli.labels import read_truth
from xaicore.errors import InputError
from xaicore.pictures import Source, find_pictures, sources_of
from xaicore.source.columns import is_table
from xaicore.source.listing import Listing

__all__ = ["Named"]


@dataclass(frozen=True)
class Named:
    """Pictures that are found, whose classes wait for the names that a model has for them.

    Attributes:
        table: a CSV or Parquet file with a column of paths, or None.
        files: pictures and videos, where there is no table.
        sources: of each file, one picture or frames.
    """

    table: str | None
    files: Sequence[Path]
    sources: Sequence[Sequence[Source]]

    @classmethod
    def find(cls, paths: Sequence[str]) -> Named:
        """What files, folders and patterns lead to, or one table.

        Raises:
            InputError: one of the paths leads to no picture, or there is a table beside other paths.
            PictureError: a video cannot be decoded.
        """
        tables = [path for path in paths if is_table(path)]
        if not tables:
            files = find_pictures(paths)
            return cls(None, files, [sources_of(file) for file in files])
        if len(paths) > 1:
            raise InputError(f"{tables[0]} is a table of pictures, beside {len(paths) - 1} more: pass it alone")
        return cls(tables[0], (), ())

    def listing(self, truth: str | None, class_names: Sequence[str] | None, box_classes: str | None = None) -> Listing:
        """The pictures with their classes.

        Args:
            truth: of `--truth`, see `read_truth`.
            class_names: one name per class, or None.
            box_classes: of the boxes in a table: "any", or None for their picture's true class.

        Raises:
            InputError: classes cannot be read, do not exist, or are given for a table, which has its own.
        """
        if self.table is not None:
            if truth is not None:
                raise InputError(f"--truth {truth} beside the table {self.table}: put the classes in its column class")
            return Listing.read(self.table, class_names=class_names, box_classes=box_classes)
        classes = read_truth(truth, self.files, class_names)
        if classes is not None:
            classes = np.repeat(classes, [len(of_file) for of_file in self.sources])
        found = [one for of_file in self.sources for one in of_file]
        return Listing.of(found, classes, box_classes=box_classes)
