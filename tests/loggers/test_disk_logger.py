"""What the disk logger writes is what the explanation says: pixel for pixel, number for number."""

from __future__ import annotations

import dataclasses
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from clock import Clock
from explanations import example, explanation, strip
from hypothesis import given, settings
from hypothesis import strategies as st

import xaicore
from xaicore_disk import gallery
from xaicore_disk.logger import DiskLogger
from xaicore_disk.manifest import read_manifest
from xaicore_disk.names import folder_name
from xaicore_disk.options import Options


def log(root: Path, *explanations: xaicore.Explanation, step: int | None = None, **options: Any) -> list[dict]:
    """One run from opening to closing; the rows that are then there."""
    with xaicore.open_loggers({"disk": {"root": root, **options}}, name="a run", on_error="raise") as loggers:
        for one in explanations:
            loggers(one, step)
    return read_manifest(root)


def rgb(path: Path) -> np.ndarray:
    return cv2.cvtColor(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), cv2.COLOR_BGR2RGB)


def files(root: Path) -> set[str]:
    """All but the lock."""
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file() and path.name != ".lock"}


def test_the_plugin_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with xaicore.open_loggers("disk", name="first-try", on_error="raise"):
        pass
    with xaicore.open_loggers("disk", name="../../first try", on_error="raise"):
        pass
    made = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("index.html"))
    assert made == [f"runs/{folder_name('../../first try')}/index.html", "runs/first-try/index.html"]


