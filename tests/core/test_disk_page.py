"""The page: what it shows, how it is ordered, and that text stays text."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from disk_toy import Given, example, explanation
from hypothesis import given, settings
from hypothesis import strategies as st

import xaicore
from xaicore_disk import gallery
from xaicore_disk.manifest import read_manifest

EVIL = '</script><b onclick="x">\'"&amp;{{ 7 * 7 }}'


class Page(HTMLParser):
    """The tags with their attributes, and the text outside the style, of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, Any]]] = []
        self.pieces: list[str] = []
        self.open: list[str] = []
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.pieces.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.pieces).split())

    def names(self) -> list[tuple[str, list[str]]]:
        return [(tag, sorted(attributes)) for tag, attributes in self.tags]

    def all(self, tag: str) -> list[dict[str, Any]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def sources(self, folder: str = "") -> list[str]:
        return [image["src"] for image in self.all("img") if image["src"].startswith(folder)]


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


def test_it_says_what_is_known_of_the_run_and_of_each_image(tmp_path: Path) -> None:
    shown = page(tmp_path, explanation(maps(), **known()))
    p = np.exp(2) / np.exp([0, 2, 0, 1]).sum()
    for said in (
        "a run 2 images · 2 maps · 1 of 2 right",
        "model builtins.NoneType method given layer conv target top 1 normalising max started",
        "no evidence the map's maximum",
        f"first.jpg ✓ right predicted bee truth bee bee {p:.3f} given · raw map",
        "second.jpg ✗ wrong predicted ant truth cat ant 0.6",
    ):
        assert said in shown.text
    assert "step" not in shown.text


def test_it_says_nothing_of_what_is_unknown(tmp_path: Path) -> None:
    shown = page(tmp_path, explanation(maps(), **known(truth=None, class_names=None)))
    assert "2 images · 2 maps model" in shown.text
    assert "first.jpg predicted class 1 class 1 0.6" in shown.text
    assert not re.search(r"right|wrong|truth|\bNone\b", shown.text)


def test_targets_that_are_no_class_have_their_own_name(tmp_path: Path) -> None:
    class Middle(xaicore.Target):
        def aim(self, outputs: np.ndarray, kind: str) -> xaicore.targets.Aim:
            return xaicore.targets.Aim(np.ones((1, 1, 4), np.float32), np.full((1, 1), -1))

        def __str__(self) -> str:
            return "the middle"

    one = example(n=1, k=1)
    explainer = xaicore.Explainer(None, "random", backend=Given(one.outputs, (5, 7)), layer="conv")
    shown = page(tmp_path, explainer(np.ones((1, 1, 5, 7), np.float32), targets=Middle()))
    assert f"the middle {one.outputs.sum():.3f} random" in shown.text


def test_all_pictures_are_there_with_their_size(tmp_path: Path) -> None:
    shown = page(tmp_path, example(n=2, k=3), example(n=2, k=3, method="other"))
    rows = read_manifest(tmp_path)
    for column in ("overlay", "heatmap"):
        assert sorted(shown.sources(column)) == sorted(row[column] for row in rows)
    assert shown.sources("pictures") == [rows[0]["picture"], rows[3]["picture"]]
    for image in shown.all("img"):
        assert (tmp_path / image["src"]).is_file()
        assert (image["width"], image["height"], image["loading"]) == ("18", "14", "lazy")
        assert image["alt"]
    assert [link["href"] for link in shown.all("a") if link["href"].endswith(".npy")] == [
        row["map"] for row in sorted(rows, key=lambda row: (row["id"], row["k"], row["method"]))
    ]


def test_methods_stand_side_by_side_and_targets_below_each_other(tmp_path: Path) -> None:
    shown = page(tmp_path, example(n=2, k=2), example(n=2, k=2, method="other"))
    rows = {(row["id"], row["k"], row["method"]): row["overlay"] for row in read_manifest(tmp_path)}
    assert shown.sources("overlays") == [
        rows[name, k, method] for name in ("0", "1") for k in (0, 1) for method in ("given", "other")
    ]
    assert sum(tag["class"] == "maps" for tag in shown.all("div") if "class" in tag) == 4  # lines


def test_targets_keep_their_order_whenever_they_come() -> None:
    rows = [{"id": "a", "step": 1, "k": k, "truth": None, "predicted": None} for k in (2, 0, 1, 0)]
    (card,) = gallery.cards(rows)
    assert [[row["k"] for row in line] for line in card["steps"][0]["lines"]] == [[0, 0], [1], [2]]


@pytest.mark.parametrize(("methods", "columns"), [(1, 1), (2, 2), (3, 3), (4, 2), (5, 3), (7, 3)])
def test_methods_fill_their_lines(methods: int, columns: int) -> None:
    assert gallery._columns(methods) == columns


def test_the_newest_step_comes_first_and_the_others_fold_away(tmp_path: Path) -> None:
    shown = page(tmp_path, example(n=1, k=1), steps=(9, 10, None, 2))
    steps = {row["overlay"]: row["step"] for row in read_manifest(tmp_path)}
    assert [steps[source] for source in shown.sources("overlays")] == [10, 9, 2, None]
    assert shown.source.index(shown.sources("overlays")[0]) < shown.source.index("<details>")
    assert shown.source.index("<details>") < shown.source.index(shown.sources("overlays")[1])
    assert "0 step 10 predicted" in shown.text
    assert "3 earlier steps step 9" in shown.text
    assert len(shown.sources("pictures")) == 1


def test_right_counts_images_at_their_newest_step(tmp_path: Path) -> None:
    early = explanation(maps(), **known(truth=[0, 2]))
    late = explanation(maps(), **known(truth=[1, 0]))
    with xaicore.open_loggers({"disk": {"root": tmp_path}}, on_error="raise") as loggers:
        loggers(early, 1)
        loggers(late, 2)
    assert "2 images · 4 maps · 2 of 2 right" in Page(tmp_path / "index.html").text


def test_a_map_without_evidence_says_so(tmp_path: Path) -> None:
    shown = page(tmp_path, explanation(np.zeros((1, 1, 5, 7))))
    assert "no positive evidence" in shown.text


def test_a_run_without_explanations(tmp_path: Path) -> None:
    assert page(tmp_path).text.endswith("Nothing has been explained yet.")


def test_long_runs_show_their_last_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gallery, "ROWS", 4)
    shown = page(tmp_path, example(n=2, k=1), steps=range(5))
    assert "2 images · 10 maps · shown are the last 4 maps; manifest.jsonl has all" in shown.text
    assert [row["overlay"] for row in read_manifest(tmp_path) if row["step"] >= 3] == sorted(
        shown.sources("overlays"), key=lambda source: ("step4" in source, source)
    )


