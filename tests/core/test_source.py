"""One source at every door: `explain_dataset`, the command line and a monitor's pool see the same of it."""

from __future__ import annotations

import multiprocessing
import os
import random
import sys
import threading
import warnings
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest
from data_sets import (
    COUNT,
    INPUTS,
    LABELS,
    PICTURES,
    Batched,
    Batches,
    BatchSampler,
    DataLoader,
    Elements,
    IterableDataset,
    RandomSampler,
)
from picture_sets import DatasetBackend, preprocess, write_pictures
from recorder import Recorder
from toynet import ToyNet
from workshop import Workshop, draw, write

import xaicore
from xaicore.cli.source import Named
from xaicore.errors import DependencyError, InputError
from xaicore.monitor import pool
from xaicore.pictures import Preparation
from xaicore.source.listing import Listing
from xaicore.source.reading import AHEAD, Reading
from xaicore.source.streams import Ended, Stream
from xaicore.source.threads import Threads


class Seeing(DatasetBackend):
    """Keeps what the model is given."""

    def __init__(self) -> None:
        super().__init__(ToyNet())
        self.seen: list[np.ndarray] = []

    def capture(self, inputs, layers, direction=None):
        self.seen.append(np.array(inputs))
        return super().capture(inputs, layers, direction)


def pairs(kind=tuple):
    return [kind(pair) for pair in zip(PICTURES, LABELS, strict=True)]


def keyed(names="jihgfedcba"):
    """Elements as those of a `WebDataset`."""
    return [{"__key__": name, "png": x, "cls": y} for name, (x, y) in zip(names, pairs(), strict=True)]


def of_paths(cardinality: int, count: int = COUNT, kind: type[Batched] = Batched):
    """As `image_dataset_from_directory` of Keras makes it, in batches of three."""
    source = kind(3, cardinality)
    source.file_paths = [f"photos/{n}.png" for n in range(count)]
    return source


def folder(here: Path) -> str:
    """The ten pictures in a folder per class; their order is that of the folders."""
    for n, (picture, label) in enumerate(zip(PICTURES, LABELS, strict=True)):
        write(here / "photos" / str(label) / f"{n}.png", picture)
    return str(here / "photos")


def paths(here: Path) -> list[str]:
    folder(here)
    return [str(here / "photos" / str(label) / f"{n}.png") for n, label in enumerate(LABELS)]


def table(here: Path) -> str:
    lines = [f"{path},{label},no{n}" for n, (path, label) in enumerate(zip(paths(here), LABELS, strict=True))]
    (here / "photos.csv").write_text("\n".join(["file,class,id", *lines]))
    return str(here / "photos.csv")


SOURCES = {
    "a folder per class": lambda here: (folder(here), "folder"),
    "paths with classes": lambda here: (paths(here), LABELS),
    "a list of (path, class)": lambda here: (list(zip(paths(here), LABELS, strict=True)), None),
    "a table": lambda here: (table(here), None),
    "pictures with classes": lambda here: (list(PICTURES), LABELS),
    "a list of (picture, class)": lambda here: (pairs(), None),
    "a data set of pictures": lambda here: (Elements(pairs()), None),
    "a data set of dicts": lambda here: (Elements({"image": x, "label": y} for x, y in pairs()), None),
    "a data set of inputs": lambda here: (Elements(zip(INPUTS, LABELS, strict=True)), None),
    "a data set with other classes": lambda here: (Elements(pairs()), LABELS[::-1]),
    "a loader": lambda here: (DataLoader(Elements(pairs())), None),
    "a data set of batches": lambda here: (Batches([4, 4, 2]), None),
    "a stream": lambda here: (IterableDataset(pairs()), None),
    "a stream with other classes": lambda here: (IterableDataset(pairs()), LABELS[::-1]),
    "a stream of batches": lambda here: (Batched(3), None),
    "a stream with keys": lambda here: (IterableDataset(keyed()), None),
    "a stream with keys and other classes": lambda here: (IterableDataset(keyed()), LABELS[::-1]),
    "a stream of batches with paths": lambda here: (of_paths(4), None),
}

OF_INPUTS = (
    "a data set of inputs",
    "a data set of batches",
    "a stream of batches",
    "a stream of batches with paths",
)


