"""Captions, and names made of untrusted text."""

from __future__ import annotations

import dataclasses
import re

import cv2
import numpy as np
import pytest
from explanations import example, explanation
from hypothesis import given
from hypothesis import strategies as st

from xaicore import show

TEXT = st.text(st.characters(exclude_categories=()))


def test_a_caption_has_what_is_known() -> None:
    outputs = np.log([[0.2, 0.7, 0.06, 0.04]]).astype(np.float32)
    known = {"ids": ["a/b\udcff.png"], "class_names": ["cat", "dog", "fox", "ant"]}
    one = explanation(np.ones((1, 2, 4, 4)), outputs=outputs, truth=[3], **known)
    words = "a/b\\udcff.png | cat 0.200 | predicted dog | truth ant | wrong | given at conv"
    assert show.caption(one.row(1)) == words
    right = dataclasses.replace(one, truth=np.array([1]))
    assert show.caption(right.row(1)) == words.replace("ant | wrong", "dog | right")
    bare = dataclasses.replace(one, truth=None, predicted=None, targets=np.array([-1, -1]), target="the sky")
    assert show.caption(bare.row(0)) == "a/b\\udcff.png | the sky 0.700 | given at conv"
    endless = dataclasses.replace(bare, scores=np.array([np.nan, np.inf]))
    assert show.caption(endless.row(1)) == "a/b\\udcff.png | the sky | given at conv"


def test_verdicts() -> None:
    assert [show.verdict(right) for right in (True, False, None)] == ["right", "wrong", ""]


@pytest.mark.parametrize(
    ("text", "options", "slug"),
    [
        ("../../images/cat 01.jpg", {}, "_images_cat_01_jpg"),
        ("cat 01.jpg", {"allowed": "a-z. "}, "cat _.jpg"),
        ("abcdef", {"length": 3}, "abc"),
        ("abcdef", {"length": 3, "keep": "end"}, "def"),
        ("", {}, ""),
    ],
)
def test_slugs(text: str, options: dict, slug: str) -> None:
    assert show.slug(text, **options) == slug


def test_a_harmless_text_is_its_own_name() -> None:
    assert show.safe_name("n02_dog.png") == "n02_dog.png"
    assert show.safe_name("a b", allowed="a-z ") == "a b"


@given(TEXT, st.integers(1, 90))
def test_names_are_safe_and_short(text: str, length: int) -> None:
    name = show.safe_name(text, length)
    assert re.fullmatch(r"[A-Za-z0-9_.-]+", name)
    assert len(name) <= length + 17
    if name != text:
        assert re.fullmatch(r"-[0-9a-f]{16}", name[-17:])


@given(st.lists(TEXT | st.text("a/_", max_size=3), unique=True))
def test_different_texts_have_different_names(texts: list[str]) -> None:
    texts += [name for name in map(show.safe_name, texts) if name not in texts]  # somebody may choose such an id
    assert len({show.safe_name(text, 2) for text in texts}) == len(texts)


def test_digests_tell_parts_apart() -> None:
    assert show.digest("ab", "c") != show.digest("a", "bc")
    assert show.digest("a", b"b") == show.digest("a", b"b") == show.digest("a", "b")
    assert show.digest("\udce9") != show.digest("\udcea")
    assert re.fullmatch("[0-9a-f]{16}", show.digest("\udce9"))


@given(TEXT)
def test_escaped_text_can_be_encoded(text: str) -> None:
    escaped = show.escape_surrogates(text)
    escaped.encode("utf-8")
    if not any("\ud800" <= char <= "\udfff" for char in text):
        assert escaped == text


def test_numbers_for_json() -> None:
    assert [show.finite(value) for value in (0.0, -2.5, np.inf, -np.inf, np.nan, None)] == [0.0, -2.5, *[None] * 4]


# Rows of a step.


def rows(one: object) -> list[dict]:
    return [one.row(m) for m in range(len(one))]


def test_rows_are_told_apart_by_id_or_by_position_in_a_group() -> None:
    fixed, worst = example(n=1, k=2, ids=["a"]), dataclasses.replace(example(n=2, k=1, ids=["a", "b"]), group="worst")
    assert [show.image_key(row) for row in rows(fixed)] == [(None, "a")] * 2
    assert [show.map_key(row) for row in rows(fixed)] == [(None, "a", "given", "conv", k) for k in (0, 1)]
    assert [show.image_key(row) for row in rows(worst)] == [("worst", 0), ("worst", 1)]
    groups = show.by_group(rows(fixed)[:1] + rows(worst) + rows(fixed)[1:])
    assert {group: [row["id"] for row in of_group] for group, of_group in groups.items()} == {
        None: ["a", "a"],
        "worst": ["a", "b"],
    }


def test_means_count_each_image_once() -> None:
    outputs = np.log([[0.1, 0.7, 0.1, 0.1], [0.6, 0.2, 0.1, 0.1], [0.4, 0.2, 0.2, 0.2]]).astype(np.float32)
    one = explanation(np.ones((3, 2, 4, 4)), outputs=outputs, truth=[1, 1, -1])
    several = rows(one) + rows(dataclasses.replace(one, method="other")) + rows(one.take([0]))
    assert show.mean(several, "right") == 0.5
    assert show.mean(several, "score") == pytest.approx((0.7 + 0.6 + 0.4) / 3)
    assert show.mean(rows(one.take([2])), "right") is None
    endless = dataclasses.replace(one, scores=np.array([np.inf, 1, 0.6, 1, np.nan, 1]))
    assert show.mean(rows(endless), "score") == 0.6
    assert show.mean([], "right") is None


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3), (5, 7, 4)])
def test_a_png_has_the_images_pixels(shape: tuple[int, ...]) -> None:
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    seen = cv2.imdecode(np.frombuffer(show.png(image), np.uint8), cv2.IMREAD_UNCHANGED)
    seen = seen if len(shape) == 2 else np.concatenate([seen[..., 2::-1], seen[..., 3:]], axis=-1)
    np.testing.assert_array_equal(seen, image)


def test_scores_of_several_methods_count_once_and_the_last_is_taken() -> None:
    one = explanation(np.ones((2, 2, 4, 4)))
    one = dataclasses.replace(one, scores=np.array([0.5, np.nan, 0.25, 1]))
    other = dataclasses.replace(one, method="second", scores=np.array([0.5, np.inf, 0.25, 2]))
    rows = [e.row(m) for e in (one, other) for m in range(4)]
    shared = show.by_target(rows)
    assert [(row["id"], row["k"], row["method"]) for row in shared] == [
        (name, k, "second") for name in one.ids for k in (0, 1)
    ]
    assert [show.scores(row).get("score") for row in shared] == [0.5, None, 0.25, 2]
    assert [show.image_name(row) for row in shared] == [name for name in one.ids for _ in (0, 1)]
    ranked = dataclasses.replace(one, group="worst")
    assert [show.image_name(ranked.row(m)) for m in range(4)] == ["0", "0", "1", "1"]
