"""`xaicore explain --table`: a data set from the command line."""

from __future__ import annotations

import inspect
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import click
import pytest
from workshop import Workshop, draw

import xaicore
from xaicore.cli.explain import command
from xaicore.cli.model import load_model
from xaicore.cli.options import OPTIONS
from xaicore.plugins.registry import Plugins

pytest.importorskip("pyarrow")


def photos(shop: Workshop) -> None:
    (shop.here / "names.txt").write_text("rosso\nverde\nblu\n")
    for folder, colour in (("verde", "green"), ("blu", "red")):
        for n in range(2):
            Path("photos", folder).mkdir(parents=True, exist_ok=True)
            draw(Path(f"photos/{folder}/{n}.png"), colour)


def invoke(shop: Workshop, *arguments: str):
    return shop.run("explain", "photos", "--model", "net:build", "--labels", "names.txt", *arguments)


def test_a_folder_becomes_a_table(shop: Workshop) -> None:
    photos(shop)
    result = invoke(shop, "--table", "--out", "runs/a", "--truth", "folder", "--target", "verde", "--batch-size", "3")
    assert result.exit_code == 0, result.output
    assert "4 pictures explained: 4 maps\n2 of 4 right\n" in result.stdout
    assert "xaicore.open_maps('runs/a')" in result.stdout
    assert "4 of 4 pictures" in result.stderr
    table = xaicore.open_maps("runs/a").to_pandas(["id", "target_name", "prediction_name", "right"])
    assert table.values.tolist() == [
        ["photos/blu/0.png", "verde", "rosso", False],
        ["photos/blu/1.png", "verde", "rosso", False],
        ["photos/verde/0.png", "verde", "verde", True],
        ["photos/verde/1.png", "verde", "verde", True],
    ]


def test_a_run_is_resumed_and_another_one_refused(shop: Workshop) -> None:
    photos(shop)
    assert invoke(shop, "--table", "--out", "runs/a").exit_code == 0
    again = invoke(shop, "--table", "--out", "runs/a")
    assert again.exit_code == 2
    assert "is of this run already: pass --resume to go on with it" in again.stderr
    assert invoke(shop, "--table", "--out", "runs/a", "--resume").exit_code == 0
    other = invoke(shop, "--table", "--out", "runs/a", "--resume", "--method", "hirescam")
    assert other.exit_code == 2
    assert "which differs in the method: was 'gradcam', is 'hirescam'" in other.stderr
    assert invoke(shop, "--table", "--out", "runs/b", "--shard", "0/2").exit_code == 0
    assert len(xaicore.open_maps("runs/b")) == 4


