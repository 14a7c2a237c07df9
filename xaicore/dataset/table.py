"""The results of a run over a data set: `MapTable`, and how to open one."""

from __future__ import annotations

import os
from pathlib import Path

from xaicore.dataset.parts import Parts
from xaicore.dataset.questions import Questions

__all__ = ["MapTable", "open_maps"]


def open_maps(folder: str | os.PathLike[str]) -> MapTable:
    """The results of `xaicore.explain_dataset` in this folder; of a run that is not finished, what is there.

    Args:
        folder: its `out=`.

    Raises:
        InputError: the folder is not that of a run.
        DependencyError: pyarrow is not installed.
    """
    return MapTable(Parts.of(Path(folder).expanduser().absolute()))


class MapTable(Questions):
    """Rows of a run's maps, read from its files as they are needed: one per map, and one per picture with an error.

    The columns are those of `xaicore.dataset.schema.COLUMNS`. A table of some of the rows, such as `mistakes()`, is a
    `MapTable`, too. Get one from `xaicore.open_maps`.
    """
