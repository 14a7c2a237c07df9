"""A backend and its tests: which of them run a line, and whether one of these fails."""

from __future__ import annotations

import ast
import contextlib
import functools
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.mutants.faults import Fault, mutate

ROOT = Path(__file__).resolve().parents[2]
HANGS = 120  # seconds more than a test took: a fault with which it hangs is found

Seen = Mapping[str, tuple[float, Mapping[str, list[int]]]]
"""{test: (its seconds, {module: the lines that it ran})}."""


@dataclass(frozen=True)
class Suites:
    """The tests of a backend, run on copies of its package.

    A copy is written by `ast.unparse`, as one with a fault is: what depends on comments or on numbers of lines fails
    without any fault, and then that test is left out.

    Attributes:
        name: "torch" or "keras".
        cache: the folder of copies and of what was seen.
        environment: variables for the tests.
        alone: {test: whether it passes alone, without a fault}, as far as that was asked.
    """

    name: str
    cache: Path
    environment: Mapping[str, str]
    alone: dict[str, bool] = field(default_factory=dict)

    @property
    def package(self) -> Path:
        """The backend's own."""
        return ROOT / "backends" / f"xaicore_{self.name}"

    @property
    def kit(self) -> str:
        """The file with the kit's suites."""
        return f"tests/{self.name}/test_{self.name}_kit.py"

    @property
    def others(self) -> list[str]:
        """The files of all other tests."""
        files = sorted((ROOT / "tests" / self.name).glob("test_*.py"))
        return [text for file in files if (text := str(file.relative_to(ROOT))) != self.kit]

    def named(self, files: Sequence[str] | None) -> list[str]:
        """Of the files of all other tests, those with these names; all where none are given.

        Raises:
            SystemExit: there is none of such a name.
        """
        known = {Path(file).stem.removeprefix(f"test_{self.name}_"): file for file in self.others}
        unknown = [name for name in files or () if name not in known]
        if unknown:
            raise SystemExit(f"no tests called {', '.join(unknown)}; there are {', '.join(known)}")
        return [known[name] for name in files or known]

    @functools.cached_property
    def sources(self) -> dict[str, str]:
        """{module: its code as it runs here}."""
        files = sorted(self.package.rglob("*.py"))
        return {str(file.relative_to(self.package)): ast.unparse(ast.parse(file.read_text())) for file in files}

    @functools.cached_property
    def digest(self) -> str:
        """Of the whole backend: what was seen of another one does not count."""
        return hashlib.sha256(json.dumps(self.sources).encode()).hexdigest()[:16]

    @functools.cached_property
    def kit_digest(self) -> str:
        """Of the kit and of what the backend's author supplies: what another kit found does not count."""
        files = [*sorted((ROOT / "xaicore" / "testing").rglob("*.py")), ROOT / self.kit]
        return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]

    def seen(self, files: Sequence[str]) -> Seen:
        """What each test of these files runs. A file that changed since is run again, and with the kit its own."""
        store = self.cache / "seen.json"
        known = json.loads(store.read_text()) if store.exists() else {}
        own = {file: hashlib.sha256((ROOT / file).read_bytes()).hexdigest() for file in files} | {
            self.kit: self.kit_digest
        }
        keys = {file: f"{self.digest} {own[file]}" for file in files}
        for n, file in enumerate(files, 1):
            if known.get(file, {}).get("key") != keys[file]:
                print(f"which lines the tests run: {n} of {len(files)}, {file}", flush=True)
                known[file] = {"key": keys[file], "tests": self._record(file)}
                store.write_text(json.dumps(known))
        return {test: seen for file in files for test, seen in known[file]["tests"].items()}

    def _record(self, file: str) -> dict[str, tuple[float, dict[str, list[int]]]]:
        to = self.cache / "recorded.json"
        to.unlink(missing_ok=True)
        with self.copy() as package:
            also = {"XAICORE_RECORD": str(package), "XAICORE_RECORD_TO": str(to)}
            self.run(["-p", "benchmarks.mutants.recorder", file], package, 1800, also)
        return json.loads(to.read_text()) if to.exists() else {}

    def choose(self, fault: Fault, seen: Seen, seconds: float) -> list[str]:
        """Tests that run the line of a fault, the quick ones first, in at most this time.

        Of a test with many parameters, the first ones wait for those of other tests.
        """
        times: dict[str, int] = {}
        rows = []
        for test, (took, lines) in sorted(seen.items(), key=lambda one: one[1][0]):
            ran = lines.get(fault.file, [])
            if fault.line in ran if fault.is_in_function else ran:
                function = test.partition("[")[0]
                rows.append((times.setdefault(function, 0), took, test))
                times[function] += 1
        chosen: list[str] = []
        for _, took, test in sorted(rows):
            seconds -= took
            if chosen and seconds < 0:
                break
            chosen.append(test)
        return chosen

    def place(self, fault: Fault) -> str:
        """Where a fault is in the module as it was written: of its nodes, the same one."""
        file = self.package / fault.file
        node: Any = list(ast.walk(ast.parse(file.read_text())))[fault.index]
        return f"{file.relative_to(ROOT)}:{node.lineno}"

    def changed(self, fault: Fault) -> str:
        """The line of a fault, with the fault."""
        return mutate(self.sources[fault.file], fault.index).splitlines()[fault.line - 1].strip()

    def finds(self, fault: Fault, tests: Sequence[str]) -> str | None:
        """The first of these tests that fails with this fault; None if all pass.

        One that fails without a fault, too, where it runs alone, finds nothing.
        """
        with self.copy(fault) as package:
            found = self.run(["-x", *tests], package, HANGS)
        test = (found or "").partition(" ")[2]
        if test not in tests or self._passes_alone(test):
            return found
        others = [one for one in tests if one != test]
        return self.finds(fault, others) if others else None

    def _passes_alone(self, test: str) -> bool:
        if test not in self.alone:
            with self.copy() as package:
                self.alone[test] = self.run([test], package, HANGS) is None
        return self.alone[test]

    def run(
        self, arguments: Sequence[str], package: Path, seconds: float, also: Mapping[str, str] | None = None
    ) -> str | None:
        """Run pytest with this package before the backend's own: which test failed, None if none did."""
        path = [str(package.parent), str(ROOT), str(ROOT / "backends"), str(ROOT / "loggers")]
        path += filter(None, [os.environ.get("PYTHONPATH")])
        env = {**os.environ, **self.environment, "PYTHONPATH": os.pathsep.join(path), "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "-m", "pytest", "-q", "--tb=no", "-p", "no:cacheprovider", *arguments]
        try:
            done = subprocess.run(
                command, cwd=ROOT, env={**env, **(also or {})}, capture_output=True, text=True, timeout=seconds
            )
        except subprocess.TimeoutExpired:
            return "it hangs"
        if done.returncode == 0:
            return None
        failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
        return failed[0].split(" - ")[0] if failed else (done.stdout + done.stderr).strip()[-200:]

    @contextlib.contextmanager
    def copy(self, fault: Fault | None = None) -> Iterator[Path]:
        """The package with this fault, in a folder that is there meanwhile."""
        folder = self.cache / f"copy-{os.getpid()}"
        package = folder / self.package.name
        shutil.copytree(self.package, package, ignore=shutil.ignore_patterns("__pycache__"))
        for name, source in self.sources.items():
            is_here = fault is not None and name == fault.file
            (package / name).write_text(mutate(source, fault.index) if is_here and fault else source)
        try:
            yield package
        finally:
            shutil.rmtree(folder)


def of(name: str) -> Suites:
    """The suites of a backend by its name."""
    cache = ROOT / ".cache" / "mutants" / name
    cache.mkdir(parents=True, exist_ok=True)
    return Suites(name, cache, {"KERAS_BACKEND": "torch"} if name == "keras" else {})


def modules(seen: Seen) -> Iterator[tuple[str, set[int]]]:
    """(module, the lines that any of these tests runs)."""
    names = sorted({name for _, lines in seen.values() for name in lines})
    for name in names:
        yield name, {line for _, lines in seen.values() for line in lines.get(name, ())}
