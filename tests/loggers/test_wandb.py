"""The logger `wandb`: offline runs read back, pixel by pixel, row by row."""

from __future__ import annotations

import gc
import os
import random
import re
import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wandb
from explanations import example, explanation, several_labels, strip
from processes import start_code
from toynet import ToyBackend, ToyNet
from wandb_reading import OfflineRun

import xaicore

NAMES = ("cat", "dog", "</script><b>", "gear/box")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A machine on which wandb was never used; returns where runs go."""
    wandb.teardown()  # ends the service whose address another test's run has left in a variable
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    for name in ("DIR", "DATA_DIR", "CACHE_DIR", "CONFIG_DIR", "ARTIFACT_DIR"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(f"WANDB_{name}", str(tmp_path / name))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.chdir(tmp_path)
    wandb.teardown()  # settings are read once a session
    yield tmp_path / "DIR"
    if wandb.run is not None:
        wandb.finish()
    wandb.teardown()


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """All runs that were started, whoever started them."""
    found, init = [], wandb.init

    def start(*arguments: Any, **options: Any) -> Any:
        found.append(init(*arguments, **options))
        return found[-1]

    monkeypatch.setattr(wandb, "init", start)
    return found


def runs(place: Path) -> list[OfflineRun]:
    """All that was written; the writing process is waited for."""
    wandb.teardown()
    return OfflineRun.all(place)


def the_run(place: Path) -> OfflineRun:
    (run,) = runs(place)
    return run


def temporary() -> set[Path]:
    """The images that wandb has not moved into a run."""
    return set(Path(wandb.sdk.data_types.table.MEDIA_TMP.name).glob("*.png"))


def same(pictures: list[np.ndarray], expected: Any) -> bool:
    return len(pictures) == len(expected) and all(map(np.array_equal, pictures, expected))


def heat(one: xaicore.Explanation, colormap: str = "inferno") -> np.ndarray:
    return xaicore.overlay.colorize(one.heatmaps(), colormap)


def test_every_picture_of_every_epoch_arrives_pixel_by_pixel(place: Path) -> None:
    logged: dict[tuple[int, str], xaicore.Explanation] = {}
    with xaicore.open_loggers("wandb", on_error="raise") as log:
        for epoch in range(3):
            for method in ("gradcam++", "eigencam"):
                one = example(3, 2, seed=epoch, method=method, truth=[0, 1, 2], class_names=NAMES)
                log(one, step=epoch)
                logged[epoch, method] = one
            log.flush()
    run = the_run(place)
    assert [row["xaicore/epoch"] for row in run.rows] == [0, 1, 2]
    for (epoch, method), one in logged.items():
        row = run.rows[epoch]
        assert same(run.pictures(row[f"xaicore/overlay/{method}"]), one.overlays())
        assert same(run.pictures(row[f"xaicore/heatmap/{method}"]), heat(one))
    assert run.finished


def test_captions_say_what_is_known(place: Path) -> None:
    outputs = np.log([[0.2, 0.7, 0.06, 0.04], [0.5, 0.25, 0.13, 0.12]])
    one = explanation(
        np.ones((2, 1, 4, 4)),
        outputs=outputs.astype(np.float32),
        images=np.zeros((2, 8, 8, 3), np.uint8),
        ids=["a/../b.png", "</script><b>"],
        truth=[1, -1],
        class_names=NAMES,
    )
    wrong = explanation(np.ones((1, 1, 4, 4)), outputs=outputs[:1].astype(np.float32), truth=[3], method="other")
    with xaicore.open_loggers("wandb", on_error="raise") as log:
        log(one, step=1)
        log(wrong, step=1)
    (row,) = the_run(place).rows
    captions = [
        "a/../b.png | dog 0.700 | predicted dog | truth dog | right | given at conv",
        "</script><b> | cat 0.500 | predicted cat | given at conv",
    ]
    assert row["xaicore/overlay/given"]["captions"] == row["xaicore/heatmap/given"]["captions"] == captions
    assert row["xaicore/heatmap/other"]["captions"] == ["0 | 1 0.700 | predicted 1 | truth 3 | wrong | other at conv"]


def test_captions_name_the_views_of_a_strip(place: Path) -> None:
    one = strip(np.ones((1, 1, 2, 4, 4)), np.zeros((1, 2, 4, 4, 3), np.uint8), ["left", "right"], ids=["pair"])
    with xaicore.open_loggers("wandb", on_error="raise") as log:
        log(one, step=1)
    (row,) = the_run(place).rows
    (caption,) = row["xaicore/overlay/given"]["captions"]
    assert caption.endswith(" | given at conv | left to right: left, right")


def test_the_table_has_a_row_a_map_of_every_epoch(place: Path) -> None:
    logged = []
    with xaicore.open_loggers("wandb", on_error="raise") as log:
        for epoch in range(4):
            one = example(3, 2, seed=epoch, truth=[0, -1, 2], class_names=NAMES, ids=["x", "y/../z", "</script>"])
            log(one, step=epoch)
            log.flush()
            logged.append(one)
    run = the_run(place)
    assert len(run.increments) == 4
    for epoch, (one, rows) in enumerate(zip(logged, run.increments, strict=True)):
        assert len(rows) == 6
        assert same([row.pop("overlay") for row in rows], one.overlays())
        assert same([row.pop("photo") for row in rows], one.images[one.image_index])
        expected = []
        for m in range(6):
            known = one.row(m)
            right = None if known["truth"] is None else known["truth"] == known["predicted"]
            expected.append(
                {
                    "epoch": epoch,
                    "id": known["id"],
                    "group": None,
                    "method": "given",
                    "layer": "conv",
                    "target": known["target_name"],
                    "predicted": known["predicted_name"],
                    "truth": known["truth_name"],
                    "right": right,
                    "score": known["score"],
                    "raw_score": known["raw_score"],
                    "maximum": float(one.maps[m].max()),
                }
            )
        assert rows == expected
        assert len({row["maximum"] for row in rows}) == 6
        assert {row["right"] for row in rows} >= {None}
        own = run.table_file(run.rows[epoch])
        plain = [dict(zip(own["columns"], row, strict=True)) for row in own["data"]]
        assert [{name: row[name] for name in expected[0]} for row in plain] == expected
    media = [row["xaicore/table"] for row in run.rows]
    assert [entry["increment_num"] for entry in media] == [0, 1, 2, 3]
    assert [len(entry["previous_increments_paths"]) for entry in media] == [0, 1, 2, 3]
    assert {entry["log_mode"] for entry in media} == {"INCREMENTAL"}


def test_the_axis_is_xaicores_own(place: Path) -> None:
    with xaicore.open_loggers("wandb") as log:
        log(example(), step=7)
    run = the_run(place)
    assert run.axes.items() >= {"xaicore/epoch": None, "xaicore/*": "xaicore/epoch"}.items()
    assert [(row["_step"], row["xaicore/epoch"]) for row in run.rows] == [(0, 7)]


def test_numbers_count_each_fixed_picture_once(place: Path) -> None:
    outputs = np.log([[0.1, 0.7, 0.1, 0.1], [0.6, 0.2, 0.1, 0.1], [0.5, 0.2, 0.2, 0.1], [0.1, 0.1, 0.4, 0.4]])
    known: dict[str, Any] = {"outputs": outputs.astype(np.float32), "truth": [1, 1, 0, -1]}
    worst = explanation(np.ones((1, 1, 4, 4)), outputs=known["outputs"][:1], truth=[3])
    with xaicore.open_loggers("wandb") as log:
        log(explanation(np.ones((4, 2, 4, 4)), **known), step=0)
        log(explanation(np.ones((4, 2, 4, 4)), method="other", **known), step=0)
        log(explanation(np.ones((4, 2, 4, 4)), method="third", **known).take([0]), step=0)
        log(replace(worst, group="worst"), step=0)
        log(worst, step=1)
        log(explanation(np.ones((1, 1, 4, 4))), step=2)
    first, second, third = the_run(place).rows
    assert first["xaicore/right"] == pytest.approx(2 / 3)
    assert first["xaicore/score"] == pytest.approx((0.7 + 0.6 + 0.5 + 0.4) / 4)
    assert second["xaicore/right"] == 0
    assert "xaicore/right" not in third


def test_pictures_may_have_several_labels(place: Path) -> None:
    one = several_labels()
    with xaicore.open_loggers("wandb") as log:
        log(one, step=0)
    run = the_run(place)
    names = one.row(0)["truth_name"]
    assert names.count(", ") == 1
    assert run.rows[0]["xaicore/right"] == 0.5
    assert [(row["truth"], row["right"]) for row in run.increments[0]] == [(names, True), ("none", False)]
    captions = run.rows[0]["xaicore/overlay/given"]["captions"]
    assert [caption.split(" | ")[3:5] for caption in captions] == [[f"truth {names}", "right"], ["truth none", "wrong"]]


def test_groups_have_keys_of_their_own(place: Path) -> None:
    fixed, worst = example(3, 1, seed=1), example(2, 1, seed=2)
    with xaicore.open_loggers("wandb") as log:
        log(fixed, step=0)
        log(replace(worst, group="worst"), step=0)
    run = the_run(place)
    (row,) = run.rows
    assert same(run.pictures(row["xaicore/overlay/given"]), fixed.overlays())
    assert same(run.pictures(row["xaicore/overlay/worst/given"]), worst.overlays())
    assert same(run.pictures(row["xaicore/heatmap/worst/given"]), heat(worst))
    assert [one["group"] for one in run.increments[0]] == [None] * 3 + ["worst"] * 2


def test_150_images_in_one_step_all_arrive(place: Path) -> None:
    one = example(150, 1, size=(6, 5))
    with xaicore.open_loggers("wandb") as log:
        log(one, step=0)
    run = the_run(place)
    (row,) = run.rows
    for kind, expected in (("overlay", one.overlays()), ("heatmap", heat(one))):
        keys = [f"xaicore/{kind}/given", f"xaicore/{kind}/given/2"]
        assert [row[key]["count"] for key in keys] == [108, 42]
        assert same([picture for key in keys for picture in run.pictures(row[key])], expected)
        captions = [caption.partition(" ")[0] for key in keys for caption in row[key]["captions"]]
        assert captions == list(one.ids)
    assert same([cells["overlay"] for cells in run.increments[0]], one.overlays())


def test_a_step_is_shipped_when_another_begins_and_in_close(place: Path) -> None:
    with xaicore.open_loggers("wandb", on_error="raise") as log:
        log(example(seed=1), step=0)
        log(example(seed=2, method="other"), step=0)
        log(example(seed=3), step=1)
        log(example(seed=4), step=np.array(2))  # as frameworks count
    rows = the_run(place).rows
    assert [row["xaicore/epoch"] for row in rows] == [0, 1, 2]
    assert [sorted(key[16:] for key in row if key.startswith("xaicore/overlay")) for row in rows] == [
        ["given", "other"],
        ["given"],
        ["given"],
    ]


def test_without_a_step_each_is_an_entry(place: Path, started: list[Any]) -> None:
    first, second = example(seed=1), example(seed=2)
    with xaicore.open_loggers("wandb", on_error="raise") as log:
        log(first)
        log(second)
        log.flush()
        assert started[-1].step == 2
    run = the_run(place)
    assert ["xaicore/epoch" in row for row in run.rows] == [False, False]
    assert same(run.pictures(run.rows[0]["xaicore/overlay/given"]), first.overlays())
    assert same(run.pictures(run.rows[1]["xaicore/overlay/given"]), second.overlays())
    assert [row["epoch"] for rows in run.increments for row in rows] == [None] * 12


def test_the_same_explanation_again_replaces_what_was_not_shipped(place: Path) -> None:
    again, other = example(seed=2), example(seed=3, ids=["a", "b", "c"])
    with xaicore.open_loggers("wandb") as log:
        for one in (example(seed=1), other, again):
            log(one, step=0)
    run = the_run(place)
    expected = [*again.overlays(), *other.overlays()]
    assert same(run.pictures(run.rows[0]["xaicore/overlay/given"]), expected)


def test_layers_of_one_method_are_all_kept(place: Path) -> None:
    first, second = example(2, 1, seed=1), replace(example(2, 1, seed=2), layer="deep")
    with xaicore.open_loggers("wandb") as log:
        log(first, step=0)
        log(second, step=0)
    run = the_run(place)
    media = run.rows[0]["xaicore/overlay/given"]
    assert same(run.pictures(media), [*first.overlays(), *second.overlays()])
    assert [caption.rpartition(" at ")[2] for caption in media["captions"]] == ["conv", "conv", "deep", "deep"]
    assert [row["layer"] for row in run.increments[0]] == ["conv", "conv", "deep", "deep"]


def test_a_target_that_is_no_class_is_what_was_asked_for(place: Path) -> None:
    one = replace(example(1, 1, truth=[2]), targets=np.array([-1]), target="the sky", predicted=None)
    with xaicore.open_loggers("wandb") as log:
        log(one, step=0)
    run = the_run(place)
    (row,) = run.increments[0]
    assert (row["target"], row["predicted"], row["truth"], row["right"]) == ("the sky", None, "2", None)
    assert run.rows[0]["xaicore/overlay/given"]["captions"] == [
        f"0 | the sky {one.scores[0]:.3f} | truth 2 | given at conv"
    ]


def test_options_of_drawing(place: Path) -> None:
    one = example()
    drawing = {"colormap": "magma", "alpha": 0.9, "outline": 0.3}
    with xaicore.open_loggers({"wandb": drawing}) as log:
        log(one, step=0)
    run = the_run(place)
    (row,) = run.rows
    assert same(run.pictures(row["xaicore/overlay/given"]), one.overlays(**drawing))
    assert same(run.pictures(row["xaicore/heatmap/given"]), heat(one, "magma"))


def test_ceilings_are_the_scale(place: Path) -> None:
    one = example(2, 1)
    one = replace(one, ceilings=np.array([20.0, 0.5], np.float32))
    with xaicore.open_loggers("wandb") as log:
        log(one, step=0)
    run = the_run(place)
    assert same(run.pictures(run.rows[0]["xaicore/heatmap/given"]), heat(one))


@pytest.mark.parametrize("size", [(1, 5), (5, 1), (1, 1)])
def test_thin_pictures_stay_as_they_are(place: Path, size: tuple[int, int]) -> None:
    one = example(2, 1, size=size)
    with xaicore.open_loggers("wandb", on_error="raise") as log:
        log(one, step=0)
    run = the_run(place)
    assert same(run.pictures(run.rows[0]["xaicore/overlay/given"]), one.overlays())


def test_what_has_no_pictures_has_rows_and_what_has_no_photos_heatmaps(place: Path) -> None:
    rng = np.random.default_rng(1)
    nothing = explanation(rng.random((2, 1, 2, 3, 2, 2)), method="nothing")
    flat = explanation(rng.random((2, 1, 5, 5)), method="flat", images=None)
    assert nothing.images is None
    with xaicore.open_loggers("wandb", on_error="raise") as log:
        log(nothing, step=0)
        log.flush()
        log(flat, step=1)
        log.flush()
        log(example(2, 1), step=2)
    run = the_run(place)
    first, second, _ = run.rows
    assert not [key for key in first if key.startswith(("xaicore/overlay", "xaicore/heatmap"))]
    assert same(run.pictures(second["xaicore/heatmap/flat"]), heat(flat))
    none = [(row["method"], row["overlay"], row["photo"]) for row in run.increments[0]]
    assert none == [("nothing", None, None)] * 2
    assert [row["maximum"] for row in run.increments[0][:2]] == nothing.maps.reshape(2, -1).max(axis=1).tolist()
    assert [row["overlay"].shape for row in run.increments[2]] == [(14, 18, 3)] * 2


@pytest.mark.parametrize("shape", [(9,), (3, 4, 5)])
def test_signals_and_volumes_have_their_curve_and_their_slices(place: Path, shape: tuple[int, ...]) -> None:
    one = explanation(np.random.default_rng(0).random((1, 1, *shape)))
    with xaicore.open_loggers("wandb", on_error="raise") as log:
        log(one, step=0)
    run = the_run(place)
    assert same(run.pictures(run.rows[0]["xaicore/overlay/given"]), one.overlays())


def test_scores_that_are_no_numbers_are_left_out(place: Path) -> None:
    outputs = np.array([[np.nan] * 4, [0, 0, 3, 0]], np.float32)
    one = explanation(np.ones((2, 1, 4, 4)), outputs=np.nan_to_num(outputs), truth=[1, 2])
    one = replace(one, outputs=outputs, scores=np.array([np.inf, 0.25]))
    with xaicore.open_loggers("wandb", on_error="raise") as log:
        log(one, step=0)
    run = the_run(place)
    assert [(row["score"], row["raw_score"]) for row in run.increments[0]] == [(None, None), (0.25, 3)]
    assert run.rows[0]["xaicore/score"] == 0.25


def test_names_that_are_no_text_or_paths_are_harmless(place: Path) -> None:
    ids = ["a\udc80b", "../../../../escaped", "</script><b>", "/etc/passwd", "a\x00b\n"]
    one = example(5, 1, ids=ids, class_names=["\ud800", "..", "</b>", "d"], method="../../<m>\udc80")
    with xaicore.open_loggers("wandb", on_error="raise", config={"ids": ids}) as log:
        log(replace(one, group="../g", layer="\udc80"), step=0)
    run = the_run(place)
    (row,) = run.rows
    key = "xaicore/overlay/_g/_m_udc80"
    assert same(run.pictures(row[key]), one.overlays())
    said = [caption.partition(" | ")[0] for caption in row[key]["captions"]]
    assert said == ["a\\udc80b", *ids[1:]]
    assert [cells["id"] for cells in run.increments[0]] == said
    media = run.folder / "files" / "media"
    for path in place.parent.rglob("*"):
        assert not re.search(r"escaped|script|passwd|<|\.\.", path.name)
        assert path.is_dir() or path.suffix != ".png" or media in path.parents


def test_joins_the_users_run_and_leaves_it_on(place: Path, started: list[Any]) -> None:
    mine = wandb.init(mode="offline", config={"lr": 1})
    mine.log({"loss": 1})
    with xaicore.open_loggers("wandb", name="watch", config={"why": ["a"]}, on_error="raise") as log:
        assert started == [mine]
        log(example(), step=5)
        log.flush()
        mine.log({"loss": 2})
    assert wandb.run is mine
    mine.log({"loss": 3})
    assert mine.step == 4
    still = OfflineRun.all(place)
    assert not still[0].finished
    mine.finish()
    run = the_run(place)
    assert [(row["_step"], row.get("loss"), row.get("xaicore/epoch")) for row in run.rows] == [
        (0, 1, None),
        (1, None, 5),
        (2, 2, None),
        (3, 3, None),
    ]
    assert run.config["lr"] == 1
    about = run.config["xaicore"]
    assert (about["name"], about["why"], about["versions"]["xaicore"]) == ("watch", ["a"], xaicore.__version__)


def test_joins_the_run_that_it_is_given(place: Path) -> None:
    mine = wandb.init(mode="offline", reinit="create_new", name="mine")
    assert wandb.run is None
    with xaicore.open_loggers({"wandb": {"run": mine}}, on_error="raise") as log:
        log(example(), step=1)
    mine.log({"loss": 1})
    mine.finish()
    assert [sorted(row)[-1] for row in the_run(place).rows] == ["xaicore/table", "loss"]


def test_loggers_of_one_run_share_its_table(place: Path) -> None:
    mine = wandb.init(mode="offline")
    for epoch in range(3):
        with xaicore.open_loggers("wandb", on_error="raise") as log:
            log(example(2, 1, seed=epoch), step=epoch)
    mine.finish()
    run = the_run(place)
    assert [row["xaicore/table"]["increment_num"] for row in run.rows] == [0, 1, 2]
    assert [[row["epoch"] for row in rows] for rows in run.increments] == [[0, 0], [1, 1], [2, 2]]


def test_a_run_that_is_opened_again_goes_on(place: Path) -> None:
    for part in range(2):
        mine = wandb.init(mode="offline", id="again", resume="allow")
        with xaicore.open_loggers("wandb", on_error="raise", config={"part": part}) as log:
            log(example(2, 1, seed=part), step=part)
        mine.log({"loss": part})
        mine.finish()
        time.sleep(1.1)  # wandb names folders by the second
    first, second = runs(place)
    for part, run in enumerate((first, second)):
        assert [row.get("xaicore/epoch") for row in run.rows] == [part, None]
        assert same([row["overlay"] for row in run.increments[0]], example(2, 1, seed=part).overlays())


def test_its_own_run_is_named_and_does_not_stand_in_the_users_way(place: Path, started: list[Any]) -> None:
    with xaicore.open_loggers({"wandb": {"project": "heat", "tags": ["a"]}}, name="watch", on_error="raise") as log:
        own = started[-1]
        assert (own.name, own.project, own.tags, wandb.run) == ("watch", "heat", ("a",), None)
        log(example(), step=1)
        log.flush()
        mine = wandb.init(mode="offline")
        assert mine is not own
        mine.log({"loss": 1})
        mine.finish()
        log(example(), step=2)
    by_key = {
        next(key for key in row if key in ("loss", "xaicore/table")): run for run in runs(place) for row in run.rows
    }
    assert len(by_key) == 2
    assert [row["loss"] for row in by_key["loss"].rows] == [1]
    assert all(run.finished for run in by_key.values())


def test_its_own_run_counts_as_on_while_it_is_logged_to(
    place: Path, monkeypatch: pytest.MonkeyPatch, started: list[Any]
) -> None:
    """Else wandb finds no offline run, and some versions look for a server until the network times out."""
    seen = []
    with xaicore.open_loggers("wandb", on_error="raise") as log:
        own = started[-1]
        monkeypatch.setattr(own, "log", lambda data: seen.append(wandb.setup().most_recent_active_run))
        log(example(), step=1)
        log.flush()
        seen.append(wandb.setup().most_recent_active_run)
    assert seen == [own, None]


def test_its_own_run_leaves_the_terminal_alone(place: Path) -> None:
    before = sys.stdout.write, sys.stderr.write
    with xaicore.open_loggers("wandb", on_error="raise"):
        assert (sys.stdout.write, sys.stderr.write) == before
        print("not for the tracker")
    assert not list(the_run(place).folder.rglob("output.log"))


def test_threads_lose_nothing_and_take_one_step_an_epoch(place: Path) -> None:
    mine = wandb.init(mode="offline")
    logged = [example(2, 2, seed=epoch, size=(9, 8)) for epoch in range(20)]
    started = threading.Event()

    def watch(log: xaicore.Loggers) -> None:
        for epoch, one in enumerate(logged):
            log(one, step=epoch)
            log.flush()
            started.set()

    with xaicore.open_loggers("wandb", on_error="raise") as log:
        beside = threading.Thread(target=watch, args=(log,))
        beside.start()
        started.wait(60)
        for i in range(200):
            wandb.log({"loss": i, "accuracy": -i})
            time.sleep(0.002 if beside.is_alive() else 0)
        beside.join()
    assert mine.step == 220
    mine.finish()
    run = the_run(place)
    assert [row["_step"] for row in run.rows] == list(range(220))
    users = [row for row in run.rows if "loss" in row]
    assert [(row["loss"], row["accuracy"]) for row in users] == [(i, -i) for i in range(200)]
    assert not any(key.startswith("xaicore") for row in users for key in row)
    assert [row["xaicore/epoch"] for row in run.ours] == list(range(20))
    assert run.ours[-1]["_step"] > run.ours[0]["_step"] + 19  # they did run beside each other
    for row, one, cells in zip(run.ours, logged, run.increments, strict=True):
        assert same(run.pictures(row["xaicore/overlay/given"]), one.overlays())
        assert same([cell["overlay"] for cell in cells], one.overlays())


def test_two_loggers_of_one_run_lose_no_row(place: Path) -> None:
    mine = wandb.init(mode="offline")

    def watch(method: str) -> None:
        with xaicore.open_loggers("wandb", on_error="raise") as log:
            for epoch in range(15):
                log(example(2, 1, seed=epoch, size=(6, 5), method=method), step=epoch)

    threads = [threading.Thread(target=watch, args=(method,)) for method in ("a", "b", "c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    mine.finish()
    run = the_run(place)
    assert len(run.rows) == len(run.increments) == 45
    rows = sorted((row["method"], row["epoch"], row["id"]) for rows in run.increments for row in rows)
    assert rows == [(method, epoch, name) for method in "abc" for epoch in range(15) for name in "01"]
    assert {len({(row["method"], row["epoch"]) for row in rows}) for rows in run.increments} == {1}


def test_the_table_comes_after_the_images_that_it_shows(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An online run does not store an image for its panels that a table has stored before."""
    mine, logged = wandb.init(mode="offline"), []
    monkeypatch.setattr(mine, "log", lambda data: logged.append(list(data)))
    with xaicore.open_loggers("wandb", on_error="raise") as log:
        log(example(), step=0)
    assert logged == [
        ["xaicore/epoch", "xaicore/score", "xaicore/overlay/given", "xaicore/heatmap/given", "xaicore/table"]
    ]