def worst_of(pool, count=COUNT, backend=None, step=0, x=INPUTS[:1], **options):
    """The explanation of the worst, all of them unless told otherwise, and what the model was given in the search."""
    backend = Seeing() if backend is None else backend
    known = {"backend": backend, "preprocess": preprocess, "layer": "second", "batch_size": 2, "beside": False}
    with xaicore.Monitor(None, x, worst=count, pool=pool, loggers=[Recorder()], **{**known, **options}) as monitor:
        backend.seen.clear()
        found = [one for one in monitor.step(step) if one.group == "worst"]
    searched = np.concatenate(backend.seen)[1:]  # after the one that is fixed
    return (found[0] if found else None), searched


@pytest.mark.parametrize("name", SOURCES)
def test_ids_order_classes_and_inputs_are_the_same_at_both_doors(tmp_path: Path, name: str) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    source, truth = SOURCES[name](tmp_path)
    backend = Seeing()
    prepare = None if name in OF_INPUTS else preprocess
    options = {"backend": backend, "preprocess": prepare, "layer": "second", "batch_size": 2}
    xaicore.explain_dataset(object(), source, tmp_path / "out", truth=truth, **options)
    rows = [
        row for part in sorted((tmp_path / "out" / "parts").iterdir()) for row in parquet.read_table(part).to_pylist()
    ]
    given = np.concatenate(backend.seen)[-COUNT:]
    assert sorted(one.tobytes() for one in given) == sorted(one.tobytes() for one in INPUTS)
    worst, searched = worst_of(source if truth is None else (source, truth))
    np.testing.assert_array_equal(searched[:COUNT], given)
    assert {row["id"]: row["truth"] for row in rows} == {
        name: [label] for name, label in zip(worst.ids, worst.truth.tolist(), strict=True)
    }
    outputs = {row["id"]: row["outputs"] for row in rows}
    np.testing.assert_array_equal([outputs[name] for name in worst.ids], worst.outputs)
    p = np.exp(worst.outputs - worst.outputs.max(1, keepdims=True))
    badness = (p / p.sum(1, keepdims=True))[range(COUNT), worst.truth]
    assert (np.diff(badness) >= 0).all()


# The command line.


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    place = Workshop(tmp_path, monkeypatch)
    for n, colour in enumerate(("red", "green", "red", "blue", "green")):
        draw(Path(f"p/{colour}/{n}.png"), colour, (0, 0, n + 1, 4))
    Path("names.txt").write_text("red\ngreen\nblue\n")
    lines = ["file,class,id", "p/red/0.png,blue,a", "p/green/1.png,green,b", "p/red/2.png,,c"]
    Path("some.csv").write_text("\n".join(lines))
    yield place
    place.close()


@pytest.mark.parametrize("what", [["p", "--truth", "folder"], ["some.csv"], ["p/red", "p/blue"]], ids=" ".join)
def test_loggers_and_a_table_have_the_same_pictures(shop: Workshop, what: list[str]) -> None:
    pytest.importorskip("pyarrow")
    common = [*what, "--labels", "names.txt", "--batch-size", "2"]
    assert shop.explain(*common).exit_code == 0
    assert shop.explain(*common, "--table", "--out", "t", logger=None).exit_code == 0
    rows = xaicore.open_maps("t").to_pandas().to_dict("records")
    logged = shop.logged()
    assert [one["id"] for one in logged] == [row["id"] for row in rows]
    truths = [None if row["truth_names"] is None else list(row["truth_names"]) for row in rows]
    assert [one["truth"] if one.get("truth") is None else [one["truth_name"]] for one in logged] == truths
    assert [np.float32(one["score"]) for one in logged] == [np.float32(row["score"]) for row in rows]


def test_a_table_goes_alone_and_has_its_own_classes(shop: Workshop) -> None:
    result = shop.explain("some.csv", "p")
    assert result.exit_code == 2
    assert "some.csv is a table of pictures, beside 1 more: pass it alone" in result.stderr
    result = shop.explain("some.csv", "--truth", "folder")
    assert result.exit_code == 2
    assert "--truth folder beside the table some.csv: put the classes in its column class" in result.stderr


