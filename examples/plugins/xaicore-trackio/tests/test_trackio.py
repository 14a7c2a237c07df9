"""The contract of loggers, checked on this one, and what is in Trackio's database afterwards."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

os.environ["TRACKIO_DIR"] = tempfile.mkdtemp()  # Trackio reads it once, when it is imported

import cv2
import numpy as np
import pytest
import trackio
import xaicore_trackio
from trackio.sqlite_storage import SQLiteStorage

import xaicore
from xaicore import show, testing


def entries(project: str) -> list[dict[str, Any]]:
    """All that was logged to a project, in order."""
    return [entry for run in SQLiteStorage.get_runs(project) for entry in SQLiteStorage.get_logs(project, run)]


class TestTrackio(testing.LoggerTests):
    kit_version = 2
    plugin = xaicore_trackio
    frameworks = ("trackio",)
    lacks = {"place": "all projects lie in the folder that TRACKIO_DIR names"}  # noqa: RUF012 (a constant)

    def options(self, folder: Path) -> Mapping[str, Any]:
        return {"project": show.digest(str(folder))}

    def rows(self, folder: Path) -> Iterable[Mapping[str, Any]]:
        # An entry of the same step, method and layer that came later counts.
        found = {}
        for entry in entries(show.digest(str(folder))):
            for row in entry["xaicore/table"]["_value"]:
                key = (entry["step"], *(row[name] for name in ("id", "k", "method", "layer")))
                found[key] = {**row, "step": entry["step"]}
        return list(found.values())


PICTURES = np.random.default_rng(0).integers(0, 256, (2, 6, 8, 3), np.uint8)


def explained(method: str = "gradcam") -> xaicore.Explanation:
    net = testing.ConvNet()
    explainer = xaicore.Explainer(None, method, "relu2", testing.ReferenceBackend(net))
    return explainer(*net.pictures(), [[0], [1]], images=PICTURES, ids=["a.png", "b.png"], truth=[1, 2])


def test_images_curves_and_the_table_are_read_back() -> None:
    explanation = explained()
    with xaicore.open_loggers({"trackio": {"project": "read-back"}}, name="run", on_error="raise") as log:
        log(explanation, step=3)
        log(explained("hirescam"), step=3)
    (entry,) = entries("read-back")
    assert entry["step"] == 3
    np.testing.assert_allclose(
        [entry["xaicore/a.png/0/score"], entry["xaicore/b.png/0/score"]], explanation.scores, rtol=1e-6
    )
    assert entry["xaicore/right"] == 0.5
    assert sum(explanation.right) == 1
    table = entry["xaicore/table"]["_value"]
    assert [(row["id"], row["method"]) for row in table] == [
        *(("a.png", "gradcam"), ("b.png", "gradcam"), ("a.png", "hirescam"), ("b.png", "hirescam"))
    ]
    for m, row in enumerate(table[:2]):
        image = entry[f"xaicore/{row['id']}/0/gradcam/relu2/overlay"]
        file = Path(os.environ["TRACKIO_DIR"], "media", image["file_path"])
        seen = cv2.cvtColor(cv2.imread(str(file)), cv2.COLOR_BGR2RGB)
        np.testing.assert_array_equal(seen, explanation.draw(m, xaicore.Drawing())["overlay"])
        assert image["caption"] == show.caption(explanation.row(m))


def test_the_run_of_the_program_goes_on() -> None:
    run = trackio.init("training", name="mine", embed=False, auto_log_cpu=False, auto_log_gpu=False)
    trackio.log({"loss": 1.0}, step=0)
    with xaicore.open_loggers("trackio", name="heat", on_error="raise") as log:
        log(explained(), step=0)
    trackio.log({"loss": 0.5}, step=1)
    trackio.finish()
    assert [entry["loss"] for entry in entries("training")] == [1.0, 0.5]
    assert run.name == "mine"
    assert [entry["step"] for entry in entries("xaicore")] == [0]


def test_errors() -> None:
    with pytest.raises(xaicore.PluginError, match="the trackio logger has no option 'colour'; known: project, "):
        xaicore.open_loggers({"trackio": {"colour": "red"}})
    with pytest.raises(xaicore.LoggerError, match=r"project='registry-a': .*not allowed"):
        xaicore.open_loggers({"trackio": {"project": "registry-a"}}, on_error="raise").__enter__()


def test_a_folder_that_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "taken").write_text("a file")
    monkeypatch.setattr(trackio.utils, "TRACKIO_DIR", tmp_path / "taken" / "inside")
    with pytest.raises(xaicore.LoggerError, match="inside cannot be made: Not a directory; set TRACKIO_DIR to another"):
        xaicore.open_loggers("trackio", on_error="raise").__enter__()
