"""docs/datasets.md runs as it stands there, on a run that is made beforehand, and lists all columns."""

from __future__ import annotations

import inspect
import re

import pytest

pytest.importorskip("pyarrow")

import pages
from maprun import pictures_in, run_of, write_run

import xaicore
from xaicore.dataset.schema import COLUMNS

PAGE = "docs/datasets.md"


def test_every_column_is_on_the_page():
    rows = re.findall(r"^\| `(\w+)` \| ([\w<>]+) \| (.+) \|$", pages.text(PAGE, "The files"), re.M)
    assert {name: (kind, what) for name, kind, what in rows} == COLUMNS
    assert [name for name, _, _ in rows] == list(COLUMNS)


def test_every_question_is_on_the_page():
    asked = re.findall(
        r"`(\w+)(?:\(.*?\))?`", "".join(re.findall(r"^\| (`.*?) \|", pages.text(PAGE, "The table"), re.M))
    )
    assert all(hasattr(xaicore.MapTable, name) for name in asked)
    assert {"mistakes", "lowest_evidence", "errors", "class_means", "confusions", "explanation"} <= set(asked)


def test_the_page_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    paths = pictures_in(tmp_path / "data" / "val")
    real = getattr(xaicore, "explain_dataset", None)

    def explain_dataset(*arguments, **options):
        if real is not None:
            inspect.signature(real).bind(*arguments, **options)
        write_run(tmp_path / arguments[2], run_of(paths), paths)

    def preprocess(picture):
        return picture.transpose(2, 0, 1), picture

    monkeypatch.setattr(xaicore, "explain_dataset", explain_dataset, raising=False)
    monkeypatch.setattr(xaicore, "find_model", lambda name: xaicore.NamedModel(None, name, preprocess))
    names = pages.run(PAGE)
    printed = capsys.readouterr().out
    assert "10 maps of 10 pictures, given at conv of NoneType; 7 right, 3 wrong; 1 error" in printed
    assert "[3 rows x 4 columns]" in printed
    assert "cat taken for dog: 1 of 6" in printed
    assert (tmp_path / "runs" / "val" / "index.html").exists()
    assert (tmp_path / "runs" / "mistakes" / "index.html").exists()
    assert (tmp_path / "mistakes.pdf").exists()
    assert len(names["sure"]) == 1
    assert names["explanation"].ids == (paths[3], paths[6], paths[1])
    assert names["bare"].images is None
    assert names["rows"].num_rows == 11
