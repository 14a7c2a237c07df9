"""The logger `mlflow`: what MLflow's client reads back, pixel by pixel and number by number."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import os
import random
import re
import socket
import subprocess
import sys
import threading
import tracemalloc
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import delivery
import mlflow
import numpy as np
import pytest
from clock import Clock
from explanations import example, explanation, several_labels, strip
from mlflow.utils.validation import MAX_METRICS_PER_BATCH
from names import NASTY
from processes import environment, run_code

import xaicore
from xaicore_mlflow import server, table

FILE = re.compile(r"images/(.+)[+%]step[+%](-?\d+)[+%]timestamp[+%](\d+)[+%][^+%]+\.png")


@dataclasses.dataclass
class Store:
    """A store that all tests share, for it takes seconds to make: one run of the same name a test."""

    uri: str
    artifacts: Path
    client: mlflow.MlflowClient
    name: str = ""

    def loggers(self, **options: Any) -> xaicore.Loggers:
        options = {"tracking_uri": self.uri, "experiment": "pictures", **options}
        return xaicore.open_loggers({"mlflow": options}, name=self.name, on_error="raise")

    def log(self, *steps: tuple[xaicore.Explanation, int | None], **options: Any) -> Read:
        with self.loggers(**options) as loggers:
            for one, step in steps:
                loggers(one, step=step)
        return self.read()

    def read(self) -> Read:
        experiment = self.client.get_experiment_by_name("pictures")
        [run] = self.client.search_runs([experiment.experiment_id], f"attributes.run_name = '{self.name}'")
        return Read(self.client, run.info.run_id)


@dataclasses.dataclass
class Read:
    """What is in a run."""

    client: mlflow.MlflowClient
    run_id: str

    @property
    def files(self) -> dict[str, list[tuple[int, str]]]:
        """{key: [(step, path), ...]} of images as they are, in the order of logging."""
        found: dict[str, list[tuple[int, str]]] = {}
        paths = [file.path for file in self.client.list_artifacts(self.run_id, "images")]
        known = [(FILE.fullmatch(path), path) for path in paths if path.endswith(".png")]
        for match, path in sorted(known, key=lambda one: int(one[0][3])):
            found.setdefault(re.sub("[~#]", "/", match[1]), []).append((int(match[2]), path))
        return dict(sorted(found.items()))

    @property
    def info(self) -> Any:
        return self.client.get_run(self.run_id).info

    def content(self, path: str) -> bytes:
        return Path(self.client.download_artifacts(self.run_id, path)).read_bytes()

    def images(self, key: str) -> list[tuple[int, np.ndarray]]:
        """RGB."""
        read = [(step, np.frombuffer(self.content(path), np.uint8)) for step, path in self.files[key]]
        return [(step, cv2.imdecode(data, cv2.IMREAD_UNCHANGED)[..., ::-1]) for step, data in read]

    def metric(self, name: str) -> list[tuple[int, float]]:
        return [(one.step, one.value) for one in self.client.get_metric_history(self.run_id, name)]

    @property
    def metrics(self) -> list[str]:
        return sorted(self.client.get_run(self.run_id).data.metrics)

    def rows(self, step: int) -> list[dict[str, str]]:
        """A step's table."""
        text = self.content(f"xaicore/predictions/step_{step:06d}.csv").decode()
        return list(csv.DictReader(io.StringIO(text)))


@pytest.fixture(autouse=True)
def own_experiment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test makes current, which MLflow keeps in a variable, is current no longer when it ends."""
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "0")
    monkeypatch.delenv("MLFLOW_EXPERIMENT_ID")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Store:
    root = tmp_path_factory.mktemp("mlflow")
    uri = f"sqlite:///{root}/mlflow.db"
    client = mlflow.MlflowClient(uri)
    client.create_experiment("pictures", artifact_location=(root / "artifacts").as_uri())
    return Store(uri, root / "artifacts", client)


@pytest.fixture
def store(shared: Store, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Store:
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        monkeypatch.delenv(name)
    return dataclasses.replace(shared, name=re.sub(r"\W", "_", request.node.name))


@pytest.fixture
def current(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """The store is MLflow's current one, as after mlflow.set_tracking_uri."""
    mlflow.set_tracking_uri(store.uri)
    yield store
    while mlflow.active_run():
        mlflow.end_run()
    mlflow.set_tracking_uri(None)


