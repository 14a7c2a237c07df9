"""The registry: entry points found, plugins imported one by one and checked."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Container, Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import pluggy

from xaicore import hookspecs
from xaicore.backend import Backend
from xaicore.errors import PluginError, XaicoreError, did_you_mean, type_name
from xaicore.logger import Logger
from xaicore.outputs import Output
from xaicore.plugins.disabled import disabled_names, enable_command
from xaicore.plugins.entry_point import KINDS, Plugin, describe, needs
from xaicore.plugins.hooks import unknown_in
from xaicore.plugins.waiting import told_if_slow
from xaicore.versions import check_version

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["Plugins", "check_instance", "installed"]

CONTRACTS: dict[str, type[Backend] | type[Logger]] = {"backend": Backend, "logger": Logger}


class Plugins:
    """The plugins of some entry points, imported one by one as they are asked for.

    Args:
        entry_points: each with what its metadata says.
        disabled: names of plugins that are not to be used, whatever their kind.

    Attributes:
        disabled: the plugins of these names, by kind and name.
    """

    def __init__(self, entry_points: Iterable[tuple[Plugin, EntryPoint]], disabled: Container[str] = ()) -> None:
        found = dict(entry_points)
        self._entry_points = {plugin: one for plugin, one in found.items() if plugin.name not in disabled}
        self.disabled = _sorted(plugin for plugin in found if plugin.name in disabled)
        self._manager = pluggy.PluginManager("xaicore")
        self._manager.add_hookspecs(hookspecs)
        self._loaded: dict[Plugin, object] = {}

    def listing(self) -> list[Plugin]:
        """All that are not disabled, by kind and name. Imports nothing and never raises."""
        return _sorted(self._entry_points)

    def names(self, kind: str) -> list[str]:
        """The names of one kind that are not disabled, sorted."""
        return sorted({plugin.name for plugin in self._entry_points if plugin.kind == kind})

    def by_class(self, model: Any) -> list[str]:
        """The names of backends that are the root modules of a model's class and its bases, most derived first."""
        available = self.names("backend")
        return [root for root in _roots(model) if root in available]

    def find(self, kind: str, name: str) -> Plugin:
        """The plugin of this name.

        Raises:
            PluginError: none has it, it is disabled, or two distributions claim it.
        """
        claims = [plugin for plugin in self.listing() if (plugin.kind, plugin.name) == (kind, name)]
        for plugin in self.disabled:
            if (plugin.kind, plugin.name) == (kind, name):
                raise PluginError(f"{plugin} is disabled; try: {enable_command(name)}")
        if not claims:
            limit = os.environ.get("XAICORE_PLUGINS")
            also = "" if limit is None else f" (XAICORE_PLUGINS={limit!r} limits them)"
            near = did_you_mean(name, self.names(kind))
            raise PluginError(f"no {kind} plugin called {name!r}; installed: {_join(self.names(kind))}{also}{near}")
        if len(claims) > 1:
            owners = " and ".join(f"{plugin.distribution} {plugin.version}" for plugin in claims)
            raise PluginError(f"{kind} plugin {name!r} is claimed by {owners}: uninstall all but one of them")
        return claims[0]

    def answer(self, plugin: Plugin) -> tuple[list[str], str | None] | None:
        """The libraries that a plugin says it lacks, and what to type; None where it does not say. Imports the plugin.

        Raises:
            PluginError: it is broken.
        """
        if plugin.kind == "method":
            self.method(plugin.name)
            return None
        if "xaicore_missing" not in {hook.name for hook in self._manager.get_hookcallers(self.load(plugin)) or ()}:
            return None
        names, command = self.ask(plugin, "xaicore_missing") or ((), None)
        return list(names), command

    def load(self, plugin: Plugin) -> object:
        """Import and register a plugin once, and return it.

        Raises:
            PluginError: it does not import, has no hook, or has one that xaicore does not know.
        """
        if plugin in self._loaded:
            return self._loaded[plugin]
        loaded = self._import(plugin)
        if not self._manager.is_registered(loaded):  # one module may serve both groups
            self._register(plugin, loaded)
        hook = f"xaicore_{plugin.kind}"
        if hook not in {caller.name for caller in self._manager.get_hookcallers(loaded) or ()}:
            raise PluginError(
                f"{plugin} has no hook: {plugin.target} needs a function {hook} decorated with @xaicore.hookimpl"
            )
        self._loaded[plugin] = loaded
        return loaded

    def _import(self, plugin: Plugin) -> object:
        try:
            with told_if_slow(plugin, "to be imported"):
                loaded: object = self._entry_points[plugin].load()
        except ImportError as exc:
            raise PluginError(needs(plugin, exc)) from exc
        except (Exception, SystemExit) as exc:  # a broken shared library raises OSError, a bad module anything
            raise PluginError(f"{plugin} does not import: {type(exc).__name__}: {exc}") from exc
        return loaded

    def _register(self, plugin: Plugin, loaded: object) -> None:
        try:
            self._manager.register(loaded, name=f"{KINDS[plugin.kind]}:{plugin.name}:{plugin.distribution}")
            self._manager.check_pending()
        except Exception as exc:
            if self._manager.is_registered(loaded):
                self._manager.unregister(loaded)
            unknown = unknown_in(loaded, self._manager)
            raise PluginError(f"{plugin} does not keep the contract: {unknown or exc}") from exc

    def backend(self, model: Any, output: int | str | Output | None = None, name: str | None = None) -> Backend:
        """A backend for this model: the named one, else the one of the model's class, else the first that accepts it.

        Raises:
            PluginError: no backend accepts the model, or the one that should is missing or broken.
        """
        if name is not None:
            plugin = self.find("backend", name)
            found = self._ask_backend(plugin, model, output)
            if found is None:
                raise PluginError(f"{plugin} does not accept a {type_name(model)}")
            return found
        available, tried = self.names("backend"), {}
        roots, by_class = _roots(model), self.by_class(model)
        others = [other for other in available if other not in by_class]
        others.sort(key=lambda other: other not in sys.modules)  # who has a model has imported its framework
        for candidate in [*by_class, *others]:
            try:
                found = self._ask_backend(self.find("backend", candidate), model, output)
            except PluginError as exc:
                if candidate in by_class:
                    raise
                warnings.warn(f"skipped while looking for a backend: {exc}", RuntimeWarning, stacklevel=2)
                tried[candidate] = "broken"
                continue
            if found is not None:
                return found
            tried[candidate] = "declined"
        off = {plugin.name: "disabled" for plugin in self.disabled if plugin.kind == "backend"}
        wanted = [root for root in roots if root in off]
        advice = f"Try: {enable_command(wanted[0])}" if wanted else _advice(model)
        bases = _join(root for root in roots if root != "builtins")
        outcome = (
            ", ".join(f"{candidate}: {how}" for candidate, how in sorted((tried | off).items()))
            or "nothing, none is installed"
        )
        raise PluginError(f"no backend accepts {_named(model)} (bases from: {bases}); tried {outcome}. {advice}")

    def _ask_backend(self, plugin: Plugin, model: Any, output: int | str | Output | None) -> Backend | None:
        self.load(plugin)
        with told_if_slow(plugin, "to answer xaicore_backend"):
            found = self.ask(plugin, "xaicore_backend", model=model, output=output)
        if found is not None:
            check_instance(found, "backend", str(plugin), plugin.package)
            if not found.name:
                found.name = plugin.name
        return found

    def method(self, name: str) -> Callable[..., Any]:
        """The function of the named method.

        Raises:
            PluginError: the plugin is missing or broken, or names no function.
        """
        plugin = self.find("method", name)
        found = self._import(plugin)
        if not callable(found):
            raise PluginError(f"{plugin} names a {type_name(found)}; expected a function, as 'package.module:function'")
        return found

    def logger(self, name: str, options: Mapping[str, Any]) -> Logger:
        """A logger built by the named plugin, not yet opened.

        Raises:
            PluginError: the plugin is missing or broken, or does not take these options.
        """
        plugin = self.find("logger", name)
        found = self.ask(plugin, "xaicore_logger", options=dict(options))
        if found is None:
            raise PluginError(f"{plugin} gave no logger for the options {dict(options)!r}")
        check_instance(found, "logger", str(plugin), plugin.package)
        return found

    def ask(self, plugin: Plugin, hook: str, **arguments: Any) -> Any:
        """Call a hook of one plugin, and of no other; None where the plugin does not implement it.

        Raises:
            PluginError: the plugin is broken. Other errors of xaicore that it raises pass.
        """
        loaded = self.load(plugin)
        others = [other for other in self._manager.get_plugins() if other is not loaded]
        try:
            return self._manager.subset_hook_caller(hook, others)(**arguments)
        except ImportError as exc:
            raise PluginError(needs(plugin, exc)) from exc
        except XaicoreError:
            raise
        except Exception as exc:
            # The names alone: a logger's options may hold a key that must not end up in a log.
            options = f" with the options {', '.join(arguments['options'])}" if arguments.get("options") else ""
            raise PluginError(f"{plugin} raised {type(exc).__name__}{options}: {exc}") from exc


