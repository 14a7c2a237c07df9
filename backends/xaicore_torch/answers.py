"""What of a model's answer is explained: the part that is chosen, and the parts beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import is_tensor, nn

from xaicore import BackendError, OutputError, XaicoreError
from xaicore.outputs import Output, choose_name, part_shape, parts_of
from xaicore_torch.arrangement import Arrangement
from xaicore_torch.copies import to_host

__all__ = ["Choice", "Chosen", "HostParts", "NoRowsError", "configured_classes"]

Part: TypeAlias = "torch.Tensor | list[torch.Tensor]"
"""A tensor; or a list of one per image, each in its own number."""


@dataclass(frozen=True)
class Chosen:
    """What one pass answered.

    Attributes:
        y: the tensor that is explained, as the model gives it; of a part with one tensor per image, with zeros where
            an image has less.
        name: of the part that it is; None for one that the caller's function makes of them.
        parts: all parts.
    """

    y: torch.Tensor
    name: int | str | None = None
    parts: Mapping[int | str, Part] = field(default_factory=dict)

    @property
    def shapes(self) -> dict[int | str, tuple[int, ...]]:
        """{name or position: shape} of all parts, for `Facts.outputs`."""
        return {name: part_shape(part) for name, part in self.parts.items()}


class NoRowsError(BackendError):
    """An output has not one row per image.

    Attributes:
        shape: of the output.
    """

    def __init__(self, message: str, shape: tuple[int, ...]) -> None:
        super().__init__(message)
        self.shape = shape

    def has_images_behind(self, shape: tuple[int, ...], count: int) -> bool:
        """Whether this output, of one image, shows that another axis than the first grows with the images.

        Args:
            shape: of the output for all images, which has a row for each by chance.
            count: N.
        """
        pairs = list(zip(self.shape, shape, strict=False))
        return len(self.shape) == len(shape) and pairs[0] == (count, count) and (1, count) in pairs[1:]


class Choice:
    """Chooses what is explained.

    Args:
        output: the caller's, as in `TorchBackend`.
    """

    def __init__(self, output: int | str | Output | None) -> None:
        self._output = output if isinstance(output, Output) else Output(output)

    @property
    def is_score(self) -> bool:
        """Whether a function computes scores that are explained as they are."""
        return self._output.is_score

    @property
    def is_arranged(self) -> bool:
        """Whether the caller says which axis is which."""
        return self._output.axes is not None

    @property
    def states_classes(self) -> bool:
        """Whether the caller says which axis holds the classes."""
        return self._output.axes is not None and "c" in self._output.axes

    @property
    def has_images_first(self) -> bool:
        """Whether the caller says so, or says nothing."""
        return self._image_axis == 0

    def of(self, returned: Any, count: int) -> Chosen:
        """What is explained, among all that the model returned for `count` images.

        Without a choice: the only part, the one called "logits", or the scores of boxes.

        Raises:
            BackendError: there is none, several and nothing chooses between them, or it has not one row per image.
            OutputError: the caller's function returned no tensor, or the caller's axes are not those of the output.
        """
        parts = parts_of(returned, is_tensor, count)
        if self._output.read is not None:
            y = _read(self._output.read, returned, parts)
            same = (name for name, part in parts.items() if part is y)
            return Chosen(self._checked(y, count), next(same, None), parts)
        name = choose_name(parts, self._output.name, returned, preferred="logits")
        part = parts[name]
        return Chosen(self._checked(_filled(part) if isinstance(part, list) else part, count), name, parts)

    def arrangement(self, y: torch.Tensor, class_axis: int | None) -> Arrangement:
        """How such a tensor becomes `Capture.outputs`, where its classes lie on this axis unless the caller says so."""
        axes, order = self._output.axes, self._output.order
        if axes is not None and order is not None:
            return Arrangement(order, adds_classes="c" not in axes and len(axes) > 2)
        return Arrangement.with_classes_at(class_axis, y.ndim)

    def parts_on_host(self, chosen: Chosen, count: int) -> HostParts:
        """All parts with a row per image."""
        parts = dict(chosen.parts)
        if chosen.name is not None and self._image_axis and not isinstance(parts[chosen.name], list):
            parts[chosen.name] = chosen.y.movedim(self._image_axis, 0)
        return HostParts(parts, count)

    @property
    def _image_axis(self) -> int:
        return 0 if self._output.axes is None else self._output.axes.index("n")

    def _checked(self, y: torch.Tensor, count: int) -> torch.Tensor:
        axes, shape = self._output.axes, tuple(y.shape)
        if axes is not None and len(axes) != y.ndim:
            raise OutputError(f"output_axes={axes!r}: the output has shape {shape}, {y.ndim} axes")
        if y.ndim and y.shape[self._image_axis] == count:
            return y
        if axes is not None:
            raise OutputError(
                f"output_axes={axes!r}: axis {self._image_axis} of the output {shape} has no row for each of {count} "
                "images"
            )
        later = " Images on another axis: pass output_axes=, such as 'lnc'." if count in shape[1:] else ""
        raise NoRowsError(
            f"the model returned {shape} for {count} images; expected ({count}, ...), one row per image.{later} A "
            "squeeze() without an axis drops the batch axis of a single image. A model with one answer for a "
            "bag of images: wrap it in one that takes (1, images, ...), a batch of one bag, and passes x[0] on",
            shape,
        )


class HostParts(Mapping[int | str, Sequence[np.ndarray]]):
    """The parts with a row per image, as NumPy; each is copied to the host when it is read.

    Args:
        parts: {name or position: part}.
        count: N.
    """

    def __init__(self, parts: Mapping[int | str, Part], count: int) -> None:
        self._parts = {
            name: [one.detach() for one in part] if isinstance(part, list) else part.detach()
            for name, part in parts.items()
            if isinstance(part, list) or (part.ndim and len(part) == count)
        }
        self._on_host: dict[int | str, Sequence[np.ndarray]] = {}

    def __getitem__(self, name: int | str) -> Sequence[np.ndarray]:
        if name not in self._on_host:
            part = self._parts[name]
            rows = [_array(one) for one in part] if isinstance(part, list) else _array(part)
            self._on_host[name] = rows  # type: ignore[assignment]  # an array is a sequence of rows
        return self._on_host[name]

    def __contains__(self, name: object) -> bool:  # not by reading it
        return name in self._parts

    def __iter__(self) -> Iterator[int | str]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)


def configured_classes(model: nn.Module) -> int | None:
    """How many classes the model's configuration names, as those of Transformers do; None where it names none."""
    count = getattr(getattr(model, "config", None), "num_labels", None)
    return count if isinstance(count, int) and count > 0 else None


