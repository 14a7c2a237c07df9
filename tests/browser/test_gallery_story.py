"""What the first screen tells: a title, a sentence, and the mistakes first."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import test_gallery_words as words
import toy_run
from browser import Tab
from reading import go_to, shown, text, texts

Visit = Callable[..., Tab]

CLASSES = ["jeep", "convertible", "African elephant", "n0213", "sunglasses", "grass"]
SIZE = (40, 40)


def save(root: Path, predicted: list[int], truth: list[Any] | None, **known: Any) -> Path:
    """Pictures that are predicted to be these classes, the earlier ones with higher scores."""
    outputs = np.zeros((len(predicted), len(CLASSES)), np.float32)
    outputs[np.arange(len(predicted)), predicted] = 9 - np.arange(len(predicted))
    maps = known.pop("maps", np.ones((len(predicted), 1, *SIZE)))
    images = np.zeros((len(predicted), *SIZE, 3), np.uint8)
    ids = [f"picture {n}" for n in range(len(predicted))]
    known = {"images": images, "ids": ids, "class_names": CLASSES, "truth": truth, **known}
    toy_run.explanation(maps, outputs, "first", **known).save(root)
    return root


def told(tab: Tab) -> tuple[str, str]:
    return text(tab, "#headline"), text(tab, "#story")


@pytest.mark.parametrize(
    ("predicted", "truth", "title", "sentence"),
    [
        ([0, 1, 2], [0, 1, 2], "All 3 right", ""),
        ([0], [0], "1 of 1 right", ""),
        ([0, 1, 2], [0, 0, 2], "2 of 3 right", "The jeep was taken for a convertible."),
        ([2, 0], [0, 1], "0 of 2 right",
         "The jeep was taken for an African elephant and the convertible was taken for a jeep."),
        ([3, 4], [4, 3], "0 of 2 right", "The sunglasses was taken for “n0213” and “n0213” was taken for sunglasses."),
        ([5], [0], "0 of 1 right", "The jeep was taken for a grass."),
        ([1, 1, 0, 0, 0], [0, 0, 1, 0, 0], "2 of 5 right",
         "The jeep was taken for a convertible, 2 times and the convertible was taken for a jeep."),
        ([1, 2, 1, 2], [0, 0, 2, 1], "0 of 4 right",
         "The jeep was taken for a convertible, the jeep was taken for an African elephant, the African elephant was "
         "taken for a convertible and 1 more mistake."),
        ([0, 1, 0], None, "3 pictures", "Predicted: jeep (2 times), convertible."),
    ],
)  # fmt: skip
def test_the_title_counts_and_the_sentence_names_the_mistakes(
    tmp_path: Path, visit: Visit, predicted: list[int], truth: list[int] | None, title: str, sentence: str
) -> None:
    tab = visit(save(tmp_path, predicted, truth), address="")
    assert told(tab) == (title, sentence)


def test_a_sentence_about_a_mistake_leads_to_its_picture(tmp_path: Path, visit: Visit) -> None:
    tab = visit(save(tmp_path, [0, 1, 2], [0, 0, 2]), address="")
    tab.click("#story a")
    assert text(tab, "#large h2") == "picture 1"


@pytest.mark.parametrize(
    ("rows", "columns", "where"),
    [
        (slice(0, 12), slice(0, 12), "the top left quarter"),
        (slice(22, 38), slice(22, 38), "the bottom right quarter"),
        (slice(0, 40), slice(22, 30), "the right half"),
        (slice(0, 12), slice(10, 30), "the top half"),
        (slice(10, 30), slice(10, 30), None),
    ],
)
def test_it_says_where_the_evidence_is_where_its_box_settles_that(
    tmp_path: Path, visit: Visit, rows: slice, columns: slice, where: str | None
) -> None:
    maps = np.zeros((1, 1, *SIZE))
    maps[:, :, rows, columns] = 1
    tab = visit(save(tmp_path, [1], [0], maps=maps), address="")
    place = "" if where is None else f", by evidence in {where}"
    assert told(tab)[1] == f"The jeep was taken for a convertible{place}."


def test_pictures_with_several_labels_are_only_counted(tmp_path: Path, visit: Visit) -> None:
    """None of its labels was taken for the prediction: which one that would be, nobody knows."""
    truth = np.zeros((2, len(CLASSES)), bool)
    truth[:, [1, 2]] = True
    tab = visit(save(tmp_path, [0, 1], truth), address="")
    assert told(tab) == ("1 of 2 right", "")


def test_classes_without_names_have_no_article(tmp_path: Path, visit: Visit) -> None:
    tab = visit(save(tmp_path, [1], [0], class_names=None), address="")
    assert told(tab)[1] == "Class 0 was taken for class 1."


def test_words_are_listed_and_fillers_are_not(tmp_path: Path, visit: Visit) -> None:
    tab = visit(words.save(tmp_path), address="")
    assert told(tab) == ("2 pictures, 12 targets", f"Explained: {' · '.join(words.WORDS)}")


def test_it_follows_the_steps_and_names_the_mistakes_of_changing_groups(run: Path, visit: Visit) -> None:
    """The accuracy is that of the watched pictures: the others were chosen because they are wrong."""
    tab = visit(run, address="")
    evil = f"“{toy_run.EVIL}”"
    worst = "Worst: the dog was taken for a cat, 3 times."
    assert told(tab) == ("All 3 watched right", f"1 was right at step 0. {worst}")
    go_to(tab, 0)
    assert told(tab) == ("1 of 3 right", f"{evil} was taken for a cat and the dog was taken for a cat.")
    tab.choose("[name=group]", "worst")
    assert told(tab) == ("0 pictures", "")
    go_to(tab, 5)
    assert told(tab) == ("3 of 3 wrong", "The dog was taken for a cat, 3 times.")


def test_the_mistakes_come_first_the_surest_of_them_at_the_top(tmp_path: Path, visit: Visit) -> None:
    tab = visit(save(tmp_path, [0, 1, 2, 1, 0], [0, 2, 2, 0, 0]), address="")
    assert tab.one("[name=sort]", "e.value") == "mistakes"
    assert shown(tab) == [f"picture {n}" for n in (1, 3, 0, 2, 4)]
    for order, expected in (("logged", (0, 1, 2, 3, 4)), ("worst", (1, 3, 4, 2, 0)), ("class", (1, 2, 0, 3, 4))):
        tab.choose("[name=sort]", order)
        assert shown(tab) == [f"picture {n}" for n in expected], order


def test_without_truths_pictures_are_as_logged(tmp_path: Path, visit: Visit) -> None:
    tab = visit(save(tmp_path, [1, 0], None), address="")
    assert tab.one("[name=sort]", "e.value") == "logged"
    assert tab.each("[name=sort] option:not([hidden])", "e.value") == ["class", "logged"]


def test_the_order_holds_while_it_plays(run: Path, visit: Visit) -> None:
    tab = visit(run, address="")
    go_to(tab, 0)
    before = shown(tab)
    held = "window.held.push([...document.querySelectorAll('.cell .id')].map(e => e.textContent))"
    tab.one("output.step", f"(window.held = [], new MutationObserver(() => {held}).observe(e, {{childList: true}}), 0)")
    tab.click(".play")
    tab.until("document.querySelector('.play').getAttribute('aria-label') === 'play'")
    first, second, *_ = tab.run("window.held")
    assert [name for name in first if name in before] == before == [name for name in second if name in before]


def test_the_title_of_a_card_is_its_class(run: Path, visit: Visit) -> None:
    tab = visit(run)
    assert tab.each(".cell .caption", "e.firstElementChild.className") == ["target"] * 3
    assert tab.each(".cell .caption", "e.lastElementChild.className") == ["id"] * 3
    sizes = [float(size[:-2]) for size in tab.each(".cell .target b, .cell .id", "getComputedStyle(e).fontSize")]
    assert sizes[0] > sizes[1]


@pytest.mark.parametrize("truth", [None, [0, 0]])
def test_a_card_has_room_for_all_that_it_says(tmp_path: Path, visit: Visit, truth: list[int] | None) -> None:
    """Nothing is cut off, and the last line ends above the card's edge."""
    tab = visit(save(tmp_path, [0, 1], truth))
    assert tab.each(".cell .target b", "e.scrollHeight - e.clientHeight") == [0, 0]
    below = "e.parentElement.getBoundingClientRect().bottom - e.getBoundingClientRect().bottom"
    assert min(tab.each(".cell .id", below)) >= 4


def test_the_predicted_class_is_explained_first_where_its_number_varies(tmp_path: Path, visit: Visit) -> None:
    """Both classes of each picture were explained, in one order: the predicted one is now the first, now the second."""
    one = toy_run.explanation(
        np.ones((2, 2, *SIZE)), [[3, 1, 0], [1, 3, 0]], "first", truth=[0, 0], class_names=["cat", "dog", "cow"]
    )
    fixed = dataclasses.replace(one, targets=np.array([0, 1, 0, 1]), scores=one.scores[[0, 1, 3, 2]])
    fixed.save(tmp_path)
    tab = visit(tmp_path, address="")
    assert texts(tab, "[name=k] option") == ["predicted class", "true class", "cat", "dog", "all"]
    assert (texts(tab, ".cell .target b"), texts(tab, ".cell .verdict")) == (
        ["dog", "cat"],
        ["✗ truth: cat", "✓ right"],
    )
    tab.choose("[name=k]", "truth")
    assert texts(tab, ".cell .target b") == ["cat", "cat"]
