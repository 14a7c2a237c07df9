"""Figures: what lies where, by its pixels, and what they leave alone."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from explanations import example, explanation, strip
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import xaicore
from xaicore import Drawing, overlay


def images(figure: Figure) -> list[np.ndarray]:
    """The pictures and overlays, in order."""
    return [np.asarray(axes.images[0].get_array()) for axes in figure.axes if axes.images]


def titles(figure: Figure) -> list[str]:
    return [axes.get_title() for axes in figure.axes if axes.images]


def bars(figure: Figure) -> list[Axes]:
    return [axes for axes in figure.axes if not axes.images]


def rendered(figure: Figure) -> np.ndarray:
    """(H, W, 3) uint8."""
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3]


def middle(page: np.ndarray, axes: Axes) -> tuple[int, int]:
    """The pixel in the middle of an axes of a rendered figure: row and column."""
    box = axes.get_window_extent()
    return int(len(page) - (box.y0 + box.y1) / 2), int((box.x0 + box.x1) / 2)


def test_a_line_per_image_with_its_picture_its_overlays_and_a_bar() -> None:
    known = {"truth": [3, 1], "class_names": ["ant", "bee", "cat", "dog"], "ids": ["a/1.jpg", "b.jpg"]}
    e = example(n=2, k=2, **known)
    e = dataclasses.replace(e, predicted=np.array([e.targets[0], e.targets[3]]))
    figure = e.plot()
    shown = images(figure)
    assert len(shown) == 6
    for n in range(2):
        np.testing.assert_array_equal(shown[3 * n], e.images[n])
        for k in range(2):
            np.testing.assert_array_equal(shown[3 * n + 1 + k], e.overlays()[2 * n + k])
    verdicts = ["right" if right else "wrong" for right in e.right]
    words = [f"{e.target_name(m)} {e.scores[m]:.3f}" for m in range(4)]
    picture = [f"predicted {e.class_name(e.predicted[n])}\ntruth {('dog', 'bee')[n]}, {verdicts[n]}" for n in range(2)]
    assert titles(figure) == [
        *(f"a/1.jpg\n{picture[0]}", f"{words[0]}, {verdicts[0]}", words[1]),
        *(f"b.jpg\n{picture[1]}", words[2], f"{words[3]}, {verdicts[1]}"),
    ]
    assert [bar.get_ylabel() for bar in bars(figure)] == ["evidence (1 = map's maximum)"] * 2


def check_layout(figure: Figure, page: np.ndarray) -> None:
    """Titles and labels lie inside of the figure, and neither they nor images lie over images."""
    texts = [
        text
        for axes in figure.axes
        for text in (axes.title, axes.yaxis.label, *([] if axes.images else axes.get_yticklabels()))
        if text.get_text()
    ]
    boxes = [text.get_window_extent() for text in texts]
    assert min(min(box.x0, box.y0) for box in boxes) >= 0
    assert max(box.x1 for box in boxes) <= page.shape[1]
    assert max(box.y1 for box in boxes) <= page.shape[0]
    places = [axes.get_window_extent() for axes in figure.axes]
    assert not any(a.overlaps(b) for i, a in enumerate(places) for b in (*places[:i], *boxes))
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_it_lies_where_it_should() -> None:
    """The pixels in the middle of each place are those of the picture or the overlay."""
    maps = np.zeros((2, 1, 6, 6))
    maps[0, 0, :, :3] = maps[1, 0, 3:] = 1
    maps[:, 0, 0, 0] = 2
    e = explanation(maps, images=np.full((2, 60, 60, 3), (40, 90, 200), np.uint8), ids=["a", "b" * 70])
    figure = e.plot()
    page = rendered(figure)
    check_layout(figure, page)
    places = [axes for axes in figure.axes if axes.images]
    assert len(places) == 4
    for axes, image in zip(places, images(figure), strict=True):
        np.testing.assert_allclose(page[middle(page, axes)].astype(int), image[30, 30], atol=12)


def flat(signed: bool = False) -> xaicore.Explanation:
    """Lower than the label of a colour bar."""
    return explanation(np.ones((2, 2, 4, 9)), (4, 9), images=np.zeros((2, 4, 9, 3), np.uint8), signed=signed)


@pytest.mark.parametrize(
    "made",
    [
        lambda: flat(),
        lambda: flat(signed=True),
        lambda: dataclasses.replace(flat(), of_pixels=True),
        lambda: explanation(np.ones((1, 2, 50))),
        lambda: explanation(np.ones((1, 2, 6, 5, 7)), images=np.zeros((1, 6, 5, 7, 3), np.uint8)),
        lambda: strip(
            np.ones((1, 1, 16, 4, 4)), np.zeros((1, 16, 4, 4, 3), np.uint8), [f"frame {i}" for i in range(16)]
        ),
        lambda: xaicore.Comparison({"a long name of a method": flat(), "b": flat(signed=True)}),
    ],
    ids=["flat", "signed", "robust", "curve", "volume", "clip", "two bars"],
)
def test_nothing_is_cut_off(made: Callable[[], Any]) -> None:
    figure = made().plot()
    check_layout(figure, rendered(figure))


@pytest.mark.parametrize(("signed", "labels"), [(False, ["0", "1"]), (True, ["against", "0", "for"])])
def test_the_bar_has_the_colours_of_the_maps(signed: bool, labels: list[str]) -> None:
    e = explanation(np.ones((1, 1, 3, 4)), images=np.zeros((1, 3, 4, 3), np.uint8), signed=signed)
    drawing = Drawing("magma", diverging="purple-orange")
    figure = e.plot(drawing=drawing)
    (bar,) = bars(figure)
    assert [label.get_text() for label in bar.get_yticklabels()] == labels
    page = rendered(figure)
    _, column = middle(page, bar)
    box = bar.get_window_extent()
    ends = [page[int(page.shape[0] - y), column].astype(int) for y in (box.y0 + 2, box.y1 - 2)]
    expected = drawing.colorize(np.array([[-1.0 if signed else 0.0, 1.0]]), signed)[0].astype(int)
    np.testing.assert_allclose(ends, expected, atol=8)
    np.testing.assert_array_equal(images(figure)[1], e.overlay(0, drawing))


def test_the_bar_says_what_1_is() -> None:
    one = example(n=1, k=1)
    robust, fixed = dataclasses.replace(one, of_pixels=True), dataclasses.replace(one, ceilings=np.float32([3]))
    for e, scale in ((robust, "map's 99th percentile"), (fixed, "fixed scale")):
        (bar,) = bars(e.plot())
        assert bar.get_ylabel() == f"evidence (1 = {scale})"


def test_many_targets_go_on_in_the_next_line() -> None:
    e = explanation(np.random.default_rng(0).random((1, 7, 3, 3)), outputs=np.zeros((1, 9), np.float32))
    figure = e.plot()
    rows = [round(axes.get_position().y0, 3) for axes in figure.axes if axes.images]
    if e.images is None:
        assert [rows.count(y) for y in sorted(set(rows), reverse=True)] == [5, 2]
    with_pictures = dataclasses.replace(
        e, pictures=xaicore.show.pictures.Pictures.from_array(np.zeros((1, 3, 3, 3), np.uint8), "user")
    )
    places = [axes.get_position() for axes in with_pictures.plot().axes if axes.images]
    rows, columns = ([round(getattr(place, side), 3) for place in places] for side in ("y0", "x0"))
    assert [rows.count(y) for y in sorted(set(rows), reverse=True)] == [6, 2]
    assert columns[6:] == columns[1:3]  # the place below the picture is empty


def test_curves_lie_below_each_other() -> None:
    e = explanation(np.random.default_rng(0).random((1, 1, 200)))
    places = [axes.get_position() for axes in e.plot().axes if axes.images]
    assert len(places) == 2
    assert places[0].x0 == places[1].x0
    assert places[0].y0 > places[1].y1


def test_views_are_named_and_no_evidence_is_said() -> None:
    maps = np.zeros((1, 1, 3, 4, 4))
    e = strip(maps, np.zeros((1, 3, 4, 4, 3), np.uint8), ["left", "middle", "right"])
    assert titles(e.plot())[1].endswith("no positive evidence\nleft to right: left, middle, right")


def test_text_is_taken_as_it_is() -> None:
    e = example(n=1, k=1, class_names=["$x^2$", "$y_1$", r"$\alpha", "_$"], ids=["caf\udce9 $1$"])
    figure = e.plot()
    assert titles(figure)[0].startswith("caf\\udce9 $1$\npredicted ")
    assert titles(figure)[1].startswith(e.class_names[e.targets[0]])
    assert not any(axes.title.get_parse_math() for axes in figure.axes if axes.images)
    rendered(figure)


def test_what_cannot_be_drawn_is_refused() -> None:
    e = dataclasses.replace(example(n=1, k=1), maps=np.ones((1, 2, 3, 4, 5), np.float32))
    with pytest.raises(xaicore.InputError) as caught:
        e.plot()
    assert str(caught.value) == (
        "plot of maps (2, 3, 4, 5) over an input (14, 18): expected maps of signals, pictures or volumes; the maps "
        "themselves are in explanation.maps"
    )


def test_too_many_maps_are_refused_and_the_advice_works() -> None:
    e = example(n=50, k=3)
    with pytest.raises(xaicore.InputError) as caught:
        e.plot()
    assert str(caught.value) == (
        "plot of 150 maps, 3 per image: expected 120 at most; plot some of the images, as in take(slice(0, 40)).plot()"
    )
    advice = re.search(r"take\(slice\(0, 40\)\)", str(caught.value))[0]
    assert len(images(eval(f"e.{advice}", {"e": e}).take([0, 1]).plot())) == 8
    many = explanation(np.ones((1, 121, 2, 2)), outputs=np.zeros((1, 200), np.float32))
    with pytest.raises(xaicore.InputError, match=r"plot of 121 maps, 121 per image: .*; name fewer targets$"):
        many.plot()


@pytest.mark.parametrize(("suffix", "start"), [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")])
def test_it_is_written(tmp_path: Path, suffix: str, start: bytes) -> None:
    figure = example(n=1, k=1).plot(tmp_path / f"figure.{suffix}")
    assert (tmp_path / f"figure.{suffix}").read_bytes().startswith(start)
    figure.savefig(tmp_path / "again.png")  # as any other figure
    assert figure._repr_png_().startswith(b"\x89PNG")


def test_where_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    example(n=1, k=1).plot("~/figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(xaicore.InputError, match=r"^path='.*/none/figure\.png' cannot be written: No such file or dir"):
        example(n=1, k=1).plot(tmp_path / "none" / "figure.png")


def test_a_suffix_that_matplotlib_does_not_write(tmp_path: Path) -> None:
    for name in ("figure.doc", "figure"):
        with pytest.raises(xaicore.InputError, match=rf"path='.*{name}': expected a file name that ends in \..*\.pdf"):
            example(n=1, k=1).plot(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def run(code: str) -> str:
    folder = Path(__file__).resolve().parents[1] / "toys"
    code = f"import sys; sys.path.insert(0, {str(folder)!r})\n{code}"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_pyplot_is_not_imported_and_rc_is_left_alone() -> None:
    code = """
import matplotlib
before = dict(dict.items(matplotlib.rcParams))  # reading the backend would import pyplot
from explanations import example
example(n=1, k=1).plot()._repr_png_()
print("matplotlib.pyplot" in sys.modules, dict(dict.items(matplotlib.rcParams)) == before)
"""
    assert run(code).split() == ["False", "True"]


def test_without_matplotlib_the_pip_command_is_named() -> None:
    code = """
sys.modules["matplotlib"] = None
from explanations import example
e = example(n=1, k=1)
e._repr_html_()
try:
    e.plot()
except ImportError as error:
    print(type(error).__name__, error)
"""
    assert re.match(
        r'DependencyError plot\(\) needs Matplotlib: pip install "xaicore\[plot\]", or matplotlib', run(code)
    )


def test_the_line_around_the_most_evidence() -> None:
    e = example(n=1, k=1)
    drawing = Drawing(outline=0.2)
    np.testing.assert_array_equal(images(e.plot(drawing=drawing))[1], overlay_of(e, drawing))


def overlay_of(e: xaicore.Explanation, drawing: Drawing) -> np.ndarray:
    over = overlay.blend(e.images, e.heatmaps())
    return overlay.outline(over, e.heatmaps(), drawing.outline)[0]