def test_every_image_of_every_step_is_there_to_the_pixel(store: Store) -> None:
    by_step = {step: example(n=2, k=2, seed=step, ids=["cat.jpg", "dog.jpg"]) for step in range(3)}
    found = store.log(*((one, step) for step, one in by_step.items()))
    kinds = ("heatmap", "overlay")
    names = ("cat.jpg", "dog.jpg")
    assert list(found.files) == [
        f"xaicore/{name}/{kind} {k} given conv" for name in names for kind in kinds for k in (0, 1)
    ]
    for m, (name, k) in enumerate([("cat.jpg", 0), ("cat.jpg", 1), ("dog.jpg", 0), ("dog.jpg", 1)]):
        overlays = found.images(f"xaicore/{name}/overlay {k} given conv")
        heatmaps = found.images(f"xaicore/{name}/heatmap {k} given conv")
        assert [step for step, _ in overlays] == [step for step, _ in heatmaps] == [0, 1, 2]
        for step, one in by_step.items():
            np.testing.assert_array_equal(overlays[step][1], one.overlays()[m])
            np.testing.assert_array_equal(heatmaps[step][1], xaicore.overlay.colorize(one.heatmaps())[m])
    assert found.client.get_run(found.run_id).data.tags["mlflow.loggedImages"] == "True"  # the UI looks for it


def test_colours_are_the_users(store: Store) -> None:
    one = example(n=1, k=1)
    found = store.log((one, 0), colormap="magma", alpha=0.8)
    [(_, overlay)], [(_, heatmap)] = (found.images(f"xaicore/0/{kind} 0 given conv") for kind in ("overlay", "heatmap"))
    np.testing.assert_array_equal(overlay, one.overlays("magma", 0.8)[0])
    np.testing.assert_array_equal(heatmap, xaicore.overlay.colorize(one.heatmaps(), "magma")[0])


def test_outlines_are_drawn(store: Store) -> None:
    one = example(n=1, k=1)
    [(_, overlay)] = store.log((one, 0), outline=0.3).images("xaicore/0/overlay 0 given conv")
    np.testing.assert_array_equal(overlay, one.overlays(outline=0.3)[0])


def test_a_shared_scale_is_kept(store: Store) -> None:
    one = example(n=2, k=1)
    one = dataclasses.replace(one, ceilings=2 * one.maps.max(axis=(1, 2)))
    [(_, image)] = store.log((one, 0)).images("xaicore/1/overlay 0 given conv")
    assert one.heatmaps()[1].max() == 0.5
    np.testing.assert_array_equal(image, one.overlays()[1])


def test_scores_become_metrics(store: Store) -> None:
    steps = {3: example(n=2, k=2, seed=1), 8: example(n=2, k=2, seed=2)}
    steps[8] = dataclasses.replace(steps[8], outputs=steps[8].outputs * 2, scores=steps[8].scores / 2)
    found = store.log(*((one, step) for step, one in steps.items()))
    for m, place in enumerate(("0 0", "0 1", "1 0", "1 1")):
        for name in ("score", "raw_score"):
            wanted = [(step, one.row(m)[name]) for step, one in steps.items()]
            assert found.metric(f"xaicore/{name}/{place}") == wanted
    assert len(found.metrics) == 8  # and no share of right, for the truth is not known


@pytest.mark.thorough
def test_more_metrics_than_mlflow_takes_at_once(store: Store) -> None:
    count = 1 + MAX_METRICS_PER_BATCH // 2  # of maps with two metrics each
    one = explanation(np.ones((count, 1, 2)))
    found = store.log((one, 0))
    assert len(found.metrics) == 2 * count
    assert found.metric(f"xaicore/score/{count - 1} 0") == [(0, float(one.scores[-1]))]
    assert len(found.rows(0)) == count


