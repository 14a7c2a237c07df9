"""Data sets of frameworks as sources: what elements mean, their order, ids and labels; on classes that look alike."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from data_sets import (
    COUNT,
    INPUTS,
    LABELS,
    PICTURES,
    Batches,
    BatchSampler,
    DataLoader,
    Elements,
    RandomSampler,
    SequentialSampler,
)
from picture_sets import backend, preprocess, write_pictures

import xaicore

pytest.importorskip("pyarrow")

from pyarrow import parquet

from xaicore import trees
from xaicore.pictures import PictureError
from xaicore.source.indexed import part_of


def run(source, out, **options):
    known = {"preprocess": preprocess, "backend": backend(), "layer": "second", "shard_size": 4, "batch_size": 2}
    return xaicore.explain_dataset(object(), source, out, **{**known, **options})


def rows(out: Path) -> list[dict]:
    return [row for part in sorted((out / "parts").glob("*.parquet")) for row in parquet.read_table(part).to_pylist()]


def pictures(labels=LABELS):
    return Elements(zip(PICTURES, labels, strict=True))


def inputs(**attributes):
    return Elements(zip(INPUTS, LABELS, strict=True), **attributes)


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """The rows of the same pictures in a list."""
    out = tmp_path_factory.mktemp("list") / "out"
    run(list(PICTURES), out, truth=LABELS)
    return rows(out)


def assert_alike(found, expected, *but) -> None:
    for name in expected[0]:
        if name not in but:
            assert [row[name] for row in found] == [row[name] for row in expected], name


@pytest.mark.parametrize("form", ["(x, label)", "dict", "[x, label]"])
def test_pictures_are_prepared(tmp_path: Path, expected, form) -> None:
    make = {
        "(x, label)": tuple,
        "dict": lambda pair: dict(zip(("image", "label"), pair, strict=True)),
        "[x, label]": list,
    }
    run(Elements(map(make[form], zip(PICTURES, LABELS, strict=True))), tmp_path / "out")
    assert_alike(rows(tmp_path / "out"), expected)


@pytest.mark.parametrize(
    "source",
    [
        inputs(),
        inputs(targets=LABELS),
        DataLoader(inputs()),
        DataLoader(inputs(), batch_sampler=BatchSampler(SequentialSampler(LABELS), 3)),
        DataLoader(
            pictures(), collate_fn=lambda batch: (np.stack([preprocess(x)[0] for x, _ in batch]), [batch[0][1]])
        ),
        Batches([4, 4, 2]),
        Batches([10]),
    ],
    ids=["dataset", "with targets", "loader", "batch sampler", "collate_fn", "batches", "one batch"],
)
def test_inputs_are_not_prepared(tmp_path: Path, expected, source) -> None:
    run(source, tmp_path / "out", preprocess=None)
    assert_alike(rows(tmp_path / "out"), expected, "sketch")


def test_the_last_batch_may_be_dropped(tmp_path: Path) -> None:
    run(DataLoader(inputs(), drop_last=True), tmp_path / "out", preprocess=None)
    assert [row["id"] for row in rows(tmp_path / "out")] == list("01234567")


def test_labels_that_are_listed_are_known_before_the_run(tmp_path: Path) -> None:
    run(inputs(targets=LABELS), tmp_path / "out", preprocess=None, targets="truth")
    assert [row["target"] for row in rows(tmp_path / "out")] == LABELS
    run(inputs(targets=[0] * COUNT), tmp_path / "other", preprocess=None)  # a list of something else
    assert [row["truth"] for row in rows(tmp_path / "other")] == [[label] for label in LABELS]
    changed = [*LABELS[:5], 0, *LABELS[6:]]
    run(inputs(targets=changed), tmp_path / "odd", preprocess=None)
    found = rows(tmp_path / "odd")[5]
    assert found["error"] == "source[5] has the class [1], and the data set's list of labels has [0]"
    message = r"has no list of them: pass truth=\[label for _, label in source\]"
    with pytest.raises(xaicore.InputError, match=message):
        run(inputs(), tmp_path / "lazy", preprocess=None, targets="truth")
    source = inputs()
    run(source, tmp_path / "lazy", preprocess=None, targets="truth", truth=[label for _, label in source])
    assert [row["target"] for row in rows(tmp_path / "lazy")] == LABELS


def test_truth_and_ids_of_the_caller_stand_for_those_of_the_data_set(tmp_path: Path) -> None:
    names = [f"n{n}" for n in range(COUNT)]
    run(inputs(), tmp_path / "out", preprocess=None, truth=[3] * COUNT, ids=names)
    found = rows(tmp_path / "out")
    assert [row["id"] for row in found] == names
    assert all(row["truth"] == [3] for row in found)


def test_pictures_of_files_have_their_paths(tmp_path: Path, expected) -> None:
    paths = [str(path) for path in write_pictures(tmp_path / "photos", COUNT)]
    for path, picture in zip(paths, PICTURES, strict=True):
        cv2.imwrite(path, picture[..., ::-1])
    folder = pictures()
    folder.samples = list(zip(paths, LABELS, strict=True))
    run(folder, tmp_path / "out")
    found = rows(tmp_path / "out")
    assert [row["path"] for row in found] == [row["id"] for row in found] == paths
    assert_alike(found, expected, "id", "path")
    folder.samples[1] = folder.samples[0]  # no names for two
    run(folder, tmp_path / "twice")
    assert [row["id"] for row in rows(tmp_path / "twice")] == list("0123456789")


@pytest.mark.parametrize(
    ("own", "names", "truth"),
    [
        (["a", "b", "c", "d"], None, LABELS),
        (["a", "b", "c", "d"], ["a", "b", "c", "d"], LABELS),
        (["d", "c", "b", "a"], ["a", "b", "c", "d"], [3, 2, 1, 0, 3, 2, 1, 0, 3, 2]),
    ],
)
def test_classes_of_a_data_set_are_those_of_the_model_by_name(tmp_path: Path, own, names, truth) -> None:
    run(inputs(classes=own, targets=LABELS), tmp_path / "listed", preprocess=None, class_names=names)
    run(inputs(classes=own), tmp_path / "lazy", preprocess=None, class_names=names)
    for name in ("listed", "lazy"):
        found = rows(tmp_path / name)
        assert [row["truth"] for row in found] == [[label] for label in truth]
        assert [row["truth_names"][0] for row in found] == ["abcd"[label] for label in truth]


def test_labels_that_are_names_are_the_models(tmp_path: Path) -> None:
    for name, label in {"text": "{}".format, "bytes": str.encode, "array": np.array}.items():
        labels = [label("abcd"[n]) for n in LABELS]
        source = Elements(zip(INPUTS, labels, strict=True), classes=list("dcba"))
        run(source, tmp_path / name, preprocess=None, class_names=list("abcd"))
        assert [row["truth"] for row in rows(tmp_path / name)] == [[label] for label in LABELS]
    several = Elements([(INPUTS[0], np.array([1, 1, 0, 0]))], classes=list("dcba"))
    with pytest.raises(xaicore.InputError, match=r"4 labels by the data set's own order of classes, .*in the model's"):
        run(several, tmp_path / "several", preprocess=None, class_names=list("abcd"))
    beyond = Elements([(INPUTS[0], 4)], classes=list("dcba"))
    with pytest.raises(xaicore.InputError, match=r"source\[0\] has the label 4, and the data set names 4 classes"):
        run(beyond, tmp_path / "beyond", preprocess=None, class_names=list("abcd"))


def test_classes_that_the_model_does_not_have_are_refused(tmp_path: Path) -> None:
    source = inputs(classes=["a", "b", "c", "x"])
    message = r"class 3 of the 4 classes of the data set is 'x', which names 0 of the 4 classes of the model: .*"
    with pytest.raises(xaicore.InputError, match=message + r"pass class_names= with the names of the data set; else"):
        run(source, tmp_path / "out", preprocess=None, class_names=list("abcd"))
    run(source, tmp_path / "told", preprocess=None, class_names=list("abcd"), truth=[-1] + [3] * 9)
    assert [row["truth_names"] for row in rows(tmp_path / "told")][:2] == [None, ["d"]]
    run(source, tmp_path / "out", preprocess=None, class_names=source.classes)
    assert rows(tmp_path / "out")[3]["truth_names"] == ["x"]


def test_labels_in_all_forms(tmp_path: Path) -> None:
    for name, labels in {
        "names": ["abcd"[label] for label in LABELS],
        "one-hot": np.eye(4, dtype=np.float32)[LABELS],
        "scalars": [np.array(label) for label in LABELS],
        "columns": [np.array([label]) for label in LABELS],
    }.items():
        run(pictures(labels), tmp_path / name, class_names=list("abcd"))
        assert [row["truth"] for row in rows(tmp_path / name)] == [[label] for label in LABELS]
    several = np.eye(4, dtype=np.int64)[LABELS]
    several[2, 3] = 1
    run(pictures(several), tmp_path / "several")
    assert [row["truth"] for row in rows(tmp_path / "several")][:3] == [[0], [1], [2, 3]]
    run(pictures([None, *LABELS[1:]]), tmp_path / "some")
    assert [row["truth"] for row in rows(tmp_path / "some")][:2] == [None, [1]]
    run(Elements(PICTURES), tmp_path / "none")
    assert all(row["truth"] is None for row in rows(tmp_path / "none"))


def test_labels_that_are_no_classes_are_left_out_by_truth(tmp_path: Path, expected) -> None:
    source = pictures([{"boxes": np.ones((2, 4))}] * COUNT)
    run(source, tmp_path / "out", truth=[-1] * COUNT)
    found = rows(tmp_path / "out")
    assert all(row["truth"] is None for row in found)
    assert [row["map"] for row in found] == [row["map"] for row in expected]


def test_an_element_that_is_broken_is_a_row_with_its_error(tmp_path: Path, expected) -> None:
    source = pictures()
    source.elements[3] = (PICTURES[3].transpose(2, 0, 1)[:, :5], 3)
    source.elements[4] = (INPUTS[4], 0)
    source.elements[5] = (PICTURES[5], "a")
    run(source, tmp_path / "out")
    found = rows(tmp_path / "out")
    assert found[3]["error"].startswith("source[3] is uint8 (3, 5, 6) with its channels first: expected x, (x, label)")
    assert found[4]["error"] == (
        "source[4] is floats, the model's own input, and source[0] is a picture: expected elements of one kind"
    )
    assert found[5]["error"].startswith("source[5] has the label 'a': truth: 'a' is no class index")
    rest = [n for n in range(COUNT) if n not in (3, 4, 5)]
    assert_alike([found[n] for n in rest], [expected[n] for n in rest])


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (Elements([]), r"source is an empty Elements: expected one element or more"),
        (Elements(["a.jpg"]), r"source\[0\] is str: expected x, .*Paths are a list: pass \[\(path, label\), \.\.\.\]"),
        (
            Elements([(PICTURES[0], 1, 2)]),
            r"source\[0\] is a tuple of uint8 \(6, 6, 3\), int, int: .* return those two",
        ),
        (Elements([3]), r"source\[0\] is int: expected x, \(x, label\), or a dict"),
        (
            Elements([(PICTURES[0], {"boxes": []})]),
            r"has the label \{'boxes': \[\]\}, a dict: .* or pass truth=\[",
        ),
        (Elements([(PICTURES[0], [0, 1])]), r"has the label \[0, 1\], a list: expected a class index or name, or an"),
        (Elements([(PICTURES[0], 1.5)]), r"source\[0\] has the label 1.5: truth with values such as 1.5"),
        (Elements([{"png": b"", "cls": 1}]), r"0 of them are images: .*\.decode\('pil'\) of WebDataset"),
        (Elements([{"a": PICTURES[0], "b": PICTURES[0]}]), r"'a': uint8 \(6, 6, 3\), 'b': .*; 2 of them are images"),
        (Elements([{"a": PICTURES[0], "label": 1, "y": 2}]), r"label and y are labels: .* by returning \(x, label\)"),
        (DataLoader(inputs(), RandomSampler(INPUTS)), r"by a RandomSampler, .* Pass the data set, source.dataset"),
        (DataLoader(inputs(), SequentialSampler(INPUTS[:3])), r"by a SequentialSampler, .*leave elements out"),
        (type("Fast", (DataLoader,), {"__iter__": iter})(inputs()), r"Fast, which reads its data set in a way of its"),
        (Batches([4, 4], shuffle=True), r"a Batches with shuffle=True: .* Make it with shuffle=False"),
    ],
)
def test_what_has_no_one_meaning_is_refused(tmp_path: Path, source, message) -> None:
    with pytest.raises(xaicore.InputError, match=message):
        run(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def array(*shape: int) -> np.ndarray:
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


IMAGE, META, AGE = array(4, 3, 6, 6), array(4, 5), array(4)
SIZES = [array(3, 6, 6), array(3, 7, 7)]


@pytest.mark.parametrize(
    ("x", "labels", "second"),
    [
        ((IMAGE, META), [0, 1, 2, 3], (IMAGE[1], META[1])),
        ({"a": IMAGE, "b": AGE}, [0, 1, 2, 3], {"a": IMAGE[1], "b": AGE[1]}),
        ([IMAGE, META], [0, 1, 2, 3], [IMAGE[1], META[1]]),  # a list of inputs, each for all images
        (([IMAGE], {"b": META}), None, ([IMAGE[1]], {"b": META[1]})),
        (SIZES, [0, 1], SIZES[1]),  # a list of images
        (SIZES, None, SIZES[1]),
    ],
)
def test_a_batch_of_several_inputs_is_taken_apart_by_images(x, labels, second) -> None:
    image, label = part_of((x, labels), 1)
    assert list(trees.places(image)) == list(trees.places(second))
    for found, expected in zip(trees.leaves(image), trees.leaves(second), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert label == (None if labels is None else 1)


@pytest.mark.parametrize(
    ("x", "labels", "count"),
    [
        ([IMAGE[:2], META[:2]], [0, 1], 2),  # two images, or two inputs of two images?
        ([IMAGE, META], None, "no"),
        (SIZES, [0, 1, 2, 3], 4),
    ],
)
def test_a_list_in_a_batch_that_may_be_two_things_is_refused(x, labels, count) -> None:
    message = f"a batch of source has a list of 2 arrays and {count} labels: a list of images, or of a model's inputs"
    with pytest.raises(PictureError, match=message):
        part_of((x, labels), 0)


def test_batches_of_several_sizes_have_errors(tmp_path: Path) -> None:
    run(Batches([4, 3, 3]), tmp_path / "out", preprocess=None)
    errors = [row["error"] for row in rows(tmp_path / "out")]
    assert errors[:4] + errors[8:] == [None] * 7
    assert errors[4].startswith("source[1] has 3 images, and source[0] has 4: expected batches of one size")


def test_preparation_is_for_pictures(tmp_path: Path) -> None:
    with pytest.raises(xaicore.InputError, match=r"source\[0\] is float32 \(3, 6, 6\), .* leave preprocess out"):
        run(inputs(), tmp_path / "out")
    with pytest.raises(xaicore.InputError, match=r"source\[0\] is a picture \(6, 6, 3\), .* preprocess='imagenet'$"):
        run(pictures(), tmp_path / "out", preprocess=None)


def test_random_transforms_are_refused(tmp_path: Path) -> None:
    class Augmented(Elements):
        def __getitem__(self, position):
            x, label = super().__getitem__(position)
            return x + np.float32(np.random.rand()), label

    place = np.random.get_state(legacy=False)["state"]["pos"]
    with pytest.raises(
        xaicore.InputError, match=r"source\[0\] is another one each time it is read, as with random crops"
    ):
        run(Augmented(inputs()), tmp_path / "out", preprocess=None)
    assert np.random.get_state(legacy=False)["state"]["pos"] == place

    class AugmentedBatches(Batches):
        def __getitem__(self, number):
            x, *rest = super().__getitem__(number)
            return x + np.float32(np.random.rand()), *rest

    with pytest.raises(xaicore.InputError, match=r"source\[0\] is another one each time"):
        run(AugmentedBatches([4, 4, 2]), tmp_path / "out", preprocess=None)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (Elements(zip(INPUTS[:9], LABELS, strict=False)), "the number of pictures: was 10, is 9"),
        (Elements(zip(INPUTS[::-1], LABELS, strict=True)), "the first or the last element of the data set"),
        (Elements(zip(INPUTS, [1, *LABELS[1:]], strict=True)), "the first or the last element of the data set"),
        (inputs(targets=[*LABELS[:5], 0, *LABELS[6:]]), "the pictures' true classes or boxes"),
    ],
)
def test_a_resume_with_another_data_set_is_refused(tmp_path: Path, source, message) -> None:
    run(inputs(targets=LABELS), tmp_path / "out", preprocess=None)
    with pytest.raises(xaicore.InputError, match=f"is of another run, which differs in .*{message}"):
        run(source, tmp_path / "out", preprocess=None, resume=True)


def test_a_resumed_run_reads_only_what_is_missing(tmp_path: Path, expected) -> None:
    run(inputs(), tmp_path / "out", preprocess=None)
    (tmp_path / "out" / "parts" / "part-00001.parquet").unlink()
    source = inputs()
    run(source, tmp_path / "out", preprocess=None, resume=True)
    assert set(source.reads) == {0, 9, 4, 5, 6, 7}
    assert_alike(rows(tmp_path / "out"), expected, "sketch")