def test_the_model_is_found_anew_and_its_weights_remarked_also_with_class_names(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos(shop)
    found = load_model("net:build", None, None)
    monkeypatch.setattr("xaicore.cli.table.load_model", lambda *_: replace(found, is_pretrained=None))
    assert "weights are random" not in invoke(shop, "--table", "--out", "runs/a").stderr
    monkeypatch.setattr("xaicore.cli.table.load_model", lambda *_: replace(found, is_pretrained=False))
    assert "the weights are random: heatmaps show nothing" in invoke(shop, "--table", "--out", "runs/b").stderr


def test_pictures_are_prepared_for_the_backend_that_is_named(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    photos(shop)
    asked, find = [], Plugins.backend
    monkeypatch.setattr(Plugins, "backend", lambda self, *given: (asked.append(given[1:]), find(self, *given))[1])
    result = invoke(shop, "--table", "--out", "runs/a", "--backend", "colours", "--output", "0")
    assert result.exit_code == 0, result.output
    assert set(asked) == {(0, "colours")}


def test_a_run_of_the_command_line_goes_on_in_python_and_the_other_way_round(shop: Workshop) -> None:
    photos(shop)
    names = {"class_names": ["rosso", "verde", "blu"], "resume": True}
    assert invoke(shop, "--table", "--out", "runs/a").exit_code == 0
    assert len(xaicore.explain_dataset("net:build", "photos", "runs/a", fuse="mean", **names)) == 4
    assert xaicore.open_maps("runs/a").run["name"] == "net:build"
    xaicore.explain_dataset("net:build", "photos", "runs/b", **names)
    result = invoke(shop, "--table", "--out", "runs/b", "--resume")
    assert result.exit_code == 0, result.output


def test_a_broken_picture_is_a_row_and_a_status(shop: Workshop) -> None:
    photos(shop)
    Path("photos/blu/1.png").write_bytes(b"no picture")
    result = invoke(shop, "--table", "--out", "runs/a")
    assert result.exit_code == 1
    assert "3 pictures explained: 3 maps\n" in result.stdout
    assert "1 picture with an error:\n  photos/blu/1.png is no picture that OpenCV" in result.stdout
    assert "more:" not in result.stdout


def test_of_many_errors_three_are_named_and_a_command_lists_all(shop: Workshop) -> None:
    photos(shop)
    for n in range(5):
        Path(f"photos/verde/it's {n}.png").write_bytes(b"")
    result = invoke(shop, "--table", "--out", "runs/it's a")
    assert result.exit_code == 1
    assert "5 pictures with an error:\n" in result.stdout
    named = [line for line in result.stdout.splitlines() if line.endswith("is an empty file")]
    assert named == [f"  photos/verde/it's {n}.png is an empty file" for n in range(3)]
    (advice,) = re.findall(r"^  and 2 more: (python -c .*)$", result.stdout, re.M)
    typed = shlex.split(advice)
    listed = subprocess.run([sys.executable, *typed[1:]], capture_output=True, text=True, check=True).stdout
    assert listed.splitlines() == [f"photos/verde/it's {n}.png is an empty file" for n in range(5)]


def test_pictures_per_file_readers_and_classes_of_boxes(shop: Workshop) -> None:
    photos(shop)
    lines = ["file,class,x0,y0,x1,y1", "photos/blu/0.png,blu,0,0,1,1", "photos/verde/0.png,blu,0,0,1,1"]
    Path("val.csv").write_text("\n".join(lines))
    options = ["--model", "net:build", "--labels", "names.txt", "--table", "--target", "verde"]
    shares = {}
    for name, more in (("own", ()), ("any", ("--box-classes", "any"))):
        result = shop.run("explain", "val.csv", *options, "--out", name, "--shard-size", "1", "--readers", "1", *more)
        assert result.exit_code == 0, result.output
        shares[name] = xaicore.open_maps(name).to_pandas(["share"])["share"].notna().tolist()
        assert len(list(Path(name, "parts").iterdir())) == 2
    assert shares == {"own": [False, False], "any": [True, True]}


TOLD_OTHERWISE = {
    "source": "PATH...",
    "boxes, ids": "columns of a table of pictures",
    "progress": "always",
    "options": "those of `Explainer`",
}
"""{arguments of `explain_dataset` that are no options of the command: how it has them}."""


def test_the_command_line_takes_what_explain_dataset_takes() -> None:
    known = {**OPTIONS, "model": OPTIONS["spec"]}
    offered = {option for one in command.params for option in one.opts}
    otherwise = {name for names in TOLD_OTHERWISE for name in names.split(", ")}
    for name in inspect.signature(xaicore.explain_dataset).parameters.keys() - otherwise:
        assert known.get(name, f"--{name}") in offered, name
    for one in command.params:
        assert isinstance(one, click.Argument) or one.help, one.name


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--resume"], "--resume is for runs over a data set: add --table"),
        (["--shard-size", "2"], "--shard-size is for runs over a data set: add --table"),
        (["--box-classes", "any"], "--box-classes is for runs over a data set: add --table"),
        (
            ["--table", "--out", "a", "--box-classes", "any"],
            "there are no true boxes: pass a table of pictures",
        ),
        (["--workers", "2"], "--workers is for runs over a data set: add --table"),
        (["--devices", "cpu,cpu"], "--devices is for runs over a data set: add --table"),
        (["--table", "--out", "a", "--devices", "0,1"], "--devices 0,1: expected names of devices"),
        (["--table", "--out", "a", "--devices", "cpu", "--workers", "2"], "--devices cpu:0 is one process per device"),
        (["--table", "--out", "a", "--devices", "cpu", "--device", "cpu"], "--device cpu is where one process has its"),
        (["--table"], "--table needs the folder of the run: add --out DIR"),
        (["--table", "--out", "a", "--method", "gradcam", "--method", "hirescam"], "--table takes one --method"),
        (["--table", "--out", "a", "--name", "b"], "--name is for loggers, and --table writes files of its own"),
        (["--table", "--out", "a", "--logger", "wandb"], "--logger is for loggers"),
        (["--table", "--out", "a", "--shard", "2/2"], "--shard 2/2: expected 'i/n'"),
        (["--table", "--out", "a", "--target", "giallo"], "--target: none of the 3 class names is 'giallo'"),
        (["--table", "--out", "a", "--target", "truth"], "--target 'truth' needs the true classes: pass --truth"),
    ],
)
def test_what_does_not_fit_is_refused(shop: Workshop, arguments, message) -> None:
    photos(shop)
    result = invoke(shop, *arguments)
    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert not Path("a").exists()


def test_a_precision_that_the_backend_lacks_is_refused(shop: Workshop) -> None:
    photos(shop)
    result = invoke(shop, "--table", "--out", "runs/a", "--precision", "bfloat16")
    assert result.exit_code == 2
    assert "does not offer another precision than the model's own: pass a model that computes" in " ".join(
        result.stderr.split()
    )
    assert not Path("runs/a").exists()


def test_a_backend_that_does_not_compile_is_told(shop: Workshop) -> None:
    photos(shop)
    result = invoke(shop, "--table", "--out", "runs/a", "--compile")
    assert result.exit_code == 2
    assert "does not offer compiled passes: leave --compile out" in " ".join(result.stderr.split())
    assert not Path("runs/a").exists()
    result = invoke(shop, "--compile")
    assert result.exit_code == 2
    assert "--compile is for runs over a data set: add --table" in " ".join(result.stderr.split())


def test_what_is_of_ray_needs_it(shop: Workshop) -> None:
    photos(shop)
    result = invoke(shop, "--table", "--out", "runs/a", "--address", "head:6379")
    assert result.exit_code == 2
    assert "--address head:6379 is of a Ray cluster: pass --engine ray with it" in " ".join(result.stderr.split())
    result = invoke(shop, "--engine", "ray")
    assert result.exit_code == 2
    assert "--engine is for runs over a data set: add --table" in result.stderr
