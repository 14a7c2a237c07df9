"""The example plugins around frameworks of others, installed by pip, pass their own tests.

`make test-plugins` installs what they are around.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from processes import ROOT, environment, python

EXAMPLES = ROOT / "examples" / "plugins"
# XLA compiles every net to run once or twice: optimising the code would take most of the time.
QUICK = {"XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} --xla_backend_optimization_level=0"}
OUTSIDE = {
    "xaicore-flax": ("flax", 60),
    "xaicore-onnx": ("onnxruntime", 60),
    "xaicore-trackio": ("trackio", 20),
}
"""{package: the module that it is around, the least number of tests that pass}."""


@pytest.mark.parametrize("name", OUTSIDE)
def test_their_own_tests_pass(name: str, tmp_path: Path) -> None:
    module, least = OUTSIDE[name]
    takes_all = "ALL_PLUGINS" in os.environ
    if find_spec(module) is None and not takes_all:
        pytest.skip(f"needs {module}: make test-plugins")
    source, installed = tmp_path / "source", tmp_path / "installed"
    shutil.copytree(EXAMPLES / name, source, ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__"))
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
    pip += ["--no-compile", "--disable-pip-version-check", "--target", str(installed), str(source)]
    built = subprocess.run(pip, stderr=subprocess.PIPE, text=True)
    assert built.returncode == 0, built.stderr
    # Its tests lie apart from its code, so that the installed package is what they import.
    tests = tmp_path / "tests"
    shutil.copytree(source / "tests", tests)
    done = python(
        *("-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", str(tests)),
        cwd=tmp_path,
        env=environment(installed, without="XAICORE_PLUGINS", variables=QUICK),
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) >= least
    if takes_all:  # what is skipped is what a suite declares to lack, and nothing that could be installed
        assert "make test-plugins" not in done.stdout
