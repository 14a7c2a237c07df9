"""The logger `tensorboard`: what TensorBoard reads back, pixel by pixel and number by number."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import random
import signal
import threading
import tracemalloc
from pathlib import Path
from typing import Any

import cv2
import delivery
import numpy as np
import pytest
from explanations import example, explanation, several_labels, strip
from names import NASTY
from processes import run_code, start_code
from tensorboard import plugin_util
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.image import metadata as image_metadata

import xaicore
from xaicore_tensorboard import text
from xaicore_tensorboard.logger import TensorBoardLogger


def read(root: Path) -> EventAccumulator:
    """Everything of a folder, as TensorBoard has it; nothing is sampled."""
    return EventAccumulator(str(root), {"tensors": 0, "scalars": 0}).Reload()


def picture(event: Any) -> np.ndarray:
    """RGB, by the stated size."""
    width, height, png = event.tensor_proto.string_val
    decoded = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)
    assert decoded.shape == (int(height), int(width), 3)
    return decoded[..., ::-1]


def pictures(found: EventAccumulator) -> list[str]:
    return sorted(
        tag for tag in found.Tags()["tensors"] if found.SummaryMetadata(tag).plugin_data.plugin_name == "images"
    )


def lines(found: EventAccumulator, tag: str) -> list[tuple[int, list[list[str]]]]:
    """A table's cells at each step."""
    texts = [(event.step, event.tensor_proto.string_val[0].decode()) for event in found.Tensors(tag)]
    return [(step, [row[2:-2].split(" | ") for row in table.splitlines()]) for step, table in texts]


def curve(found: EventAccumulator, tag: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in found.Scalars(tag)]


def log(root: Path, *steps: tuple[xaicore.Explanation, int | None], **options: Any) -> EventAccumulator:
    with xaicore.open_loggers({"tensorboard": {"root": root, **options}}, on_error="raise") as loggers:
        for one, step in steps:
            loggers(one, step=step)
    return read(root)


def test_every_picture_of_every_step_is_there_to_the_pixel(tmp_path: Path) -> None:
    by_step = {step: example(n=2, k=2, seed=step, ids=["cat.jpg", "dog.jpg"]) for step in range(12)}
    found = log(tmp_path, *((one, step) for step, one in by_step.items()))
    kinds = ("heatmap", "overlay")
    wanted = [
        f"xaicore/{name}/{k}/given/conv/{kind}" for name in ("cat.jpg", "dog.jpg") for k in (0, 1) for kind in kinds
    ]
    assert pictures(found) == wanted
    for n, name in enumerate(("cat.jpg", "dog.jpg")):
        for k in (0, 1):
            events = {kind: found.Tensors(f"xaicore/{name}/{k}/given/conv/{kind}") for kind in kinds}
            assert [event.step for event in events["overlay"]] == list(range(12))
            assert [event.step for event in events["heatmap"]] == list(range(12))
            for step, one in by_step.items():
                np.testing.assert_array_equal(picture(events["overlay"][step]), one.overlays()[2 * n + k])
                heat = xaicore.overlay.colorize(one.heatmaps())[2 * n + k]
                np.testing.assert_array_equal(picture(events["heatmap"][step]), heat)


def test_colours_are_the_users(tmp_path: Path) -> None:
    one = example(n=1, k=1)
    found = log(tmp_path, (one, 0), colormap="magma", alpha=0.8)
    [overlay], [heatmap] = (found.Tensors(f"xaicore/0/0/given/conv/{kind}") for kind in ("overlay", "heatmap"))
    np.testing.assert_array_equal(picture(overlay), one.overlays("magma", 0.8)[0])
    np.testing.assert_array_equal(picture(heatmap), xaicore.overlay.colorize(one.heatmaps(), "magma")[0])


def test_outlines_are_drawn(tmp_path: Path) -> None:
    one = example(n=1, k=1)
    [overlay] = log(tmp_path, (one, 0), outline=0.3).Tensors("xaicore/0/0/given/conv/overlay")
    np.testing.assert_array_equal(picture(overlay), one.overlays(outline=0.3)[0])


def test_a_shared_scale_is_kept(tmp_path: Path) -> None:
    one = example(n=2, k=1)
    one = dataclasses.replace(one, ceilings=2 * one.maps.max(axis=(1, 2)))
    found = log(tmp_path, (one, 0))
    [event] = found.Tensors("xaicore/1/0/given/conv/overlay")
    assert one.heatmaps()[1].max() == 0.5
    np.testing.assert_array_equal(picture(event), one.overlays()[1])


