"""The gallery of chosen pictures beside a run's page, written by the disk logger."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xaicore.dataset.questions import Questions
from xaicore.dataset.shown import Shower
from xaicore.errors import InputError
from xaicore.evidence.progress import reported
from xaicore.loggers import open_loggers

__all__ = ["CHOICES", "chosen", "write_gallery"]

CHOICES = ("mistakes", "lowest", "random")
"""How pictures are chosen."""


def check_choices(choose: Sequence[str]) -> None:
    """Refuse what is no way of choosing.

    Raises:
        InputError: one is unknown, or there is none.
    """
    if isinstance(choose, str) or not choose or set(choose) - set(CHOICES):
        raise InputError(f"choose={choose!r}: expected some of {', '.join(map(repr, CHOICES))}, such as ('mistakes',)")


def chosen(table: Questions, count: int, choose: Sequence[str], seed: int) -> Questions:
    """`count` pictures with all their targets: the same number in each way of choosing, and what is left in the last.

    Args:
        table: with maps.
        count: pictures at most.
        choose: of `CHOICES`, in order; a picture that an earlier one chose does not count again.
        seed: of the random ones.
    """
    check_choices(choose)
    found: dict[str, None] = {}
    for i, how in enumerate(choose):
        quota = len(found) + (count - len(found)) // (len(choose) - i)
        for name in _candidates(table, how, count, seed):
            if len(found) >= quota:
                break
            found.setdefault(name)
    some = table.of_ids(list(found))
    return some.filter(~some.is_error())


def write_gallery(
    table: Questions, folder: Path, shower: Shower, progress: Any = None, **options: Any
) -> tuple[Path, int]:
    """Write the gallery of a table's pictures; returns its page, and the number of pictures.

    Args:
        table: what is shown.
        folder: the gallery's; an earlier one is replaced.
        shower: makes explanations.
        progress: as for `Explainer`.
        options: of the disk logger.

    Raises:
        LoggerError: the folder cannot be written.
    """
    if (folder / "manifest.jsonl").exists():
        shutil.rmtree(folder)
    count = table.counts.pictures
    loggers = {"disk": {**options, "root": folder}}
    done = 0
    with (
        reported(progress, count, "pictures") as report,
        open_loggers(loggers, name=folder.parent.name, on_error="raise", quiet=True) as log,
    ):
        for explanation in shower.explanations(table):
            log(explanation)
            done += len(explanation.ids)
            report(done, count)
    return folder / "index.html", done


def _candidates(table: Questions, how: str, count: int, seed: int) -> list[str]:
    if how == "mistakes":
        some = table.mistakes()
    elif how == "lowest":
        some = table.lowest_evidence(2 * count)  # as many again: mistakes may be among them
    else:
        some = table.sample(2 * count, seed)
    names: list[str] = some.to_arrow(("id",))["id"].to_pylist()
    if how == "random":
        np.random.default_rng(seed).shuffle(names)
    return names