def test_every_file_reads_back_as_the_explanation_has_it(tmp_path: Path) -> None:
    one = example(n=3, k=2)
    rows = log(tmp_path, one)
    assert len(rows) == 6
    overlays, heatmaps = one.overlays(), xaicore.overlay.colorize(one.heatmaps())
    for m, row in enumerate(rows):
        np.testing.assert_array_equal(rgb(tmp_path / row["picture"]), one.images[m // 2])
        np.testing.assert_array_equal(rgb(tmp_path / row["overlay"]), overlays[m])
        np.testing.assert_array_equal(rgb(tmp_path / row["heatmap"]), heatmaps[m])
        grey = cv2.imread(str(tmp_path / row["grey"]), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(grey, np.rint(one.heatmaps()[m] * 255))
        values = np.load(tmp_path / row["map"], allow_pickle=False)
        assert values.dtype == np.float32
        np.testing.assert_array_equal(values, one.maps[m])


def test_options_reach_the_pictures(tmp_path: Path) -> None:
    one = example()
    rows = log(tmp_path, one, colormap="magma", alpha=0.8, outline=0.3, threshold=0.6)
    overlays, heatmaps = one.overlays("magma", 0.8, 0.3), xaicore.overlay.colorize(one.heatmaps(), "magma")
    for m, row in enumerate(rows):
        np.testing.assert_array_equal(rgb(tmp_path / row["overlay"]), overlays[m])
        np.testing.assert_array_equal(rgb(tmp_path / row["heatmap"]), heatmaps[m])
        line = cv2.imread(str(tmp_path / row["outline"]), cv2.IMREAD_UNCHANGED)
        assert line[..., :3].min() == 255
        drawn = (one.overlays("magma", 0.8)[m] != overlays[m]).any(-1)
        np.testing.assert_array_equal(line[..., 3][drawn], 255)
        assert set(np.unique(line[..., 3])) == {0, 255}
        assert (line[..., 3] > 0).mean() < 0.5
    assert [row["box"] for row in rows] == one.boxes(0.6).tolist() != one.boxes().tolist()


def test_signed_maps_keep_both_signs(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(1, 1, 5, 7)).astype(np.float32)
    values[0, 0, 2, 3] = -7
    one = explanation(values, signed=True, images=np.full((1, 5, 7, 3), 60, np.uint8))
    (row,) = log(tmp_path, one, diverging="purple-orange")
    assert (row["signed"], row["peak"], row["minimum"], row["scaling"]) == (True, 7, -7, "max")
    heatmap = values[0, 0] / 7
    expected = xaicore.overlay.colorize(heatmap, "purple-orange")
    np.testing.assert_array_equal(rgb(tmp_path / row["heatmap"]), expected)
    assert tuple(expected[2, 3]) == (0x6A, 0x51, 0xA3)
    np.testing.assert_array_equal(rgb(tmp_path / row["overlay"]), one.overlays(diverging="purple-orange")[0])
    parts = rgb(tmp_path / row["grey"]).astype(int)
    np.testing.assert_array_equal(parts[..., 0], np.rint(np.maximum(heatmap, 0) * 255))
    np.testing.assert_array_equal(parts[..., 1], np.rint(np.maximum(-heatmap, 0) * 255))
    np.testing.assert_array_equal(np.load(tmp_path / row["map"]), values[0, 0])


def test_maps_of_pixels_have_the_percentile_as_their_peak(tmp_path: Path) -> None:
    values = np.random.default_rng(0).random((1, 1, 20, 30)).astype(np.float32)
    values[0, 0, 2, 3] = 90
    (row,) = log(tmp_path, dataclasses.replace(explanation(values), of_pixels=True))
    top = np.percentile(values, 99)
    assert (row["maximum"], row["peak"], row["scaling"]) == (90, pytest.approx(top), "robust")
    grey = cv2.imread(str(tmp_path / row["grey"]), cv2.IMREAD_UNCHANGED)
    np.testing.assert_allclose(grey, np.minimum(values[0, 0] / top, 1) * 255, atol=0.51)


def test_negative_values_decide_the_type_of_a_stored_map(tmp_path: Path) -> None:
    values = np.array([[[[-1e6, 1.0]]]], np.float32)
    (row,) = log(tmp_path, explanation(values, signed=True), maps="float16")
    stored = np.load(tmp_path / row["map"])
    assert stored.dtype == np.float32
    np.testing.assert_array_equal(stored, values[0, 0])


def test_a_strip_of_views_is_one_row_that_names_them(tmp_path: Path) -> None:
    """Which frame a part of the files is of, and how much evidence is in it."""
    maps = np.random.default_rng(0).random((2, 1, 3, 5, 7)) * np.array([1, 4, 2])[:, None, None]
    pictures = np.random.default_rng(1).integers(0, 256, (2, 3, 10, 14, 3), np.uint8)
    names = ["frame 0", "frame 1", "frame 2"]
    one = strip(maps, pictures, names, frames=3, ids=["a", "b"])
    rows = log(tmp_path, one, dataclasses.replace(one, method="other", frames=1), step=2)
    assert [(row["id"], row["frames"]) for row in rows] == [("a", 3), ("b", 3), ("a", None), ("b", None)]
    for m, row in enumerate(rows[:2]):
        assert row["views"] == names
        assert row["view_maxima"] == pytest.approx(maps[m, 0].max(axis=(1, 2)))
        assert row["size"] == [10, 3 * 14]
        for v in range(3):
            part = rgb(tmp_path / row["picture"])[:, 14 * v : 14 * v + 14]
            np.testing.assert_array_equal(part, pictures[m, v])
    assert np.load(tmp_path / rows[0]["map"]).shape == (3, 5, 7)


def test_rows_say_what_is_known(tmp_path: Path) -> None:
    maps = np.zeros((2, 2, 5, 7))
    maps[0, 0, 1, 2] = 3.5
    outputs = np.array([[0, 2, 1, 0], [0, 1, 0, 0.5]], np.float32)
    known = {"truth": [1, 3], "class_names": ["ant", "bee", "cat", "dog"], "ids": ["a/1.jpg", "b"]}
    one = explanation(maps, outputs=outputs, images=np.zeros((2, 5, 7, 3), np.uint8), **known)
    rows = log(tmp_path, one, step=4)
    paths = {name: rows[0].pop(name) for name in ("picture", "overlay", "heatmap", "map", "grey")}
    assert rows[0] == {
        "step": 4,
        "id": "a/1.jpg",
        "k": 0,
        "target": 1,
        "target_name": "bee",
        "target_box": None,
        "score": pytest.approx(np.exp(2) / np.exp([0, 2, 1, 0]).sum(), rel=1e-6),
        "raw_score": 2.0,
        "predicted": 1,
        "predicted_name": "bee",
        "truth": 1,
        "truth_name": "bee",
        "empty": False,
        "method": "given",
        "layer": "conv",
        "group": None,
        "slot": None,
        "model": "builtins.NoneType",
        "asked": "top 2",
        "maximum": 3.5,
        "minimum": 0.0,
        "signed": False,
        "right": True,
        "views": None,
        "frames": None,
        "view_maxima": None,
        "columns": None,
        "part": None,
        "peak": 3.5,
        "scaling": "max",
        "ceiling": None,
        "outline": None,
        "animation": None,
        "volume": None,
        "thumbnail": None,
        "picture_thumbnail": None,
        "size": [5, 7],
        "input_size": [5, 7],
        "box": [2, 1, 3, 2],
        "images_from": "user",
        "session": 1,
    }
    assert paths["picture"].startswith("pictures/a_1_jpg-")
    assert paths["overlay"].startswith("overlays/a_1_jpg_given_step4_0-")
    assert [Path(name).suffix for name in paths.values()] == [".png", ".png", ".png", ".npy", ".png"]
    assert [row["k"] for row in rows] == [0, 1, 0, 1]
    assert [row["target_name"] for row in rows] == ["bee", "cat", "bee", "dog"]
    assert [row["empty"] for row in rows] == [False, True, True, True]
    assert [(row["maximum"], row["box"]) for row in rows[1:]] == [(0.0, [0, 0, 0, 0])] * 3
    assert [row["truth"] == row["predicted"] for row in rows] == [True, True, False, False]


def test_pictures_may_have_several_labels(tmp_path: Path) -> None:
    one = dataclasses.replace(example(n=2, k=1), truth=np.array([[1, 0, 1, 0], [0, 0, 0, 0]], bool))
    rows = log(tmp_path, one)
    assert [(row["truth"], row["truth_name"]) for row in rows] == [([0, 2], "0, 2"), ([], "none")]
    assert [row["right"] for row in rows] == [int(one.predicted[0]) in (0, 2), False]


def test_the_peak_is_of_the_resized_map(tmp_path: Path) -> None:
    one = example(n=1, k=1)
    (row,) = log(tmp_path, one)
    assert row["peak"] == xaicore.maps.resize(one.maps, one.images.shape[1:3]).max() < row["maximum"]


def test_a_fixed_scale_is_kept(tmp_path: Path) -> None:
    """A ceiling above and one below the map's maximum, and one that makes zeros."""
    one = example(n=3, k=1)
    ceilings = one.maps.max(axis=(1, 2)) * np.float32([2, 0.5, 0])
    one = dataclasses.replace(one, ceilings=ceilings)
    rows = log(tmp_path, one)
    overlays, heatmaps = one.overlays(), one.heatmaps()
    for m, row in enumerate(rows):
        np.testing.assert_array_equal(rgb(tmp_path / row["overlay"]), overlays[m])
        np.testing.assert_array_equal(rgb(tmp_path / row["heatmap"]), xaicore.overlay.colorize(heatmaps[m]))
        grey = cv2.imread(str(tmp_path / row["grey"]), cv2.IMREAD_UNCHANGED)
        assert grey.max() == 255  # on its own scale, whatever the caller's
        assert row["ceiling"] == ceilings[m]
    assert [row["box"] for row in rows] == one.boxes().tolist()


def test_a_ceiling_that_is_no_number_is_null(tmp_path: Path) -> None:
    one = dataclasses.replace(example(n=1, k=1), ceilings=np.float32([np.inf]))
    assert log(tmp_path, one)[0]["ceiling"] is None


def test_images_that_change_from_step_to_step(tmp_path: Path) -> None:
    """The same image may be fixed and among the worst; image n of a group replaces image n of the same step."""
    fixed = example(n=2, k=1, ids=["a", "b"])
    early, late = (dataclasses.replace(example(n=2, k=1, seed=seed, ids=["b", "c"]), group="worst") for seed in (1, 2))
    other = dataclasses.replace(example(n=2, k=1, seed=3, ids=["d", "b"]), group="worst")
    with xaicore.open_loggers({"disk": {"root": tmp_path}}, on_error="raise") as loggers:
        for step, one in ((0, fixed), (0, early), (0, other), (1, late)):
            loggers(one, step)
    rows = read_manifest(tmp_path)
    assert [(row["step"], row["group"], row["slot"], row["id"]) for row in rows] == [
        (0, None, None, "a"),
        (0, None, None, "b"),
        (0, "worst", 0, "d"),
        (0, "worst", 1, "b"),
        (1, "worst", 0, "b"),
        (1, "worst", 1, "c"),
    ]
    for row, one, m in zip(rows, (fixed, fixed, other, other, late, late), (0, 1) * 3, strict=True):
        np.testing.assert_array_equal(np.load(tmp_path / row["map"]), one.maps[m])
        np.testing.assert_array_equal(rgb(tmp_path / row["picture"]), one.images[m])
    assert len(list((tmp_path / "maps").iterdir())) == 6  # those of `early` are gone


def test_a_picture_is_written_once_for_all_its_maps(tmp_path: Path) -> None:
    one, other = example(n=2, k=3), example(n=2, k=3, method="other")
    rows = log(tmp_path, one, other, example(n=2, k=3), step=0)
    assert len(rows) == 12
    assert len({row["picture"] for row in rows}) == len(list((tmp_path / "pictures").iterdir())) == 2


def test_another_picture_under_the_same_id_is_another_file(tmp_path: Path) -> None:
    first, second = example(n=1, k=1, seed=1), example(n=1, k=1, seed=2)
    log(tmp_path, first, step=0)
    rows = log(tmp_path, second, step=1)
    for row, one in zip(rows, (first, second), strict=True):
        np.testing.assert_array_equal(rgb(tmp_path / row["picture"]), one.images[0])


def test_pictures_are_made_of_the_input_and_say_so(tmp_path: Path) -> None:
    x = np.random.default_rng(0).uniform(0, 5, (2, 3, 6, 8))
    one = explanation(x)
    rows = log(tmp_path, one)
    assert {row["images_from"] for row in rows} == {"rescaled"}
    np.testing.assert_array_equal(rgb(tmp_path / rows[3]["picture"]), one.images[1])
    assert "rescaled input" in (tmp_path / "index.html").read_text()


@pytest.mark.parametrize("shape", [(2, 1, 9), (2, 1, 7, 4, 5)])
@pytest.mark.parametrize("options", [{}, {"axis": 2, "slices": 3, "outline": 0.3, "alpha": 0.8}])
def test_signals_and_volumes_have_files_as_they_are_drawn(
    tmp_path: Path, shape: tuple[int, ...], options: dict[str, Any]
) -> None:
    one = explanation(np.random.default_rng(0).random(shape))
    drawing = xaicore.Drawing(**options)
    rows = log(tmp_path, one, **options)
    for m, row in enumerate(rows):
        drawn = one.draw(m, drawing)
        for kind, image in drawn.items():
            np.testing.assert_array_equal(rgb(tmp_path / row[kind]), image)
        np.testing.assert_array_equal(np.load(tmp_path / row["map"]), one.maps[m])
        assert row["size"] == list(drawn["heatmap"].shape[:2])
        assert row["peak"] == one.maps[m].max()
        grey = cv2.imread(str(tmp_path / row["grey"]), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(grey, np.rint(one.heatmap(m, drawing=drawing) * 255))
        assert row["box"] is None
        assert (row["outline"] is None) == (drawing.outline is None)
        if drawing.outline is not None:
            line = cv2.imread(str(tmp_path / row["outline"]), cv2.IMREAD_UNCHANGED)[..., 3] > 0
            assert (drawn["overlay"][line] == 255).all()
            assert line.any()
    assert {name: rows[0][name] for name in ("views", "columns", "part")} == {
        name: one.row(0, drawing)[name] for name in ("views", "columns", "part")
    }


def test_what_cannot_be_drawn_has_a_map_alone(tmp_path: Path) -> None:
    one = explanation(np.random.default_rng(0).random((2, 1, 2, 3, 4, 5)))
    rows = log(tmp_path, one)
    for m, row in enumerate(rows):
        names = ("picture", "overlay", "heatmap", "grey", "outline", "box", "size", "peak")
        assert [row[name] for name in names] == [None] * 8
        np.testing.assert_array_equal(np.load(tmp_path / row["map"]), one.maps[m])
    assert rows[0]["id"] in (tmp_path / "index.html").read_text()


def test_many_channels_have_a_heatmap_but_no_picture(tmp_path: Path) -> None:
    one = explanation(np.random.default_rng(0).random((1, 4, 6, 8)))
    assert one.images is None
    rows = log(tmp_path, one)
    assert [(row["picture"], row["overlay"]) for row in rows] == [(None, None)] * 4
    np.testing.assert_array_equal(rgb(tmp_path / rows[2]["heatmap"]), xaicore.overlay.colorize(one.heatmaps())[2])


@settings(max_examples=50)
@given(top=st.floats(2.0**-40, 2.0**40), seed=st.integers(0, 9))
def test_float16_keeps_a_map_to_within_a_2048th_of_its_maximum(top: float, seed: int) -> None:
    values = np.random.default_rng(seed).random((4, 5))
    one = explanation((values / values.max() * top)[None, None])
    kept = Options(maps="float16").stored(one.maps[0])
    assert kept.dtype == (np.float16 if 2.0**-14 <= one.maps.max() <= 65504 else np.float32)
    assert np.abs(kept.astype(np.float64) - one.maps[0]).max() <= one.maps.max() / 2048


def test_float16_maps_on_disk(tmp_path: Path) -> None:
    maps = np.ones((4, 1, 5, 7)) * np.array([1, 1e5, 1e-9, 0])[:, None, None, None]
    rows = log(tmp_path, explanation(maps), maps="float16")
    loaded = [np.load(tmp_path / row["map"], allow_pickle=False) for row in rows]
    assert [values.dtype.name for values in loaded] == ["float16", "float32", "float32", "float16"]
    assert [values.max() for values in loaded] == [1, 1e5, np.float32(1e-9), 0]


def test_the_same_step_again_changes_nothing(tmp_path: Path) -> None:
    """But for the number of times that the run was opened."""
    rows = log(tmp_path, example(), step=2)
    counting = {"manifest.jsonl", "run.json", "index.html"}
    content = {name: (tmp_path / name).read_bytes() for name in files(tmp_path) - counting}
    inodes = {row["map"]: (tmp_path / row["map"]).stat().st_ino for row in rows}
    assert [row["session"] for row in rows] == [1] * len(rows)
    assert log(tmp_path, example(), step=2) == [{**row, "session": 2} for row in rows]
    assert files(tmp_path) == {*content, *counting}
    assert {name: (tmp_path / name).read_bytes() for name in content} == content
    assert {name: (tmp_path / name).stat().st_ino for name in inodes} == inodes  # not even written again


def test_the_same_step_with_other_maps_replaces_them(tmp_path: Path) -> None:
    log(tmp_path, example(seed=1), example(seed=1, method="other"), step=2)
    new = example(seed=2)
    rows = log(tmp_path, new, step=2)
    assert [row["method"] for row in rows] == ["given"] * 6 + ["other"] * 6
    for m, row in enumerate(rows[:6]):
        np.testing.assert_array_equal(np.load(tmp_path / row["map"]), new.maps[m])
    named = {row[name] for row in rows for name in ("picture", "overlay", "heatmap", "map", "grey")}
    assert files(tmp_path) == {*named, "index.html", "manifest.jsonl", "run.json"}


def test_replaced_files_stay_until_no_row_names_them(tmp_path: Path) -> None:
    """A picture of a replaced row that another row shares."""
    first, second = example(n=1, k=1, seed=1), example(n=1, k=1, seed=2)
    log(tmp_path, first, step=0)
    log(tmp_path, first, step=1)
    rows = log(tmp_path, second, step=1)
    np.testing.assert_array_equal(rgb(tmp_path / rows[0]["picture"]), first.images[0])
    rows = log(tmp_path, second, step=0)
    assert len(list((tmp_path / "pictures").iterdir())) == 1


def test_a_manifest_from_elsewhere_deletes_nothing_outside(tmp_path: Path) -> None:
    root, precious = tmp_path / "run", tmp_path / "precious.npy"
    precious.write_bytes(b"mine")
    mine = root / "pictures" / "holiday photo.png"
    log(root, example(n=1, k=1), step=0)
    mine.write_bytes(b"mine, too")
    row = read_manifest(root)[0]
    strange = [{**row, "map": name} for name in ("../precious.npy", str(precious), "pictures/holiday photo.png")]
    with (root / "manifest.jsonl").open("a") as file:
        file.writelines(json.dumps(one) + "\n" for one in [*strange, row])
    log(root)
    assert (precious.exists(), mine.exists()) == (True, True)


def test_run_json_collects_what_the_run_is_about(tmp_path: Path) -> None:
    options = {"root": tmp_path, "maps": "float16", "outline": 0.2}
    with xaicore.open_loggers({"disk": options}, name="a run", config={"lr": 0.1}, on_error="raise") as loggers:
        assert json.loads((tmp_path / "run.json").read_text())["models"] == []
        loggers(example(), 0)
        loggers(example(method="other"), 0)
        loggers(example(), 1)
    about = json.loads((tmp_path / "run.json").read_text())
    assert about == {
        "format": "xaicore-disk 1",
        "name": "a run",
        "started": loggers.run.started,
        "sessions": 1,
        "versions": dict(loggers.run.versions),
        "config": {"lr": 0.1},
        "models": ["builtins.NoneType"],
        "methods": ["given", "other"],
        "layers": ["conv"],
        "targets": ["top 2"],
        "images_from": ["user"],
        "normalize": "max",
        "drawing": {
            "maps": "float16",
            "colormap": "inferno",
            "alpha": 0.7,
            "outline": 0.2,
            "diverging": "blue-red",
            "axis": 0,
            "slices": None,
            "boxes": True,
            "threshold": 0.2,
            "animation": None,
            "spacing": None,
        },
    }


def test_a_resumed_run_keeps_its_start_and_what_it_knew(tmp_path: Path) -> None:
    first, second = (xaicore.Run(name, config, started) for name, config, started in RUNS)
    for run, method, step in ((first, "given", 0), (second, "other", 1)):
        with xaicore.Loggers({"disk": DiskLogger(tmp_path)}, run, on_error="raise") as loggers:
            loggers(example(n=1, k=1, method=method), step)
    about = json.loads((tmp_path / "run.json").read_text())
    assert (about["name"], about["started"]) == ("morning", "2026-01-01T08:00:00+00:00")
    assert about["config"] == {"lr": 0.2, "seed": 1, "note": "resumed"}
    assert about["methods"] == ["given", "other"]
    assert [(row["step"], row["method"]) for row in read_manifest(tmp_path)] == [(0, "given"), (1, "other")]


def monitored(root: Path, ids: Any, **more: Any) -> None:
    config = {"monitor": {"ids": ids, **more}}
    with xaicore.open_loggers({"disk": {"root": root}}, config=config, on_error="raise") as loggers:
        loggers(example(n=1, k=1), more.get("epoch", 0))


def test_a_monitored_run_goes_on_with_the_same_pictures(tmp_path: Path) -> None:
    monitored(tmp_path, ("a", "b"), epoch=1)
    log(tmp_path, example(n=1, k=1), step=2)  # without a monitor
    monitored(tmp_path, ["a", "b"], epoch=3)
    assert [row["step"] for row in read_manifest(tmp_path)] == [1, 2, 3]
    assert json.loads((tmp_path / "run.json").read_text())["config"]["monitor"] == {"ids": ["a", "b"], "epoch": 3}


@pytest.mark.parametrize("ids", [["b", "a"], ["a"], ["a", "b", "c"], []])
def test_a_monitored_run_does_not_go_on_with_other_pictures(tmp_path: Path, ids: list[str]) -> None:
    monitored(tmp_path, ["a", "b"])
    before = {name: (tmp_path / name).read_bytes() for name in files(tmp_path)}
    with pytest.raises(xaicore.InputError, match=r"watches 2 pictures \('a', 'b'\), but this monitor watches"):
        monitored(tmp_path, ids)
    assert {name: (tmp_path / name).read_bytes() for name in files(tmp_path)} == before


def test_the_error_names_some_of_the_pictures_and_what_to_do(tmp_path: Path) -> None:
    monitored(tmp_path, ["x" * 50, *map(str, range(40))])
    with pytest.raises(xaicore.InputError) as caught:
        monitored(tmp_path, list("abcd"))
    assert str(caught.value) == (
        f"{tmp_path} watches 41 pictures ('{'x' * 37}...', '0', '1', ...), but this monitor watches "
        "4 pictures ('a', 'b', 'c', ...): pass the same pictures (x and ids) as before, or choose another folder "
        "(the logger's root) or run name"
    )


RUNS = (
    ("morning", {"lr": 0.1, "seed": 1}, "2026-01-01T08:00:00+00:00"),
    ("evening", {"lr": 0.2, "note": "resumed"}, "2026-01-01T20:00:00+00:00"),
)


def test_a_config_may_hold_anything(tmp_path: Path) -> None:
    config = {"path": Path("a/b"), "loss": float("nan"), "rate": np.float32(0.5), "none": None}
    with xaicore.open_loggers({"disk": {"root": tmp_path}}, config=config, on_error="raise"):
        pass
    text = (tmp_path / "run.json").read_text()
    strict = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert strict["config"] == {"path": "a/b", "loss": "NaN", "rate": "0.5", "none": None}


def test_scores_that_are_no_number_are_null(tmp_path: Path) -> None:
    outputs = np.array([[np.inf, 1, 0, 0]], np.float32)  # whose softmax is none
    rows = log(tmp_path, explanation(np.ones((1, 1, 5, 7)), outputs=outputs))
    assert rows[0]["score"] is rows[0]["raw_score"] is None


def test_save_writes_a_run_and_returns_its_page(tmp_path: Path) -> None:
    one = example(n=2, k=1)
    page = one.save(tmp_path / "saved")
    assert page == tmp_path / "saved" / "index.html"
    rows = read_manifest(tmp_path / "saved")
    assert [row["id"] for row in rows] == ["0", "1"]
    np.testing.assert_array_equal(rgb(tmp_path / "saved" / rows[1]["overlay"]), one.overlays()[1])
    assert json.loads((tmp_path / "saved" / "run.json").read_text())["name"] == "saved"
    for row in rows:
        assert Path(row["overlay"]).stem in page.read_text()


def test_save_into_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert example(n=1, k=1).save(".").exists()
    assert json.loads((tmp_path / "run.json").read_text())["name"] == tmp_path.name


def test_save_raises_where_it_cannot_write(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(xaicore.LoggerError, match=r"cannot write .*file: .*there is a file where a folder should be"):
        example().save(tmp_path / "file")


def test_the_working_directory_may_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    with xaicore.open_loggers({"disk": {"root": "here"}}, on_error="raise") as loggers:
        monkeypatch.chdir(tmp_path / "elsewhere")
        loggers(example(n=1, k=1))
    assert len(read_manifest(tmp_path / "here")) == 1
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_the_gallery_is_reported_as_people_type_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for options in ({}, {"root": "a"}, {"root": tmp_path / "here" / "b"}, {"root": tmp_path / "c"}):
        with xaicore.open_loggers({"disk": options}, name="first try"):
            pass
    example().save("saved")
    folder = folder_name("first try")
    assert capsys.readouterr().err.splitlines() == [
        f"xaicore: gallery: {Path('runs', folder, 'index.html')}",
        f"xaicore: gallery: {Path('a', 'index.html')}",
        f"xaicore: gallery: {Path('b', 'index.html')}",
        f"xaicore: gallery: {tmp_path / 'c' / 'index.html'}",
    ]


def test_home_is_meant_by_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    with xaicore.open_loggers({"disk": {"root": "~/runs/a"}}, on_error="raise"):
        pass
    assert (tmp_path / "runs/a/run.json").exists()


def test_the_page_is_written_at_once_and_then_at_growing_distances(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    """A page that takes 2 s is due again 40 s after it was done."""
    written = []
    clock.now = 100

    def page(*_: Any) -> str:
        written.append(clock.now)
        clock.now += 2
        return "page"

    monkeypatch.setattr(gallery, "page", page)
    with xaicore.open_loggers({"disk": {"root": tmp_path}}, on_error="raise") as loggers:
        for at in (103, 141, 141.9, 142.9, 150, 184.8, 185):
            clock.now = at
            loggers(example(n=1, k=1), step=int(at))
    assert written == [100, 142.9, 185, 187]  # on opening, twice in between, on closing


def test_unknown_options_are_named() -> None:
    with pytest.raises(
        xaicore.PluginError,
        match="has no option 'colour', 'path'; known: root, colormap, alpha, outline, diverging, axis, slices, boxes",
    ):
        xaicore.open_loggers({"disk": {"colour": "red", "alpha": 1, "path": "x"}})


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"maps": "int8"}, "maps='int8': expected one of float32, float16"),
        ({"colormap": "rainbows"}, "no colour map called 'rainbows'; known: .*viridis"),
        ({"alpha": 1.5}, "alpha=1.5: expected an opacity between 0 and 1"),
        ({"outline": 0}, "outline=0: expected a share of the pixels"),
        ({"threshold": 1}, "threshold=1: expected a share of the maximum"),
    ],
)
def test_wrong_options_are_known_before_the_run(option: dict[str, Any], message: str) -> None:
    with pytest.raises(xaicore.InputError, match=message):
        xaicore.open_loggers({"disk": option})


def test_a_logger_that_is_not_open_says_so(tmp_path: Path) -> None:
    with pytest.raises(xaicore.LoggerError, match="disk logger is not open"):
        DiskLogger(tmp_path).log(example())


def test_a_training_that_begins_anew_in_the_folder_of_another_is_warned_of(tmp_path: Path) -> None:
    def train(*steps: int | None, **config: Any) -> None:
        with xaicore.open_loggers({"disk": {"root": tmp_path}}, config=config, on_error="raise") as loggers:
            for step in steps:
                loggers(example(n=1, k=1), step)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train(0, 1, 2, 1, monitor={})  # its own earlier step
        train(2, 3, monitor={})  # resumed: the last one again
        train(None, monitor={})
        train(0)  # one of several that explain something, and no training
    with pytest.warns(
        RuntimeWarning, match=r"step 0 and later ones replace those of an earlier training \(up to step 3\)"
    ) as said:
        train(0, 1, monitor={})
    assert len(said) == 1


@pytest.mark.parametrize("save", [lambda one, path: one.save(path), lambda one, path: log(path, one)])
def test_the_name_of_a_picture_is_no_folder(tmp_path: Path, save: Callable[[Any, Path], object]) -> None:
    one, path = example(n=1, k=1), tmp_path / "cat.PNG"
    with pytest.raises(xaicore.InputError) as caught:
        save(one, path)
    assert str(caught.value) == (
        f"'{path}' names a file, and the disk logger writes a folder with pictures, maps and a page: pass "
        f"'{tmp_path / 'cat'}'; for one figure, call explanation.plot('{path}')"
    )
    assert not list(tmp_path.iterdir())
    path.mkdir()  # somebody wants it
    save(one, path)
    assert (path / "index.html").exists()
