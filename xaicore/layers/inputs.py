"""Which axes of a model's input are positions of a picture, found by what the first convolution reads.

A model may permute its input, add a channel axis, cut a clip into frames or reshape a row of pixels before it
convolves. The shape that the first convolution takes says what the axes of the input are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import permutations
from math import prod

import numpy as np

from xaicore.facts import InputFacts
from xaicore.layers.grid import POSITIONS
from xaicore.layers.moves import PADDED, REORDERED, changes_of, follows_input, frames_of, moved_axes
from xaicore.layers.padding import padding_at_end

__all__ = ["Frame", "follow_moves", "made_frame", "read_input", "stated_frame", "usual_frame"]

FRAMES = "r"
"""The letter of the axis of an image's frames or views, which the model convolves one by one."""


@dataclass(frozen=True)
class Frame:
    """How an input becomes pictures.

    Attributes:
        axes: a letter per axis of the input, such as "nchw", "nhwc", "nhw", or "nrchw" for clips of frames.
        size: the positions of a picture, (H, W).
        rows: pictures per image in one batch of the model: the frames of a clip, the views of an object.
        frames: the frame, along r, that each run of the first convolution takes, where it takes them one by one; rows
            is 1 there.
        made_by: the layer whose output is the picture, such as a spectrogram of a waveform, if the model makes it;
            `axes` are those of this output.
        taken_by: the layer that takes this picture, where the backend can return it (`Backend.input_of`).
        reshaped: (C, *size) that the input of one image is reshaped to; None where it keeps its shape.
        changes: what the model does to each input before its first convolution, per run of that: what
            `changes_of` finds.
        in_order: the caller says that the rows are frames, which follow each other.
        padding: how many positions of `size` lie behind the picture's end, where the model puts padding.
        is_stated: the caller says what the axes are.
    """

    axes: str
    size: tuple[int, ...]
    rows: int = 1
    reshaped: tuple[int, ...] | None = None
    made_by: str | None = None
    taken_by: str | None = None
    changes: tuple[str | None, ...] = ()
    in_order: bool = False
    frames: tuple[int, ...] = ()
    padding: tuple[int, ...] = ()
    is_stated: bool = False

    @property
    def ndim(self) -> int:
        """The number of axes of the input."""
        return len(self.axes)

    @property
    def positions(self) -> str:
        """The letters of the positions in the order of `size`."""
        return "".join(_positions(self.axes)) if self.reshaped is None else POSITIONS[len(self.size)]

    @property
    def is_upright(self) -> bool:
        """Whether the input has its positions in the order of `size`: "nchw", and not "ncwh"."""
        letters = [letter for letter in self.axes if letter in "dhw"]
        return self.reshaped is not None or letters == sorted(letters)

    @property
    def is_made(self) -> bool:
        """Whether the model makes the pictures itself."""
        return self.made_by is not None or self.taken_by is not None

    @property
    def clip_length(self) -> int:
        """The number of frames of a clip that the model reads as one batch or as a volume; 0 for other inputs."""
        if self.is_made or self.reshaped is not None or self.frames:
            return 0
        if FRAMES in self.axes:
            return self.rows
        return self.size[0] if len(self.size) > 2 else 0

    @property
    def clip_axis(self) -> int:
        """The axis of the frames of such a clip."""
        return self.axes.index(FRAMES if FRAMES in self.axes else _positions(self.axes)[0])

    def by_frame(self) -> Frame:
        """The same clip, shown one frame at a time: "ndhwc" as "nrhwc"."""
        if FRAMES in self.axes:
            return replace(self, rows=1)
        axes = f"{self.axes[: self.clip_axis]}{FRAMES}{self.axes[self.clip_axis + 1 :]}"
        return replace(self, axes=axes, size=self.size[1:])

    def arrange(self, array: np.ndarray, frame: int | None = None) -> np.ndarray:
        """An input (N, ...) as pictures (N * rows, C, *size); with `frame`, this one alone, (N, C, *size)."""
        if self.reshaped is not None:
            return array.reshape(len(array), *self.reshaped)
        if frame is not None:
            array = array.take([frame], axis=self.axes.index(FRAMES))
        order = self._order
        array = array.transpose([self.axes.index(letter) for letter in order])
        if FRAMES in order:
            array = array.reshape(-1, *array.shape[2:])
        array = array if "c" in order else array[:, None]
        return np.pad(array, [(0, 0), (0, 0), *((0, n) for n in self.padding)]) if any(self.padding) else array

    def restore(self, pictures: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """Pictures (N * rows, C, *size) as inputs (N, *shape): the inverse of `arrange`, a view of the pictures."""
        if self.reshaped is not None:
            return pictures.reshape(-1, *shape)
        order = self._order
        if any(self.padding):
            kept = (slice(length - n) for length, n in zip(self.size, self.padding, strict=True))
            pictures = pictures[(slice(None), slice(None), *kept)]
        if FRAMES in order:
            pictures = pictures.reshape(-1, self.rows, *pictures.shape[1:])
        if "c" not in order:
            pictures = pictures[:, :, 0] if FRAMES in order else pictures[:, 0]
        return pictures.transpose([order.index(letter) for letter in self.axes])

    @property
    def _order(self) -> list[str]:
        """The axes of the input in the order of pictures."""
        return [letter for letter in ("n", FRAMES, "c", *_positions(self.axes)) if letter in self.axes]


def read_input(facts: InputFacts, count: int = 1) -> Frame | None:
    """The frame of an input, in a pass of `count` images; None where the facts do not tell its axes.

    The shape that the first convolution takes is compared with the input's: the same axes in another order, one more
    for the channels, the frames of each image in the place of images, or as many numbers in another shape.
    """
    if facts.reader_shape is None or facts.reader_axis is None:
        return None
    divided = frames_of(facts)
    found = None if divided is None else _frame_by_frame(facts, *divided)
    return found or follow_moves(_frame_by_shape(facts, count), facts)


def _frame_by_frame(facts: InputFacts, axis: int, frames: tuple[int, ...]) -> Frame | None:
    """The frame of an input whose pictures lie along one axis, and are taken one by one."""
    axes = moved_axes(facts)
    if axes is None or axes[axis] != "?":
        return None
    axes = f"{axes[:axis]}{FRAMES}{axes[axis + 1 :]}"
    if axes.count("?") > 1:
        return None
    axes = axes.replace("?", "c")
    size = tuple(facts.shape[axes.index(letter)] for letter in _positions(axes))
    return Frame(axes, size, changes=changes_of(facts), frames=frames)


def _frame_by_shape(facts: InputFacts, count: int) -> Frame | None:
    assert facts.reader_shape is not None
    assert facts.reader_axis is not None
    shape, reader = facts.shape, facts.reader_shape
    channels = reader[facts.reader_axis]
    size = tuple(n for axis, n in enumerate(reader) if axis not in (0, facts.reader_axis))
    letters = POSITIONS.get(len(size))
    if letters is None:
        return None
    axes = _same_axes(shape[1:], channels, size, letters, facts.reader_axis) if reader[0] == count else None
    if axes is not None:
        return Frame(f"n{axes}", tuple(shape[1 + axes.index(letter)] for letter in letters))
    if len(shape) > 2 and shape[1] > 1 and shape[1] * count == reader[0]:
        axes = _same_axes(shape[2:], channels, size, letters, facts.reader_axis)
        if axes is not None:
            return Frame(f"n{FRAMES}{axes}", tuple(shape[2 + axes.index(letter)] for letter in letters), shape[1])
    if prod(shape[1:]) == prod(reader[1:]) and reader[0] == count:
        axes = f"n{'?' * (len(shape) - 1)}"
        return Frame(axes, size, reshaped=(channels, *size)) if facts.reader_axis == 1 else None
    return None


def made_frame(facts: InputFacts, count: int = 1) -> Frame | None:
    """The frame of a picture that the model makes of an input with fewer axes: what the first convolution takes.

    Its positions follow those of the input, as the time of a spectrogram follows a waveform; those of a dense layer do
    not. Where that was not seen, a layer makes it.
    """
    shape, axis = facts.reader_shape, facts.reader_axis
    if shape is None or axis is None or len(facts.shape) >= len(shape):
        return None
    is_made = follows_input(facts) if any(facts.reader_moves) else facts.reader_source is not None
    if not is_made or (facts.reader is None and facts.reader_source is None):
        return None
    letters = iter(POSITIONS.get(len(shape) - 2, ""))
    if len(shape) - 2 not in POSITIONS or shape[0] != count:
        return None
    axes = "".join("n" if i == 0 else "c" if i == axis else next(letters) for i in range(len(shape)))
    size = tuple(length for length, letter in zip(shape, axes, strict=True) if letter not in "nc")
    return Frame(axes, size, made_by=facts.reader_source, taken_by=facts.reader)


def follow_moves(frame: Frame | None, facts: InputFacts) -> Frame | None:
    """The frame, with the axes that the positions of the reader come from, and how they were changed on the way."""
    if any(facts.reader_runs) and not any(facts.reader_moves):
        return frame
    changes = changes_of(facts)
    axes = None if any(facts.reader_runs) else moved_axes(facts)
    if axes is None:
        return frame if frame is None else _with_padding(replace(frame, changes=changes), facts)
    others = [i for i, letter in enumerate(axes) if letter == "?"]
    if frame is not None and FRAMES in frame.axes and {frame.axes[i] for i in others} in ({FRAMES, "c"}, {FRAMES}):
        axes = "".join(frame.axes[i] if i in others else letter for i, letter in enumerate(axes))
    elif len(others) == 1:
        axes = axes.replace("?", "c")
    elif others:
        return frame if frame is None else replace(frame, changes=changes)
    size = tuple(facts.shape[axes.index(letter)] for letter in _positions(axes))
    return _with_padding(Frame(axes, size, 1 if frame is None else frame.rows, changes=changes), facts)


def _with_padding(frame: Frame, facts: InputFacts) -> Frame:
    """The frame with the padding that the model puts behind the picture's end, if that is all that it changes."""
    padding = padding_at_end(facts, frame.axes) if PADDED in frame.changes and frame.reshaped is None else None
    if padding is None:
        return frame
    size = tuple(length + n for length, n in zip(frame.size, padding, strict=True))
    return replace(frame, size=size, padding=padding, changes=())


def usual_frame(shape: tuple[int, ...], channels_last: bool) -> Frame | None:
    """The frame that a framework's models usually take, where no layer says what the axes of the input are."""
    letters = POSITIONS.get(len(shape) - 2)
    if letters is None:
        return None
    axes = f"n{letters}c" if channels_last else f"nc{letters}"
    return Frame(axes, tuple(n for n, letter in zip(shape, axes, strict=True) if letter in letters))


def stated_frame(axes: str, facts: InputFacts, count: int = 1) -> Frame:
    """The frame that the caller's notation describes.

    The axis t of a clip holds frames if the first convolution takes each of them by itself, in one batch or in a loop,
    and positions if it convolves over them. The notation overrules all changes but another order of the frames.
    """
    reader, divided = facts.reader_shape, frames_of(facts)
    if divided is not None and axes.find("t") == divided[0]:
        axes = axes.replace("t", FRAMES)
        size = tuple(facts.shape[axes.index(letter)] for letter in _positions(axes))
        return Frame(axes, size, in_order=True, frames=divided[1], is_stated=True)
    has_frames = "t" in axes and len(axes) == 5 and reader is not None and len(reader) == 4 and reader[0] != count
    axes = axes.replace("t", FRAMES) if has_frames else axes
    size = tuple(facts.shape[axes.index(letter)] for letter in _positions(axes))
    if not has_frames:
        return Frame(axes, size, is_stated=True)
    at = axes.index(FRAMES)
    changes = tuple(change if change == REORDERED else None for change in changes_of(facts, at))
    return Frame(axes, size, facts.shape[at], changes=changes, in_order=True, is_stated=True)


def _positions(axes: str) -> list[str]:
    """The letters of the positions, height before width even where the input has them the other way round."""
    letters = [letter for letter in axes if letter not in f"nc{FRAMES}"]
    return letters if "t" in letters else sorted(letters)


def _same_axes(
    shape: tuple[int, ...], channels: int, size: tuple[int, ...], letters: str, reader_axis: int
) -> str | None:
    """The letters of an image's axes, if it has those that the reader takes; sizes may differ where it is resized."""
    if channels == 1 and len(shape) == len(size):
        return letters if shape == size else _permuted(shape, channels, size, letters)
    if len(shape) != len(size) + 1:
        return None
    first, last = f"c{letters}", f"{letters}c"
    orders = (first, last) if reader_axis == 1 else (last, first)
    same_channels = [axes for axes in orders if shape[axes.index("c")] == channels]
    same_size = [axes for axes in orders if shape[axes.index(letters[0]) :][: len(size)] == size]
    both = [axes for axes in same_size if axes in same_channels]
    if both:
        return both[0]  # a picture as wide as its channels is what the reader takes
    permuted = _permuted(shape, channels, size, letters)
    if permuted is not None:
        return permuted
    fitting = same_size or same_channels
    return fitting[0] if len(fitting) == 1 else None


def _permuted(shape: tuple[int, ...], channels: int, size: tuple[int, ...], letters: str) -> str | None:
    """The letters of an image's axes, if the reader takes the same in another order: (time, mel), or (T, C, H, W).

    Of several orders, that of the reader's axes counts: a clip of as many frames as channels is not told apart.
    """
    lengths = dict(zip(letters, size, strict=True)) | ({"c": channels} if len(shape) > len(size) else {})
    if sorted(shape) != sorted(lengths.values()):
        return None
    orders = permutations([letter for letter in f"c{letters}" if letter in lengths])
    return next(axes for axes in map("".join, orders) if tuple(lengths[letter] for letter in axes) == shape)
