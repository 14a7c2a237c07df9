"""Grad-CAM by plain autograd (a hook, a gradient, a mean and a ReLU), and where a layer responds to a change.

Written without xaicore. Only the layer, the letters of its axes and its prefix tokens are taken from there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

import numpy as np

__all__ = ["Axes", "KerasLayer", "TorchLayer", "gradcam", "responding_cells"]


@dataclass(frozen=True)
class Axes:
    """The letters of a layer's axes, the positions of its map, and the tokens before them."""

    letters: str
    size: tuple[int, ...]
    prefix: int

    def arranged(self, array: np.ndarray) -> np.ndarray:
        """(images, C, *size)."""
        order = [self.letters.index("n"), self.letters.index("c")]
        array = array.transpose(order + [i for i, letter in enumerate(self.letters) if letter not in "nc"])
        if "l" in self.letters:
            array = array[:, :, self.prefix : self.prefix + prod(self.size)].reshape(*array.shape[:2], *self.size)
        return array


class TorchLayer:
    """A layer of a PyTorch module, by its path; "layer#2" is its second run."""

    def __init__(self, model: Any, name: str, output: str | int | None) -> None:
        self.model, self.output = model, output
        self.name, _, run = name.partition("#")
        self.run = int(run) - 1 if run else -1

    def features(self, arguments: Any) -> np.ndarray:
        """Its output."""
        return self._pass(arguments)[0].detach().numpy()

    def gradients(self, arguments: Any, classes: Sequence[int]) -> tuple[np.ndarray, list[np.ndarray]]:
        """Its output, and the gradient of the score of each class of the first image."""
        import torch

        features, answer = self._pass(arguments)
        scores = self._scores(answer)[0]
        gradients = (torch.autograd.grad(scores[k], features, retain_graph=True)[0] for k in classes)
        return features.detach().numpy(), [gradient.numpy() for gradient in gradients]

    def _pass(self, arguments: Any) -> tuple[Any, Any]:
        kept: list[Any] = []

        def hook(module: Any, inputs: Any, result: Any) -> Any:
            kept.append(next(_tensors(result)))
            return result.clone() if kept[-1] is result else None  # an in-place operation may follow

        handle = self.model.get_submodule(self.name).register_forward_hook(hook)
        try:
            answer = self.model(**arguments) if isinstance(arguments, dict) else self.model(*arguments)
        finally:
            handle.remove()
        return kept[self.run], answer

    def _scores(self, answer: Any) -> Any:
        if self.output is not None:
            return answer[self.output]
        return answer.logits if hasattr(answer, "logits") else next(_tensors(answer))


class KerasLayer:
    """A layer of a Keras model on TensorFlow, by its path."""

    def __init__(self, model: Any, name: str, output: str | int | None) -> None:
        self.model = self.layer = model
        for part in name.split("/"):
            self.layer = next(child for child in _children(self.layer) if child.name == part)

    def features(self, arguments: Any) -> np.ndarray:
        """Its output."""
        return self._pass(arguments[0])[0].numpy()

    def gradients(self, arguments: Any, classes: Sequence[int]) -> tuple[np.ndarray, list[np.ndarray]]:
        """Its output, and the gradient of the score of each class of the first image."""
        import tensorflow as tf

        with tf.GradientTape(persistent=True) as tape:
            pixels = tf.constant(arguments[0])
            tape.watch(pixels)
            features, answer = self._pass(pixels)
            scores = [answer[0, k] for k in classes]
        return features.numpy(), [tape.gradient(score, features).numpy() for score in scores]

    def _pass(self, pixels: Any) -> tuple[Any, Any]:
        kept: list[Any] = []
        call = self.layer.call

        def record(*args: Any, **kwargs: Any) -> Any:
            kept.append(call(*args, **kwargs))
            return kept[-1]

        object.__setattr__(self.layer, "call", record)
        try:
            answer = self.model(pixels, training=False)
        finally:
            object.__delattr__(self.layer, "call")
        return kept[-1], answer


def gradcam(layer: TorchLayer | KerasLayer, arguments: Any, axes: Axes, classes: Sequence[int]) -> np.ndarray:
    """(K, images, *size): the mean gradient of each channel weighs the channel (Selvaraju 2017)."""
    features, gradients = layer.gradients(arguments, classes)
    positions = tuple(range(2, 2 + len(axes.size)))
    weights = [axes.arranged(gradient).mean(axis=positions, keepdims=True) for gradient in gradients]
    return np.stack([np.maximum((weight * axes.arranged(features)).sum(axis=1), 0) for weight in weights])


def responding_cells(
    features: Callable[[np.ndarray], np.ndarray], picture: np.ndarray, axes: Sequence[int], size: Sequence[int]
) -> tuple[int, int]:
    """(cells that respond the most to a change of their own pixels, cells tried): the corners and the middle.

    Args:
        features: from a picture to (1, C, *size).
        picture: the input.
        axes: those of the picture that are positions, in the order of `size`.
        size: the positions of the map.
    """
    before = features(picture)
    cells = [*product(*({0, n - 1} for n in size)), tuple(n // 2 for n in size)]
    cells = list(dict.fromkeys(cells))
    right = 0
    for cell in cells:
        changed = picture.copy()
        region = [slice(None)] * picture.ndim
        for axis, at, n in zip(axes, cell, size, strict=True):
            length = picture.shape[axis]
            region[axis] = slice(at * length // n, max((at + 1) * length // n, at * length // n + 1))
        changed[tuple(region)] = 1 - changed[tuple(region)]
        change = np.square(features(changed) - before).sum(axis=1)[0]
        right += np.unravel_index(change.argmax(), change.shape) == cell
    return right, len(cells)


def _children(layer: Any) -> list[Any]:
    """The layers directly inside of a Keras layer: a functional model's operations, else what its attributes hold."""
    return list(getattr(layer, "operations", ())) or layer._flatten_layers(include_self=False, recursive=False)


def _tensors(value: Any) -> Iterator[Any]:
    """The tensors in nested tuples, lists and dicts, in order."""
    if hasattr(value, "requires_grad"):
        yield value
    elif isinstance(value, (tuple, list)):
        for one in value:
            yield from _tensors(one)
    elif hasattr(value, "values"):
        for one in value.values():
            yield from _tensors(one)
