"""Facts of a model, as one pass over the first image shows them; what they mean is read in `xaicore.layers`."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

__all__ = ["AttentionFacts", "ByShape", "Facts", "InputFacts", "LayerFacts", "Moves", "Span"]

Known = TypeVar("Known")

Moves = Mapping[int, Mapping[int, tuple[float, float]]]
"""{axis of a tensor: {axis of an input: where two slices come from}}, as `InputFacts.reader_moves`."""

Span = Mapping[int, tuple[int, int]]
"""{axis of an input: (first index, last index)}, as `InputFacts.reader_spans`."""


@dataclass(frozen=True)
class LayerFacts:
    """What one pass over the first image showed of a layer, as the framework has it.

    Only what was seen: the core decides what it means. A fact that a backend cannot see keeps its default.

    Attributes:
        name: what `Explainer(layer=...)` takes.
        type: the name of its class.
        shape: of its output, in its last run.
        kind: "convolution", "pooling", "norm", "dense", "attention", "recurrent", "embedding" where the class or a base
            class of the framework's own says so; None for anything else.
        channel_axis: the axis of the output that holds the channels, where the layer itself says so: a convolution, a
            norm over one axis, a data format. None where it does not.
        batch_axis: the axis of the output that holds the images, where the layer itself says so, such as 1 of a
            recurrent layer that takes (steps, N, C). A backend that turns its arrays round, so that images come first,
            leaves it 0.
        vectors: the lengths of its own one-dimensional weights, such as a norm's scale.
        takes: what it took unchanged in its last run: the outputs of layers, by their names, and inputs, by position.
        takes_weights: the shapes of the tensors that it took and that are made of weights alone, such as queries.
        aliases: the names of layers inside of this one that return the same output.
        is_leaf: no layer lies inside of it.
        is_float: the output holds floating-point numbers.
        pooled: a pooling layer made this output.
        reads: the positions of the inputs that the output depends on; None where that is not known.
        reached: {axis: for each index, whether the gradient of the model's output arrives there}, of those axes of
            which it is known; empty where it arrives nowhere, None where nothing is known.
        moves: {position of an input: from where in it two tokens of the output come}, as `InputFacts.reader_moves`, of
            the first layer with this number of tokens; empty where that is not known.
        runs: how often it ran.
        run_reads: for each run, the positions of the inputs that it depended on; None where that is not known.
        is_recurrent: it reads its input step by step, along the first axis that is not the images'. A layer of the kind
            "recurrent" need not say so; one of another kind, such as a convolution with a state, does.
        reads_backwards: a recurrent layer reads its steps from the last to the first, and gives them, or the last of
            them, in this order; None where it joins both directions, its steps in the order of the input.
        run_frames: {position of an input whose reader ran several times: for each run of this layer, which runs of the
            reader it depended on}; empty where that is not known.
        parts: {position of an input: {axis of the tokens: (first, last)}}, the tokens of the output that depend on the
            input, of the first layer with this number of tokens, in a model of several inputs; empty where that is not
            known.
    """

    name: str
    type: str
    shape: tuple[int, ...]
    kind: str | None = None
    channel_axis: int | None = None
    batch_axis: int = 0
    vectors: tuple[int, ...] = ()
    takes: tuple[str | int, ...] = ()
    takes_weights: tuple[tuple[int, ...], ...] = ()
    aliases: tuple[str, ...] = ()
    is_leaf: bool = True
    is_float: bool = True
    pooled: bool = False
    reads: tuple[int, ...] | None = None
    reached: Mapping[int, Sequence[bool]] | None = None
    moves: Mapping[int, Moves] = field(default_factory=dict)
    runs: int = 1
    run_reads: tuple[tuple[int, ...], ...] | None = None
    is_recurrent: bool = False
    reads_backwards: bool | None = False
    run_frames: Mapping[int, tuple[tuple[int, ...], ...]] = field(default_factory=dict)
    parts: Mapping[int, Span] = field(default_factory=dict)


@dataclass(frozen=True)
class AttentionFacts:
    """What one pass over the first image showed of one attention, that is of one softmax over tokens.

    Attributes:
        name: of the innermost layer that it ran in; the second one there is "name#2".
        shape: of its weights, (rows, heads, queries, keys); more rows than images where it attends within windows.
        reached: whether the gradient of the model's output arrives at its weights; None where that is not known.
        causal: whether a query is kept from reading later keys.
    """

    name: str
    shape: tuple[int, int, int, int]
    reached: bool | None = None
    causal: bool = False


@dataclass(frozen=True)
class InputFacts:
    """What one pass showed of one of the model's inputs, as the framework has it.

    Attributes:
        shape: of the input in that pass.
        reader_shape: what the input's reader takes, the first layer that reads the input and says where its channels
            are, such as a convolution; None where there is no reader.
        reader_axis: the channel axis of that shape.
        reader_source: the layer whose output that is; None where it is the input, or where that is not known.
        reader_runs: for each run of the reader on this input, whether it took the input itself; a model that also runs
            on a flipped copy has (True, False).
        reader_moves: for each run, from where in the input two slices of what the reader takes come: {axis of what it
            takes: {axis of the input: (start, end)}}. Along an axis of length L, these are the slices at L // 4 and at
            L - 1 - L // 4; `start` and `end` are their places along the axis of the input, as fractions of its length,
            NaN for a slice that comes from nowhere, such as padding. Where the reader takes several rows per image,
            such as frames, axis 0 has rows 0 and 1. None for a run that took the input itself, or where it is not
            known.
        reader_spans: for each run, the part of the input that the reader's argument depends on: {axis of the input:
            (first index, last index)}. A model that convolves one frame after the other has {1: (0, 0)}, {1: (1, 1)},
            and so on. None as for `reader_moves`.
        reader: the name of the reader, where the backend can return what it takes (`Backend.input_of`).
        moved_images: images in the pass that showed these moves; None where it is the pass that showed the shape.
        reader_parts: for each run, the part of what the reader takes that depends on the input: {axis of what it takes:
            (first index, last index)}. The rest of it is padding. Empty where that is not known.
    """

    shape: tuple[int, ...]
    reader_shape: tuple[int, ...] | None = None
    reader_axis: int | None = None
    reader_runs: tuple[bool, ...] = ()
    reader_moves: tuple[Moves | None, ...] = ()
    reader_source: str | None = None
    reader_spans: tuple[Span | None, ...] = ()
    reader: str | None = None
    moved_images: int | None = None
    reader_parts: tuple[Span | None, ...] = ()


@dataclass(frozen=True)
class Facts:
    """What one pass showed of a model.

    Attributes:
        layers: in order of completion, without the model itself.
        inputs: in the order of the arguments, those that are arrays.
        count: the number of images in that pass: 1, or all of them for a model that takes no other batch size.
        link: the activation that ends the model, as in `Capture`.
        trained_for: how the loss that the model was compiled with reads these outputs: "softmax" or "sigmoid", the
            link that it applies, or "values"; None where there is no such loss.
        output: the name or position of the output that is explained.
        outputs: {name or position: shape} of all outputs.
        class_axis: which axis of the explained output, as the model gives it, is axis 1 of `Capture.outputs`, the
            classes; None where nothing in the model says which axis holds them.
        class_count: how many classes the model's own configuration names; None where it names none.
        shown_class_axis: which axis the model's layers show to hold the classes, where the caller's `output_axes=` says
            one; None where they show none, or were not asked.
    """

    layers: tuple[LayerFacts, ...]
    inputs: tuple[InputFacts, ...]
    count: int = 1
    link: str | None = None
    trained_for: str | None = None
    output: int | str | None = None
    outputs: Mapping[int | str, tuple[int, ...]] = field(default_factory=dict)
    class_axis: int | None = 1
    class_count: int | None = None
    shown_class_axis: int | None = None

    @property
    def named(self) -> dict[str, LayerFacts]:
        """{name or alias: layer}."""
        return {name: layer for layer in self.layers for name in (layer.name, *layer.aliases)}


class ByShape(dict[Any, Known]):
    """What is kept for inputs of each shape. The oldest entry goes, so that ever new shapes do not fill the memory."""

    MOST = 16

    def kept(self, shape: Hashable, make: Callable[[], Known]) -> Known:
        """What is kept for this shape; made where there is nothing yet."""
        if shape not in self:
            self[shape] = make()
        return self[shape]

    def __setitem__(self, shape: Any, known: Known) -> None:
        super().__setitem__(shape, known)
        if len(self) > self.MOST:
            del self[next(iter(self))]