def test_the_users_open_entry_is_committed_not_lost(place: Path) -> None:
    """wandb has one open entry a run; documented, and no value may be lost."""
    mine = wandb.init(mode="offline")
    with xaicore.open_loggers("wandb", on_error="raise") as log:
        mine.log({"a": 1}, commit=False)
        log(example(), step=0)
        log.flush()
        mine.log({"b": 2})
        for epoch in (10, 11):
            mine.log({"c": epoch}, step=epoch)
            log(example(), step=epoch)
            log.flush()
    mine.finish()
    rows = the_run(place).rows
    assert [[row.get(name) for name in "abc"] for row in rows] == [
        [1, None, None],
        [None, 2, None],
        [None, None, 10],
        [None, None, 11],
    ]


def test_nothing_draws_from_the_global_random_state(place: Path) -> None:
    one = example()
    random.seed(1)
    np.random.seed(1)
    before = random.getstate(), np.random.get_state()
    with xaicore.open_loggers("wandb", on_error="raise") as log:
        log(one, step=1)
        log.flush()
        log(one, step=2)
    after = random.getstate(), np.random.get_state()
    assert before[0] == after[0]
    assert all(map(np.array_equal, before[1], after[1]))


def test_nothing_is_kept_of_what_was_shipped(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place / "temporary"))
    before = temporary()
    with xaicore.open_loggers("wandb", on_error="raise") as log:
        for epoch in range(5):
            log(example(3, 2, seed=epoch), step=epoch)
            log.flush()
        gc.collect()
        assert not [one for one in gc.get_objects() if isinstance(one, wandb.Image)]
        assert not list((place / "temporary").glob("xaicore-*"))
    assert temporary() == before