def test_scores_that_are_no_number_leave_a_gap(store: Store) -> None:
    bad = explanation(np.ones((1, 1, 5, 7)), outputs=np.array([[np.inf, 1, 0, 0]], np.float32))
    assert not np.isfinite(bad.scores).any()
    found = store.log((bad, 0), (example(n=1, k=1, size=(5, 7)), 1))
    assert [step for step, _ in found.metric("xaicore/score/0 0")] == [1]
    assert [step for step, _ in found.metric("xaicore/raw_score/0 0")] == [1]
    assert [row["raw_score"] for row in found.rows(0)] == ["inf"]


def test_the_share_of_right_is_of_pictures_whose_truth_is_known(store: Store) -> None:
    one = example(n=4, k=2)
    predicted = one.predicted.tolist()
    wrong = [(c + 1) % 4 for c in predicted]
    first = dataclasses.replace(one, truth=np.array([predicted[0], wrong[1], wrong[2], -1]))
    second = dataclasses.replace(one, truth=np.array([predicted[0], predicted[1], wrong[2], wrong[3]]))
    found = store.log((first, 0), (second, 1), (dataclasses.replace(second, predicted=None), 2))
    assert found.metric("xaicore/right") == [(0, 1 / 3), (1, 0.5)]


def test_a_step_of_several_explanations_has_one_table_and_one_share(store: Store) -> None:
    """One a method, and a set that came in two parts, of two targets and of one."""
    one, two = (example(n=3, k=k, ids=["a", "b", "c"]) for k in (1, 2))
    truth = np.array([one.predicted[0], one.predicted[1], (one.predicted[2] + 1) % 4])
    one, two = (dataclasses.replace(part, truth=truth) for part in (one, two))
    other = dataclasses.replace(one, method="other")
    found = store.log(*((part, 5) for part in (two.take([0]), one.take([1, 2]), other)))
    assert found.metric("xaicore/right") == [(5, 2 / 3)]
    assert len(found.metric("xaicore/score/a 0")) == 1
    rows = [(row["id"], row["method"]) for row in found.rows(5)]
    assert rows == [("a", "given"), *((name, method) for method in ("given", "other") for name in ("a", "b", "c"))]
    assert {key.split()[2] for key in found.files} == {"given", "other"}


def test_the_table_says_what_was_predicted(store: Store) -> None:
    outputs = np.array([[4, 2, 0, 0], [0, 1, 0, 5]], np.float32)
    known = {"ids": ['a,\n"b".jpg', "y.jpg"], "truth": [0, 1], "class_names": ["cat", "dog", "fox", "ant"]}
    one = explanation(np.ones((2, 2, 5, 7)), outputs=outputs, images=np.zeros((2, 5, 7, 3), np.uint8), **known)
    rows = store.log((one, 2), (dataclasses.replace(one.take([1]), group="worst", truth=None), 2)).rows(2)
    assert len(rows) == 6
    assert rows[0] == {
        "group": "",
        "id": 'a,\n"b".jpg',
        "predicted_name": "cat",
        "truth_name": "cat",
        "right": "True",
        "k": "0",
        "target_name": "cat",
        "score": str(float(one.scores[0])),
        "raw_score": "4.0",
        "empty": "False",
        "method": "given",
        "layer": "conv",
        "predicted": "0",
        "truth": "0",
        "target": "0",
        "images": f"xaicore/{table.key_part(known['ids'][0])}/* 0 given conv",
        "views": "",
    }
    columns = ("group", "id", "k", "target", "target_name", "predicted_name", "truth_name", "right", "images")
    assert [[row[column] for column in columns] for row in rows[2:]] == [
        ["", "y.jpg", "0", "3", "ant", "ant", "dog", "False", "xaicore/y.jpg/* 0 given conv"],
        ["", "y.jpg", "1", "1", "dog", "ant", "dog", "False", "xaicore/y.jpg/* 1 given conv"],
        ["worst", "y.jpg", "0", "3", "ant", "ant", "", "", "xaicore-worst/0/* 0 given conv"],
        ["worst", "y.jpg", "1", "1", "dog", "ant", "", "", "xaicore-worst/0/* 1 given conv"],
    ]


