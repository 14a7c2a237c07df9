"""A data set explained into a folder: values, resume, refusals."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from detector import DetectorBackend
from picture_sets import SIDE, backend, preprocess, write_pictures

import xaicore

pytest.importorskip("pyarrow")

from pyarrow import parquet

from xaicore.dataset.folder import RunFolder
from xaicore.dataset.plan import usual_shard_size
from xaicore.dataset.space import bytes_per_picture, explained_probe
from xaicore.source.listing import Listing
from xaicore.targets import Boxes, Predicted


def run(source, out, seed=0, **options):
    known = {"preprocess": preprocess, "backend": backend(seed), "layer": "second", "shard_size": 4, "batch_size": 2}
    return xaicore.explain_dataset(object(), source, out, **{**known, **options})


def rows(out: Path) -> list[dict]:
    return [row for part in sorted((out / "parts").glob("*.parquet")) for row in parquet.read_table(part).to_pylist()]


def contents(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((out / "parts").iterdir())}


def test_rows_are_the_explanations_of_the_pictures_in_order(tmp_path: Path) -> None:
    paths = write_pictures(tmp_path / "photos", 10)
    run(tmp_path / "photos", tmp_path / "out")
    found = rows(tmp_path / "out")
    assert [row["id"] for row in found] == [path.as_posix() for path in paths]
    assert [row["position"] for row in found] == list(range(10))
    assert sorted(contents(tmp_path / "out")) == [f"part-{k:05}.parquet" for k in range(3)]
    explainer = xaicore.Explainer(object(), layer="second", backend=backend(), preprocess=preprocess)
    for row in found:
        one = explainer(row["path"])
        assert (row["prediction"], row["error"]) == (one.predicted[0], None)
        assert row["score"] == pytest.approx(float(one.scores[0]), rel=1e-6)
        seen = np.array(row["map"], np.float32).reshape(row["map_shape"]) * row["maximum"]
        np.testing.assert_allclose(seen, one.maps[0], rtol=1e-3, atol=1e-6)


def test_a_resumed_run_makes_only_what_is_missing(tmp_path: Path) -> None:
    write_pictures(tmp_path / "photos", 10)
    out = tmp_path / "out"
    run(tmp_path / "photos", out)
    whole = contents(out)
    (out / "parts" / "part-00001.parquet").unlink()
    kept = {path: path.stat().st_mtime_ns for path in (out / "parts").iterdir()}
    seen: list[int] = []
    run(tmp_path / "photos", out, resume=True, progress=lambda done, total: seen.append(done))
    assert contents(out) == whole
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert seen == [4, 6, 8, 10]  # a part that is there, two batches, a part that is there
    assert not (out / "attempts").exists()


def test_two_runs_write_the_same_bytes(tmp_path: Path) -> None:
    write_pictures(tmp_path / "photos", 9)
    for name, readers in (("a", 1), ("b", 3)):
        run(tmp_path / "photos", tmp_path / name, readers=readers)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_jobs_share_a_folder(tmp_path: Path) -> None:
    write_pictures(tmp_path / "photos", 10)
    run(tmp_path / "photos", tmp_path / "one")
    for shard in ("1/2", (0, 2)):
        run(tmp_path / "photos", tmp_path / "two", shard=shard)
        if shard == "1/2":
            assert sorted(contents(tmp_path / "two")) == ["part-00001.parquet"]
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"method": "hirescam"}, r"the method: was 'gradcam', is 'hirescam'"),
        ({"layer": "first"}, r"the layer: was 'second', is 'first'"),
        ({"seed": 1}, "the model's weights. Pass another out"),
        ({"targets": 2}, r"the targets: was 'predicted', is '[^']*2"),
        (
            {"preprocess": lambda picture: preprocess(picture)[0] / 2},
            r"the preprocessing: was 'preprocess', is '<lambda>'; what",
        ),
        ({"shard_size": 5}, r"shard_size: was 4, is 5"),
        ({"truth": [0] * 10}, r"the pictures' true classes or boxes"),
        ({"activation": "softmax"}, r"the options"),
    ],
)
def test_a_resume_with_something_else_is_refused(tmp_path: Path, changed, message) -> None:
    write_pictures(tmp_path / "photos", 10)
    run(tmp_path / "photos", tmp_path / "out")
    with pytest.raises(xaicore.InputError, match=f"is of another run, which differs in {message}"):
        run(tmp_path / "photos", tmp_path / "out", resume=True, **changed)


def test_a_resume_with_other_pictures_is_refused(tmp_path: Path) -> None:
    paths = write_pictures(tmp_path / "photos", 10)
    run(tmp_path / "photos", tmp_path / "out")
    paths[3].rename(paths[3].with_name("x.png"))
    with pytest.raises(xaicore.InputError, match=r"differs in the pictures' ids or their order\. Pass another"):
        run(tmp_path / "photos", tmp_path / "out", resume=True)


@pytest.mark.parametrize("out", ["file", "file/out"])
def test_a_file_is_no_folder(tmp_path: Path, out: str) -> None:
    write_pictures(tmp_path / "photos", 2)
    (tmp_path / "file").touch()
    with pytest.raises(xaicore.InputError, match=r"out='.*' is a file, or lies in one: pass a folder, which is"):
        run(tmp_path / "photos", tmp_path / out)


def test_a_folder_that_is_taken_is_refused(tmp_path: Path) -> None:
    write_pictures(tmp_path / "photos", 3)
    run(tmp_path / "photos", tmp_path / "out")
    with pytest.raises(xaicore.InputError, match="is of this run already: pass resume=True to go on with it"):
        run(tmp_path / "photos", tmp_path / "out")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").touch()
    with pytest.raises(xaicore.InputError, match=r"has files, such as 'notes.txt', and no run.json"):
        run(tmp_path / "photos", tmp_path / "other")
    (tmp_path / "other" / "run.json").write_text('{"title": "a gallery"}')
    with pytest.raises(xaicore.InputError, match="is not of a data set's run: pass another out"):
        run(tmp_path / "photos", tmp_path / "other")
    run(tmp_path / "photos", tmp_path / "new", resume=True)  # nothing to go on with: a run begins
    assert len(rows(tmp_path / "new")) == 3


def test_a_detector_may_see_one_box_in_one_picture_and_more_in_another(tmp_path: Path) -> None:
    pictures = list(np.random.default_rng(1).integers(0, 250, (8, 6, 9, 3), dtype=np.uint8))
    detector = DetectorBackend("ragged", least=0.72)
    x = [preprocess_wide(picture)[0] for picture in pictures]
    boxes = [len(detector.parts(one[None])["scores"][0]) for one in x]
    assert {1, 2} <= set(boxes)
    known = {"preprocess": preprocess_wide, "batch_size": 1, "shard_size": 3}
    xaicore.explain_dataset(detector.net, pictures, tmp_path / "out", backend=detector, targets=Boxes(3), **known)
    found = Counter(row["position"] for row in rows(tmp_path / "out") if not row["error"])
    assert [found[n] for n in range(8)] == [min(3, count) for count in boxes]


def preprocess_wide(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return (picture / 255).astype(np.float32).transpose(2, 0, 1), picture


def test_pictures_of_the_run_are_no_source(tmp_path: Path) -> None:
    write_pictures(tmp_path / "photos", 6)
    run(tmp_path / "photos", tmp_path / "photos" / "out", shard="0/2")
    write_pictures(tmp_path / "photos" / "out" / "gallery", 1)  # as a page does
    with pytest.raises(xaicore.InputError, match=r"has pictures of the source, such as '.*out.gallery.000.png': pass"):
        run(tmp_path / "photos", tmp_path / "photos" / "out", resume=True)
    (tmp_path / "photos" / "out").rename(tmp_path / "out")
    assert len(run(tmp_path / "photos", tmp_path / "out", resume=True)) == 6


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="file names are text")
def test_names_that_are_no_text_are_written_with_their_bytes(tmp_path: Path) -> None:
    good, broken = write_pictures(tmp_path / "photos", 2)
    os.rename(good, os.fsencode(tmp_path) + b"/photos/\xff.png")
    os.rename(broken, os.fsencode(tmp_path) + b"/photos/\xfe.png")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/photos/\xfe.png")).write_bytes(b"")
    run(tmp_path / "photos", tmp_path / "out")
    broken, good = rows(tmp_path / "out")
    assert (good["id"], good["path"]) == (f"{tmp_path}/photos/\\xff.png", f"{tmp_path}/photos/\\udcff.png")
    assert broken["error"] == f"{tmp_path}/photos/\\udcfe.png is an empty file"


def test_the_run_describes_itself(tmp_path: Path) -> None:
    write_pictures(tmp_path / "photos", 5)
    run(tmp_path / "photos", tmp_path / "out")
    about = json.loads((tmp_path / "out" / "run.json").read_text())
    assert about["plan"] == {"pictures": 5, "shard_size": 4, "shards": 2}
    assert about["fingerprint"]["method"] == "gradcam"
    assert about["fingerprint"]["prepared"][:2] == [[3, SIDE, SIDE], "float32"]


def test_truth_boxes_and_ids_come_from_lists_and_tables(tmp_path: Path) -> None:
    paths = write_pictures(tmp_path / "photos", 4)
    out = tmp_path / "list"
    run([(path, name) for path, name in zip(paths, "abca", strict=True)], out, class_names=list("abcd"))
    assert [row["truth"] for row in rows(out)] == [[0], [1], [2], [0]]
    table = tmp_path / "photos" / "labels.csv"
    lines = [
        "file,class,id,x0,y0,x1,y1",
        "000.png,a,p,0,0,3,3",
        "001.png,,q,,,,",
        "002.png,c,r,1,1,2,2",
        "003.png,a,s,0,0,6,6",
    ]
    table.write_text("\n".join(lines))
    run(table, tmp_path / "csv", class_names=list("abcd"), targets=0)
    found = rows(tmp_path / "csv")
    assert [row["id"] for row in found] == ["p", "q", "r", "s"]
    assert [row["truth"] for row in found] == [[0], None, [2], [0]]
    assert [row["true_boxes"] for row in found] == [[[0, 0, 3, 3]], [], [[1, 1, 2, 2]], [[0, 0, 6, 6]]]
    assert found[3]["share"] == pytest.approx(1)  # the box is the picture
    parquet.write_table(
        parquet.read_table(tmp_path / "csv" / "parts" / "part-00000.parquet").select(["id", "path"]),
        tmp_path / "t.parquet",
    )
    run(tmp_path / "t.parquet", tmp_path / "again", targets=0)
    assert [row["map"] for row in rows(tmp_path / "again")] == [row["map"] for row in found]


def test_boxes_are_of_the_true_class_or_of_whatever_is_explained(tmp_path: Path) -> None:
    write_pictures(tmp_path / "photos", 4)
    options = {"boxes": [[0, 0, 6, 6]] * 4, "targets": 1}
    shares = {}
    for name, truth, classes in [
        ("truth", [1, 0, 1, 0], None),
        ("any", [1, 0, 1, 0], "any"),
        ("listed", [1, 0, 1, 0], [0, 1, [1], [2]]),
        ("unknown", None, None),
    ]:
        run(tmp_path / "photos", tmp_path / name, truth=truth, box_classes=classes, **options)
        shares[name] = [row["share"] for row in rows(tmp_path / name)]
    whole = pytest.approx(1)  # the box is the picture
    assert shares["truth"] == [whole, None, whole, None]
    assert shares["any"] == shares["unknown"] == [whole] * 4
    assert shares["listed"] == [None, whole, whole, None]
    with pytest.raises(xaicore.InputError, match="which differs in the pictures' true classes or boxes"):
        run(tmp_path / "photos", tmp_path / "any", truth=[1, 0, 1, 0], resume=True, **options)


def test_boxes_of_pictures_with_several_classes_need_box_classes(tmp_path: Path) -> None:
    write_pictures(tmp_path / "photos", 4)
    truth = np.array([[1, 1, 0, 0]] + [[0, 1, 0, 0]] * 3)
    options = {"boxes": [[0, 0, 6, 6]] * 4, "targets": 1, "truth": truth}
    run(tmp_path / "photos", tmp_path / "out", **options)
    found = rows(tmp_path / "out")
    assert [row["error"] is None for row in found] == [False, True, True, True]
    assert "pass box_classes=, a list of N arrays (B,), one class per box, or box_classes='any'" in found[0]["error"]
    run(tmp_path / "photos", tmp_path / "any", box_classes="any", **options)
    assert [row["share"] for row in rows(tmp_path / "any")] == [pytest.approx(1)] * 4


def test_the_table_of_this_process_knows_its_preparation(tmp_path: Path) -> None:
    def crop(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return preprocess(np.ascontiguousarray(picture[:3, :3]))

    paths = write_pictures(tmp_path / "photos", 4)
    table = run(tmp_path / "photos", tmp_path / "out", preprocess=crop)
    expected = [crop(cv2.imread(str(path))[..., ::-1])[1] for path in paths]
    np.testing.assert_array_equal(table.head(2).explanation().images, expected[:2])
    with pytest.raises(xaicore.InputError, match="is not what the model saw"):
        xaicore.open_maps(tmp_path / "out").explanation().overlay(0)


def test_truth_is_the_folder(tmp_path: Path) -> None:
    write_pictures(tmp_path / "photos" / "cat", 2)
    write_pictures(tmp_path / "photos" / "dog", 1)
    run(tmp_path / "photos", tmp_path / "out", truth="folder", class_names=["cow", "cat", "dog", "owl"])
    assert [row["truth"] for row in rows(tmp_path / "out")] == [[1], [1], [2]]
    with pytest.raises(xaicore.InputError, match="truth: 'cat' is no class index; to use names, pass class_names"):
        run(tmp_path / "photos", tmp_path / "other", truth="folder")


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ([], {}, "source is an empty list"),
        ("nowhere", {}, "no such file or folder: 'nowhere'"),
        (7, {}, "source=7: expected pictures: a folder, a pattern"),
        (
            np.zeros((2, 3, 6, 6), np.float32),
            {},
            r"^source is an array, float32 \(2, 3, 6, 6\): expected .* own inputs, .*TensorDataset\(torch.as_tensor\(x",
        ),
        ("photos", {"engine": "ray", "address": "127.0.0.1:1"}, "^address='127.0.0.1:1': no Ray cluster answers there"),
        ("photos", {"truth": [0]}, r"truth of shape \(1,\) for 3 images"),
        (
            "photos",
            {"truth": [0, 9, 4]},
            r"truth 4, 9 is out of range: outputs .* have classes 0 to 3; .*photos/001.png'$",
        ),
        ("photos", {"truth": np.eye(3)[[0, 1, 2]] + np.eye(3)[[1, 2, 0]]}, "truth has 3 columns for outputs"),
        ("photos", {"ids": ["a", "b", "a"]}, "ids repeat: a; .* A picture is found by its id"),
        ("photos", {"boxes": [[0, 0, 1, 1]]}, r"expected boxes of 3 pictures, \(3, 4\)"),
        (
            "photos",
            {"box_classes": "any"},
            "box_classes='any': there are no true boxes: pass a table of pictures with",
        ),
        ("photos", {"boxes": [[0, 0, 1, 1]] * 3, "box_classes": "all"}, "box_classes='all': expected one class per"),
        ("photos", {"boxes": [[0, 0, 1, 1]] * 3, "box_classes": [0]}, "box_classes are of 1 images, and there are 3"),
        (
            "photos",
            {"boxes": [[0, 0, 1, 1]] * 3, "box_classes": [0, 1, [2, 3]]},
            r"box_classes \[2, 3\] of the 1 true b",
        ),
        ("photos", {"class_names": ["a", "b"]}, r"^2 class names for outputs \(1, 4\): expected 4, one per class$"),
        ("photos", {"targets": [1, 2]}, "2 targets for 3 images"),
        ("photos", {"shard": "2/2"}, "shard='2/2': expected 'i/n'"),
        ("photos", {"batch_size": 0}, "batch_size=0: expected a whole number"),
        ("photos", {"readers": 0}, "readers=0: expected a whole number"),
        ("photos", {"workers": True}, "^workers=True: expected a whole number, 1 or more$"),
        ("photos", {"resume": "no"}, "^resume='no': expected True or False$"),
        ("photos", {"resume": 1}, "^resume=1: expected True or False$"),
        ("photos", {"compile": 0}, "^compile=0: expected True or False; modes of torch.compile are not passed on$"),
        ("photos", {"trust": "no"}, "^trust='no': expected True or False$"),
        ("photos", {"preprocess": None}, "nothing says how this model's pictures are prepared"),
        ("photos", {"weights": "best.pt"}, "weights='best.pt' is for a model by name"),
        ("photos", {"progress": 3}, "progress=3: expected None, True"),
        (
            ["photos/000.png", "photos/000.png"],
            {},
            r"list each one once, or name them apart, by ids=\[\.\.\.\] or the col",
        ),
    ],
)
def test_what_does_not_fit_is_refused_before_a_file_is_written(
    tmp_path: Path, monkeypatch, source, options, message
) -> None:
    write_pictures(tmp_path / "photos", 3)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(xaicore.XaicoreError, match=message):
        run(source, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            ["name,class", "000.png,1"],
            "has no column of paths: expected file, path or image in the heading, which is name, class",
        ),
        (["file", "00.png"], r"its first picture is '00.png', and there is no .*00.png'.*did you mean"),
        (["file,path", "000.png,b"], "has the columns file and path, which mean the same"),
        (["file"], "no rows; expected a path in every row"),
    ],
)
def test_a_table_that_does_not_say_where_its_pictures_are_is_refused(tmp_path: Path, lines, message) -> None:
    write_pictures(tmp_path, 3)
    (tmp_path / "labels.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(xaicore.InputError, match=message):
        run(tmp_path / "labels.csv", tmp_path / "out")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["file,id", "000.png,a", "001.png,b", "002.png,a"], r"labels\.csv has the id 'a' more than once: .* without"),
        (
            ["file", "000.png", "001.png", "001.png"],
            r"labels\.csv lists '.*001\.png' more than once, .* add a column id",
        ),
    ],
)
def test_a_table_with_two_pictures_of_one_name_is_refused(tmp_path: Path, lines, message) -> None:
    write_pictures(tmp_path, 3)
    (tmp_path / "labels.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(xaicore.InputError, match=message):
        run(tmp_path / "labels.csv", tmp_path / "out")
    if lines[0] == "file":
        assert run(tmp_path / "labels.csv", tmp_path / "out", ids=["a", "b", "c"]).counts.pictures == 3


@pytest.mark.parametrize("out", [None, 3, ""])
def test_an_out_that_is_no_path_is_refused(out) -> None:
    with pytest.raises(xaicore.InputError, match=f"^out={out!r}: expected the path of a folder, such as 'runs/val'"):
        run([], out)


def test_what_keeps_ray_from_starting_is_found_before_a_file_is_written(tmp_path: Path, monkeypatch) -> None:
    write_pictures(tmp_path / "photos", 3)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(xaicore.DependencyError, match=r"engine='ray' needs Ray: .*pip install 'xaicore\[ray\]'"):
        run(tmp_path / "photos", tmp_path / "out", engine="ray")
    assert not (tmp_path / "out").exists()


def test_a_run_without_a_part_is_begun_again_without_a_word(tmp_path: Path) -> None:
    write_pictures(tmp_path / "photos", 3)

    def raises(picture):
        raise KeyError(1)

    prepare = [raises]
    once = {"preprocess": lambda picture: prepare[0](picture)}
    with pytest.raises(xaicore.InputError, match="none of the first 3 pictures could be explained"):
        run(tmp_path / "photos", tmp_path / "out", **once)
    prepare[0] = preprocess
    with pytest.raises(xaicore.InputError, match="is of another run, which differs in the method"):
        run(tmp_path / "photos", tmp_path / "out", method="hirescam", **once)
    assert len(run(tmp_path / "photos", tmp_path / "out", **once)) == 3
    with pytest.raises(xaicore.InputError, match="of this run already: pass resume=True"):
        run(tmp_path / "photos", tmp_path / "out", **once)


def test_a_disk_that_is_too_small_is_reported_before_the_start(tmp_path: Path, monkeypatch) -> None:
    write_pictures(tmp_path / "photos", 10)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1200))
    with pytest.raises(xaicore.LoggerError, match=r"the rows of 10 pictures need about [\d.]+ kB, and 1.2 kB are free"):
        run(tmp_path / "photos", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    monkeypatch.undo()
    table = run(tmp_path / "photos", tmp_path / "out")
    explainer = xaicore.Explainer(object(), layer="second", backend=backend(), preprocess=preprocess)
    last = Listing.read(tmp_path / "photos")[9]
    needed = bytes_per_picture(explained_probe(explainer, Predicted(), last), last)
    size = sum(parquet.read_table(part).nbytes for part in (tmp_path / "out" / "parts").iterdir())
    assert len(table) == 10
    assert 0.7 < needed * 10 / size < 1.3


def test_a_disk_that_fills_up_keeps_what_is_written(tmp_path: Path, monkeypatch) -> None:
    write_pictures(tmp_path / "photos", 10)
    run(tmp_path / "photos", tmp_path / "whole")
    write_table = parquet.write_table

    def full(table, path, **options):
        if "00001" in str(path):
            path.write_bytes(b"half of it")
            raise OSError(errno.ENOSPC, "No space left on device")
        write_table(table, path, **options)

    monkeypatch.setattr(parquet, "write_table", full)
    with pytest.raises(xaicore.LoggerError, match=r"left on device; free some space on .*, and resume=True goes on"):
        run(tmp_path / "photos", tmp_path / "out")
    monkeypatch.undo()
    assert "part-00000.parquet" in contents(tmp_path / "out")
    assert not [name for name in contents(tmp_path / "out") if "00001" in name]
    run(tmp_path / "photos", tmp_path / "out", resume=True)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_an_interrupt_keeps_what_is_written_and_says_how_to_go_on(tmp_path: Path) -> None:
    write_pictures(tmp_path / "photos", 10)
    run(tmp_path / "photos", tmp_path / "whole")

    def interrupted(done: int, total: int) -> None:
        if done == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match=r"1 of 3 parts are in .*out; the same call with resume=True"):
        run(tmp_path / "photos", tmp_path / "out", progress=interrupted)
    assert not list((tmp_path / "out" / "attempts").glob("*.json"))  # nobody died
    assert xaicore.open_maps(tmp_path / "out").counts.planned == 10
    run(tmp_path / "photos", tmp_path / "out", resume=True)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_a_run_that_died_at_its_very_beginning_or_end_goes_on(tmp_path: Path) -> None:
    write_pictures(tmp_path / "photos", 5)
    out = tmp_path / "out"
    out.mkdir()
    (out / ".lock").touch()
    (out / ".run.json.xaicore-tmp").write_text('{"form')
    run(tmp_path / "photos", out)
    whole = contents(out)
    (out / "attempts").mkdir()
    (out / "attempts" / "00001.json").write_text('\n{"alone": 4, "in_work": [4]}\n\n{"al')
    run(tmp_path / "photos", out, resume=True)
    assert contents(out) == whole
    assert sorted(path.name for path in out.iterdir()) == [".lock", "parts", "run.json"]


def test_a_shard_is_let_go_where_its_journal_cannot_be_written(tmp_path: Path, monkeypatch) -> None:
    folder = RunFolder(tmp_path)
    folder.attempts.mkdir()
    claim = folder.claim(0)

    def full() -> None:
        raise xaicore.LoggerError("No space left on device")

    monkeypatch.setattr(claim.journal, "keep", full)
    with pytest.raises(xaicore.LoggerError, match="No space left"):
        claim.release(False)
    assert folder.claim(0) is not None


@pytest.mark.parametrize(
    ("count", "processes", "size"),
    [
        (100, 1, 32),
        (100, 2, 32),  # a batch at least
        (1000, 4, 64),  # two batches: 16 files, 4 for each
        (100_000, 8, 512),
    ],
)
def test_several_processes_have_some_shards_each(count: int, processes: int, size: int) -> None:
    assert usual_shard_size(count, 32, processes) == size


def test_jobs_and_workers_divide_a_small_data_set(tmp_path: Path) -> None:
    write_pictures(tmp_path / "photos", 10)
    known = {"shard_size": None, "batch_size": 2}
    assert len(run(tmp_path / "photos", tmp_path / "out", shard="0/2", **known)) == 6
    assert len(run(tmp_path / "photos", tmp_path / "out", resume=True, **known)) == 10
    assert len(contents(tmp_path / "out")) == 5  # of a batch each