def test_images_of_the_caller_may_change_before_the_step_is_shipped(place: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), np.uint8)
    one = example(2, 1, size=(8, 8), images=images)
    expected = one.overlays()
    with xaicore.open_loggers("wandb") as log:
        log(one, step=0)
        images[:] = 0
        log.flush()
    run = the_run(place)
    assert same(run.pictures(run.rows[0]["xaicore/overlay/given"]), expected)


def test_one_photo_is_stored_once_a_step(place: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), np.uint8)
    with xaicore.open_loggers("wandb") as log:
        log(example(2, 2, size=(8, 8), images=images), step=0)
        log(example(2, 2, seed=1, size=(8, 8), images=images, method="other"), step=0)
    run = the_run(place)
    assert same([row["photo"] for row in run.increments[0]], images[[0, 0, 1, 1] * 2])
    staged = [path.read_bytes() for path in (place.parent / "DATA_DIR").rglob("*") if path.is_file()]
    pngs = [content for content in staged if content.startswith(b"\x89PNG")]
    assert len(pngs) == len(set(pngs)) == 8 + 2  # overlays, photos


def test_a_run_finished_too_early_is_said(place: Path) -> None:
    mine = wandb.init(mode="offline")
    expected = (
        f"logger 'wandb' is switched off: close raised LoggerError: step 3 is lost: the run {mine.id} is finished; "
        "close xaicore's loggers before it"
    )

    def training() -> None:
        with xaicore.open_loggers("wandb") as log:
            log(example(), step=2)
            log(example(), step=3)
            mine.finish()

    with pytest.warns(RuntimeWarning, match=re.escape(expected)):
        training()
    assert [row["xaicore/epoch"] for row in the_run(place).rows] == [2]


