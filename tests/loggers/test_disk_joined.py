"""Several runs on one page: which runs, where it is written, and what its links lead to."""

from __future__ import annotations

import dataclasses
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from click.testing import CliRunner, Result
from explanations import example
from test_disk_page import EVIL, Page

import xaicore
from xaicore.cli import main
from xaicore_disk import gallery
from xaicore_disk.logger import DiskLogger
from xaicore_disk.manifest import read_manifest


def run(root: Path, name: str | None = None, method: str = "given", **known: Any) -> Path:
    known = {"ids": ["a.png", "b.png"], **known}
    with xaicore.open_loggers({"disk": {"root": root}}, name=name or root.name, on_error="raise", quiet=True) as log:
        log(dataclasses.replace(example(n=len(known["ids"]), k=1, method=method, seed=len(root.name)), **known))
    return root


def join(runs: Sequence[Path | str], root: Path | None = None) -> Path:
    logger = DiskLogger(root)
    logger.join(runs)
    assert logger.where is not None
    return Path(logger.where.removeprefix("gallery: "))


def typed(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["gallery", *map(str, arguments)])


def test_the_page_has_the_rows_of_all_runs_and_leads_to_their_files(tmp_path: Path) -> None:
    runs = [run(tmp_path / "runs" / "one"), run(tmp_path / "other" / "two 100% #2", "20261128-72e116", method="other")]
    before = {path: path.read_bytes() for root in runs for path in root.rglob("*") if path.is_file()}
    page = join(runs, tmp_path / "page")
    assert page == tmp_path / "page" / "index.html"
    shown = Page(page)
    assert shown.data["runs"] == [
        {"name": "one", "folder": "../runs/one/"},
        {"name": "two 100% #2", "folder": "../other/two%20100%25%20%232/"},
    ]
    expected = [{**row, "run": n} for n, root in enumerate(runs) for row in read_manifest(root)]
    assert [row["run"] for row in shown.rows] == [0, 0, 1, 1]
    for seen, row in zip(shown.rows, expected, strict=True):
        folder = page.parent / unquote(shown.data["runs"][row["run"]]["folder"])
        assert (seen["id"], seen["method"], seen["picture"]) == (row["id"], row["method"], row["picture"])
        assert (folder / "greys" / f"{seen['stem']}.png").samefile(runs[row["run"]] / row["grey"])
    assert "one and two 100% #2 2 runs \u00b7 2 pictures \u00b7 4 maps run one" in shown.text
    assert all((page.parent / unquote(still)).is_file() for still in shown.stills())
    assert {path: path.read_bytes() for path in before} == before  # the runs stay as they are


