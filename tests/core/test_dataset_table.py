"""The questions that a table of maps answers, against NumPy."""

from __future__ import annotations

import dataclasses
import pickle
import re
import sys

import numpy as np
import pytest

pa = pytest.importorskip("pyarrow")

from explanations import explanation, strip  # noqa: E402
from maprun import NAMES, SIZE, pictures_in, run_of, write_run  # noqa: E402

import xaicore  # noqa: E402
from xaicore import DependencyError, InputError  # noqa: E402
from xaicore.dataset.rows import joined, rows_of  # noqa: E402
from xaicore.dataset.schema import COLUMNS  # noqa: E402

pc = pytest.importorskip("pyarrow.compute")


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    return pictures_in(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def one(paths):
    return run_of(paths)


BOXES = [[2, 3, 12, 14]] * 10


@pytest.fixture(scope="module")
def table(tmp_path_factory, one, paths):
    return xaicore.open_maps(write_run(tmp_path_factory.mktemp("runs") / "val", one, paths, boxes=BOXES))


def ids_of(table):
    return table.to_arrow(["id"])["id"].to_pylist()


def test_it_says_what_it_holds(table):
    assert repr(table) == (
        "<MapTable of val: 10 maps of 10 pictures, given at conv of NoneType; 7 right, 3 wrong; 1 error>"
    )
    assert len(table) == 11
    assert table.counts.is_finished
    assert table.run["fingerprint"]["pictures"] == 11


def test_a_run_that_is_not_finished_says_how_much_is_done(tmp_path, one, paths):
    table = xaicore.open_maps(write_run(tmp_path / "half", one, paths, planned=4000))
    assert repr(table).endswith("1 error; not finished: 11 of 4,000 pictures are done>")
    assert "not finished" not in repr(table.mistakes())
    (tmp_path / "begun" / "parts").mkdir(parents=True)
    (tmp_path / "begun" / "run.json").write_text('{"fingerprint": {"pictures": 9}}')
    empty = xaicore.open_maps(tmp_path / "begun")
    assert repr(empty) == "<MapTable of begun: 0 maps of 0 pictures; not finished: 0 of 9 pictures are done>"
    assert len(empty.mistakes()) == len(empty.errors()) == 0
    assert empty.confusions() == empty.class_means() == []
    with pytest.raises(InputError, match="this table has no maps to explain"):
        empty.explanation()


def test_mistakes_are_the_surest_first(table, one, paths):
    mistakes = table.mistakes()
    assert ids_of(mistakes) == [paths[3], paths[6], paths[1]]
    scores = mistakes.to_arrow(["score"])["score"].to_pylist()
    assert scores == sorted(scores, reverse=True)
    assert scores[0] == np.float32(one.scores[3])


def test_mistakes_of_true_targets_begin_with_the_lowest_score(tmp_path, one, paths):
    of_truth = dataclasses.replace(one, targets=one.truth, scores=np.linspace(0.9, 0.1, 10))
    table = xaicore.open_maps(write_run(tmp_path / "truth", of_truth, paths))
    assert ids_of(table.mistakes()) == [paths[6], paths[3], paths[1]]


def test_errors_have_their_reasons(table):
    assert table.errors().to_arrow(["id", "error"]).to_pylist() == [
        {"id": "broken.png", "error": "broken.png is an empty file"}
    ]


def test_lowest_evidence_is_by_share_where_boxes_are_known(table, one, paths):
    shares = xaicore.localize.shares(one, BOXES, classes="any")
    assert ids_of(table.lowest_evidence(3)) == [paths[i] for i in np.argsort(shares)[:3]]
    means = one.maps.reshape(10, -1).mean(axis=1)
    assert ids_of(table.lowest_evidence(4, by="evidence")) == [paths[i] for i in np.argsort(means)[:4]]
    assert len(table.lowest_evidence()) == 10


def test_lowest_evidence_without_boxes(tmp_path, one, paths):
    table = xaicore.open_maps(write_run(tmp_path / "plain", one, paths))
    means = one.maps.reshape(10, -1).mean(axis=1)
    assert ids_of(table.lowest_evidence(2)) == [paths[i] for i in np.argsort(means)[:2]]
    with pytest.raises(InputError, match="no row has a share of evidence in true boxes: pass boxes= to explain_dat"):
        table.lowest_evidence(2, by="share")


def test_class_means_are_means_of_maps_divided_by_their_maxima(table, one):
    normal = one.maps / one.maps.max(axis=(1, 2), keepdims=True)
    found = table.class_means()
    assert [(mean.name, mean.count) for mean in found] == [("cat", 3), ("dog", 3), ("fox", 2), ("ant", 2)]
    for mean in found:
        members = one.targets == mean.target
        assert NAMES[mean.target] == mean.name
        assert np.allclose(mean.map, normal[members].mean(axis=0), atol=5e-4)
        assert mean.right == pytest.approx(np.mean(np.array(one.right)[members]))
        assert mean.score == pytest.approx(one.scores[members].mean(), rel=1e-6)
        assert mean.share == pytest.approx(xaicore.localize.shares(one, BOXES, classes="any")[members].mean(), rel=1e-6)


def test_confusions_have_both_mean_maps(table, one):
    normal = one.maps / one.maps.max(axis=(1, 2), keepdims=True)
    found = table.confusions()
    assert [(pair.truth_name, pair.prediction_name, pair.count, pair.of) for pair in found] == [
        ("cat", "dog", 1, 6),
        ("cat", "fox", 1, 6),
        ("cat", "ant", 1, 6),
    ]
    assert np.allclose(found[0].wrong_map, normal[1], atol=5e-4)
    assert np.allclose(found[2].wrong_map, normal[3], atol=5e-4)
    assert np.allclose(found[0].right_map, normal[[0, 4, 8]].mean(axis=0), atol=5e-4)
    assert len(table.confusions(2)) == 2
    assert "array" not in f"{found[0]} {table.class_means()[0]}"


def test_means_of_a_selection_leave_the_rest_out(table, one):
    some = table.filter(pc.field("position") < 5)
    normal = one.maps / one.maps.max(axis=(1, 2), keepdims=True)
    cat = next(mean for mean in some.class_means() if mean.name == "cat")
    assert np.allclose(cat.map, normal[[0, 4]].mean(axis=0), atol=5e-4)
    assert some.confusions()[0].right_map is not None
    assert table.mistakes().confusions()[0].right_map is None


def test_means_of_several_sizes_are_of_the_finest(tmp_path, paths):
    small, large = (explanation(np.ones((1, 1, side, side)), ids=[str(side)]) for side in (2, 3))
    folder = tmp_path / "sizes"
    (folder / "parts").mkdir(parents=True)
    rows = joined([rows_of(small), rows_of(large, positions=[1])])
    pa.parquet.write_table(rows, folder / "parts" / "part-00000.parquet")
    table = xaicore.open_maps(folder)
    assert all(np.array_equal(mean.map, np.ones((3, 3))) for mean in table.class_means())
    with pytest.raises(InputError, match=r"maps of shape \(2, 2\) and \(3, 3\) do not fit into one explanation"):
        table.explanation(images=None)


def test_means_of_maps_with_other_axes_are_refused(tmp_path):
    flat, line = explanation(np.ones((1, 1, 2, 2)), ids=["a"]), explanation(np.ones((1, 1, 4)), ids=["b"])
    folder = tmp_path / "axes"
    (folder / "parts").mkdir(parents=True)
    pa.parquet.write_table(
        joined([rows_of(flat), rows_of(line, positions=[1])]), folder / "parts" / "part-00000.parquet"
    )
    with pytest.raises(InputError, match=r"maps of shapes \(2, 2\) and \(4,\) have no common mean: filter the table"):
        xaicore.open_maps(folder).class_means()


def test_filters_compose_and_keep_the_order(table, paths):
    expected = [paths[6], paths[1]]
    mistakes = table.mistakes()
    assert ids_of(mistakes.filter(pc.field("prediction") < 3)) == expected
    assert ids_of(mistakes.filter(lambda row: row["prediction_name"] != "ant")) == expected
    assert ids_of(mistakes.filter(mistakes.to_pandas()["prediction"] < 3)) == expected
    assert ids_of(mistakes.filter(lambda row: False)) == []
    assert ids_of(table.filter(pc.field("truth_names").is_null())) == ["broken.png"]


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        (pc.field("scores") < 1, r"filter\(\(scores < 1\)\): No match for FieldRef.Name\(scores\).*Columns: id, pos"),
        (pc.field("id") == 1, r"filter\(\(id == 1\)\): .*Columns: id, position"),
        ([True, False], r"filter\(builtins.list of shape \(2,\) and type bool\) of 11 rows: expected an expression"),
        ("score < 1", "type <U9.*such as pyarrow.compute.field"),
    ],
)
def test_conditions_that_are_none(table, condition, message):
    with pytest.raises(InputError, match=f"(?s){message}"):
        table.filter(condition)


