"""`xaicore new-plugin`: a package to start from, whose tests name the first clause of the contract to fill in."""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping
from pathlib import Path

import click
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from xaicore import METHODS, __version__, plugins
from xaicore.cli.failures import Command
from xaicore.cli.screen import console, remark
from xaicore.errors import InputError
from xaicore.testing import KIT_VERSION
from xaicore.testing.lacking import FEATURES

__all__ = ["command"]

TEMPLATES = Path(__file__).parent / "templates"
HAS = ("gradients", "facts", "bias", "takes", "reads", "reached", "reader", "float16", "bfloat16")
"""What the new backend has as soon as its gaps are filled in, or is asked for no earlier than it offers it."""


@click.command("new-plugin", cls=Command)
@click.argument("kind", type=click.Choice(list(plugins.KINDS)))
@click.argument("name")
@click.option("--folder", type=click.Path(path_type=Path), help="Where to write it; xaicore-NAME if it is left out.")
def command(kind: str, name: str, folder: Path | None) -> None:
    """Write the package of a new backend, logger or method.

    NAME is what users type, such as --logger NAME. For a backend, it is the root module of the framework's models.
    Its tests are the contract of plugins; they run at once, and with -x stop at the first clause to fill in.

    \b
    Examples:
      xaicore new-plugin backend mxnet
      xaicore new-plugin logger comet
      xaicore new-plugin method my-cam
    """
    _check(kind, name)
    folder = folder or Path(f"xaicore-{name.lower()}")
    if folder.exists():
        raise InputError(f"{folder} exists; name another one: --folder PATH")
    for path, source in _files(kind, name, folder.name).items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(source, encoding="utf-8")
        click.echo(place)
    screen = console(stderr=True)
    remark(
        screen, f"next: cd {folder}, and python -m pytest -x, which needs pytest; README.md walks through what it says"
    )


def _check(kind: str, name: str) -> None:
    """That the name can be an entry point's, and is free.

    Raises:
        InputError: it cannot, or is taken.
    """
    letters = "[A-Za-z][A-Za-z0-9_]*" if kind == "backend" else "[A-Za-z][A-Za-z0-9_-]*"
    if not re.fullmatch(letters, name) or keyword.iskeyword(name):
        wanted = "the root module of the framework" if kind == "backend" else "letters, digits, - and _"
        raise InputError(f"NAME={name!r}: expected {wanted}, such as {'mxnet' if kind == 'backend' else 'my-cam'}")
    registry = plugins.installed()
    for plugin in (*registry.listing(), *registry.disabled):
        if (plugin.kind, plugin.name) == (kind, name):
            raise InputError(f"NAME={name!r} is taken by the {plugin}: a name belongs to one distribution")
    if kind == "method" and name in METHODS:
        raise InputError(f"NAME={name!r} is a method of xaicore: choose another name")


def _files(kind: str, name: str, folder: str) -> Mapping[Path, str]:
    """{path in the folder: text}."""
    identifier = name.replace("-", "_")
    package = f"xaicore_{identifier.lower()}"
    values = {
        "kind": kind,
        "name": name,
        "identifier": identifier,
        "package": package,
        "folder": folder,
        "class_name": "".join(part[:1].upper() + part[1:] for part in identifier.split("_")),
        "version": ".".join(__version__.split(".")[:2]),
        "kit_version": KIT_VERSION,
        "at_first": {feature: one for feature, one in FEATURES.items() if feature not in HAS},
    }
    root = TEMPLATES / kind
    environment = Environment(loader=FileSystemLoader(root), undefined=StrictUndefined, keep_trailing_newline=True)
    renamed = {"package": package, "test_name.py": f"test_{identifier}.py"}
    found = {}
    for template in sorted(environment.list_templates(extensions=["jinja"])):
        parts = template.removesuffix(".jinja").split("/")
        path = Path(*(renamed.get(part, part) for part in parts))
        found[path] = environment.get_template(template).render(values)
    return found
