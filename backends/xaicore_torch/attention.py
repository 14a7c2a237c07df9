"""The attentions of a pass, in whatever library the model is written.

Few functions of PyTorch compute attention weights, and a mode of functions sees their calls: fused attention, that of
`nn.MultiheadAttention`, and a softmax over scores. What is asked for is computed in the open.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from xaicore import BackendError
from xaicore_torch.leaves import Leaves
from xaicore_torch.open_attention import Operands, multi_head, scaled_dot_product
from xaicore_torch.private import FLEX
from xaicore_torch.products import Product

__all__ = ["OUTPUT", "WEIGHTS", "Asked", "Attentions", "Seen"]

SOFTMAXES = (F.softmax, torch.softmax, torch.Tensor.softmax)
PRODUCTS = (torch.matmul, torch.Tensor.matmul, torch.bmm, torch.Tensor.bmm)
WEIGHTS, OUTPUT = "attention", "attention output"
"""The kinds of these leaves, which have the names of attentions."""

PASSING = (
    F.dropout,
    torch.clone,
    torch.dropout,
    torch.reshape,
    torch.Tensor.bfloat16,
    torch.Tensor.clone,
    torch.Tensor.contiguous,
    torch.Tensor.float,
    torch.Tensor.half,
    torch.Tensor.reshape,
    torch.Tensor.to,
    torch.Tensor.type,
    torch.Tensor.type_as,
    torch.Tensor.view,
)
"""What a model may do to weights that it has computed by hand, before it multiplies them with values."""


@dataclass(frozen=True)
class Asked:
    """How one attention of a pass is kept.

    Attributes:
        name: of its leaves.
        with_gradients: its weights and output are leaves to differentiate by.
        heads: H.
    """

    name: str
    with_gradients: bool
    heads: int


@dataclass(eq=False)
class Seen:
    """One attention of a pass: weights (R, H, Q, T) and what they were made of, on the graph.

    Attributes:
        query, key, value: (R, H, Q, D), (R, H, T, D), (R, H, T, E), or None where a softmax was computed by hand.
        output: (R, H, Q, E); None for weights that were not multiplied with values.
        is_by_hand: the weights are a softmax that the model itself computed.
    """

    weights: torch.Tensor
    query: torch.Tensor | None = None
    key: torch.Tensor | None = None
    value: torch.Tensor | None = None
    output: torch.Tensor | None = None
    is_by_hand: bool = False


class Attentions(TorchFunctionMode):
    """Sees what may be an attention while a model runs, and keeps those that are asked for: `with Attentions(asked):`.

    The calls of a pass are counted, so that two passes over inputs of the same shapes have the same numbers. Under such
    a mode, PyTorch's own layers do not take the fast path that hides their attention.

    Args:
        asked: {number of a call: how it is kept}.
        leaves: where weights and outputs are kept to differentiate by, as (WEIGHTS, name) and (OUTPUT, name).

    Attributes:
        seen: {number: what was kept}.
    """

    def __init__(self, asked: Mapping[int, Asked], leaves: Leaves) -> None:
        super().__init__()
        self.seen: dict[int, Seen] = {}
        self._asked = asked
        self._leaves = leaves
        self._calls = 0
        self._carriers: dict[int, tuple[torch.Tensor, int, Asked]] = {}  # tensors that hold weights made by hand

    def ask(self, number: int, shape: Sequence[int], scores: torch.Tensor | None) -> Asked | None:
        """How a call is kept; None to leave it to PyTorch.

        Args:
            number: of the call, from 0.
            shape: of the weights, (*rows, Q, T).
            scores: what a softmax by hand takes.
        """
        return self._asked.get(number)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in FUSED:
            return self._fused(func, args, kwargs)
        if func in SOFTMAXES:
            return self._softmax(func, args, kwargs)
        if getattr(func, "__name__", "") == FLEX:
            raise BackendError(
                "the model computes attention with flex_attention, whose weights cannot be seen: build it with "
                "scaled_dot_product_attention, in Transformers by attn_implementation='sdpa'"
            )
        result = func(*args, **kwargs)
        if not self._carriers:
            return result
        if func in PASSING and (carried := self._carried(args[0])) is not None:
            self._carriers[id(result)] = result, *carried
        elif func in PRODUCTS or func is torch.einsum:
            return self._multiplied(func, args, kwargs, result)
        return result

    def _fused(self, func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        in_the_open, shape_of = FUSED[func]
        number, asked = self._next(shape_of(*args, **kwargs), None)
        if asked is None:
            return func(*args, **kwargs)

        def attend(operands: Operands) -> tuple[torch.Tensor, torch.Tensor]:
            def split(tensor: torch.Tensor) -> torch.Tensor:
                return tensor.reshape(-1, asked.heads, *tensor.shape[-2:])

            weights = operands.weights
            kept, given = self._keep(WEIGHTS, split(weights), asked)
            given = given.reshape(weights.shape)
            output, given_output = self._keep(OUTPUT, split(operands.output(given)), asked)
            q, k, v = map(split, (operands.query, operands.key, operands.value))
            self.seen[number] = Seen(kept, q, k, v, output)
            return given_output.reshape(*weights.shape[:-1], -1), given

        return in_the_open(attend, *args, **kwargs)

    def _softmax(self, func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        weights = func(*args, **kwargs)
        scores = args[0] if args else kwargs["input"]
        axis = args[1] if len(args) > 1 else kwargs.get("dim")
        if scores.ndim < 3 or axis not in (-1, scores.ndim - 1):
            return weights
        number, asked = self._next(weights.shape, scores)
        if asked is None:
            return weights
        split = weights.reshape(-1, asked.heads, *weights.shape[-2:])
        kept, given = self._keep(WEIGHTS, split, asked)
        given = given.reshape(weights.shape)
        self.seen[number] = Seen(kept, is_by_hand=True)
        self._carriers[id(given)] = given, number, asked
        return given

    def _multiplied(
        self, func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], result: torch.Tensor
    ) -> torch.Tensor:
        """The result of a product, kept where it is one of weights and values."""
        read: Callable[..., Product | None] = Product.of_einsum if func is torch.einsum else Product.of_matrices
        product = read(*args, *kwargs.values())
        carried = None if product is None else self._carried(product.weights)
        if product is None or carried is None:
            return result
        number, asked = carried
        seen = self.seen[number]
        arranged = product.arranged(seen.weights.shape, result)
        if arranged is None:
            return result
        seen.value, output = arranged
        seen.output, given = self._keep(OUTPUT, output, asked)
        self._carriers = {key: carrier for key, carrier in self._carriers.items() if carrier[1] != number}
        return product.given_back(given, result)

    def _next(self, shape: Sequence[int], scores: torch.Tensor | None) -> tuple[int, Asked | None]:
        number = self._calls
        self._calls += 1
        return number, self.ask(number, tuple(shape), scores)

    def _carried(self, tensor: torch.Tensor) -> tuple[int, Asked] | None:
        """The number of the attention whose weights a tensor holds, and how it is kept."""
        found = self._carriers.get(id(tensor))
        return None if found is None else found[1:]

    def _keep(self, kind: str, tensor: torch.Tensor, asked: Asked) -> tuple[torch.Tensor, torch.Tensor]:
        """What is kept of a tensor, and what the model continues with, which it may write to."""
        if not asked.with_gradients:
            return tensor, tensor.clone()
        given = self._leaves.keep((kind, asked.name), tensor)
        return self._leaves.tensors[kind, asked.name], given


def _of_rows(query: torch.Tensor, key: torch.Tensor, *more: Any, **options: Any) -> tuple[int, ...]:
    """The shape of the weights of `F.scaled_dot_product_attention`."""
    return (*query.shape[:-1], key.shape[-2])


def _of_heads(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, features: int, heads: int, *more: Any, **options: Any
) -> tuple[int, ...]:
    """The shape of the weights of `F.multi_head_attention_forward`, without the keys that it adds."""
    return (query.shape[1] if query.ndim == 3 else 1, heads, len(query), len(key))


FUSED: dict[Callable[..., Any], tuple[Callable[..., Any], Callable[..., tuple[int, ...]]]] = {
    F.scaled_dot_product_attention: (scaled_dot_product, _of_rows),
    F.multi_head_attention_forward: (multi_head, _of_heads),
}
"""{function: the same in the open, and the shape of its weights}."""