def test_a_sample_is_always_the_same(table):
    assert ids_of(table.sample(4)) == ids_of(table.sample(4))
    assert ids_of(table.sample(4)) != ids_of(table.sample(4, seed=1))
    assert len(table.sample(100)) == 10


def test_an_explanation_comes_back(table, one, paths):
    back = table.explanation()
    assert np.abs(back.maps - one.maps).max() <= one.maps.max() * 5e-4
    assert back.maps.max(axis=(1, 2)).tolist() == one.maps.max(axis=(1, 2)).tolist()
    for name in ("image_index", "targets", "predicted", "truth", "empty", "outputs", "images"):
        assert np.array_equal(getattr(back, name), getattr(one, name)), name
    assert np.allclose(back.scores, one.scores, rtol=1e-6)
    for name in ("outputs_kind", "input_size", "ids", "class_names", "method", "layer", "model", "target", "views"):
        assert getattr(back, name) == getattr(one, name), name
    assert back.names is None
    assert back.target_boxes is None
    assert [back.row(m)["raw_score"] for m in range(10)] == [one.row(m)["raw_score"] for m in range(10)]
    assert np.abs(back.overlay(3).astype(int) - one.overlay(3)).max() <= 4


def test_an_explanation_of_some_ids_keeps_their_order(table, one, paths):
    back = table.explanation([paths[8], paths[2]])
    assert back.ids == (paths[8], paths[2])
    assert np.allclose(back.maps, one.maps[[8, 2]], rtol=1e-3)
    assert np.array_equal(back.images, one.images[[8, 2]])
    assert table.explanation(paths[4]).ids == (paths[4],)
    assert table.mistakes().explanation().ids == (paths[3], paths[6], paths[1])


