"""The result as HTML: what is shown, and what untrusted text cannot do."""

from __future__ import annotations

import base64
import dataclasses
import html
import re
import sys
import types
import webbrowser
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import url2pathname

import cv2
import numpy as np
import pytest
from explanations import example, explanation
from toynet import ToyBackend, ToyNet

import xaicore
from xaicore import Drawing, overlay
from xaicore.show import html as notebook
from xaicore.targets import TopK
from xaicore.testing.fixed import FixedBackend

EVIL = '<script>alert("1")</script>&'


def pictures(page: str) -> list[np.ndarray]:
    """The pictures of a page, RGB."""
    found = re.findall(r'src="data:image/png;base64,([^"]*)"', page)
    return [
        cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)[..., ::-1] for data in found
    ]


def captions(page: str) -> list[str]:
    """Those of maps: without those of pictures, and of heatmaps alone."""
    found = [re.sub("<[^>]*>", "|", text) for text in re.findall(r"<figcaption[^>]*>(.*?)</figcaption>", page)]
    return [html.unescape(text).strip("|") for text in found if text not in ("picture", "heatmap")]


def titles(page: str) -> list[str]:
    """Of images: the id, and what is known."""
    return [html.unescape(text.replace("</b>", "")) for text in re.findall(r"<section[^>]*><div><b>(.*?)</div>", page)]


def alts(page: str) -> list[str]:
    return [html.unescape(text) for text in re.findall(r'<img alt="([^"]*)"', page)]


def test_a_picture_is_shown_once_with_an_overlay_per_target(backend: ToyBackend, x: np.ndarray) -> None:
    e = xaicore.explain(None, x, TopK(2), backend=backend, ids=["a", "b", "c"])
    page = e._repr_html_()
    shown = pictures(page)
    assert len(shown) == 9
    for m in range(6):
        n, k = divmod(m, 2)
        np.testing.assert_array_equal(shown[3 * n], e.images[n])
        np.testing.assert_array_equal(shown[3 * n + 1 + k], e.overlays()[m])
        assert alts(page)[3 * n] == e.ids[n]
        assert alts(page)[3 * n + 1 + k] == f"gradcam for {e.target_name(m)} over {e.ids[n]}"
    assert captions(page) == [f"{e.target_name(m)} {e.scores[m]:.3f}" for m in range(6)]
    assert "more;" not in page
    assert "http" not in page  # nothing comes from elsewhere
    assert not re.search("<script|<style|<link", page)  # notebooks that are not trusted drop them


def test_a_map_alone_has_its_heatmap_beside_it(backend: ToyBackend, x: np.ndarray) -> None:
    e = xaicore.explain(None, x, backend=backend)
    page = e._repr_html_()
    shown = pictures(page)
    assert len(shown) == 9
    for m in range(3):
        np.testing.assert_array_equal(shown[3 * m], e.images[m])
        np.testing.assert_array_equal(shown[3 * m + 1], e.overlays()[m])
        np.testing.assert_array_equal(shown[3 * m + 2], overlay.colorize(e.heatmaps())[m])
        assert alts(page)[3 * m + 2] == f"heatmap: gradcam for {e.target_name(m)} over {m}"


def test_boxes_of_targets_are_in_their_overlays_alone() -> None:
    """In the picture, which all targets share, the box of one would be a riddle."""
    one = dataclasses.replace(example(n=1, k=2), target_boxes=np.array([[2.0, 2, 9, 9], [1, 1, 12, 12]]))
    shown = pictures(one._repr_html_())
    np.testing.assert_array_equal(shown[0], one.images[0])
    for k in range(2):
        np.testing.assert_array_equal(shown[1 + k], one.overlay(k))
        assert (one.overlay(k) != one.overlay(k, Drawing(boxes=False))).any()


