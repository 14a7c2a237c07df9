"""One entry point: what its metadata says, and what to type where something of it is missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["KINDS", "Plugin", "describe", "install_command", "needs"]

KINDS = {"backend": "xaicore.backends", "logger": "xaicore.loggers", "method": "xaicore.methods"}
"""{kind of plugin: the group of its entry points}."""

UNKNOWN = "an unknown distribution"


@dataclass(frozen=True)
class Plugin:
    """One entry point, not imported.

    Attributes:
        kind: "backend", "logger" or "method".
        name: the entry point's.
        distribution, version: of the package that has the entry point.
        target: the module that the entry point names; of a method, "module:function".
        extras: the distribution's extras.
    """

    kind: str
    name: str
    distribution: str
    version: str
    target: str
    extras: tuple[str, ...] = ()

    @property
    def package(self) -> str | None:
        """What pip calls the distribution; None where its metadata are gone."""
        return None if self.distribution == UNKNOWN else self.distribution

    def __str__(self) -> str:
        return f"{self.kind} plugin {self.name!r} from {self.distribution} {self.version}"


def describe(kind: str, entry_point: EntryPoint) -> Plugin:
    """The plugin of an entry point, from the metadata alone."""
    try:  # after an aborted uninstallation it is None, or missing where importlib_metadata has replaced Python's own
        metadata: Any = None if entry_point.dist is None else entry_point.dist.metadata
    except FileNotFoundError:
        metadata = None
    if metadata is None:
        return Plugin(kind, entry_point.name, UNKNOWN, "?", entry_point.value)
    name, version = metadata.get("Name", UNKNOWN), metadata.get("Version", "?")
    extras = tuple(metadata.get_all("Provides-Extra", ()))
    return Plugin(kind, entry_point.name, name, version, entry_point.value, extras)


def needs(plugin: Plugin, exc: ImportError) -> str:
    """The message for a plugin that does not import."""
    missing = getattr(exc, "name", None)
    if not isinstance(exc, ModuleNotFoundError) or missing is None:
        return f"{plugin} does not import: {exc}"
    if missing.partition(".")[0] == plugin.target.partition(":")[0].partition(".")[0]:
        return f"{plugin} is not there: no module {missing!r}; reinstall {plugin.distribution}"
    return f"{plugin} needs {missing!r}; try: {install_command(plugin, missing.partition('.')[0])}"


def install_command(plugin: Plugin, *packages: str) -> str:
    """What to type to get what a plugin needs: its distribution's extra of the plugin's name, else these packages."""
    extra = f'"{plugin.distribution}[{plugin.name}]"' if plugin.name in plugin.extras else ""
    return f"pip install {extra or ' '.join(packages)}"