def test_without_a_root_it_lies_beside_the_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And finds them in a folder of runs, by name."""
    for name in ("b", "a"):
        run(tmp_path / "runs" / name)
    (tmp_path / "runs" / "notes").mkdir()
    monkeypatch.chdir(tmp_path)
    assert join(["runs"]) == Path("runs/index.html")
    assert [one["folder"] for one in Page(tmp_path / "runs" / "index.html").data["runs"]] == ["a/", "b/"]
    assert join(["runs/b", "runs/a", "runs/b"]) == Path("runs/index.html")  # replaces it
    assert [one["folder"] for one in Page(tmp_path / "runs" / "index.html").data["runs"]] == ["b/", "a/"]


def test_a_run_is_shown_once_however_its_folder_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b"):
        run(tmp_path / "runs" / name)
    (tmp_path / "runs" / "latest").symlink_to("a")
    (tmp_path / "best").symlink_to(tmp_path / "runs" / "b")
    monkeypatch.chdir(tmp_path / "runs" / "a")
    index = tmp_path / "runs" / "index.html"
    for typed_paths in ([".", "../b"], ["..", "../a", tmp_path / "runs" / "latest"]):
        assert join(typed_paths).samefile(index)
        assert [one["folder"] for one in Page(index).data["runs"]] == ["a/", "b/"]
    with pytest.raises(xaicore.InputError, match=r"one run in \., \.\./latest: pass two or more"):
        join([".", "../latest"])
    (tmp_path / "good").symlink_to("runs/a")
    page = join([tmp_path / "good", tmp_path / "best"])  # links beside each other, with names of their own
    assert page.samefile(tmp_path / "index.html")
    assert Page(page).data["runs"] == [{"name": "good", "folder": "runs/a/"}, {"name": "best", "folder": "runs/b/"}]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"\xff \xc3\xa9")
    run(odd, "odd")
    run(tmp_path / "b")
    links = [one["folder"] for one in Page(join([odd, tmp_path / "b"])).data["runs"]]
    assert links == ["%FF%20%C3%A9/", "b/"]


def test_runs_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    runs = [run(tmp_path / side / "seed1", side) for side in ("left", "right")]
    names = [one["name"] for one in Page(join(runs, tmp_path / "page")).data["runs"]]
    assert names == ["left/seed1", "right/seed1"]


def test_the_title_names_a_few_runs(tmp_path: Path) -> None:
    runs = [run(tmp_path / name) for name in ("a", "b", "c", "d", "e")]
    titles = {2: "a and b", 3: "a and b and c", 4: "a, b and 2 more", 5: "a, b and 3 more"}
    for count, title in titles.items():
        assert f"<title>{title} \u00b7 xaicore</title>" in join(runs[:count]).read_text("utf-8")


def test_each_run_has_its_share_of_the_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gallery, "ROWS", 4)
    ids = [f"{n}.png" for n in range(5)]
    for name in ("a", "b"):
        run(tmp_path / name, ids=ids)
    shown = Page(join([tmp_path]))
    assert [(row["run"], row["id"]) for row in shown.rows] == [(n, name) for n in (0, 1) for name in ids[3:]]
    assert "10 maps \u00b7 this page shows the last 4 maps" in shown.text


def test_a_picture_is_skipped_only_if_no_run_explained_it(tmp_path: Path) -> None:
    run(tmp_path / "a")
    with xaicore.open_loggers({"disk": {"root": tmp_path / "b"}}, on_error="raise", quiet=True) as log:
        log.skip("a.png", "a.png is an empty file")
        log.skip("c.png", "c.png is no picture")
    shown = Page(join([tmp_path]))
    assert "1 picture skipped c.png is no picture" in shown.text


def test_names_stay_text(tmp_path: Path) -> None:
    names = [f"{EVIL.replace('/', '')} {n}" for n in (1, 2)]
    for name in names:
        run(tmp_path / name)
    shown = Page(join([tmp_path]))
    assert [one["name"] for one in shown.data["runs"]] == names
    plain = Page(run(tmp_path / "3") / "index.html")
    assert {tag for tag, _ in shown.names()} == {tag for tag, _ in plain.names()}


def test_runs_without_a_picture_in_common_are_reported(tmp_path: Path) -> None:
    run(tmp_path / "a")
    run(tmp_path / "b", ids=["photos/a.png", "photos/b.png"])
    with pytest.warns(RuntimeWarning, match="no picture of 'b' is in 'a': 'photos/a.png' and 'a.png' are other ids"):
        join([tmp_path])


def test_what_cannot_be_joined_is_refused(tmp_path: Path) -> None:
    one, two = run(tmp_path / "runs" / "one"), run(tmp_path / "elsewhere" / "two")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "index.html").write_text("my page")
    (tmp_path / "empty").mkdir()
    (tmp_path / "others" / "foreign").mkdir(parents=True)
    (tmp_path / "others" / "foreign" / "run.json").write_text("{}")
    run(tmp_path / "others" / "mine")
    table = tmp_path / "table"
    (table / "parts").mkdir(parents=True)
    (table / "run.json").write_text("{}")
    lost = run(tmp_path / "lost")
    (lost / "manifest.jsonl").unlink()
    unread = "{} cannot be shown: .*{}[^;]*; name the others alone, xaicore gallery runs/a runs/b$"
    for runs, root, kind, message in (
        ([one], None, xaicore.InputError, f"one run in {one}: pass two or more; a single run has a page of its own"),
        ([one, two], None, xaicore.InputError, "the runs lie in several folders, .*root='runs/both'"),
        ([one, tmp_path / "none"], None, xaicore.LoggerError, "no run at .*none: no such folder; expected a folder"),
        ([one, tmp_path / "empty"], None, xaicore.LoggerError, "no run.json there, and none in its subfolders"),
        (
            ["~nobody-of-this-name/a", one],
            None,
            xaicore.LoggerError,
            "no run at ~nobody-of-this-name/a: no such folder",
        ),
        ([table, one], tmp_path / "page", xaicore.LoggerError, r"a table of a data set: xaicore.open_maps\(.*page\("),
        (["a" * 300, one], None, xaicore.LoggerError, "no run at a+: no such folder"),
        (
            [tmp_path / "others"],
            None,
            xaicore.LoggerError,
            unread.format("foreign", "run.json is not this logger's: it"),
        ),
        (
            [lost, one],
            tmp_path / "page",
            xaicore.LoggerError,
            unread.format("lost", "cannot read .*manifest.jsonl: No such file"),
        ),
        ([one, two], one, xaicore.LoggerError, "is a run with a page of its own; choose another folder for the page"),
        ([one, two], tmp_path / "mine", xaicore.LoggerError, "index.html would be changed, but it is no page of runs"),
    ):
        with pytest.raises(kind, match=message):
            join(runs, root)
    assert (tmp_path / "mine" / "index.html").read_text() == "my page"


def test_no_run_is_logged_into_the_folder_of_a_page(tmp_path: Path) -> None:
    for name in ("a", "b"):
        run(tmp_path / name)
    join([tmp_path])
    with pytest.raises(xaicore.LoggerError, match=r"it is not this logger's: there is no run.json"):
        run(tmp_path)


def test_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        run(tmp_path / "runs" / name)
    done = typed("runs/a", "runs/b")
    assert (done.exit_code, done.stdout) == (0, f"gallery: {os.path.join('runs', 'index.html')}\n")
    assert len(Page(tmp_path / "runs" / "index.html").data["runs"]) == 2
    assert typed("runs", "--out", "page").stdout == f"gallery: {os.path.join('page', 'index.html')}\n"
    run(tmp_path / "other" / "c")
    advised = typed("runs", "other/c")
    assert advised.exit_code == 2
    found = re.search(r"--out (\S+)", advised.stderr.splitlines()[-1])
    assert found
    assert typed("runs", "other/c", "--out", found[1]).exit_code == 0  # the advice works as it is typed
    assert typed("runs/a").exit_code == 2


def test_other_loggers_refuse(tmp_path: Path) -> None:
    class Mine(xaicore.Logger):
        name = "mine"

        def log(self, explanation: xaicore.Explanation, step: int | None = None) -> None:
            pass

    with pytest.raises(xaicore.LoggerError, match="the mine logger does not show runs side by side; the disk logger"):
        Mine().join([tmp_path])
