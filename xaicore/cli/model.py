"""The options of every command that needs a model, and what they stand for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click

from xaicore.backend import Backend
from xaicore.errors import InputError
from xaicore.models import NamedModel, default_model, find_model
from xaicore.models.code import find_object
from xaicore.models.typed import is_code
from xaicore.pictures import IMAGENET, Preparation, example, or_imagenet
from xaicore.pictures.imagenet import imagenet

__all__ = ["RANDOM", "Model", "as_output", "check_weights", "load_model", "model_options"]

RANDOM = "the weights are random: heatmaps show nothing that was learned"
"""The remark on a model that nobody has trained."""


@dataclass(frozen=True)
class Model:
    """A model, its name on the command line, and the preparation of its pictures.

    Attributes:
        model: the model.
        name: as it was typed.
        title: one line for people.
        prepare: makes its inputs of pictures; None where nothing says how.
        class_names: as in `xaicore.NamedModel`.
        is_pretrained: as in `xaicore.NamedModel`.
    """

    model: Any
    name: str
    title: str
    prepare: Preparation | None
    class_names: Sequence[str] | Mapping[int, str] | None = None
    is_pretrained: bool | None = None

    def preparation(self, backend: Backend) -> Preparation:
        """How pictures become its inputs, in the layout that this backend of it takes.

        Raises:
            InputError: nothing says how. A map of pictures that were prepared otherwise would look right, too.
        """
        if self.prepare is None:
            raise InputError(_unknown(self.name, backend))
        return self.prepare.for_backend(backend)


def model_options(command: Callable[..., Any], required: bool = True) -> Callable[..., Any]:
    """Add the options of every command that needs a model: the arguments of `load_model`, then the backend's."""
    options = (
        click.option(
            "--model",
            "model",
            required=required,
            metavar="NAME",
            help="A model by name, torchvision/resnet50 (`xaicore models` lists them); a file, best.keras; a folder of "
            "save_pretrained; or code, package.module:name or net.py:name, where a function or class is called without "
            "arguments, and any other object is the model itself.",
        ),
        click.option(
            "--weights",
            metavar="FILE|none",
            help="A file of weights to load into the model: .pt, .safetensors, .weights.h5; none for random weights.  "
            "[default: those that the library has]",
        ),
        click.option(
            "--trust",
            is_flag=True,
            help="Also read files in formats that run code as they are read, such as a pickled module. Only for files "
            "from people you trust.",
        ),
        click.option(
            "--preprocess",
            metavar="MODULE:NAME|imagenet",
            help="A function from a picture, (H, W, 3) uint8 RGB, to x, one input without batch axis, or to (x, "
            "picture), with the picture uint8 RGB as the network sees it; imagenet is the preparation of most ImageNet "
            "models of PyTorch.  [default: the library's own; of code, `preprocess` in its module]",
        ),
        click.option("--device", metavar="DEVICE", help='Move the model to this device: model.to("cuda:0").'),
        click.option("--backend", metavar="NAME", help="The backend plugin, if the model's class does not tell it."),
        click.option("--output", metavar="NAME", help="The output to explain, an index or a name."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def load_model(
    model: str | None, preprocess: str | None, device: str | None, weights: str | None = None, trust: bool = False
) -> Model:
    """Find the model, the default one where none is named, and the preparation of its pictures if there is one.

    Raises:
        InputError: there is no such model or function.
    """
    given = None if preprocess is None else _given(preprocess)
    check_weights(model, weights)
    if model is None:
        model, found = default_model(device)
    else:
        found = find_model(model, weights, trust, device)
    prepare = given or _own(found)
    return Model(found.model, model, found.title, prepare, found.class_names, found.is_pretrained)


def check_weights(model: str | None, weights: str | None) -> None:
    """Refuse weights of no model: the default one has its own.

    Raises:
        InputError: there are such.
    """
    if model is None and weights is not None:
        raise InputError(
            f"weights={weights!r} needs the model that it is for: add spec='library/name' or 'net.py:build'"
        )


def as_output(output: str | None) -> int | str | None:
    """An index, if the text is a number; else a name."""
    return int(output) if output is not None and output.isdecimal() else output


def _given(preprocess: str) -> Preparation | None:
    if preprocess == IMAGENET:
        return Preparation.of(IMAGENET)
    if not is_code(preprocess):
        raise InputError(f"--preprocess {preprocess!r}: expected package.module:name, file.py:name or imagenet")
    _, function = find_object(preprocess, f"--preprocess {preprocess}")
    if not callable(function):
        raise InputError(f"--preprocess {preprocess}: {function!r} is no function; expected f(picture) -> (x, picture)")
    return Preparation(function, preprocess)


def _own(found: NamedModel) -> Preparation | None:
    """The model's own preparation."""
    function = found.preprocess
    if function is None or function is imagenet:
        return Preparation.of(function)
    name = getattr(function, "__qualname__", None)
    return Preparation(function, str(function) if name is None else f"{function.__module__}:{name}")


def _unknown(model: str, backend: Backend) -> str:
    """What to type where nothing says how pictures are prepared."""
    return (
        f"--model {model} does not say how a picture becomes its input. Write prepare.py with `import cv2` and a "
        f"function that resizes and scales as your training did, `{example(backend)}`, and add --preprocess "
        f"prepare.py:preprocess{or_imagenet(backend, '--preprocess imagenet')}"
    )
