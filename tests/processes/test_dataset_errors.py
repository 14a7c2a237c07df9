"""Pictures that cannot be read, prepared or explained are rows with their errors; all others are as without them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from data_sets import INPUTS, PICTURES, Batches, DeadlyBatches, DeadlyElements, Elements
from picture_sets import Blank, backend, preprocess, prints, write_pictures
from processes import TOYS, python

import xaicore

pytest.importorskip("pyarrow")

from pyarrow import parquet

from xaicore.dataset.folder import RunFolder
from xaicore.dataset.journal import Journal
from xaicore.dataset.start import Start
from xaicore.dataset.trial import PREPARED, deadly
from xaicore.pictures import Preparation
from xaicore.source.items import Item


def run(source, out, **options):
    known = {"preprocess": preprocess, "backend": backend(), "layer": "second", "shard_size": 8, "batch_size": 4}
    return xaicore.explain_dataset(object(), source, out, **{**known, **options})


def rows(out: Path) -> list[dict]:
    return [row for part in sorted((out / "parts").glob("*.parquet")) for row in parquet.read_table(part).to_pylist()]


def test_a_broken_picture_is_a_row_and_changes_no_other(tmp_path: Path) -> None:
    paths = write_pictures(tmp_path / "photos", 12)
    run(tmp_path / "photos", tmp_path / "whole", truth=[1] * 12)
    paths[5].write_bytes(paths[5].read_bytes()[:40])
    paths[8].write_bytes(b"")
    run(tmp_path / "photos", tmp_path / "out", truth=[1] * 12)
    whole, found = rows(tmp_path / "whole"), rows(tmp_path / "out")
    assert "is no picture that OpenCV" in found[5]["error"]
    assert "is an empty file" in found[8]["error"]
    assert (found[5]["id"], found[5]["position"], found[5]["truth"], found[5]["map"]) == (whole[5]["id"], 5, [1], None)
    assert [row for row in found if row["error"] is None] == [whole[n] for n in range(12) if n not in (5, 8)]


def test_a_preparation_that_raises_for_one_picture(tmp_path: Path) -> None:
    write_pictures(tmp_path / "photos", 12)
    run(tmp_path / "photos", tmp_path / "whole")
    first = cv2.imread(str(tmp_path / "photos" / "003.png"))[:, :, ::-1]

    def raises(picture):
        if np.array_equal(picture, first):
            raise KeyError("no such key")
        return preprocess(picture)

    run(tmp_path / "photos", tmp_path / "out", preprocess=raises)
    whole, found = rows(tmp_path / "whole"), rows(tmp_path / "out")
    assert found[3]["error"].endswith("003.png: KeyError: 'no such key'")
    assert found[:3] + found[4:] == whole[:3] + whole[4:]


def test_a_model_that_raises_for_some_pictures(tmp_path: Path) -> None:
    paths = write_pictures(tmp_path / "photos", 12)
    run(tmp_path / "photos", tmp_path / "whole")
    for n in (0, 6, 7):
        cv2.imwrite(str(paths[n]), np.full((6, 6, 3), 255, np.uint8))
    run(tmp_path / "photos", tmp_path / "out")
    whole, found = rows(tmp_path / "whole"), rows(tmp_path / "out")
    assert [row["position"] for row in found if row["error"]] == [0, 6, 7]
    assert found[6]["error"].endswith("006.png: the model raised ValueError: too bright")
    assert [row for row in found if not row["error"]] == [whole[n] for n in range(12) if n not in (0, 6, 7)]


def test_pictures_of_several_sizes_are_explained_in_one_run(tmp_path: Path) -> None:
    paths = write_pictures(tmp_path / "photos", 6)
    for n in (1, 4):
        cv2.imwrite(str(paths[n]), np.random.default_rng(n).integers(0, 250, (3, 9, 3), dtype=np.uint8))

    def as_it_is(picture):
        return (picture / 255).astype(np.float32).transpose(2, 0, 1), picture

    run(tmp_path / "photos", tmp_path / "out", preprocess=as_it_is)
    assert [row["map_shape"] for row in rows(tmp_path / "out")] == [[3, 9] if n in (1, 4) else [6, 6] for n in range(6)]


def test_where_nothing_can_be_explained_the_run_stops(tmp_path: Path) -> None:
    paths = write_pictures(tmp_path / "photos", 40)

    def raises(picture):
        raise TypeError("expected a PIL image")

    with pytest.raises(xaicore.InputError, match=r"none of the first 32 pictures could be explained: .*expected a PIL"):
        run(tmp_path / "photos", tmp_path / "out", preprocess=raises)
    assert not list((tmp_path / "out" / "attempts").glob("*.json"))  # nobody died
    with pytest.raises(xaicore.InputError, match=r"explained: preprocess <lambda>, .*png: returned a"):
        run(tmp_path / "photos", tmp_path / "none", preprocess=lambda picture: None)
    for path in paths:
        path.write_bytes(b"no picture")
    with pytest.raises(xaicore.InputError, match=r"none of the first 40 pictures could be explained: .*is no picture"):
        run(tmp_path / "photos", tmp_path / "other")
    with pytest.raises(xaicore.TargetError, match="9"):
        run([np.zeros((6, 6, 3), np.uint8)] * 2, tmp_path / "target", targets=9)


def test_broken_files_at_the_beginning_stop_no_run(tmp_path: Path) -> None:
    paths = write_pictures(tmp_path / "photos", 42)
    for path in paths[:36]:
        path.write_bytes(b"no picture")
    run(tmp_path / "photos", tmp_path / "out")
    assert [row["position"] for row in rows(tmp_path / "out") if not row["error"]] == [36, 37, 38, 39, 40, 41]


def test_a_run_that_goes_on_where_all_pictures_fail_has_rows_of_their_errors(tmp_path: Path) -> None:
    paths = write_pictures(tmp_path / "photos", 41)
    for path in paths[8:]:
        cv2.imwrite(str(path), np.full((6, 6, 3), 255, np.uint8))  # the model raises
    assert len(run(tmp_path / "photos", tmp_path / "out", shard="0/6")) == 8
    assert run(tmp_path / "photos", tmp_path / "out", resume=True).counts.errors == 33


def lives(how: str, folder: Path) -> list[int]:
    """The exit codes of the runs of `dataset_lives.py` over its photos."""
    done = python(str(TOYS / "dataset_lives.py"), how, str(folder / "photos"), str(folder / "out"))
    assert done.returncode == 0, done.stderr
    return [int(code) for code in done.stdout.split()]


FORKS = pytest.mark.skipif(not hasattr(os, "fork"), reason="lives are forks")


@FORKS
def test_a_picture_that_ends_the_process_is_a_row(tmp_path: Path) -> None:
    write_pictures(tmp_path / "photos", 20)
    run(tmp_path / "photos", tmp_path / "whole")
    assert lives("pictures", tmp_path) == [3, -9, 0]  # the second try of each is in another process
    whole, found = rows(tmp_path / "whole"), rows(tmp_path / "out")
    assert [row["position"] for row in found if row["error"]] == [3, 13]
    assert found[3]["error"].endswith("003.png: this picture ends the process that has it in work")
    assert [row for row in found if not row["error"]] == [whole[n] for n in range(20) if n not in (3, 13)]


def test_a_preparation_that_prints_is_tried_like_any_other(tmp_path: Path) -> None:
    items = [Item(n, str(n), Blank(str(n), value)) for n, value in enumerate((9, 0, 9, 0))]
    assert deadly(items, Preparation.of(prints)) == ({1, 3}, PREPARED)


@FORKS
@pytest.mark.parametrize(
    ("how", "codes"),
    [
        ("model", [5, 0]),  # the second try is in another process
        ("model of the script", [5, 5, 0]),  # which cannot be sent there: alone, in the next run
        ("preparation of the script", [6, 6, 0]),
    ],
)
def test_a_picture_that_ends_the_process_in_the_model_or_its_preparation_is_tried_twice(
    tmp_path: Path, how: str, codes: list[int]
) -> None:
    paths = write_pictures(tmp_path / "photos", 12)
    run(tmp_path / "photos", tmp_path / "whole")
    cv2.imwrite(str(paths[9]), np.full((6, 6, 3), 255, np.uint8))
    assert lives(how, tmp_path) == codes
    assert (tmp_path / "out.deaths").read_text() == "died\n" * 2
    whole, found = rows(tmp_path / "whole"), rows(tmp_path / "out")
    assert [row["position"] for row in found if row["error"]] == [9]
    assert found[9]["error"].endswith("009.png: this picture ends the process that has it in work")
    assert [row for row in found if not row["error"]] == [whole[n] for n in range(12) if n != 9]


@FORKS
@pytest.mark.parametrize(
    ("how", "codes"),
    [
        ("elements", [3, -9, 0]),  # the second try of each is in another process
        ("elements of the script", [3, 3, -9, -9, 0]),  # which cannot be sent there
    ],
)
def test_the_first_and_the_last_element_may_end_the_process(tmp_path: Path, how: str, codes: list[int]) -> None:
    run(Elements(PICTURES), tmp_path / "whole")
    assert lives(how, tmp_path) == codes
    whole, found = rows(tmp_path / "whole"), rows(tmp_path / "out")
    errors = {row["position"]: row["error"] for row in found if row["error"]}
    assert errors == {n: f"source[{n}]: this picture ends the process that has it in work" for n in (0, 9)}
    assert [row for row in found if not row["error"]] == whole[1:9]
    again = run(DeadlyElements(PICTURES), tmp_path / "out", resume=True)  # in this process: nobody reads them again
    assert (len(again), again.counts.errors) == (10, 2)


@FORKS
def test_a_model_may_end_the_process_for_the_first_input(tmp_path: Path) -> None:
    run(Elements(INPUTS), tmp_path / "whole", preprocess=None)
    assert lives("inputs", tmp_path) == [5, 0]  # as a test picture; the second try is in another process
    whole, found = rows(tmp_path / "whole"), rows(tmp_path / "out")
    assert [row["position"] for row in found if row["error"]] == [0]
    assert found[1:] == whole[1:]
    assert not (tmp_path / "out" / "start.json").exists()


@FORKS
def test_a_last_batch_that_ends_the_process_is_named(tmp_path: Path) -> None:
    assert lives("batches", tmp_path) == [3, 1]  # the second try is in another process
    message = r"^source\[2\], a batch, ends the process that reads it, .* or mend it, and pass another out$"
    with pytest.raises(xaicore.InputError, match=message):
        run(DeadlyBatches([4, 4, 2]), tmp_path / "out", preprocess=None)  # in this process: nobody reads it again
    assert [one.name for one in (tmp_path / "out").iterdir()] == ["start.json"]
    assert len(run(Batches([4, 4]), tmp_path / "out2", preprocess=None)) == 8


def test_a_start_that_ends_otherwise_leaves_nothing(tmp_path: Path) -> None:
    source = Elements(PICTURES, targets=[9] * 10)
    with pytest.raises(xaicore.InputError, match="class"):
        run(source, tmp_path / "runs" / "out", truth=[9] * 10)
    with pytest.raises(xaicore.InputError, match=r"source\[0\] is int: expected x"):
        run(Elements(range(10)), tmp_path / "runs" / "out")
    assert not (tmp_path / "runs").exists()
    run(Elements(PICTURES), tmp_path / "runs" / "out")
    assert sorted(one.name for one in (tmp_path / "runs" / "out").iterdir()) == [".lock", "parts", "run.json"]


def test_a_start_that_cannot_note_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "filelock", None)
    with pytest.raises(xaicore.DependencyError, match="pip install filelock"):
        run(Elements(PICTURES), tmp_path / "runs" / "out")
    assert not (tmp_path / "runs").exists()


def test_two_jobs_that_start_together_read_what_one_of_them_notes(tmp_path: Path) -> None:
    with Start(RunFolder(tmp_path / "out")) as first, Start(RunFolder(tmp_path / "out")) as second:
        with first.noting([3]):
            assert second.read(PICTURES, 3) is not None
            assert second.spared(5, 2) == [0, 1]
        noted = Journal(tmp_path / "out" / "start.json")
        noted.give_up({1})
        assert second.spared(5, 2) == [0, 2]
        with pytest.raises(xaicore.InputError, match=r"source\[1\]: this picture ends the process"):
            second.read(PICTURES, 1)


def test_who_came_through_elsewhere_is_given_up_after_more_deaths(tmp_path: Path) -> None:
    """A run may be killed from outside at any moment, also while a picture is alone in work."""
    for are_tried, lives in ((True, 3), (False, 1)):
        path = tmp_path / f"{are_tried}.json"
        Journal(path).begin([1, 2])
        for _ in range(lives):
            journal = Journal(path)
            assert (journal.suspects, journal.given_up) == ({1, 2}, set())
            journal.are_tried = are_tried
            held = journal.alone(2)
            held.__enter__()  # and dies
        assert Journal(path).given_up == {2}