def test_the_table_names_the_views_of_a_strip(store: Store) -> None:
    pictures = np.zeros((1, 3, 5, 7, 3), np.uint8)
    one = strip(np.ones((1, 1, 3, 5, 7)), pictures, ["frame 0", "frame 1", "frame 2"], frames=3, ids=["clip"])
    read = store.log((one, 0))
    assert [row["views"] for row in read.rows(0)] == ["left to right: frame 0, frame 1, frame 2"]
    [(_, shown)] = read.images("xaicore/clip/overlay 0 given conv")
    np.testing.assert_array_equal(shown, one.overlays()[0])


def test_pictures_may_have_several_labels(store: Store) -> None:
    one = several_labels()
    found = store.log((one, 0))
    assert found.metric("xaicore/right") == [(0, 0.5)]
    rows = found.rows(0)
    assert [(row["truth_name"], row["right"]) for row in rows] == [
        (one.row(0)["truth_name"], "True"),
        ("none", "False"),
    ]
    assert rows[0]["truth_name"].count(", ") == 1
    assert [json.loads(row["truth"]) for row in rows] == [one.row(0)["truth"], []]


def test_the_worst_go_by_rank(store: Store) -> None:
    """Their ids change from step to step: by id, there would be ever more keys."""
    fixed = example(n=1, k=1, ids=["cat.jpg"], truth=[0])
    worst = [dataclasses.replace(example(n=2, k=1, seed=s, ids=[f"{s}a", f"{s}b"]), group="worst") for s in (0, 1)]
    found = store.log((fixed, 0), (worst[0], 0), (fixed, 1), (worst[1], 1))
    ranked = [key for key in found.files if not key.startswith("xaicore/")]
    assert ranked == [f"xaicore-worst/{n}/{kind} 0 given conv" for n in (0, 1) for kind in ("heatmap", "overlay")]
    images = found.images("xaicore-worst/1/overlay 0 given conv")
    assert [step for step, _ in images] == [0, 1]
    for (_, image), one in zip(images, worst, strict=True):
        np.testing.assert_array_equal(image, one.overlays()[1])
    assert [row["id"] for step in (0, 1) for row in found.rows(step)] == ["cat.jpg", "0a", "0b", "cat.jpg", "1a", "1b"]
    assert [name for name in found.metrics if "worst" in name] == [
        f"xaicore-worst/{name}/{n} 0" for name in ("raw_score", "score") for n in (0, 1)
    ]
    assert len(found.metric("xaicore/right")) == 2


def test_no_two_ids_share_a_key(store: Store) -> None:
    ids = [*NASTY, table.key_part("a/b")]  # the last one is what somebody would choose who wants to be taken for a/b
    found = store.log((example(n=len(ids), k=1, ids=ids), 0))
    assert len(found.files) == 2 * len(ids)
    assert {(len(key.split("/")), len(files)) for key, files in found.files.items()} == {(3, 1)}
    assert all(part for key in found.files for part in key.split("/"))
    assert "xaicore/a_b/overlay 0 given conv" in found.files
    assert len([name for name in found.metrics if name.startswith("xaicore/score/")]) == len(ids)
    written = [row["id"] for row in found.rows(0)]
    assert written == [*(name.replace("\udcff", "\\udcff") for name in NASTY), table.key_part("a/b")]
    files = list((store.artifacts / found.run_id).rglob("*"))
    folders = {path.relative_to(store.artifacts / found.run_id).as_posix() for path in files if path.is_dir()}
    assert folders == {"artifacts", "artifacts/images", "artifacts/xaicore", "artifacts/xaicore/predictions"}


def test_names_of_methods_and_layers_are_parts_of_keys(store: Store) -> None:
    one = example(n=1, k=1)
    known = [("my/method", "block 1 + block/2"), ("my", "method/block 1"), ("a b", "c"), ("a", "b c")]
    found = store.log(*((dataclasses.replace(one, method=method, layer=layer), 0) for method, layer in known))
    assert len(found.files) == 8
    assert {(len(key.split("/")), len(key.split(" "))) for key in found.files} == {(3, 4)}


