"""Plugins that were written for earlier versions run on this one, as they are."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import releases
from processes import environment, python, run_code

import xaicore

VERSIONS = releases.versions()
UNRELEASED = ".".join(xaicore.__version__.split(".")[:2])


@pytest.fixture(scope="module", params=VERSIONS)
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the set of one version, installed from its wheel."""
    site: Path = tmp_path_factory.mktemp("site") / request.param
    releases.install(releases.RELEASES / request.param, site)
    return site


def test_their_tests_of_the_contract_pass(site: Path, tmp_path: Path) -> None:
    """Those of the version of the kit that they state."""
    shutil.copytree(releases.RELEASES / site.name / "tests", tmp_path / "tests")
    done = python(
        *("-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path / "tests")),
        cwd=tmp_path,
        env=environment(site, without="XAICORE_PLUGINS"),
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) >= 90


USE = """
import json
import numpy as np
import xaicore

pictures = [np.random.default_rng(i).integers(0, 255, (24, 32, 3), np.uint8) for i in range(2)]
explainer = xaicore.load("stonenet/tiny", weights="none", method="stonecam")
with xaicore.open_loggers({"stonelog": {"alpha": 0.5}}, name="run", on_error="raise") as log:
    found = explainer(pictures, [[0, 3]], ids=["a", "b"], truth=[0, 1])
    log(found, step=4)
again = explainer.compare(pictures, ["gradcam", "scorecam", "reciprocam", "guided"], [[0, 3]])
print(json.dumps({
    "backend": explainer.backend.name, "layer": found.layer, "shape": found.maps.shape, "most": float(found.maps.max()),
    "methods": list(again), "names": list(found.class_names),
}))
"""


def test_they_are_found_by_name_and_work_together(site: Path, tmp_path: Path) -> None:
    """The walk of a user: model, method and logger by their names."""
    said = json.loads(run_code(USE, env=environment(site, without="XAICORE_PLUGINS"), cwd=tmp_path).splitlines()[-1])
    assert said["most"] > 0
    assert (said["backend"], said["layer"], said["shape"]) == ("stonenet", "relu2", [4, 12, 16])
    assert said["methods"] == ["gradcam", "scorecam", "reciprocam", "guided"]
    assert said["names"] == ["ant", "bee", "cat", "dog"]
    lines = [json.loads(line) for line in (tmp_path / "stones" / "stone.jsonl").read_text().splitlines()]
    assert [(line["id"], line["k"], line["step"]) for line in lines[:-1]] == [
        *(("a", 0, 4), ("a", 1, 4), ("b", 0, 4), ("b", 1, 4))
    ]
    assert np.isfinite([line["score"] for line in lines[:-1]]).all()
    assert lines[-1]["step"] == 4
    assert len([*tmp_path.glob("stones/*.png")]) == 4


# What stays.


def test_a_set_is_as_it_was_at_its_release() -> None:
    """Those of released versions: whoever edits one tests another plugin than the one that people have."""
    frozen = json.loads(releases.FROZEN.read_text())
    assert releases.changed(frozen, UNRELEASED) == [], "restore it: git checkout v... -- tests/releases"


def test_what_changed_is_seen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for version in ("0.9", "0.10"):
        (tmp_path / version / "deep").mkdir(parents=True)
        (tmp_path / version / "deep" / "a.py").write_text("1")
    monkeypatch.setattr(releases, "RELEASES", tmp_path)
    assert releases.versions() == ["0.9", "0.10"]
    frozen = {"0.9": releases.digest(tmp_path / "0.9")}
    assert releases.changed(frozen, "0.10") == []
    assert releases.changed(frozen, "0.11") == ["0.10"]  # it was released, and not frozen
    (tmp_path / "0.9" / "deep" / "a.py").rename(tmp_path / "0.9" / "deep" / "b.py")
    assert releases.changed(frozen, "0.10") == ["0.9"]
    shutil.rmtree(tmp_path / "0.9")
    assert releases.changed(frozen, "0.10") == ["0.9"]
    assert releases.changed({**frozen, "0.10": "?"}, "0.10") == ["0.10", "0.9"]  # frozen is frozen


@pytest.mark.parametrize("version", VERSIONS)
def test_a_set_uses_public_names_only(version: str) -> None:
    """As a stranger's package would: nothing from inside xaicore's modules."""
    for path in (releases.RELEASES / version).rglob("*.py"):
        text = path.read_text()
        assert not re.search(r"(from|import) xaicore\.", text), path
        for names in re.findall(r"^from xaicore import (.*)$", text, re.M):
            assert {name.strip() for name in names.split(",")} <= set(xaicore.__all__)


def test_a_check_without_a_release_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr(releases, "last_release", lambda: None)
    assert releases.main("check") == 0
    assert capsys.readouterr().out == "no release so far: no tag v* before this commit\n"


def test_a_check_takes_the_last_release(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr(releases, "last_release", lambda: "v0.1.0")
    monkeypatch.setattr(releases, "check", lambda ref: ref == "v0.1.0")
    assert (releases.main("check"), releases.main("check", "abc")) == (0, 1)
    assert capsys.readouterr().out.startswith("the plugins of v0.1.0 on the core of this tree\n")
