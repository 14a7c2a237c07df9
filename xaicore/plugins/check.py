"""Are plugins in order? Each is imported in a process of its own, which may hang, print or end as it likes."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from xaicore.errors import PluginError
from xaicore.plugins.entry_point import Plugin
from xaicore.plugins.lacks import lacks
from xaicore.plugins.registry import Plugins, check_instance, installed

__all__ = ["Verdict", "check_all", "report"]

CODE = "import sys; sys.path[:] = {path!r}; from xaicore.plugins import check; check.report({kind!r}, {name!r}, {to!r})"


@dataclass(frozen=True)
class Verdict:
    """What was found of one plugin.

    Attributes:
        missing: the libraries that it lacks, which is no fault.
        install: what to type to get them.
        error: why it is broken; None where it is in order.
    """

    missing: tuple[str, ...] = ()
    install: str | None = None
    error: str | None = None


def check_all(registry: Plugins, seconds: float) -> Mapping[Plugin, Verdict]:
    """The verdict of each plugin that is not disabled. None of them is imported in this process.

    Args:
        registry: of the installed plugins.
        seconds: how long a plugin may take.
    """
    listing = registry.listing()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(listing, pool.map(lambda plugin: _check(registry, plugin, seconds), listing), strict=True))


def report(kind: str, name: str, to: str) -> None:
    """In the process of its own: import the plugin, and write its verdict into the file `to`."""
    registry = installed()
    try:
        plugin = registry.find(kind, name)
        missing, install = lacks(registry, plugin)
        if kind == "logger" and not missing:
            _check_logger(registry, plugin)
        verdict = {"missing": missing, "install": install}
    except PluginError as exc:
        verdict = {"error": str(exc)}
    Path(to).write_text(json.dumps(verdict), encoding="utf-8")


def _check_logger(registry: Plugins, plugin: Plugin) -> None:
    """Compare the class and version of the logger that is built without options; those of a backend take a model.

    Raises:
        PluginError: it is none, or of another version. A logger may need an option: that it is not built is no fault.
    """
    found = None
    with contextlib.suppress(Exception), contextlib.redirect_stdout(io.StringIO()):
        with contextlib.redirect_stderr(io.StringIO()):
            found = registry.ask(plugin, "xaicore_logger", options={})
    if found is not None:
        check_instance(found, "logger", str(plugin), plugin.package)


def _check(registry: Plugins, plugin: Plugin, seconds: float) -> Verdict:
    try:
        registry.find(plugin.kind, plugin.name)  # raises where two distributions claim the name
    except PluginError as exc:
        return Verdict(error=str(exc))
    with tempfile.TemporaryDirectory() as folder:
        to = Path(folder) / "verdict.json"
        code = CODE.format(path=sys.path, kind=plugin.kind, name=plugin.name, to=str(to))
        command = [sys.executable, "-W", "ignore", "-c", code]
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds
            )
        except subprocess.TimeoutExpired:
            return Verdict(error=f"{plugin} hangs: its import did not end within {seconds:g} s")
        printed = done.stdout.decode(errors="replace").strip()
        if not to.exists():
            return Verdict(error=f"{plugin} ended its process, exit status {done.returncode}: {_end(printed)}")
        verdict = json.loads(to.read_text(encoding="utf-8"))
    if verdict.get("error"):
        return Verdict(error=verdict["error"])
    if printed:
        return Verdict(error=f"{plugin} prints as it is imported: {_end(printed)}")
    return Verdict(tuple(verdict["missing"]), verdict["install"])


def _end(printed: str) -> str:
    """The last line."""
    return printed.splitlines()[-1][:200] if printed else "it printed nothing"
