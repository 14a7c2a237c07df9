"""Find plugins by entry point, import only what is asked for, report what is broken.

Reading the metadata imports nothing. A plugin is imported

1. when the user names it,
2. when its name is the root module of one of the model's base classes,
3. while probing the rest for one that accepts the model, those first that are called like an imported module.

The first two raise when the plugin is broken; probing warns and goes on. An import that hangs cannot be interrupted:
after a while a warning names the plugin, and how to leave it out.

`XAICORE_PLUGINS=a,b` limits plugins to these names; set and empty, it means none. `disabled` has the file of the names
that the user has disabled.
"""

from xaicore.plugins.choice import backend_for
from xaicore.plugins.disabled import enable_command
from xaicore.plugins.entry_point import KINDS, Plugin, install_command
from xaicore.plugins.registry import Plugins, check_instance, installed

__all__ = [
    "KINDS",
    "Plugin",
    "Plugins",
    "backend_for",
    "check_instance",
    "enable_command",
    "install_command",
    "installed",
]