def test_pictures_have_captions_of_what_stays_the_same(tmp_path: Path) -> None:
    one = example(n=1, k=2, ids=["a|b.jpg"], truth=[3], class_names=["cat", "dog", "fox", "*ant*"])
    found = log(tmp_path, (one, 0), (dataclasses.replace(one, group="worst"), 0))
    [tag] = [tag for tag in pictures(found) if tag.startswith("xaicore/") and tag.endswith("/1/given/conv/overlay")]
    about = found.SummaryMetadata(tag)
    model = r"builtins\.NoneType"
    shown = rf"a\|b\.jpg; given at conv of {model}, top 2 \(k = 1\); truth: \*ant\*"
    assert about.summary_description == shown
    assert image_metadata.parse_plugin_metadata(about.plugin_data.content).version == 0
    worst = found.SummaryMetadata("xaicore worst/0/1/given/conv/overlay").summary_description
    assert worst == rf"given at conv of {model}, top 2 \(k = 1\)"


def test_captions_name_the_views_of_a_strip(tmp_path: Path) -> None:
    names = ["frame 0", "frame 1", "frame 2"]
    one = strip(np.ones((1, 1, 3, 5, 7)), np.zeros((1, 3, 5, 7, 3), np.uint8), names, frames=3, ids=["clip"])
    found = log(tmp_path, (one, 0))
    for tag in pictures(found):
        assert found.SummaryMetadata(tag).summary_description.endswith("; left to right: frame 0, frame 1, frame 2")


def test_scores_become_curves(tmp_path: Path) -> None:
    steps = {3: example(n=2, k=2, seed=1), 8: example(n=2, k=2, seed=2)}
    steps[8] = dataclasses.replace(steps[8], outputs=steps[8].outputs * 2, scores=steps[8].scores / 2)
    found = log(tmp_path, *((one, step) for step, one in steps.items()))
    for m, tag in enumerate(("0/0", "0/1", "1/0", "1/1")):
        for name in ("score", "raw_score"):
            wanted = [(step, np.float32(one.row(m)[name])) for step, one in steps.items()]
            assert curve(found, f"xaicore/{name}/{tag}") == wanted
    assert len(found.Tags()["scalars"]) == 8  # and no share of right, for the truth is not known


def test_scores_that_are_no_number_leave_a_gap(tmp_path: Path) -> None:
    bad = explanation(np.ones((1, 1, 5, 7)), outputs=np.array([[np.inf, 1, 0, 0]], np.float32))
    assert not np.isfinite(bad.scores).any()
    found = log(tmp_path, (bad, 0), (example(n=1, k=1, size=(5, 7)), 1))
    assert [step for step, _ in curve(found, "xaicore/score/0/0")] == [1]
    assert [step for step, _ in curve(found, "xaicore/raw_score/0/0")] == [1]
    assert [step for step, _ in lines(found, "xaicore/table")] == [0, 1]
    assert lines(found, "xaicore/table")[0][1][2] == ["0", "0", "0", "", "", "0", "", ""]


def test_the_share_of_right_is_of_pictures_whose_truth_is_known(tmp_path: Path) -> None:
    one = example(n=4, k=2)
    predicted = one.predicted.tolist()
    wrong = [(c + 1) % 4 for c in predicted]
    first = dataclasses.replace(one, truth=np.array([predicted[0], wrong[1], wrong[2], -1]))
    second = dataclasses.replace(one, truth=np.array([predicted[0], predicted[1], wrong[2], wrong[3]]))
    found = log(tmp_path, (first, 0), (second, 1), (dataclasses.replace(second, predicted=None), 2))
    assert curve(found, "xaicore/right") == [(0, np.float32(1 / 3)), (1, 0.5)]


