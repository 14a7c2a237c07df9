"""Plugins of a third party, installed as packages of their own, are found and used like the first party's."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from pages import blocks
from processes import ROOT, environment, python

import xaicore
from xaicore import maps

EXAMPLES = ROOT / "examples" / "plugins"
NAMES = ("xaicore-tinyconv", "xaicore-csvlog", "xaicore-counterfactual")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the packages and the module of the tutorial, built without a network."""
    folder = tmp_path_factory.mktemp("strangers")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
    pip += ["--no-compile", "--disable-pip-version-check", "--target", str(folder)]
    building = []
    for name in NAMES:
        source = tmp_path_factory.mktemp("source") / name  # a copy: building leaves folders behind
        shutil.copytree(EXAMPLES / name, source, ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__"))
        building.append(subprocess.Popen([*pip, str(source)], stderr=subprocess.PIPE, text=True))
    for process in building:
        _, said = process.communicate()
        assert process.returncode == 0, said
    tutorial = blocks("examples/plugins/xaicore-tinyconv/README.md")
    (demo,) = (block for block in tutorial if block.startswith("# tinyconv_demo.py"))
    (folder / "tinyconv_demo.py").write_text(demo)
    return folder


def run(arguments: list[str], installed: Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return python(*arguments, cwd=cwd, env=environment(installed, without="XAICORE_PLUGINS"))


def convolve(x: np.ndarray, kernels: np.ndarray) -> np.ndarray:
    """(N, H, W, C) and (3, 3, C, D), one shift of the picture at a time."""
    n, h, w, _ = x.shape
    out = np.zeros((n, h, w, kernels.shape[-1]))
    for i in (-1, 0, 1):
        for j in (-1, 0, 1):
            rows, columns = slice(max(0, i), h + min(0, i)), slice(max(0, j), w + min(0, j))
            there = slice(max(0, -i), h + min(0, -i)), slice(max(0, -j), w + min(0, -j))
            out[(slice(None), *there)] += x[:, rows, columns] @ kernels[i + 1, j + 1]
    return out


USE = """
import json, sys
import numpy as np
from xaicore import plugins

registry = plugins.installed()
listing = [[p.kind, p.name, p.distribution, p.version, p.target] for p in registry.listing()]
imported = sorted({"tinyconv", "xaicore_tinyconv", "xaicore_csvlog", "xaicore_counterfactual"} & set(sys.modules))

import xaicore
import tinyconv_demo

net = tinyconv_demo.net()
x = np.random.default_rng(0).uniform(size=(2, 12, 9, 3))
explainer = xaicore.Explainer(net)
backend_before = "xaicore_csvlog" in sys.modules
results = explainer.compare(x, ["gradcam", "cam"], [[0, 3], [1, 2]], ids=["a", "b"])
early = xaicore.explain(net, (x,), [[0, 3], [1, 2]], method="hirescam", layer="relu1")
with xaicore.open_loggers("csv", name="run", on_error="raise") as log:
    log(results["gradcam"], step=4)
    lines = len(open("xaicore.csv").readlines())
with xaicore.open_loggers("csv", name="run", on_error="raise") as log:
    log(results["gradcam"].take([1]), step=5)
with xaicore.Monitor(net, x[0], targets=[[0, 3]], loggers=[]) as monitor:
    single = monitor.step(0)[0]
np.savez(
    "seen.npz", single=single.maps,
    x=x, conv1=net.conv1, conv2=net.conv2, dense=net.dense, boxes=results["gradcam"].boxes(),
    against=xaicore.explain(net, x, targets=[[0, 3], [1, 2]], method="counterfactual").maps,
    gradcam=results["gradcam"].maps, cam=results["cam"].maps, early=early.maps, scores=early.scores,
    heat=results["gradcam"].heatmaps(size=(24, 18)), images=early.images,
)
print(json.dumps({
    "listing": listing, "imported": imported, "backend_before": backend_before, "lines": lines,
    "backend": [type(explainer.backend).__module__, explainer.backend.name],
    "layer": results["gradcam"].layer, "model": results["gradcam"].model,
    "rows": [results["gradcam"].row(m) for m in range(4)],
}))
"""


@pytest.fixture(scope="module")
def used(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, dict[str, np.ndarray], Path]:
    """What a program that uses both says, the arrays it saved, and the folder it ran in."""
    folder = tmp_path_factory.mktemp("work")
    done = run(["-c", USE], installed, folder)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), dict(np.load(folder / "seen.npz")), folder


def test_they_are_found_without_being_imported(used: tuple) -> None:
    said, _, _ = used
    assert ["backend", "tinyconv", "xaicore-tinyconv", "1.0", "xaicore_tinyconv"] in said["listing"]
    assert ["logger", "csv", "xaicore-csvlog", "1.0", "xaicore_csvlog"] in said["listing"]
    target = "xaicore_counterfactual:counterfactual"
    assert ["method", "counterfactual", "xaicore-counterfactual", "1.0", target] in said["listing"]
    assert said["imported"] == []
    assert not said["backend_before"]


MODELS = """
import json, sys
import numpy as np
import xaicore
from tinyconv import Net

made = Net.random(widths=(4, 8), seed=5)
np.savez("net.npz", conv1=made.conv1, conv2=made.conv2, dense=made.dense)
np.savez("wide.npz", conv1=made.conv1, conv2=made.conv2)
found = xaicore.find_model("tinyconv/small", weights="net.npz")
picture = np.arange(48 * 64 * 3).reshape(48, 64, 3).astype(np.uint8)
x, seen = found.preprocess(picture)
said = {"title": found.title, "same": bool((found.model(x[None]) == made(x[None])).all()), "errors": []}
said["seen"] = float(np.abs(seen - picture.reshape(24, 2, 32, 2, 3).mean(axis=(1, 3))).max())
for asked in (["tinyconv/smal"], ["tinyconv/small"], ["tinyconv/small", "wide.npz"], ["tinycon/small"]):
    try:
        xaicore.find_model(*asked)
    except xaicore.InputError as error:
        said["errors"].append(str(error))
print(json.dumps(said))
"""


def test_models_by_name(installed: Path, tmp_path: Path) -> None:
    done = run(["-c", MODELS], installed, tmp_path)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["title"], said["same"]) == ("small, tinyconv, weights net.npz", True)
    assert said["seen"] <= 0.5
    assert said["errors"] == [
        "spec='tinyconv/smal': tinyconv has no model 'smal'; did you mean 'tinyconv/small'? "
        "`xaicore models tinyconv/` lists them",
        "spec='tinyconv/small': tinyconv has no weights of its own; pass a file, or weights='none'",
        "weights='wide.npz' does not fit tinyconv/small: missing in the file: dense",
        "spec='tinycon/small': no library is called 'tinycon'; did you mean 'tinyconv/small'?",
    ]
    listed = run(["-m", "xaicore", "models", "tinyconv/"], installed, tmp_path)
    assert listed.stdout.splitlines() == ["tinyconv/small", "tinyconv/wide"]


