"""`run.json`: what is known of a run when it is opened, and what its explanations add."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

import xaicore
from xaicore_disk import atomic
from xaicore_disk.folder import RunFolder
from xaicore_disk.options import Options

__all__ = ["Values", "collect", "read", "skip", "start", "values_of"]

FORMAT = "xaicore-disk 1"

LISTS = ("models", "methods", "layers", "targets", "images_from")
"""Fields that list each distinct value that the explanations had."""

Values = tuple[tuple[str, "str | None"], ...]
"""Pairs of a list's name and an explanation's value for it."""


def start(folder: RunFolder, run: xaicore.Run, options: Options) -> int:
    """Write run.json; that of a run that continues keeps its name, first start and lists. Under the lock.

    Returns how often the run has been opened, from 1: the page begins with what was logged the last time.

    Raises:
        LoggerError: the folder holds a run.json, manifest.jsonl or index.html of another program.
        InputError: a monitor has watched other pictures in this run.
    """
    is_known = folder.about.exists()
    for path in (folder.page, folder.manifest):
        if path.exists() and not is_known:
            raise _foreign(f"{path} would be changed, but it is not this logger's: there is no {folder.about.name}")
    before = read(folder) if is_known else {}
    _check_pictures(folder, before.get("config", {}), run.config)
    about = {
        "format": FORMAT,
        "name": before.get("name", run.name or folder.root.name),
        "started": before.get("started", run.started),
        "versions": dict(run.versions),
        "sessions": before.get("sessions", 0) + 1,
        "config": {**before.get("config", {}), **run.config},
        **{name: before.get(name, []) for name in LISTS},
        **({"skipped": before["skipped"]} if "skipped" in before else {}),
        "normalize": "max",
        "drawing": {"maps": options.maps, **dataclasses.asdict(options)},
    }
    _write(folder, about)
    return about["sessions"]


def values_of(explanation: xaicore.Explanation) -> Values:
    """An explanation's value for each of the lists."""
    values = (
        explanation.model,
        explanation.method,
        explanation.layer,
        explanation.target,
        explanation.images_from,
    )
    return tuple(zip(LISTS, values, strict=True))


def collect(folder: RunFolder, values: Values) -> None:
    """Add an explanation's values to the lists that lack them. Under the lock: other writers add to them, too."""
    about = read(folder)
    new = [(name, value) for name, value in values if value is not None and value not in about[name]]
    for name, value in new:
        about[name].append(value)
    if new:
        _write(folder, about)


def skip(folder: RunFolder, skipped: Mapping[str, str]) -> None:
    """Add {id: why it was not explained}. Under the lock: other writers add to them, too."""
    about = read(folder)
    about["skipped"] = {**about.get("skipped", {}), **skipped}
    _write(folder, about)


def read(folder: RunFolder) -> dict[str, Any]:
    """Read run.json.

    Raises:
        LoggerError: it cannot be read, or another program wrote it.
    """
    with atomic.logger_errors(folder.about, "read"):
        text = folder.about.read_bytes()
    try:
        about = json.loads(text)
    except ValueError:
        about = None
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise _foreign(f"{folder.about} is not this logger's: it has no format {FORMAT!r}")
    kinds = {**dict.fromkeys(LISTS, list), "name": str, "started": str}
    changed = [name for name, kind in kinds.items() if not isinstance(about.get(name), kind)]
    if changed:
        raise _foreign(f"{folder.about} was changed by another program: {', '.join(changed)} cannot be read")
    return about


def _check_pictures(folder: RunFolder, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse other pictures: a monitor's epochs can be compared only if it watches the same for the whole run."""
    old, new = _watched(before), _watched(now)
    if old is not None and new is not None and old != new:
        raise xaicore.InputError(
            f"{folder.root} watches {_shortened(old)}, but this monitor watches {_shortened(new)}: "
            "pass the same pictures (x and ids) as before, or choose another folder (the logger's root) or run name"
        )


def _watched(config: Mapping[str, Any]) -> list[str] | None:
    """The ids of the pictures that a monitor explains at every step, where there is one."""
    monitor = config.get("monitor")
    ids = monitor.get("ids") if isinstance(monitor, Mapping) else None
    return None if ids is None else [str(name) for name in ids]


def _shortened(ids: Sequence[str]) -> str:
    named = ", ".join(repr(name if len(name) <= 40 else f"{name[:37]}...") for name in ids[:3])
    return f"{len(ids)} pictures ({named}{', ...' if len(ids) > 3 else ''})"


def _foreign(what: str) -> xaicore.LoggerError:
    return xaicore.LoggerError(f"{what}; choose another folder for the run: the option root, on the command line --out")


def _write(folder: RunFolder, about: Mapping[str, Any]) -> None:
    # The user's config may hold anything: values that JSON has no form for become text, NaN included.
    plain = json.loads(json.dumps(about, default=str), parse_constant=str)
    atomic.write(folder.about, json.dumps(plain, indent=2).encode() + b"\n")