def test_large_pictures_are_reduced() -> None:
    """To 720 pixels, each the mean of those that it stands for; those of files stay as they are."""
    halves = np.repeat(np.uint8([[[10, 20, 30]], [[200, 100, 60]]])[None], 1440, axis=2).repeat(500, axis=1)
    one = explanation(np.ones((1, 1, 2, 2)), images=halves)
    picture, over, _ = pictures(one._repr_html_())
    assert picture.shape == over.shape == (500, 720, 3)
    np.testing.assert_array_equal(picture[[0, -1]], halves[0, [0, -1], ::2])
    np.testing.assert_array_equal(over[[0, -1]], one.overlay(0)[[0, -1], ::2])
    assert one.draw(0)["picture"].shape == (1000, 1440, 3)


def test_the_title_says_what_was_explained(backend: ToyBackend, x: np.ndarray) -> None:
    def heading(e: xaicore.Explanation) -> list[str]:
        head = e._repr_html_().partition("<section")[0]
        return [html.unescape(text) for text in re.findall(r"<div[^>]*>(?:<b>)?([^<]+)", head)]

    one = dataclasses.replace(xaicore.explain(None, x, TopK(2), backend=backend), model="my.nets.Net")
    assert heading(one) == ["Net: gradcam at second", "3 images, 2 targets each: top 2"]
    assert heading(one.take([1])) == ["Net: gradcam at second", "1 image, 2 targets: top 2"]


@pytest.mark.parametrize(
    ("signed", "ends"), [(False, ["no evidence", "most evidence"]), (True, ["against", "for the target"])]
)
def test_the_legend_has_the_colours_of_the_maps(signed: bool, ends: list[str]) -> None:
    page = explanation(np.ones((1, 1, 3, 4)), images=np.zeros((1, 3, 4, 3), np.uint8), signed=signed)._repr_html_()
    ramp = re.search(r"linear-gradient\(to right,([^)]*)\)", page)[1].split(",")
    low, high = np.rint(Drawing().colorize(np.array([[-1.0 if signed else 0.0, 1.0]]), signed)[0]).astype(int)
    assert [list(bytes.fromhex(color[1:])) for color in (ramp[0], ramp[-1])] == [low.tolist(), high.tolist()]
    assert re.findall(r"<span[^>]*>([a-z ]+)</span>", page) == ends


def test_names_and_ids_are_escaped(backend: ToyBackend, x: np.ndarray) -> None:
    e = xaicore.explain(None, x, backend=backend, ids=[EVIL, "b", "c"], class_names=[EVIL] * 4, truth=[0, 1, 2])
    page = e._repr_html_()
    assert "<script" not in page
    assert html.escape(EVIL) in page
    assert captions(page)[0].startswith(f"{EVIL} 0.")
    assert titles(page)[0].startswith(f"{EVIL} · predicted {EVIL} · truth {EVIL} · ")
    assert alts(page)[1] == f"gradcam for {EVIL} over {EVIL}"


def test_the_methods_name_is_escaped(x: np.ndarray, backend: ToyBackend) -> None:
    method = xaicore.Method("<i>mine</i>", lambda a, g: a[:, :1])
    page = xaicore.explain(None, x, method=method, backend=backend)._repr_html_()
    assert "<i>" not in page
    assert "&lt;i&gt;mine" in page


def test_captions(net: ToyNet, backend: ToyBackend, x: np.ndarray) -> None:
    predicted = net.forward(x)["dense"].argmax(axis=1)
    other = (predicted + 1) % 4
    e = xaicore.explain(
        None,
        x,
        [predicted[0], other[1], predicted[2]],
        backend=backend,
        truth=[predicted[0], other[1], -1],
        class_names=["w", "x", "y", "z"],
    )
    name = e.class_name
    page = e._repr_html_()
    first, second, third = (name(index) for index in predicted)
    assert captions(page) == [
        f"{first} {e.scores[0]:.3f}, right",
        f"{name(other[1])} {e.scores[1]:.3f}",  # the verdict is one of the prediction
        f"{third} {e.scores[2]:.3f}",
    ]
    assert titles(page) == [
        f"0 · predicted {first} · truth {first} · right",
        f"1 · predicted {second} · truth {name(other[1])} · wrong",
        f"2 · predicted {third}",
    ]


