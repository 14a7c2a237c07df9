"""Names, whole files, the manifest, the lock, and what happens when the system refuses."""

from __future__ import annotations

import errno
import json
import os
import stat
import threading
from io import FileIO
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import pytest
from clock import Clock
from explanations import example, explanation
from hypothesis import given, settings
from hypothesis import strategies as st

import xaicore
from xaicore.files import whole
from xaicore_disk import atomic, folder, manifest, names
from xaicore_disk.folder import RunFolder
from xaicore_disk.logger import DiskLogger
from xaicore_disk.manifest import read_manifest

UNTRUSTED = [
    "../../x",
    "/etc/passwd",
    "a/b",
    "a_b",
    "C:\\windows\\con",
    "-rf",
    "",
    ".",
    "..",
    "x" * 300,
    "x" * 301,
    "Каштанка 栗 🐕",
    "caf\udce9.jpg",  # a file name that is no UTF-8
    "nul\x00byte\nline",
    "</script><b>",
    "%2e%2e%2f",
]


@pytest.fixture
def run(tmp_path: Path) -> DiskLogger:
    logger = DiskLogger(tmp_path / "run")
    logger.open(xaicore.Run("run"))
    return logger


# Names


@settings(max_examples=50)
@given(st.text())
def test_slugs_are_harmless_and_short(text: str) -> None:
    slug = names.slug(text)
    assert 0 < len(slug) <= 80
    assert set(slug) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
    assert not slug.startswith("-")


def test_slugs_keep_what_people_read() -> None:
    assert names.slug("../../images/cat 01.jpg") == "_images_cat_01_jpg"
    assert names.slug("n02099601_Golden-Retriever") == "n02099601_Golden-Retriever"
    assert names.slug("gradcam++", 24) == "gradcam_"


def test_digests_tell_parts_apart() -> None:
    assert names.digest("ab", "c") != names.digest("a", "bc")
    assert names.digest("a", b"b") == names.digest("a", b"b") == names.digest("a", "b")
    assert names.digest("\udce9") != names.digest("\udcea")
    assert len(names.digest("\udce9")) == 16


def test_names_of_runs_are_kept_where_they_are_harmless() -> None:
    assert names.folder_name("20260101-080000-ab12cd") == "20260101-080000-ab12cd"
    folders = [names.folder_name(name) for name in UNTRUSTED]
    assert len(set(map(str.lower, folders))) == len(UNTRUSTED)
    assert all(Path(name).name == name for name in folders)


def test_untrusted_ids_and_methods_stay_inside_and_apart(tmp_path: Path) -> None:
    root = tmp_path / "a" / "run"
    same = {
        "images": np.zeros((len(UNTRUSTED), 5, 7, 3), np.uint8),
        "outputs": np.zeros((len(UNTRUSTED), 4), np.float32),
    }
    known = {"ids": UNTRUSTED, "class_names": UNTRUSTED[:4], "method": "../m" * 30}
    explanation(np.ones((len(UNTRUSTED), 1, 5, 7)), **same, **known).save(root)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert [path.name for path in root.parent.iterdir()] == ["run"]
    rows = read_manifest(root)
    assert [row["id"] for row in rows] == UNTRUSTED
    for column in set(manifest.FILES) - {"outline", "animation", "volume", "thumbnail", "picture_thumbnail"}:
        paths = [root / row[column] for row in rows]
        assert len({str(path).lower() for path in paths}) == len(UNTRUSTED)
        assert all(path.parent == root / f"{column}s" and len(path.name) < 160 for path in paths)
        assert all(path.is_file() for path in paths)


# Whole files


