"""Facts of a model, as one pass over the first image shows them; what they mean is read in `xaicore.layers`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Facts", "InputFacts", "LayerFacts"]


Moves = Mapping[int, Mapping[int, tuple[float, float]]]


@dataclass(frozen=True)
class LayerFacts:
    """What one pass over the first image showed of a layer, as the framework has it.

    Only what was seen: the core decides what it means. A fact that a backend cannot see keeps its default.

    Attributes:
        name: what `Explainer(layer=...)` takes.
        type: the name of its class.
        shape: of its output; the last run's where it runs several times.
        kind: "convolution", "pooling", "norm", "dense", "attention", "recurrent", "embedding" where the class or a base
            class of the framework's own says so; None for anything else.
        channel_axis: the axis of the output that holds the channels, where the layer itself says so: a convolution, a
            norm over one axis, a data format. None where it does not.
        batch_axis: the axis of the output that holds the images, where the layer itself says so.
        vectors: the lengths of its own one-dimensional weights, such as a norm's scale.
        takes: the layers whose very outputs it took in its last run, by name, and the inputs, by position.
        aliases: other names of this output: layers inside of this one that made it.
        is_leaf: no layer lies inside of it.
        is_float: the output holds floating-point numbers.
        pooled: a pooling layer made this output.
        reads: the positions of the inputs that the output depends on; None where that is not known.
        reached: {axis: at which indices the gradient of the model's output arrives}; empty where it does not arrive
            at all, None where that is not known.
        runs: how often it ran.
        run_reads: for each run, the positions of the inputs that it depended on; None where that is not known.
    """

    name: str
    type: str
    shape: tuple[int, ...]
    kind: str | None = None
    channel_axis: int | None = None
    batch_axis: int = 0
    vectors: tuple[int, ...] = ()
    takes: tuple[str | int, ...] = ()
    aliases: tuple[str, ...] = ()
    is_leaf: bool = True
    is_float: bool = True
    pooled: bool = False
    reads: tuple[int, ...] | None = None
    reached: Mapping[int, Sequence[bool]] | None = None
    runs: int = 1
    run_reads: tuple[tuple[int, ...], ...] | None = None


@dataclass(frozen=True)
class InputFacts:
    """What one pass showed of one of the model's inputs, as the framework has it.

    Attributes:
        shape: of the input in that pass.
        reader_shape: of what the first layer takes that reads the input and says where its channels are, such as a
            convolution; None where there is no such layer.
        reader_axis: the channel axis of that shape.
        reader_source: the layer whose output that is; None where it is the input, or where that is not known.
        reader_runs: for each run of that layer on this input, whether it took the very input; a model that also runs
            on a flipped copy has (True, False).
        reader_moves: for each run, where what the layer takes comes from: {axis of what it takes: {axis of the input:
            (start, end)}}. `start` is where along that axis of the input the slice at index L // 4 comes from, `end`
            the one at L - 1 - L // 4, as fractions of its length; L is the length of the axis that the layer takes,
            and NaN stands for a slice that comes from nowhere, such as padding.
            None for a run that took the very input, or where it is not known.
    """

    shape: tuple[int, ...]
    reader_shape: tuple[int, ...] | None = None
    reader_axis: int | None = None
    reader_runs: tuple[bool, ...] = ()
    reader_moves: tuple[Moves | None, ...] = ()
    reader_source: str | None = None


@dataclass(frozen=True)
class Facts:
    """What one pass showed of a model.

    Attributes:
        layers: in order of completion, without the model itself.
        inputs: in the order of the arguments, those that are arrays.
        count: the number of images in that pass: 1, or all of them for a model that takes no other batch size.
        link: what the model itself puts on the chosen outputs, as in `Capture`.
        trained_for: what the loss that the model was compiled with takes these outputs for: "softmax" or "sigmoid", the
            link that it applies, or "values"; None where there is no such loss.
    """

    layers: tuple[LayerFacts, ...]
    inputs: tuple[InputFacts, ...]
    count: int = 1
    link: str | None = None
    trained_for: str | None = None
