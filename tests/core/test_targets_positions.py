"""Words, letters and regions: classes at positions, by their formulas written out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.core.test_targets_values import aimed, outputs, sigmoid, slopes, softmax
from xaicore.errors import TargetError
from xaicore.targets import CTC, Classes, Region, Target, Word, Words

LETTERS = {0: "", 1: "a", 2: "b", 3: "c"}


def decode(ids: list[int]) -> str:
    return " ".join(LETTERS[i] for i in ids)


def test_a_word_is_one_logit_and_its_probability() -> None:
    z = outputs(2, 4, 3)
    aim = aimed(Word(1, 2, decode), z)
    expected = np.zeros((2, 1, 4, 3))
    expected[:, 0, 2, 1] = 1
    np.testing.assert_array_equal(aim.direction, expected)
    np.testing.assert_allclose(aim.scores[:, 0], softmax(z)[:, 2, 1])
    assert aim.classes.tolist() == [[2], [2]]
    assert aim.names.tolist() == [["b"], ["b"]]
    np.testing.assert_array_equal(aimed(Word(-2, "b", decode), z).direction, expected)
    np.testing.assert_array_equal(aimed(Word(1, "b"), z, class_names=("", "a", "b", "c")).direction, expected)


def test_of_tokens_that_read_the_same_the_most_probable_is_meant() -> None:
    z = outputs(2, 4, 3)
    z[0, 1, 1], z[0, 3, 1] = 5, 4
    z[1, 1, 1], z[1, 3, 1] = 4, 5
    same = {0: "x", 1: "dog", 2: "y", 3: " dog"}
    aim = aimed(Word(1, "dog", lambda ids: same[ids[0]]), z)
    assert aim.classes.tolist() == [[1], [3]]


def test_words_are_the_most_probable_tokens_up_to_the_end() -> None:
    z = np.full((2, 4, 5), -1.0)
    read = [[1, 3, 2, 0, 1], [2, 0, 3, 3, 3]]
    for n, tokens in enumerate(read):
        z[n, tokens, range(5)] = 2
    assert aimed(Words(), z).classes.tolist() == read
    aim = aimed(Words(end=0, decode=decode), z)
    assert aim.classes.tolist() == [[1, 3, 2], [2, -1, -1]]
    assert aim.names.tolist() == [["a", "c", "b"], ["b", "", ""]]
    assert not aim.direction[1, 1:].any()
    assert (aim.scores[1, 1:] == 0).all()
    for k in range(3):
        assert np.argwhere(aim.direction[0, k]).tolist() == [[read[0][k], k]]
    assert aimed(Words(start=1, stop=3), z).classes.tolist() == [row[1:3] for row in read]


def test_given_tokens_lie_behind_a_start() -> None:
    z = outputs(2, 4, 5)
    aim = aimed(Words([[3, 1], [2, -1]], start=2), z)
    assert np.argwhere(aim.direction).tolist() == [[0, 0, 3, 2], [0, 1, 1, 3], [1, 0, 2, 2]]
    np.testing.assert_allclose(aim.scores, [[softmax(z)[0, 3, 2], softmax(z)[0, 1, 3]], [softmax(z)[1, 2, 2], 0]])
    taken = aimed(Words([[3, 1], [2, -1]], start=2).take(np.array([1])), z[1:])
    np.testing.assert_array_equal(taken.direction, aim.direction[1:])


@pytest.mark.parametrize("target", [Words(), Words(end=0), CTC(), Word(0), Region([1, 2], where=None)])
def test_later_passes_keep_tokens_and_positions(target: Target) -> None:
    z = outputs(3, 4, 5)
    aim = aimed(target, z)
    chosen = np.array([2, 0, 0])
    later = aimed(target.again(aim.take(chosen)), outputs(3, 4, 5, seed=9))
    np.testing.assert_array_equal(later.direction, aim.direction[chosen])
    assert str(target.again(aim)) == str(target)


def test_ctc_reads_runs_without_blanks() -> None:
    z = np.full((2, 4, 7), -2.0)
    read = [[0, 1, 1, 0, 1, 3, 3], [2, 2, 2, 2, 0, 0, 0]]
    for n, tokens in enumerate(read):
        z[n, tokens, range(7)] = 1
    aim = aimed(CTC(decode=decode), z)
    assert aim.names.tolist() == [["a", "a", "c"], ["b", "", ""]]
    expected = np.zeros((3, 4, 7), np.float32)
    expected[0, 1, 1:3] = 1 / 2
    expected[1, 1, 4] = 1
    expected[2, 3, 5:7] = 1 / 2
    np.testing.assert_array_equal(aim.direction[0], expected)
    np.testing.assert_allclose(aim.direction[1, 0, 2, :4], 1 / 4)
    np.testing.assert_allclose(aim.scores[0], softmax(z)[0, [1, 1, 3], [1, 4, 5]])


@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
def test_probabilities_are_pulled_back_to_their_logits(link: str) -> None:
    z = outputs(2, 3, 4, 5)
    p = softmax(z) if link == "softmax" else sigmoid(z)
    mask = np.zeros((4, 5), bool)
    mask[1:3, 2:] = True
    aim = aimed(Region(1, mask), p, "probabilities", link=link)
    centred = (
        (lambda p: np.log(p) - np.log(p).mean(axis=1, keepdims=True))
        if link == "softmax"
        else (lambda p: np.log(p) - np.log1p(-p))
    )
    score = lambda p: centred(p)[:, 1][:, mask].mean(axis=1)  # noqa: E731
    np.testing.assert_allclose(aim.direction[:, 0], slopes(score, p), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(aim.scores[:, 0], p[:, 1][:, mask].mean(axis=1))


def test_a_class_where_it_is_predicted() -> None:
    z = outputs(3, 4, 6, 7)
    aim = aimed(Region([2, 0]), z, class_names=("sky", "road", "car", "tree"))
    where = z.argmax(axis=1)
    for n in range(3):
        for k, c in enumerate((2, 0)):
            mask = where[n] == c
            np.testing.assert_allclose(aim.direction[n, k, c], mask / mask.sum(), rtol=1e-6)
            assert np.count_nonzero(aim.direction[n, k]) == mask.sum()
            np.testing.assert_allclose(aim.scores[n, k], softmax(z)[n, c][mask].mean())
    assert aim.names.tolist() == [["car", "sky"]] * 3
    named = aimed(Region(["car", "sky"]), z, class_names=("sky", "road", "car", "tree"))
    np.testing.assert_array_equal(named.direction, aim.direction)


def test_a_class_index_on_a_score_map_is_its_predicted_region() -> None:
    z = outputs(2, 3, 4, 4)
    np.testing.assert_array_equal(aimed(Classes(1), z).direction, aimed(Region(1), z).direction)
    own = aimed(Classes([2, 0]), z)
    np.testing.assert_array_equal(own.direction[0], aimed(Region(2), z).direction[0])
    np.testing.assert_array_equal(own.direction[1], aimed(Region(0), z).direction[1])
    both = aimed(Classes([[2, 0]]), z)
    np.testing.assert_array_equal(both.direction, aimed(Region([2, 0]), z).direction)


def test_a_sigmoid_predicts_several_classes_at_a_pixel() -> None:
    z = outputs(2, 3, 4, 4)
    aim = aimed(Region(1), z, link="sigmoid")
    np.testing.assert_array_equal(aim.direction[:, 0, 1] > 0, z[:, 1] > 0)


def test_probabilities_that_do_not_sum_to_one_are_a_sigmoids() -> None:
    """As where a permutation follows the sigmoid, so that the model does not show it."""
    z = outputs(2, 3, 4, 4)
    shown, hidden = (aimed(Region(1), sigmoid(z), "probabilities", link=link) for link in ("sigmoid", None))
    np.testing.assert_array_equal(hidden.direction, shown.direction)
    np.testing.assert_array_equal(hidden.direction[:, 0, 1] > 0, z[:, 1] > 0)
    z[:, 1] = -1  # nowhere above 0.5, though the largest in places
    z[:, [0, 2]] = -2
    with pytest.raises(TargetError, match="predicts the class nowhere; it predicts none"):
        aimed(Region(1), sigmoid(z), "probabilities")


@pytest.mark.parametrize("wanted", [0, 1])
@pytest.mark.parametrize("kind", ["logits", "probabilities"])
def test_one_output_has_two_classes(wanted: int, kind: str) -> None:
    z = outputs(2, 1, 4, 4)
    aim = aimed(Region(wanted), sigmoid(z) if kind == "probabilities" else z, kind)
    mask = (z[:, 0] > 0) == bool(wanted)
    share = mask / mask.sum(axis=(1, 2), keepdims=True)
    slope = 1 / (sigmoid(z) * sigmoid(-z)) if kind == "probabilities" else np.ones_like(z)
    np.testing.assert_allclose(aim.direction[:, 0, 0], (2 * wanted - 1) * share * slope[:, 0], rtol=1e-5)
    p = sigmoid(z)[:, 0] if wanted else sigmoid(-z)[:, 0]
    np.testing.assert_allclose(aim.scores[:, 0], (p * share).sum(axis=(1, 2)))


def test_a_mask_of_the_pictures_size_is_read_at_the_centres() -> None:
    z, mask = outputs(2, 3, 4, 4), np.zeros((16, 8), bool)
    mask[4:12, :2] = True
    aim = aimed(Region(0, mask), z, size=(16, 8))
    assert np.argwhere(aim.direction[0, 0, 0]).tolist() == [[1, 0], [2, 0]]
    per_image = np.stack([mask, ~mask])
    both = aimed(Region(0, per_image), z, size=(16, 8))
    np.testing.assert_array_equal(both.direction[0], aim.direction[0])
    assert np.count_nonzero(both.direction[1]) == 14
    taken = aimed(Region(0, per_image).take(np.array([1])), z[1:], size=(16, 8))
    np.testing.assert_array_equal(taken.direction[0], both.direction[1])


def test_a_mask_of_a_volume_is_one_for_all_images_after_some_are_taken() -> None:
    z, mask = outputs(3, 2, 4, 5, 6), np.zeros((4, 5, 6), bool)
    mask[1:3, 2:4, 3] = True
    all_of_them, target = aimed(Region(1, mask), z), Region(1, mask)
    for chosen in (slice(1, 3), np.array([2])):
        np.testing.assert_array_equal(aimed(target.take(chosen), z[chosen]).direction, all_of_them.direction[chosen])
    per_image = np.stack([mask, ~mask, mask[::-1]])
    each = aimed(Region(1, per_image), z).direction
    taken = Region(1, per_image).take(slice(1, 3)).take(np.array([1]))
    np.testing.assert_array_equal(aimed(taken, z[2:]).direction, each[2:])
    with pytest.raises(TargetError, match=r"a mask of shape \(3, 4, 5, 6\); expected .* each of 3"):
        aimed(Region(1, per_image).take(slice(0, 2)), z)


def test_a_box_in_pixels_of_the_picture() -> None:
    z = outputs(2, 3, 4, 4)
    aim = aimed(Region(1, (2, 4, 8, 16)), z, size=(16, 8))
    assert np.argwhere(aim.direction[0, 0, 1]).tolist() == [[y, x] for y in (1, 2, 3) for x in (1, 2, 3)]
    assert aim.boxes.tolist() == [[[2, 4, 8, 16]]] * 2
    each = aimed(Region(1, [[0, 0, 2, 4], [2, 4, 8, 16]]), z, size=(16, 8))
    np.testing.assert_array_equal(each.direction[1], aim.direction[1])
    assert np.argwhere(each.direction[0]).tolist() == [[0, 1, 0, 0]]


def test_a_picture_without_the_class_has_no_evidence() -> None:
    z = np.zeros((2, 3, 2, 2))
    z[0, 1], z[1, 2] = 1, 1
    aim = aimed(Region(1), z)
    assert aim.classes.tolist() == [[1], [-1]]
    assert aim.scores[1, 0] == 0
    assert not aim.direction[1].any()


def test_probabilities_of_exactly_one_have_no_slope() -> None:
    p = np.zeros((1, 2, 2, 2))
    p[:, 1] = 1
    with pytest.raises(TargetError, match="exactly 0 or 1, where the model's last activation has no gradient"):
        aimed(Region(1), p, "probabilities", link="softmax")


@pytest.mark.parametrize(
    ("target", "shape", "message"),
    [
        (lambda: Word("a"), (2, 4, 3), r"Word\(position='a'\): expected a whole number"),
        (lambda: Word(3), (2, 4, 3), "word 3: the sequence has 3 positions, 0 to 2"),
        (lambda: Word(0, 4), (2, 4, 3), "expected the id of a token, 0 to 3"),
        (lambda: Word(0, "dog"), (2, 4, 3), "no token reads 'dog'; pass decode=, or class_names="),
        (lambda: Word(0, "aa", decode), (2, 4, 3), "no token reads 'aa'; did you mean 'a'"),
        (lambda: Word(0), (2, 4), r"outputs \(2, 4\) are logits. Where the axes are others, pass output_axes="),
        (lambda: Words([1.5]), (2, 4, 3), r"Words of tokens float64 \(1,\): expected ids"),
        (lambda: Words([1, 1, 1, 1]), (2, 4, 3), "tokens up to 1 from position 0 on, for 2 sequences of 3 positions"),
        (lambda: Words([4]), (2, 4, 3), "and 4 tokens"),
        (lambda: Words(start=3), (2, 4, 3), "the sequence has 3 positions"),
        (lambda: Words(start=2, stop=1), (2, 4, 3), "expected 0 <= start < stop"),
        (lambda: CTC(blank=4), (2, 4, 3), "have the tokens 0 to 3"),
        (lambda: Region(1, "left"), (2, 3, 4, 4), "expected a class or several, and 'predicted'"),
        (lambda: Region(3), (2, 3, 4, 4), r"3 is no class of outputs \(2, 3, 4, 4\)"),
        (lambda: Region(1), (2, 3), r"needs a score map \(N, classes, H, W\)"),
        (lambda: Region(1, np.ones((3, 3), bool)), (2, 3, 4, 4), r"expected \(4, 4\) or \(8, 8\)"),
        (lambda: Region(1, (4, 0, 2, 2)), (2, 3, 4, 4), "expected x0 < x1, y0 < y1"),
        (lambda: Region(1, (0, 0, 0.5, 0.5)), (2, 3, 4, 4), "holds no position of the outputs"),
        (lambda: Classes(1), (2, 3, 4), r"Words\(\), the token at each position"),
    ],
)
def test_what_does_not_fit_is_named(target: Callable[[], Target], shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(TargetError, match=message):
        aimed(target(), outputs(*shape), size=(8, 8))


def test_a_class_that_is_nowhere_is_answered_with_those_that_are_there() -> None:
    z = np.zeros((1, 3, 2, 2))
    z[:, 1] = 1
    with pytest.raises(TargetError, match=r"predicts the class nowhere; it predicts 1 road. Pass where="):
        aimed(Region("sky"), z, class_names=("sky", "road", "car"))


def test_nothing_but_blanks() -> None:
    z = np.zeros((1, 3, 4))
    z[:, 0] = 1
    with pytest.raises(TargetError, match=r"nothing is read, all 4 steps of every image are blank \(0\)"):
        aimed(CTC(), z)