def test_an_explanation_of_rows_is_taken_pickled_saved_and_evaluated(table, one, tmp_path):
    back = table.explanation()
    assert np.array_equal(back.take([7]).images, one.images[[7]])
    assert np.array_equal(pickle.loads(pickle.dumps(back)).images, one.images)
    page = back.take([0, 1]).save(tmp_path / "gallery")
    assert len(list((page.parent / "overlays").iterdir())) == 2
    measured = xaicore.localize.evaluate(back, BOXES)
    assert measured.energy.value == pytest.approx(xaicore.localize.evaluate(one, BOXES).energy.value, rel=1e-3)


def test_several_targets_and_their_boxes_come_back(tmp_path, paths):
    two = run_of(paths, k=2, truth=[0, 1, -1, 3, 0, 1, 2, 3, 0, 1])
    boxes = np.full((20, 4), np.nan)
    boxes[5] = [1, 2, 3, 4]
    two = dataclasses.replace(two, target_boxes=boxes, names=np.array([f"thing {m}" for m in range(20)]))
    table = xaicore.open_maps(write_run(tmp_path / "two", two, paths))
    back = table.explanation()
    assert np.array_equal(back.targets, two.targets)
    assert np.array_equal(back.target_boxes, boxes, equal_nan=True)
    assert back.target_name(7) == "thing 7"
    assert back.class_names == two.class_names
    assert np.array_equal(back.truth, two.truth)
    low = table.filter(pc.field("k") == 1).explanation()
    assert np.allclose(low.maps, two.maps[1::2], rtol=1e-3)
    with pytest.raises(InputError, match="pictures with this many targets: 1 and 2 do not fit into one explanation"):
        table.filter(pc.field("position") + pc.field("k") > 0).explanation()


