"""The page as it is written: what it holds, and that text stays text. What it does is tested in tests/browser."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from explanations import example, explanation, strip
from hypothesis import given, settings
from hypothesis import strategies as st

import xaicore
from xaicore_disk import gallery
from xaicore_disk.manifest import read_manifest

EVIL = '</script><b onclick="x">\'"&amp;{{ 7 * 7 }}<!--'
VOID = ("meta", "link", "img", "input", "br")


class Page(HTMLParser):
    """The tags with their attributes, the text outside of style and scripts, and the rows, of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, Any]]] = []
        self.pieces: list[str] = []
        self.raw: dict[str, str] = {}
        self.open: list[str] = []
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("style", "script"):
            self.raw[self.tags[-1][1].get("type", "style")] = data
        else:
            self.pieces.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.pieces).split())

    @property
    def data(self) -> dict[str, Any]:
        return json.loads(self.raw["application/json"])

    @property
    def rows(self) -> list[dict[str, Any]]:
        """As the page's own script reads them."""
        data = self.data
        texts, columns = data["texts"], dict(data["plain"])
        columns |= {name: [None if i is None else texts[i] for i in indices] for name, indices in data["text"].items()}
        columns |= {name: [value] * data["rows"] for name, value in data["same"].items()}
        return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]

    def names(self) -> list[tuple[str, list[str]]]:
        return [(tag, sorted(attributes)) for tag, attributes in self.tags]

    def all(self, tag: str) -> list[dict[str, Any]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def stills(self) -> list[str]:
        """What is shown where scripts are switched off."""
        return [image["src"] for image in self.all("img") if image.get("src")]


def page(root: Path, *explanations: xaicore.Explanation, steps: Any = (None,), **options: Any) -> Page:
    with xaicore.open_loggers({"disk": {"root": root, **options}}, name="a run", on_error="raise") as loggers:
        for step in steps:
            for one in explanations:
                loggers(one, step)
    found = Page(root / "index.html")
    assert found.open == []  # every tag is closed
    return found


def known(**values: Any) -> dict[str, Any]:
    return {
        "outputs": np.array([[0, 2, 0, 1], [3, 0, 0, 2]], np.float32),
        "truth": [1, 2],
        "class_names": ["ant", "bee", "cat", "dog"],
        "ids": ["first.jpg", "second.jpg"],
        "images": np.zeros((2, 5, 7, 3), np.uint8),
        **values,
    }


def maps(n: int = 2, k: int = 1) -> np.ndarray:
    return np.random.default_rng(0).random((n, k, 5, 7))


def test_it_says_what_is_known_of_the_run(tmp_path: Path) -> None:
    shown = page(tmp_path, explanation(maps(), **known()))
    for said in (
        "a run 2 pictures · 2 maps model builtins.NoneType method given layer conv target top 1 started",
        "first.jpg predicted bee truth bee second.jpg predicted ant truth cat",
    ):
        assert said in shown.text
    assert "step" not in shown.text.partition("Scripts are")[0]
    assert "rescaled" not in shown.text


def test_skipped_pictures_are_listed_until_they_are_explained(tmp_path: Path) -> None:
    with xaicore.open_loggers({"disk": {"root": tmp_path}}, on_error="raise", quiet=True) as log:
        log.skip("first.jpg", "first.jpg is an empty file")
        log.skip(EVIL, "no picture")
        log(explanation(maps(1), **known(ids=["third.jpg"], images=None, outputs=None, truth=None)))
    shown = Page(tmp_path / "index.html")
    assert f"2 pictures skipped first.jpg is an empty file {EVIL}: no picture" in shown.text
    assert json.loads((tmp_path / "run.json").read_text())["skipped"][EVIL] == "no picture"
    again = page(tmp_path, explanation(maps(), **known()))
    assert f"1 picture skipped {EVIL}: no picture" in again.text


def test_steps_are_counted(tmp_path: Path) -> None:
    shown = page(tmp_path, example(n=3, k=2), example(n=3, k=2, method="other"), steps=(1, 2))
    assert "a run 3 pictures · 2 steps · 24 maps model" in shown.text


def test_the_data_are_the_rows_of_the_manifest(tmp_path: Path) -> None:
    shown = page(tmp_path, example(n=2, k=3), example(n=2, k=3, method="other"), steps=(1, 2), outline=0.2)
    rows = read_manifest(tmp_path)
    assert len(shown.rows) == len(rows) == 24
    for seen, row in zip(shown.rows, rows, strict=True):
        assert set(seen) == {*gallery.TEXTS, *gallery.PLAIN, "run", "stem"}
        for name in seen.keys() - {"score", "raw_score", "peak", "files", "run", "stem"}:
            assert seen[name] == row[name], name
        for name in ("score", "raw_score", "peak"):
            assert seen[name] == pytest.approx(row[name], rel=1e-5)
        for column, ending in (name.split(".") for name in seen["files"].split()):
            assert row[column] == f"{column}s/{seen['stem']}.{ending}"
        assert seen["files"].split() == ["overlay.png", "heatmap.png", "map.npy", "grey.png", "outline.png"]
    assert shown.data["alpha"] == 0.7
    assert len(shown.data["texts"]) == len(set(shown.data["texts"]))


def test_the_views_of_a_strip_are_in_the_data(tmp_path: Path) -> None:
    """Their names once, whatever characters they have."""
    names = ["frame 0", 'a "b", </script>', "c"]
    one = strip(np.ones((2, 1, 3, 5, 7)) / 3, np.zeros((2, 3, 5, 7, 3), np.uint8), names, frames=3, ids=["a", "b"])
    shown = page(tmp_path, one)
    assert [json.loads(row["views"]) for row in shown.rows] == [names] * 2
    assert [row["frames"] for row in shown.rows] == [3, 3]
    assert [row["view_maxima"] for row in shown.rows] == [[0.333333] * 3] * 2
    assert len([text for text in shown.data["texts"] if "frame 0" in text]) == 1


def test_rows_of_older_versions_are_shown(tmp_path: Path) -> None:
    row = {name: None for name in ("step", "target_name", "predicted_name", "truth_name", "truth", "asked")}
    row |= {"id": "a", "method": "m", "layer": "l", "k": 0, "target": 1, "predicted": 1, "score": 0.25, "empty": False}
    row |= {
        "picture": "pictures/a-1.png",
        "overlay": "overlays/x.png",
        "heatmap": "heatmaps/x.png",
        "map": "maps/x.npy",
    }
    columns = gallery.Columns([row])
    (seen,) = rendered(tmp_path / "index.html", columns).rows
    assert (seen["files"], seen["picture"], seen["score"]) == (
        "overlay.png heatmap.png map.npy",
        "pictures/a-1.png",
        0.25,
    )
    assert [seen[name] for name in ("group", "slot", "peak", "ceiling", "raw_score", "size")] == [None] * 6


def test_what_is_no_number_does_not_stop_the_page(tmp_path: Path) -> None:
    row = row_of("a") | {"score": float("nan"), "raw_score": float("-inf"), "peak": float("inf")}
    (seen,) = rendered(tmp_path / "index.html", gallery.Columns([row])).rows
    assert [seen[name] for name in ("score", "raw_score", "peak")] == [None] * 3


@pytest.mark.parametrize(
    "name", ["javascript:alert(1)", "//evil.example/x.png", "../../x.png", "overlays/../x.png", "overlays/other.png"]
)
def test_files_of_a_manifest_from_elsewhere_are_not_led_to(tmp_path: Path, name: str) -> None:
    row = read_manifest(page_folder(tmp_path))[0]
    columns = gallery.Columns([{**row, "overlay": name, "picture": name if name[0] != "o" else None}])
    (seen,) = rendered(tmp_path / "index.html", columns).rows
    assert "overlay." not in seen["files"]
    assert seen["picture"] is None


def page_folder(tmp_path: Path) -> Path:
    return example(n=1, k=1).save(tmp_path / "run").parent


def rendered(path: Path, columns: gallery.Columns, text: str = "a run") -> Page:
    about = {"name": text, "started": text, "images_from": []}
    about |= {name: [text] for name in ("models", "methods", "layers", "targets")}
    html = gallery.render([gallery.Part(about, maps=len(columns))], columns, xaicore.Drawing())
    path.write_bytes(html.encode("utf-8", "replace"))
    return Page(path)


def test_without_scripts_there_are_the_newest_overlays_of_the_first_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gallery, "STILLS", 2)
    shown = page(tmp_path, example(n=3, k=1), steps=(1, 2))
    rows = read_manifest(tmp_path)
    assert shown.stills() == [rows[3]["overlay"], rows[4]["overlay"]]


