"""What of a plugin's hooks this xaicore does not know: misspelled ones, and those of a later version."""

from __future__ import annotations

import inspect

import pluggy

from xaicore import hookspecs

__all__ = ["unknown_in"]

LATER = "if the plugin was written for a later xaicore: pip install --upgrade xaicore"


def unknown_in(plugin: object, manager: pluggy.PluginManager) -> str | None:
    """The first hook, or argument of one, that is unknown, and what to do; None where all are known."""
    known = {name: hook for name, hook in vars(hookspecs).items() if name.startswith("xaicore_")}
    for name in dir(plugin):
        options = manager.parse_hookimpl_opts(plugin, name)
        if options is None or options.get("optionalhook"):
            continue
        hook = options.get("specname") or name
        if hook not in known:
            return f"unknown hook {hook!r}; hooks are {', '.join(sorted(known))}; {LATER}"
        gives = list(inspect.signature(known[hook]).parameters)
        for argument in inspect.signature(getattr(plugin, name)).parameters.values():
            if argument.name not in gives and argument.default is argument.empty:
                return (
                    f"its {hook} takes an argument {argument.name!r}, and is called with {', '.join(gives) or 'none'}: "
                    f"leave it out; or, {LATER}"
                )
    return None
