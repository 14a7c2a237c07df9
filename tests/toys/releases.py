"""Plugins as they were written for earlier versions.

    python tests/toys/releases.py check         the plugins of the last release, in git, on the core of this tree
    python tests/toys/releases.py check REF     those of another commit or tag
    python tests/toys/releases.py freeze        at a release: note what tests/releases holds, which stays as it is

tests/releases/VERSION has a small set, written for the public names of that version. It runs in `make test`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path

from processes import ROOT, python

RELEASES = ROOT / "tests" / "releases"
FROZEN = RELEASES / "frozen.json"
EXAMPLES = ("xaicore-tinyconv", "xaicore-csvlog", "xaicore-counterfactual")
"""Those that need no framework."""
SUITES = ("tests/torch/test_torch_kit.py", "tests/keras/test_keras_kit.py", "tests/loggers/test_disk_kit.py")
"""The kit on the first-party plugins, each in a process of its own."""
PIP = ("-m", "pip", "--quiet", "--disable-pip-version-check")


def versions() -> list[str]:
    """Those with a set of plugins, the oldest first."""
    found = [path.name for path in RELEASES.iterdir() if re.fullmatch(r"\d+\.\d+", path.name)]
    return sorted(found, key=lambda version: [*map(int, version.split("."))])


def digest(folder: Path) -> str:
    """Of all files of a set, with their places in it."""
    whole = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            name = path.relative_to(folder).as_posix()
            whole.update(f"{name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return whole.hexdigest()


def changed(frozen: Mapping[str, str], unreleased: str) -> list[str]:
    """The sets that are not as they were at their release; that of the unreleased version may change."""
    there = {version: digest(RELEASES / version) for version in versions()}
    sets = {*there, *frozen} - ({unreleased} - {*frozen})
    return sorted(version for version in sets if there.get(version) != frozen.get(version))


def install(source: Path, to: Path) -> None:
    """Build a package's wheel, and install it into a folder; nothing is downloaded."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "source"  # building leaves folders behind
        shutil.copytree(source, copy, ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__", ".venv*"))
        options = ["--no-deps", "--no-index", "--no-build-isolation"]
        done = python(*PIP, "wheel", *options, "--wheel-dir", folder, str(copy))
        assert done.returncode == 0, done.stderr
        (wheel,) = Path(folder).glob("*.whl")
        done = python(*PIP, "install", *options[:2], "--no-compile", "--target", str(to), str(wheel))
        assert done.returncode == 0, done.stderr


def last_release() -> str | None:
    """The newest tag before this commit."""
    done = subprocess.run(
        ["git", "describe", "--tags", "--abbrev=0", "--match", "v*"], cwd=ROOT, capture_output=True, text=True
    )
    return done.stdout.strip() or None


def check(ref: str) -> bool:
    """Whether plugins of a commit, from their wheels, pass that commit's own tests of the contract on this core."""
    with tempfile.TemporaryDirectory() as folder:
        site, then = Path(folder, "site"), Path(folder, "then")
        archive = subprocess.run(["git", "archive", ref], cwd=ROOT, capture_output=True, check=True)
        Path(folder, "then.tar").write_bytes(archive.stdout)
        with tarfile.open(Path(folder, "then.tar")) as tar:
            tar.extractall(then, filter="data")
        install(then, site)
        for name in EXAMPLES:
            install(then / "examples" / "plugins" / name, site)
        for old in (site / "xaicore", then / "xaicore", then / "backends", then / "loggers"):
            shutil.rmtree(old)
        shutil.copytree(ROOT / "xaicore", site / "xaicore", ignore=shutil.ignore_patterns("__pycache__"))
        suites = [then / "examples" / "plugins" / name / "tests" for name in EXAMPLES]
        suites += [then / name for name in SUITES if (then / name).exists()]
        return all([passes(suite, site, then) for suite in suites])


def passes(suite: Path, site: Path, rootdir: Path) -> bool:
    """Whether tests pass with what is installed in a folder, which is found before all else."""
    inherited = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "XAICORE_PLUGINS")}
    env = {
        "KERAS_BACKEND": "torch",
        **inherited,
        "PYTHONPATH": os.pathsep.join([str(site), str(rootdir / "tests/toys")]),
    }
    options = ("-q", "-p", "no:cacheprovider", "--rootdir", str(rootdir), "-c", str(rootdir / "pyproject.toml"))
    done = python("-m", "pytest", *options, str(suite), env=env, cwd=site)
    print(f"{suite.relative_to(rootdir)}: {done.stdout.strip().splitlines()[-1:]}")
    if done.returncode:
        print(done.stdout[-5000:], done.stderr[-1000:], sep="\n")
    return not done.returncode


def main(command: str, *given: str) -> int:
    if command == "freeze":
        FROZEN.write_text(json.dumps({version: digest(RELEASES / version) for version in versions()}, indent=1) + "\n")
        return 0
    ref = given[0] if given else last_release()
    if ref is None:
        print("no release so far: no tag v* before this commit")
        return 0
    print(f"the plugins of {ref} on the core of this tree")
    return int(not check(ref))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