def test_reopening_mends_the_page(tmp_path: Path) -> None:
    page(tmp_path, example(n=1, k=1))
    (tmp_path / "index.html").write_text("from before the power failure")
    assert len(page(tmp_path).sources("overlays")) == 1


def test_untrusted_text_is_text(tmp_path: Path) -> None:
    def named(text: str) -> Page:
        names = known(ids=[text, "javascript:alert(1)"], class_names=[text] * 4)
        root = tmp_path / str(len(text))
        with xaicore.open_loggers({"disk": {"root": root}}, name=text, on_error="raise") as loggers:
            loggers(explanation(maps(), method=text, **names))
        return Page(root / "index.html")

    shown, harmless = named(EVIL), named("harmless")
    assert shown.names() == harmless.names()
    assert shown.text.startswith(f"{EVIL} · xaicore {EVIL} 2 images")
    assert f"{EVIL} ✓ right predicted {EVIL} truth {EVIL} {EVIL} 0.6" in shown.text
    assert any(EVIL in image["alt"] for image in shown.all("img"))


@settings(max_examples=30)
@given(text=st.text())
def test_any_text_comes_back(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """But for the white space, and what HTML has no character for."""
    text = f"~{text}"  # a class called "0" is shown as "class 0"
    folder = tmp_path_factory.mktemp("page")
    shown, harmless = rendered(folder / "any.html", text), rendered(folder / "harmless.html", "harmless")
    assert shown.names() == harmless.names()
    if not re.search(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]", text):
        said = " ".join(text.split())
        assert f"predicted {said} truth {said}" in shown.text
        assert {image["alt"] for image in shown.all("img")} >= {text, f"{text} for {text}, heatmap"}


def rendered(path: Path, text: str) -> Page:
    row = {
        **{
            "step": 1,
            "k": 0,
            "target": 0,
            "predicted": 0,
            "truth": 1,
            "score": 0.5,
            "empty": False,
            "size": [4, 4],
        },
        **dict.fromkeys(("id", "method", "layer", "asked", "target_name", "predicted_name", "truth_name"), text),
        **{"picture": "p", "overlay": "o", "heatmap": "h", "map": "m"},
    }
    about = {"name": text, "started": text, "normalize": "max", "images_from": []}
    about |= {name: [text] for name in ("models", "methods", "layers", "targets")}
    html = gallery._template().render(
        about=about, cards=gallery.cards([row]), columns=1, hidden=0, maps=1, judged=1, right=0, legend="#000000"
    )
    path.write_bytes(html.encode("utf-8", "replace"))
    return Page(path)


def test_ids_that_are_no_utf8_do_not_stop_the_page(tmp_path: Path) -> None:
    shown = page(tmp_path, example(n=1, k=1, ids=["caf\udce9.jpg"]))
    assert "caf?.jpg" in shown.text


def test_the_policy_allows_the_style_of_the_page_and_no_other(tmp_path: Path) -> None:
    shown = page(tmp_path, example())
    style = re.search("<style>(.*?)</style>", shown.source, re.DOTALL)[1]
    allowed = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = next(meta["content"] for meta in shown.all("meta") if "http-equiv" in meta)
    assert policy == (
        f"default-src 'none'; img-src 'self' data:; style-src 'sha256-{allowed}'; base-uri 'none'; form-action 'none'"
    )
    assert "script" not in shown.source
    assert not re.search(r"https?:|//", shown.source.replace("</", ""))


def test_the_legend_has_the_colours_of_the_maps(tmp_path: Path) -> None:
    viridis = page(tmp_path / "a", example()).source
    assert re.search(r"linear-gradient\(to right, #440154, .*#2[01]9[01]8[cd], .*#fde725\)", viridis)
    gray = page(tmp_path / "b", example(), colormap="bone").source
    assert "linear-gradient(to right, #000000," in gray
