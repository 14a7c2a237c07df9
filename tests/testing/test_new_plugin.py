"""`xaicore new-plugin`: its packages name the first clause to fill in, and pass once all are filled in."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import click.testing
import pytest
from processes import ROOT, environment, python

from xaicore import plugins
from xaicore.cli import main
from xaicore.testing.lacking import FEATURES

EXAMPLES = ROOT / "examples" / "plugins"


def new(monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str) -> click.testing.Result:
    monkeypatch.chdir(folder)
    return click.testing.CliRunner().invoke(main, ["new-plugin", *arguments])


def run_tests(folder: Path) -> str:
    """What pytest says in the new package, as its README has it."""
    return python("-m", "pytest", "-x", "-p", "no:cacheprovider", cwd=folder, env=environment(ROOT)).stdout


FIRST = {
    ("backend", "tinyconv"): ("plugin-hook", "build_conv in tests/test_tinyconv.py"),
    ("logger", "csvlog"): ("logger-open", "CsvlogLogger.open in xaicore_csvlog/logger.py"),
    ("method", "counter-factual"): ("method-shape", "counter_factual in xaicore_counter_factual/__init__.py"),
}
"""{kind, name: the first clause that is broken, and what is to be written}."""


RECORD = """\
layers = {"conv": Conv(), "relu": ReLU(), "pool": Pool(), "dense": Dense()}
        (taken,) = x.args
        recording: Recording[Call] = Recording([taken])
        with self.kept(), x.model_errors():
            self.values = self.model.forward(taken)
        for name, value in self.values.items():
            recording.add(Call(name, value, [taken], layers[name.rstrip("12")]))
            taken = value
        return recording, taken"""
PULL = """\
pulled, names = self.model.backward(self.values, weights), {id(one): name for name, one in self.values.items()}
        return [pulled[names[id(one)]] for one in ends]"""
CLASSES = """\


class Conv: ...


class ReLU: ...


class Pool: ...


class Dense: ...
"""

GAPS = {
    "xaicore_tinyconv/backend.py": {
        'raise NotImplementedError("TinyconvBackend.record in xaicore_tinyconv/backend.py")': RECORD,
        'raise NotImplementedError("TinyconvBackend.pull in xaicore_tinyconv/backend.py")': PULL,
        "channels_last = False": "channels_last = True",
        '__all__ = ["TinyconvBackend"]\n': '__all__ = ["TinyconvBackend"]\n' + CLASSES,
        '"Dense": "dense"}': '"Dense": "dense", "Pool": "pooling"}',
    },
    "tests/test_tinyconv.py": {
        'raise NotImplementedError("build_conv in tests/test_tinyconv.py")': """\
import tinyconv

        kernels = (kernel.transpose(2, 3, 1, 0) for kernel in (net.conv1, net.conv2))
        return tinyconv.Net(*kernels, net.dense.T), {name: name for name in net.layers}""",
        'raise NotImplementedError("to_inputs in tests/test_tinyconv.py")': "return picture.transpose(0, 2, 3, 1)",
        'raise NotImplementedError("state in tests/test_tinyconv.py")': "return vars(model)",
        "    lacks = {\n": '    lacks = {\n        "bias": "layers have none",\n',
    },
}
"""{file: {gap: what an author writes}}, of which there is no more than this."""


def fill(folder: Path, kind: str) -> None:
    """Write what an author would: what the examples have."""
    if kind == "backend":
        shutil.copy(EXAMPLES / "xaicore-tinyconv" / "tinyconv.py", folder)
        for path, gaps in GAPS.items():
            text = (folder / path).read_text()
            for gap, filled in gaps.items():
                assert text.count(gap) == 1, gap
                text = text.replace(gap, filled)
            (folder / path).write_text(text)
    elif kind == "logger":
        example = EXAMPLES / "xaicore-csvlog"
        source = (example / "xaicore_csvlog" / "logger.py").read_text()
        (folder / "xaicore_csvlog" / "logger.py").write_text(source.replace("CsvLogger", "CsvlogLogger"))
        shutil.copy(example / "tests" / "test_csvlog.py", folder / "tests")
    else:
        module = folder / "xaicore_counter_factual" / "__init__.py"
        formula = (
            "from xaicore import maps\n\n    weights = -gradients.reshape(*gradients.shape[:3], -1).mean(axis=-1)\n"
            "    return maps.weighted_sum(weights, activations)"
        )
        module.write_text(re.sub(r"raise NotImplementedError\(.*\)", formula, module.read_text()))


@pytest.mark.parametrize(("kind", "name"), FIRST)
def test_a_new_package_names_the_first_clause_and_passes_once_filled_in(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str, name: str
) -> None:
    result = new(monkeypatch, tmp_path, kind, name)
    assert result.exit_code == 0, result.output
    folder = tmp_path / f"xaicore-{name}"
    written = sorted(path.relative_to(tmp_path).as_posix() for path in folder.rglob("*") if path.is_file())
    assert sorted(result.stdout.splitlines()) == written
    clause, missing = FIRST[kind, name]
    said = run_tests(folder)
    assert f"ContractError: {clause} (docs/plugins.md#{clause}) is broken: " in said
    assert f"it raised NotImplementedError: {missing}" in said
    assert "1 failed" in said
    fill(folder, kind)
    said = run_tests(folder)
    assert re.search(r"\d+ passed", said), said[-2000:]
    assert "failed" not in said


CHOOSES = """
import numpy as np, tinyconv, xaicore_tinyconv
backend = xaicore_tinyconv.xaicore_backend(tinyconv.Net.random(), 3)
try:
    backend.capture(np.zeros((1, 8, 8, 3), np.float32), [])