CLIP = strip(np.random.default_rng(0).random((3, 2, 4, 5, 6)), None, ["a", "b", "c", "d"], frames=4)
VOLUME = explanation(np.random.default_rng(0).random((3, 1, 4, 5, 6)), (8, 10, 12))
SIGNED = explanation(np.random.default_rng(0).normal(size=(3, 1, 9)), (90,), signed=True)


@pytest.mark.parametrize(
    ("one", "what"),
    [(CLIP, "5 x 6, 4 views per image,"), (VOLUME, "8 x 10 x 12"), (SIGNED, "90")],
    ids=["clip", "volume", "signal"],
)
def test_clips_volumes_and_signals_come_back(tmp_path, one, what):
    (tmp_path / "parts").mkdir()
    pa.parquet.write_table(rows_of(one), tmp_path / "parts" / "part-00000.parquet")
    table = xaicore.open_maps(tmp_path)
    back = table.explanation(images=None)
    assert np.abs(back.maps - one.maps).max() <= np.abs(one.maps).max() * 5e-4
    for name in ("views", "view_names", "frames", "positions", "form", "signed", "of_pixels", "input_size"):
        assert getattr(back, name) == getattr(one, name), name
    assert table.class_means()[0].map.shape == one.maps.shape[1:]
    with pytest.raises(InputError, match=f"maps over inputs of {what} have no one picture in a file: pass images=, or"):
        table.explanation()
    assert "Classes" in table.page(gallery=0).read_text()


def test_several_labels_come_back(tmp_path, paths):
    truth = np.zeros((10, 4), bool)
    truth[0, [1, 2]] = True
    truth[5, 3] = True
    several = dataclasses.replace(run_of(paths), truth=truth)
    back = xaicore.open_maps(write_run(tmp_path / "labels", several, paths)).explanation()
    assert np.array_equal(back.truth, truth)
    assert back.row(0)["truth_name"] == "dog, fox"
    mixed = run_of(paths)
    folder = write_run(tmp_path / "mixed", dataclasses.replace(several, truth=truth), paths)
    other = write_run(tmp_path / "other", dataclasses.replace(mixed, truth=np.full(10, -1)), paths)
    (other / "parts" / "part-00001.parquet").replace(folder / "parts" / "part-00001.parquet")
    with pytest.raises(InputError, match=r"the truth of '.*04.png' is unknown, and other pictures have several labels"):
        xaicore.open_maps(folder).explanation()


def test_outputs_that_were_not_kept_are_nan_but_for_the_targets(tmp_path, paths):
    outputs = np.random.default_rng(0).normal(size=(10, 50)).astype(np.float32)
    many = explanation(np.ones((10, 1, 3, 3)), SIZE, outputs=outputs, ids=paths, truth=outputs.argmax(axis=1))
    back = xaicore.open_maps(write_run(tmp_path / "many", many, paths)).explanation(images=None)
    assert back.outputs.shape == (10, 50)
    assert np.isnan(back.outputs).sum() == 490
    assert [back.raw_score(m) for m in range(10)] == [many.raw_score(m) for m in range(10)]
    assert np.array_equal(back.predicted, many.predicted)
    measured = xaicore.localize.evaluate(back, [[0, 0, 9, 9]] * 10)
    assert measured.top5_error is None
    assert measured.notes == ("Top-1 and top-5 errors need the scores of all classes, and some outputs are NaN.",)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ("broken.png", "'broken.png' has no map: broken.png is an empty file"),
        (["broken.pgn"], "there is no picture 'broken.pgn' in this table; did you mean 'broken.png'?"),
        ([], "this table has no maps to explain"),
    ],
)
def test_pictures_without_a_map_are_refused(table, ids, message):
    with pytest.raises(InputError, match=re.escape(message)):
        table.explanation(ids)