def test_stills_say_nothing_of_what_is_unknown(tmp_path: Path) -> None:
    shown = page(tmp_path, explanation(maps(), **known(truth=None, class_names=None)))
    assert "first.jpg predicted class 1 second.jpg predicted class 0" in shown.text
    assert not re.search(r"truth|\bNone\b", shown.text)


def test_a_run_without_explanations(tmp_path: Path) -> None:
    shown = page(tmp_path)
    assert "Nothing has been explained yet." in shown.text
    assert "0 pictures · 0 maps" in shown.text
    assert shown.all("script") == []


def test_long_runs_show_their_last_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gallery, "ROWS", 4)
    shown = page(tmp_path, example(n=2, k=1), steps=range(5))
    assert "2 pictures · 2 steps · 10 maps · this page shows the last 4 maps; manifest.jsonl has all" in shown.text
    assert [(row["step"], row["id"]) for row in shown.rows] == [(3, "0"), (3, "1"), (4, "0"), (4, "1")]


def test_ten_thousand_rows_are_shown_in_a_page_of_two_megabytes(tmp_path: Path) -> None:
    row = read_manifest(page_folder(tmp_path))[0]
    columns = gallery.Columns({**row, "id": f"picture {n}.jpg"} for n in range(gallery.ROWS))
    rendered(tmp_path / "index.html", columns)
    assert gallery.ROWS >= 10_000
    assert (tmp_path / "index.html").stat().st_size < 2_500_000
    assert len(columns.stills) == gallery.STILLS  # whole rows are not kept


