"""Several targets of a picture without a prediction, such as words: a line of cards per picture, in their order."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import toy_run
from browser import Tab
from reading import go_to, open_large, row, shown, sources, text, texts, visible

import xaicore
from xaicore.targets import Words
from xaicore.testing.fixed import FixedBackend
from xaicore_disk.manifest import read_manifest

Visit = Callable[..., Tab]

VOCABULARY = ("a", "cat", "on", "the", "<b>mat</b>", "incomprehensibilities", ".", "dog")
SENTENCES = (["a", "cat", "on", "the", "<b>mat</b>", "on", "the", "incomprehensibilities", "."], ["the", "dog", "."])
IDS = ("first.png", "second.png")
WORDS = [word for sentence in SENTENCES for word in sentence]


def captions(sentences: Sequence[Sequence[str]] = SENTENCES, ids: Sequence[str] = IDS) -> xaicore.Explanation:
    """Word p of each sentence has the logit p + 1, the others 0."""
    longest = max(map(len, sentences))
    tokens = np.full((len(sentences), longest), -1)
    logits = np.zeros((len(sentences), len(VOCABULARY), longest), np.float32)
    for n, sentence in enumerate(sentences):
        for p, word in enumerate(sentence):
            tokens[n, p] = VOCABULARY.index(word)
            logits[n, tokens[n, p], p] = p + 1
    maps = np.where(tokens < 0, 0, 1 + np.arange(longest))[..., None, None] * np.ones((12, 16))

    def given(activations: np.ndarray, _: None) -> np.ndarray:
        return activations

    given.needs, given.signed = "activations", False
    layers = [xaicore.Layer("conv", "Conv", maps.shape, spatial=True)]
    backend = FixedBackend(logits, maps.astype(np.float32), input_size=(48, 64), layers=layers)
    explainer = xaicore.Explainer(None, given, backend=backend, layer="conv")
    target = Words(tokens, decode=lambda token: VOCABULARY[token[0]])
    images = np.full((len(sentences), 48, 64, 3), 100, np.uint8)
    return explainer(maps.astype(np.float32), targets=target, images=images, ids=list(ids))


def save(root: Path) -> Path:
    captions().save(root)
    return root


def probability(p: int) -> str:
    return f"{np.exp(p + 1) / (np.exp(p + 1) + len(VOCABULARY) - 1):.3f}"


SCORES = [probability(p) for sentence in SENTENCES for p in range(len(sentence))]


@pytest.mark.parametrize("width", [400, 1400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_words_of_a_picture_are_together_and_in_order(
    tmp_path: Path, visit: Visit, width: int, scheme: str
) -> None:
    tab = visit(save(tmp_path), width, 2400, prefers_color_scheme=scheme)
    assert texts(tab, ".cell .target b") == WORDS
    assert texts(tab, ".cell .score") == SCORES
    assert shown(tab) == [name for name, words in zip(IDS, SENTENCES, strict=True) for _ in words]
    rows = [one for one in read_manifest(tmp_path) if one["target"] >= 0]  # not behind the end of the shorter sentence
    assert sources(tab, ".cell .heat") == [one["grey"] for one in rows]
    assert text(tab, ".status") == f"2 pictures · {len(WORDS)} targets"
    assert tab.run("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0


@pytest.mark.parametrize("width", [400, 1400])
def test_the_word_is_above_its_map_and_each_picture_begins_a_line(tmp_path: Path, visit: Visit, width: int) -> None:
    tab = visit(save(tmp_path), width, 2400)
    boxes = tab.each(".cell", "(b => [b.x, b.y])(e.getBoundingClientRect())")
    places = [(round(y), round(x)) for x, y in boxes]
    assert places == sorted(places)  # read line by line
    left = places[0][1]
    assert places[len(SENTENCES[0])][1] == left
    ends = "(c => [b, c.querySelector('.stage').getBoundingClientRect()])"
    inside = f"(b => {ends}(e))(e.querySelector('.target').getBoundingClientRect())"
    for word, stage in tab.each(".cell", f"({inside}).map(b => [b.top, b.bottom])"):
        assert word[1] <= stage[0]


def test_one_word_of_all_sentences_can_be_chosen(tmp_path: Path, visit: Visit) -> None:
    tab = visit(save(tmp_path))
    numbers = ["number 1", "number 2", "number 3", *SENTENCES[0][3:]]
    options = texts(tab, "[name=k] option")
    assert options[0] == "all"
    assert len(options) == 1 + len(SENTENCES[0])
    assert options[1:4] == numbers[:3]
    tab.choose("[name=k]", "1")
    tab.settle()
    assert texts(tab, ".cell .target b") == ["cat", "dog"]
    tab.choose("[name=k]", "all")
    tab.settle()
    assert texts(tab, ".cell .target b") == WORDS


def test_options_that_read_the_same_are_numbered(tmp_path: Path, visit: Visit) -> None:
    captions(SENTENCES[:1], IDS[:1]).save(tmp_path)
    tab = visit(tmp_path)
    assert texts(tab, "[name=k] option") == ["all", *(f"{k + 1}: {word}" for k, word in enumerate(SENTENCES[0]))]


def test_words_are_found(tmp_path: Path, visit: Visit) -> None:
    tab = visit(save(tmp_path))
    for piece, expected in (("THE", ["the", "the", "the"]), ("second", SENTENCES[1]), ("zebra", [])):
        tab.choose("[name=search]", piece)
        tab.settle()
        assert texts(tab, ".cell .target b") == expected
    assert visible(tab, "#none")


def test_the_large_view_goes_from_word_to_word(tmp_path: Path, visit: Visit) -> None:
    tab = visit(save(tmp_path), 400)
    open_large(tab)
    for p, word in enumerate(SENTENCES[0]):
        assert text(tab, "#large .where") == f"{p + 1} of {len(WORDS)}"
        assert texts(tab, "#large .overlay figcaption") == [f"given for {word}"]
        left, _, wide, _ = tab.box(".others")
        at, _, width, _ = tab.box(".others [aria-pressed=true]")
        assert left - 1 <= at <= at + width <= left + wide + 1  # scrolled to
        tab.key("ArrowRight")
        tab.settle()
    assert (
        tab.each(".others button", "e.innerText.trim()") == SENTENCES[1]
    )  # nothing for words that the sentence does not have
    tab.click(".others li:nth-child(3) button")
    tab.settle()
    assert text(tab, "#large .where") == f"{len(WORDS)} of {len(WORDS)}"
    assert tab.one("[name=k]", "e.value") == "all"


def test_arrows_go_to_the_card_below_of_lines_of_any_length(tmp_path: Path, visit: Visit) -> None:
    tab = visit(save(tmp_path), 700, 2400)
    columns = int(tab.run("getComputedStyle(document.getElementById('grid')).gridTemplateColumns.split(' ').length"))
    assert columns == 3
    at = "[...document.querySelectorAll('.cell')].indexOf(document.activeElement.closest('.cell'))"
    tab.one(".cell:nth-child(2) .card", "e.focus()")
    where = []
    for key in ("ArrowDown", "ArrowDown", "ArrowDown", "ArrowRight", "ArrowUp", "ArrowDown", "ArrowDown"):
        tab.key(key)
        where.append(tab.run(at))
    assert where == [4, 7, 10, 11, 8, 11, 11]


def test_words_stay_together_where_sentences_grow(tmp_path: Path, visit: Visit) -> None:
    short = [SENTENCES[0][:2], SENTENCES[1][:1]]
    with xaicore.open_loggers({"disk": {"root": tmp_path}}, on_error="raise", quiet=True) as log:
        log(captions(short), 1)
        log(captions(), 2)
    tab = visit(tmp_path)
    assert texts(tab, ".cell .target b") == WORDS
    tab.choose("[name=step]", "0")
    tab.settle()
    assert texts(tab, ".cell .target b") == [word for words in short for word in words]


def test_all_targets_of_a_classifier_follow_its_predictions(run: Path, visit: Visit) -> None:
    tab = visit(run)
    assert tab.one("[name=k]", "e.value") == "0"
    tab.choose("[name=k]", "all")
    go_to(tab, 1)
    assert shown(tab) == [name for name in toy_run.IDS for _ in range(2)]
    assert text(tab, ".status") == "3 pictures · 6 targets"
    assert text(tab, "#headline") == "2 of 3 right"
    tab.choose("[name=sort]", "worst")
    tab.settle()
    assert shown(tab) == [toy_run.IDS[n] for n in (2, 2, 1, 1, 0, 0)]
    rows = [row(run, toy_run.IDS[n], 1, "first", k) for n in (2, 1, 0) for k in (0, 1)]
    assert texts(tab, ".cell .target b") == [one["target_name"] for one in rows]


def test_the_notebook_has_a_map_per_word_with_the_word_as_title() -> None:
    page = captions()._repr_html_()
    titles = [html.unescape(title) for title in re.findall(r"<figcaption[^>]*>([^<]*)", page)]
    assert [title for title in titles if title != "picture"] == [
        f"{word} {score}" for word, score in zip(WORDS, SCORES, strict=True)
    ]


def test_the_words_of_the_large_view_have_its_whole_width(tmp_path: Path, visit: Visit) -> None:
    tab = visit(save(tmp_path), 1400)
    open_large(tab)
    assert tab.box(".others")[2] >= tab.box(".views")[2]
