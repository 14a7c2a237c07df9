"""The rows of a data set's maps: what they hold, and that table libraries read them."""

from __future__ import annotations

import dataclasses
import importlib
from pathlib import Path

import numpy as np
import pytest
from explanations import example, explanation

from xaicore import InputError, localize
from xaicore.dataset.rows import error_rows, joined, rows_of
from xaicore.dataset.schema import ABOUT, COLUMNS, about_of, schema
from xaicore.dataset.sketch import is_sketched, sketch

pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

NAMES = ["cat", "dog", "fox", "ant"]


def known(**options):
    return example(n=3, k=2, truth=[1, -1, 3], ids=["a.png", "b.png", "c.png"], class_names=NAMES, **options)


def test_a_row_holds_what_the_explanation_knows():
    one = known()
    row = rows_of(one, positions=[7, 8, 9], paths=["in/a.png", None, "in/c.png"]).to_pylist()[4]
    expected = one.row(4)
    assert (row["id"], row["position"], row["path"], row["k"]) == ("c.png", 9, "in/c.png", 0)
    assert (row["target"], row["target_name"]) == (expected["target"], NAMES[expected["target"]])
    assert row["score"] == np.float32(expected["score"])
    assert row["raw_score"] == one.outputs[2].max()
    assert (row["prediction"], row["prediction_name"]) == (expected["predicted"], expected["predicted_name"])
    assert (row["truth"], row["truth_names"], row["right"]) == ([3], ["ant"], expected["predicted"] == 3)
    assert np.array_equal(row["outputs"], one.outputs[2])
    assert (row["map_shape"], row["input_size"]) == ([5, 7], [14, 18])
    assert row["maximum"] == one.maps[4].max()
    assert row["evidence"] == pytest.approx(one.maps[4].mean(), rel=1e-6)
    assert np.abs(np.array(row["map"]) - one.maps[4].reshape(-1) / one.maps[4].max()).max() < 5e-4
    assert max(row["map"]) == 1
    assert (row["method"], row["layer"], row["empty"], row["error"]) == ("given", "conv", False, None)
    assert [row[name] for name in ("target_box", "true_boxes", "share")] == [None] * 3


def test_an_unknown_truth_is_null():
    row = rows_of(known()).to_pylist()[2]
    assert [row[name] for name in ("truth", "truth_names", "right")] == [None] * 3
    assert row["position"] == 1


def test_a_map_without_evidence_is_zeros_and_a_signed_one_is_divided_by_its_magnitude():
    maps = np.zeros((2, 1, 2, 2), np.float32)
    maps[1, 0] = [[-4, 1], [0, 2]]
    rows = rows_of(explanation(maps, signed=True)).to_pylist()
    assert rows[0]["map"] == [0] * 4
    assert (rows[0]["maximum"], rows[0]["empty"]) == (0, True)
    assert rows[1]["map"] == [-1, 0.25, 0, 0.5]
    assert (rows[1]["maximum"], rows[1]["evidence"], rows[1]["signed"]) == (4, 0.75, True)


def test_many_outputs_are_not_kept():
    outputs = np.random.default_rng(0).normal(size=(2, 33)).astype(np.float32)
    table = rows_of(explanation(np.ones((2, 1, 3, 3)), outputs=outputs))
    assert table["outputs"].to_pylist() == [None, None]
    assert table["raw_score"].to_pylist() == outputs.max(axis=1).tolist()


def test_shares_are_those_of_localize():
    one = known()
    boxes = [[2, 3, 9, 12], [0, 0, 18, 14], [5, 0, 6, 14]]
    classes = [int(one.targets[0])] * 3
    table = rows_of(one, boxes=boxes, box_classes=classes)
    measured = localize.evaluate(one, boxes, classes=classes)
    assert [row["true_boxes"] for row in table.to_pylist()[::2]] == [[box] for box in boxes]
    shares = [np.nan if share is None else share for share in table["share"].to_pylist()]
    assert np.allclose(shares, measured.share, rtol=1e-6, equal_nan=True)
    assert 0 < shares[0] < 1
    assert table["share"][1].as_py() is None
    every = localize.shares(one, boxes, classes="any")
    assert every[2] == pytest.approx(1)
    evidence = one.heatmap(0, "none")
    assert every[0] == pytest.approx(evidence[3:12, 2:9].sum() / evidence.sum())


def test_shares_of_an_empty_map_are_zero():
    one = explanation(np.zeros((1, 1, 4, 4)))
    assert localize.shares(one, [[0, 0, 2, 2]], classes="any").tolist() == [0]


