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
from toynet import FixedBackend, ToyBackend, ToyNet

import xaicore
from xaicore import overlay
from xaicore.show import html as notebook
from xaicore.targets import TopK

EVIL = '<script>alert("1")</script>&'


def pictures(page: str) -> list[np.ndarray]:
    """The pictures of a page, RGB."""
    found = re.findall(r'src="data:image/png;base64,([^"]*)"', page)
    return [
        cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)[..., ::-1] for data in found
    ]


def captions(page: str) -> list[str]:
    return [html.unescape(text) for text in re.findall(r"<figcaption>(.*?)</figcaption>", page)]


def test_a_row_is_photo_overlay_heatmap(backend: ToyBackend, x: np.ndarray) -> None:
    e = xaicore.explain(None, x, TopK(2), backend=backend)
    page = e._repr_html_()
    shown = pictures(page)
    assert len(shown) == 18
    assert page.count("<figure>") == 6
    for m in range(6):
        np.testing.assert_array_equal(shown[3 * m], e.images[m // 2])
        np.testing.assert_array_equal(shown[3 * m + 1], e.overlays()[m])
        np.testing.assert_array_equal(shown[3 * m + 2], overlay.colorize(e.heatmaps())[m])
    assert html.escape(repr(e)) in page
    assert "more;" not in page
    assert "http" not in page  # nothing comes from elsewhere


def test_names_and_ids_are_escaped(backend: ToyBackend, x: np.ndarray) -> None:
    e = xaicore.explain(None, x, backend=backend, ids=[EVIL, "b", "c"], class_names=[EVIL] * 4, truth=[0, 1, 2])
    page = e._repr_html_()
    assert "<script" not in page
    assert html.escape(EVIL) in page
    assert captions(page)[0].startswith(f"{EVIL} | {EVIL} 0.")


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
    said = captions(e._repr_html_())
    first, second, third = (name(index) for index in predicted)
    at = "gradcam at second"
    assert said == [
        f"0 | {first} {e.scores[0]:.3f} | predicted {first} | truth {first} | right | {at}",
        f"1 | {name(other[1])} {e.scores[1]:.3f} | predicted {second} | truth {name(other[1])} | wrong | {at}",
        f"2 | {third} {e.scores[2]:.3f} | predicted {third} | {at}",
    ]
    assert said == [xaicore.show.caption(e.row(m)) for m in range(3)]


def test_captions_without_classes_and_without_evidence() -> None:
    backend = FixedBackend(
        np.array([[2.5]], np.float32),
        np.ones((1, 1, 3, 4), np.float32),
        -np.ones((1, 1, 1, 3, 4), np.float32),
        kind="values",
    )
    e = xaicore.explain(None, np.zeros((1, 3, 6, 8), np.float32), backend=backend, truth=[3])
    # A value is neither right nor wrong.
    assert captions(e._repr_html_()) == ["0 | predicted 2.500 | truth 3 | gradcam at map | no positive evidence"]


def test_a_long_result_is_cut(backend: ToyBackend) -> None:
    x = np.random.default_rng(0).uniform(size=(30, 3, 6, 8)).astype(np.float32)
    page = xaicore.explain(None, x, TopK(4), backend=backend)._repr_html_()
    assert page.count("<figure>") == notebook.ROWS == 24
    assert "... and 96 more; save(directory) writes them all." in page


def test_more_targets_than_rows(x: np.ndarray) -> None:
    e = xaicore.explain(None, x, TopK(40), backend=ToyBackend(ToyNet(classes=40)))
    page = e._repr_html_()
    assert page.count("<figure>") == 24
    assert "... and 96 more" in page


def test_what_is_no_picture_has_captions_only() -> None:
    x = np.random.default_rng(0).normal(size=(2, 3, 9)).astype(np.float32)
    one = dataclasses.replace(xaicore.explain(None, x, backend=ToyBackend()), maps=np.ones((2, 1, 1, 1, 1)))
    page = one._repr_html_()
    assert pictures(page) == []
    assert len(captions(page)) == 2


def test_inputs_that_cannot_be_shown_have_heatmaps_only() -> None:
    x = np.random.default_rng(0).normal(size=(2, 5, 6, 8)).astype(np.float32)
    page = xaicore.explain(None, x, backend=ToyBackend(ToyNet(channels=5)))._repr_html_()
    assert len(pictures(page)) == 2
    assert 'alt="heatmap"' in page


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
