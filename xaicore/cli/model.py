"""Import what `--model package.module:name` and `--preprocess package.module:name` name."""

from __future__ import annotations

import functools
import importlib
import inspect
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import click

from xaicore.cli.preparation import BUILT_IN, Preparation, imagenet
from xaicore.errors import InputError, XaicoreError, did_you_mean, type_name

__all__ = ["Model", "load_model", "model_options"]


@dataclass(frozen=True)
class Model:
    """A model, its name on the command line, and the preparation of its pictures."""

    model: Any
    name: str
    prepare: Preparation


def model_options(command: Callable[..., Any], required: bool = True) -> Callable[..., Any]:
    """Add the options of every command that needs a model: the arguments of `load_model`, then the backend's."""
    options = (
        click.option(
            "--model",
            "model",
            required=required,
            metavar="MODULE:NAME",
            help="The model, as package.module:name; the current folder is searched too. A function or class is "
            "called without arguments; any other object is the model itself.",
        ),
        click.option(
            "--preprocess",
            metavar="MODULE:NAME",
            help="A function from a picture, (H, W, 3) uint8 RGB, to x, one input without batch axis, or to (x, "
            "picture), with the picture uint8 RGB as the network sees it.  [default: `preprocess` in the model's "
            "module, else the preparation of most ImageNet models]",
        ),
        click.option("--device", metavar="DEVICE", help='Move the model to this device: model.to("cuda:0").'),
        click.option("--backend", metavar="NAME", help="The backend plugin, if the model's class does not tell it."),
        click.option("--output", metavar="NAME", help="The output to explain, an index or a name."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def load_model(model: str, preprocess: str | None, device: str | None) -> Model:
    """Import and build the model.

    Raises:
        InputError: a module does not import, a name is missing, or the factory or `.to(device)` raised.
    """
    folder = os.getcwd()
    if folder not in sys.path:
        sys.path.insert(0, folder)
    module, found = _find(model, "--model")
    if inspect.isroutine(found) or inspect.isclass(found) or isinstance(found, functools.partial):
        found = _call(found, f"--model {model}")
    if found is None or isinstance(found, ModuleType):
        raise InputError(f"--model {model}: this is {found!r}; expected a model, or a function that returns one")
    if device is not None:
        found = _move(found, device)
    return Model(found, model, _preparation(module, preprocess))


def as_output(output: str | None) -> int | str | None:
    """An index, if the text is a number; else a name."""
    return int(output) if output is not None and output.isdecimal() else output


def _preparation(module: ModuleType, preprocess: str | None) -> Preparation:
    if preprocess is not None:
        _, function = _find(preprocess, "--preprocess")
        if not callable(function):
            raise InputError(
                f"--preprocess {preprocess}: {function!r} is no function; expected f(picture) -> (x, picture)"
            )
        return Preparation(function, preprocess)
    own = getattr(module, "preprocess", None)
    if callable(own):
        return Preparation(own, f"{module.__name__}:preprocess")
    return Preparation(imagenet, BUILT_IN)


def _find(spec: str, option: str) -> tuple[ModuleType, Any]:
    """The module, and the object of this dotted name in it."""
    module_name, colon, name = spec.partition(":")
    if not (colon and module_name and name) or "/" in spec or os.sep in spec or module_name.endswith(".py"):
        example = (
            f"{os.path.splitext(module_name)[0].strip('./').replace(os.sep, '.') or 'package.module'}:{name or 'name'}"
        )
        raise InputError(f"{option} {spec!r}: expected package.module:name, such as {example}")
    try:
        module = importlib.import_module(module_name)
    except Exception as exc:
        raise InputError(
            f"{option} {spec}: module {module_name!r} does not import: {type(exc).__name__}: {exc} (searched the "
            f"installed packages and {os.getcwd()})"
        ) from exc
    found: Any = module
    for attribute in name.split("."):
        if not hasattr(found, attribute):
            hint = did_you_mean(attribute, dir(found))
            raise InputError(f"{option} {spec}: {module_name} has no {attribute!r}{hint}")
        found = getattr(found, attribute)
    return module, found


def _call(factory: Callable[[], Any], origin: str) -> Any:
    try:
        return factory()
    except XaicoreError:
        raise
    except Exception as exc:
        raise InputError(f"{origin}: building the model raised {type(exc).__name__}: {exc}") from exc


def _move(model: Any, device: str) -> Any:
    move = getattr(model, "to", None)
    if not callable(move):
        raise InputError(
            f"--device {device}: a {type_name(model)} has no .to(device); place "
            "the model in the function that --model names"
        )
    try:
        return move(device)
    except Exception as exc:
        raise InputError(f"--device {device}: {type(exc).__name__}: {exc}") from exc
