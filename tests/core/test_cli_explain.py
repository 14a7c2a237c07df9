"""`xaicore explain` from end to end, with a net whose answers can be told beforehand."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import numpy as np
import processes
import pytest
from workshop import Workshop, draw, read_table, score, write

import xaicore
from xaicore import plugins

PATCH = (4, 2, 12, 8)
AREA = 8 * 6 / 200


@pytest.fixture
def labels(shop: Workshop) -> str:
    (shop.here / "names.txt").write_text("rosso\nverde\nblu\n")
    return "names.txt"


def test_table_and_log_hold_what_the_net_saw(shop: Workshop, labels: str) -> None:
    draw(Path("photos/10.png"), "green")
    draw(Path("photos/9.png"), "red", (0, 0, 20, 5))
    Path("truth.csv").write_text("file,class\nphotos/10.png,verde\nphotos/9.png,2\n")
    result = shop.explain("photos", "--labels", labels, "--truth", "truth.csv", "--method", "gradcam")
    assert result.exit_code == 0
    assert read_table(result.stdout) == [
        {
            "file in photos": "9.png",
            "truth": "blu",
            "prediction": "rosso",
            "score": f"{score(0.5):.3f}",
            "box gradcam": "0,0-20,5",
            "verdict": "wrong",
        },
        {
            "file in photos": "10.png",
            "truth": "verde",
            "prediction": "verde",
            "score": f"{score(AREA):.3f}",
            "box gradcam": "4,2-12,8",
            "verdict": "right",
        },
    ]
    assert "2 pictures explained: gradcam at colour\n1 of 2 right\n" in result.stdout
    assert "index.html" not in result.stdout
    first, second = shop.logged()
    assert (first["id"], first["predicted"], first["truth_name"]) == ("photos/9.png", 0, "blu")
    assert second["score"] == pytest.approx(score(AREA), abs=1e-6)
    assert "2 pictures; model net:build, weights as the code makes them; preprocess net:preprocess" in result.stderr
    assert "2 of 2 pictures" in result.stderr


def test_options_of_several_versions_and_layers(shop: Workshop) -> None:
    draw(Path("a.png"))
    options = ["--smooth", "3x0.2", "--augment", "hflip", "--augment", "smaller", "--fuse", "none"]
    result = shop.explain("a.png", *options, "--layer", "colour", "--layer", "input", "--target", "1")
    assert result.exit_code == 0, result.stderr
    assert {(row["method"], row["layer"]) for row in shop.logged()} == {("gradcam", "colour"), ("gradcam", "input")}
    config = shop.notes()[0]["config"]
    assert (config["smooth"], config["augment"], config["fuse"]) == ([3, 0.2], ["hflip", "smaller"], "none")
    for box in ("box gradcam at colour", "box gradcam at input"):
        assert box in result.stdout.replace("\n", " ")
    plain = shop.explain("a.png", "--layer", "colour", "--layer", "input", "--fuse", "max", "--smooth", "2")
    assert plain.exit_code == 0
    assert shop.logged()[-1]["layer"] == "colour + input"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--smooth", "0"], "expected a number of noisy copies, such as 16 or 16x0.15"),
        (["--smooth", "3,0.2"], "expected a number of noisy copies"),
        (["--augment", "flip"], "'flip' is not one of 'hflip', 'vflip', 'smaller', 'larger'"),
        (["--fuse", "sum"], "'sum' is not one of 'mean', 'max', 'product', 'none'"),
        (["--method", "refinecam"], "name two or more, one per resolution, with --layer ..."),
    ],
)
def test_options_of_several_versions_out_of_range(shop: Workshop, options: list[str], message: str) -> None:
    draw(Path("a.png"))
    result = shop.explain("a.png", *options)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())


def test_run_is_described_to_the_loggers(shop: Workshop) -> None:
    draw(Path("a.png"))
    result = shop.explain("a.png", "--name", "first", "--method", "layercam", "--method", "gradcam", "--target", "1")
    assert result.exit_code == 0
    opened = shop.notes()[0]
    assert opened["open"] == "first"
    assert opened["config"] == {
        "model": "net:build",
        "model_class": "net.Colours",
        "methods": ["layercam", "gradcam"],
        "layer": "colour",
        "target": "class 1",
        "preprocess": "net:preprocess",
        "normalize": "max",
        "backend": "colours",
        "activation": None,
        "output": None,
        "kind": None,
        "axes": None,
        "grid": None,
        "input_axes": None,
        "outliers": None,
        "smooth": None,
        "augment": [],
        "fuse": "mean",
    }
    assert shop.notes()[-1] == {"closed": True}
    assert [row["method"] for row in shop.logged()] == ["layercam", "gradcam"]


def test_one_box_column_a_method(shop: Workshop) -> None:
    draw(Path("a.png"), "blue")
    result = shop.explain("a.png", "--method", "gradcam", "--method", "eigencam", "--method", "gradcam")
    (row,) = read_table(result.stdout)
    assert list(row) == ["file", "prediction", "score", "box gradcam", "box eigencam"]
    assert row["box gradcam"] == row["box eigencam"] == "4,2-12,8"
    assert "gradcam, eigencam at colour" in result.stdout


def test_top_k_has_a_row_a_class(shop: Workshop, labels: str) -> None:
    picture = np.zeros((10, 20, 3), np.uint8)
    picture[:5, :, 2] = 255
    picture[5:, :5, 0] = 255
    write(Path("a.png"), picture)
    result = shop.explain("a.png", "--labels", labels, "--top-k", "2")
    rows = read_table(result.stdout)
    assert [(row["prediction"], row["explained"], row["box gradcam"]) for row in rows] == [
        ("blu", "blu", "0,0-20,5"),
        ("blu", "rosso", "0,5-5,10"),
    ]
    weights = np.exp([8 * 0.125, 0, 8 * 0.5])
    assert [row["score"] for row in rows] == [f"{weights[c] / weights.sum():.3f}" for c in (2, 0)]


def test_target_by_name_and_by_number(shop: Workshop, labels: str) -> None:
    draw(Path("a.png"), "red")
    result = shop.explain("a.png", "--labels", labels, "--target", "verde", "--target", "0")
    rows = read_table(result.stdout)
    assert [(row["explained"], row["box gradcam"]) for row in rows] == [
        ("verde", "no evidence"),
        ("rosso", "4,2-12,8"),
    ]
    assert rows[0]["score"] == f"{(1 - score(AREA)) / 2:.3f}"
    assert "1 map without evidence" in result.stdout


def test_layers_are_fused_and_named(shop: Workshop) -> None:
    draw(Path("a.png"))
    result = shop.explain("a.png", "--layer", "input", "--layer", "colour")
    assert result.exit_code == 0
    assert "1 picture explained: gradcam at input + colour" in result.stdout


def test_activation_changes_the_score(shop: Workshop) -> None:
    draw(Path("a.png"))
    (row,) = read_table(shop.explain("a.png", "--activation", "sigmoid").stdout)
    assert row["score"] == f"{1 / (1 + np.exp(-8 * AREA)):.3f}"


def test_long_lists_are_cut_and_counted(shop: Workshop) -> None:
    for i in range(43):
        draw(Path(f"p/{i}.png"), "red" if i % 2 else "green")
    Path("truth.csv").write_text("".join(f"{i}.png,0\n" for i in range(43)))
    result = shop.explain("p", "--truth", "truth.csv", "--batch-size", "7")
    rows = read_table(result.stdout)
    assert [row["file in p"] for row in rows] == [f"{i}.png" for i in range(40)]
    assert "... and 3 more\n" in result.stdout
    assert "43 pictures explained" in result.stdout
    assert "21 of 43 right" in result.stdout
    assert len(shop.logged()) == 43


def test_cut_in_the_middle_of_a_picture(shop: Workshop) -> None:
    for i in range(15):
        draw(Path(f"p/{i}.png"), "blue")
    result = shop.explain("p", "--top-k", "3", "--batch-size", "15")
    rows = read_table(result.stdout)
    assert (len(rows), rows[-1]["file in p"], rows[-1]["explained"]) == (40, "13.png", "2")
    assert "... and 5 more\n" in result.stdout


def test_progress_elsewhere_than_in_a_terminal_is_a_line_a_tenth(shop: Workshop) -> None:
    for i in range(40):
        draw(Path(f"p/{i}.png"))
    lines = shop.explain("p", "--batch-size", "1").stderr.splitlines()[1:]
    assert lines == [f"{done} of 40 pictures" for done in range(4, 41, 4)]


def test_broken_pictures_are_reported_counted_and_skipped(shop: Workshop) -> None:
    draw(Path("p/1.png"), "red")
    Path("p/2.png").write_bytes(b"no picture at all")
    Path("p/3.png").write_bytes(b"")
    draw(Path("p/4.png"), "blue")
    result = shop.explain("p")
    assert result.exit_code == 1
    assert "skipped: p/2.png is no picture that OpenCV" in result.stderr
    assert "skipped: p/3.png is an empty file" in result.stderr
    assert "2 pictures skipped" in result.stderr
    assert [(row["file in p"], row["prediction"]) for row in read_table(result.stdout)] == [
        ("1.png", "0"),
        ("4.png", "2"),
    ]
    assert "2 pictures explained" in result.stdout
    shop.explain("p", "--out", "a", logger="disk")
    about = json.loads(Path("a/run.json").read_text())
    assert list(about["skipped"]) == ["p/2.png", "p/3.png"]
    assert about["skipped"]["p/3.png"] == "p/3.png is an empty file"
    page = Path("a/index.html").read_text()
    assert "2 pictures skipped" in page
    assert "<li>p/3.png is an empty file</li>" in page


def test_truth_stays_with_its_picture_when_another_is_skipped(shop: Workshop) -> None:
    Path("p").mkdir()
    Path("p/1.png").write_bytes(b"broken")
    draw(Path("p/2.png"), "blue")
    draw(Path("p/3.png"), "green")
    Path("truth.csv").write_text("1.png,0\n2.png,2\n3.png,1\n")
    result = shop.explain("p", "--truth", "truth.csv")
    assert "2 of 2 right" in result.stdout


def test_only_broken_pictures(shop: Workshop) -> None:
    Path("a.png").write_bytes(b"broken")
    result = shop.explain("a.png")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "Error: no picture could be read and prepared (of 1)" in result.stderr
    assert shop.notes() == []


def test_unknown_truth_counts_neither_way(shop: Workshop) -> None:
    draw(Path("a.png"), "red")
    draw(Path("b.png"), "red")
    draw(Path("c.png"), "red")
    Path("truth.csv").write_text("a.png,0\nb.png,\n")
    result = shop.explain("a.png", "b.png", "c.png", "--truth", "truth.csv")
    assert [row["verdict"] for row in read_table(result.stdout)] == ["right", "", ""]
    assert "1 of 1 right" in result.stdout
    assert [row["truth"] for row in shop.logged()] == [0, None, None]


def test_truth_by_folder(shop: Workshop, labels: str) -> None:
    draw(Path("data/rosso/a.png"), "red")
    draw(Path("data/2/b.png"), "red")
    result = shop.explain("data", "--labels", labels, "--truth", "folder")
    assert [(row["file in data"], row["truth"], row["verdict"]) for row in read_table(result.stdout)] == [
        ("2/b.png", "blu", "wrong"),
        ("rosso/a.png", "rosso", "right"),
    ]


def test_names_are_printed_literally(shop: Workshop) -> None:
    names = ["[red]x[/red].png", ":smile:.png", "a[1].png", "esc\x1b[31m.png", "line\nend.png", "ünïcødé 写真.png"]
    for name in names:
        draw(Path(name))
    draw(Path("<b></script>.png"))  # a file in the folder <b><
    (shop.here / "names.txt").write_text("[bold]rosso\nverde\nblu\n")
    result = shop.explain(*names, "<b></script>.png", "--labels", "names.txt")
    assert result.exit_code == 0
    for printed in (
        "[red]x[/red].png",
        ":smile:.png",
        "a[1].png",
        "esc\\x1b[31m.png",
        "line\\nend.png",
        "ünïcødé 写真.png",
        "<b></script>.png",
    ):
        assert f" {printed} " in result.stdout
    assert result.stdout.count("[bold]rosso") == 7
    assert {row["id"] for row in shop.logged()} >= {"ünïcødé 写真.png", "[red]x[/red].png"}


def test_files_of_several_folders(shop: Workshop) -> None:
    first = draw(shop.here / "p" / "q" / "a.png")
    draw(Path("p/b.png"))
    draw(Path("pq/c.png"))

    def files(*paths: object) -> list[tuple[str, ...]]:
        return [next(iter(row.items())) for row in read_table(shop.explain(*paths).stdout)]

    assert files("p") == [("file in p", "b.png"), ("file in p", "q/a.png")]
    assert files("p/b.png", "pq") == [("file", "p/b.png"), ("file", "pq/c.png")]
    assert files(first) == [(f"file in {first.parent.as_posix()}", "a.png")]
    assert files(first, "pq") == [("file", first.as_posix()), ("file", "pq/c.png")]


def test_errors_are_printed_literally(shop: Workshop) -> None:
    write(Path("[red]\x07\x1b[31m.png"), np.full((10, 20, 3), 255, np.uint8))
    result = shop.explain(".")
    assert result.stderr.endswith("pictures: [red]\\x07\\x1b[31m.png: RuntimeError: too bright\n")


def test_several_loggers_and_the_disk(shop: Workshop) -> None:
    draw(Path("a.png"))
    result = shop.explain("a.png", "--logger", "disk", "--out", "runs/a")
    assert result.exit_code == 0
    assert result.stdout.endswith(f"gallery: {Path('runs/a/index.html')}\n")
    assert Path("runs/a/index.html").is_file()
    about = json.loads(Path("runs/a/run.json").read_text())
    assert about["name"] == "a"
    assert about["config"]["model"] == "net:build"
    assert shop.notes()[0]["open"] == "a"


def test_disk_is_the_default_and_its_folder_has_the_name_of_the_run(shop: Workshop) -> None:
    draw(Path("a.png"))
    result = shop.explain("a.png", "--name", "monday", logger=None)
    assert result.exit_code == 0
    assert f"gallery: {Path('runs/monday/index.html')}\n" in result.stdout
    assert Path("runs/monday/index.html").is_file()


TOWN = """
import xaicore

