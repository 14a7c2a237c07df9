"""Checks of sizes, numbers, axes and types of inputs that change from call to call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from xaicore.backend import Backend
from xaicore.errors import XaicoreError
from xaicore.testing.checks import checks, deviate, same
from xaicore.testing.kit import some
from xaicore.testing.powers import PowerChecks
from xaicore.testing.subject import Subject

__all__ = ["SizeChecks"]

SIZED = ("conv", "pair", "residual", "loop", "segments", "words")
"""Nets that a framework can apply to pictures of any size."""


class SizeChecks(PowerChecks):
    """What a backend keeps of one call is of no other form of inputs."""

    @checks("backend-fresh", since=2)
    def test_pictures_of_another_size(self) -> None:
        """Of a model that takes them, between calls with those of the usual size; `picture_size` fits that."""
        for subject in (*self.subjects(), *self.others()):
            for more in ((3, 0), (0, 2)) if subject.net.name in SIZED else ():
                self._check_size(subject, subject.pictures)
                larger = tuple(one if one.dtype.kind == "i" else _larger(one, more) for one in subject.pictures)
                size, what = subject.backend.picture_size, f"picture_size of the {subject.net.name} net"
                try:
                    self._check_size(subject, larger)
                except XaicoreError:
                    is_told = _tells_size(subject.backend) and len(subject.pictures) == 1
                    same(f"{what}, which takes no other", size and tuple(size), (6, 8) if is_told else None)
                else:
                    same(f"{what}, which takes others", size, None)

    def _check_size(self, subject: Subject, pictures: tuple[np.ndarray, ...]) -> None:
        inputs, values = subject.to_inputs(*pictures), subject.net.forward(*pictures)
        rows = np.random.default_rng(7).normal(size=(2, 3, *values["dense"].shape[1:])).astype(np.float32)
        captured = subject.capture(subject.maps, subject.aim(rows), inputs)
        what = f"of the {subject.net.name} net, pictures {pictures[0].shape[2:]}"
        same(f"input_size {what}", tuple(captured.input_size), pictures[0].shape[2:])
        self.close(f"outputs {what}", captured.outputs, values["dense"])
        expected = subject.net.backward(values, rows)
        facts = subject.backend.observe(inputs)
        for name in subject.maps:
            self.close(f"activations at {name!r} {what}", subject.activations(captured, name), values[name])
            if self.has_gradients:
                self.close(f"gradients at {name!r} {what}", subject.gradients(captured, name), expected[name])
            if facts is not None and "#" not in name:
                shape = facts.named[subject.layers[name]].shape
                same(f"lengths of {name!r} {what}", sorted(shape[1:]), sorted(values[name].shape[1:]))

    @checks("powers-resume", since=2)
    def test_resuming_from_as_many_rows_of_other_images(self) -> None:
        """Six rows: of two images, of three, of six, and of two again."""
        for subject in (self.subject(), *self.others()):
            if self.having("resume", subject) and subject.net.name in ("conv", "residual"):
                for count in (2, 3, 6, 2):
                    self._check_rows(subject, count)

    def _check_rows(self, subject: Subject, count: int) -> None:
        net: Any = subject.net
        name, pictures = subject.maps[-2], net.pictures(count, seed=5)
        values = net.forward(*pictures)
        factors = np.linspace(0.5, 1.5, 6).reshape(6, *[1] * (values[name].ndim - 1))
        rows = (values[name].repeat(6 // count, axis=0) * factors).astype(np.float32)
        given = subject.to_inputs(*pictures), subject.named(name), subject.raw(name, rows)
        expected = net.after(name, rows.astype(np.float64), values)["dense"]
        what = f"outputs from {name!r} of the {net.name} net on, six rows of {count} images"
        self.close(what, subject.backend.resume(*given), expected)

    @checks("backend-layout", since=2)
    def test_the_channels_of_each_net(self) -> None:
        """`channels_last` is that of the first picture."""
        for subject in (*self.subjects(), *self.others()):
            (given, *_) = _parts(subject.inputs)
            shape, size = tuple(np.shape(subject.backend.to_numpy(given))), subject.pictures[0].shape[2:]
            what = f"channels_last of the {subject.net.name} net, which takes {shape}"
            same(what, bool(subject.backend.channels_last), shape[1:3] == size)

    @checks("backend-inputs", since=2)
    def test_inputs_by_name_in_another_order(self) -> None:
        """Names tell which is which."""
        named = (subject for subject in self.others() if isinstance(subject.inputs, Mapping))
        for subject in some(named, "there is no net that takes inputs by name"):
            captured = subject.capture(inputs=dict(reversed([*subject.inputs.items()])))
            what = f"outputs of the {subject.net.name} net, its inputs in another order"
            self.close(what, captured.outputs, subject.values["dense"])

    @checks("backend-inputs", since=2)
    def test_a_tuple_of_one(self) -> None:
        """A tuple is the arguments of a model: this is the only one."""
        subject = self.subject()
        captured = subject.capture([subject.last_map], inputs=(subject.inputs,))
        self.close("outputs for a tuple of one", captured.outputs, subject.values["dense"])

    @checks("backend-arrays", since=2)
    def test_whole_numbers_stay_whole(self) -> None:
        """`to_numpy` changes no type of those that are no floating-point numbers."""
        subject = self.subject()
        pictures = tuple((picture > 0).astype(np.uint8) * 3 for picture in subject.pictures)
        given = subject.to_inputs(*pictures)
        if "int" in str(getattr(given, "dtype", "")):
            came = subject.backend.to_numpy(given)
            same("the kind of whole numbers by `to_numpy`", came.dtype.kind in "iu", True)
            if set(np.unique(came).tolist()) != {0, 3}:
                deviate("whole numbers by `to_numpy`", "0 and 3", np.unique(came))


def _larger(picture: np.ndarray, more: tuple[int, int]) -> np.ndarray:
    """(N, C, h, w) continued by so many rows and columns."""
    return np.pad(picture, ((0, 0), (0, 0), *((0, one) for one in more)), mode="wrap")


def _tells_size(backend: Backend) -> bool:
    """Whether a backend ever says which size of pictures a model takes."""
    return "picture_size" in vars(backend) or type(backend).picture_size is not Backend.picture_size


def _parts(inputs: Any) -> Iterator[Any]:
    """The inputs, one by one."""
    if isinstance(inputs, Mapping):
        yield from inputs.values()
    elif isinstance(inputs, (tuple, list)):
        yield from inputs
    else:
        yield inputs
