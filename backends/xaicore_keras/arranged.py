"""Tensors of an attention in the order images, heads, tokens, features, whatever order the model has them in.

Axes have letters, as in `keras.ops.einsum`: weights "bhqk" mix values "bkhd" into outputs "bqhd".
"""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import mul
from typing import Any

import keras

__all__ = ["Product", "Roles", "arranged", "product_of_einsum", "product_of_matmul"]


@dataclass(frozen=True, eq=False)
class Product:
    """A product of two tensors.

    Attributes:
        operands: the two.
        letters: of their axes.
        made: the letters of the result.
        result: itself.
    """

    operands: tuple[Any, Any]
    letters: tuple[str, str]
    made: str
    result: Any


def product_of_matmul(operands: Sequence[Any], result: Any) -> Product | None:
    """A matrix product, whose leading axes are broadcast; None for vectors."""
    sizes = [len(operand.shape) for operand in operands]
    if len(sizes) != 2 or min(sizes) < 2:
        return None
    leading = string.ascii_lowercase[: max(sizes) - 2]
    first, second = (leading[len(leading) - (size - 2) :] for size in sizes)
    return Product((operands[0], operands[1]), (f"{first}xy", f"{second}yz"), f"{leading}xz", result)


def product_of_einsum(subscripts: Any, operands: Sequence[Any], result: Any) -> Product | None:
    """A sum of products of two tensors; None where the subscripts leave anything open."""
    equation = subscripts.replace(" ", "") if isinstance(subscripts, str) else ""
    taken, arrow, made = equation.partition("->")
    letters = taken.split(",")
    if not arrow or "." in equation or len(letters) != 2 or len(operands) != 2:
        return None
    if any(len(set(each)) < len(each) for each in (*letters, made)):  # a diagonal
        return None
    return Product((operands[0], operands[1]), (letters[0], letters[1]), made, result)


@dataclass(frozen=True)
class Roles:
    """What the axes of an attention's weights are, by letters.

    Attributes:
        rows: images, or parts of them.
        heads: one letter, or none.
        queries, keys: of the same number of axes; two each where tokens lie on a map (h, w).
    """

    rows: str
    heads: str
    queries: str
    keys: str

    @classmethod
    def of(cls, letters: str, count: int) -> Roles:
        """Of weights whose last axes are keys, `count` of them, behind the queries, behind images and heads."""
        batch = letters[: -2 * count]
        heads = batch[-1:] if len(batch) > 1 else ""
        return cls(batch[: len(batch) - len(heads)], heads, letters[-2 * count : -count], letters[-count:])

    @property
    def weights(self) -> tuple[str, str, str, str]:
        """The four groups of axes of weights."""
        return self.rows, self.heads, self.queries, self.keys

    def features(self, letters: str) -> str:
        """The axes of an operand that the weights do not have."""
        return "".join(letter for letter in letters if letter not in "".join(self.weights))

    def values(self, letters: str, made: str) -> bool:
        """Whether these are the axes of values, which the weights mix into outputs: keys are summed over."""
        batch, features = {*self.rows, *self.heads}, self.features(letters)
        mixed = set(self.keys) <= set(letters) <= {*batch, *self.keys, *features}
        return mixed and set(made) == {*batch, *self.queries, *features}

    def scores(self, queries: str, keys: str) -> bool:
        """Whether queries and keys of these axes make scores: features are summed over."""
        batch, features = {*self.rows, *self.heads}, self.features(queries)
        return (
            features != ""
            and features == self.features(keys)
            and {*self.queries, *features} <= set(queries) <= {*batch, *self.queries, *features}
            and {*self.keys, *features} <= set(keys) <= {*batch, *self.keys, *features}
        )


def arranged(tensor: Any, letters: str, groups: Sequence[str]) -> tuple[Any, Callable[[Any], Any]]:
    """A tensor with one axis for each group of letters, and the way back for a tensor of that shape.

    A letter that the tensor lacks counts as an axis of length 1.
    """
    order = [letters.index(letter) for group in groups for letter in group if letter in letters]
    if order == list(range(len(groups))):
        return tensor, lambda other: other
    moved = keras.ops.transpose(tensor, order)
    shape = keras.ops.shape(moved)
    lengths = dict(zip((letters[axis] for axis in order), shape, strict=True))
    joined = [reduce(mul, (lengths[letter] for letter in group if letter in lengths), 1) for group in groups]
    back = sorted(range(len(order)), key=order.__getitem__)
    return (
        keras.ops.reshape(moved, joined),
        lambda other: keras.ops.transpose(keras.ops.reshape(other, shape), back),
    )