def test_a_step_of_several_explanations_has_one_table_and_one_share(tmp_path: Path) -> None:
    """One a method, and a set that came in two parts, of two targets and of one."""
    one, two = (example(n=3, k=k, ids=["a", "b", "c"]) for k in (1, 2))
    truth = np.array([one.predicted[0], one.predicted[1], (one.predicted[2] + 1) % 4])
    one, two = (dataclasses.replace(part, truth=truth) for part in (one, two))
    other = dataclasses.replace(one, method="other")
    found = log(tmp_path, *((part, 5) for part in (two.take([0]), one.take([1, 2]), other)))
    assert curve(found, "xaicore/right") == [(5, np.float32(2 / 3))]
    assert len(curve(found, "xaicore/score/a/0")) == 1
    [(step, table)] = lines(found, "xaicore/table")
    assert (step, [row[0] for row in table]) == (5, ["id", "---", "a", "a", "b", "c"])
    assert {tag.split("/")[3] for tag in pictures(found)} == {"given", "other"}


def test_the_table_says_what_was_predicted(tmp_path: Path) -> None:
    outputs = np.array([[4, 2, 0, 0], [0, 1, 0, 5]], np.float32)
    known = {"ids": ["x.jpg", "y.jpg"], "truth": [0, 1], "class_names": ["cat", "dog", "fox", "*ant*"]}
    one = explanation(np.ones((2, 2, 5, 7)), outputs=outputs, images=np.zeros((2, 5, 7, 3), np.uint8), **known)
    [(step, table)] = lines(log(tmp_path, (one, 2)), "xaicore/table")
    p = np.exp(outputs) / np.exp(outputs).sum(1, keepdims=True)
    assert step == 2
    assert table == [
        ["id", "k", "target", "score", "raw score", "prediction", "truth", "right"],
        ["---"] * 8,
        [r"x\.jpg", "0", "cat", f"{p[0, 0]:.4g}", "4", "cat", "cat", "right"],
        [r"x\.jpg", "1", "dog", f"{p[0, 1]:.4g}", "2", "cat", "cat", "right"],
        [r"y\.jpg", "0", r"\*ant\*", f"{p[1, 3]:.4g}", "5", r"\*ant\*", "dog", "wrong"],
        [r"y\.jpg", "1", "dog", f"{p[1, 1]:.4g}", "1", r"\*ant\*", "dog", "wrong"],
    ]


def test_pictures_may_have_several_labels(tmp_path: Path) -> None:
    one = several_labels()
    found = log(tmp_path, (one, 0))
    assert curve(found, "xaicore/right") == [(0, 0.5)]
    [(_, table)] = lines(found, "xaicore/table")
    assert [row[6:] for row in table[2:]] == [[one.row(0)["truth_name"], "right"], ["none", "wrong"]]
    assert table[2][6].count(", ") == 1


def test_the_worst_go_by_rank(tmp_path: Path) -> None:
    """Their ids change from step to step: by id, there would be ever more tags."""
    fixed = example(n=1, k=1, ids=["cat.jpg"])
    worst = [dataclasses.replace(example(n=2, k=1, seed=s, ids=[f"{s}a", f"{s}b"]), group="worst") for s in (0, 1)]
    found = log(tmp_path, (fixed, 0), (worst[0], 0), (fixed, 1), (worst[1], 1))
    ranked = [tag for tag in pictures(found) if not tag.startswith("xaicore/")]
    kinds = ("heatmap", "overlay")
    assert ranked == [f"xaicore worst/{n}/0/given/conv/{kind}" for n in (0, 1) for kind in kinds]
    events = found.Tensors("xaicore worst/1/0/given/conv/overlay")
    assert [event.step for event in events] == [0, 1]
    for event, one in zip(events, worst, strict=True):
        np.testing.assert_array_equal(picture(event), one.overlays()[1])
    tables = lines(found, "xaicore worst/table")
    assert [[row[0] for row in table[2:]] for _, table in tables] == [["0a", "0b"], ["1a", "1b"]]
    assert [len(table) for _, table in lines(found, "xaicore/table")] == [3, 3]
    assert {tag for tag in found.Tags()["scalars"] if "worst" in tag} == {
        f"xaicore worst/{name}/{n}/0" for name in ("score", "raw_score") for n in (0, 1)
    }


def test_no_two_ids_share_a_tag(tmp_path: Path) -> None:
    ids = [*NASTY, text.tag_part("a/b")]  # the last one is what somebody would choose who wants to be taken for a/b
    found = log(tmp_path, (example(n=len(ids), k=1, ids=ids), 0))
    tags = pictures(found)
    assert len(tags) == 2 * len(ids)
    for tag in tags:
        assert len(tag.split("/")) == 6
        assert all(one == one.strip() != "" for one in tag.split("/"))
        assert tag.isprintable()
        assert len(tag) < 130
        assert len(found.Tensors(tag)) == 1
    assert "xaicore/a b/0/given/conv/overlay" in tags
    assert "xaicore/é.jpg/0/given/conv/overlay" in tags


