"""`index.html` of a run over a data set: its numbers, mistakes, lowest evidence, confusions, classes and errors.

The page is one file. Its content security policy lets it load nothing and run nothing; ids, names and errors are
untrusted text, which the template escapes.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from xaicore.data.numbers import check_whole
from xaicore.dataset.gallery import CHOICES, check_choices, chosen, write_gallery
from xaicore.dataset.groups import ClassMean
from xaicore.dataset.questions import Questions
from xaicore.dataset.shown import Shower, mean_picture
from xaicore.errors import DependencyError, InputError
from xaicore.files import write_whole

__all__ = ["write_page"]

CARDS, PAIRS, CLASSES, ERRORS = 24, 20, 200, 100
"""How many of each the page shows."""

ADVICE = "open a copy of the run's folder"

OVERDRAWN = 4
"""Rows read per card: several targets of one picture make one card."""


def write_page(
    table: Questions,
    *,
    gallery: int = 5000,
    choose: Sequence[str] = CHOICES,
    seed: int = 0,
    images: str | None = "files",
    preprocess: Callable[..., Any] | str | None = None,
    progress: Any = None,
    **options: Any,
) -> Path:
    """Write index.html into the run's folder, and a gallery beside it; see `MapTable.page`.

    Raises:
        InputError: an argument is out of range, or the table has no maps, or those of several methods.
        LoggerError: the folder cannot be written.
        DependencyError: Jinja2 is not installed.
    """
    check_whole(gallery, "gallery", 0)
    check_choices(choose)
    if images not in ("files", None):
        raise InputError(f"images={images!r}: expected 'files', or None for maps without pictures")
    template, style = _template(), _text("page.css")
    shower = Shower(images, preprocess)
    content = _content(table, shower)
    content["gallery"] = None
    if gallery and table.counts.maps:
        some = chosen(table, gallery, choose, seed)
        content["gallery"] = write_gallery(some, table.folder / "gallery", shower, progress, **options)[1] or None
    text = template.render(
        **content, failures=shower.failures, style=style, style_hash=_source_hash(style), choose=choose
    )
    path = table.folder / "index.html"
    write_whole(path, text.encode("utf-8", "replace"), ADVICE)
    return path


def _content(table: Questions, shower: Shower) -> dict[str, Any]:
    """What the template shows."""
    counts, errors = table.counts, table.errors()
    classes = sorted(table.class_means(), key=_worst_first)
    pairs = table.confusions(PAIRS)
    first = next(iter(table.filter(~table.is_error()).batches(("input_size", "signed"))), None)
    size, signed = ((), False) if first is None else (first["input_size"][0].as_py(), first["signed"][0].as_py())

    def drawn(mean: Any) -> str:
        return mean_picture(mean, tuple(size), signed)

    by_share = table.to_arrow(("share",))["share"].null_count < len(table)
    return {
        "name": table.folder.name,
        "counts": counts,
        "mistakes": shower.cards(table.mistakes().first_pictures(CARDS)),
        "lowest": shower.cards(table.lowest_evidence(OVERDRAWN * CARDS).first_pictures(CARDS)) if counts.maps else [],
        "by_share": by_share,
        "pairs": [(pair, drawn(pair.wrong_map), drawn(pair.right_map)) for pair in pairs],
        "classes": [(one, drawn(one.map)) for one in classes[:CLASSES]],
        "class_count": len(classes),
        "errors": errors.head(ERRORS).to_arrow(("id", "error")).to_pylist(),
    }


def _worst_first(one: ClassMean) -> tuple[float, int]:
    return (2.0 if one.right is None else one.right, -one.count)


def _template() -> Any:
    try:
        import jinja2
    except ImportError as exc:
        raise DependencyError(f"the page of a data set needs Jinja2: {exc}; pip install jinja2") from exc
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_text("page.html.jinja"))


def _text(name: str) -> str:
    return files(__package__).joinpath("template", name).read_text("utf-8")


def _source_hash(text: str) -> str:
    """The source of inline style, as a content security policy names it."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