class Town(xaicore.Logger):
    def open(self, run):
        self.where = f"town: {run.name}"

    def log(self, explanation, step=None):
        pass

@xaicore.hookimpl
def xaicore_logger(options):
    return Town()
"""


def test_the_last_lines_tell_where_the_results_are(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.distribution("town", "1", {"xaicore.loggers": {"town": "town_plugin"}})
    shop.module("town_plugin", TOWN)
    monkeypatch.syspath_prepend(shop.here)
    plugins.installed.cache_clear()
    draw(Path("a.png"))
    result = shop.explain("a.png", "--logger", "town", "--logger", "disk", "--name", "may", logger=None)
    assert result.stdout.splitlines()[-2:] == ["town: may", f"gallery: {Path('runs/may/index.html')}"]
    assert "town" not in result.stderr


def test_the_same_command_again_replaces_what_is_there(shop: Workshop) -> None:
    draw(Path("p/a.png"), "red")
    draw(Path("p/b.png"), "blue")
    command = ("p", "--out", "run", "--method", "gradcam", "--method", "hirescam")

    def files() -> dict[str, bytes]:
        return {
            path.as_posix(): path.read_bytes()
            for path in Path("run").rglob("*")
            if path.is_file() and path.suffix in (".png", ".npy")
        }

    assert shop.explain(*command, logger=None).exit_code == 0
    before = files()
    assert len(before) == 2 + 4 * 4
    result = shop.explain(*command, logger=None)
    assert result.exit_code == 0
    assert files() == before


def test_a_logger_that_fails_midway(shop: Workshop) -> None:
    for i in range(3):
        draw(Path(f"p/{i}.png"))
    result = shop.explain("p", "--logger", "frail", "--batch-size", "1")
    assert result.exit_code == 1
    assert "3 pictures explained" in result.stdout
    line = "warning: logger 'frail' is switched off: log raised OSError: the pencil broke\n"
    assert result.stderr.count(line) == 1
    assert "logger 'frail' was switched off: the pencil broke\n" in result.stderr
    assert ".py:" not in result.stderr
    assert len(shop.logged()) == 4


def test_work_stops_when_no_logger_is_left(shop: Workshop) -> None:
    for i in range(4):
        draw(Path(f"p/{i}.png"))
    result = shop.explain("p", "--batch-size", "1", logger="frail")
    assert result.exit_code == 1
    assert "stopped after 2 of 4 pictures: every logger is switched off" in result.stderr
    assert len(read_table(result.stdout)) == 2


def test_work_that_is_done_when_the_last_logger_fails_is_not_stopped(shop: Workshop) -> None:
    draw(Path("p/1.png"))
    draw(Path("p/2.png"))
    result = shop.explain("p", "--batch-size", "1", logger="frail")
    assert result.exit_code == 1
    assert "2 pictures explained" in result.stdout
    assert "stopped" not in result.stderr


def test_a_disk_that_fails_midway_is_no_place_to_look(shop: Workshop) -> None:
    shop.module(
        "vandal",
        "import contextlib, net, pathlib\n"
        "build = net.build\n"
        "def preprocess(picture):\n"
        "    manifest = pathlib.Path('run/manifest.jsonl')\n"
        "    if picture[..., 2].max() == 255:  # the last one, read when the first is logged\n"
        "        while not manifest.is_dir():  # a row that is logged in between makes a file again\n"
        "            manifest.unlink(missing_ok=True)\n"
        "            with contextlib.suppress(FileExistsError):\n"
        "                manifest.mkdir()\n"
        "    return net.preprocess(picture)\n",
    )
    for name in "123":
        draw(Path(f"p/{name}.png"))
    draw(Path("p/4.png"), "blue")
    result = shop.run("explain", "p", "--model", "vandal:build", "--out", "run", "--batch-size", "1")
    assert result.exit_code == 1
    assert re.search(r"^[234] pictures explained", result.stdout, re.M)
    assert "index.html" not in result.stdout
    assert "logger 'disk' was switched off: " in result.stderr


def test_plugins_are_looked_up_before_the_model_is_loaded(shop: Workshop) -> None:
    draw(Path("a.png"))
    result = shop.run("explain", "a.png", "--model", "net:no_such_thing", "--logger", "pigeon")
    assert "Error: no logger plugin called 'pigeon'" in result.stderr


def test_a_model_error_names_the_batch_and_keeps_what_was_done(shop: Workshop) -> None:
    for i in range(4):
        draw(Path(f"p/{i}.png"))
    write(Path("p/4.png"), np.full((10, 20, 3), 255, np.uint8))
    result = shop.explain("p", "--batch-size", "3")
    assert result.exit_code == 1
    expected = "stopped after 3 of 5 pictures: 2 pictures in one batch, p/3.png to p/4.png: RuntimeError: too bright"
    assert result.stderr.splitlines()[-1] == f"Error: {expected}"
    assert len(read_table(result.stdout)) == len(shop.logged()) == 3
    assert shop.notes()[-1] == {"closed": True}


def test_a_model_error_in_the_first_batch(shop: Workshop) -> None:
    shop.module("flat", "import net\nbuild = net.build\ndef preprocess(picture): return net.only_x(picture)[:1]\n")
    draw(Path("a.png"))
    result = shop.run("explain", "a.png", "--model", "flat:build", "--logger", "notes")
    assert result.exit_code == 1
    assert "stopped after 0 of 1 pictures: a.png: the model raised ValueError for inputs (1, 1, 10, 20)" in (
        result.stderr
    )
    assert "Preprocessing flat:preprocess made the inputs; --preprocess names another" in result.stderr
    assert result.stdout == ""
    assert shop.notes() == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--layer", "color"], "no layer called 'color'; did you mean 'colour'?"),
        (["--target", "7"], "--target 7 is out of range: outputs (1, 3) have classes 0 to 2"),
        (["--target", "-1"], "--target: class -1 is out of range, classes are 0, 1, ..."),
        (["--truth", "truth.csv"], "--truth 7 is out of range: outputs (1, 3) have classes 0 to 2; -1 is for unknown"),
        (["--output", "3"], "--output 3 is none of the model's outputs: 0 (1, 3)"),
        (["--method", "gradcan"], "no method called 'gradcan'"),
        (["--method", "gradcam,fem"], "--method gradcam,fem: one method each; try: --method gradcam --method fem"),
        (["--labels", "two.txt"], "2 class names for outputs (1, 3): expected 3, one per class"),
        (["--target", "verde"], "--target: 'verde' is no class index; to use names, pass --labels"),
        (["--target", "1", "--top-k", "2"], "--target 1 and --top-k 2: pass one of them"),
        (
            ["--logger", "pigeon"],
            "no logger plugin called 'pigeon'; installed: disk, frail, mlflow, notes, tensorboard, wandb",
        ),
        (["--out", "runs/a"], "--out runs/a is for the disk logger, which is off: add --logger disk"),
        (["--backend", "abacus"], "no backend plugin called 'abacus'"),
        (["--device", "moon"], "--device moon: a net.Colours has no .to(device)"),
        (["--truth", "none.csv"], "--truth none.csv: no such file (in "),
        (["--labels", "none.txt"], "--labels none.txt: no such file (in "),
        (["b.png"], "no such file or folder: 'b.png'"),
        (
            ["--preprocess", "net:prepare"],
            "--preprocess net:prepare: net has no 'prepare'; did you mean 'preprocess'?",
        ),
    ],
)
def test_what_is_not_possible_is_said_in_one_paragraph(shop: Workshop, arguments: list[str], message: str) -> None:
    draw(Path("a.png"))
    Path("two.txt").write_text("rosso\nverde\n")
    Path("truth.csv").write_text("a.png,7\n")
    result = shop.explain("a.png", *arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    *_, last = result.stderr.splitlines()
    assert last.startswith("Error: ")
    assert message in last
    assert "Traceback" not in result.stderr
    assert shop.notes() == []
    assert not Path("runs").exists()


def test_a_folder_that_cannot_be_made(shop: Workshop) -> None:
    draw(Path("a.png"))
    Path("file").write_text("")
    result = shop.explain("a.png", "--out", "file/run", logger="disk")
    assert result.exit_code == 2
    assert "Error: cannot write" in result.stderr


@pytest.mark.parametrize("how", ["--traceback", "XAICORE_DEBUG"])
def test_the_whole_error_on_request(shop: Workshop, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    draw(Path("a.png"))
    arguments = [how] if how.startswith("--") else []
    if not arguments:
        monkeypatch.setenv(how, "1")
    result = shop.explain("a.png", "--target", "9", *arguments)
    assert result.exit_code == 2
    assert "Traceback (most recent call last)" in result.stderr
    assert "xaicore.errors.TargetError: --target 9 is out of range" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("Error: --target 9 is out of range")


def test_usage(shop: Workshop) -> None:
    shop.monkeypatch.setenv("XAICORE_PLUGINS", "colours,notes")
    draw(Path("a.png"))
    nameless = shop.run("explain", "a.png", "--logger", "notes")
    assert nameless.exit_code == 2
    assert (
        "no model is named, and no backend plugin knows one; see `xaicore plugins --check`, or name" in nameless.stderr
    )
    shop.monkeypatch.delenv("XAICORE_PLUGINS")
    assert "Missing argument 'PATH...'" in shop.explain().stderr
    assert shop.explain("a.png", "--batch-size", "0").exit_code == 2
    assert shop.run("--version").stdout == f"xaicore, version {xaicore.__version__}\n"
    for command in ("explain", "layers", "plugins"):
        assert f"xaicore {command}" in shop.run(command, "--help").stdout


def test_a_picture_that_preprocess_fails_on_is_skipped(shop: Workshop) -> None:
    shop.module(
        "picky",
        "import net\nbuild = net.build\n"
        "def preprocess(picture):\n"
        "    assert picture[0, 0, 0] == 0, 'a red corner'\n"
        "    return net.preprocess(picture)\n",
    )
    draw(Path("p/1.png"))
    draw(Path("p/2.png"), "red", (0, 0, 3, 3))
    arguments = ("--model", "picky:build", "--logger", "notes")
    one = shop.run("explain", "p", *arguments)
    assert one.exit_code == 1
    assert "skipped: preprocess picky:preprocess, p/2.png: AssertionError: a red corner" in one.stderr
    assert "1 picture explained" in one.stdout
    none = shop.run("explain", "p/2.png", *arguments)
    assert none.exit_code == 1
    assert "no picture could be read and prepared (of 1)" in none.stderr


def test_pictures_come_from_x_when_preprocess_gives_none(shop: Workshop) -> None:
    draw(Path("a.png"))
    result = shop.explain("a.png", "--preprocess", "net:only_x", "--out", "run", logger="disk")
    assert result.exit_code == 0
    assert json.loads(Path("run/run.json").read_text())["images_from"] == ["input"]


def test_pictures_of_different_sizes(shop: Workshop) -> None:
    draw(Path("a.png"))
    write(Path("b.png"), np.zeros((10, 30, 3), np.uint8))
    result = shop.explain("a.png", "b.png")
    assert result.exit_code == 2
    assert "preprocess returned inputs of shape (3, 10, 20) for a.png and (3, 10, 30) for b.png" in result.stderr
    assert shop.explain("a.png", "b.png", "--batch-size", "1").exit_code == 0


def run(shop: Workshop, *arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """A process of its own."""
    path = processes.environment(shop.site, variables=environment)
    return processes.python("-m", "xaicore", *arguments, env=path, text=False, encoding=None)


def test_as_a_process_that_can_only_write_ascii(shop: Workshop) -> None:
    draw(Path("é[red].png"))
    done = run(shop, "explain", ".", "--model", "net:build", "--logger", "notes", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr.decode("ascii").splitlines()[-1]) == (0, "1 of 1 pictures")
    assert "|\\xe9[red].png |0 " in done.stdout.decode("ascii")
    assert shop.logged()[0]["id"] == "é[red].png"


def test_as_a_process_that_fails(shop: Workshop) -> None:
    done = run(shop, "explain", "nothing", "--model", "net:build")
    assert done.returncode == 2
    assert done.stdout == b""
    assert done.stderr.decode().startswith("Error: no such file or folder: 'nothing'")