def test_every_frame_of_a_video_has_its_class(shop: Workshop) -> None:
    Path("v/green").mkdir(parents=True)
    video = cv2.VideoWriter("v/green/a.avi", cv2.VideoWriter_fourcc(*"MJPG"), 5, (64, 48))
    for n in range(3):
        video.write(np.full((48, 64, 3), 80 * n, np.uint8))
    video.release()
    listing = Named.find(["v/green/a.avi", "p/red"]).listing("folder", ["red", "green", "blue"])
    times = [f"v/green/a.avi at {time} s" for time in ("0.0", "0.2", "0.4")]
    assert list(listing.ids) == ["p/red/0.png", "p/red/2.png", *times]
    assert listing.truth.tolist() == [0, 0, 1, 1, 1]


# What is broken.


def test_broken_pictures_of_a_pool_are_left_out_with_one_warning(tmp_path: Path) -> None:
    found = write_pictures(tmp_path / "photos", 6)
    for n in (0, 4):
        found[n].write_bytes(b"no picture")
    log, backend = Recorder(), Seeing()
    options = {"backend": backend, "preprocess": preprocess, "layer": "second", "batch_size": 2, "beside": False}
    pool = (str(tmp_path / "photos"), [3, 0, 1, 2, 3, 0])
    with xaicore.Monitor(None, INPUTS[:1], worst=9, pool=pool, loggers=[log], **options) as monitor:
        message = (
            rf"^step 0: 2 of the pool's images are left out: {found[0].as_posix()} is no picture .*; .*4\.png is no"
        )
        with pytest.warns(RuntimeWarning, match=message):
            _, worst = monitor.step(0)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            _, again = monitor.step(1)
    kept = {found[n].as_posix(): label for n, label in ((1, 0), (2, 1), (3, 2), (5, 0))}
    for one in (worst, again):
        assert dict(zip(one.ids, one.truth.tolist(), strict=True)) == kept


class Falling(Elements):
    """Raises for some elements."""

    broken = (0, 3, COUNT - 1)

    def __getitem__(self, position):
        if position in self.broken:
            raise OSError(f"page {position} is torn")
        return super().__getitem__(position)


def test_broken_elements_of_a_data_set_too_also_the_first_and_the_last(tmp_path: Path) -> None:
    source = Falling(pairs())
    message = r"3 of the pool's images are left out: 0: OSError: page 0 is torn"
    with pytest.warns(RuntimeWarning, match=message):
        worst, searched = worst_of(source)
    assert sorted(map(int, worst.ids)) == [1, 2, 4, 5, 6, 7, 8]
    np.testing.assert_array_equal(searched[:7], INPUTS[[1, 2, 4, 5, 6, 7, 8]])
    options = {"backend": Seeing(), "preprocess": preprocess, "layer": "second", "batch_size": 2}
    pytest.importorskip("pyarrow")
    found = xaicore.explain_dataset(object(), source, tmp_path / "out", **options)
    assert found.counts.errors == 3
    listed = Falling(pairs(), targets=LABELS)  # whose list of labels is compared with the elements that can be read
    found = xaicore.explain_dataset(object(), listed, tmp_path / "listed", targets="truth", **options)
    assert found.to_pandas(["target"])["target"].dropna().tolist() == [LABELS[n] for n in (1, 2, 4, 5, 6, 7, 8)]


def test_a_data_set_of_which_nothing_can_be_read() -> None:
    source = Falling(pairs())
    source.broken = range(COUNT)
    with pytest.raises(
        InputError, match=r"^source\[0\] cannot be read, nor any of the 9 next to it: OSError: page 0 is"
    ):
        worst_of(source)


def test_pictures_of_several_sizes_are_refused() -> None:
    source = Elements((x[: 6 - n % 2], y) for n, (x, y) in enumerate(pairs()))
    with pytest.warns(RuntimeWarning, match=r"no worst predictions: InputError: preprocess returned inputs of shape"):
        worst, _ = worst_of(source, preprocess=lambda picture: np.float32(picture.transpose(2, 0, 1)) / 255)
    assert worst is None