def test_reopening_mends_the_page(tmp_path: Path) -> None:
    page(tmp_path, example(n=1, k=1))
    (tmp_path / "index.html").write_text("from before the power failure")
    assert len(page(tmp_path).rows) == 1


def test_untrusted_text_is_text(tmp_path: Path) -> None:
    def named(text: str) -> Page:
        names = known(ids=[text, "javascript:alert(1)"], class_names=[text] * 4)
        root = tmp_path / str(len(text))
        with xaicore.open_loggers({"disk": {"root": root}}, name=text, on_error="raise") as loggers:
            loggers(explanation(maps(), method=text, **names))
        return Page(root / "index.html")

    shown, harmless = named(EVIL), named("harmless")
    assert shown.names() == harmless.names()
    assert shown.text.startswith(f"{EVIL} · xaicore {EVIL} 2 pictures")
    assert f"{EVIL} predicted {EVIL} truth {EVIL}" in shown.text
    assert shown.rows[0]["id"] == shown.rows[0]["method"] == shown.rows[0]["target_name"] == EVIL
    assert "<" not in shown.raw["application/json"]
    assert "onclick" not in [name for _, attributes in shown.tags for name in attributes]


@settings(max_examples=30)
@given(text=st.text())
def test_any_text_comes_back(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """In the data as it is; in the page's text but for the white space, and what HTML has no character for."""
    text = f"~{text}"  # a class called "0" is shown as "class 0"
    folder = tmp_path_factory.mktemp("page")
    shown, harmless = (
        rendered(folder / f"{n}.html", gallery.Columns([row_of(name)]), name)
        for n, name in enumerate((text, "harmless"))
    )
    assert shown.names() == harmless.names()
    (seen,) = shown.rows
    assert all(seen[name] == text for name in ("id", "method", "layer", "asked", "target_name", "truth_name"))
    if not re.search(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]", text):
        said = " ".join(text.split())
        assert f"predicted {said} truth {said}" in shown.text


def row_of(text: str) -> dict[str, Any]:
    row = {"step": 1, "k": 0, "target": 0, "predicted": 0, "truth": 1, "score": 0.5, "empty": False, "size": [4, 4]}
    row |= dict.fromkeys(("id", "method", "layer", "asked", "target_name", "predicted_name", "truth_name"), text)
    return {**row, "picture": None, "overlay": None, "heatmap": None, "map": "maps/a-1.npy"}


def test_ids_that_are_no_utf8_do_not_stop_the_page(tmp_path: Path) -> None:
    shown = page(tmp_path, example(n=1, k=1, ids=["caf\udce9.jpg"]))
    assert "caf?.jpg" in shown.text
    assert shown.rows[0]["id"] == "caf\udce9.jpg"


def test_the_policy_allows_the_style_and_the_script_of_the_page_and_no_other(tmp_path: Path) -> None:
    shown = page(tmp_path, example())
    style, script = (
        base64.b64encode(hashlib.sha256(shown.raw[name].encode()).digest()).decode() for name in ("style", "module")
    )
    policy = next(meta["content"] for meta in shown.all("meta") if "http-equiv" in meta)
    assert policy == (
        f"default-src 'none'; img-src 'self' data:; style-src 'sha256-{style}'; script-src 'sha256-{script}'; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )
    assert [script.get("type") for script in shown.all("script")] == ["application/json", "module"]
    assert not [name for _, attributes in shown.tags for name in attributes if name == "style" or name.startswith("on")]
    assert set(re.findall(r"https?:[^\"\s]*", shown.source)) == {"http://www.w3.org/2000/svg"}  # a name, not a place


@pytest.mark.parametrize("name", [*gallery.SCRIPTS, *gallery.STYLES])
def test_what_is_inlined_cannot_end_its_element(name: str) -> None:
    text = files("xaicore_disk").joinpath("page", name).read_text("utf-8")
    assert not re.search("</(script|style)|<!--", text)
    assert "innerHTML" not in text


def test_the_colours_are_those_of_the_maps(tmp_path: Path) -> None:
    for name in ("viridis", "bone"):
        shown = page(tmp_path / name, example(), colormap=name)
        colors = xaicore.overlay.colorize(np.linspace(0, 1, 256, dtype=np.float32)[None], name)[0]
        first, last = ("#" + bytes(color).hex() for color in colors[[0, -1]])
        assert re.search(rf"linear-gradient\(to right, {first}, .*{last}\)", shown.raw["style"])
        for i, channel in enumerate("rgb"):
            tables = [function["tablevalues"].split() for function in shown.all(f"fefunc{channel}")]
            assert len(tables) == 4  # alone and over pictures, and the same of signed maps
            assert (tables[0], tables[2]) == (tables[1], tables[3])
            np.testing.assert_array_equal(np.rint(np.array(tables[0], float) * 255), colors[:, i])


@pytest.mark.parametrize("name", xaicore.overlay.diverging())
def test_the_colours_of_signed_maps_have_zero_in_the_middle(tmp_path: Path, name: str) -> None:
    shown = page(tmp_path, example(), diverging=name)
    colors = xaicore.overlay.colorize(np.array([[-1, -1, 0, 1]], np.float32), name)[0]
    first, _, _, last = ("#" + bytes(color).hex() for color in colors)
    assert re.search(rf"--signed-bar: linear-gradient\(to right, {first}, .*{last}\)", shown.raw["style"])
    for i, channel in enumerate("rgb"):
        table = shown.all(f"fefunc{channel}")[2]["tablevalues"].split()
        assert len(table) == 256
        chosen = np.array(table, float)[[0, 1, 128, 255]]
        np.testing.assert_array_equal(np.rint(chosen * 255), colors[:, i])
