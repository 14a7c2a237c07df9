"""What a model by name is: the request that plugins see, their answer, and what a library offers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["ModelLibrary", "ModelSpec", "NamedModel"]


@dataclass(frozen=True)
class ModelSpec:
    """A request for a model, as `xaicore_model` gets it. Later versions may add fields.

    Attributes:
        text: what the user typed, such as "timm/convnext_tiny", "best.keras" or "net.py:build".
        library: what stands before the first "/", such as "timm"; None for paths and for code.
        name: the rest; the whole text without a library.
        weights: a file of weights to load into the model, or the name of weights that the library knows; None for the
            library's own.
        trust: files may be read in formats that run code as they are read, such as a pickled module.
        pretrained: False for random weights, on purpose.
        model: the model that `package.module:name` built; what is left is to load `weights`, if there are any, and to
            say how pictures become its input, where the model shows that. Else None.
    """

    text: str
    library: str | None
    name: str
    weights: str | None = None
    trust: bool = False
    pretrained: bool = True
    model: Any = None


@dataclass(frozen=True)
class NamedModel:
    """A model with all that is needed to explain pictures, as `xaicore_model` returns it.

    Attributes:
        model: the model, ready to be explained.
        title: one line for people, such as "resnet50, torchvision, weights IMAGENET1K_V2".
        preprocess: None, or a function from a picture, (H, W, 3) uint8 RGB, to x, one input without a batch axis, or to
            (x, picture): the picture uint8 RGB exactly as the network sees it, resized and cropped, before scaling.
        class_names: one name per class, in class order, or {index: name}; None where they are not known.
        is_pretrained: whether its weights were trained; None where that is not known.
        name: what `find_model` found it by, which sets it; None for a model that was not found by name.
    """

    model: Any
    title: str
    preprocess: Callable[[Any], Any] | None = None
    class_names: Sequence[str] | Mapping[int, str] | None = None
    is_pretrained: bool | None = None
    name: str | None = None


@dataclass(frozen=True)
class ModelLibrary:
    """A library of models, as `xaicore_model_libraries` lists it, whether it is installed or not.

    Attributes:
        name: what is typed before the "/".
        package: the name that is imported.
        names: returns the names of its models; it imports the library, and may take seconds.
        example: a name in the library, for messages.
        install: the command that installs it, as it is typed into a shell.
        defaults: names for pictures of any kind, where the user names none, the best first.
        has_weights: whether the weights of this name are on this machine; it imports nothing heavy.
        rank: among libraries whose defaults need a download, the lowest comes first.
        common: names that people type, for messages where the library is not installed and `names` cannot list them.
    """

    name: str
    package: str
    names: Callable[[], Iterable[str]]
    example: str
    install: str
    defaults: tuple[str, ...] = ()
    has_weights: Callable[[str], bool] = lambda name: False
    rank: int = 100
    common: tuple[str, ...] = ()
