"""The report with each framework, from the command line to what it leaves behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import stories
from click.testing import CliRunner
from stories import Left

from examples.report import figures


@pytest.fixture(scope="module", params=["torch", "keras"])
def framework(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def quick(framework: str, report: Callable[..., Left]) -> Left:
    return report(framework, "--quick")


def test_both_models_learn(quick: Left) -> None:
    stories.both_models_learn(quick)


def test_the_gallery_has_every_step_method_and_class(quick: Left) -> None:
    stories.manifest_is_whole(quick)


def test_cam_is_grad_cam_of_the_cam_ready_model(quick: Left) -> None:
    stories.cam_is_gradcam(quick)


def test_conclusions(quick: Left) -> None:
    stories.conclusions_are_what_was_logged(quick)


def test_one_run_at_weights_and_biases(quick: Left) -> None:
    stories.one_wandb_run_holds_all(quick)


@pytest.mark.parametrize("framework", ["torch"], indirect=True)
def test_figures(quick: Left, tmp_path: Path) -> None:
    """A line per picture, three columns: photo, then the classes, or the models."""
    done = CliRunner().invoke(figures.main, [str(quick.out), str(tmp_path)])
    assert done.exit_code == 0, done.output
    for name, lines in (
        ("both", ("cat and mastiff", "dalmatian and cat")),
        ("several", ("cat and cat", "mastiff and")),
    ):
        sheet = cv2.imread(str(tmp_path / f"report-{name}.jpg"))[..., ::-1].astype(int)
        assert sheet.shape == (304, 458, 3)
        for n, line in enumerate(lines):
            row = next(row for row in quick.rows if row["id"].startswith(line) and row["step"] == 1)
            photo, first, second = (sheet[n * 154 :][:150, x : x + 150] for x in (0, 154, 308))
            expected = cv2.resize(quick.file(row["picture"]), (150, 150), interpolation=cv2.INTER_AREA)
            assert np.abs(photo - expected).mean() < 6
            assert min(np.abs(photo - first).mean(), np.abs(photo - second).mean()) > 3


@pytest.mark.thorough
def test_the_same_again(framework: str, quick: Left, report: Callable[..., Left]) -> None:
    again = report(framework, "--quick", "--epochs", "1", "--logger", "disk")
    assert [row["epoch"] for row in again.metrics] == [0, 1]
    assert again.metrics[0] == pytest.approx(quick.metrics[0], rel=1e-4)


def test_a_folder_of_three_classes_without_wandb(framework: str, report: Callable[..., Left], textures: Path) -> None:
    left = report(framework, "--quick", "--data", str(textures), "--logger", "disk")
    stories.textures_are_told_apart(left, textures.name)