def check_instance(value: object, kind: str, origin: str, distribution: str | None = None) -> None:
    """Check that what a plugin returned is of the contract's class and version.

    Raises:
        PluginError: it is not.
    """
    expected = CONTRACTS[kind]
    if not isinstance(value, expected):
        raise PluginError(f"{origin} gave a {type_name(value)}; expected a subclass of xaicore.{expected.__name__}")
    check_version(value.api_version, expected.api_version, origin, distribution)


@cache
def installed() -> Plugins:
    """The plugins of this environment, read from the metadata once per process.

    `installed.cache_clear()` makes the next call read again, after an installation, or a change of
    XAICORE_PLUGINS or of what is disabled.
    """
    # Imported here: it doubles the time of `import xaicore`.
    from importlib.metadata import entry_points

    limit = os.environ.get("XAICORE_PLUGINS")
    wanted = None if limit is None else {name.strip() for name in limit.split(",")}
    everything = entry_points()  # once: each call reads the files of all distributions
    found: dict[Plugin, EntryPoint] = {}
    for kind, group in KINDS.items():
        for entry_point in everything.select(group=group):
            if wanted is None or entry_point.name in wanted:
                found[describe(kind, entry_point)] = entry_point
    return Plugins(found.items(), disabled_names())


def _sorted(found: Iterable[Plugin]) -> list[Plugin]:
    return sorted(found, key=lambda plugin: (plugin.kind, plugin.name, plugin.distribution))


def _roots(model: Any) -> list[str]:
    return list(dict.fromkeys(cls.__module__.partition(".")[0] for cls in type(model).__mro__))


def _named(model: Any) -> str:
    return f"the class {model.__module__}.{model.__qualname__}" if isinstance(model, type) else type_name(model)


def _advice(model: Any) -> str:
    """What to pass instead of what no backend accepts."""
    if isinstance(model, type):
        return f"Pass an instance of it, such as {model.__qualname__}()"
    if isinstance(model, Mapping):
        return "Weights alone, such as a state_dict, do not say how the model computes: build it, and load them"
    if isinstance(model, (str, os.PathLike)):
        return f"xaicore.load({str(model)!r}) loads a model by its name or file; or load it yourself, and pass that"
    if type(model).__module__.partition(".")[0] == "xaicore":
        return "xaicore made it of a model: pass the model itself, or where names are taken, its name"
    return "Install a backend plugin for its framework, or pass backend=<a Backend instance>"


def _join(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"