def test_pyarrow_is_needed_for_tables_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shop: Workshop) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    worst, _ = worst_of((folder(tmp_path), "folder"))
    assert len(worst.ids) == COUNT
    assert shop.explain("p").exit_code == 0
    with pytest.raises(
        DependencyError, match=r"some\.csv is a table, which needs pyarrow: .*; pip install 'xaicore\[d"
    ):
        worst_of("some.csv")


# What has no labels, no order, or is no picture.


@pytest.mark.parametrize(
    ("pool", "shown"),
    [
        ("photos", "pool='photos'"),
        (Elements(PICTURES), "pool is a Elements"),
        (IterableDataset(PICTURES), "pool is a It"),
    ],
    ids=["folder", "data set", "stream"],
)
def test_a_pool_without_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pool, shown) -> None:
    monkeypatch.chdir(tmp_path)
    write_pictures(tmp_path / "photos", 2)
    with pytest.raises(InputError, match=f"^{shown}.*: the worst predictions need true classes: .*'folder'"):
        worst_of(pool)


def test_a_class_out_of_range_is_found_before_the_training(tmp_path: Path) -> None:
    labels = [*LABELS[:5], 7, *LABELS[6:]]
    with pytest.raises(InputError, match=r"^pool: truth 7 is out of range"):
        worst_of((list(PICTURES), labels))


class Shuffled(DataLoader):
    """Reads in an order of its own, two elements at a time."""

    def __init__(self, dataset):
        super().__init__(dataset, batch_sampler=BatchSampler(RandomSampler(dataset), 2))

    def __iter__(self):
        for start in range(COUNT - 2, -1, -2):
            chosen = [self.dataset[start + n] for n in range(2)]
            yield np.stack([x for x, _ in chosen]), np.array([y for _, y in chosen])


def test_a_loader_that_shuffles_is_read_in_its_own_order() -> None:
    worst, searched = worst_of(Shuffled(Elements(zip(INPUTS, LABELS, strict=True))))
    order = [8, 9, 6, 7, 4, 5, 2, 3, 0, 1]
    np.testing.assert_array_equal(searched[:COUNT], INPUTS[order])
    assert [LABELS[order[int(name)]] for name in worst.ids] == worst.truth.tolist()


def test_classes_beside_a_loader_that_shuffles_have_no_images() -> None:
    with pytest.raises(InputError, match=r"^source is a .*Shuffled, which reads its data set in a way of its own"):
        worst_of((Shuffled(Elements(zip(INPUTS, LABELS, strict=True))), LABELS))


class Augmented(Elements):
    def __getitem__(self, position):
        x, label = super().__getitem__(position)
        return x * np.float32(1 + random.random() + np.random.rand()), label


def test_a_data_set_that_augments_is_read_as_it_comes_and_draws_nothing() -> None:
    source = Augmented(zip(INPUTS, LABELS, strict=True))
    before = random.getstate(), np.random.get_state()[1].tolist(), np.random.get_state()[2]
    worst, searched = worst_of(source)
    assert (random.getstate(), np.random.get_state()[1].tolist(), np.random.get_state()[2]) == before
    assert sorted(worst.ids, key=int) == [str(n) for n in range(COUNT)]
    np.testing.assert_array_equal(np.sign(searched[:COUNT]), np.sign(INPUTS))


class Parts(Elements):
    """A list of batches by another name."""

    def __init__(self):
        super().__init__([(INPUTS[:3], np.array(LABELS[:3])), (INPUTS[3:], np.array(LABELS[3:]))])


def test_a_batch_is_no_element(tmp_path: Path) -> None:
    worst, searched = worst_of(Parts())
    np.testing.assert_array_equal(searched[:COUNT], INPUTS)
    assert worst.truth.tolist() == [LABELS[int(name)] for name in worst.ids]
    pytest.importorskip("pyarrow")
    with pytest.raises(InputError, match=r"^source\[0\] is x \(3, 3, 6, 6\) with 3 labels, which may be a batch"):
        xaicore.explain_dataset(object(), Parts(), tmp_path / "out", backend=Seeing(), preprocess=preprocess)


def test_arrays_of_bytes_without_a_preparation_are_the_models_own_inputs() -> None:
    inputs = PICTURES.transpose(0, 3, 1, 2)
    _, searched = worst_of(Elements(zip(inputs, LABELS, strict=True)), preprocess=None)
    np.testing.assert_array_equal(searched[:COUNT], inputs)