def test_names_of_methods_and_layers_are_parts_of_tags(tmp_path: Path) -> None:
    one = dataclasses.replace(example(n=1, k=1), method="my/method", layer="block 1 + block/2")
    other = dataclasses.replace(one, method="my", layer="method/block 1 + block/2")
    tags = pictures(log(tmp_path, (one, 0), (other, 0)))
    assert len(tags) == 4
    assert all(len(tag.split("/")) == 6 for tag in tags)


@pytest.mark.parametrize("name", [*NASTY, "a_b-c", "# a", "~~~", "- x", "---", "    x", "`x`", "a&amp;b"])
def test_text_is_shown_as_it_is(name: str) -> None:
    """TensorBoard renders Markdown, with tables; what is not printable becomes a space."""
    row = {**example(n=1, k=1).row(0), "id": name, "truth_name": name}
    html = plugin_util.markdown_to_safe_html(text.table([row]))
    cells = [cell.split("</td>")[0] for cell in html.split("<td>")[1:]]
    plain = " ".join("".join(char if char.isprintable() else " " for char in name).split())
    plain = plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert len(cells) == 8
    assert (cells[0], cells[6]) == (plain, plain)


def test_a_step_that_comes_again_is_written_after_the_first(tmp_path: Path) -> None:
    """TensorBoard shows the later one."""
    first, second = example(n=1, k=1, seed=1), example(n=1, k=1, seed=2)
    found = log(tmp_path, (first, 4), (second, 4))
    events = found.Tensors("xaicore/0/0/given/conv/overlay")
    assert [event.step for event in events] == [4, 4]
    np.testing.assert_array_equal(picture(events[0]), first.overlays()[0])
    np.testing.assert_array_equal(picture(events[1]), second.overlays()[0])
    assert events[0].wall_time <= events[1].wall_time
    assert len(curve(found, "xaicore/score/0/0")) == 1  # held back until the step was over


def test_no_step_is_step_0(tmp_path: Path) -> None:
    found = log(tmp_path, (example(n=1, k=1), None))
    assert [event.step for event in found.Tensors("xaicore/0/0/given/conv/overlay")] == [0]
    assert [step for step, _ in curve(found, "xaicore/score/0/0")] == [0]


def test_a_step_may_be_of_numpy(tmp_path: Path) -> None:
    found = log(tmp_path, (example(n=1, k=1), np.int64(2**40)))
    assert [event.step for event in found.Tensors("xaicore/0/0/given/conv/overlay")] == [2**40]


def test_what_is_held_back_goes_out_with_flush_the_next_step_and_closing(tmp_path: Path) -> None:
    def steps() -> list[int]:
        found = read(tmp_path)
        tags = found.Tags()["scalars"]
        return [step for step, _ in curve(found, "xaicore/score/0/0")] if tags else []

    def images() -> int:
        found = read(tmp_path)
        return sum(len(found.Tensors(tag)) for tag in pictures(found))

    opened = xaicore.open_loggers({"tensorboard": {"root": tmp_path}}, on_error="raise")
    delivery.check_steps(opened, images, steps)
    assert [step for step, _ in lines(read(tmp_path), "xaicore/table")] == [0, 1, 2, 3]


def test_a_killed_process_leaves_what_was_flushed(tmp_path: Path) -> None:
    code = """
import os, sys, time
import xaicore
from explanations import example
loggers = xaicore.open_loggers({"tensorboard": {"root": sys.argv[1]}}, on_error="raise").__enter__()
for step in range(3):
    loggers(example(n=1, k=1, seed=step), step)
    loggers.flush()
print("flushed", flush=True)
time.sleep(600)
"""
    child = start_code(code, str(tmp_path))
    try:
        assert child.stdout.readline() == "flushed\n"
    finally:
        child.send_signal(signal.SIGKILL)
        child.communicate()
    found = read(tmp_path)
    events = found.Tensors("xaicore/0/0/given/conv/overlay")
    assert [event.step for event in events] == [0, 1, 2]
    np.testing.assert_array_equal(picture(events[2]), example(n=1, k=1, seed=2).overlays()[0])
    assert [step for step, _ in curve(found, "xaicore/score/0/0")] == [0, 1, 2]
    assert [step for step, _ in lines(found, "xaicore/table")] == [0, 1, 2]


