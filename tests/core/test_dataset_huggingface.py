"""Data sets of Hugging Face as sources of `explain_dataset`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from picture_sets import backend, preprocess, write_pictures
from recorder import Recorder

import xaicore
from xaicore.pictures import File

parquet = pytest.importorskip("pyarrow.parquet")
datasets = pytest.importorskip("datasets")

NAMES = ["d", "c", "b", "a"]
LABELS = [0, 1, 2, 3, 0]


def rows(out: Path) -> list[dict]:
    return [row for part in sorted((out / "parts").glob("*.parquet")) for row in parquet.read_table(part).to_pylist()]


def run(source, out, **options):
    known = {"preprocess": preprocess, "backend": backend(), "layer": "second", "shard_size": 2, "batch_size": 2}
    return xaicore.explain_dataset(object(), source, out, **{**known, **options})


def data_of(paths, **columns):
    features = {"image": datasets.Image(), "label": datasets.ClassLabel(names=NAMES)}
    features |= {name: datasets.Value("int64") for name in columns}
    pictures = {"image": [str(path) for path in paths], "label": LABELS}
    return datasets.Dataset.from_dict({**pictures, **columns}, features=datasets.Features(features))


def test_rows_are_those_of_the_files(tmp_path: Path) -> None:
    paths = write_pictures(tmp_path / "photos", 5)
    run(paths, tmp_path / "list", truth=["dcbad"[n] for n in range(5)], class_names=list("abcd"))
    for name, names in (("own", None), ("model", list("abcd"))):
        run(data_of(paths), tmp_path / name, class_names=names, targets="truth")
        found = rows(tmp_path / name)
        assert [row["id"] for row in found] == [row["path"] for row in found] == [str(path) for path in paths]
        assert [row["truth_names"] for row in found] == [[NAMES[label]] for label in LABELS]
        truth = LABELS if names is None else [3 - label for label in LABELS]
        assert [row["target"] for row in found] == truth
    run(data_of(paths), tmp_path / "predicted", class_names=list("abcd"))
    assert rows(tmp_path / "predicted") == rows(tmp_path / "list")


def test_a_part_keeps_its_paths_and_labels(tmp_path: Path) -> None:
    paths = write_pictures(tmp_path / "photos", 5)
    run(data_of(paths).select([3, 1]), tmp_path / "out")
    assert [row["id"] for row in rows(tmp_path / "out")] == [str(paths[3]), str(paths[1])]
    assert [row["truth"] for row in rows(tmp_path / "out")] == [[3], [1]]


def test_pictures_without_files_are_named_by_position(tmp_path: Path) -> None:
    pillow = pytest.importorskip("PIL.Image")
    pictures = [pillow.fromarray(np.full((6, 6, 3), n, np.uint8)) for n in range(5)]
    run(datasets.Dataset.from_dict({"image": pictures, "label": LABELS}), tmp_path / "out")
    assert [row["id"] for row in rows(tmp_path / "out")] == list("01234")
    assert [row["truth"] for row in rows(tmp_path / "out")] == [[label] for label in LABELS]


def test_a_transform_makes_inputs(tmp_path: Path) -> None:
    paths = write_pictures(tmp_path / "photos", 5)

    def transform(batch):
        return {"x": [preprocess(np.asarray(image))[0] for image in batch["image"]], "label": batch["label"]}

    run(data_of(paths).with_transform(transform), tmp_path / "out", preprocess=None)
    run(paths, tmp_path / "list")
    assert [row["map"] for row in rows(tmp_path / "out")] == [row["map"] for row in rows(tmp_path / "list")]
    assert [row["truth"] for row in rows(tmp_path / "out")] == [[label] for label in LABELS]


def test_other_columns_do_not_matter_and_two_labels_do(tmp_path: Path) -> None:
    paths = write_pictures(tmp_path / "photos", 5)
    run(data_of(paths, width=LABELS), tmp_path / "out")
    both = data_of(paths, labels=LABELS)
    with pytest.raises(
        xaicore.InputError, match=r"label and labels are labels: .*\.select_columns\(\[image, label\]\)"
    ):
        run(both, tmp_path / "both")
    run(both.select_columns(["image", "label"]), tmp_path / "both")
    encoded = data_of(paths).cast_column("image", datasets.Image(decode=False))
    with pytest.raises(xaicore.InputError, match=r"0 of them are images: .*cast_column\(name, datasets\.Image\(\)\)"):
        run(encoded, tmp_path / "encoded")


def test_a_pool_of_a_monitor_has_the_same_pictures(tmp_path: Path) -> None:
    paths = write_pictures(tmp_path / "photos", 5)
    known = {"preprocess": preprocess, "backend": backend(), "layer": "second", "class_names": list("abcd")}
    x = np.stack([preprocess(File(path).read())[0] for path in paths[:1]])
    for pool, ids in (
        (data_of(paths), [str(path) for path in paths]),
        (data_of(paths).to_iterable_dataset(), list("01234")),
    ):
        with xaicore.Monitor(None, x, worst=5, pool=pool, loggers=[Recorder()], **known) as monitor:
            _, worst = monitor.step(0)
        truth = dict(zip(worst.ids, worst.truth.tolist(), strict=True))
        assert truth == dict(zip(ids, [3 - label for label in LABELS], strict=True))
