"""The demo with the Keras model, as a process."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import keras
import pytest
from processes import ROOT, environment, python


def demo(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    env = environment(ROOT, without="BACKEND", variables=variables)
    return python("-m", "examples.demo", *arguments, cwd=folder, env=env)


def test_the_demo_as_a_process(tmp_path: Path) -> None:
    done = demo(tmp_path, BACKEND="keras", KERAS_BACKEND=keras.backend.backend())
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("$ xaicore explain demo-pictures --model examples.efficientnet_lite0_keras:model --m")
    assert lines[-3:] == [
        "21 pictures explained: gradcam, eigengradcam at head_relu",
        "19 of 20 right",
        f"open {Path('runs/demo-keras/index.html')}",
    ]
    wrong = [line for line in lines if line.rstrip().endswith("wrong")]
    assert len(wrong) == 1
    assert re.match(r" imagenet_07_609\.jpg +jeep +convertible ", wrong[0])
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["demo-keras"]
    assert len(list((tmp_path / "runs/demo-keras/overlays").glob("*.png"))) == 42


@pytest.mark.parametrize(
    ("arguments", "variables"), [(["--backend", "kreas"], {}), ([], {"BACKEND": "kreas"})], ids=["option", "variable"]
)
def test_an_unknown_backend(tmp_path: Path, arguments: list[str], variables: dict[str, str]) -> None:
    done = demo(tmp_path, *arguments, **variables)
    assert done.returncode == 2
    assert "Invalid value for '--backend'" in done.stderr
    assert "'kreas' is not one of 'torch', 'keras'." in done.stderr
    assert not list(tmp_path.iterdir())


def test_keras_on_something_that_is_not_there(tmp_path: Path) -> None:
    done = demo(tmp_path, "--backend", "keras", KERAS_BACKEND="tensorfow")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "the demo's Keras model needs Keras and the KERAS_BACKEND it runs on (tensorflow, jax or torch): Unable to "
        'import backend : tensorfow; try: pip install "xaicore[demo,tensorflow]"'
    )
    assert not list(tmp_path.iterdir())
