"""Which pictures are watched: the first of a loader, some of each class, and what is known of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xaicore import InputError, Sample, trees
from xaicore.data.batches import read_batches
from xaicore.data.choose import choose
from xaicore.data.truth import as_truth


def pictures(n: int, start: int = 0) -> np.ndarray:
    """Picture i is full of i."""
    return np.broadcast_to(np.arange(start, start + n, dtype=np.float32)[:, None, None, None], (n, 3, 2, 2)).copy()


def batches(labels: list[int], size: int = 2) -> list[tuple[np.ndarray, np.ndarray]]:
    x, y = pictures(len(labels)), np.array(labels)
    return [(x[i : i + size], y[i : i + size]) for i in range(0, len(labels), size)]


def which(sample: Sample) -> list[int]:
    return sample.x[:, 0, 0, 0].astype(int).tolist()


def chosen(x: Any, **options: Any) -> Sample:
    given = dict.fromkeys(("truth", "images", "ids", "first", "per_class", "class_names"))
    return choose(x, **{**given, **options}, to_numpy=np.asarray)


def test_the_first_of_a_loader() -> None:
    sample = Sample.first(batches([4, 5, 6, 7, 8]), 3)
    assert which(sample) == [0, 1, 2]
    assert sample.truth.tolist() == [4, 5, 6]
    assert which(Sample.first(batches([4, 5, 6]), 9)) == [0, 1, 2]


def test_no_more_is_read_than_needed() -> None:
    read: list[int] = []

    def loader() -> Iterator[Any]:
        for n in itertools.count():
            read.append(n)
            yield pictures(2, 2 * n), [0, 1]

    assert which(Sample.first(loader(), 4)) == [0, 1, 2, 3]
    assert read == [0, 1]


def test_some_of_each_class_in_the_order_of_classes() -> None:
    sample = Sample.per_class(batches([2, 0, 0, 2, 0, 1, 2, -1]), 2)
    assert which(sample) == [1, 2, 5, 0, 3]
    assert sample.truth.tolist() == [0, 0, 1, 2, 2]


def test_the_number_of_classes_ends_the_search() -> None:
    def loader() -> Iterator[Any]:
        for n in itertools.count():
            assert n < 3
            yield pictures(1, n), [n % 2]

    assert which(Sample.per_class(loader(), 1, classes=2)) == [0, 1]


def test_an_endless_loader_ends_the_search_for_rare_classes() -> None:
    endless = ((pictures(1), [0]) for _ in itertools.count())
    assert len(Sample.per_class(endless, 3)) == 3


@given(st.lists(st.integers(0, 4), min_size=1, max_size=30), st.integers(1, 4), st.integers(1, 7))
def test_per_class_is_the_first_k_of_each(labels: list[int], k: int, size: int) -> None:
    sample = Sample.per_class(batches(labels, size), k)
    expected = [n for label in range(5) for n in [i for i, other in enumerate(labels) if other == label][:k]]
    assert which(sample) == expected
    assert sample.truth.tolist() == [labels[n] for n in expected]


def test_batches_come_in_many_forms() -> None:
    x, y = pictures(2), np.array([1, 0])
    for loader in (
        [(x, y)],
        [[x, y]],
        [(x, y, np.ones(2))],
        [{"pixel_values": x, "labels": y}],
        [{"image": x, "label": y}],
        [(x[0], 1), (x[1], 0)],  # a data set of single pictures
        [(x, y[:, None].astype(float))],
        [(x, np.eye(2)[y])],
    ):
        sample = Sample.concatenate([Sample(*batch) for batch in read_batches(loader)])
        parts = list(trees.leaves(sample.x))
        assert len(parts) == 1
        np.testing.assert_array_equal(parts[0], x)
        assert sample.truth.tolist() == [1, 0]
    (bare,) = read_batches([x])
    assert bare.truth is None


def test_data_sets_that_iterate_by_index_have_an_end() -> None:
    class Indexed:
        """Says how long it is, and gives something for any index."""

        def __len__(self) -> int:
            return 3

        def __getitem__(self, n: int) -> tuple[np.ndarray, int]:
            return pictures(1, n)[0], n

    class Unknown(Indexed):
        def __len__(self) -> int:
            raise TypeError("unknown")

        def __getitem__(self, n: int) -> tuple[np.ndarray, int]:
            if n == 2:
                raise IndexError
            return super().__getitem__(n)

    assert [batch.truth.tolist() for batch in read_batches(Indexed())] == [[0], [1], [2]]
    assert len(list(read_batches(Unknown()))) == 2


def test_a_loader_may_use_its_buffers_again() -> None:
    buffer = np.zeros((1, 3, 2, 2), np.float32)

    def loader() -> Iterator[Any]:
        for n in range(3):
            buffer[:] = n
            yield buffer, [n]

    assert which(Sample.first(loader(), 3)) == [0, 1, 2]


@pytest.mark.parametrize("truth", [[0, 1, 0], np.array([0.0, 1.0, 0.0]), [[0], [1], [0]], [True, False, True]])
def test_labels_are_class_indices(truth: Any) -> None:
    labels = as_truth(truth)
    assert labels.dtype == np.int64
    assert labels.tolist() == np.array(truth).reshape(-1).astype(int).tolist()


def test_rows_that_sum_to_one_are_classes() -> None:
    assert as_truth([[0, 1, 0], [0.1, 0.1, 0.8]]).tolist() == [1, 2]


def test_arrays_are_taken_whole_and_copied() -> None:
    x = pictures(4)
    sample = chosen(x, truth=[0, 1, 2, 3], ids=list("abcd"))
    x[:] = 9
    assert which(sample) == [0, 1, 2, 3]
    assert sample.ids == ("a", "b", "c", "d")


def test_arrays_can_be_chosen_from() -> None:
    x, y = pictures(4), [1, 1, 0, 0]
    images = np.zeros((4, 5, 5, 3), np.uint8) + np.arange(4, dtype=np.uint8)[:, None, None, None]
    sample = chosen(x, truth=y, images=images, ids=list("abcd"), per_class=1)
    assert (which(sample), sample.truth.tolist(), sample.ids) == ([2, 0], [0, 1], ("c", "a"))
    assert sample.images[:, 0, 0, 0].tolist() == [2, 0]
    assert which(chosen(x, first=3)) == [0, 1, 2]
    assert which(chosen(Sample(x, np.array(y)), first=2)) == [0, 1]
    assert chosen(Sample(x, np.array(y), ids=tuple("abcd")), truth=[0, 0, 0, 1]).truth.tolist() == [0, 0, 0, 1]


class Pair(NamedTuple):
    left: Any
    right: Any


def test_inputs_may_be_nested() -> None:
    x = {"a": Pair(pictures(5), np.arange(5)), "scale": 2.0, "mask": np.ones((1, 3))}
    sample = chosen(x, truth=range(5))
    assert len(sample) == 5 == trees.count({"mask": np.ones((1, 3)), **x})
    part = sample.take(slice(1, 3)).x
    assert isinstance(part["a"], Pair)
    assert (part["a"].right.tolist(), part["scale"], part["mask"].shape) == ([1, 2], 2.0, (1, 3))
    whole = trees.concatenate([part, sample.take(slice(3, 5)).x])
    assert whole["a"].right.tolist() == [1, 2, 3, 4]


def test_names_are_position_and_content() -> None:
    x = pictures(3)
    ids = Sample(x).named(np.asarray).ids
    assert [name.partition("-")[0] for name in ids] == ["0", "1", "2"]
    assert len({name.partition("-")[2] for name in ids}) == 3
    assert Sample(pictures(3)).named(np.asarray).ids == ids
    other = pictures(3)
    other[1] += 1
    assert [a == b for a, b in zip(Sample(other).named(np.asarray).ids, ids, strict=True)] == [True, False, True]
    seen = np.zeros((3, 2, 2, 3), np.uint8)
    assert Sample(x, images=seen).named(np.asarray).ids == Sample(other, images=seen).named(np.asarray).ids


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: chosen(np.zeros((0, 3, 2, 2))), r"x of shape \(0, 3, 2, 2\) has no images: expected N inputs"),
        (
            lambda: chosen(iter([])),
            "x is a list_iterator, no array: .* how many images to take, first=16 or per_c",
        ),
        (lambda: chosen([Pair, Pair]), "x is a list of type: expected one array of N inputs .* and stack them"),
        (lambda: chosen(iter([]), truth=[0], per_class=1), "with truth=: a loader brings its own labels"),
        (lambda: chosen(7), "x is a int: expected N inputs as the model takes them, or a loader with first="),
        (lambda: chosen([], first=2), "no images: the loader is empty; expected batches"),
        (lambda: chosen(7, first=2), "a int is no loader: expected an iterable of batches"),
        (lambda: chosen(["a"], first=2), "a batch of type str holds no array: expected"),
        (lambda: chosen(pictures(2), first=1, per_class=1), "first=1 and per_class=1: give one of them"),
        (lambda: chosen(pictures(2), first=0), "first=0: expected a whole number, 1 or more"),
        (lambda: chosen(pictures(2), per_class=-1, truth=[0, 1]), "per_class=-1: expected a whole number, 1 or more"),
        (lambda: chosen(pictures(2), first=1.5), "first=1.5: expected a whole number, 1 or more"),
        (lambda: chosen(batches([0, 1]), first="2"), "first='2': expected a whole number, 1 or more"),
        (lambda: chosen(pictures(2), per_class=1.0, truth=[0, 1]), "per_class=1.0: expected a whole number"),
        (lambda: Sample.first(batches([0, 1]), 1.5), "first=1.5: expected a whole number, 1 or more"),
        (lambda: Sample.per_class(batches([0, 1]), "1"), "per_class='1': expected a whole number, 1 or more"),
        (lambda: chosen([pictures(2)], per_class=1), "per_class needs true classes: expected batches"),
        (lambda: chosen((pictures(2), [0, 1]), first=1), "a tuple with first= or per_class=: pass arrays with truth="),
        (lambda: chosen(batches([0, 1]), first=1, ids=["a"]), "a list with first= or per_class=: pass arrays"),
        (lambda: chosen(pictures(2), truth=[0]), r"truth of shape \(1,\) for 2 images: expected 2 class indices"),
        (lambda: chosen(pictures(2), truth=[0.5, 1]), "truth with values such as 0.5: expected class indices or names"),
        (lambda: chosen(pictures(2), truth=["a", "b"]), "truth: 'a' is no class index; to use names, pass class_names"),
        (
            lambda: chosen(pictures(2), truth=[[1, 2], [0, 1]]),
            r"truth of shape \(2, 2\) with values such as 2: exp",
        ),
        (
            lambda: chosen(pictures(2), ids=["a"]).named(np.asarray),
            "1 ids for 2 images: expected one per image",
        ),
        (
            lambda: chosen(pictures(2), ids=["a", "a"]).named(np.asarray),
            "ids repeat: a; expected a different one",
        ),
        (lambda: chosen(pictures(2), images=pictures(2)), "images of shape"),
        (
            lambda: Sample.first([(np.zeros((1, 3, 2, 2)), [0]), (np.zeros((1, 3, 4, 4)), [1])], 2),
            r"images of sizes \(3, 2, 2\), \(3, 4, 4\): expected one size",
        ),
    ],
)
def test_errors_say_what_was_expected(make: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


def test_fewer_pictures_than_asked_for_are_reported() -> None:
    with pytest.warns(RuntimeWarning, match="first=9, but there are only 3 images"):
        assert len(chosen(batches([0, 1, 2]), first=9)) == 3
    with pytest.warns(RuntimeWarning, match="no image of class bee, dog was found"):
        assert len(chosen(batches([0, 2]), per_class=1, class_names=["ant", "bee", "cat", "dog"])) == 2


def test_tensors_that_can_be_written_to_are_copied() -> None:
    class Tensor:
        shape = (2, 3, 4, 4)

        def detach(self) -> Tensor:
            return self

        def clone(self) -> str:
            return "a copy"

    assert trees.copied({"x": (Tensor(),)}) == {"x": ("a copy",)}
    images = np.zeros((2, 4, 4, 3), np.uint8)
    sample = chosen(pictures(2), images=images)
    images[:] = 9
    assert not sample.images.any()
