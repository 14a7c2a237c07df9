"""What an element of a data set means: a picture or the model's own input, and its label.

Elements are `x`, `(x, label)`, or a dict with one image and at most one label. A picture is an image of Pillow or a
uint8 array with the channels last, and is prepared; an array of floats is the model's own input, and is not. Nor are
the inputs of a model of several: `((x1, x2), label)`, or `({"a": x1, "b": x2}, label)`. Anything else is refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from xaicore.errors import type_name
from xaicore.pictures import PictureError
from xaicore.pictures.reading import is_pil, read_array, read_pil
from xaicore.source.inputs import Inputs
from xaicore.trees import as_array, leaves

__all__ = ["DIGEST", "LABELS", "Element", "digest_of", "read_element"]

LABELS = ("label", "labels", "target", "targets", "y", "cls", "class")
"""Keys under which a dict has its label."""

DIGEST = 8
"""Bytes of an element's digest."""

EXPECTED = (
    "expected x, (x, label), or a dict with one image and one label, where x is a picture (an image of Pillow, or "
    "uint8 (H, W, 3)) or the model's own input (floats, without a batch axis); of a model of several inputs, ((x1, "
    "x2), label) or ({'a': x1, 'b': x2}, label)"
)


@dataclass(frozen=True, eq=False)
class Element:
    """An element that is read.

    Attributes:
        x: uint8 RGB (H, W, 3), or the model's own input, or several of them, without a batch axis.
        label: as the data set has it; None where there is none.
        is_input: x is the model's own input.
        key: of the image, in a dict.
        label_key: of the label, in a dict.
        is_pil: the data set has an image of Pillow.
        name: its own, which a dict has under "__key__".
    """

    x: np.ndarray | Inputs
    label: Any
    is_input: bool
    key: str | None = None
    label_key: str | None = None
    is_pil: bool = False
    name: str | None = None


def read_element(value: Any, name: str) -> Element:
    """The picture or input in an element, and its label.

    Args:
        value: what the data set returns.
        name: what to call it in messages, such as "source[3]".

    Raises:
        PictureError: it is none of what is expected, or the picture cannot be read.
    """
    if isinstance(value, Mapping):
        return _of_dict(value, name)
    x, label = value, None
    if isinstance(value, (tuple, list)):
        if not 1 <= len(value) <= 2:
            raise PictureError(
                f"{name} is a {type(value).__name__} of {_kinds(value)}: {EXPECTED}; with more parts, return those two"
            )
        x, label = value if len(value) == 2 else (value[0], None)
    return _element(x, label, name)


def digest_of(element: Element) -> bytes:
    """A hash of an element's values and label, `DIGEST` bytes."""
    found = hashlib.blake2b(digest_size=DIGEST)
    if isinstance(element.x, Inputs):
        found.update(repr(element.x.shape).encode())
    for array in leaves(element.x.value if isinstance(element.x, Inputs) else element.x):
        found.update(f"{array.dtype} {array.shape}".encode())
        found.update(np.ascontiguousarray(array).data)
    for part in leaves(element.label):
        found.update(repr(as_array(part).tolist() if hasattr(part, "shape") else part).encode())
    return found.digest()


def _of_dict(value: Mapping[Any, Any], name: str) -> Element:
    images = [key for key, part in value.items() if key not in LABELS and _is_image(part)]
    labels = [key for key in LABELS if key in value]
    if len(images) != 1 or len(labels) > 1:
        held = ", ".join(f"{key!r}: {_kind(part)}" for key, part in value.items())
        lacks = f"{len(images)} of them are images" if len(images) != 1 else f"{' and '.join(labels)} are labels"
        decode = ". Encoded pictures are decoded by the data set: .decode('pil') of WebDataset, cast_column(name, " + (
            "datasets.Image()) of Hugging Face"
        )
        raise PictureError(
            f"{name} is a dict with {held}; {lacks}: {EXPECTED}{'' if images else decode}. Other columns are left out "
            "by .to_tuple(image, label) of WebDataset, .select_columns([image, label]) of Hugging Face, or in a data "
            "set of your own by returning (x, label)"
        )
    key, label_key = images[0], labels[0] if labels else None
    found = _element(value[key], None if label_key is None else value[label_key], f"{name}[{key!r}]")
    own = value.get("__key__")
    return replace(found, key=key, label_key=label_key, name=own if isinstance(own, str) else None)


def _element(x: Any, label: Any, name: str) -> Element:
    if isinstance(x, (Mapping, tuple, list)) and any(hasattr(leaf, "shape") or is_pil(leaf) for leaf in leaves(x)):
        return Element(Inputs.read(x, name), label, True)
    if is_pil(x):
        return Element(read_pil(x, name), label, False, is_pil=True)
    if not _is_image(x):
        path = ". Paths are a list: pass [(path, label), ...]" if isinstance(x, str) else ""
        raise PictureError(f"{name} is {_kind(x)}: {EXPECTED}{path}")
    array = as_array(x, name)
    if array.dtype != np.uint8:
        return Element(array, label, True)
    if array.ndim == 3 and array.shape[0] in (1, 3) and array.shape[-1] not in (1, 3):
        raise PictureError(
            f"{name} is {_kind(x)} with its channels first: {EXPECTED}. Return x as floats, scaled as the model takes "
            "them, or with its channels last: x.permute(1, 2, 0) of a tensor, x.transpose(1, 2, 0) of an array"
        )
    return Element(read_array(array, name), label, False)


def _is_image(value: Any) -> bool:
    """Whether this is a picture, or floats of three axes or more; tensors of any framework are read as arrays."""
    if is_pil(value):
        return True
    shape, dtype = getattr(value, "shape", None), str(getattr(value, "dtype", ""))
    if shape is None:
        return False
    if dtype.endswith("uint8"):
        return len(shape) in (2, 3)
    return "float" in dtype and len(shape) >= 3


def _kind(value: Any) -> str:
    """A value in words: "float32 (3, 224, 224)", "int", "a PIL.Image.Image"."""
    if getattr(value, "shape", None) is not None:
        kind = str(getattr(value, "dtype", "")).rpartition(".")[2] or type_name(value)
        return f"{kind} {tuple(value.shape)}"
    if isinstance(value, (tuple, list)):
        return f"a {type(value).__name__} of {len(value)}"
    return type_name(value).removeprefix("builtins.")


def _kinds(values: Any) -> str:
    shown = [_kind(one) for one in values[:5]]
    return ", ".join(shown) + (", ..." if len(values) > 5 else "") if shown else "nothing"
