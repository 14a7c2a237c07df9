"""The plugins that the user has disabled: a file with a name per line. It is read and changed without importing any.

The file is `disabled-plugins.txt` in the folder XAICORE_CONFIG; where that is not set, in the platform's folder for
the settings of programs.
"""

from __future__ import annotations

import os
import shlex
import sys
import warnings
from collections.abc import Iterable
from pathlib import Path

from xaicore.errors import PluginError

__all__ = ["disable_command", "disabled_names", "enable_command", "file_of_disabled", "write_disabled"]


def file_of_disabled() -> Path:
    """Where the names are kept, whether there is such a file or not."""
    folder = os.environ.get("XAICORE_CONFIG")
    return (Path(folder) if folder else _settings() / "xaicore") / "disabled-plugins.txt"


def disabled_names() -> frozenset[str]:
    """The names in the file. One that cannot be read counts as empty, with a warning: it must not block the others."""
    path = file_of_disabled()
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return frozenset()
    except OSError as exc:
        warnings.warn(f"no plugin is disabled: {path} cannot be read: {exc}", RuntimeWarning, stacklevel=3)
        return frozenset()
    return frozenset(line.strip() for line in lines if line.strip())


def write_disabled(names: Iterable[str]) -> None:
    """Replace the file by one with these names.

    Raises:
        PluginError: it cannot be written.
    """
    path = file_of_disabled()
    new = path.with_suffix(f".{os.getpid()}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new.write_text("".join(f"{name}\n" for name in sorted(names)), encoding="utf-8")
        new.replace(path)  # whole or not at all
    except OSError as exc:
        raise PluginError(f"{path} cannot be written: {exc}; name another folder: export XAICORE_CONFIG=...") from exc


def enable_command(name: str) -> str:
    """What to type to enable a plugin again."""
    return f"xaicore plugins --enable {shlex.quote(name)}"


def disable_command(name: str) -> str:
    """What to type to leave a plugin out."""
    return f"xaicore plugins --disable {shlex.quote(name)}"


def _settings() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support"
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