def test_maps_of_several_methods_are_chosen_first(tmp_path, one, paths):
    folder = write_run(tmp_path / "methods", one, paths)
    other = rows_of(dataclasses.replace(one, method="other").take([0]), paths=paths[:1])
    pa.parquet.write_table(other, folder / "parts" / "part-00009.parquet")
    table = xaicore.open_maps(folder)
    advice = r"class_means of given at conv and other at conv: choose one, such as table.filter\((.*)\)$"
    with pytest.raises(InputError, match=advice) as caught:
        table.class_means()
    typed = re.search(advice, str(caught.value)).group(1)
    assert sum(mean.count for mean in table.filter(eval(typed)).class_means()) == 10
    with pytest.raises(InputError, match="this many targets: 2 and 1 do not fit"):
        table.explanation()


def test_columns_and_files_that_are_not_there(table, tmp_path, one, paths):
    with pytest.raises(InputError, match="there is no column 'scores'; did you mean 'score'"):
        table.to_arrow(["scores"])
    with pytest.raises(InputError, match=r"vall is no folder; did you mean .*val'\?"):
        xaicore.open_maps(table.folder.parent / "vall")
    with pytest.raises(InputError, match=r"has no folder 'parts' with Parquet files: expected the out= of xaicore.exp"):
        xaicore.open_maps(table.folder / "parts")
    folder = write_run(tmp_path / "cut", one, paths)
    part = folder / "parts" / "part-00001.parquet"
    part.write_bytes(part.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"part-00001.parquet is no whole Parquet file: .*[^.]; remove it, and resume"):
        len(xaicore.open_maps(folder))
    part.unlink()
    part.symlink_to(part.name)  # to itself: the system's fault, and the file may be whole
    with pytest.raises(InputError, match=r"part-00001.parquet cannot be read: .*; open the maps again where it can be"):
        len(xaicore.open_maps(folder))


def test_batches_are_read_part_by_part(table, one):
    batches = list(table.batches())
    assert [len(batch) for batch in batches] == [4, 4, 3]
    assert batches[0].column_names == list(COLUMNS)
    assert [len(batch) for batch in table.mistakes().batches(["id"])] == [2, 1]
    assert list(table.to_pandas(["id", "score"]).columns) == ["id", "score"]
    assert "map" not in table.to_arrow().column_names


def test_libraries_that_are_missing(table, monkeypatch):
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "pandas", None)
        with pytest.raises(DependencyError, match=r"to_pandas\(\) needs pandas: .*; pip install pandas, or call"):
            table.to_pandas()
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DependencyError, match=r"need pyarrow: .*; pip install 'xaicore\[dataset\]'"):
        xaicore.open_maps(table.folder).errors()


def test_parts_are_in_the_order_of_their_numbers(tmp_path, one, paths):
    folder = write_run(tmp_path / "many", one, paths)
    (folder / "parts" / "part-00002.parquet").rename(folder / "parts" / "part-100000.parquet")
    (folder / "parts" / "part-00001.parquet").rename(folder / "parts" / "part-99999.parquet")
    assert ids_of(xaicore.open_maps(folder)) == [*paths, "broken.png"]


def test_bad_arguments(table):
    with pytest.raises(InputError, match="by='shares': expected 'share', 'evidence' or None; did you mean 'share'"):
        table.lowest_evidence(by="shares")
    with pytest.raises(InputError, match="n=0: expected a whole number, 1 or more"):
        table.lowest_evidence(0)
