"""The demo as a process, and what it must have done whatever the framework."""

from __future__ import annotations

import re
from pathlib import Path
from subprocess import CompletedProcess

from processes import ROOT, environment, python


def run(folder: Path, *arguments: str, **variables: str) -> CompletedProcess[str]:
    """Run it in this folder; only the variables given choose its backend."""
    env = environment(ROOT, without="BACKEND", variables=variables)
    return python("-m", "examples.demo", *arguments, cwd=folder, env=env)


def check(done: CompletedProcess[str], folder: Path, module: str, layer: str, name: str) -> None:
    """Model and layer are these, one photograph of 20 is wrong, and the pictures are in the folder runs/`name`."""
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"$ xaicore explain demo-pictures --model examples.{module}:model --method")
    assert lines[-3:] == [
        f"21 pictures explained: gradcam, eigengradcam at {layer}",
        "19 of 20 right",
        f"gallery: {Path('runs') / name / 'index.html'}",
    ]
    wrong = [line for line in lines if line.rstrip().endswith("wrong")]
    assert len(wrong) == 1
    assert re.match(r" imagenet_07_609\.jpg +jeep +convertible ", wrong[0])
    assert sum("box" not in line and "imagenet_" in line for line in lines) == 20
    assert [path.name for path in (folder / "runs").iterdir()] == [name]
    page = (folder / "runs" / name / "index.html").read_text(encoding="utf-8")
    assert "eigengradcam" in page
    assert "chelsea.png" in page
    assert len(list((folder / "runs" / name / "overlays").glob("*.png"))) == 42