def test_a_file_is_flushed_then_renamed_then_its_folder_flushed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    fsync, replace = os.fsync, os.replace

    def watched_fsync(descriptor: int) -> None:
        mode = os.fstat(descriptor).st_mode
        done.append("flush folder" if stat.S_ISDIR(mode) else f"flush {os.fstat(descriptor).st_size}")
        fsync(descriptor)

    def watched_replace(source: Path, target: Path) -> None:
        assert source.parent == target.parent
        done.append(f"rename to {target.name}")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(os, "replace", watched_replace)
    atomic.write(tmp_path / "a.png", b"content")
    assert done == ["flush 7", "rename to a.png", "flush folder"]
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_files_come_before_their_row(run: DiskLogger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    appended = []

    def append(path: Path, row: dict[str, Any]) -> None:
        assert all((path.parent / row[column]).is_file() for column in manifest.FILES if row[column] is not None)
        assert sum(row[column] is not None for column in manifest.FILES) == 5
        appended.append(row["id"])

    monkeypatch.setattr(manifest, "append", append)
    run.log(example(n=2, k=1))
    assert appended == ["0", "1"]


def test_files_are_readable_as_the_umask_says(run: DiskLogger, tmp_path: Path) -> None:
    """Temporary files of the standard library are the owner's alone, and so would the pictures be."""
    before = os.umask(0o027)
    try:
        run.log(example(n=1, k=1))
        run.close()
    finally:
        os.umask(before)
    page = tmp_path / "run" / "index.html"
    assert stat.S_IMODE(page.stat().st_mode) == 0o640


def test_unfinished_files_of_dead_writers_go_away(tmp_path: Path) -> None:
    root = tmp_path / "run"
    example(n=1, k=1).save(root)
    left = [root / place / f".x.png{atomic.TEMPORARY}" for place in ("", *manifest.FOLDERS)]
    mine = root / "pictures" / ".mine.tmp"
    for name in manifest.FOLDERS:
        (root / name).mkdir(exist_ok=True)
    for path in (*left, mine):
        path.write_bytes(b"half a")
    DiskLogger(root).open(xaicore.Run())
    assert ([path.exists() for path in left], mine.exists()) == ([False] * 11, True)


def test_unfinished_files_of_live_writers_stay(
    run: DiskLogger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who opens a run waits until its writers are between two files."""
    root = tmp_path / "run"
    half = root / "maps" / f".x.npy{atomic.TEMPORARY}"
    half.parent.mkdir()
    monkeypatch.setattr(folder, "PATIENCE", 0.05)
    with RunFolder(root).locked():
        half.write_bytes(b"half a")
        with pytest.raises(xaicore.LoggerError, match=r"run is in use: another process has held \.lock for 0\.05 s"):
            DiskLogger(root).open(xaicore.Run())
        assert half.exists()


def test_a_writer_waits_for_another(run: DiskLogger, tmp_path: Path) -> None:
    run.log(example(n=1, k=1), step=0)
    writer = threading.Thread(target=run.log, args=(example(n=1, k=1), 1))
    with filelock.FileLock(tmp_path / "run" / ".lock"):
        writer.start()
        writer.join(0.1)
        assert len(read_manifest(tmp_path / "run")) == 1
    writer.join()
    assert len(read_manifest(tmp_path / "run")) == 2


# The manifest


def row(step: int | None = 0, k: int = 0, **values: Any) -> dict[str, Any]:
    """As older versions wrote them: without a group."""
    files = dict.fromkeys(("picture", "overlay", "heatmap", "map"))
    return {"step": step, "id": "a", "method": "m", "layer": "l", "k": k, **files, **values}


def test_the_last_row_of_a_key_counts_in_the_place_of_the_first(tmp_path: Path) -> None:
    path = tmp_path / "manifest.jsonl"
    for one in (row(0, score=1), row(1, score=2), row(None, score=3), row(0, k=1, score=4), row(0, score=5)):
        manifest.append(path, one)
    assert [one["score"] for one in read_manifest(path)] == [5, 2, 3, 4]
    assert read_manifest(tmp_path) == read_manifest(str(path))


@pytest.mark.parametrize("column", ["step", "id", "method", "layer", "k"])
def test_every_part_of_the_key_counts(tmp_path: Path, column: str) -> None:
    manifest.append(tmp_path / "manifest.jsonl", row())
    manifest.append(tmp_path / "manifest.jsonl", {**row(), column: 7 if column in ("step", "k") else "other"})
    assert len(read_manifest(tmp_path)) == 2


def test_in_a_group_the_place_counts_and_not_the_id(tmp_path: Path) -> None:
    path = tmp_path / "manifest.jsonl"
    fixed, worst = {"group": None, "slot": None}, {"group": "worst"}
    for one in (
        row(score=1),
        row(**worst, slot=0, score=2),
        row(**worst, slot=1, score=3),
        row(**fixed, score=4),  # replaces the row of the older version
        row(**{**worst, "id": "b"}, slot=0, score=5),
        row(step=1, **worst, slot=1, score=6),
        row(group="best", slot=1, score=7),
    ):
        manifest.append(path, one)
    assert [one["score"] for one in read_manifest(path)] == [4, 5, 3, 6, 7]


@settings(max_examples=30)
@given(cut=st.integers(1, 10_000))
def test_a_torn_last_line_is_overlooked_and_then_cut_off(tmp_path_factory: Any, cut: int) -> None:
    path = tmp_path_factory.mktemp("torn") / "manifest.jsonl"
    for score in (1, 2):
        manifest.append(path, row(score, score=score))
    whole = path.read_bytes()
    line = json.dumps(row(3, text="x" * 9000)).encode()
    path.write_bytes(whole + line[:cut])
    assert [one["score"] for one in read_manifest(path)] == [1, 2]
    manifest.append(path, row(4, score=4))
    assert [one["score"] for one in read_manifest(path)] == [1, 2, 4]
    assert path.read_bytes().startswith(whole)
    assert [json.loads(text)["score"] for text in path.read_bytes().splitlines()] == [1, 2, 4]


LONG = b"x" * 200_000  # longer than what is read at once


@pytest.mark.parametrize(
    "text", [b"", b"torn", b"a\n", b"a\ntorn", b"a\nb\n" + LONG, LONG, LONG + b"\n", LONG + b"\ntorn"]
)
def test_whole_lines_end_behind_the_last_line_feed(tmp_path: Path, text: bytes) -> None:
    file = tmp_path / "file"
    file.write_bytes(text)
    manifest.mend(file)
    assert file.read_bytes() == text[: text.rfind(b"\n") + 1]


def test_opening_cuts_off_a_torn_line(tmp_path: Path) -> None:
    example(n=1, k=1).save(tmp_path)
    path = tmp_path / "manifest.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:40])
    DiskLogger(tmp_path).open(xaicore.Run())
    assert path.read_bytes() == whole


def test_a_row_is_one_write_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[bytes] = []
    flushed: list[int] = []

    class Watched(FileIO):
        def write(self, data: Any) -> int:
            writes.append(bytes(data))
            return super().write(data)

    fsync = os.fsync

    def watched_fsync(descriptor: int) -> None:
        flushed.append(os.fstat(descriptor).st_size)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(manifest, "FileIO", Watched)
    for score in (1, 2):
        manifest.append(tmp_path / "manifest.jsonl", row(score, score=score))
    assert [(json.loads(data)["score"], data[-1:]) for data in writes] == [(1, b"\n"), (2, b"\n")]
    assert (tmp_path / "manifest.jsonl").read_bytes() == b"".join(writes)
    assert flushed == [len(writes[0]), len(writes[0] + writes[1])]


def test_lines_that_are_no_rows_are_skipped_aloud(tmp_path: Path) -> None:
    path = tmp_path / "manifest.jsonl"
    manifest.append(path, row(1))
    path.write_bytes(b'{"id": 3}\n[1]\n\x00\xff\n' + path.read_bytes())
    with pytest.warns(RuntimeWarning, match=r"manifest\.jsonl: 3 lines are no rows and were skipped"):
        assert [one["step"] for one in read_manifest(path)] == [1]


@pytest.mark.parametrize("column", ["id", "method", "layer", "group", "picture", "map", "thumbnail", "truth_name"])
@pytest.mark.parametrize("value", [7, ["x"], {"a": "x"}])
def test_a_row_of_another_program_is_no_row(tmp_path: Path, column: str, value: object) -> None:
    for one in (row(1), row(2, **{column: value}), row(3)):
        manifest.append(tmp_path / "manifest.jsonl", one)
    with pytest.warns(RuntimeWarning, match=r"manifest\.jsonl: 1 lines are no rows and were skipped"):
        assert [one["step"] for one in read_manifest(tmp_path)] == [1, 3]


@pytest.mark.parametrize("change", [{"id": None}, {"step": "x"}, {"step": [1]}, {"k": "0"}, {"slot": {}}])
def test_what_a_row_says_of_its_place(tmp_path: Path, change: dict[str, object]) -> None:
    manifest.append(tmp_path / "manifest.jsonl", {**row(1), **change})
    with pytest.warns(RuntimeWarning, match="1 lines are no rows"):
        assert read_manifest(tmp_path) == []


@pytest.mark.parametrize("change", [{"models": 3}, {"layers": None}, {"started": 7}, {"name": ["a"]}])
def test_an_about_that_another_program_changed_is_an_error(tmp_path: Path, change: dict[str, object]) -> None:
    with xaicore.open_loggers({"disk": {"root": tmp_path}}, on_error="raise", quiet=True):
        pass
    path = tmp_path / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    (name,) = change
    with (
        pytest.raises(
            xaicore.LoggerError, match=rf"run\.json was changed by another program: {name} cannot be read; cho"
        ),
        xaicore.open_loggers({"disk": {"root": tmp_path}}, on_error="raise", quiet=True),
    ):
        pass


def test_a_missing_manifest_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(xaicore.LoggerError, match=r"no manifest at .*nowhere: expected a run's folder or its manif"):
        read_manifest(tmp_path / "nowhere")


# What the system refuses


def test_a_root_that_is_a_file(tmp_path: Path) -> None:
    root = tmp_path / "file"
    root.write_text("in the way")
    with pytest.raises(
        xaicore.LoggerError,
        match=r"cannot write .*file: File exists; there is a file where a folder should be.*the option root",
    ):
        DiskLogger(root).open(xaicore.Run())
    with pytest.raises(xaicore.LoggerError, match=r"cannot write .*file.run: Not a directory; there is a file where"):
        DiskLogger(root / "run").open(xaicore.Run())


def test_a_folder_that_may_not_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def mkdir(path: Path, *_: Any, **__: Any) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "mkdir", mkdir)
    with pytest.raises(
        xaicore.LoggerError, match=r"cannot write .*run: Permission denied; make the folder writable, or choose"
    ):
        DiskLogger(tmp_path / "run").open(xaicore.Run())


@pytest.mark.parametrize("name", ["index.html", "manifest.jsonl"])
def test_somebody_elses_folder_is_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(xaicore.LoggerError, match=rf"{name} would be changed, but it is not this logger's: there is"):
        DiskLogger(tmp_path).open(xaicore.Run())
    assert (tmp_path / name).read_text() == "mine"


@pytest.mark.parametrize("text", ['{"epochs": 3}', "[]", "not json", '{"format": "xaicore-disk 2"}'])
def test_somebody_elses_run_json_is_left_alone(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(xaicore.LoggerError, match=r"run\.json is not this logger's: it has no format 'xaicore-disk 1'"):
        DiskLogger(tmp_path).open(xaicore.Run())
    assert (tmp_path / "run.json").read_text() == text


def full_disk(monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    """From now on, half of a file of this kind fits onto the disk."""

    class Full(FileIO):
        def write(self, data: Any) -> int:
            super().write(bytes(data)[: len(data) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def opened(path: Path, mode: str) -> Any:
        return Full(path, mode) if f"{suffix}{atomic.TEMPORARY}" in path.name else FileIO(path, mode)

    monkeypatch.setattr(whole, "open", opened, raising=False)
    if suffix == ".jsonl":
        monkeypatch.setattr(manifest, "FileIO", Full)


@pytest.mark.parametrize("suffix", [".npy", ".png", ".jsonl", ".html"])
def test_a_disk_that_is_full_leaves_nothing_half_written(
    run: DiskLogger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock, suffix: str
) -> None:
    root = tmp_path / "run"
    run.log(example(n=1, k=1), step=0)
    rows, page = read_manifest(root), (root / "index.html").read_text()
    full_disk(monkeypatch, suffix)
    clock.now += 3600  # a page is due again
    with pytest.raises(
        xaicore.LoggerError,
        match=rf"cannot write .*{suffix}: No space left on device; free some space on that disk",
    ):
        run.log(example(n=1, k=1, seed=2), step=1)
    assert read_manifest(root)[:1] == rows
    assert (root / "manifest.jsonl").read_bytes().endswith(b"}\n")
    assert (root / "index.html").read_text() == page
    assert [path.name for path in root.rglob(f"*{atomic.TEMPORARY}")] == []
    for path in root.rglob("*.npy"):
        assert np.load(path).shape == (5, 7)


def test_a_disk_that_is_full_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full_disk(monkeypatch, ".json")
    with pytest.raises(xaicore.LoggerError, match=r"cannot write .*run\.json: No space left on device"):
        DiskLogger(tmp_path).open(xaicore.Run())


def test_a_full_disk_stops_the_logger_and_not_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with xaicore.open_loggers({"disk": {"root": tmp_path}}) as loggers:
        loggers(example(n=1, k=1), step=0)
        full_disk(monkeypatch, ".npy")
        with pytest.warns(RuntimeWarning, match="'disk' is switched off: log raised LoggerError: .*No space left"):
            loggers(example(n=1, k=1), step=1)
        loggers(example(n=1, k=1), step=2)
    assert [one["step"] for one in read_manifest(tmp_path)] == [0]
    monkeypatch.undo()
    with xaicore.open_loggers({"disk": {"root": tmp_path}}, on_error="raise") as loggers:
        loggers(example(n=1, k=1), step=1)
    assert [one["step"] for one in read_manifest(tmp_path)] == [0, 1]


def test_an_interrupt_leaves_nothing_half_written(
    run: DiskLogger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run.log(example(n=1, k=1))
    assert list((tmp_path / "run").rglob(f"*{atomic.TEMPORARY}")) == []
    run.log(example(n=1, k=1))  # the lock is free again
    assert len(read_manifest(tmp_path / "run")) == 1
