"""Runs the tests that need no framework on other Pythons: `python tests/other_pythons.py [3.10 3.12 3.13]`.

All tests run on each Python that is named, also those that start processes. If none is named, the oldest and the newest
take turns: each test runs on one of them. A Python that is not found is left out.

The environments are kept in .cache/pythons, and are made anew when pyproject.toml changes.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOYS = ROOT / "tests" / "toys"
VERSIONS = ("3.10", "3.13")
"""The oldest one that is supported and the newest."""
OF_LOGGERS = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("tests/loggers/test_disk_*.py"))
TESTS = ("tests/core", "tests/testing", *OF_LOGGERS)
PROCESSES = ("tests/processes",)


def find(version):
    """A Python of this version that really starts, or None."""
    candidates = [shutil.which(f"python{version}")]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    candidates += sorted(map(str, pyenv.glob(f"{version}.*/bin/python")))
    check = f"import sys, venv; sys.exit('%d.%d' % sys.version_info[:2] != '{version}')"
    for candidate in filter(None, candidates):
        if subprocess.run([candidate, "-c", check], capture_output=True).returncode == 0:
            return candidate
    return None


def environment(python, version):
    """The interpreter of a virtual environment with the core, its plugins and the tests' own needs."""
    stamp = hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()[:12]
    folder = ROOT / ".cache" / "pythons" / f"{version}-{stamp}"
    inside = folder / "bin" / "python"
    ready = folder / "ready"
    if not ready.exists():
        subprocess.run([python, "-m", "venv", "--clear", folder], check=True)
        install = [inside, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
        subprocess.run([*install, "-e", f"{ROOT}[test]"], check=True)
        ready.touch()
    return inside


def main(asked):
    """The number of Pythons on which the tests failed."""
    failed = []
    pythons = {version: find(version) for version in asked or VERSIONS}
    found = {version: python for version, python in pythons.items() if python is not None}
    for version in pythons.keys() - found.keys():
        print(f"Python {version}: not found, left out", flush=True)
    for number, (version, python) in enumerate(found.items()):
        print(f"Python {version}:", flush=True)
        command = [environment(python, version), "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "turns", *TESTS]
        command += PROCESSES if asked else ()
        turn = "0/1" if asked else f"{number}/{len(found)}"
        if subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(TOYS), "TURN": turn}).returncode:
            failed.append(version)
    print(f"failed on: {', '.join(failed)}" if failed else "the other Pythons agree")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
