"""Samples of FiftyOne: its labels, by FiftyOne itself where it is installed, and by classes that keep arguments."""

from __future__ import annotations

import dataclasses
import importlib.util
import sys
import types

import cv2
import numpy as np
import pytest

pytest.importorskip("pyarrow")

from maprun import SIZE, pictures_in, run_of, write_run

import xaicore
from xaicore import DependencyError, InputError, LoggerError
from xaicore.dataset.fiftyone import samples_of
from xaicore.pictures import Preparation


class Kept(types.SimpleNamespace):
    """The arguments, as attributes; a sample's fields by name, too."""

    def __getitem__(self, name):
        return getattr(self, name)


class Dataset:
    def __init__(self, name, persistent):
        self.name, self.persistent, self.samples = name, persistent, []

    def add_samples(self, samples):
        self.samples += samples


def stub():
    names = ("Classification", "Classifications", "Detection", "Detections", "Heatmap", "Sample")
    module = types.ModuleType("fiftyone")
    vars(module).update({name: type(name, (Kept,), {}) for name in names})
    module.Dataset, module.dataset_exists = Dataset, lambda name: name == "taken"
    return module


@pytest.fixture(params=["stub", "fiftyone"])
def fo(request):
    if request.param == "stub":
        return stub()
    if importlib.util.find_spec("fiftyone") is None:
        pytest.skip("FiftyOne is not installed")
    return importlib.import_module("fiftyone")


@pytest.fixture
def paths(tmp_path):
    return pictures_in(tmp_path / "pictures")


def table_of(tmp_path, paths, one=None, boxes=None):
    return xaicore.open_maps(write_run(tmp_path / "val", one or run_of(paths, k=2), paths, boxes=boxes))


def test_a_sample_has_the_labels_of_a_picture(tmp_path, paths, fo):
    one = run_of(paths, k=2)
    table = table_of(tmp_path, paths, one, boxes=[[4, 6, 20, 18]] * 10)
    samples = list(samples_of(table, fo, None, tmp_path))
    assert [sample["xaicore_id"] for sample in samples] == paths
    sample = samples[3]
    assert sample["filepath"] == paths[3]
    assert (sample["prediction"].label, sample["truth"].label, sample["right"]) == ("ant", "cat", False)
    assert sample["prediction"].confidence == np.float32(one.scores[6])
    [box] = sample["true_boxes"].detections
    assert box.label == "cat"
    assert box.bounding_box == [4 / 32, 6 / 24, 16 / 32, 12 / 24]
    for k, field in enumerate(("given", "given_1")):
        expected = one.maps[6 + k] / one.maps[6 + k].max()
        assert np.abs(np.asarray(sample[field].map) - expected).max() < 5e-4
        assert list(sample[field].range) == [0, 1]
        assert sample[field]["target_name"] == one.target_name(6 + k)
    assert sample["given"].share == table.to_arrow(["share"])["share"][6].as_py()


def test_targets_with_boxes_signed_maps_and_several_labels(tmp_path, paths, fo):
    truth = np.zeros((10, 4), bool)
    truth[0, :2] = True
    boxes = np.full((10, 4), np.nan)
    boxes[0] = [0, 12, 32, 24]
    one = dataclasses.replace(run_of(paths), truth=truth, signed=True, target_boxes=boxes)
    first, second, *_ = samples_of(table_of(tmp_path, paths, one), fo, None, tmp_path)
    assert [label.label for label in first["truth"].classifications] == ["cat", "dog"]
    assert second["truth"].classifications == []
    assert first["target_boxes"].detections[0].bounding_box == [0, 0.5, 1, 0.5]
    assert list(first["given"].range) == [-1, 1]


def crop(picture):
    seen = picture[:12, :16].repeat(2, axis=0).repeat(2, axis=1)
    return seen.transpose(2, 0, 1).astype(np.float32), seen


def test_what_the_model_saw_is_written_where_it_is_not_the_file(tmp_path, paths, fo):
    cut = np.stack([crop(cv2.imread(path)[..., ::-1])[1] for path in paths])
    table = table_of(tmp_path, paths, run_of(paths, images=cut))
    with pytest.raises(InputError, match=r"00\.png: the whole file is not what the model saw"):
        list(samples_of(table, fo, None, tmp_path / "seen"))
    samples = list(samples_of(table, fo, Preparation.of(crop), tmp_path / "seen"))
    assert np.array_equal(cv2.imread(samples[4]["filepath"])[..., ::-1], cut[4])
    assert samples[4]["filepath"].startswith(str(tmp_path / "seen"))
    (tmp_path / "file").touch()
    with pytest.raises(LoggerError, match="pass folder=, one that is writable"):
        list(samples_of(table, fo, Preparation.of(crop), tmp_path / "file"))


def test_a_dataset_is_made(tmp_path, paths, monkeypatch):
    monkeypatch.setitem(sys.modules, "fiftyone", stub())
    table = table_of(tmp_path, paths)
    dataset = table.to_fiftyone("heat")
    assert (dataset.name, dataset.persistent, len(dataset.samples)) == ("heat", True, 10)
    assert len(table.errors().to_fiftyone("none").samples) == 0
    with pytest.raises(InputError, match=r"FiftyOne has a dataset 'taken': .* fiftyone.delete_dataset\('taken'\)"):
        table.to_fiftyone("taken")


def test_without_fiftyone_or_its_database(tmp_path, paths, monkeypatch):
    table = table_of(tmp_path, paths)
    monkeypatch.setitem(sys.modules, "fiftyone", None)
    with pytest.raises(DependencyError, match=r"to_fiftyone needs FiftyOne: .*; pip install fiftyone"):
        table.to_fiftyone("heat")
    broken = stub()
    broken.dataset_exists = lambda name: 1 / 0
    monkeypatch.setitem(sys.modules, "fiftyone", broken)
    with pytest.raises(DependencyError, match="FiftyOne's database does not answer: division by zero; "):
        table.to_fiftyone("heat")


assert SIZE == (24, 32)  # the shares of boxes above
