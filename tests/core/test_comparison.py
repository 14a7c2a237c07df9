"""Several results side by side: as a dict, in a notebook, as a figure, as one run."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pages
import pytest
from explanations import example
from recorder import Recorder
from test_notebook import alts, captions, pictures, titles
from test_plot import bars, images
from test_plot import titles as headings
from toynet import ToyBackend

import xaicore
from xaicore import Comparison

METHODS = ["gradcam", "eigencam"]


@pytest.fixture
def both(backend: ToyBackend, x: np.ndarray) -> Comparison:
    explainer = xaicore.Explainer(None, backend=backend)
    return explainer.compare(x, METHODS, xaicore.targets.TopK(2), ids=["a", "b", "c"], class_names=list("wxyz"))


def by_epoch() -> Comparison:
    """Two epochs, whose predictions of the second image differ."""
    first, last = (example(n=2, k=1, seed=seed, ids=["a", "b"], truth=[0, 1]) for seed in (0, 1))
    first = dataclasses.replace(first, predicted=np.array([0, 0]), targets=np.array([0, 0]), class_names=("cat", "dog"))
    last = dataclasses.replace(
        last, predicted=np.array([0, 1]), targets=np.array([0, 1]), class_names=("cat", "dog"), pictures=first.pictures
    )
    return Comparison({"epoch 1": first, "epoch 9": last})


def test_it_is_the_dict_that_it_was(both: Comparison) -> None:
    assert isinstance(both, dict)
    assert list(both) == METHODS
    assert [one.method for one in both.values()] == METHODS
    assert {**both} == dict(both.items())
    assert repr(both) == "<Comparison of gradcam, eigencam>"


def test_the_notebook_shows_each_picture_once_and_a_line_per_target(both: Comparison) -> None:
    page = both._repr_html_()
    shown = pictures(page)
    assert len(shown) == 3 * (1 + 2 * 2)
    first = both["gradcam"]
    for n in range(3):
        np.testing.assert_array_equal(shown[5 * n], first.images[n])
        for k in range(2):
            for i, one in enumerate(both.values()):
                np.testing.assert_array_equal(shown[5 * n + 1 + 2 * k + i], one.overlays()[2 * n + k])
    name, score = first.target_name, first.scores
    assert captions(page)[:4] == [f"{method}: {name(m)} {score[m]:.3f}" for m in (0, 1) for method in METHODS]
    assert alts(page)[:3] == ["a", f"gradcam for {name(0)} over a", f"eigencam for {name(0)} over a"]
    assert titles(page) == [
        f"{id} · predicted {first.class_name(c)}" for id, c in zip("abc", first.predicted, strict=True)
    ]
    assert re.search(r"<b>NoneType: gradcam, eigencam at second</b>", page)
    assert not re.search("<script|<style", page)


def test_of_several_epochs_only_common_facts_are_in_the_title() -> None:
    page = by_epoch()._repr_html_()
    assert titles(page) == ["a · predicted cat · truth cat · right", "b · truth dog"]
    scores = [one.scores for one in by_epoch().values()]
    assert captions(page) == [
        *(f"epoch 1: cat {scores[0][0]:.3f}, right", f"epoch 9: cat {scores[1][0]:.3f}, right"),
        *(f"epoch 1: cat {scores[0][1]:.3f}, wrong", f"epoch 9: dog {scores[1][1]:.3f}, right"),
    ]


def test_a_long_comparison_is_cut() -> None:
    many = Comparison({name: example(n=30, k=2) for name in "abc"})
    page = many._repr_html_()
    assert (len(captions(page)), len(titles(page))) == (24, 4)
    assert "... and 156 more; save(directory) writes them all." in page


def test_the_figure_has_a_line_per_target(both: Comparison) -> None:
    figure = both.plot()
    shown = images(figure)
    for n in range(3):
        np.testing.assert_array_equal(shown[5 * n], both["gradcam"].images[n])
        for k in range(2):
            for i, one in enumerate(both.values()):
                np.testing.assert_array_equal(shown[5 * n + 1 + 2 * k + i], one.overlays()[2 * n + k])
    assert [heading.partition("\n")[0] for heading in headings(figure)[:5]] == ["a", *METHODS, *METHODS]
    assert len(bars(figure)) == 3
    assert len(images(both.take([1]).plot())) == 5


def test_a_bar_per_scale() -> None:
    one = example(n=1, k=1)
    other = dataclasses.replace(one, signed=True)
    both = Comparison({"a": one, "b": other, "c": dataclasses.replace(one, ceilings=np.float32([2]))})
    assert [bar.get_ylabel() for bar in bars(both.plot())] == [
        *("evidence (1 = map's maximum)", "evidence (1 = map's maximum)", "evidence (1 = fixed scale)"),
    ]


def test_it_is_shown(both: Comparison, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    monkeypatch.setattr("xaicore.show.html.show", shown.append)
    both.show()
    assert shown == [both._repr_html_()]


def test_it_is_saved_as_one_run(both: Comparison, tmp_path: Path) -> None:
    path = both.save(tmp_path / "run", colormap="magma")
    assert path == tmp_path / "run" / "index.html"
    rows = [json.loads(line) for line in (tmp_path / "run" / "manifest.jsonl").read_text().splitlines()]
    assert [(row["method"], row["id"], row["k"]) for row in rows] == [
        (method, id, k) for method in METHODS for id in "abc" for k in (0, 1)
    ]
    assert len({row["picture"] for row in rows}) == 3
    assert path.exists()


def test_loggers_take_it_as_one_step(both: Comparison) -> None:
    recorder = Recorder()
    with xaicore.open_loggers(recorder) as log:
        log(both, step=3)
        log(dict(both), step=4)  # a plain dict, too
    assert [(one.method, step) for step, one in recorder.logged] == [(m, step) for step in (3, 4) for m in METHODS]


@pytest.mark.parametrize("how", ["save", "log"])
def test_what_would_replace_each_other_in_a_run_is_refused(how: str, tmp_path: Path) -> None:
    results = by_epoch()
    recorder = Recorder()
    with xaicore.open_loggers(recorder) as log:
        with pytest.raises(xaicore.InputError) as caught:
            log(results) if how == "log" else results.save(tmp_path / "a")
        assert str(caught.value) == (
            "'epoch 1' and 'epoch 9' are both of given at conv, and a step has one map per picture, method and layer: "
            "log each with a step of its own, as in log(results['epoch 9'], step=1), or save each in a folder of its "
            "own, as in results['epoch 9'].save('runs/b')"
        )
        assert recorder.logged == []
        log(results["epoch 9"], step=1)
    assert [step for step, _ in recorder.logged] == [1]


def other_ids() -> dict[str, Any]:
    return {"a": example(n=4, k=1, ids=list("abcd")), "b": example(n=4, k=1, ids=list("abdc"))}


@pytest.mark.parametrize(
    ("results", "message"),
    [
        ({}, r"a Comparison of nothing: expected {name: Explanation}, as explainer.compare\(x\) returns"),
        ({"a": 3}, r"'a' of a Comparison is a builtins.int: expected {name: Explanation}"),
        ({1: example(n=2, k=1)}, r"a Comparison names a result 1: expected a string, such as 'epoch 1'"),
        (
            other_ids(),
            r"'a' and 'b' explain other images, 'a', 'b', 'c' ... and 'a', 'b', 'd' ...: compare explanations of the "
            r"same images, with the same ids= in the same order",
        ),
        (
            {"a": example(n=2, k=1), "b": example(n=2, k=2)},
            r"'a' has 1 target per image, 'b' 2: compare explanations with the same number of targets",
        ),
    ],
)
@pytest.mark.parametrize("how", ["_repr_html_", "plot", "show", "save"])
def test_what_is_not_of_the_same_images_is_not_shown(
    how: str, results: dict[Any, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(xaicore.InputError, match=f"^{message}$"):
        getattr(Comparison(results), how)(*([tmp_path / "run"] if how == "save" else []))
    assert list(tmp_path.iterdir()) == []


def test_any_name_has_a_repr() -> None:
    assert repr(Comparison({1: example(n=2, k=1)})) == "<Comparison of 1>"  # type: ignore[dict-item]


def test_maps_that_cannot_be_drawn_are_not_plotted() -> None:
    one = dataclasses.replace(example(n=1, k=1), maps=np.ones(1, np.float32))
    with pytest.raises(xaicore.InputError, match=r"plot of maps \(\) over an input"):
        Comparison({"a": one}).plot()


def test_the_guide(both: Comparison, x: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    explainer = xaicore.Explainer(None, backend=ToyBackend())
    given = {"xaicore": xaicore, "explainer": explainer, "explanation": explainer(x), "x": x}
    names = pages.run("docs/guide.md", "Notebooks and figures", given)
    assert list(names["comparison"]) == ["gradcam", "layercam", "eigencam"]
    assert {path.name for path in tmp_path.iterdir()} == {"figure.png", "methods.pdf", "training.pdf"}


def test_default_ids_are_not_taken_for_the_same_pictures(tmp_path: Path, backend: ToyBackend) -> None:
    explainer = xaicore.Explainer(None, backend=backend)
    x = np.random.default_rng(5).uniform(size=(2, 3, 6, 8)).astype(np.float32)
    other = np.stack([x[0], 1 - x[1]])
    message = (
        r"^'a' and 'b' have no ids of their own, and other pictures of image '1': explain the same images in the same "
        r"order; where they are the same, prepared in two ways, pass the same ids= to both calls$"
    )
    both = Comparison({"a": explainer(x), "b": explainer(other)})
    for show in (both._repr_html_, both.plot, lambda: both.save(tmp_path / "run")):
        with pytest.raises(xaicore.InputError, match=message):
            show()
    Comparison({"a": explainer(x), "b": explainer(np.rint(255 * x) / 255)})._repr_html_()
    ids = ["0.png", "1.png"]
    Comparison({"a": explainer(x, ids=ids), "b": explainer(other, ids=ids)})._repr_html_()
