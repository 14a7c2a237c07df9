"""Python in a process of its own, which finds what these tests import."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
TOYS = Path(__file__).resolve().parent


def environment(
    *path: Path, without: str | tuple[str, ...] = (), variables: Mapping[str, str] | None = None
) -> dict[str, str]:
    """This process's variables, without those that start with one of `without`, and with `variables`.

    Modules are found in `path` first, then among the toys.
    """
    inherited = {name: value for name, value in os.environ.items() if not without or not name.startswith(without)}
    places = [*map(str, path), str(TOYS), inherited.get("PYTHONPATH", "")]
    found = {"PYTHONPATH": os.pathsep.join(filter(None, places)), "PYTHONIOENCODING": "utf-8"}
    return {**inherited, **found, **(variables or {})}


def python(*arguments: str, env: Mapping[str, str] | None = None, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the interpreter with these arguments until it ends."""
    known: dict[str, Any] = {"capture_output": True, "text": True, "encoding": "utf-8", "check": False, **options}
    return subprocess.run([sys.executable, *arguments], env=environment() if env is None else env, **known)


def run_code(code: str, *arguments: str, **options: Any) -> str:
    """Run this code, which may be indented, and return what it printed; it must not fail."""
    done = python("-c", textwrap.dedent(code), *arguments, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def start_code(code: str, *arguments: str) -> subprocess.Popen[str]:
    """Start this code in a session of its own; the caller reads its output and ends it."""
    command = [sys.executable, "-c", textwrap.dedent(code), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True, env=environment())
