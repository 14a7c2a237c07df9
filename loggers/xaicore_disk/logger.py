"""The logger `disk`: pictures, overlays, heatmaps and raw maps as files, a manifest, and a page that shows them.

    runs/<name>/
        run.json           what the run is about
        manifest.jsonl     one row per map
        index.html         a page that shows them
        pictures/*.png     what the network saw
        overlays/*.png     heatmap over picture
        heatmaps/*.png     heatmap alone
        greys/*.png        the map, 255 at its maximum; the page scales and colours it
        outlines/*.png     the outline alone, with the option `outline`
        thumbnails/*.png   the same, small, for the cards of the page: of maps of 800 pixels and more
        picture_thumbnails/*.png   the pictures of these
        maps/*.npy         the method's own map, at the layer's resolution
        animations/*.webp  the overlays of a clip or volume one after the other, with the option `animation`
        volumes/*.nii.gz   the map of a volume at its resolution, with the option `spacing`

The files of a row are written before it, and the page last. So the files that a row names exist, whenever the
process is killed; the page may be behind the manifest until the run is opened again or closed.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import xaicore
from xaicore.show import png
from xaicore_disk import about, atomic, gallery, joined, manifest, names
from xaicore_disk.folder import RunFolder, check_folder
from xaicore_disk.options import Options
from xaicore_disk.row import make_row
from xaicore_disk.thumbnails import shrunk

__all__ = ["DiskLogger"]

PAUSE = 20
"""The pause between two writings of the page, in durations of the first: writing takes 5 % of the time at most."""


class DiskLogger(xaicore.Logger):
    """Writes explanations into a folder, which several processes may share.

    Args:
        root: the run's folder; `runs/<run.name>` when None. An existing run continues: rows are added, and a
            row of the same step, image, method, layer and k replaces the earlier one. In a group of images that change
            from step to step, image n of a step counts as the same image, whatever its id.
        options: `colormap`, `alpha`, `outline`, `diverging`, `axis`, `slices`, `maps`, `threshold`,
            `animation`, `spacing`, see `xaicore_disk.options.Options`.

    Raises:
        PluginError: an option is unknown.
        InputError: an option has a value out of range, or root is named like a picture.
    """

    name = "disk"

    def __init__(self, root: str | os.PathLike[str] | None = None, **options: Any) -> None:
        self._root = None if root is None else check_folder(Path(root).expanduser())
        self._options = Options.from_options(options, self.name, before=("root",))
        self._folder: RunFolder | None = None
        self._collected: set[about.Values] = set()
        self._skipped: dict[str, str] = {}
        self._page_due = 0.0
        self._session = 1
        self._last_before: int | None = None

    def open(self, run: xaicore.Run) -> None:
        """Make the folder, or clean up the one that exists and bring its page up to date.

        Raises:
            LoggerError: the folder cannot be made or written, or holds a page or run of another program.
            InputError: a monitor has watched other pictures in this run.
            DependencyError: an option needs a library that is not installed.
        """
        self._options.check_libraries()
        folder = RunFolder(Path("runs", names.folder_name(run.name)) if self._root is None else self._root)
        with folder.locked():
            self._session = about.start(folder, run, self._options)
            manifest.mend(folder.manifest)
            folder.clean()
            self._write_page(folder)
        if "monitor" in run.config:  # writers without a monitor may share a run, each with steps of its own
            self._last_before = manifest.last_step(folder.manifest)
        self._folder = folder
        self.where = f"gallery: {_from_here(folder.page)}"

    def log(self, explanation: xaicore.Explanation, step: int | None = None) -> None:
        """Write the files and rows of an explanation, map by map, so that memory does not grow with their number.

        Raises:
            LoggerError: the system refuses; what was written before is complete.
        """
        folder = self._opened()
        self._warn_of_mixture(folder, step)
        self._collect(folder, explanation)
        for m in range(len(explanation)):
            self._log_row(folder, explanation, m, None if step is None else int(step))
        if time.monotonic() >= self._page_due:
            with folder.locked():
                self._write_page(folder)

    def skip(self, name: str, reason: str) -> None:
        """Remember an image that was not explained; `close` writes all of them, because there may be many."""
        self._skipped[name] = reason

    def close(self) -> None:
        """Remove the files of replaced rows, and bring the page up to date.

        Raises:
            LoggerError: the system refuses.
        """
        folder = self._opened()
        self._folder = None
        with folder.locked():
            folder.clean()
            if self._skipped:
                about.skip(folder, self._skipped)
            self._write_page(folder)

    def join(self, runs: Sequence[str | os.PathLike[str]]) -> None:
        """Write a page that shows runs side by side, into `root`, or when None into the folder in which they lie.

        Args:
            runs: folders of runs, or folders whose subfolders are runs.

        Raises:
            InputError: there are fewer than two runs, or they lie in several folders and root is None.
            LoggerError: a run cannot be read, or the page's folder holds something else or cannot be written.
        """
        self.where = f"gallery: {_from_here(joined.join(runs, self._root, self._options))}"

    def _warn_of_mixture(self, folder: RunFolder, step: int | None) -> None:
        """Warn when a new training starts over in an old run's folder; repeating the last step is fine."""
        last, self._last_before = self._last_before, None
        if last is not None and step is not None and step < last:
            warnings.warn(
                f"{folder.root}: step {step} and later ones replace those of an earlier training (up to step {last}); "
                "the others stay. Give a new training another name= or root=",
                RuntimeWarning,
                stacklevel=2,
            )

    def _opened(self) -> RunFolder:
        if self._folder is None:
            raise self.not_open()
        return self._folder

    def _collect(self, folder: RunFolder, explanation: xaicore.Explanation) -> None:
        values = about.values_of(explanation)
        if values not in self._collected:
            with folder.locked():
                about.collect(folder, values)
            self._collected.add(values)

    def _log_row(self, folder: RunFolder, explanation: xaicore.Explanation, m: int, step: int | None) -> None:
        """Write the files first and the row second. Encoding takes longest and needs no lock."""
        row, files = make_row(explanation, m, step, self._options, self._session)
        with folder.locked():
            for name in ("picture_thumbnail", "picture"):  # rows of the same image share them
                if row[name] is not None and not folder.has(row[name]):
                    picture = explanation.picture(m, self._options)
                    assert picture is not None
                    shown = picture if name == "picture" else shrunk(picture, row)
                    assert shown is not None
                    folder.add(row[name], png(shown))
            for path, content in files.items():
                folder.add(path, content)
            manifest.append(folder.manifest, row)

    def _write_page(self, folder: RunFolder) -> None:
        """Write the page. Under the lock, so that no writer replaces a newer page by an older one."""
        began = time.monotonic()
        atomic.write(folder.page, gallery.page(folder, self._options).encode("utf-8", "replace"))
        ended = time.monotonic()
        self._page_due = ended + PAUSE * (ended - began)


def _from_here(path: Path) -> Path:
    """The path relative to the working directory, if it lies in there."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
