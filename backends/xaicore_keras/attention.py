"""Every attention of one pass, whatever layer computes it: fused ones in the open, softmaxes over tokens as they are.

Keras' layers and `keras.ops` end in few functions of the running backend, which are replaced for the length of the
pass. So `MultiHeadAttention`, `GroupedQueryAttention`, `Attention`, `ops.dot_product_attention` and a softmax by hand
need no code of their own.
"""

from __future__ import annotations

import contextlib
import string
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import keras

from xaicore import BackendError
from xaicore_keras.arranged import Product, Roles, arranged, product_of_einsum, product_of_matmul
from xaicore_keras.asked import Leaf, Tap
from xaicore_keras.calls import first_tensor
from xaicore_keras.fused import Factors
from xaicore_keras.hooks import Around, wrapped
from xaicore_keras.paths import walk
from xaicore_keras.private import replaced_functions

__all__ = ["Attended", "AttentionPass", "Part", "attention_tapped"]

Part = Callable[["Attended", str, Any], Any]
"""`part(attended, name, tensor)` takes a part, such as "weights"; for "weights" and "output", it returns what the model
continues with."""


@dataclass(eq=False)
class Attended:
    """One softmax over tokens, in the order images, heads, tokens, features; None where nothing shows it.

    Attributes:
        place: the path of the innermost layer that it ran in, and which one there it is, counted from 1: "mha#1".
        weights, query, key, value, output: as in `xaicore.Attention`.
        answer: the weights as a softmax by hand returned them.
        causal: whether a query is kept from reading later keys; None where only the weights' values show it.
    """

    place: str
    weights: Any = None
    query: Any = None
    key: Any = None
    value: Any = None
    output: Any = None
    answer: Any = None
    causal: bool | None = None


