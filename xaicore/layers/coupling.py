"""Batches whose images are coupled: BatchNorm without running statistics, attention that runs across the batch.

There the outputs of one image depend on the others. Pulled back together, the map of one image would change with what
is asked of another; pulled back one by one, it does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

__all__ = ["are_coupled", "image_axes", "pull_each", "pull_images"]

Pull = Callable[[np.ndarray], Sequence[np.ndarray | None]]


def image_axes(shapes: Iterable[Sequence[int]], of_one: Iterable[Sequence[int]] | None, count: int) -> list[int] | None:
    """Per layer, the axis of its output that holds the images; None where one does not show it.

    Args:
        shapes: of the layers' outputs for `count` images.
        of_one: of the same outputs for one image; None for a model that takes no other number of images, where it is
            the first axis, if that is as long.
    """
    if of_one is None:
        firsts = [shape[0] if len(shape) else 0 for shape in shapes]
        return [0] * len(firsts) if set(firsts) == {count} else None
    axes = []
    for many, one in zip(shapes, of_one, strict=True):
        grown = [axis for axis, (n, single) in enumerate(zip(many, one, strict=False)) if n != single]
        if len(many) != len(one) or len(grown) != 1 or many[grown[0]] != count * one[grown[0]]:
            return None
        axes += grown
    return axes


def pull_images(
    pull: Pull, direction: np.ndarray, axes: Sequence[int] | None, is_coupled: bool | None
) -> tuple[Sequence[np.ndarray | None], bool | None]:
    """The gradients of a direction, image by image where the images are coupled, and whether they are.

    Args:
        pull: pulls a direction back, to one gradient per layer, with the axis of targets behind the layer's first axis.
        direction: (N, K, *O).
        axes: per layer, the axis of its output that holds the images; None where that is not known.
        is_coupled: what an earlier batch showed; None where it showed nothing.
    """
    if axes is not None and len(direction) > 1 and is_coupled is None:
        is_coupled = are_coupled(pull, direction, axes)
    return pull_each(pull, direction, axes) if is_coupled and axes is not None else pull(direction), is_coupled


def are_coupled(pull: Pull, direction: np.ndarray, axes: Sequence[int]) -> bool | None:
    """Whether the outputs of the first image depend on the activations of the others.

    Args:
        pull, axes: as in `pull_images`.
        direction: (N, K, *O), of two images or more.

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