def _read(function: Callable[[Any], Any], returned: Any, parts: Mapping[int | str, Part]) -> torch.Tensor:
    """What the caller's function makes of the model's answer.

    Raises:
        OutputError: it raised, or returned no tensor of floating-point numbers.
    """
    called = f"the function {getattr(function, '__name__', type(function).__name__)} of the model's answer"
    described = ", ".join(f"{name!r} {part_shape(part)}" for name, part in parts.items()) or type(returned).__name__
    try:
        y = function(returned)
    except XaicoreError:
        raise
    except Exception as exc:  # any that a caller's function raises
        raise OutputError(f"{called} raised {type(exc).__name__}: {exc}; the model returned {described}") from exc
    if isinstance(y, torch.Tensor) and y.is_floating_point():
        return y
    is_whole = isinstance(y, torch.Tensor)
    kind = f"{str(y.dtype).removeprefix('torch.')} {tuple(y.shape)}" if is_whole else f"a {type(y).__name__}"
    raise OutputError(
        f"{called} returned {kind}: expected floating-point scores, a row per image, made of {described} in torch"
    )


def _filled(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    """(N, most, ...), with zeros where an image has less; gradients go through."""
    most = part_shape(list(tensors))[1:]
    rows = []
    for tensor in tensors:
        missing = [length - own for length, own in zip(most, tensor.shape, strict=True)]
        rows.append(nn.functional.pad(tensor, [n for one in reversed(missing) for n in (0, one)]))
    return torch.stack(rows)


def _array(tensor: torch.Tensor) -> np.ndarray:
    """The values, of whole numbers as they are."""
    if tensor.is_floating_point():
        return to_host(tensor).copy()  # some models return a tensor that they keep
    array: np.ndarray = tensor.cpu().numpy().copy()
    return array