class Drawn(Batches):
    def __getitem__(self, number):
        random.random()
        return super().__getitem__(number)


def test_a_data_set_of_batches_is_measured_without_a_draw() -> None:
    before = random.getstate()
    worst_of(Drawn([4, 4, 2]))
    assert random.getstate() == before


def test_a_preparation_that_returns_no_array_is_found_before_the_training() -> None:
    with pytest.raises(InputError, match=r"preprocess <lambda>, 3: returned a .*NoneType; expected an array x"):
        worst_of((list(PICTURES), LABELS), preprocess=lambda picture: None)


# Beside the model.


def test_batches_are_read_ahead_and_no_more_of_them_than_said() -> None:
    started, enough = [], threading.Event()

    def prepare(picture: np.ndarray) -> np.ndarray:
        started.append(int(picture[0, 0, 0]))
        if len(started) == 2 * (AHEAD + 1):
            enough.set()
        return np.float32(picture.mean((0, 1)))

    pictures = [np.full((2, 2, 3), n, np.uint8) for n in range(20)]
    reading = Reading.of(Listing.read(pictures), Preparation.of(prepare), 3)
    with closing(reading.batches(2, "")) as batches:
        for k, batch in enumerate(batches):
            if not k:
                assert enough.wait(10)  # while the first batch is with the model
            assert batch.x[:, 0].tolist() == [2 * k, 2 * k + 1]
            assert len(started) <= 2 * (k + AHEAD + 1)
    assert sorted(started) == list(range(20))


def test_a_reading_that_is_left_early_leaves_no_thread() -> None:
    reading = Reading.of(Listing.read(list(PICTURES)), Preparation.of(preprocess), 2)
    with closing(reading.batches(2, "")) as batches:
        next(batches)
        assert [one for one in threading.enumerate() if one.name.startswith("xaicore-read")]
    assert not [one for one in threading.enumerate() if one.name.startswith("xaicore-read")]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no processes are forked here")
def test_processes_that_a_reader_starts_end_well() -> None:
    def start() -> int | None:
        process = multiprocessing.get_context("fork").Process(target=int)
        process.start()
        process.join(60)
        return process.exitcode

    with Threads(2, "reader") as pool:
        assert [pool.submit(start).result() for _ in range(2)] == [0, 0]


def test_calls_of_threads_raise_where_their_result_is_asked_for() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def wait() -> str:
        begun.set()
        return "done" if go_on.wait(60) else "late"

    pool = Threads(1, "reader")
    exits, first, left = pool.submit(sys.exit, 3), pool.submit(wait), pool.submit(pow, 2, exp=5)
    with pytest.raises(SystemExit):
        exits.result()
    assert begun.wait(60)
    pool.shutdown(wait=False, cancel_futures=True)
    go_on.set()
    assert first.result() == "done"
    assert left.cancelled()
    pool.shutdown()
    assert not [one for one in threading.enumerate() if one.name == "reader_0"]
    with pytest.raises(RuntimeError, match="after shutdown"):
        pool.submit(int)
    with Threads(1, "reader") as pool:
        kept = pool.submit(pow, 2, exp=5)
    assert kept.result() == 32


