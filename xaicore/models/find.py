"""From a name to a model: the plugins are asked one by one, and the first that knows it answers."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from xaicore import plugins
from xaicore.errors import DependencyError, InputError, PluginError, type_name
from xaicore.models.advice import as_library, is_installed, unknown_model
from xaicore.models.code import build
from xaicore.models.named import ModelLibrary, ModelSpec, NamedModel
from xaicore.models.typed import is_code, read_spec
from xaicore.models.weights import check_weights
from xaicore.randomness import preserved

__all__ = ["find_model", "libraries"]


def find_model(spec: Any, weights: Any = None, trust: bool = False, device: str | None = None) -> NamedModel:
    """The model that a text names: of a library, in a file, or built by code.

    Args:
        spec: "library/name" such as "torchvision/resnet50"; a file such as "best.keras"; a folder that Transformers'
            save_pretrained wrote; or code that builds the model, "package.module:function" or "net.py:function".
        weights: a file of weights to load into it; "none" for random weights on purpose; None for the library's own.
        trust: also read files in formats that run code as they are read. Only for files from people you trust.
        device: the model is moved to this device, `model.to("cuda:0")`.

    Raises:
        InputError: nothing is called so, or the file or the weights do not fit; the message says what to type.
        DependencyError: the library is not installed.
        BackendError: the weights cannot be downloaded.
    """
    asked = read_spec(spec, weights, trust)
    check_weights(asked.weights)
    if asked.trust and os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # for the class of a pickled module, which the `xaicore` command would not find
    found = _of_code(asked) if is_code(asked.text) else _ask(asked)
    if found is None:
        raise unknown_model(asked, libraries())
    found = replace(found, name=asked.text)
    return found if device is None else replace(found, model=_moved(found.model, device))


def libraries() -> list[ModelLibrary]:
    """The libraries that the plugins know, in the order of the plugins, whether they are installed or not."""
    found: list[ModelLibrary] = []
    for answer in _answers("xaicore_model_libraries"):
        found += answer
    return found


def _of_code(asked: ModelSpec) -> NamedModel:
    try:
        model, preprocess = build(asked.text)
    except InputError as exc:
        raise InputError(f"{exc}{as_library(asked.text, libraries())}") from exc.__cause__
    if asked.weights is not None and not os.path.isfile(os.path.expanduser(asked.weights)):
        raise InputError(f"weights={asked.weights!r}: no such file (in {os.getcwd()})")
    found = _ask(replace(asked, model=model))
    if found is None and asked.weights is None:
        return NamedModel(model, f"{asked.text}, weights as the code makes them", preprocess)
    if found is None:
        raise InputError(
            f"weights={asked.weights!r}: no backend plugin loads this file into a {type_name(model)}; load it in the "
            f"function that spec={asked.text!r} names"
        )
    return replace(found, preprocess=preprocess or found.preprocess)


def _ask(asked: ModelSpec) -> NamedModel | None:
    """The first answer. Where a plugin fails and no other answers, its reason is the error: it knows the name.

    Raises:
        PluginError: a plugin failed, or answered with something else.
    """
    failed: list[PluginError] = []
    named = [] if asked.model is None else plugins.installed().by_class(asked.model)
    for answer in _answers("xaicore_model", failed, named, spec=asked):
        if not isinstance(answer, NamedModel):
            raise PluginError(
                f"a plugin answered spec={asked.text!r} with a {type_name(answer)}; expected an xaicore.NamedModel"
            )
        for exc in failed:
            _warn(exc)
        return answer
    for exc in failed:
        raise PluginError(f"spec={asked.text!r}: {exc}") from exc.__cause__
    return None


def _installed_first(names: Sequence[str]) -> list[str]:
    """A plugin whose framework is missing can only say so: it is imported where no other answers."""
    return sorted(names, key=lambda name: not is_installed(name.partition(".")[0]))


def _answers(
    hook: str, failed: list[PluginError] | None = None, candidates: Sequence[str] = (), **arguments: Any
) -> Iterator[Any]:
    """What the backend plugins answer, one after the other; a broken one is skipped with a warning.

    Args:
        hook, arguments: of the plugins.
        candidates: the names of those that are asked; all of them where there are none.
        failed: filled with the errors of plugins that can be imported, which are skipped without a warning.
    """
    registry = plugins.installed()
    for name in candidates or _installed_first(registry.names("backend")):
        is_loaded = False
        try:
            plugin = registry.find("backend", name)
            registry.load(plugin)
            is_loaded = True
            with preserved():  # weights are random until they are loaded
                answer = registry.ask(plugin, hook, **arguments)
        except PluginError as exc:
            if isinstance(exc.__cause__, DependencyError):  # the spec is the plugin's, which says what it lacks
                raise exc.__cause__ from None
            if is_loaded and failed is not None:
                failed.append(exc)
            else:
                _warn(exc)
            continue
        if answer is not None:
            yield answer


def _warn(skipped: PluginError) -> None:
    warnings.warn(f"skipped while looking for a model: {skipped}", RuntimeWarning, stacklevel=2)


def _moved(model: Any, device: str) -> Any:
    move = getattr(model, "to", None)
    if not callable(move):
        raise InputError(
            f"device={device!r}: a {type_name(model)} has no .to(device); place the model in a function, and name "
            "that: spec='package.module:function'"
        )
    try:
        return move(device)
    except Exception as exc:
        raise InputError(f"device={device!r}: {type(exc).__name__}: {exc}") from exc
