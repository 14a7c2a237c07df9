"""The page of a data set's run: what it shows, in which order, and that no text of it is markup."""

from __future__ import annotations

import base64
import html
import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("pyarrow")

from maprun import pictures_in, run_of, write_run

import xaicore
from xaicore import InputError, LoggerError

NAMES = ["cat", "dog", "<b>fox</b>", "ant & co"]
BOXES = [[2, 3, 12, 14]] * 10


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    return pictures_in(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def table(tmp_path_factory, paths):
    one = run_of(paths, class_names=NAMES)
    folder = write_run(tmp_path_factory.mktemp("runs") / "<val>", one, paths, planned=400, boxes=BOXES)
    return xaicore.open_maps(folder)


@pytest.fixture(scope="module")
def page(table):
    return table.page(gallery=6).read_text()


def section(page, name):
    return page.partition(f'<section id="{name}">')[2].partition("</section>")[0]


def ids_in(text):
    return [html.unescape(found) for found in re.findall(r"<bdi>(.*?)</bdi>", text)]


def words(text):
    """The words that people see."""
    return " ".join(html.unescape(re.sub("<[^>]+>", " ", text)).split())


def image(text):
    kind, data = re.search(r'src="data:image/(\w+);base64,([^"]+)"', text).groups()
    return kind, cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


def assert_alike(jpeg, expected):
    """JPEG blurs the colours of small pictures; another picture would differ by fifty."""
    assert jpeg.shape == expected.shape
    assert np.abs(jpeg.astype(int) - expected).mean() < 10


def test_it_begins_with_the_numbers(page):
    head = words(page.partition("<header>")[2].partition("<main>")[0])
    assert head.startswith("<val> 30.0 % of the predictions are wrong given at conv of NoneType")
    assert "The run is not finished: 11 of 400 pictures are done." in head
    assert "pictures 10 maps 10 right 7 wrong 3 errors 1" in head
    assert head.endswith("Mistakes Lowest evidence Confusions Classes Errors Gallery of 6 pictures")


def test_mistakes_are_cards_with_their_overlays(page, table, paths):
    text = section(page, "mistakes")
    assert ids_in(text) == [paths[3], paths[6], paths[1]]
    assert text.count('<li class="wrong">') == 3
    assert "ant & co 1.000, wrong truth cat" in words(text)
    kind, shown = image(text)
    overlay = table.explanation(paths[3]).overlay(0)
    assert kind == "jpeg"
    assert_alike(shown, overlay)


def test_lowest_evidence_is_by_share(page, table):
    text = section(page, "lowest")
    expected = table.lowest_evidence(24).to_arrow(["id", "share"]).to_pylist()
    assert ids_in(text) == [row["id"] for row in expected]
    assert f"{100 * expected[0]['share']:.1f} % of the evidence in the true box" in words(text)
    assert "By the share of evidence in the true boxes." in text


def test_confusions_and_classes_have_mean_maps(page, table):
    text = section(page, "confusions")
    assert "cat dog 1 of 6" in words(text)
    kind, shown = image(text)
    assert kind == "png"
    assert shown.shape == (72, 96, 3)
    mean = xaicore.maps.normalize(xaicore.maps.resize(table.confusions()[0].wrong_map[None], (72, 96)))
    assert np.array_equal(shown, xaicore.Drawing().colorize(mean, False)[0])
    classes = section(page, "classes")
    assert re.findall("<b>(.*?)</b>", classes) == ["&lt;b&gt;fox&lt;/b&gt;", "ant &amp; co", "dog", "cat"]
    assert "3 maps, 100.0 % right" in words(classes)


def test_errors_are_listed(page):
    assert "1 picture could not be explained. broken.png is an empty file" in words(section(page, "errors"))


def test_nothing_runs_and_nothing_is_loaded(page):
    assert "default-src 'none'; img-src data:; style-src &#39;sha256-" in page or "style-src 'sha256-" in page
    assert "<script" not in page
    assert "<b>fox" not in page
    assert "<val>" not in page
    assert set(re.findall(r'(?:src|href)="(?!data:|#)([^"]*)"', page)) == {"gallery/index.html"}


def test_the_gallery_has_the_chosen_pictures(page, table, paths):
    rows = [json.loads(line) for line in (table.folder / "gallery" / "manifest.jsonl").read_text().splitlines()]
    ids = [row["id"] for row in rows]
    assert len(set(ids)) == len(ids) == 6
    lowest = [row["id"] for row in table.lowest_evidence(10).to_arrow(["id"]).to_pylist()]
    beyond = [name for name in lowest if name not in (paths[3], paths[6])]
    assert {paths[3], paths[6], *beyond[:2]} <= set(ids)
    assert all((table.folder / "gallery" / row["overlay"]).exists() for row in rows)


def test_a_gallery_of_another_choice_replaces_it(tmp_path, paths):
    table = xaicore.open_maps(write_run(tmp_path / "val", run_of(paths), paths))
    table.page(gallery=10)
    table.page(gallery=5, choose=["mistakes"])
    rows = (table.folder / "gallery" / "manifest.jsonl").read_text().splitlines()
    assert sorted(json.loads(line)["id"] for line in rows) == [paths[1], paths[3], paths[6]]
    table.page(gallery=4, choose=["random"], seed=3)
    first = (table.folder / "gallery" / "manifest.jsonl").read_text()
    assert first.count("\n") == 4
    assert "Gallery" not in table.page(gallery=0).read_text()


def test_a_picture_that_is_gone_leaves_its_heatmap_and_the_page_says_so(tmp_path):
    paths = pictures_in(tmp_path / "pictures")
    table = xaicore.open_maps(write_run(tmp_path / "val", run_of(paths), paths))
    Path(paths[3]).unlink()
    text = table.page(gallery=10).read_text()
    assert "1 picture could not be laid under its map" in words(text)
    assert f"the picture {paths[3]!r} was at {paths[3]}, which is no file from" in words(text)
    rows = [json.loads(line) for line in (table.folder / "gallery" / "manifest.jsonl").read_text().splitlines()]
    assert [row["id"] for row in rows if row["overlay"] is None] == [paths[3]]
    shown = image(section(text, "mistakes"))[1]
    heat = table.explanation(paths[3], images=None).heatmap(0)
    assert_alike(shown, xaicore.Drawing().colorize(heat[None], False)[0])
    assert "could not be laid" not in table.page(gallery=10, images=None).read_text()


def test_without_truth_and_boxes_there_are_evidence_and_classes(tmp_path, paths):
    one = run_of(paths, truth=[-1] * 10, class_names=None)
    text = xaicore.open_maps(write_run(tmp_path / "plain", one, paths)).page(gallery=0).read_text()
    assert words(text.partition("<h1>")[2].partition("</h1>")[0]) == "10 pictures"
    assert "By the mean positive value of the map, in the method's own scale." in words(section(text, "lowest"))
    assert 'id="mistakes"' not in text
    assert 'id="confusions"' not in text
    assert "class 3 2 maps" in words(section(text, "classes"))


def test_a_run_that_has_only_begun_has_a_page(tmp_path):
    (tmp_path / "begun" / "parts").mkdir(parents=True)
    (tmp_path / "begun" / "run.json").write_text('{"fingerprint": {"pictures": 9}}')
    text = xaicore.open_maps(tmp_path / "begun").page().read_text()
    assert "The run is not finished: 0 of 9 pictures are done." in words(text)
    assert "Nothing has been explained yet." in text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gallery": -1}, "gallery=-1: expected a whole number, 0 or more"),
        ({"choose": "mistakes"}, "choose='mistakes': expected some of 'mistakes', 'lowest', 'random', such as"),
        ({"choose": ["worst"]}, r"choose=\['worst'\]: expected some of"),
        ({"images": "file"}, "images='file': expected 'files', or None"),
    ],
)
def test_bad_options(table, options, message):
    with pytest.raises(InputError, match=message):
        table.page(**options)


def test_a_folder_that_cannot_be_written(tmp_path, paths):
    table = xaicore.open_maps(write_run(tmp_path / "val", run_of(paths), paths))
    (table.folder / "index.html").mkdir()
    (table.folder / "index.html" / "x").touch()
    with pytest.raises(LoggerError, match=r"index\.html: Is a directory; there is a folder of that name: remove it"):
        table.page(gallery=0)
