"""What a model answered in one pass: the output that is explained, and the others, for targets that read them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from xaicore.errors import InputError

__all__ = ["Answer", "Output", "Parts", "output_of"]

Parts = Mapping["int | str", Sequence[np.ndarray]]
"""{name or position of an output: one array per image}, as the model gives them; boxes of each image in its own
number."""

LETTERS = "ncl"
SPACE = "hwdt"


@dataclass(frozen=True)
class Output:
    """Which part of a model's answer is explained, where a name or a position does not say it; for backends.

    Attributes:
        name: a name or a position, as in `Explainer(output=)`; None where there is no choice.
        axes: a letter per axis, such as "nlc": n images, c classes, l tokens or boxes, h w d t positions. None: the
            images are on the first axis, and the backend finds the classes.
        read: a function of the model's answer, in its framework, that returns the tensor to explain, a row per image.
            It is differentiated through.
        is_score: the tensor holds scores, (N,) or (N, K), that are explained as they are: a softmax or sigmoid that
            made them is not left out.

    Raises:
        InputError: the letters are unknown, repeat, or lack the images.
    """

    name: int | str | None = None
    axes: str | None = None
    read: Callable[[Any], Any] | None = None
    is_score: bool = False

    def __post_init__(self) -> None:
        if self.axes is None:
            return
        unknown = [letter for letter in self.axes if letter not in LETTERS + SPACE]
        if unknown or len(set(self.axes)) != len(self.axes) or "n" not in self.axes:
            raise InputError(
                f"output_axes={self.axes!r}: expected a letter per axis, such as 'nlc' for (images, tokens, classes): "
                "n images, c classes, l tokens or boxes, h w d t positions"
            )

    @property
    def order(self) -> tuple[int, ...] | None:
        """The axes in the order of `Capture.outputs`: images, classes, then the others; None without `axes`."""
        if self.axes is None:
            return None
        first = [self.axes.index(letter) for letter in "nc" if letter in self.axes]
        return (*first, *(axis for axis in range(len(self.axes)) if axis not in first))


def output_of(output: Any, axes: str | None) -> int | str | Output | None:
    """What a caller's `output=` and `output_axes=` choose.

    Args:
        output: a name, a position, a function of the model's answer, an `Output`, or None.
        axes: the letters of `Output.axes`, or None.

    Raises:
        InputError: the letters are no axes, or `output` is none of these.
    """
    if isinstance(output, Output):
        return output if axes is None else replace(output, axes=axes)
    if callable(output):
        return Output(axes=axes, read=output)
    if output is not None and not isinstance(output, (int, str)):
        raise InputError(
            f"output={output!r}: expected a name, a position, or a function of the model's answer that returns the "
            "tensor to explain"
        )
    return output if axes is None else Output(output, axes)


@dataclass(frozen=True, eq=False)
class Answer:
    """What a model answered in one pass.

    Attributes:
        outputs: (N, *O), the output that is explained, the class axis at 1.
        kind: "logits", "probabilities" or "values".
        link: what turned logits into these outputs, "softmax" or "sigmoid"; None where nothing says so.
        parts: all outputs, for targets that ask for them (`Target.needs_parts`); else empty.
        name: of the output that is explained, among `parts`.
        class_axis: which axis of that part is axis 1 of `outputs`.
        size: (H, W) of the picture that the model sees; empty where it is not known.
        class_count: how many classes the model's configuration names; None where it names none.
        class_names: the caller's, or None.
        is_followed: boxes that were found before are looked for in a changed picture or layer, in which the others need
            not make sense.
    """

    outputs: np.ndarray
    kind: str
    link: str | None = None
    parts: Parts = field(default_factory=lambda: MappingProxyType({}))
    name: int | str | None = None
    class_axis: int = 1
    size: tuple[int, ...] = ()
    class_count: int | None = None
    class_names: tuple[str, ...] | None = None
    is_followed: bool = False