def test_a_run_that_goes_on_adds_to_what_was_there(tmp_path: Path) -> None:
    log(tmp_path, (example(n=1, k=1, seed=0), 0))
    log(tmp_path, (example(n=1, k=1, seed=1), 1))
    found = log(tmp_path, (example(n=1, k=1, seed=2), 2))
    assert len(list(tmp_path.iterdir())) == 3
    events = found.Tensors("xaicore/0/0/given/conv/overlay")
    assert [event.step for event in events] == [0, 1, 2]
    for seed, event in enumerate(events):
        np.testing.assert_array_equal(picture(event), example(n=1, k=1, seed=seed).overlays()[0])


def test_the_run_is_described(tmp_path: Path) -> None:
    config = {"lr": 0.1, "path": Path("a"), "note": "</code>\n# <b>x</b> \udcff"}
    opened = xaicore.open_loggers({"tensorboard": {"root": tmp_path}}, name="exp 1", config=config, on_error="raise")
    with opened:
        pass
    [event] = read(tmp_path).Tensors("xaicore/run")
    content = event.tensor_proto.string_val[0].decode()
    assert all(line.startswith("    ") for line in content.splitlines())
    about = json.loads(content)
    assert about == {
        "name": "exp 1",
        "started": opened.run.started,
        "config": {**config, "path": "a"},
        "versions": dict(opened.run.versions),
    }
    html = plugin_util.markdown_to_safe_html(content)
    assert html.startswith("<pre><code>{")
    assert "<b>" not in html


def test_runs_are_found_where_people_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """tensorboard --logdir runs"""
    monkeypatch.chdir(tmp_path)
    for name in ("exp1", "../../exp2"):
        with xaicore.open_loggers("tensorboard", name=name, on_error="raise") as loggers:
            (tmp_path / "elsewhere").mkdir(exist_ok=True)
            os.chdir(tmp_path / "elsewhere")
            loggers(example(n=1, k=1), 0)
        os.chdir(tmp_path)
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == []
    files = [path.relative_to(tmp_path).parts for path in tmp_path.rglob("*tfevents*")]
    assert sorted(parts[:3] for parts in files) == [
        ("runs", text.tag_part("../../exp2"), "xaicore"),
        ("runs", "exp1", "xaicore"),
    ]
    assert len(pictures(read(tmp_path / "runs/exp1/xaicore"))) == 2


