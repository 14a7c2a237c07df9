"""The demo with the Keras model, as a process."""

from __future__ import annotations

from pathlib import Path

import demo
import keras
import pytest


def test_the_demo_as_a_process(tmp_path: Path) -> None:
    done = demo.run(tmp_path, BACKEND="keras", KERAS_BACKEND=keras.backend.backend())
    demo.check(done, tmp_path, "efficientnet_lite0_keras", "head_relu", "demo-keras")


@pytest.mark.parametrize(
    ("arguments", "variables"), [(["--backend", "kreas"], {}), ([], {"BACKEND": "kreas"})], ids=["option", "variable"]
)
def test_an_unknown_backend(tmp_path: Path, arguments: list[str], variables: dict[str, str]) -> None:
    done = demo.run(tmp_path, *arguments, **variables)
    assert done.returncode == 2
    assert "Invalid value for '--backend'" in done.stderr
    assert "'kreas' is not one of 'torch', 'keras'." in done.stderr
    assert not list(tmp_path.iterdir())


def test_keras_on_something_that_is_not_there(tmp_path: Path) -> None:
    done = demo.run(tmp_path, "--backend", "keras", KERAS_BACKEND="tensorfow")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "the demo's Keras model needs Keras and the KERAS_BACKEND it runs on (tensorflow, jax or torch): Unable to "
        'import backend : tensorfow; try: pip install ".[demo,tensorflow]"'
    )
    assert not list(tmp_path.iterdir())
