"""The arithmetic of PyTorch's fused attentions, in steps: scores, weights, output.

N images, H heads, Q queries, T keys, D and E features of a head.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from xaicore_torch.outputs import is_half

__all__ = ["Attend", "Operands", "multi_head", "scaled_dot_product"]


@dataclass(frozen=True, eq=False)
class Operands:
    """What one attention multiplies.

    Attributes:
        query, key, value: (*rows, Q, D), (*rows, T, D), (*rows, T, E); the query is scaled, and heads that share keys
            and values have copies of their own.
        mask: what is added to the scores, (*rows, Q, T) or broadcast to it; None for no mask.
        dropout: the probability with which a weight is dropped, also in evaluation mode.
    """

    query: torch.Tensor
    key: torch.Tensor
    value: torch.Tensor
    mask: torch.Tensor | None = None
    dropout: float = 0.0

    @property
    def weights(self) -> torch.Tensor:
        """The softmax of the scores, (*rows, Q, T); zeros for a query that may read no key, as in PyTorch's kernels."""
        scores = self.query @ self.key.transpose(-1, -2)
        if self.mask is None:
            return scores.softmax(-1)
        scores = scores + self.mask
        is_blind = (scores == -math.inf).all(-1, keepdim=True)
        return scores.masked_fill(is_blind, 0.0).softmax(-1).masked_fill(is_blind, 0.0)

    def output(self, weights: torch.Tensor) -> torch.Tensor:
        """Weights times values, (*rows, Q, E)."""
        return (F.dropout(weights, self.dropout) if self.dropout else weights) @ self.value


Attend = Callable[[Operands], tuple[torch.Tensor, torch.Tensor]]
"""`attend(operands)` returns the output (*rows, Q, E) and the weights (*rows, Q, T), and may keep both."""


def scaled_dot_product(
    attend: Attend,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> torch.Tensor:
    """`F.scaled_dot_product_attention` with these arguments; computes half precision in float32, as its kernels do."""
    return _attended(attend, query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa)[0]


def multi_head(
    attend: Attend,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: torch.Tensor | None,
    in_proj_bias: torch.Tensor | None,
    bias_k: torch.Tensor | None,
    bias_v: torch.Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: torch.Tensor,
    out_proj_bias: torch.Tensor | None,
    training: bool = True,
    key_padding_mask: torch.Tensor | None = None,
    need_weights: bool = True,
    attn_mask: torch.Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: torch.Tensor | None = None,
    k_proj_weight: torch.Tensor | None = None,
    v_proj_weight: torch.Tensor | None = None,
    static_k: torch.Tensor | None = None,
    static_v: torch.Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """`F.multi_head_attention_forward` with these arguments: the output, and the weights if they are needed.

    `is_causal` is a hint: the mask says the same.
    """
    is_single = query.ndim == 2
    if is_single:
        query, key, value = query[:, None], key[:, None], value[:, None]
        key_padding_mask = None if key_padding_mask is None else key_padding_mask[None]
    count = query.shape[1]
    q, k, v = _projected(
        (query, key, value),
        (q_proj_weight, k_proj_weight, v_proj_weight) if use_separate_proj_weight else _thirds(in_proj_weight),
        _thirds(in_proj_bias),
    )
    if bias_k is not None and bias_v is not None:
        k, v = torch.cat([k, bias_k.expand(1, count, -1)]), torch.cat([v, bias_v.expand(1, count, -1)])
    q, k, v = (one.reshape(len(one), count, num_heads, -1).permute(1, 2, 0, 3) for one in (q, k, v))
    k = k if static_k is None else static_k.reshape(count, num_heads, *static_k.shape[1:])
    v = v if static_v is None else static_v.reshape(count, num_heads, *static_v.shape[1:])
    if add_zero_attn:
        k, v = F.pad(k, (0, 0, 0, 1)), F.pad(v, (0, 0, 0, 1))
    mask = _mask_of_heads(attn_mask, key_padding_mask, q, k)
    attended, weights = _attended(attend, q, k, v, mask, dropout_p if training else 0.0)
    output = F.linear(attended.permute(2, 0, 1, 3).flatten(2), out_proj_weight, out_proj_bias)
    weights = weights.mean(1) if average_attn_weights else weights
    if is_single:
        output, weights = output[:, 0], weights[0]
    return output, weights if need_weights else None


def _attended(
    attend: Attend,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    dropout: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> tuple[torch.Tensor, torch.Tensor]:
    dtype = query.dtype
    if is_half(query):
        query, key, value = query.float(), key.float(), value.float()
    if enable_gqa:
        key = key.repeat_interleave(query.shape[-3] // key.shape[-3], -3)
        value = value.repeat_interleave(query.shape[-3] // value.shape[-3], -3)
    rows = np.broadcast_shapes(*(one.shape[:-2] for one in (query, key, value)))
    query, key, value = (one.expand(*rows, *one.shape[-2:]) for one in (query, key, value))
    query = query * (query.shape[-1] ** -0.5 if scale is None else scale)
    masks = [] if attn_mask is None else [_additive(attn_mask, query.dtype)]
    if is_causal:
        earlier = torch.ones(query.shape[-2], key.shape[-2], dtype=torch.bool, device=query.device).tril()
        masks.append(_additive(earlier, query.dtype))
    output, weights = attend(Operands(query, key, value, _total(masks), dropout))
    return output.to(dtype), weights.to(dtype)


def _total(masks: Sequence[torch.Tensor]) -> torch.Tensor | None:
    return reduce(torch.add, masks) if masks else None


def _thirds(packed: torch.Tensor | None) -> tuple[Any, ...]:
    """The parts of a packed projection for queries, keys and values."""
    return (None, None, None) if packed is None else packed.chunk(3)


def _projected(given: Sequence[torch.Tensor], weights: Sequence[Any], biases: Sequence[Any]) -> list[torch.Tensor]:
    return [F.linear(one, *of) for one, *of in zip(given, weights, biases, strict=True)]


def _mask_of_heads(
    mask: torch.Tensor | None, padding: torch.Tensor | None, query: torch.Tensor, key: torch.Tensor
) -> torch.Tensor | None:
    """A mask (Q, T) or (N * H, Q, T) and one of padding (N, T), as what is added to scores (N, H, Q, T).

    Keys that the attention itself has added, behind the others, are masked for nobody.
    """
    count, heads, _, keys = *query.shape[:3], key.shape[2]
    masks = []
    if mask is not None:
        masks.append(mask.reshape(count, heads, *mask.shape[1:]) if mask.ndim == 3 else mask)
    if padding is not None:
        masks.append(padding[:, None, None])
    masks = [_additive(~one, query.dtype) if one.dtype == torch.bool else one for one in masks]
    return _total([F.pad(one, (0, keys - one.shape[-1])) for one in masks])


def _additive(mask: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """A mask that is added to scores, of one that is True where a key may be read."""
    if mask.dtype != torch.bool:
        return mask.to(dtype)
    return torch.zeros_like(mask, dtype=dtype).masked_fill(~mask, -math.inf)
