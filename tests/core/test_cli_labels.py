"""Class names and true classes from files."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xaicore.cli.labels import class_index, read_labels, read_truth
from xaicore.errors import InputError

NAMES = ("tench", "crane", "goldfish", "crane")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(name: str, content: str, encoding: str = "utf-8") -> str:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_bytes(content.encode(encoding))
    return name


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", "tench\ncrane\n 金魚 \n"),
        ("a.txt", "tench\r\ncrane\r\n金魚\r\n\r\n"),
        ("a.JSON", '["tench", "crane", "金魚"]'),
        ("a.json", '{"2": "金魚", "0": "tench", "1": "crane"}'),
    ],
)
def test_labels(name: str, content: str) -> None:
    assert read_labels(write(name, content)) == ("tench", "crane", "金魚")
    assert read_labels(write(name, content, "utf-8-sig")) == ("tench", "crane", "金魚")


def test_no_labels() -> None:
    assert read_labels(None) is None


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(st.characters(categories=["L", "N", "P"]), min_size=1), min_size=1, max_size=12))
def test_all_forms_of_labels_mean_the_same(names: list[str]) -> None:
    expected = tuple(names)
    assert read_labels(write("a.txt", "\n".join(names))) == expected
    assert read_labels(write("a.json", json.dumps(names))) == expected
    assert read_labels(write("b.json", json.dumps(dict(enumerate(names))))) == expected


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", "\n\n", "--labels a.txt: no names in it; expected one per line"),
        (
            "a.txt",
            "tench\n\ncrane",
            "--labels a.txt: class 1 has no name; expected one per line, without empty lines",
        ),
        ("a.json", '["tench", ""]', "--labels a.json: class 1 has no name"),
        (
            "a.json",
            '{"0": "tench", "2": "crane"}',
            "--labels a.json is a dict with keys such as '2': expected {index: name} with the indices 0 to 1",
        ),
        ("a.json", '{"0": ["n01", "tench"]}', '--labels a.json: expected a list of names, or {"0": name'),
        ("a.json", '"tench"', "--labels a.json: expected a list of names"),
        ("a.json", "tench\n", "--labels a.json is not valid JSON: Expecting value"),
        ("none.txt", None, "--labels none.txt: no such file (in "),
    ],
)
def test_labels_of_another_form(name: str, content: str | None, message: str) -> None:
    if content is not None:
        write(name, content)
    with pytest.raises(InputError, match="^" + re.escape(message)):
        read_labels(name)


def test_labels_in_another_encoding() -> None:
    with pytest.raises(InputError, match=r"^--labels a\.txt cannot be read: 'utf-8' codec can't decode"):
        read_labels(write("a.txt", "Käse", "latin-1"))


def test_class_index() -> None:
    assert class_index("3", None, "--target") == 3
    assert class_index(" 3 ", NAMES, "--target") == 3
    assert class_index("goldfish", NAMES, "--target") == 2
    assert class_index("3.0", None, "--target") == class_index("3.", NAMES, "--target") == 3
    assert class_index("2.0", ("1.0", "2.0"), "--target") == 1  # a name that looks like a number


@pytest.mark.parametrize(
    ("value", "names", "message"),
    [
        ("4", NAMES, "--target: class 4 is out of range: the class names are of classes 0 to 3"),
        ("-1", NAMES, "--target: class -1 is out of range: the class names are of classes 0 to 3"),
        ("-1", None, "--target: class -1 is out of range, classes are 0, 1, ..."),
        (
            "0.5",
            NAMES,
            "--target: none of the 4 class names is '0.5': they are 'tench', 'crane', 'goldfish', ...; pass one of "
            "them, an index, or other names by --labels",
        ),
        ("goldfisch", NAMES, "--target: none of the 4 class names is 'goldfisch'; did you mean 'goldfish'?"),
        ("crane", NAMES, "--target: 'crane' names the classes 1, 3: pass an index"),
        ("goldfish", None, "--target: 'goldfish' is no class index; to use names, pass --labels"),
    ],
)
def test_class_index_of_nothing(value: str, names: tuple[str, ...] | None, message: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        class_index(value, names, "--target")


def truth(table: str, *pictures: str, at: str = "truth.csv") -> list[int]:
    found = read_truth(write(at, table), [Path(picture) for picture in pictures], NAMES)
    assert found is not None
    assert found.dtype == "int64"
    return found.tolist()


def test_truth_by_path_from_here_or_from_the_table(here: Path) -> None:
    table = f"file,class\na.png,goldfish\nsub/b.png,0\n./sub/../c.png,3\n{here}/d.png,1\n"
    pictures = ("data/a.png", "data/sub/b.png", "data/c.png", "d.png", "data/e.png")
    assert truth(table, *pictures, at="data/truth.csv") == [2, 0, 3, 1, -1]
    assert truth("data/a.png,2\n", *pictures) == [2, -1, -1, -1, -1]


def test_truth_by_bare_name() -> None:
    assert truth("a.png,2\nb.png,1\n", "x/a.png", "y/b.png", "y/c.png") == [2, 1, -1]


def test_a_path_goes_before_a_bare_name() -> None:
    assert truth("a.png,2\nx/a.png,1\n", "a.png", "x/a.png", "y/a.png") == [2, 1, -1]


def test_truth_with_empty_classes_lines_and_quotes() -> None:
    table = '﻿FILE, Class\n\n"a, b.png" , "goldfish"\nc.png,\n ,\nd.png,0'
    assert truth(table, "a, b.png", "c.png", "d.png") == [2, -1, 0]


@pytest.mark.parametrize("names", [None, NAMES])
def test_truth_as_tables_of_numbers_have_it(names: tuple[str, ...] | None) -> None:
    file = write("truth.csv", "a.png,-1\nb.png,2.0\nc.png,-1.0\nd.png,\ne.png,0.0\n")
    found = read_truth(file, [Path(f"{letter}.png") for letter in "abcde"], names)
    assert found is not None
    assert found.tolist() == [-1, 2, -1, -1, 0]


def test_no_truth() -> None:
    assert read_truth(None, [Path("a.png")], None) is None


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("a.png,2\nb.png,goldfisch\n", "--truth truth.csv, line 2: none of the 4 class names is 'goldfisch'"),
        ("a.png,9\n", "--truth truth.csv, line 1: class 9 is out of range"),
        ("a.png,2,0.5\n", "--truth truth.csv, line 1: ['a.png', '2', '0.5']: expected two fields, file,class"),
        (",2\n", "--truth truth.csv, line 1: ['', '2']: expected two fields"),
        ("a.png,2\na.png,1\n", "--truth truth.csv, line 2: 'a.png' has another class in an earlier line"),
        (
            "c.png,2\n",
            "--truth truth.csv: no row belongs to any of the 3 pictures; the table begins with 'c.png', the "
            "pictures with 'x/a.png'",
        ),
        ("file,class\n", "--truth truth.csv: no row belongs to any of the 3 pictures; the table begins with noth"),
        ("a.png,1\n", "--truth truth.csv: 2 pictures are called 'a.png'; write paths relative to the current folder"),
    ],
)
def test_truth_of_another_form(table: str, message: str) -> None:
    with pytest.raises(InputError, match="^" + re.escape(message)):
        truth(table, "x/a.png", "y/a.png", "b.png")


def test_truth_by_folder(here: Path) -> None:
    pictures = [Path("data/goldfish/a.png"), Path("0/b.png"), here / "x/3/c.png"]
    found = read_truth("folder", pictures, NAMES)
    assert found is not None
    assert found.tolist() == [2, 0, 3]
    with pytest.raises(InputError, match=r"^--truth folder, data/fish/a\.png: none of the 4 class names is 'fish'"):
        read_truth("folder", [Path("data/fish/a.png")], NAMES)


@pytest.mark.parametrize(
    ("read", "option"), [(read_labels, "--labels"), (lambda file: read_truth(file, [], None), "--truth")]
)
def test_a_file_that_does_not_exist(read: object, option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("names.txt").touch()
    with pytest.raises(InputError) as none:
        read("nams.txt")
    assert str(none.value) == f"{option} nams.txt: no such file (in {tmp_path}); did you mean 'names.txt'?"