@pytest.mark.parametrize("group", [None, "worst/" * 60])
def test_names_of_files_have_an_end(store: Store, group: str | None) -> None:
    long = "block/" * 60
    parts = [example(n=1, k=1, ids=[f"{long}{n}"]) for n in range(2)]
    parts = [dataclasses.replace(one, method=f"{long}m", layer=f"{long}l", group=group) for one in parts]
    if group:
        parts[1] = dataclasses.replace(parts[1], group=f"{group}/")
    found = store.log(*((one, 2**62) for one in parts))
    assert len(found.files) == 4
    assert {step for files in found.files.values() for step, _ in files} == {2**62}


def test_a_step_that_comes_again_replaces_the_table_and_is_the_later_image(store: Store) -> None:
    """MLflow's page shows the later one."""
    first, second = example(n=1, k=1, seed=1), example(n=1, k=1, seed=2)
    second = dataclasses.replace(second, scores=second.scores / 2)
    with store.loggers() as loggers:
        loggers(first, 4)
        loggers.flush()
        loggers(second, 4)
    found = store.read()
    (step, before), (again, after) = found.images("xaicore/0/overlay 0 given conv")
    assert step == again == 4
    np.testing.assert_array_equal(before, first.overlays()[0])
    np.testing.assert_array_equal(after, second.overlays()[0])
    assert found.metric("xaicore/score/0 0") == [(4, float(first.scores[0])), (4, float(second.scores[0]))]
    assert [row["score"] for row in found.rows(4)] == [str(float(second.scores[0]))]


@pytest.mark.parametrize(("step", "kept"), [(None, 0), (np.int64(2**40), 2**40), (-3, -3)])
def test_steps_are_whole_numbers(store: Store, step: Any, kept: int) -> None:
    found = store.log((example(n=1, k=1), step))
    assert [step for step, _ in found.files["xaicore/0/overlay 0 given conv"]] == [kept]
    assert [step for step, _ in found.metric("xaicore/score/0 0")] == [kept]
    assert len(found.rows(kept)) == 1


def test_what_is_held_back_goes_out_with_flush_the_next_step_and_closing(store: Store) -> None:
    def steps() -> list[int]:
        return [step for step, _ in store.read().metric("xaicore/score/0 0")]

    def images() -> int:
        return sum(len(steps) for steps in store.read().files.values())

    delivery.check_steps(store.loggers(), images, steps)
    assert [len(store.read().rows(step)) for step in range(4)] == [1, 1, 1, 1]


def test_a_run_of_its_own_is_started_and_finished(store: Store) -> None:
    with store.loggers():
        assert store.read().info.status == "RUNNING"
        assert mlflow.active_run() is None
    assert store.read().info.status == "FINISHED"
    assert (store.read().info.run_name, store.read().info.end_time is None) == (store.name, False)


def test_a_run_is_finished_also_when_shipping_fails(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OSError, match="no space"):
        with store.loggers() as loggers:
            loggers(example(n=1, k=1), 0)
            monkeypatch.setattr(
                mlflow.MlflowClient, "log_batch", lambda *_, **__: (_ for _ in ()).throw(OSError("no space"))
            )
    assert store.read().info.status == "FINISHED"


def test_the_users_active_run_is_joined_and_never_ended(current: Store) -> None:
    """Logging happens in another thread, in which MLflow knows of no active run."""
    one = example(n=1, k=1)
    failed: list[BaseException] = []

    def work(loggers: xaicore.Loggers) -> None:
        try:
            assert mlflow.active_run() is None
            loggers(one, 7)
            loggers.flush()
            loggers.__exit__(None, None, None)
        except BaseException as exc:
            failed.append(exc)

    with mlflow.start_run(experiment_id=current.client.get_experiment_by_name("pictures").experiment_id) as run:
        loggers = current.loggers(tracking_uri=None).__enter__()
        thread = threading.Thread(target=work, args=(loggers,))
        thread.start()
        thread.join()
        assert failed == []
        assert mlflow.active_run().info.run_id == run.info.run_id
        found = Read(current.client, run.info.run_id)
        assert found.info.status == "RUNNING"
    [(step, image)] = found.images("xaicore/0/overlay 0 given conv")
    assert step == 7
    np.testing.assert_array_equal(image, one.overlays()[0])
    assert found.metric("xaicore/score/0 0") == [(7, float(one.scores[0]))]
    experiment = current.client.get_experiment_by_name("pictures").experiment_id
    assert current.client.search_runs([experiment], f"attributes.run_name = '{current.name}'") == []


