"""Data sets that are read forward as sources of `explain_dataset`; on classes that look alike."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from data_sets import COUNT, LABELS, PICTURES, Batched, IterableDataset
from picture_sets import backend, preprocess

import xaicore
from xaicore.evidence import progress
from xaicore.source.streams import Stream

parquet = pytest.importorskip("pyarrow.parquet")


def run(source, out, **options):
    known = {"preprocess": preprocess, "backend": backend(), "layer": "second", "shard_size": 4, "batch_size": 2}
    return xaicore.explain_dataset(object(), source, out, **{**known, **options})


def rows(out: Path) -> list[dict]:
    return [row for part in sorted((out / "parts").glob("*.parquet")) for row in parquet.read_table(part).to_pylist()]


def pictures(**attributes):
    return IterableDataset(zip(PICTURES, LABELS, strict=True), **attributes)


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    out = tmp_path_factory.mktemp("list") / "out"
    run(list(PICTURES), out, truth=LABELS)
    return rows(out)


def without(rows, *names):
    return [{name: value for name, value in row.items() if name not in names} for row in rows]


@pytest.mark.parametrize("readers", [1, 8])
def test_rows_are_those_of_the_pictures_in_order(tmp_path: Path, expected, readers) -> None:
    source = pictures()
    run(source, tmp_path / "out", targets=None, readers=readers)
    assert rows(tmp_path / "out") == expected
    run(pictures(), tmp_path / "truth", targets="truth")
    assert [row["target"] for row in rows(tmp_path / "truth")] == LABELS


@pytest.mark.parametrize("size", [1, 3, 10])
def test_batches_are_taken_apart(tmp_path: Path, expected, size) -> None:
    run(Batched(size), tmp_path / "out", preprocess=None)
    assert without(rows(tmp_path / "out"), "sketch") == without(expected, "sketch")


def test_keys_and_classes_name_elements(tmp_path: Path) -> None:
    elements = [
        {"__key__": f"k{n}", "__url__": "a.tar", "png": picture, "cls": label}
        for n, (picture, label) in enumerate(zip(PICTURES, LABELS, strict=True))
    ]
    run(IterableDataset(elements, classes=list("dcba")), tmp_path / "out", class_names=list("abcd"))
    found = rows(tmp_path / "out")
    assert [row["id"] for row in found] == [f"k{n}" for n in range(COUNT)]
    assert [row["truth"] for row in found] == [[3 - label] for label in LABELS]
    run(IterableDataset(elements), tmp_path / "ids", ids=list("abcdefghij"))
    assert [row["id"] for row in rows(tmp_path / "ids")] == list("abcdefghij")


def test_a_resumed_run_goes_forward_over_what_is_done(tmp_path: Path, expected) -> None:
    out = tmp_path / "out"
    run(pictures(), out)
    (out / "parts" / "part-00001.parquet").unlink()
    source = pictures()
    run(source, out, resume=True)
    assert rows(out) == expected
    assert source.passes == 3  # counted, begun once more, and the pictures
    other = [*PICTURES[:-1], PICTURES[0]]
    with pytest.raises(xaicore.InputError, match="differs in the first or the last element of the data set"):
        run(IterableDataset(zip(other, LABELS, strict=True)), out, resume=True)


def test_jobs_share_a_stream(tmp_path: Path, expected) -> None:
    for shard in ("1/2", "0/2"):
        run(pictures(), tmp_path / "out", shard=shard)
    assert rows(tmp_path / "out") == expected


def test_elements_are_had_in_any_order() -> None:
    source = IterableDataset(range(100))
    stream = Stream(lambda: iter(source), 100)
    assert [stream[n] for n in (3, 1, 2, 0, 90, 89, 40, 5, 0)] == [3, 1, 2, 0, 90, 89, 40, 5, 0]
    assert source.passes == 2  # 89 and 40 are kept for a while, 5 is not
    assert [stream[n] for n in (99, 98)] == [99, 98]
    assert source.passes == 2
    with pytest.raises(xaicore.InputError, match=r"source\[100\] was there when the elements were counted, and is not"):
        Stream(lambda: iter(source), 101)[100]


def test_shuffling_is_refused(tmp_path: Path) -> None:
    class Shuffled(IterableDataset):
        def __iter__(self):
            return iter([self.elements[n] for n in np.random.permutation(COUNT)])

    with pytest.raises(xaicore.InputError, match=r"is another one each time the source is read, as with shuffling"):
        run(Shuffled(zip(PICTURES, LABELS, strict=True)), tmp_path / "out")


def test_an_element_that_changes_later_is_a_row_with_its_error(tmp_path: Path, expected) -> None:
    class Changing(IterableDataset):
        def __iter__(self):
            self.passes += 1
            changed = self.passes > 2  # it has been counted, and compared
            for n, (picture, label) in enumerate(self.elements):
                yield (picture + changed * (n == 7), label)

    run(Changing(zip(PICTURES, LABELS, strict=True)), tmp_path / "out")
    found = rows(tmp_path / "out")
    assert found[7]["error"].startswith("source[7] is another one than when the elements were counted: the source has")
    assert found[7]["truth"] == [3]
    assert found[:7] + found[8:] == expected[:7] + expected[8:]


def test_a_broken_element_is_a_row_with_its_error(tmp_path: Path, expected) -> None:
    source = pictures()
    source.elements[3] = "broken"
    run(source, tmp_path / "out")
    found = rows(tmp_path / "out")
    assert found[3]["error"].startswith("source[3] is str: expected x, (x, label)")
    assert found[:3] + found[4:] == expected[:3] + expected[4:]


def raising():
    yield PICTURES[0]
    raise OSError("the archive ends early")


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        (IterableDataset([]), {}, "source is an empty stream"),
        (iter([PICTURES[0]]), {}, r"source is a list_iterator, which can be read once: .* Pass a list, or an Iterable"),
        (raising(), {}, "source is a generator, which can be read once"),
        (
            type("IterableDataset", (), {"__iter__": lambda self: raising()})(),
            {},
            "OSError after 1 elements: the",
        ),
        (Batched(4, cardinality=-1), {}, r"source repeats without an end: expected .* without \.repeat\(\)"),
        (
            pictures(),
            {"workers": 2},
            r"workers=2: source \(IterableDataset\) is read forward, .*leave workers",
        ),
        (pictures(), {"engine": "ray"}, r"engine='ray': source \(Iter.*leave engine out"),
        (IterableDataset([(PICTURES[0], 0), (PICTURES[1], "a")]), {}, r"source\[1\] has the label 'a'"),
    ],
)
def test_what_cannot_be_read_again_is_refused(tmp_path: Path, source, options, message) -> None:
    with pytest.raises(xaicore.InputError, match=message):
        run(source, tmp_path / "out", **options)
    assert not os.path.exists(tmp_path / "out")


class Clock:
    """Each look takes one second."""

    now = 0.0

    def monotonic(self) -> float:
        self.now += 1
        return self.now


@pytest.mark.parametrize("library", ["tqdm", "rich"])
def test_a_bar_without_an_end_counts(tmp_path: Path, monkeypatch, library) -> None:
    pytest.importorskip(library)
    stderr = io.StringIO()
    monkeypatch.setattr(stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys, "stderr", stderr)
    monkeypatch.setattr(progress, "time", Clock())
    monkeypatch.setattr(progress, "_library", lambda: library)
    for name, value in (("COLUMNS", "120"), ("TERM", "xterm")):
        monkeypatch.setenv(name, value)
    told: list[tuple[int, int]] = []
    run(pictures(), tmp_path / "told", progress=lambda *numbers: told.append(numbers))
    assert stderr.getvalue() == ""
    assert told[-1] == (COUNT, COUNT)
    counts: list[tuple[int, int | None]] = []
    show = progress._Bar.show
    monkeypatch.setattr(progress._Bar, "show", lambda bar, n: (counts.append((n, bar._total)), show(bar, n)))
    run(pictures(), tmp_path / "shown")
    assert counts[:COUNT] == [(n + 1, None) for n in range(COUNT)]
    assert counts[-1] == (COUNT, COUNT)
    assert ("element [" if library == "tqdm" else "/?") in stderr.getvalue()
