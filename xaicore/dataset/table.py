"""The results of a run over a data set: `MapTable`, and how to open one."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from xaicore.dataset.fiftyone import write_fiftyone
from xaicore.dataset.page import write_page
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

    def page(
        self,
        *,
        gallery: int = 5000,
        choose: Sequence[str] = ("mistakes", "lowest", "random"),
        seed: int = 0,
        images: str | None = "files",
        preprocess: Callable[..., Any] | str | None = None,
        progress: Any = None,
        **options: Any,
    ) -> Path:
        """Write index.html into the run's folder: numbers, mistakes, lowest evidence, confusions, classes, errors.

        Beside it lies a gallery of chosen pictures, in the folder `gallery`. A picture that cannot be laid under its
        map leaves the heatmap alone, and the page says why.

        Args:
            gallery: how many pictures the gallery has at most; 0 for none.
            choose: how they are chosen, of "mistakes", "lowest" and "random": the same number in each way.
            seed: of the random ones.
            images, preprocess: as for `explanation`; `images` is "files" or None.
            progress: as for `Explainer`.
            options: of the disk logger, for the gallery.

        Returns:
            The path of index.html.

        Raises:
            InputError: an argument is out of range, or the maps are of several methods.
            LoggerError: the folder cannot be written.
        """
        return write_page(
            self,
            gallery=gallery,
            choose=choose,
            seed=seed,
            images=images,
            preprocess=preprocess,
            progress=progress,
            **options,
        )

    def to_fiftyone(
        self,
        name: str,
        preprocess: Callable[..., Any] | str | None = None,
        folder: str | os.PathLike[str] | None = None,
    ) -> Any:
        """Make a dataset of FiftyOne: per picture its heatmaps, prediction, truth and boxes.

        A heatmap's field is called by its method, that of target k "METHOD_k". The dataset is persistent.

        Args:
            name: of the dataset.
            preprocess: the run's own. FiftyOne lays a heatmap over the whole picture, so what the model saw is written
                to `folder`; None where it saw whole files, which are used as they are.
            folder: for these pictures; `seen` in the run's folder when None.

        Returns:
            A `fiftyone.Dataset`.

        Raises:
            InputError: there is such a dataset, a file is gone, or it is not what the model saw.
            LoggerError: the folder cannot be written.
            DependencyError: FiftyOne is not installed, or its database does not answer.
        """
        where = None if folder is None else Path(folder).expanduser()
        return write_fiftyone(self, name, preprocess=preprocess, folder=where)
