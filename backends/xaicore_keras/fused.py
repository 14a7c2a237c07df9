"""What a backend of Keras fuses into one dot-product attention, in the open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from xaicore import BackendError

__all__ = ["Factors"]


@dataclass(frozen=True, eq=False)
class Factors:
    """What a dot-product attention multiplies, in the order images, heads, tokens, features.

    Attributes:
        query, key, value: (N, H, Q, D), (N, H, T, D), (N, H, T, D); queries are scaled, groups of heads have their
            keys and values each.
        weights: (N, H, Q, T).
        causal: whether a query is kept from reading later keys; None where a mask or a bias may say so.
    """

    query: Any
    key: Any
    value: Any
    weights: Any
    causal: bool | None

    @classmethod
    def of(
        cls,
        query: Any,
        key: Any,
        value: Any,
        bias: Any = None,
        mask: Any = None,
        scale: float | None = None,
        is_causal: bool = False,
        flash_attention: bool | None = None,
        attn_logits_soft_cap: float | None = None,
    ) -> Factors:
        """Of the arguments of `keras.ops.dot_product_attention`; scores have float32 or better, as in Keras.

        Raises:
            BackendError: logits are capped, which only kernels of a TPU do.
        """
        if attn_logits_soft_cap is not None:
            raise BackendError(
                "attention with attn_logits_soft_cap runs in a kernel of the TPU alone, whose weights cannot be seen: "
                "use a method on a layer, such as 'gradcam'"
            )
        query, key, value = (ops.convert_to_tensor(tensor) for tensor in (query, key, value))
        heads, dtype = query.shape[2], keras.backend.result_type(query.dtype, key.dtype, value.dtype)
        precise = keras.backend.result_type(dtype, "float32")
        query, key, value = (_heads_first(tensor, heads) for tensor in (query, key, value))
        query, key = ops.cast(query, precise), ops.cast(key, precise)
        query = query * ops.cast(query.shape[-1] ** -0.5 if scale is None else scale, precise)
        scores = ops.matmul(query, ops.swapaxes(key, -1, -2))
        if bias is not None:
            scores = scores + ops.cast(_of_scores(bias, heads), precise)
        for allowed in (None if mask is None else _of_scores(mask, heads), _earlier(scores) if is_causal else None):
            if allowed is not None:
                scores = ops.where(ops.cast(allowed, "bool"), scores, ops.cast(_lowest(precise), precise))
        weights = ops.cast(ops.softmax(scores), dtype)
        causal = True if is_causal else False if bias is None and mask is None else None
        return cls(query, key, ops.cast(value, dtype), weights, causal)


def _heads_first(tensor: Any, heads: int) -> Any:
    """(N, T, H, D) as (N, heads, T, D): each of fewer heads serves a group of neighbours."""
    first = ops.transpose(tensor, (0, 2, 1, 3))
    return first if first.shape[1] == heads else ops.repeat(first, heads // first.shape[1], axis=1)


def _of_scores(tensor: Any, heads: int) -> Any:
    """A mask or bias that broadcasts to (N, H, Q, T), as the running backend takes one of fewer axes."""
    tensor = ops.convert_to_tensor(tensor)
    if keras.backend.backend() == "jax" and len(tensor.shape) == 3:
        return ops.expand_dims(tensor, 2 if tensor.shape[1] == heads else 1)
    return tensor


def _earlier(scores: Any) -> Any:
    """(Q, T): whether a key stands no later than the query."""
    return ops.tril(ops.ones(ops.shape(scores)[2:]))


def _lowest(dtype: str) -> float:
    """The score of a key that is masked; a query without any other key reads all of them alike, as in Keras."""
    return -0.7 * (1.7e308 if dtype == "float64" else 3.38953e38)