def test_a_run_of_its_own_is_logged_from_another_thread(store: Store) -> None:
    one = example(n=1, k=1)
    loggers = store.loggers().__enter__()
    thread = threading.Thread(target=lambda: (loggers(one, 1), loggers.flush(), loggers.__exit__(None, None, None)))
    thread.start()
    thread.join()
    found = store.read()
    assert found.info.status == "FINISHED"
    np.testing.assert_array_equal(found.images("xaicore/0/overlay 0 given conv")[0][1], one.overlays()[0])


@pytest.mark.parametrize("how", ["run_id", "MLFLOW_RUN_ID"])
def test_a_run_that_is_named_is_joined_and_never_ended(
    current: Store, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = current.client.get_experiment_by_name("pictures").experiment_id
    run = current.client.create_run(experiment, run_name=current.name)
    if how == "MLFLOW_RUN_ID":
        monkeypatch.setenv(how, run.info.run_id)
        found = current.log((example(n=1, k=1), 0), tracking_uri=None)
    else:
        with mlflow.start_run(experiment_id=experiment, run_name="active"):
            found = current.log((example(n=1, k=1), 0), tracking_uri=None, run_id=run.info.run_id)
    assert found.run_id == run.info.run_id
    assert len(found.files) == 2
    assert found.info.status == "RUNNING"


def test_another_store_has_a_run_of_its_own(current: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids of runs and experiments say nothing there."""
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "987")
    monkeypatch.setenv("MLFLOW_RUN_ID", "a" * 32)
    experiment = current.client.get_experiment_by_name("pictures").experiment_id
    with mlflow.start_run(run_id=current.client.create_run(experiment, run_name="active").info.run_id) as run:
        found = current.log((example(n=1, k=1), 0))
        assert found.run_id != run.info.run_id
        with xaicore.open_loggers({"mlflow": {"tracking_uri": current.uri}}, name=current.name, on_error="raise"):
            pass
    assert len(current.client.search_runs(["0"], f"attributes.run_name = '{current.name}'")) == 1


@pytest.mark.parametrize("how", ["set_experiment", "MLFLOW_EXPERIMENT_NAME", "experiment"])
def test_the_experiment_is_the_current_one(current: Store, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"by {how}"
    options = {}
    if how == "set_experiment":
        mlflow.set_experiment(name)
    elif how == "experiment":
        options = {"mlflow": {how: name}}
        monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "0")
        monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "Default")
    else:
        monkeypatch.setenv(how, name)
    for _ in range(2):  # the first makes it, the second finds it
        with xaicore.open_loggers(options or "mlflow", name=current.name, on_error="raise"):
            pass
    monkeypatch.delenv("MLFLOW_EXPERIMENT_ID", raising=False)
    found = current.client.search_runs([current.client.get_experiment_by_name(name).experiment_id])
    assert [run.info.run_name for run in found] == [current.name] * 2


def test_without_any_setting_mlflow_finds_the_run(tmp_path: Path) -> None:
    """In the folder where the program starts, also when it goes elsewhere."""
    code = """
import os
import mlflow
import xaicore
from explanations import example
home = os.getcwd()
with xaicore.open_loggers("mlflow", name="exp1", on_error="raise") as log:
    os.makedirs("elsewhere")
    os.chdir("elsewhere")
    log(example(n=1, k=1), 0)
    log.flush()
assert os.listdir() == [], os.listdir()
os.chdir(home)
[run] = mlflow.MlflowClient().search_runs(["0"])
print(run.info.run_name, run.info.status, len(mlflow.MlflowClient().list_artifacts(run.info.run_id, "images")))
"""
    printed = run_code(code, env=environment(without="MLFLOW_"), cwd=tmp_path)
    assert printed.splitlines()[-1] == "exp1 FINISHED 4"


def test_the_run_is_described(store: Store) -> None:
    config = {"lr": 0.1, "path": Path("a"), "note": "\udcff"}
    options = {"mlflow": {"tracking_uri": store.uri, "experiment": "pictures"}}
    opened = xaicore.open_loggers(options, name=store.name, config=config, on_error="raise")
    with opened:
        pass
    assert json.loads(store.read().content("xaicore/run.json")) == {
        "name": store.name,
        "started": opened.run.started,
        "config": {**config, "path": "a"},
        "versions": dict(opened.run.versions),
    }


@pytest.mark.parametrize(
    ("uri", "place"),
    [
        ("http://me:se@cret@host:5000/base/", "mlflow: http://host:5000/base/#/experiments/7/runs/abc"),
        ("https://host", "mlflow: https://host/#/experiments/7/runs/abc"),
        ("sqlite:///my runs.db", "mlflow ui --backend-store-uri 'sqlite:///my runs.db' (run abc)"),
        ("databricks", "mlflow: run abc at databricks"),
        ("postgresql://me:secret@host/db", "mlflow: run abc at postgresql://host/db"),
    ],
)
def test_where_a_run_is_seen(uri: str, place: str) -> None:
    assert server.address(uri, "7", "abc") == place


def test_where_the_run_is_seen_is_reported(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    with store.loggers():
        pass
    said = capsys.readouterr().err
    assert f"xaicore: mlflow ui --backend-store-uri {store.uri} (run {store.read().run_id})\n" in said


def test_images_are_there_when_log_returns(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_ENABLE_ASYNC_LOGGING", "true")
    with store.loggers() as loggers:
        loggers(example(n=8, k=1), 0)
        assert len(store.read().files) == 16
        loggers.flush()
        assert len(store.read().metrics) == 16


def test_random_numbers_are_left_alone(store: Store) -> None:
    one = example(n=2, k=1)
    before = random.getstate(), repr(np.random.get_state())
    store.log((one, 0), (one, 1))
    assert (random.getstate(), repr(np.random.get_state())) == before


@pytest.mark.thorough
def test_memory_does_not_grow_with_steps(store: Store) -> None:
    one = explanation(np.ones((25, 1, 2)))  # numbers alone: their rows are what is held back
    held = []
    tracemalloc.start()
    try:
        with store.loggers() as loggers:
            for step in range(7):
                loggers(one, step)
                held.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert held[-1] - held[2] < 75_000  # the rows of three steps are as much


def test_without_pictures_there_are_heatmaps(store: Store) -> None:
    """Five channels are no picture."""
    one = explanation(np.random.default_rng(0).random((1, 1, 5, 7)), (10, 14), images=None)
    assert one.images is None
    found = store.log((one, 0))
    assert list(found.files) == ["xaicore/0/heatmap 0 given conv"]
    [(_, image)] = found.images("xaicore/0/heatmap 0 given conv")
    np.testing.assert_array_equal(image, xaicore.overlay.colorize(one.heatmaps())[0])


@pytest.mark.parametrize("shape", [(9,), (3, 4, 5)])
def test_signals_and_volumes_have_their_curve_and_their_slices(store: Store, shape: tuple[int, ...]) -> None:
    one = explanation(np.random.default_rng(0).random((1, 1, *shape)))
    found = store.log((one, 0))
    [(_, image)] = found.images("xaicore/0/overlay 0 given conv")
    np.testing.assert_array_equal(image, one.overlay(0))


def test_what_cannot_be_drawn_has_numbers_alone(store: Store) -> None:
    one = explanation(np.ones((2, 1, 2, 2, 2, 2)), truth=[0, 1])
    found = store.log((one, 0))
    assert found.files == {}
    assert found.metric("xaicore/score/1 0") == [(0, float(one.scores[1]))]
    assert len(found.rows(0)) == 2


def test_a_dead_server_is_known_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow itself would try for four minutes."""
    before = dict(os.environ)
    loggers = xaicore.open_loggers({"mlflow": {"tracking_uri": "http://me:secret@127.0.0.1:9/base"}})
    with pytest.raises(xaicore.LoggerError) as raised:
        loggers.__enter__()
    assert str(raised.value) == (
        "no MLflow server answers at http://127.0.0.1:9 (ConnectionError); "
        "start it, or pass another tracking_uri= or MLFLOW_TRACKING_URI"
    )
    assert dict(os.environ) == before


def test_a_server_that_takes_too_long_is_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes the connection, and says a word when nobody waits for it any more."""
    monkeypatch.setattr(server, "ANSWER", 0.1)
    over = threading.Event()

    def answer(listening: socket.socket) -> None:
        for _ in range(2):
            connection, _ = listening.accept()
            over.wait(2)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=answer, args=(listening,), daemon=True)
        thread.start()
        with pytest.raises(xaicore.LoggerError, match=r"no MLflow server answers at .*\(ReadTimeout\)"):
            server.reach(f"http://127.0.0.1:{listening.getsockname()[1]}", pauses=(0, 0))
        over.set()
        thread.join()


@pytest.mark.parametrize("uri", ["sqlite:///a.db", "databricks", "file:///a", "./a"])
def test_where_there_is_no_server_none_is_asked(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server.requests, "get", lambda *_, **__: pytest.fail("somebody was asked"))
    server.reach(uri)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A real server, which keeps the artifacts, too."""
    root = tmp_path_factory.mktemp("server")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    command += [
        "--backend-store-uri",
        f"sqlite:///{root}/mlflow.db",
        "--artifacts-destination",
        str(root / "artifacts"),
    ]
    jobs = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # they take ten seconds to start
    own = environment(without="MLFLOW_", variables=jobs)
    with (root / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=own, cwd=root, start_new_session=True)
    try:
        for _ in range(600):
            if process.poll() is not None:
                pytest.fail((root / "log").read_text())
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1).close()
                break
            except OSError:
                threading.Event().wait(0.1)
        yield f"http://127.0.0.1:{port}", process
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    """The server and its workers."""
    if process.poll() is None:
        os.killpg(process.pid, 9)
    process.wait()


def test_a_server_is_logged_to_and_its_death_noticed(served: tuple[str, subprocess.Popen[bytes]], clock: Clock) -> None:
    uri, process = served
    one = example(n=1, k=1)
    loggers = xaicore.open_loggers({"mlflow": {"tracking_uri": uri}}, name="served").__enter__()
    loggers(one, 3)
    loggers.flush()
    client = mlflow.MlflowClient(uri)
    [run] = client.search_runs(["0"])
    found = Read(client, run.info.run_id)
    [(step, image)] = found.images("xaicore/0/overlay 0 given conv")
    assert step == 3
    np.testing.assert_array_equal(image, one.overlays()[0])
    assert found.metric("xaicore/score/0 0") == [(3, float(one.scores[0]))]
    assert len(found.rows(3)) == 1

    stop(process)
    clock.slept.clear()
    with pytest.warns(
        RuntimeWarning, match="'mlflow' is switched off: log raised LoggerError: no MLflow server answers"
    ):
        loggers(one, 4)
    assert clock.slept == [0, 1, 4]  # seconds: a server that starts anew is waited for, and training is not held up
    loggers(one, 5)
    loggers.__exit__(None, None, None)
    assert list(loggers.failed) == ["mlflow"]


def test_unknown_options_are_named() -> None:
    known = "run_id, experiment, tracking_uri, colormap, alpha, outline, diverging, axis, slices, boxes"
    with pytest.raises(xaicore.PluginError, match=f"mlflow logger has no option 'uri', 'x'; known: {known}$"):
        xaicore.open_loggers({"mlflow": {"uri": "sqlite:///a.db", "alpha": 1, "x": 1}})


def test_a_run_that_is_not_there_is_named(store: Store) -> None:
    with pytest.raises(
        xaicore.LoggerError, match="logger 'mlflow' does not open: MlflowException: Run with id=nope not"
    ):
        store.loggers(run_id="nope").__enter__()
