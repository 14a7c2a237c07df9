"""What the suites share: which plugin is checked, what it lacks, and how it is asked."""

from __future__ import annotations

import os
import subprocess
import sys
import types
import unittest
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, NoReturn, TypeVar

import pluggy

from xaicore import hookspecs
from xaicore.testing.checks import checks, deviate, same
from xaicore.testing.clauses import KIT_VERSION

__all__ = ["Kit", "ask", "skip", "some"]

T = TypeVar("T")

IMPORT = """
import importlib, importlib.abc, sys

missing = set({frameworks!r})

class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in missing:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

if {are_missing!r}:
    sys.meta_path.insert(0, Missing())
import xaicore
importlib.import_module({module!r})
brought = sorted(missing & set(sys.modules))
if brought:
    print("it imports", *brought)
"""
"""Imports a plugin in a process of its own; whatever is printed is too much."""


class Kit:
    """The base of all suites.

    Attributes:
        kit_version: the version of the kit that these tests were written for. Write the number down: clauses that
            came later then warn for a release before they fail.
        plugin: the module that the entry point names, or an object with the hooks.
        frameworks: the root modules of what the plugin serves; none of them may be imported with the plugin.
        lacks: {what: why} of all that cannot be checked, some of `can_lack`; each shows up as skipped.
        rtol, atol: how far values may be off.
    """

    kit_version: ClassVar[int] = 1
    plugin: ClassVar[Any]
    frameworks: ClassVar[tuple[str, ...]] = ()
    lacks: ClassVar[Mapping[str, str]] = {}
    can_lack: ClassVar[tuple[str, ...]] = ()
    rtol: ClassVar[float] = 1e-4
    atol: ClassVar[float] = 1e-5

    def need(self, *features: str) -> None:
        """Skip a check, with the reason, where one of these features is declared to be lacking."""
        for feature in features:
            if feature in self.lacks:
                skip(f"{feature}: {self.lacks[feature]}")

    def module_name(self) -> str:
        """The module that the entry point names."""
        if not isinstance(self.plugin, types.ModuleType):
            skip("the plugin is an object, and no module that could be imported")
        return self.plugin.__name__

    @checks("kit-declared")
    def test_what_is_left_out_is_declared(self) -> None:
        """Names in `lacks` are known, and have a reason; `kit_version` is that of a kit."""
        if self.kit_version not in range(1, KIT_VERSION + 1):
            deviate("kit_version", f"at most {KIT_VERSION}, the kit of this xaicore; or upgrade it", self.kit_version)
        for name, reason in self.lacks.items():
            if name not in self.can_lack:
                deviate("a name in `lacks`", f"one of {', '.join(self.can_lack)}", repr(name))
            if not isinstance(reason, str) or not reason.strip():
                deviate(f"lacks[{name!r}]", "why that cannot be checked, in words", repr(reason))

    @checks("plugin-silent")
    def test_the_import_is_silent(self) -> None:
        """With the framework and without it, in a process of its own."""
        module = self.module_name()
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        for are_missing in dict.fromkeys((bool(self.frameworks), False)):
            code = IMPORT.format(frameworks=self.frameworks, are_missing=are_missing, module=module)
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
            where = f"import {module}" + ("" if not are_missing else f" without {self.frameworks}")
            same(f"what {where} prints", (done.stdout + done.stderr).strip()[-1000:], "")


def skip(why: str) -> NoReturn:
    """Leave a check out, so that it does not count as passed.

    Raises:
        unittest.SkipTest: always; it shows the reason.
    """
    raise unittest.SkipTest(why)


def some(each: Iterable[T], why: str) -> Iterator[T]:
    """Each of these; a check that meets none of them is skipped."""
    found = False
    for one in each:
        found = True
        yield one
    if not found:
        skip(why)


def ask(plugin: Any, hook: str, **arguments: Any) -> Any:
    """Call a hook of a plugin as xaicore does.

    Raises:
        Deviation: the plugin has no such hook.
        pluggy.PluginValidationError: a hook takes unknown arguments, or is unknown.
    """
    manager = pluggy.PluginManager("xaicore")
    manager.add_hookspecs(hookspecs)
    manager.register(plugin)
    manager.check_pending()
    if hook not in {caller.name for caller in manager.get_hookcallers(plugin) or ()}:
        deviate("hooks of the plugin", f"a function {hook}, decorated with @xaicore.hookimpl", "none")
    return getattr(manager.hook, hook)(**arguments)