def test_a_run_finished_with_nothing_left_is_fine(place: Path, started: list[Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mine = wandb.init(mode="offline")
        with xaicore.open_loggers("wandb") as log:
            log(example(), step=2)
            log.flush()
            mine.finish()
        with xaicore.open_loggers("wandb") as log:
            log(example(), step=3)
            log.flush()
            started[-1].finish()
    assert [row["xaicore/epoch"] for run in runs(place) for row in run.rows] == [2, 3]


def test_a_full_disk_costs_the_step_not_the_training(
    place: Path, monkeypatch: pytest.MonkeyPatch, started: list[Any]
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    said = r"logger 'wandb' is switched off: flush raised OSError: .*No space left"
    with xaicore.open_loggers("wandb") as log:
        log(example(), step=0)
        log.flush()
        log(example(), step=1)
        with monkeypatch.context() as patch:
            patch.setattr(started[-1], "log", full)
            with pytest.warns(RuntimeWarning, match=said):
                log.flush()
        assert started[-1]._xaicore_table.data == [[]] * 12  # the table keeps no images
        log(example(), step=2)
    run = the_run(place)
    assert [row["xaicore/epoch"] for row in run.rows] == [0]
    assert run.finished


@pytest.mark.parametrize("key", ["variable", "netrc", None])
def test_stays_offline_unless_told_otherwise(
    place: Path, monkeypatch: pytest.MonkeyPatch, key: str | None, started: list[Any]
) -> None:
    if key == "variable":
        monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    if key == "netrc":
        (place.parent / "netrc").write_text(f"machine api.wandb.ai\n  login user\n  password {'0' * 40}\n")
        (place.parent / "netrc").chmod(0o600)
    with xaicore.open_loggers("wandb", on_error="raise") as log:
        assert started[-1].offline
        log(example(), step=1)
    assert len(the_run(place).rows) == 1


@pytest.mark.parametrize("how", ["option", "variable"])
def test_online_is_what_the_user_says(monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    if how == "variable":
        monkeypatch.setenv("WANDB_MODE", "online")
    options = {"mode": "online"} if how == "option" else {}
    with pytest.raises(xaicore.LoggerError, match=r"logger 'wandb' does not open: UsageError: (?i:.*api.key)"):
        xaicore.open_loggers({"wandb": options}).__enter__()


@pytest.mark.parametrize("how", ["option", "variable", "settings", "run"])
def test_disabled_is_disabled(place: Path, monkeypatch: pytest.MonkeyPatch, how: str, started: list[Any]) -> None:
    if how == "variable":
        monkeypatch.setenv("WANDB_MODE", "disabled")
    if how == "settings":  # as `wandb disabled` leaves them
        (place.parent / "CONFIG_DIR" / "settings").write_text("[default]\nmode = disabled\n")
    if how == "run":
        wandb.init(mode="disabled")
    options = {"mode": "disabled"} if how == "option" else {}
    before = temporary()
    with xaicore.open_loggers({"wandb": options}, on_error="raise") as log:
        assert started[-1].disabled
        log(example(), step=1)
        log(example(), step=2)
    assert temporary() == before
    assert runs(place) == []


def test_says_where_the_run_is_and_how_to_sync_it(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], started: list[Any]
) -> None:
    monkeypatch.delenv("WANDB_SILENT")
    for number, options in enumerate(({}, {"mode": "offline"})):
        with xaicore.open_loggers({"wandb": options}, name=f"stays {number}") as log:
            folder = started[-1].settings.sync_dir
            assert Path(folder).is_dir()
            assert log.where == {"wandb": f"wandb sync {folder}"}
        out, said = capsys.readouterr()
        assert [line for line in said.splitlines() if "xaicore" in line] == [f"xaicore: wandb sync {folder}"]
        assert out == ""


def test_nothing_is_said_where_the_user_wants_silence(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("WANDB_SILENT")
    with xaicore.open_loggers("wandb", quiet=True):
        pass
    monkeypatch.setenv("XAICORE_QUIET", "1")
    with xaicore.open_loggers("wandb"):
        pass
    assert "xaicore" not in capsys.readouterr().err.replace(str(place), "")


@pytest.mark.parametrize("url", ["https://wandb.ai/me/heat/runs/a", None])
def test_the_page_of_an_online_run_is_reported(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], url: str | None
) -> None:
    """Where a run stays on this machine, wandb reports its folder itself."""
    mine = wandb.init(mode="offline")
    assert mine.url is None
    monkeypatch.setattr(type(mine), "url", url)
    with xaicore.open_loggers("wandb", name=f"watch {url}") as log:
        assert log.where == ({"wandb": f"wandb: {url}"} if url else {})
    said = [line for line in capsys.readouterr().err.splitlines() if "xaicore" in line]
    assert said == ([f"xaicore: wandb: {url}"] if url else [])


def test_unknown_options_are_said_before_anything_starts(place: Path) -> None:
    with pytest.raises(xaicore.PluginError) as caught:
        xaicore.open_loggers({"wandb": {"projekt": "a", "alpha": 0.3, "step": 1}})
    assert str(caught.value) == (
        "the wandb logger has no option 'projekt', 'step'; known: run, colormap, alpha, outline, diverging, axis, "
        "slices, boxes, project, entity, name, id, resume, group, job_type, tags, notes, dir, mode"
    )
    assert not list(place.iterdir())


def test_all_options_of_wandb_reach_it(place: Path, started: list[Any]) -> None:
    (place / "there").mkdir()
    options: dict[str, Any] = {
        "project": "heat",
        "entity": "us",
        "name": "mine",
        "id": "abc",
        "group": "g",
        "job_type": "watch",
        "tags": ["a"],
        "notes": "n",
        "dir": str(place / "there"),
        "mode": "offline",
        "resume": "allow",
    }
    with xaicore.open_loggers({"wandb": options}, on_error="raise"):
        run = started[-1]
        asked = [getattr(run, name) for name in ("project", "entity", "name", "id", "group", "job_type", "notes")]
        assert asked == ["heat", "us", "mine", "abc", "g", "watch", "n"]
        assert (run.tags, run.settings.resume) == (("a",), "allow")
        assert (place / "there") in Path(run.dir).parents


KILLED = """
    import time
    from explanations import example
    import xaicore
    with xaicore.open_loggers("wandb", on_error="raise") as log:
        for epoch in range(3):
            log(example(seed=epoch), step=epoch)
            log.flush()
        print("flushed", flush=True)
        time.sleep(600)
"""


def test_kill_minus_nine_loses_no_flushed_epoch(place: Path) -> None:
    training = start_code(KILLED)
    assert training.stdout is not None
    assert training.stdout.readline() == "flushed\n"
    for _ in range(100):  # wandb writes 10 times a second, not 15 seconds later
        written = [len(run.rows) for run in OfflineRun.all(place)]
        if written == [3]:
            break
        time.sleep(0.1)
    os.killpg(training.pid, signal.SIGKILL)
    training.wait()
    training.stdout.close()
    (run,) = OfflineRun.all(place)
    assert [row["xaicore/epoch"] for row in run.rows] == [0, 1, 2]
    assert not run.finished
    for epoch, row in enumerate(run.rows):
        assert same(run.pictures(row["xaicore/overlay/given"]), example(seed=epoch).overlays())
        assert same([cells["overlay"] for cells in run.increments[epoch]], example(seed=epoch).overlays())


def test_a_monitor_of_a_training_arrives(place: Path) -> None:
    x = np.random.default_rng(1).uniform(size=(3, 3, 6, 8)).astype(np.float32)
    net = ToyNet()
    mine = wandb.init(mode="offline")
    options: dict[str, Any] = {"backend": ToyBackend(net), "method": ["gradcam", "hirescam"], "on_error": "raise"}
    with xaicore.Monitor(net, x, truth=[0, 1, 0], loggers="wandb", **options) as monitor:
        for epoch in range(3):
            mine.log({"loss": epoch})
            monitor.step(epoch)
    mine.log({"loss": 3})
    mine.finish()
    run = the_run(place)
    assert [row["xaicore/epoch"] for row in run.ours] == [0, 1, 2]
    assert sorted(row["loss"] for row in run.rows if "loss" in row) == [0, 1, 2, 3]
    expected = xaicore.Explainer(net, "hirescam", backend=options["backend"])(x)
    assert same(run.pictures(run.ours[2]["xaicore/overlay/hirescam"]), expected.overlays())
    assert run.config["xaicore"]["monitor"]["methods"] == ["gradcam", "hirescam"]
