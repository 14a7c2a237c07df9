"""The report with Keras, from the command line to what it leaves behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import stories
from stories import Left


@pytest.fixture(scope="module")
def quick(report: Callable[..., Left]) -> Left:
    return report("keras", "--quick")


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


def test_the_same_again(quick: Left, report: Callable[..., Left]) -> None:
    again = report("keras", "--quick", "--epochs", "1", "--logger", "disk")
    assert [row["epoch"] for row in again.metrics] == [0, 1]
    assert again.metrics[0] == pytest.approx(quick.metrics[0], rel=1e-4)


def test_a_folder_of_three_classes_without_wandb(report: Callable[..., Left], textures: Path) -> None:
    left = report("keras", "--quick", "--data", str(textures), "--logger", "disk")
    stories.textures_are_told_apart(left, textures.name)