def test_the_models_class_finds_the_backend(used: tuple) -> None:
    said, _, _ = used
    assert said["backend"] == ["xaicore_tinyconv.backend", "tinyconv"]
    assert said["model"] == "tinyconv.Net"
    assert said["layer"] == "relu2"


def test_maps_are_the_closed_form(used: tuple) -> None:
    _, a, _ = used
    first = convolve(a["x"], a["conv1"])
    second = convolve(np.maximum(first, 0), a["conv2"])
    wanted = np.array([[0, 3], [1, 2]])
    rows = a["dense"].T[wanted]  # (N, K, C2)
    linear = np.einsum("nkc,nhwc->nkhw", rows, np.maximum(second, 0))
    against = np.maximum(-linear, 0).reshape(4, 12, 9) / (12 * 9)
    np.testing.assert_allclose(a["against"], against, rtol=0, atol=1e-6)
    assert a["against"].max() > 1e-4
    cam = np.maximum(linear, 0)
    np.testing.assert_allclose(a["cam"], cam.reshape(4, 12, 9), rtol=0, atol=1e-5)
    np.testing.assert_allclose(a["gradcam"], cam.reshape(4, 12, 9) / (12 * 9), rtol=0, atol=1e-6)
    assert a["gradcam"].max() > 1e-4
    np.testing.assert_array_equal(a["single"], a["gradcam"][:2])  # a monitor of the first picture alone
    np.testing.assert_allclose(a["heat"], maps.normalize(maps.resize(a["gradcam"], (24, 18))), rtol=0, atol=1e-6)
    # Back through the second convolution: each kernel turned over.
    early = np.zeros((2, 2, 12, 9))
    for n in range(2):
        for k in range(2):
            d = (rows[n, k] / 108) * (second[n : n + 1] > 0)
            d = convolve(d, a["conv2"][::-1, ::-1].transpose(0, 1, 3, 2))
            early[n, k] = (d[0] * np.maximum(first[n], 0)).sum(axis=-1)
    np.testing.assert_allclose(a["early"], np.maximum(early, 0).reshape(4, 12, 9), rtol=0, atol=1e-6)
    logits = np.maximum(second, 0).mean(axis=(1, 2)) @ a["dense"]
    e = np.exp(logits)
    expected = np.take_along_axis(e / e.sum(axis=1, keepdims=True), wanted, axis=1)
    np.testing.assert_allclose(a["scores"], expected.reshape(-1), rtol=1e-5)
    assert np.abs(a["images"] / 255 - a["x"]).max() <= 0.5 / 255 + 1e-6


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_logger_appends_a_row_a_map(used: tuple) -> None:
    said, a, folder = used
    assert said["lines"] == 1 + 4  # in the file as soon as they are logged
    rows = table(folder / "xaicore.csv")
    assert [row["step"] for row in rows] == ["4", "4", "4", "4", "5", "5"]
    for row, m in zip(rows, [0, 1, 2, 3, 2, 3], strict=True):
        later = {"raw_score", "group", "slot", "model", "asked", "maximum", "right"}  # keys that came after the columns
        later |= {"views", "frames", "view_maxima", "columns", "part", "minimum", "signed", "target_box"}
        known = {k: "" if v is None else str(v) for k, v in said["rows"][m].items() if k not in later}
        assert {name: row[name] for name in known} == known
        assert [int(row[name]) for name in ("x0", "y0", "x1", "y1")] == a["boxes"][m].tolist()
        assert row["run"] == "run"


