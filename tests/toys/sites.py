"""A place to install plugins."""

from __future__ import annotations

import importlib.metadata
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from xaicore.plugins import Plugins, installed


class Site:
    """A folder of distributions, as if installed; the only ones whose entry points are seen."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def distribution(
        self,
        name: str,
        version: str = "1.0",
        backends: Mapping[str, str] | None = None,
        loggers: Mapping[str, str] | None = None,
        extras: Sequence[str] = (),
        metadata: bool = True,
    ) -> None:
        """Write a distribution's metadata; `backends` and `loggers` are {entry-point name: target}."""
        folder = self.root / f"{name.replace('-', '_')}-{version}.dist-info"
        folder.mkdir()
        if metadata:
            lines = [f"Name: {name}", f"Version: {version}", *(f"Provides-Extra: {extra}" for extra in extras)]
            (folder / "METADATA").write_text("Metadata-Version: 2.1\n" + "\n".join(lines) + "\n")
        groups = {"xaicore.backends": backends or {}, "xaicore.loggers": loggers or {}}
        text = [f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in named.items()) for group, named in groups.items()]
        (folder / "entry_points.txt").write_text("\n".join(text))

    def module(self, name: str, text: str) -> None:
        """Write an importable module."""
        (self.root / f"{name}.py").write_text(textwrap.dedent(text))

    def entry_points(self) -> importlib.metadata.EntryPoints:
        found = importlib.metadata.distributions(path=[str(self.root)])
        return importlib.metadata.EntryPoints(point for one in found for point in one.entry_points)

    def plugins(self) -> Plugins:
        """A registry that has just been read."""
        installed.cache_clear()
        return installed()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    root = tmp_path / "site"
    root.mkdir()
    built = Site(root)
    monkeypatch.syspath_prepend(str(root))
    monkeypatch.setattr("importlib.metadata.entry_points", built.entry_points)
    monkeypatch.delenv("XAICORE_PLUGINS", raising=False)
    monkeypatch.setenv("XAICORE_CONFIG", str(tmp_path / "settings"))
    before = set(sys.modules)
    yield built
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) == str(root / f"{name}.py"):
            del sys.modules[name]
    installed.cache_clear()
