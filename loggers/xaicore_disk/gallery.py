"""`index.html`: a gallery of a run's pictures, through its steps and methods; or of several runs, side by side.

The page is one file that shows the files of its runs and works from the file system: the rows as JSON, a script that
shows them, and style. Its content security policy lets nothing else run or load; ids, class names and all other texts
are untrusted.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import PurePosixPath
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup

import xaicore
from xaicore_disk import about, manifest
from xaicore_disk.folder import RunFolder

__all__ = ["ROWS", "Columns", "Part", "page", "render"]

ROWS = 10_000
"""The page shows the last rows, this many at most, so that browsers read it at once and writing it stays cheap."""

STILLS = 60
"""The most pictures that are shown where scripts are switched off."""

NAMED = 3
"""The most runs that the title names."""

SCRIPTS = (
    *("rows.js", "views.js", "boxes.js", "paint.js", "card.js", "profile.js", "curve.js", "grid.js"),
    *(
        "large.js",
        "compared.js",
        "reel.js",
        "controls.js",
        "order.js",
        "colors.js",
        "compare.js",
        "phrases.js",
        "story.js",
        "play.js",
    ),
    *("clips.js", "wheel.js", "peek.js", "keys.js", "address.js", "gallery.js"),
)
"""The parts of the script, in order; they share one scope."""

STYLES = ("gallery.css", "views.css")

TEXTS = (
    "id",
    "group",
    "method",
    "layer",
    "asked",
    "target_name",
    "predicted_name",
    "truth_name",
    "picture",
    "picture_thumbnail",
    "files",
    "views",
    "part",
    "scaling",
)
PLAIN = (
    *("step", "slot", "k", "target", "predicted", "truth", "right"),
    *("score", "raw_score", "peak", "ceiling", "empty", "signed", "size", "frames", "columns", "view_maxima"),
    *("target_box", "input_size", "box", "session"),
)
NAMED_ALIKE = ("overlay", "heatmap", "map", "grey", "outline", "animation", "volume", "thumbnail")
"""The columns that name files; those of one row have the same stem, in different folders."""

OFFERED = ("viridis", "inferno", "magma", "plasma", "cividis")
"""The colour maps that the page can switch to, beside the run's own: lightness increases monotonically in all."""


@dataclass(frozen=True)
class Part:
    """A run of a page.

    Attributes:
        about: its run.json.
        folder: what leads from the page to its folder, percent-encoded: "" or "../a/".
        maps: the number of its maps; the page may show fewer.
    """

    about: Mapping[str, Any]
    folder: str = ""
    maps: int = 0

    @property
    def name(self) -> str:
        """The run's name."""
        return self.about["name"]


class Columns:
    """What the page needs of the rows, as columns, with each text stored once: a third of the rows' size.

    Attributes:
        stills: {id: its newest row, and the link to that row's overlay or heatmap, None if it has none}, of the first
            `STILLS` pictures.
    """

    def __init__(self, rows: Iterable[manifest.Row] = ()) -> None:
        self.stills: dict[str, tuple[manifest.Row, str | None]] = {}
        self._texts: dict[str, int] = {}
        self._text: dict[str, list[int | None]] = {name: [] for name in TEXTS}
        self._plain: dict[str, list[Any]] = {name: [] for name in (*PLAIN, "run", "stem")}
        self.add(rows)

    def add(self, rows: Iterable[manifest.Row], run: int = 0, folder: str = "") -> None:
        """Add the rows of a run: its position on the page, and its `Part.folder`."""
        for row in rows:
            self._add({**row, "run": run}, folder)

    def __len__(self) -> int:
        return len(self._plain["step"])

    @property
    def pictures(self) -> int:
        """The number of different ids."""
        return len(self.ids)

    @property
    def ids(self) -> set[str]:
        """The ids of the rows."""
        texts = list(self._texts)
        return {texts[i] for i in set(self._text["id"]) if i is not None}

    @property
    def steps(self) -> int:
        """The number of different steps."""
        return len(set(self._plain["step"]))

    def json(self) -> dict[str, Any]:
        """{"texts", "text": {column: indices of texts}, "plain": {column: values}, "same": {column: its one value}}.

        A column whose values are all alike is in "same" alone: half of the columns of most runs.
        """
        texts = list(self._texts)
        same = {name: None if i is None else texts[i] for name, i in _alike(self._text).items()} | _alike(self._plain)
        text, plain = (
            {name: values for name, values in columns.items() if name not in same}
            for columns in (self._text, self._plain)
        )
        return {"texts": texts, "text": text, "plain": plain, "same": same, "rows": len(self)}

    def _add(self, row: manifest.Row, folder: str) -> None:
        stem, files = _named_alike(row)
        pictures = {name: _checked_name(row.get(name)) for name in ("picture", "picture_thumbnail")}
        known = {**row, **pictures, "files": " ".join(files)}
        known["views"] = json.dumps(row["views"]) if row.get("views") else None
        for name, texts in self._text.items():
            text = known.get(name)  # older versions had fewer columns
            texts.append(None if text is None else self._texts.setdefault(text, len(self._texts)))
        for name, values in self._plain.items():
            values.append(stem if name == "stem" else _short(known.get(name)))
        if row["id"] in self.stills or len(self.stills) < STILLS:
            still = _checked_name(row["overlay"] or row["heatmap"])
            self.stills[row["id"]] = row, still and folder + still


