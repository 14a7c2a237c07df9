"""`xaicore models`: the names that --model takes, library by library."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

import click

from xaicore.cli.failures import Command
from xaicore.cli.screen import console, plain, remark, warnings_as_lines
from xaicore.errors import InputError, XaicoreError, did_you_mean
from xaicore.models import ModelLibrary, is_installed, libraries

__all__ = ["command"]


@click.command("models", cls=Command)
@click.argument("text", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(text: str | None, as_json: bool) -> None:
    """List the names that --model takes: all, or those with TEXT in them.

    TEXT may be a pattern, "timm/convnext*"; with a library before the slash, no other is imported. Of Transformers, the
    models on this machine are listed; hf/OWNER/NAME takes any that huggingface.co has.

    \b
    Examples:
      xaicore models
      xaicore models resnet
      xaicore models "timm/convnext*"
    """
    screen = console(stderr=True)
    names: list[str] = []
    with warnings_as_lines(screen):
        known = _asked(libraries(), text)
        for library in known:
            if not is_installed(library.package):
                remark(screen, f"{library.name}/... needs {library.package}: {library.install}", "dim")
                continue
            try:
                found = list(_names(library))
            except XaicoreError as exc:
                remark(screen, f"{library.name}/...: {exc}", "yellow")
                continue
            names += found
            if not as_json:  # at once, as the next library may take seconds to import
                for name in found:
                    if _matches(name, text):
                        click.echo(plain(name))
    shown = [name for name in names if _matches(name, text)]
    if as_json:
        click.echo(json.dumps(shown, indent=2))
    if not shown:
        raise InputError(_nothing(text, names, known))


def _asked(known: Sequence[ModelLibrary], text: str | None) -> Sequence[ModelLibrary]:
    """The library that a text names before its slash; else all."""
    name = (text or "").partition("/")[0].lower() if "/" in (text or "") else None
    return [library for library in known if library.name == name] or known


def _names(library: ModelLibrary) -> Iterator[str]:
    return (f"{library.name}/{name}" for name in library.names())


def _matches(name: str, text: str | None) -> bool:
    wanted = (text or "").lower()
    return fnmatchcase(name.lower(), wanted) if any(c in wanted for c in "*?[") else wanted in name.lower()


def _nothing(text: str | None, names: Sequence[str], known: Sequence[ModelLibrary]) -> str:
    if not names:
        return f"no names: of {', '.join(library.name for library in known)}, none is installed, or has a model here"
    bare = [name.partition("/")[2] for name in names]
    near = did_you_mean(text or "", names) or did_you_mean(text or "", bare)
    return f"none of {len(names)} names has {text!r} in it{near}"
