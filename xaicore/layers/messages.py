"""The errors for layers, in one wording for all backends."""

from __future__ import annotations

from collections.abc import Sequence

from xaicore.errors import LayerError, MethodError, nearest

__all__ = ["blank", "never_ran", "no_gradient", "no_map", "no_relu", "no_run", "unknown_layer"]


def unknown_layer(name: str, known: Sequence[str], model: str) -> LayerError:
    """The error to raise for a name that no layer of the model has; offers the nearest ones."""
    near = nearest(name, known, 5, 0.4)
    offered = f"nearest names: {', '.join(near)}" if near else f"its last layers: {', '.join(known[-5:])}"
    return LayerError(f"no layer called {name!r} in {model}; {offered}")


def blank(layers: Sequence[str]) -> str:
    """The warning for maps without any evidence, of layers at whose positions no gradient arrives."""
    return (
        f"the maps at {', '.join(map(repr, layers))} are blank: the gradient of the output arrives at none of their "
        "positions, as behind the last attention of a class token. layer=None finds the last layer where it does"
    )


def never_ran(name: str) -> LayerError:
    """The error to raise for a layer that exists and that no pass reached."""
    return LayerError(
        f"layer {name!r} never ran for this input: the model does not use it, or calls its code directly; "
        "`xaicore layers` lists those that run"
    )


def no_gradient(name: str) -> LayerError:
    """The error to raise for a layer at which no gradient arrives, since the explained output is not made of it."""
    return LayerError(
        f"layer {name!r} does not reach the outputs: what is explained is not made of its output. Name another: "
        "layer=..., or pass layer=None"
    )


def no_relu(rule: str, seen: Sequence[str] = ()) -> MethodError:
    """The error to raise for the rules "guided" and "deconv" where no ReLU lies between the inputs and the outputs.

    Args:
        rule: that was asked for.
        seen: the activations that lie there.
    """
    return MethodError(
        f"the rule {rule!r} is defined for ReLUs, and no ReLU lies between the inputs and the outputs; its "
        f"activations: {', '.join(seen) or 'none'}. Use method='gradient' (command line: --method gradient)"
    )


def no_run(name: str, run: int, runs: int) -> LayerError:
    """The error to raise for a run, counted from 1, of a layer that ran less often, `runs` times."""
    times = "once" if runs == 1 else f"{runs} times"
    return LayerError(f"layer {name!r} ran {times} for this input: there is no run {run}")


def no_map(
    name: str, shape: Sequence[int | None], input_size: Sequence[int | None], count: int | None = None
) -> LayerError:
    """The error to raise for a layer whose output (N, C, *S) of this shape is no map of an input of this size.

    `count` is the number of images, where the output has another one.
    """
    images = "an input" if count is None else f"{count} images"
    return LayerError(
        f"layer {name!r} gives {tuple(shape)}, which is no map of {images} of size {tuple(input_size)}: expected "
        f"({'N' if count is None else count}, channels, *positions) with {len(input_size)} spatial axes and more than "
        "one position. Name a convolution or a block of them, or pass layer=None"
    )
