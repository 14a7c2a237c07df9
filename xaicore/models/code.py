"""Models in code: import what `package.module:name` or `file.py:name` names, and build it."""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from xaicore.errors import InputError, XaicoreError, did_you_mean
from xaicore.pictures import IMAGENET
from xaicore.pictures.imagenet import imagenet

__all__ = ["build", "find_object"]


def build(text: str) -> tuple[Any, Callable[..., Any] | None]:
    """The model that a text names, and the function `preprocess` of its module, None where it has none.

    `preprocess = "imagenet"` in the module stands for the function that prepares pictures so.

    A function or a class is called without arguments; any other object is the model itself.

    Raises:
        InputError: the module does not import, has no such name, or the function raises or returns no model.
    """
    origin = f"spec={text!r}"
    with _searched(_folder_of(text)):
        module, found = find_object(text, origin)
        if inspect.isroutine(found) or inspect.isclass(found) or isinstance(found, functools.partial):
            found = _call(found, origin)
    if found is None or isinstance(found, ModuleType):
        raise InputError(f"{origin}: this is {found!r}; expected a model, or a function that returns one")
    own = getattr(module, "preprocess", None)
    own = imagenet if isinstance(own, str) and own == IMAGENET else own
    return found, own if callable(own) else None


def find_object(text: str, origin: str) -> tuple[ModuleType, Any]:
    """The module, and the object of a dotted name in it. The current folder is searched, too.

    Args:
        text: "package.module:name" or "file.py:name".
        origin: the argument and its value, for messages.

    Raises:
        InputError: the module does not import, or has no such name.
    """
    module_name, _, name = text.rpartition(":")
    try:
        with _searched(_folder_of(text)):
            module = _import(module_name)
    except Exception as exc:
        where = "" if module_name.endswith(".py") else f" (searched the installed packages and {os.getcwd()})"
        raise InputError(
            f"{origin}: module {module_name!r} does not import: {type(exc).__name__}: {exc}{where}"
        ) from exc
    found: Any = module
    for attribute in name.split("."):
        if not hasattr(found, attribute):
            hint = did_you_mean(attribute, dir(found))
            raise InputError(f"{origin}: {module_name} has no {attribute!r}{hint}")
        found = getattr(found, attribute)
    return module, found


def _import(name: str) -> ModuleType:
    if not name.endswith(".py"):
        return importlib.import_module(name)
    path = os.path.abspath(os.path.expanduser(name))
    stem = os.path.basename(path).removesuffix(".py")
    known = sys.modules.get(stem)
    if known is not None and os.path.abspath(getattr(known, "__file__", None) or "") == path:
        return known
    spec = importlib.util.spec_from_file_location(stem, path)
    if spec is None or spec.loader is None or not os.path.isfile(path):
        raise FileNotFoundError(f"no such file: {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[stem] = module  # as an import would: classes in it look themselves up
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[stem]
        raise
    finally:
        if known is not None:  # such as the standard library's module of this name
            sys.modules[stem] = known
    return module


def _folder_of(text: str) -> str:
    """Where the modules of this code lie: the folder of its file, or the current one."""
    module = text.rpartition(":")[0]
    return os.path.dirname(os.path.abspath(os.path.expanduser(module))) if module.endswith(".py") else os.getcwd()


@contextlib.contextmanager
def _searched(folder: str) -> Iterator[None]:
    """Search a folder for modules first, and from then on last: late imports find them, and they hide no others."""
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):  # the code has changed the path itself
            sys.path.remove(folder)
        if folder not in sys.path:
            sys.path.append(folder)


def _call(factory: Callable[[], Any], origin: str) -> Any:
    try:
        return factory()
    except XaicoreError:
        raise
    except Exception as exc:
        raise InputError(f"{origin}: building the model raised {type(exc).__name__}: {exc}") from exc
