"""The libraries that a plugin lacks, for `xaicore plugins --check`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, distribution

from xaicore.plugins.entry_point import Plugin, install_command
from xaicore.plugins.registry import Plugins

__all__ = ["lacks"]


def lacks(registry: Plugins, plugin: Plugin) -> tuple[list[str], str | None]:
    """The libraries that a plugin lacks, and what to type. Imports the plugin.

    The plugin's own answer counts, if it has one. Else it requires what its distribution does, and what the extra of
    the plugin's name does. Requirements for some platforms or Python versions only are left out.

    Raises:
        PluginError: it is broken.
    """
    answer = registry.answer(plugin)
    if answer is not None:
        return answer
    try:
        required = _required(distribution(plugin.distribution).requires or (), plugin.name)
    except PackageNotFoundError:  # after an aborted uninstallation
        required = []
    missing = [name for name in required if not _is_installed(name)]
    return missing, install_command(plugin, *missing) if missing else None


def _is_installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


def _required(requirements: Iterable[str], extra: str) -> list[str]:
    """The names of distributions that are required always, or by this extra."""
    marker = re.compile(rf"""extra\s*==\s*["']{re.escape(extra)}["']""")
    split = (requirement.partition(";") for requirement in requirements)
    matching = (name for name, _, condition in split if not condition.strip() or marker.fullmatch(condition.strip()))
    found = (re.match(r"[A-Za-z0-9._-]+", name.strip()) for name in matching)
    return [name[0] for name in found if name]