def test_error_rows_have_a_reason_and_nothing_of_a_map():
    table = error_rows(
        ["x.png"], ["x.png is an empty file"], positions=[5], paths=["x.png"], truth=[[2, 1]], class_names="ab"
    )
    row = table.to_pylist()[0]
    told = {"id": "x.png", "position": 5, "path": "x.png", "k": 0, "error": "x.png is an empty file"}
    told |= {"truth": [2, 1], "truth_names": ["2", "b"]}
    assert {name: value for name, value in row.items() if value is not None} == told
    assert table.schema.equals(rows_of(known()).schema)


def test_joined_tables_are_in_the_order_of_the_source():
    one = known()
    parts = [error_rows(["x", "y"], ["bad", "worse"], positions=[0, 4]), rows_of(one, positions=[1, 3, 2])]
    table = joined(parts)
    assert table["id"].to_pylist() == ["x", "a.png", "a.png", "c.png", "c.png", "b.png", "b.png", "y"]
    assert table["k"].to_pylist() == [0, 0, 1, 0, 1, 0, 1, 0]
    assert about_of(table.schema, "it")["model"] == one.model
    assert about_of(joined(parts[:1]).schema, "it") == {"format": 1}


def test_maps_of_several_sizes_join():
    small, large = (explanation(np.ones((1, 1, side, side))) for side in (2, 3))
    table = joined([rows_of(small), rows_of(large, positions=[1])])
    assert table["map_shape"].to_pylist() == [[2, 2], [3, 3]]
    assert [len(one) for one in table["map"].to_pylist()] == [4, 9]


def test_tables_of_other_models_do_not_join():
    one = rows_of(known())
    other = rows_of(dataclasses.replace(known(), model="other.Net"))
    with pytest.raises(InputError, match=r"tables differ in model: .* and 'other.Net'; expected maps of one run"):
        joined([one, other])
    with pytest.raises(InputError, match="no tables to join"):
        joined([])


def test_counts_are_checked():
    with pytest.raises(InputError, match="2 positions for 3 pictures: expected one per picture"):
        rows_of(known(), positions=[0, 1])
    with pytest.raises(InputError, match="0 errors for 1 pictures"):
        error_rows(["a"], [])


def test_other_tables_and_later_formats_are_refused():
    with pytest.raises(InputError, match=r"a\.parquet has the columns x, and nothing in its schema says"):
        about_of(pa.schema([("x", pa.int32())]), "a.parquet")
    later = pa.schema([("x", pa.int32())], metadata={ABOUT: b'{"format": 2}'})
    with pytest.raises(InputError, match="the format 2, and this version of xaicore reads up to 1: pip install -U"):
        about_of(later, "a.parquet")


def test_a_sketch_tells_pictures_and_frames_apart():
    y, x = np.mgrid[:64, :64]
    picture = np.stack([4 * x, 4 * y, 2 * (x + y)], axis=-1).astype(np.uint8)
    assert is_sketched(picture, sketch(picture))
    assert is_sketched(np.minimum(picture, 254) + 1, sketch(picture))  # another decoder
    assert not is_sketched(picture[4:60, 4:60], sketch(picture))  # another frame
    assert not is_sketched(picture[:, ::-1], sketch(picture))


def test_only_given_pictures_have_a_sketch():
    one = known()
    assert rows_of(one)["sketch"].to_pylist()[::2] == [sketch(picture) for picture in one.images]
    assert rows_of(known(images=None))["sketch"].null_count == 6


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("rows") / "part-00000.parquet"
    rows = rows_of(known(), positions=[0, 2, 3], boxes=[[1, 2, 3, 4]] * 3, box_classes="any")
    parquet.write_table(joined([rows, error_rows(["x"], ["bad"], positions=[1])]), path)
    return path


MAP = rows_of(known())["map"][0].as_py()


def test_pyarrow_reads_all_columns_back(written):
    table = parquet.read_table(written)
    assert table.schema.equals(schema())
    assert table.column_names == list(COLUMNS)
    assert about_of(table.schema, "it")["asked"] == "top 2"
    assert table["error"].to_pylist() == [None, None, "bad", *[None] * 4]


def read_by_pandas(pandas, path):
    return pandas.read_parquet(path)["map"].tolist()


def read_by_polars(polars, path):
    return polars.read_parquet(path)["map"].to_list()


def read_by_duckdb(duckdb, path):
    return [row[0] for row in duckdb.sql(f"select map from '{path}' order by position, k").fetchall()]


def read_by_datasets(datasets, path):
    parts = datasets.load_dataset("parquet", data_files=str(path), split="train", cache_dir=str(path.parent / "cache"))
    return parts["map"][:]


@pytest.mark.parametrize("read", [read_by_pandas, read_by_polars, read_by_duckdb, read_by_datasets])
def test_table_libraries_read_the_maps(read, written, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    name = read.__name__.removeprefix("read_by_")
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed")
    maps = read(importlib.import_module(name), written)
    assert len(maps) == 7
    assert maps[2] is None
    assert np.array_equal(maps[0], MAP)
