"""Batches whose images are coupled: BatchNorm without running statistics, attention that runs across the batch.

There the outputs of one image depend on the others. Pulled back together, the map of one image would change with what
is asked of another; pulled back one by one, it does not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

__all__ = ["are_coupled", "image_axis", "pull_each"]

Pull = Callable[[np.ndarray], Sequence[np.ndarray | None]]


def image_axis(shape: Sequence[int], of_one: Sequence[int], count: int) -> int | None:
    """The axis of a layer's output that grows with the number of images: its shape for `count` images, and for one.

    None where it is not exactly one axis that grows, `count` times.
    """
    if len(shape) != len(of_one):
        return None
    grown = [axis for axis, (many, one) in enumerate(zip(shape, of_one, strict=True)) if many != one]
    return grown[0] if len(grown) == 1 and shape[grown[0]] == count * of_one[grown[0]] else None


def are_coupled(pull: Pull, direction: np.ndarray, axes: Sequence[int]) -> bool | None:
    """Whether the outputs of the first image depend on the activations of the others.

    Args:
        pull: pulls a direction back, to one gradient per layer, with the axis of targets behind the layer's first axis.
        direction: (N, K, *O), of two images or more.
        axes: per layer, the axis of its output that holds the images.

    Returns:
        None where the first image has no gradient at all, which tells nothing.
    """
    found = [
        _rows(gradient, axis, len(direction))
        for gradient, axis in zip(pull(_only(direction, 0)), axes, strict=True)
        if gradient is not None and gradient.any()
    ]
    return any(rows[1:].any() for rows in found) if found else None


def pull_each(pull: Pull, direction: np.ndarray, axes: Sequence[int]) -> list[np.ndarray | None]:
    """Gradients of each image's outputs with respect to its own activations: one backward pass per image."""
    total: list[np.ndarray | None] = [None] * len(axes)
    for i in range(len(direction)):
        for layer, (gradient, axis) in enumerate(zip(pull(_only(direction, i)), axes, strict=True)):
            if gradient is None:
                continue
            if total[layer] is None:
                total[layer] = np.zeros_like(gradient)
            _rows(total[layer], axis, len(direction))[i] = _rows(gradient, axis, len(direction))[i]
    return total


def _only(direction: np.ndarray, image: int) -> np.ndarray:
    one = np.zeros_like(direction)
    one[image] = direction[image]
    return one


def _rows(gradient: np.ndarray | None, axis: int, count: int) -> np.ndarray:
    """A view of a gradient by image: (count, rows per image, ...)."""
    assert gradient is not None
    by_image = np.moveaxis(gradient, axis + 1 if axis else 0, 0)  # targets are at axis 1
    return by_image.reshape(count, -1, *by_image.shape[1:])