def page(folder: RunFolder, drawing: xaicore.Drawing) -> str:
    """The page of a run as it is now."""
    offsets = manifest.offsets(folder.manifest)
    columns = Columns(manifest.rows_at(folder.manifest, list(offsets.values())[-ROWS:]))
    return render([Part(about.read(folder), maps=len(offsets))], columns, drawing)


def render(runs: Sequence[Part], columns: Columns, drawing: xaicore.Drawing) -> str:
    """The page that shows the columns, which are of these runs."""
    colors, diverging = _table(drawing.colormap), _table(drawing.diverging)
    bars = {"bar": colors, "signed-bar": diverging}
    ramps = "".join(f"--{name}: linear-gradient(to right, {_gradient(bar)}); " for name, bar in bars.items())
    style = f"{''.join(map(_text, STYLES))}:root {{ {ramps}}}\n"
    script = "".join(map(_text, SCRIPTS))
    return _template().render(
        runs=runs,
        title=_title([run.name for run in runs]),
        columns=columns,
        maps=sum(run.maps for run in runs),
        skipped=_skipped(runs, columns.ids),
        channels=_channels(colors),
        signed_channels=_channels(diverging),
        style=Markup(style),
        style_hash=_source_hash(style),
        script=Markup(script),
        script_hash=_source_hash(script),
        data=_json(
            {
                **columns.json(),
                "runs": [{"name": run.name, "folder": run.folder} for run in runs],
                "alpha": drawing.alpha,
                "colors": _tables(drawing),
            }
        ),
    )


def _title(names: Sequence[str]) -> str:
    """The names of a few runs, "a and b"; of many, the first ones, "a, b and 3 more"."""
    if len(names) <= NAMED:
        return " and ".join(names)
    return f"{', '.join(names[: NAMED - 1])} and {len(names) - NAMED + 1} more"


def _skipped(runs: Sequence[Part], explained: set[str]) -> dict[str, str]:
    """{id: why it was not explained}, of pictures that no run explained."""
    skipped = {name: reason for run in runs for name, reason in run.about.get("skipped", {}).items()}
    return {name: reason for name, reason in skipped.items() if name not in explained}


def _named_alike(row: manifest.Row) -> tuple[str | None, list[str]]:
    """The stem that this row's files share, and the columns that have a file, with its ending: "overlay.png"."""
    stem = PurePosixPath(row["map"] or "").stem
    named = ((column, _checked_name(row.get(column)) or "") for column in NAMED_ALIKE)
    return stem, [
        f"{column}.{name.partition('.')[2]}" for column, name in named if name.partition(".")[0] == f"{column}s/{stem}"
    ]


def _checked_name(name: str | None) -> str | None:
    """A file's name if this package gives such names, else None."""
    return name if name is not None and manifest.FILE_NAME.fullmatch(name) else None


def _short(value: Any) -> Any:
    """Numbers with six digits, which are enough to read; infinity and NaN, for which JSON has no form, are None."""
    if isinstance(value, list):
        return [_short(one) for one in value]
    return xaicore.show.finite(float(f"{value:.6g}")) if isinstance(value, float) else value


def _tables(drawing: xaicore.Drawing) -> dict[str, dict[str, str]]:
    """{"plain", "signed"}: {colour map: its 256 colours in hexadecimal digits}, the run's own first."""
    names = {"plain": (drawing.colormap, *OFFERED), "signed": (drawing.diverging, *xaicore.overlay.diverging())}
    return {kind: {name.lower(): _table(name).tobytes().hex() for name in some} for kind, some in names.items()}


def _table(colormap: str) -> np.ndarray:
    """The colours of a colour map, (256, 3) uint8 RGB."""
    if colormap in xaicore.overlay.diverging():
        # Zero is at 128 of 255, and the first colour stands in for what is below -1.
        return xaicore.overlay.colorize(np.maximum((np.arange(256, dtype=np.float32) - 128) / 127, -1), colormap)
    return xaicore.overlay.colorize(np.linspace(0, 1, 256, dtype=np.float32), colormap)


def _alike(columns: Mapping[str, list[Any]]) -> dict[str, Any]:
    """{column: its value} of the columns whose values are all alike."""
    return {name: values[0] for name, values in columns.items() if values and values.count(values[0]) == len(values)}


def _channels(colors: np.ndarray) -> dict[str, str]:
    """{channel: its values, as a filter's table}."""
    return {"RGB"[i]: " ".join(f"{value / 255:.4g}" for value in colors[:, i]) for i in range(3)}


def _gradient(colors: np.ndarray) -> str:
    """The colours of 0, 1/15, ... 1 as a list for a CSS gradient."""
    return ", ".join("#" + bytes(color).hex() for color in colors[::17])


def _json(value: Any) -> Markup:
    """JSON for a script element: nothing in it opens or closes a tag."""
    return Markup(json.dumps(value, separators=(",", ":")).replace("<", "\\u003c"))


def _class_name(name: str, index: int) -> str:
    """A class's name; "class 3" where the name is a bare number."""
    return f"class {index}" if name == str(index) else name


def _source_hash(text: str) -> str:
    """The source of inline style or script, as a content security policy names it."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
def _text(name: str) -> str:
    return files(__package__).joinpath("page", name).read_text("utf-8")


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(class_name=_class_name)
    return environment.from_string(_text("index.html.jinja"))
