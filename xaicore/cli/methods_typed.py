"""Methods as they are typed: `gradcam`, or with options, `rise(masks=2000)`, which is also what results call them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from typing import Any

from xaicore.backend import Backend
from xaicore.errors import InputError
from xaicore.methods import Method, find_methods, method

__all__ = ["read_methods", "without_gradients"]

WITH_OPTIONS = re.compile(r"\s*([^()]+?)\s*\((.*)\)\s*", re.DOTALL)


def read_methods(typed: Iterable[str]) -> list[Method]:
    """The methods of --method, each once.

    Raises:
        InputError: options are not written as Python writes them.
        MethodError: a method is unknown, or has no such option.
    """
    return find_methods([_read(one) for one in dict.fromkeys(typed)])


def without_gradients(backend: Backend) -> Method:
    """Where no method is typed and the backend has no gradients: it tells classes apart, as Grad-CAM does."""
    return method("reciprocam" if "resume" in backend.powers else "scorecam")


def _read(typed: str) -> Method:
    found = WITH_OPTIONS.fullmatch(typed)
    if found is None and "," in typed:
        several = " ".join(f"--method {one.strip()}" for one in typed.split(","))
        raise InputError(f"--method {typed}: one method each; try: {several}")
    return method(typed) if found is None else method(found[1], **_options(typed, found[2]))


def _options(typed: str, inside: str) -> dict[str, Any]:
    """`masks=2000, p=0.3` as a dict; nothing in it is run."""
    try:
        call = ast.parse(f"f({inside})", mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.args:
            raise ValueError("these are no options")
        options = {_name(one): ast.literal_eval(one.value) for one in call.keywords}
        if len(options) < len(call.keywords):
            raise ValueError("an option is given twice")
        return options
    except (SyntaxError, ValueError) as exc:
        raise InputError(
            f'--method {typed!r}: expected options as in --method "rise(masks=2000, p=0.3)"; values are numbers, '
            "True, False, None, or text in quotes"
        ) from exc


def _name(option: ast.keyword) -> str:
    if option.arg is None:
        raise ValueError("this is no option")
    return option.arg
