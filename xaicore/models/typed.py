"""How the name of a model is written: `library/name`, a path, or `package.module:name`."""

from __future__ import annotations

import os
import re
from typing import Any

from xaicore.data.flags import check_flag
from xaicore.errors import InputError
from xaicore.models.named import ModelSpec

__all__ = ["FORMS", "is_code", "read_spec"]

FORMS = (
    "library/name such as 'torchvision/resnet50', a file such as 'best.keras', a folder of save_pretrained, or "
    "'package.module:function'"
)
RANDOM = "none"
"""The value of `weights` for random weights."""

LIBRARY = re.compile(r"([A-Za-z][\w-]*)/(.*)", re.DOTALL)


def read_spec(text: Any, weights: Any = None, trust: bool = False) -> ModelSpec:
    """The request that a user's text stands for.

    Raises:
        InputError: it is no text, empty or a URL; or the weights are no text, or trust is no bool.
    """
    if not isinstance(text, (str, os.PathLike)):
        raise InputError(f"spec={text!r}: expected {FORMS}. A model itself goes to xaicore.Explainer")
    if weights is not None and not isinstance(weights, (str, os.PathLike)):
        raise InputError(f"weights={weights!r}: expected the path of a file, or 'none' for random weights")
    text = os.fspath(text).strip()
    if not text:
        raise InputError(f"spec='' names no model: expected {FORMS}")
    if "://" in text:
        raise InputError(
            f"spec={text!r} is a URL, and nothing is downloaded from one: download the file and pass its path; models "
            "of huggingface.co are called 'hf/owner/name'"
        )
    file = None if weights is None else os.fspath(weights)
    is_random = file is not None and file.lower() == RANDOM
    library, name = _split(text)
    return ModelSpec(text, library, name, None if is_random else file, check_flag(trust, "trust"), not is_random)


def is_code(text: str) -> bool:
    """Whether a text is written as `package.module:name` or `folder/file.py:name`."""
    module, _, name = text.rpartition(":")  # a drive, C:\\net.py:build, has a colon of its own
    is_module = module.endswith(".py") or all(part.isidentifier() for part in module.split("."))
    return is_module and all(part.isidentifier() for part in name.split("."))


def _split(text: str) -> tuple[str | None, str]:
    found = LIBRARY.fullmatch(text)
    if found is None or is_code(text) or os.path.isfile(text):
        return None, text
    return found[1], found[2]