class AttentionPass:
    """Records the attentions of one pass: `with AttentionPass(...).seen(): run_model(...)`.

    Attributes:
        found: the softmaxes over tokens that were wanted, in the order in which they ran.
    """

    def __init__(self, model: Any, wanted: Callable[[str], bool], part: Part) -> None:
        """
        Args:
            model: any.
            wanted: `wanted(place)`: whether an attention is computed in the open and recorded.
            part: called with each part that is known.
        """
        self.found: list[Attended] = []
        self._layers = walk(model)
        self._wanted = wanted
        self._part = part
        self._around = [model.name]
        self._numbers: Counter[str] = Counter()
        self._unmixed: list[tuple[Any, Attended, int]] = []
        self._product: Product | None = None
        self._is_inside = False

    @contextlib.contextmanager
    def seen(self) -> Iterator[None]:
        """While this is open, the attentions of a pass in this thread are seen. The caller must hold `state.lock`."""
        functions: dict[str, Callable[..., Any]] = {
            "nn.dot_product_attention": self._fused,
            "nn.softmax": self._softmax,
            "numpy.matmul": self._matmul,
            "numpy.einsum": self._einsum,
        }
        layers = [(layer, self._within(path, layer)) for path, layer in self._layers.items()]
        with replaced_functions(functions), wrapped(layers):
            yield

    def _within(self, path: str, layer: Any) -> Around:
        """A softmax layer belongs to the layer around it, as a softmax by `keras.ops` does."""
        parent = path.rpartition("/")[0]

        def around(call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            is_softmax = isinstance(layer, keras.layers.Softmax)
            self._around.append(parent if is_softmax and parent else path)
            try:
                if is_softmax and not self._is_inside:
                    return self._softmax_layer(layer, call, args, kwargs)
                return call(*args, **kwargs)
            finally:
                self._around.pop()

        return around

    def _fused(self, original: Callable[..., Any], query: Any, key: Any, value: Any, *args: Any, **kwargs: Any) -> Any:
        """Dot-product attention (N, Q, H, D) with keys and values (N, T, H or fewer, D)."""
        attended = None if self._is_inside else self._next()
        with self._inside():
            if attended is None:
                return original(query, key, value, *args, **kwargs)
            factors = Factors.of(query, key, value, *args, **kwargs)
            attended.causal = factors.causal
            for name in ("query", "key", "value"):
                self._take(attended, name, getattr(factors, name))
            weights = self._take(attended, "weights", factors.weights)
            output = self._take(attended, "output", keras.ops.matmul(weights, factors.value))
            return keras.ops.transpose(output, (0, 2, 1, 3))

    def _softmax(self, original: Callable[..., Any], x: Any, axis: Any = -1) -> Any:
        size = len(x.shape)
        if self._is_inside or size < 3 or axis not in (-1, size - 1):
            return original(x, axis=axis)
        return self._by_hand(x, 1, lambda: original(x, axis=axis))

    def _softmax_layer(self, layer: Any, call: Callable[..., Any], args: tuple[Any, ...], kwargs: Any) -> Any:
        """Unlike the function, a layer may sum over several axes, and masks its answer."""
        scores = first_tensor((args, kwargs))
        size, given = len(scores.shape), layer.axis if isinstance(layer.axis, (tuple, list)) else [layer.axis]
        axes = sorted(axis % size for axis in given)
        count = len(axes)

        def softmax() -> Any:
            with self._inside():
                return call(*args, **kwargs)

        if axes != list(range(size - count, size)) or size < 2 * count + 1:
            return softmax()
        return self._by_hand(scores, count, softmax)

    def _by_hand(self, scores: Any, count: int, softmax: Callable[[], Any]) -> Any:
        """A softmax over the last axes, `count` of them, behind as many axes of queries."""
        attended, made = self._next(), softmax()
        if attended is None:
            return made
        roles = Roles.of(string.ascii_lowercase[: len(made.shape)], count)
        weights, back = arranged(made, "".join(roles.weights), roles.weights)
        attended.answer = weights = back(self._take(attended, "weights", weights))
        self._unmixed.append((weights, attended, count))
        product = self._product
        if product is not None and product.result is scores:
            self._take_scores(attended, product, Roles.of(product.made, count))
        return weights

    def _take_scores(self, attended: Attended, product: Product, roles: Roles) -> None:
        pairs = list(zip(product.operands, product.letters, strict=True))
        for (query, of_queries), (key, of_keys) in (pairs, pairs[::-1]):
            if roles.scores(of_queries, of_keys):
                self._take_operand(attended, "query", query, of_queries, roles, roles.queries)
                self._take_operand(attended, "key", key, of_keys, roles, roles.keys)
                return

    def _take_operand(
        self, attended: Attended, name: str, tensor: Any, letters: str, roles: Roles, tokens: str
    ) -> None:
        groups = (roles.rows, roles.heads, tokens, roles.features(letters))
        self._take(attended, name, arranged(tensor, letters, groups)[0])

    def _matmul(self, original: Callable[..., Any], *operands: Any, **kwargs: Any) -> Any:
        result = original(*operands, **kwargs)
        return self._multiplied(None if kwargs else product_of_matmul(operands, result), result)

    def _einsum(self, original: Callable[..., Any], subscripts: Any, *operands: Any, **kwargs: Any) -> Any:
        result = original(subscripts, *operands, **kwargs)
        return self._multiplied(product_of_einsum(subscripts, operands, result), result)

    def _multiplied(self, product: Product | None, result: Any) -> Any:
        """Weights times values, or what may be queries times keys."""
        if self._is_inside or product is None:
            return result
        self._product = product
        for i, (weights, attended, count) in enumerate(self._unmixed):
            if product.operands[0] is weights or product.operands[1] is weights:
                del self._unmixed[i]
                return self._mixed(attended, count, product, int(product.operands[0] is weights))
        return result

    def _mixed(self, attended: Attended, count: int, product: Product, place: int) -> Any:
        """The outputs of an attention whose values are the operand at this place."""
        letters, roles = product.letters[place], Roles.of(product.letters[1 - place], count)
        if not roles.values(letters, product.made):
            return product.result
        self._take_operand(attended, "value", product.operands[place], letters, roles, roles.keys)
        groups = (roles.rows, roles.heads, roles.queries, roles.features(letters))
        output, back = arranged(product.result, product.made, groups)
        return back(self._take(attended, "output", output))

    def _next(self) -> Attended | None:
        path = self._around[-1]
        self._numbers[path] += 1
        place = f"{path}#{self._numbers[path]}"
        if not self._wanted(place):
            return None
        self.found.append(Attended(place))
        return self.found[-1]

    def _take(self, attended: Attended, name: str, tensor: Any) -> Any:
        new = self._part(attended, name, tensor)
        setattr(attended, name, tensor)
        return new

    @contextlib.contextmanager
    def _inside(self) -> Iterator[None]:
        """What is computed meanwhile is no attention of its own."""
        before, self._is_inside = self._is_inside, True
        try:
            yield
        finally:
            self._is_inside = before


@contextlib.contextmanager
def attention_tapped(model: Any, taps: Mapping[Leaf, Tap]) -> Iterator[None]:
    """Call each tap with its part of an attention while a pass runs, whose attentions have the leaves' names.

    Raises:
        BackendError: one of them does not run in this pass.
    """
    if not taps:
        yield
        return
    missing = set(taps)

    def part(attended: Attended, name: str, tensor: Any) -> Any:
        leaf = Leaf("attention", attended.place, name)
        missing.discard(leaf)
        return taps[leaf](tensor) if leaf in taps else tensor

    places = {leaf.name for leaf in taps}
    with AttentionPass(model, places.__contains__, part).seen():
        yield
    if missing:
        names = sorted(f"{leaf.part} of {leaf.name}" for leaf in missing)
        raise BackendError(f"the model computed no {names[0]}, which a pass over one image had shown")