@pytest.mark.parametrize(("room", "again"), [(2**30, 0), (2 * (4 + 1) * 6 * 6 * 3 * 2, 6), (0, COUNT)])
def test_prepared_pictures_are_kept_where_there_is_room(tmp_path: Path, monkeypatch, room: int, again: int) -> None:
    monkeypatch.setattr(pool, "KEPT", room)
    found = paths(tmp_path)
    Path(found[1]).write_bytes(b"no picture")
    reads: list[int] = []

    def prepare(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        reads.append(1)
        return preprocess(picture)

    options = {"preprocess": prepare, "layer": "second", "batch_size": 2, "loggers": [Recorder()], "beside": False}
    with xaicore.Monitor(None, INPUTS[:1], worst=3, pool=(found, LABELS), backend=Seeing(), **options) as monitor:
        with pytest.warns(RuntimeWarning, match="1 of the pool's images are left out"):
            _, first = monitor.step(0)
        reads.clear()
        _, second = monitor.step(1)
    assert len(reads) == max(again - (room == 0), 0)  # the broken one is not prepared
    assert first.ids == second.ids
    np.testing.assert_array_equal(first.maps, second.maps)


def test_the_callers_data_set_is_read_by_one_thread_unless_its_loader_has_workers() -> None:
    class Watched(Elements):
        def __getitem__(self, position):
            threads.add(threading.current_thread().name)
            return super().__getitem__(position)

    threads: set[str] = set()
    worst_of(Watched(pairs()))
    assert {name for name in threads if name.startswith("xaicore-read")} == {"xaicore-read_0"}


def test_a_stream_is_let_go_of_between_steps() -> None:
    source = IterableDataset(pairs())
    backend, log = Seeing(), Recorder()
    options = {"backend": backend, "preprocess": preprocess, "layer": "second", "batch_size": 4, "beside": False}
    with xaicore.Monitor(None, INPUTS[:1], worst=1, pool=source, loggers=[log], **options) as monitor:
        before = source.passes
        for step in range(3):
            _, worst = monitor.step(step)
            assert len(worst.ids) == 1
    assert source.passes == before + 3  # one each


class Turned(Batched):
    """Another order in each pass, but for the first batch."""

    passes = 0

    def __iter__(self):
        self.passes += 1
        first, *others = super().__iter__()
        return iter([first, *(others if self.passes % 2 else others[::-1])])


def test_names_of_a_stream_in_a_pool() -> None:
    worst, _ = worst_of(IterableDataset(keyed("abcdefghij")))
    assert sorted(worst.ids) == list("abcdefghij")
    assert dict(zip(worst.ids, worst.truth.tolist(), strict=True)) == dict(zip("abcdefghij", LABELS, strict=True))
    repeated, _ = worst_of(IterableDataset(keyed("abcdefghia")))
    assert sorted(repeated.ids) == [*"abcdefghi", "source[9]"]
    paths, _ = worst_of(of_paths(4))
    assert dict(zip(paths.ids, paths.truth.tolist(), strict=True)) == {
        f"photos/{n}.png": label for n, label in enumerate(LABELS)
    }


@pytest.mark.parametrize(
    "source",
    [of_paths(4, kind=Turned), of_paths(3), of_paths(5), of_paths(-2), of_paths(4, count=13)],
    ids=["another order", "fewer", "more", "nobody knows", "paths of others"],
)
def test_paths_that_may_be_of_other_elements_are_no_names(source: Batched) -> None:
    worst, _ = worst_of(source)
    assert sorted(worst.ids) == list("0123456789")


class Held(IterableDataset):
    """Counts its passes that are under way."""

    held = 0

    def __iter__(self):
        self.held += 1
        try:
            yield from super().__iter__()
        finally:
            self.held -= 1


def test_a_stream_that_is_left_early_is_let_go_of() -> None:
    source = Held(pairs())
    listing = Listing.read(source, count=None)
    reading = Reading.of(listing, Preparation.of(preprocess), 1)
    with closing(reading.batches(2, "")) as batches:
        assert next(batches).ids == ["0", "1"]
        assert source.held == 1
    assert source.held == 0
    with closing(reading.batches(4, "")) as batches:
        assert [batch.ids for batch in batches] == [list("0123"), list("4567"), list("89")]
    assert source.held == 0


def test_a_stream_ends_where_it_ends_and_a_broken_element_counts() -> None:
    def begin():
        return iter([10, 11, 12])

    stream = Stream(begin, None)
    assert [stream[n] for n in range(3)] == [10, 11, 12]
    with pytest.raises(Ended):
        stream[3]
    assert stream[0] == 10  # a new pass
    with pytest.warns(RuntimeWarning, match=r"1 of the pool's images are left out: source\[3\] is complex128 \(2, 2\)"):
        worst, searched = worst_of(IterableDataset([*pairs()[:3], (np.zeros((2, 2), complex), 1), *pairs()[4:]]))
    assert sorted(map(int, worst.ids)) == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    np.testing.assert_array_equal(searched[:9], INPUTS[[0, 1, 2, 4, 5, 6, 7, 8, 9]])