@pytest.mark.parametrize(("options", "folder"), [({}, "runs"), ({"root": "my logs/a"}, "'my logs/a'")])
def test_the_command_that_shows_the_run_is_reported(
    options: dict[str, Any],
    folder: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    with xaicore.open_loggers({"tensorboard": options}):
        pass
    said = capsys.readouterr().err
    assert said == f"xaicore: tensorboard --logdir {folder} --samples_per_plugin images=0\n"


def test_home_is_meant_by_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    with xaicore.open_loggers({"tensorboard": {"root": "~/a"}}, on_error="raise"):
        pass
    assert len(list((tmp_path / "a").iterdir())) == 1


def test_another_thread_may_log_and_close(tmp_path: Path) -> None:
    one = example(n=1, k=1)
    loggers = xaicore.open_loggers({"tensorboard": {"root": tmp_path}}, on_error="raise").__enter__()
    failed: list[BaseException] = []

    def work() -> None:
        try:
            loggers(one, 7)
            loggers.flush()
            loggers.__exit__(None, None, None)
        except BaseException as exc:
            failed.append(exc)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert failed == []
    [event] = read(tmp_path).Tensors("xaicore/0/0/given/conv/overlay")
    np.testing.assert_array_equal(picture(event), one.overlays()[0])


def test_random_numbers_are_left_alone(tmp_path: Path) -> None:
    one = example(n=2, k=1)
    before = random.getstate(), repr(np.random.get_state())
    log(tmp_path, (one, 0), (one, 1))
    assert (random.getstate(), repr(np.random.get_state())) == before


@pytest.mark.thorough
def test_memory_does_not_grow_with_steps(tmp_path: Path) -> None:
    one = example(n=4, k=2)
    tracemalloc.start()
    try:
        with xaicore.open_loggers({"tensorboard": {"root": tmp_path}}, on_error="raise") as loggers:
            held = []
            for step in range(25):
                loggers(one, step)
                loggers(dataclasses.replace(one, group="worst"), step)
                held.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert held[-1] - held[5] < 50_000  # one step's rows are as much, and its pictures 200 kB


def test_without_pictures_there_are_heatmaps(tmp_path: Path) -> None:
    """Five channels are no picture."""
    one = explanation(np.random.default_rng(0).random((1, 1, 5, 7)), (10, 14), images=None)
    assert one.images is None
    found = log(tmp_path, (one, 0))
    assert pictures(found) == ["xaicore/0/0/given/conv/heatmap"]
    [event] = found.Tensors("xaicore/0/0/given/conv/heatmap")
    np.testing.assert_array_equal(picture(event), xaicore.overlay.colorize(one.heatmaps())[0])


@pytest.mark.parametrize("shape", [(9,), (3, 4, 5)])
def test_signals_and_volumes_have_their_curve_and_their_slices(tmp_path: Path, shape: tuple[int, ...]) -> None:
    one = explanation(np.random.default_rng(0).random((1, 1, *shape)))
    found = log(tmp_path, (one, 0))
    [event] = found.Tensors("xaicore/0/0/given/conv/overlay")
    np.testing.assert_array_equal(picture(event), one.overlay(0))


def test_what_cannot_be_drawn_has_numbers_alone(tmp_path: Path) -> None:
    one = explanation(np.ones((2, 1, 2, 2, 2, 2)), truth=[0, 1])
    found = log(tmp_path, (one, 0))
    assert pictures(found) == []
    assert curve(found, "xaicore/score/1/0") == [(0, np.float32(one.scores[1]))]
    assert len(lines(found, "xaicore/table")[0][1]) == 4


def test_neither_tensorflow_nor_torch_is_imported(tmp_path: Path) -> None:
    """They are installed here; importing them takes seconds."""
    code = """
import sys
import xaicore
from explanations import example
with xaicore.open_loggers({"tensorboard": {"root": sys.argv[1]}}, on_error="raise") as log:
    log(example(n=1, k=1), 0)
    log.flush()
print(*sys.modules)
"""
    modules = run_code(code, str(tmp_path)).split()
    assert "tensorboard.summary.writer.record_writer" in modules
    assert {"tensorflow", "torch", "keras", "jax", "pandas"}.isdisjoint(modules)


def test_unknown_options_are_named() -> None:
    with pytest.raises(
        xaicore.PluginError,
        match=r"no option 'logdir', 'x'; known: root, colormap, alpha, outline, diverging, axis, slices, boxes$",
    ):
        xaicore.open_loggers({"tensorboard": {"logdir": "runs", "alpha": 1, "x": 1}})


def test_a_folder_elsewhere_is_refused_before_the_run() -> None:
    with pytest.raises(xaicore.InputError, match="root='s3://bucket/runs': expected a local folder"):
        xaicore.open_loggers({"tensorboard": {"root": "s3://bucket/runs"}})


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(xaicore.LoggerError, match=r"cannot write into .*file/run: .*; pass another root="):
        xaicore.open_loggers({"tensorboard": {"root": tmp_path / "file/run"}}).__enter__()


@pytest.mark.usefixtures("clock")
def test_no_event_file_is_written_over(tmp_path: Path) -> None:
    """Two that begin within the same microsecond."""
    log(tmp_path, (example(n=1, k=1), 0))
    [file] = tmp_path.iterdir()
    content = file.read_bytes()
    with pytest.raises(xaicore.LoggerError, match=r"cannot write into .*: File exists"):
        log(tmp_path, (example(n=1, k=1), 0))
    assert file.read_bytes() == content


def test_a_full_disk_switches_the_logger_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Disk(io.BytesIO):
        is_full = False

        def write(self, data: Any) -> int:
            if self.is_full:
                raise OSError(28, "No space left on device")
            return super().write(data)

    disk = Disk()
    monkeypatch.setattr(Path, "open", lambda *_: disk)
    with xaicore.open_loggers(TensorBoardLogger(tmp_path)) as loggers:
        disk.is_full = True
        with pytest.warns(RuntimeWarning, match="'TensorBoardLogger' is switched off: log raised OSError: .*No space"):
            loggers(example(n=1, k=1), 0)
    assert list(loggers.failed) == ["TensorBoardLogger"]
