"""Shards of WebDataset as sources of `explain_dataset`."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
from picture_sets import backend, preprocess, write_pictures
from recorder import Recorder

import xaicore

parquet = pytest.importorskip("pyarrow.parquet")
webdataset = pytest.importorskip("webdataset")
pytest.importorskip("PIL")

LABELS = [0, 1, 2, 3, 0]


def rows(out: Path) -> list[dict]:
    return [row for part in sorted((out / "parts").glob("*.parquet")) for row in parquet.read_table(part).to_pylist()]


def run(source, out, **options):
    known = {"preprocess": preprocess, "backend": backend(), "layer": "second", "shard_size": 2, "batch_size": 2}
    return xaicore.explain_dataset(object(), source, out, **{**known, **options})


@pytest.fixture
def shard(tmp_path: Path):
    paths = write_pictures(tmp_path / "photos", 5)
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for path, label in zip(paths, LABELS, strict=True):
            for suffix, content in (("png", path.read_bytes()), ("cls", str(label).encode())):
                entry = tarfile.TarInfo(f"{path.stem}.{suffix}")
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
    return paths, str(tmp_path / "a.tar")


def test_rows_are_those_of_the_files(tmp_path: Path, shard) -> None:
    paths, url = shard
    run(paths, tmp_path / "list", truth=LABELS, ids=[path.stem for path in paths])
    source = webdataset.WebDataset(url, shardshuffle=False).decode("pil")
    run(source, tmp_path / "out")
    expected = rows(tmp_path / "list")
    assert rows(tmp_path / "out") == [{**row, "path": None} for row in expected]
    run(source.to_tuple("png", "cls"), tmp_path / "pairs")
    assert [row["map"] for row in rows(tmp_path / "pairs")] == [row["map"] for row in expected]
    assert [row["id"] for row in rows(tmp_path / "pairs")] == list("01234")


def test_what_is_encoded_or_shuffled_is_refused(tmp_path: Path, shard) -> None:
    _, url = shard
    source = webdataset.WebDataset(url, shardshuffle=False)
    with pytest.raises(xaicore.InputError, match=r"0 of them are images: .*\.decode\('pil'\) of WebDataset"):
        run(source, tmp_path / "out")
    with pytest.raises(xaicore.InputError, match="is another one each time the source is read"):
        run(webdataset.WebDataset(url, shardshuffle=False).shuffle(100).decode("pil"), tmp_path / "out")


def test_a_pool_of_a_monitor_has_the_same_names(shard) -> None:
    paths, url = shard
    source = webdataset.WebDataset(url, shardshuffle=False).decode("pil")
    known = {"preprocess": preprocess, "backend": backend(), "layer": "second", "loggers": [Recorder()]}
    with xaicore.Monitor(None, str(paths[0]), worst=5, pool=source, **known) as monitor:
        _, worst = monitor.step(0)
    names = [path.stem for path in paths]
    assert dict(zip(worst.ids, worst.truth.tolist(), strict=True)) == dict(zip(names, LABELS, strict=True))
