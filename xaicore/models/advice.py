"""What to type instead of a name that no plugin knows."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from importlib.util import find_spec

from xaicore import plugins
from xaicore.errors import InputError, XaicoreError, nearest, nearest_file
from xaicore.models.named import ModelLibrary, ModelSpec
from xaicore.models.typed import FORMS

__all__ = ["as_library", "is_installed", "unknown_model", "unknown_name"]

MODULE = re.compile(r"""([A-Za-z_]\w*)\.(?:\w+\.)*(\w+)(?:\((?:["']([^"']+)["'])?.*\))?""")
"""A model as Python calls it: torchvision.models.resnet18, keras.applications.MobileNetV2(), timm.create_model("a")."""

TWIN = {"transformers": "hf", "huggingface": "hf", "tf": "keras", "tensorflow": "keras"}
"""{what else libraries are called: their name here}."""


def unknown_name(library: ModelLibrary, name: str) -> InputError:
    """The error for a name that a library does not have, with the nearest ones. For plugins."""
    if not name:
        return InputError(
            f"spec='{library.name}/' names no model: expected a name such as '{library.name}/{library.example}'; "
            f"`xaicore models {library.name}/` lists them"
        )
    known = list(library.names())
    near = _joined(f"{library.name}/{one}" for one in _near(name, known) or (known if len(known) <= 3 else ()))
    meant = f"; did you mean {near}?" if near else "."
    return InputError(
        f"spec='{library.name}/{name}': {library.package} has no model {name!r}{meant} `xaicore models "
        f"{library.name}/` lists them"
    )


def unknown_model(asked: ModelSpec, known: Sequence[ModelLibrary]) -> InputError:
    """The error for a text that no plugin answers: it says what is wrong with it, and what to type."""
    reason = _reason(asked, {one.name: one for one in known})
    disabled = [plugin.name for plugin in plugins.installed().disabled if plugin.kind == "backend"]
    told = f"; disabled: {', '.join(disabled)}, try: {plugins.enable_command(disabled[0])}" if disabled else ""
    return InputError(f"spec={asked.text!r}: {reason}{told}")


def as_library(text: str, known: Sequence[ModelLibrary]) -> str:
    """What to type for timm:resnet18, which reads as code, as the end of a sentence; "" for other code."""
    head, _, name = text.partition(":")
    library = TWIN.get(head, head)
    if library not in {one.name for one in known}:
        return ""
    return f"; a model of this library is called {f'{library}/{name}'!r}"


def is_installed(package: str) -> bool:
    """Whether a package can be imported; it is not."""
    try:
        return find_spec(package) is not None
    except (ImportError, ValueError):
        return False


def _reason(asked: ModelSpec, known: dict[str, ModelLibrary]) -> str:
    text = asked.text
    if ":" in text and "/" not in text.rpartition(":")[2]:
        return _as_code(text)
    path = os.path.expanduser(text)
    if os.path.isdir(path):
        return (
            f"this folder holds no model: expected one that save_pretrained of Transformers wrote, with a config.json. "
            f"For weights alone pass spec='net.py:build' and weights='{text}/<file>'"
        )
    if path.endswith(".py") or os.path.isfile(f"{path}.py"):
        return f"name the function in it that builds the model, such as spec='{text}:build'"
    if os.path.isfile(path):
        return f"no backend plugin reads this file; expected {FORMS}"
    as_python = MODULE.fullmatch(text)
    if as_python is not None and TWIN.get(as_python[1], as_python[1]) in known:
        library = known[TWIN.get(as_python[1], as_python[1])]
        names = [as_python[3]] if as_python[3] else _near(as_python[2], _names(library)) or [library.example]
        return f"write it as library/name: {_joined(f'{library.name}/{one}' for one in names)}"
    head, colon, rest = text.partition(":")
    if colon and TWIN.get(head, head) in known:
        return f"write it as library/name: {f'{TWIN.get(head, head)}/{rest}'!r}"
    is_tagged = asked.library is not None and nearest(asked.library, known)  # as timm/resnet18.a1_in1k
    if (re.search(r"\.\w{1,11}$", text) and not is_tagged) or text.startswith((".", "~", os.sep)):
        return f"no such file or folder (in {os.getcwd()}){nearest_file(path)}"
    if asked.library is not None:
        return _unknown_library(asked, known)
    return _in_libraries(text, known)


def _as_code(text: str) -> str:
    module, _, name = text.rpartition(":")
    dotted = re.sub(r"\.py$", "", module).strip("./\\").replace("/", ".").replace("\\", ".")
    if not re.fullmatch(r"[A-Za-z_][\w.]*", dotted):
        dotted = "package.module"
    name = name if name.isidentifier() else "build"
    return f"expected 'package.module:function' or 'file.py:function', such as '{dotted}:{name}'"


def _unknown_library(asked: ModelSpec, known: dict[str, ModelLibrary]) -> str:
    if asked.library in known:
        return "the plugin that knows this library gave no model; `xaicore plugins --check` says what it lacks"
    library = TWIN.get((asked.library or "").lower())
    near = [library] if library in known else nearest(asked.library or "", known, count=1)
    if near:
        return f"no library is called {asked.library!r}; did you mean '{near[0]}/{asked.name}'?"
    there = f"; a model of huggingface.co is called 'hf/{asked.text}'" if "hf" in known else ""
    libraries = ", ".join(known) or "none"
    return f"no such folder, and no library is called {asked.library!r}: the libraries are {libraries}{there}"


def _in_libraries(name: str, known: dict[str, ModelLibrary]) -> str:
    """A bare name, such as resnet18: the libraries that have it."""
    if name in known:
        return f"this is a library; name one of its models, such as '{name}/{known[name].example}'"
    if TWIN.get(name.lower()) in known:
        library = known[TWIN[name.lower()]]
        return f"models of {name} are called '{library.name}/...', such as '{library.name}/{library.example}'"
    installed = [library for library in known.values() if is_installed(library.package)]
    names = {library.name: list(_names(library)) for library in installed}
    exact = [f"{library}/{one}" for library, all_of in names.items() for one in all_of if one.lower() == name.lower()]
    lacking = [library for library in known.values() if library not in installed]
    if exact:
        return f"write the library before the name: {_joined(exact)}"
    near = nearest(name, (one for all_of in names.values() for one in all_of))
    places = _joined(f"{library}/{one}" for one in near for library, all_of in names.items() if one in all_of)
    to_install = _to_install(name, lacking)
    if to_install:
        here = f"; the nearest of what is installed: {places}" if near else ""
        return f"write the library before the name, and install it: {to_install}{here}"
    if near:
        return f"no library has a model of this name; did you mean {places}?"
    more = f". More models: {' or '.join(f'`{library.install}`' for library in lacking)}" if lacking else ""
    return f"expected {FORMS}; `xaicore models` lists the names of libraries{more}"


def _to_install(name: str, lacking: Sequence[ModelLibrary]) -> str:
    """The libraries to install that have this name, as far as their plugins tell: only an installed one lists all."""
    found = []
    for library in lacking:
        told = (*library.defaults, *library.common)
        same = next((one for one in told if one.lower() == name.lower()), None)
        if same is not None:
            found.append(f"{f'{library.name}/{same}'!r} (`{library.install}`)")
    return " or ".join(found[:3])


def _near(name: str, known: Iterable[str]) -> list[str]:
    known = list(known)
    same = [one for one in known if one.lower() == name.lower()]
    return same or nearest(name, known)


def _names(library: ModelLibrary) -> Iterator[str]:
    """The names of a library; none where it is not installed or does not import."""
    try:
        yield from library.names()
    except (XaicoreError, ImportError):
        return


def _joined(names: Iterable[str]) -> str:
    return " or ".join(map(repr, list(names)[:3]))