except Exception as exc:
    print(type(exc).__name__, exc)
"""


def test_a_new_backend_is_asked_for_the_output_that_the_caller_chose(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert new(monkeypatch, tmp_path, "backend", "tinyconv").exit_code == 0
    fill(tmp_path / "xaicore-tinyconv", "backend")
    said = python("-c", CHOOSES, cwd=tmp_path / "xaicore-tinyconv", env=environment(ROOT)).stdout
    assert said.startswith("OutputError output=3")


def test_a_new_backend_declares_in_one_list_what_it_lacks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every net but the first one, beside the method that builds it."""
    assert new(monkeypatch, tmp_path, "backend", "mxnet").exit_code == 0
    tests = (tmp_path / "xaicore-mxnet" / "tests" / "test_mxnet.py").read_text()
    listed = dict(re.findall(r'^        "(\w+)": "not written yet",(?:  # (\w+))?$', tests, re.M))
    assert {name: by for name, by in listed.items() if by} == {
        name: one.by for name, one in FEATURES.items() if one.by and name != "bias"
    }
    assert {"logits", "moves", "values", "covariance", "class_axis"} <= {*listed}
    assert {"gradients", "facts", "takes", "reads", "reached", "reader"}.isdisjoint(listed)


PACKAGES = {
    ("backend", "mxnet"): ["xaicore_mxnet/__init__.py", "xaicore_mxnet/backend.py", "tests/test_mxnet.py"],
    ("logger", "my-log"): ["xaicore_my_log/__init__.py", "xaicore_my_log/logger.py", "tests/test_my_log.py"],
    ("method", "My_cam2"): ["xaicore_my_cam2/__init__.py", "tests/test_My_cam2.py"],
}
TARGETS = {"backend": "xaicore_mxnet", "logger": "xaicore_my_log", "method": "xaicore_my_cam2:My_cam2"}


@pytest.mark.parametrize(("kind", "name"), PACKAGES)
def test_what_is_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str, name: str) -> None:
    result = new(monkeypatch, tmp_path, kind, name, "--folder", "here/mine")
    assert result.exit_code == 0, result.output
    folder = tmp_path / "here" / "mine"
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    package = TARGETS[kind].partition(":")[0]
    assert files == {"README.md", "pyproject.toml", f"{package}/py.typed", *PACKAGES[kind, name]}
    project = (folder / "pyproject.toml").read_text()
    assert "addopts" not in project  # a run shows all that is left, unless it is asked to stop
    assert f'[project.entry-points."xaicore.{kind}s"]\n{name} = "{TARGETS[kind]}"\n' in project
    needs = '"numpy", "xaicore>=0.1"'  # what the framework is called on an index is for the author to say
    assert f"\ndependencies = [{needs}]\n" in project
    for path in files:
        text = (folder / path).read_text()
        assert "{{" not in text
        if path.endswith(".py"):
            compile(text, path, "exec")
            assert all(len(line) <= 120 for line in text.splitlines())
    readme = (folder / "README.md").read_text()
    assert all(f"`{path}`" in readme for path in files if path.endswith(".py") and "__init__" not in path)
    clauses = set(re.findall(r"`((?:plugin|backend|state|powers|logger|method)-[\w-]+)`", readme))
    known = (ROOT / "docs" / "plugins.md").read_text()
    assert len(clauses) > 3
    assert all(f'<a id="{clause}">' in known for clause in clauses)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("backend", "my-net"), "NAME='my-net': expected the root module of the framework, such as mxnet"),
        (("logger", "a b"), "NAME='a b': expected letters, digits, - and _, such as my-cam"),
        (("logger", "../up"), "NAME='../up': expected letters, digits, - and _, such as my-cam"),
        (("method", "class"), "NAME='class': expected letters, digits, - and _, such as my-cam"),
        (("method", "gradcam"), "NAME='gradcam' is a method of xaicore: choose another name"),
        (("method", "new", "--folder", "taken"), "taken exists; name another one: --folder PATH"),
    ],
)
def test_what_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    (tmp_path / "taken").mkdir()
    result = new(monkeypatch, tmp_path, *arguments)
    assert result.exit_code == 2
    assert result.stderr.strip() == f"Error: {said}"
    assert [path.name for path in tmp_path.rglob("*")] == ["taken"]


def test_a_name_that_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of a plugin that is installed, whether it is disabled or not."""
    (info := tmp_path / "acme-1.0.dist-info").mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[xaicore.loggers]\nacme = acme\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("XAICORE_CONFIG", str(tmp_path))
    for names in ("", "acme\n"):
        (tmp_path / "disabled-plugins.txt").write_text(names)
        plugins.installed.cache_clear()
        result = new(monkeypatch, tmp_path, "logger", "acme")
        taken = "taken by the logger plugin 'acme' from acme 1.0: a name belongs to one distribution"
        assert (result.exit_code, result.stderr.strip()) == (2, f"Error: NAME='acme' is {taken}")
    assert new(monkeypatch, tmp_path, "method", "acme").exit_code == 0
    plugins.installed.cache_clear()
