"""The grid that the tokens of attentions lie on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from xaicore.errors import MethodError
from xaicore.facts import AttentionFacts
from xaicore.layers.grid import Grid

__all__ = ["attention_grid", "read_blocks"]


def read_blocks(blocks: Sequence[AttentionFacts], count: int | None, images: int) -> tuple[AttentionFacts, ...]:
    """The last `count` attentions that reach the output; all of them where it is None.

    Raises:
        MethodError: there are none, or one of them attends within windows or from other tokens.
    """
    if not blocks:
        raise MethodError("the model has no attention: use a method on a layer, such as 'gradcam'")
    reached = [block for block in blocks if block.reached is not False]
    chosen = tuple(reached if count is None else reached[len(reached) - count :])
    for block in chosen:
        rows, _, queries, keys = block.shape
        if rows != images:
            raise MethodError(
                f"attention {block.name!r} has {rows} rows of {queries} tokens for {images} image(s): it attends "
                "within windows, or over parts of an image, whose tokens do not see each other. Use a method on a "
                "layer, such as 'gradcam'"
            )
        if queries != keys:
            raise MethodError(
                f"attention {block.name!r} is {queries} queries x {keys} keys: its queries are other tokens than the "
                "picture's. Use a method on a layer, such as 'gradcam'"
            )
    return chosen


def attention_grid(blocks: Sequence[AttentionFacts], grids: Iterable[Grid]) -> Grid:
    """The one grid among these whose tokens are those of the attentions.

    Raises:
        MethodError: the attentions differ in tokens, or the grids do not settle where these lie.
    """
    counts = {block.shape[-1] for block in blocks}
    if len(counts) > 1:
        raise MethodError(
            f"the attentions have {', '.join(map(str, sorted(counts)))} tokens: a method that multiplies them needs "
            "the same tokens in all"
        )
    tokens = counts.pop()
    found = {
        (grid.size, grid.prefix, grid.suffix): grid for grid in grids if "l" in grid.axes and _count(grid) == tokens
    }
    if len(found) != 1:
        seen = " or ".join(f"{' x '.join(map(str, size))} after {prefix}" for size, prefix, _ in found) or "no grid"
        raise MethodError(
            f"the attentions' {tokens} tokens lie on {seen}: name a layer of these tokens and say their positions, "
            "layer=..., grid=(h, w)"
        )
    return next(iter(found.values()))


def _count(grid: Grid) -> int:
    count = grid.prefix + grid.suffix
    positions = 1
    for length in grid.size:
        positions *= length
    return count + positions
