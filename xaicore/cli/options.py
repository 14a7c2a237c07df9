"""The arguments of `Explainer` as options: how they are typed, and how messages of the core name them."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Callable, Iterator
from typing import Any

import click

from xaicore.data.names import Arguments
from xaicore.ensemble import AUGMENTATIONS
from xaicore.errors import XaicoreError
from xaicore.maps import FUSIONS
from xaicore.outputs import KINDS

__all__ = ["LABELS", "OPTIONS", "ensemble_options", "in_options", "message", "reading_options"]

OPTIONS = {
    "activation": "--activation",
    "address": "--address",
    "augment": "--augment",
    "axes": "--axes",
    "backend": "--backend",
    "batch_size": "--batch-size",
    "box_classes": "--box-classes",
    "class_names": "--labels",
    "device": "--device",
    "devices": "--devices",
    "engine": "--engine",
    "fuse": "--fuse",
    "grid": "--grid",
    "input_axes": "--input-axes",
    "kind": "--kind",
    "layer": "--layer",
    "method": "--method",
    "outliers": "--outliers",
    "out": "--out",
    "output": "--output",
    "precision": "--precision",
    "readers": "--readers",
    "shard": "--shard",
    "shard_size": "--shard-size",
    "smooth": "--smooth",
    "spec": "--model",
    "targets": "--target",
    "truth": "--truth",
    "weights": "--weights",
    "workers": "--workers",
}
"""{argument: option}."""

LABELS = Arguments(OPTIONS["targets"], OPTIONS["truth"], OPTIONS["class_names"], OPTIONS["targets"])
"""The names of the options for labels, for the messages of `xaicore.data`."""

ARGUMENT = re.compile(
    rf"(?<![\w.'\"-])({'|'.join(OPTIONS)})="
    r"('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|\([-\d, ]*\)|\([a-z](?:, [a-z])+\)|\.\.\.|-?\d+|None\b|"
    r"(?=[ ,;:)]|\.?$|\. ))"
)
"""An argument and its value, as Python writes them: axes='nlc', grid=(14, 14), output=1; or grid=(h, w), layer=..."""

FLAG = re.compile(r"(?<![\w.'\"-])(compile|resume|trust)=True\b")
"""An argument that is a flag on the command line."""

LEFT_OUT = re.compile(rf"\bleave (compile|{'|'.join(OPTIONS)}) out\b")
"""An argument that is not to be passed."""

METHOD = re.compile(r"xaicore\.method\('([^'()]+)', ([^()]*)\)")
"""A method with options, as Python writes it: xaicore.method('legrad', blocks=4)."""


class Positions(click.ParamType):
    """The positions of tokens: 14x14 for pictures, 8x14x14 for volumes and clips."""

    name = "HxW"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """`14x14` as (14, 14)."""
        if not re.fullmatch(r"[1-9]\d*(x[1-9]\d*)*", value):
            self.fail(f"{value!r}: expected positions joined by x, such as 14x14", param, ctx)
        return tuple(map(int, value.split("x")))


class Noise(click.ParamType):
    """Noisy copies: 16, or 16x0.15 with the noise as a fraction of the picture's range."""

    name = "N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | tuple[int, float]:
        """`16` as 16, `16x0.15` as (16, 0.15)."""
        found = re.fullmatch(r"([1-9]\d*)(?:x(\d*\.?\d+))?", value)
        if found is None:
            self.fail(f"{value!r}: expected a number of noisy copies, such as 16 or 16x0.15", param, ctx)
        return int(found[1]) if found[2] is None else (int(found[1]), float(found[2]))


def ensemble_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of maps that are means over versions of a picture, or join several layers."""
    options = (
        click.option(
            "--smooth",
            type=Noise(),
            metavar="N[xNOISE]",
            help="The mean over this many noisy copies; 16x0.2 adds noise of 0.2 of the picture's range.",
        ),
        click.option(
            "--augment",
            type=click.Choice(list(AUGMENTATIONS)),
            multiple=True,
            help="The mean over the picture and this version of it, mapped back; may be repeated.",
        ),
        click.option(
            "--fuse",
            type=click.Choice([*FUSIONS, "none"]),
            default="mean",
            show_default=True,
            help="How the maps of several --layer become one; none keeps them apart.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def reading_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say what the model does not show of its outputs, layers and inputs."""
    options = (
        click.option(
            "--kind",
            type=click.Choice(KINDS),
            help="What the outputs are.  [default: as the model shows; one linear output is a value]",
        ),
        click.option(
            "--axes",
            metavar="LETTERS",
            help="A letter per axis of the explained layer's output, such as nchw, nhwc or nlc: n images, c channels, "
            "h w d t positions, l tokens.  [default: as the model shows]",
        ),
        click.option(
            "--grid",
            type=Positions(),
            metavar="HxW",
            help="The positions that the explained layer's tokens stand for, such as 14x14; tokens before them are "
            "prefix tokens.  [default: as the model shows]",
        ),
        click.option(
            "--input-axes",
            metavar="LETTERS",
            help="A letter per axis of the input, such as nhwc.  [default: as the model shows]",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def message(error: XaicoreError) -> str:
    """The message of an error with options instead of arguments; what a model or a plugin raised stays as it is."""
    text = str(error)
    for foreign in _foreign(error):
        head, found, tail = text.partition(foreign)
        if found:
            return f"{in_options(head)}{found}{in_options(tail)}"
    return in_options(text)


def in_options(text: str) -> str:
    """Arguments in Python's notation as options: "axes='nlc'" becomes "--axes nlc"."""
    text = LEFT_OUT.sub(lambda found: f"leave {OPTIONS.get(found[1], '--compile')} out", text)
    return ARGUMENT.sub(_replaced, FLAG.sub(r"--\1", METHOD.sub(r'--method "\1(\2)"', text)))


def _replaced(found: re.Match[str]) -> str:
    argument, value = found.groups()
    if argument == "grid" and value.lstrip("-").isdecimal():  # an option of RISE: that of `Explainer` has two numbers
        return found[0]
    return _typed(OPTIONS[argument], value)


def _typed(option: str, value: str) -> str:
    """One option with a value, as it is typed into a shell."""
    if value in ("", "..."):
        return f"{option} {value}".rstrip()
    if re.fullmatch(r"\([a-z, ]+\)", value):
        return f"{option} {'x'.join(value[1:-1].upper().split(', '))}"
    given = ast.literal_eval(value)
    if given is None:
        return f"no {option}"
    if isinstance(given, tuple):
        return f"{option} {'x'.join(map(str, given))}"
    return f"{option} {shlex.quote(str(given))}"


def _foreign(error: BaseException) -> Iterator[str]:
    """The texts of the errors behind this one that xaicore did not write."""
    cause = error.__cause__
    while cause is not None:
        if not isinstance(cause, XaicoreError) and str(cause):
            yield str(cause)
        cause = cause.__cause__
