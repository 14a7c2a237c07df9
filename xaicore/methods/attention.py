"""Methods that read the attention of transformers.

A (N, H, Q, T) weights of H heads, of Q queries to T keys; G (N, K, H, Q, T) gradients of the score with respect to A.
E_h is the mean over heads, r the ReLU. A method that ends in a row of a matrix of tokens reads the queries that the
output is read from, as the gradient shows them: the class token; the mean of several prefix tokens, such as a class and
a distillation token; without any, the mean of the positions. `token=` says another one, an index or "mean". A query of
attention pooling is the last row by itself. Maps (N, K, *S); the prefix tokens are left out.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from xaicore.capture import Attention
from xaicore.errors import MethodError, did_you_mean
from xaicore.evidence import Evidence
from xaicore.maps import relu

__all__ = ["attention", "chefer", "gradeclip", "legrad", "rollout"]


def attention(
    evidence: Evidence, *, block: int | str = -1, head: int | None = None, token: int | str | None = None
) -> np.ndarray:
    """Attention of one block: the row of E_h A that the output is read from. The same map for every target.

    Cost: a forward pass.

    Args:
        evidence: of the pass.
        block: the block's index among those that the method reads, -1 for the last; or its name.
        head: one head, instead of their mean.
        token: another query.
    """
    weights = _chosen(evidence, block).weights
    heads = weights.shape[1]
    if head is not None and not -heads <= head < heads:
        raise MethodError(f"head={head!r}: expected one of 0 to {heads - 1}")
    mean = weights.mean(axis=1) if head is None else weights[:, head]
    return evidence.as_map(mean[:, queries(evidence, weights.shape[2], token)].mean(axis=1)[:, None])


def rollout(evidence: Evidence, *, token: int | str | None = None) -> np.ndarray:
    """Attention rollout (Abnar & Zuidema 2020): the row of the product over blocks, the last one on the left.

    Each factor is (E_h A + I) / 2, its rows divided by their sums. The same map for every target.

    Attention pooling, whose query is none of the tokens, is E_h A, without I. Cost: a forward pass.
    """

    def factor(one: Attention) -> np.ndarray:
        mean = one.weights.mean(axis=1, dtype=np.float64)
        if mean.shape[-1] == mean.shape[-2]:
            mean = (mean + np.eye(mean.shape[-1])) / 2
        total = mean.sum(axis=-1, keepdims=True)
        return np.divide(mean, total, out=np.zeros_like(mean), where=total > 0)[:, None]

    blocks = list(evidence.attention.values())
    return evidence.as_map(_row_of_product(evidence, map(factor, reversed(blocks)), token))


def chefer(evidence: Evidence, *, token: int | str | None = None) -> np.ndarray:
    """Gradient-weighted rollout (Chefer, Gur & Wolf 2021, Generic Attention-model Explainability), a row of R.

    R starts as I, and each block adds E_h r(G A) R, the first one first: R is the product of I + E_h r(G A), the last
    one on the left. The row without its I: that part of a token is itself, at which a class token's map is not shown,
    and among the positions it is a constant.

    Attention pooling, whose query is none of the tokens, is E_h r(G A), as in the paper's cross-attention. Cost: a
    forward and a backward pass.
    """

    def factor(one: Attention) -> np.ndarray:
        mean = relu(_gradients(one) * one.weights[:, None]).mean(axis=2, dtype=np.float64)
        return mean + np.eye(mean.shape[-1]) if mean.shape[-1] == mean.shape[-2] else mean

    blocks = list(evidence.attention.values())
    rows = _row_of_product(evidence, map(factor, reversed(blocks)), token)
    if blocks[-1].weights.shape[-2] == rows.shape[-1]:
        read = queries(evidence, rows.shape[-1], token)
        rows[..., read] -= 1 / len(read)
    return evidence.as_map(rows)


def legrad(evidence: Evidence) -> np.ndarray:
    """LeGrad (Bousselham et al. 2024): the mean over blocks, heads and queries of r(G).

    G is the gradient of the model's own score, in all blocks from one backward pass. The paper gives each block a score
    of its own, of the classifier applied to the block's tokens, which the published code averages, whatever the model
    reads. That needs to know where the classifier begins, and a backward pass per block. For the last block the two
    are equal, where the model reads its tokens in this way.

    By default of the last two blocks, as in the published code (layer_index=-2); `blocks=` says how many. Cost: a
    forward pass, and the backward pass of these blocks.
    """
    maps = [relu(_gradients(one)).mean(axis=(2, 3)) for one in evidence.attention.values()]
    return evidence.as_map(np.mean(maps, axis=0))


def gradeclip(evidence: Evidence, *, token: int | str | None = None) -> np.ndarray:
    """Grad-ECLIP (Zhao et al. 2024): r(sum_c w_c l_t v_tc) at token t, averaged over blocks.

    v are the values of all heads, side by side; w is the gradient of the score with respect to the attention's output
    at the query that is read; l_t is the cosine of that query and key t over all heads, scaled to 0..1 over the
    positions, instead of the softmax, which is too sparse. With several such queries, their sum.

    Queries, keys and values are those of the model. The published code computes the attention anew with a single head,
    which gives a model other outputs; it sums over blocks. By default the last block; `blocks=` says how many. Cost: a
    forward pass, and the backward pass of what follows the attention.
    """
    maps = [relu(_gradeclip(evidence, name, one, token)) for name, one in evidence.attention.items()]
    return np.mean(maps, axis=0)


def _gradeclip(evidence: Evidence, name: str, one: Attention, token: int | str | None) -> np.ndarray:
    if one.query is None or one.key is None or one.value is None or one.output_gradients is None:
        raise MethodError(
            f"attention {name!r} is a softmax of the model's own, so that nothing shows its queries and keys, which "
            "method 'gradeclip' needs: use 'legrad', which does without"
        )
    read = queries(evidence, one.query.shape[2], token)
    q, k, v = (_joined(part) for part in (one.query[:, :, read], one.key, one.value))
    w = _joined(one.output_gradients[:, :, :, read])
    cosine = evidence.as_map(_unit(q) @ _unit(k).swapaxes(-1, -2))
    per_picture = cosine.reshape(*cosine.shape[:2], -1)
    low, high = per_picture.min(axis=-1, keepdims=True), per_picture.max(axis=-1, keepdims=True)
    loosened = np.divide(per_picture - low, high - low, out=np.ones_like(per_picture), where=high > low)
    products = np.einsum("nkqc,ntc->nkqt", w, v)
    count, k_targets, rows = products.shape[:3]
    of_positions = evidence.as_map(products.reshape(count, k_targets * rows, -1))
    spatial = of_positions.reshape(count, k_targets, rows, -1)
    return (spatial * loosened[:, None]).sum(axis=2).reshape(count, k_targets, *of_positions.shape[2:])


def queries(evidence: Evidence, count: int, token: int | str | None = None) -> list[int]:
    """The queries, of `count`, whose rows a method reads.

    Raises:
        MethodError: nothing shows them, or `token` is none of them.
    """
    tokens = evidence.tokens
    assert tokens is not None
    *_, pooling, keys = tokens.blocks[-1].shape
    positions = tuple(range(count)[tokens.grid.tokens])
    read = tokens.read
    if pooling != keys:  # attention pooling reads all tokens, with queries of its own
        read = tuple(range(count)) if count == pooling else positions
    if token == "mean":
        read = positions
    elif isinstance(token, int) and -count <= token < count:
        read = (token % count,)
    elif token is not None:
        raise MethodError(f"token={token!r}: expected one of 0 to {count - 1}, or 'mean'")
    if not read:
        raise MethodError(
            "nothing shows which tokens the output is read from: say so, as in xaicore.method('rollout', token=0) for "
            "a class token, or token='mean' for the mean of the positions"
        )
    return list(read)


def _row_of_product(evidence: Evidence, factors: Iterable[np.ndarray], token: int | str | None) -> np.ndarray:
    """The mean of the read rows, (N, K, T), of a product of factors (N, K, Q, T), from the left to the right."""
    rows: np.ndarray | None = None
    for factor in factors:
        if rows is None:
            rows = factor[..., queries(evidence, factor.shape[-2], token), :].mean(axis=-2)
        else:
            rows = (rows[..., None, :] @ factor)[..., 0, :]
    assert rows is not None
    return rows


def _chosen(evidence: Evidence, block: int | str) -> Attention:
    known = evidence.attention
    if isinstance(block, str):
        if block not in known:
            raise MethodError(f"block={block!r}: expected one of {', '.join(known)}{did_you_mean(block, known)}")
        return known[block]
    if not -len(known) <= block < len(known):
        raise MethodError(f"block={block!r}: the model has {len(known)} attentions, expected 0 to {len(known) - 1}")
    return list(known.values())[block]


def _gradients(one: Attention) -> np.ndarray:
    assert one.weights_gradients is not None
    return one.weights_gradients


def _joined(heads: np.ndarray) -> np.ndarray:
    """(..., H, T, D) as (..., T, H * D)."""
    moved = np.moveaxis(heads, -3, -2)
    return moved.reshape(*moved.shape[:-2], -1)


def _unit(vectors: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0)