def test_captions_without_classes_and_without_evidence() -> None:
    backend = FixedBackend(
        np.array([[2.5]], np.float32),
        np.ones((1, 1, 3, 4), np.float32),
        -np.ones((1, 1, 1, 3, 4), np.float32),
        kind="values",
    )
    e = xaicore.explain(None, np.zeros((1, 3, 6, 8), np.float32), backend=backend, truth=[3])
    # A value is neither right nor wrong.
    assert captions(e._repr_html_()) == ["predicted 2.500|no positive evidence"]
    assert titles(e._repr_html_()) == ["0 · truth 3"]


def test_a_long_result_is_cut(backend: ToyBackend) -> None:
    x = np.random.default_rng(0).uniform(size=(30, 3, 6, 8)).astype(np.float32)
    page = xaicore.explain(None, x, TopK(4), backend=backend)._repr_html_()
    assert (len(captions(page)), len(titles(page))) == (notebook.ROWS, 6) == (24, 6)
    assert "... and 96 more; save(directory) writes them all." in page


def test_more_targets_than_rows(x: np.ndarray) -> None:
    e = xaicore.explain(None, x, TopK(40), backend=ToyBackend(ToyNet(classes=40)))
    page = e._repr_html_()
    assert (len(captions(page)), len(titles(page))) == (24, 1)
    assert "... and 96 more" in page


def test_what_is_no_picture_has_captions_only() -> None:
    x = np.random.default_rng(0).normal(size=(2, 3, 9)).astype(np.float32)
    one = dataclasses.replace(xaicore.explain(None, x, backend=ToyBackend()), maps=np.ones((2, 1, 1, 1, 1)))
    page = one._repr_html_()
    assert pictures(page) == []
    assert len(captions(page)) == 2


def test_inputs_that_cannot_be_shown_have_heatmaps_only() -> None:
    x = np.random.default_rng(0).normal(size=(2, 5, 6, 8)).astype(np.float32)
    one = xaicore.explain(None, x, backend=ToyBackend(ToyNet(channels=5)))
    page = one._repr_html_()
    assert len(pictures(page)) == 2
    assert alts(page) == [f"gradcam for {index} over {n}" for n, index in enumerate(one.predicted)]
    np.testing.assert_array_equal(pictures(page), overlay.colorize(one.heatmaps()))


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    urls: list[str] = []
    monkeypatch.setattr(webbrowser, "open", urls.append)
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    return urls


def test_show_opens_a_page_in_the_browser(
    opened: list[str], capsys: pytest.CaptureFixture[str], backend: ToyBackend, x: np.ndarray, tmp_path: Path
) -> None:
    e = xaicore.explain(None, x, backend=backend, ids=["Äpfel", EVIL, "猫"])
    e.show()
    (url,) = opened
    path = Path(url2pathname(urlparse(url).path))
    assert path.parent == tmp_path
    assert path.suffix == ".html"
    page = path.read_text(encoding="utf-8")
    assert page.startswith("<!doctype html><meta charset=utf-8>")
    assert page.endswith(e._repr_html_())
    assert capsys.readouterr().out == f"xaicore: {path}\n"


class Shell:
    """A running IPython; with a kernel, it is a notebook's."""


@pytest.mark.parametrize("kernel", [True, False])
def test_show_in_ipython(
    kernel: bool, opened: list[str], monkeypatch: pytest.MonkeyPatch, backend: ToyBackend, x: np.ndarray
) -> None:
    shell, displayed = Shell(), []
    if kernel:
        shell.kernel = object()
    package = types.ModuleType("IPython")
    package.get_ipython = lambda: shell
    package.display = types.ModuleType("IPython.display")
    package.display.HTML = lambda page: ("html", page)
    package.display.display = displayed.append
    monkeypatch.setitem(sys.modules, "IPython", package)
    monkeypatch.setitem(sys.modules, "IPython.display", package.display)
    e = xaicore.explain(None, x, backend=backend)
    e.show()
    assert displayed == ([("html", e._repr_html_())] if kernel else [])
    assert len(opened) == (0 if kernel else 1)
