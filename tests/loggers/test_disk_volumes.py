"""What the disk logger writes of clips and volumes beside pictures: animations, and NIfTI files."""

from __future__ import annotations

import dataclasses
import gzip
import importlib.util
import io
import json
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from explanations import explanation
from PIL import Image

import xaicore
from xaicore_disk.manifest import read_manifest
from xaicore_disk.nifti import affine_of, check_spacing

AFFINE = np.diag([2.0, -1, 0.5, 1]) + np.eye(4, k=3) * 7


class StandIn:
    """nibabel's image, as far as it is used: the array and the affine as bytes."""

    def __init__(self, data: np.ndarray, affine: np.ndarray) -> None:
        self._arrays = {"data": data, "affine": affine}

    def to_bytes(self) -> bytes:
        file = io.BytesIO()
        np.savez(file, **self._arrays)
        return file.getvalue()


@pytest.fixture
def nibabel(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("nibabel")
    module.Nifti1Image = StandIn
    monkeypatch.setitem(sys.modules, "nibabel", module)


def volumes(**known: Any) -> xaicore.Explanation:
    maps = np.random.default_rng(0).random((2, 1, 3, 4, 5))
    return explanation(maps, (6, 8, 10), images=np.zeros((2, 6, 8, 10), np.uint8), ids=["a", "b"], **known)


def written(path: Path) -> dict[str, np.ndarray]:
    with np.load(io.BytesIO(gzip.decompress(path.read_bytes()))) as arrays:
        return dict(arrays)


@pytest.mark.parametrize("format", ["webp", "gif"])
def test_an_animation_of_each_volume(tmp_path: Path, format: str) -> None:
    one = volumes()
    one.save(tmp_path, animation=format, slices=4)
    for m, row in enumerate(read_manifest(tmp_path)):
        assert Path(row["animation"]).suffix == f".{format}"
        expected = one.animation(m, format=format, drawing=xaicore.Drawing(slices=4))
        assert (tmp_path / row["animation"]).read_bytes() == expected
        assert Image.open(tmp_path / row["animation"]).n_frames == 4
    assert json.loads((tmp_path / "run.json").read_text())["drawing"]["animation"] == format


def test_pictures_have_no_animation(tmp_path: Path) -> None:
    explanation(np.ones((1, 1, 4, 5))).save(tmp_path, animation="webp")
    assert [row["animation"] for row in read_manifest(tmp_path)] == [None]


def test_an_unknown_format_is_refused_when_the_logger_is_made() -> None:
    with pytest.raises(xaicore.InputError, match="animation='mp4': expected one of 'webp', 'gif', or None"):
        xaicore.open_loggers({"disk": {"animation": "mp4"}})


@pytest.mark.usefixtures("nibabel")
def test_a_nifti_map_lies_over_the_volume(tmp_path: Path) -> None:
    """At the volume's resolution, in the method's own scale; the raw map stays beside it."""
    one = volumes()
    one.save(tmp_path, spacing=(2.5, 0.8, 1))
    for m, row in enumerate(read_manifest(tmp_path)):
        found = written(tmp_path / row["volume"])
        np.testing.assert_array_equal(found["data"], one.heatmaps(normalize="none")[m])
        assert found["data"].dtype == np.float32
        np.testing.assert_array_equal(found["affine"], np.diag([2.5, 0.8, 1, 1]))
        np.testing.assert_array_equal(np.load(tmp_path / row["map"]), one.maps[m])
    about = json.loads((tmp_path / "run.json").read_text())
    assert about["drawing"]["spacing"] == [2.5, 0.8, 1]


@pytest.mark.usefixtures("nibabel")
def test_each_volume_may_have_an_affine_of_its_own(tmp_path: Path) -> None:
    volumes().save(tmp_path, spacing={"b": AFFINE})
    first, second = read_manifest(tmp_path)
    assert first["volume"] is None
    np.testing.assert_array_equal(written(tmp_path / second["volume"])["affine"], AFFINE)
    assert affine_of(check_spacing({"b": AFFINE}), "a") is None


@pytest.mark.usefixtures("nibabel")
def test_pictures_signals_and_volumes_of_several_views_have_no_nifti_map(tmp_path: Path) -> None:
    one = volumes()
    both = dataclasses.replace(one, maps=np.stack([one.maps] * 2, axis=1), views=2, view_names=("left", "right"))
    both = dataclasses.replace(both, pictures=type(one.pictures).from_array(None, None))
    for i, other in enumerate((explanation(np.ones((1, 1, 4, 5))), explanation(np.ones((1, 1, 9))), both)):
        other.save(tmp_path / str(i), spacing=(1, 1, 1))
        assert {row["volume"] for row in read_manifest(tmp_path / str(i))} == {None}


@pytest.mark.usefixtures("nibabel")
@pytest.mark.parametrize("spacing", [(1, 2), (1, 2, 0), (1, 2, -3), "1 2 3", 2.0, np.zeros((4, 4)), {"a": (1, 2)}])
def test_spacings_that_make_no_sense_are_refused(spacing: Any) -> None:
    with pytest.raises(xaicore.InputError, match="expected three positive distances in millimetres"):
        xaicore.open_loggers({"disk": {"spacing": spacing}})


def test_what_is_missing_is_named_before_anything_is_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "nibabel", None)
    with pytest.raises(xaicore.DependencyError) as caught:
        volumes().save(tmp_path / "run", spacing=(1, 1, 1))
    assert str(caught.value) == (
        'spacing= writes NIfTI files, which needs nibabel: pip install "xaicore[nifti]"; without spacing=, the maps of '
        "volumes are .npy files"
    )
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(xaicore.DependencyError, match="an animated gif needs Pillow"):
        volumes().save(tmp_path / "run", animation="gif")
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(importlib.util.find_spec("nibabel") is None, reason="nibabel is not installed")
def test_nibabel_reads_what_is_written(tmp_path: Path) -> None:
    import nibabel

    one = volumes()
    one.save(tmp_path, spacing=AFFINE)
    image = nibabel.load(tmp_path / read_manifest(tmp_path)[0]["volume"])
    np.testing.assert_array_equal(image.get_fdata(), one.heatmaps(normalize="none")[0])
    np.testing.assert_allclose(image.affine, AFFINE)