ERRORS = {
    "xaicore.explain(net, x, layer='relu3')": r"LayerError: no layer called 'relu3' in Net; nearest names: relu",
    "xaicore.explain(net, x[..., :2])": r"InputError: inputs of shape \(2, 12, 9, 2\) and type float64: expected",
    "xaicore.explain(net, x[:0])": r"InputError: argument 0 is an array \(0, 12, 9, 3\): expected an array \(N,",
    "xaicore.explain(net, x, method='cam', layer='relu1')": "MethodError: cam explains the layer that is pooled",
    "xaicore.explain(net, x, layer='pool')": r"LayerError: layer 'pool' gives \(2, 16\), which is no map",
    "xaicore.Explainer(net).backend.capture(x, ['relu2'], lambda outputs, kind: outputs)": (
        r"BackendError: direction gave shape \(2, 4\) for outputs \(2, 4\); expected \(N, K, \*O\)"
    ),
    "xaicore.explain(net, x, output='aux')": "InputError: output='aux': a tinyconv net has one output",
    "xaicore.explain([], x, backend='tinyconv')": "PluginError: backend plugin 'tinyconv' .*not accept a builtins",
    "xaicore.open_loggers({'csv': {'file': 'a'}})": "PluginError: logger plugin 'csv' .* with the options file:",
    "xaicore_csvlog.logger.CsvLogger().log(xaicore.explain(net, x))": "LoggerError: the csv logger is not open",
    "xaicore_csvlog.logger.CsvLogger().close()": "LoggerError: the csv logger is not open",
    "xaicore.open_loggers({'csv': {'path': 'taken/a'}}).__enter__()": r"LoggerError: taken.a cannot be written: ",
}


def test_their_errors(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file where a folder should be")
    code = f"""
import numpy as np, xaicore, tinyconv_demo, xaicore_csvlog.logger
x, net = np.ones((2, 12, 9, 3)), tinyconv_demo.net()
for statement in {list(ERRORS)!r}:
    try:
        exec(statement)
        print("nothing")
    except xaicore.XaicoreError as exc:
        print(f"{{type(exc).__name__}}: {{exc}}")
"""
    done = run(["-c", code], installed, tmp_path)
    assert done.returncode == 0, done.stderr
    for line, (statement, expected) in zip(done.stdout.splitlines(), ERRORS.items(), strict=True):
        assert re.match(expected, line), statement


def test_the_command_line_uses_both(installed: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for name, seed in (("one", 0), ("two", 1), ("three", 2)):
        picture = np.random.default_rng(seed).integers(0, 256, (48, 64, 3), np.uint8)
        assert cv2.imwrite(str(photos / f"{name}.png"), picture)
    command = [
        "-m",
        "xaicore",
        "explain",
        "photos",
        "--model",
        "tinyconv_demo:net",
        "--logger",
        "csv",
        "--top-k",
        "2",
    ]
    done = run(command, installed, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    rows = table(tmp_path / "xaicore.csv")
    assert [Path(row["id"]).name for row in rows] == ["one.png"] * 2 + ["three.png"] * 2 + ["two.png"] * 2
    assert {(row["method"], row["layer"]) for row in rows} == {("gradcam", "relu2")}
    for best, second in zip(rows[::2], rows[1::2], strict=True):
        assert (best["k"], second["k"]) == ("0", "1")
        assert best["target"] == best["predicted"] != second["target"]
        assert float(best["score"]) > float(second["score"])
    assert not (tmp_path / "runs").exists()

    done = run(["-m", "xaicore", "plugins", "--check", "--json"], installed, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {"tinyconv", "csv", "counterfactual"} <= {plugin["name"] for plugin in json.loads(done.stdout)}


def test_their_own_tests_pass(installed: Path, tmp_path: Path) -> None:
    """The contract, checked as their authors check it."""
    folders = [str(EXAMPLES / name / "tests") for name in NAMES]
    done = run(["-m", "pytest", "-q", "-p", "no:cacheprovider", *folders], installed, tmp_path)
    assert done.returncode == 0, done.stdout[-3000:]
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) > 70


def test_the_examples_use_public_names_only() -> None:
    """As a stranger's package would: nothing from inside xaicore's modules."""
    for path in EXAMPLES.rglob("*.py"):
        text = path.read_text()
        assert not re.search(r"^import xaicore\.", text, re.M), path
        for module, names in re.findall(r"^from xaicore(\.\S+)? import (.*)$", text, re.M):
            assert not module or module[1:] in xaicore.__all__, path
            public = getattr(xaicore, module[1:]) if module else xaicore
            assert {name.strip() for name in names.split(",")} <= set(public.__all__), path
