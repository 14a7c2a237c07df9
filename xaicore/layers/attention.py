"""Which attentions of a model a method reads, the grid that their tokens lie on, and the queries that are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from types import MappingProxyType

from xaicore.errors import MethodError
from xaicore.facts import AttentionFacts, Facts
from xaicore.layers.axes import channel_axes
from xaicore.layers.grid import Grid
from xaicore.layers.joined import Parts, joined_grid, no_words
from xaicore.layers.reading import Reading
from xaicore.layers.runs import split_run

__all__ = ["Tokens", "attention_grid", "queries_read", "read_blocks", "stated_tokens"]

INSTEAD = "Use a method on a layer, such as 'gradcam'"


@dataclass(frozen=True)
class Tokens:
    """The attentions that methods read, and the tokens that they mix.

    Attributes:
        blocks: the attentions, in the order in which they run.
        grid: where their keys lie in the picture.
        read: the queries of the last one that the output is read from; empty where nothing shows them.
    """

    blocks: tuple[AttentionFacts, ...]
    grid: Grid
    read: tuple[int, ...]

    def last(self, count: int | None) -> Tokens:
        """The same of the last `count` attentions; of all where it is None."""
        return self if count is None else replace(self, blocks=self.blocks[max(0, len(self.blocks) - count) :])

    @property
    def name(self) -> str:
        """What a result names as its layer."""
        names = [block.name for block in self.blocks]
        return " + ".join(names) if len(names) < 3 else f"{len(names)} attentions, {names[0]} to {names[-1]}"


def read_blocks(
    blocks: Sequence[AttentionFacts], count: int | None, facts: Facts, position: int
) -> tuple[AttentionFacts, ...]:
    """The last `count` attentions that reach the output and read this input; all of them where it is None.

    Args:
        blocks: all attentions, in the order in which they run.
        count: how many a method reads.
        facts: of the same pass.
        position: of the picture among the inputs.

    Raises:
        MethodError: there are none, or one of them does not attend from the picture's tokens to the picture's tokens.
            The last may ask with other queries, as attention pooling does.
    """
    of_name = facts.named
    reads = {one.name: getattr(of_name.get(split_run(one.name)[0]), "reads", None) for one in blocks}
    over = [one for one in blocks if one.reached is not False and position in (reads[one.name] or (position,))]
    if not over:
        raise MethodError(
            "no attention over the picture was seen: there is none, or a function of another library, such as "
            f"flash_attn, computes it. {INSTEAD}"
        )
    chosen = over if count is None else over[-count:]
    for i, block in enumerate(reversed(chosen)):
        misfit = _misfit(block, chosen[-1], facts.count)
        if misfit is not None:
            later = f"Read only the later ones, such as xaicore.method('legrad', blocks={i}), or use" if i else "Use"
            raise MethodError(f"attention {block.name!r} {misfit}. {later} a method on a layer, such as 'gradcam'")
    return tuple(chosen)


def _misfit(block: AttentionFacts, last: AttentionFacts, images: int) -> str | None:
    """Why tokens of the picture do not attend to all of them here; None where they do."""
    rows, _, queries, keys = block.shape
    if rows != images:
        return (
            f"has {rows} rows of {queries} tokens for {images} image(s): it attends within windows, or over parts of "
            "an image, whose tokens do not see each other"
        )
    if queries > keys or (queries != keys and block is not last):
        return f"has {queries} queries for {keys} keys: the tokens that ask are others than those that answer"
    if keys != last.shape[-1]:
        return f"has {keys} tokens, and {last.name!r} {last.shape[-1]}: they lie on different grids"
    return None


def attention_grid(blocks: Sequence[AttentionFacts], reading: Reading, position: int) -> Grid:
    """The one grid over this input whose tokens are the keys of the attentions.

    Raises:
        MethodError: nothing settles where these lie.
    """
    tokens = blocks[-1].shape[-1]
    grids = {name: grid for name, grid in reading.grids.items() if reading.pictures[name] == position}
    found = {
        (grid.size, grid.prefix, grid.suffix): grid
        for grid in grids.values()
        if "l" in grid.axes and grid.prefix + prod(grid.size) + grid.suffix == tokens
    }
    if len(found) != 1:
        seen = " or ".join(f"{' x '.join(map(str, size))} after {prefix}" for size, prefix, _ in found)
        raise MethodError(
            f"nothing settles where the {tokens} tokens of attention {blocks[-1].name!r} lie in the picture"
            f"{': on ' + seen if seen else ''}. If they lie on a grid, behind what other tokens there are, say so: "
            "grid=(h, w)"
        )
    return next(iter(found.values()))


def stated_tokens(blocks: Sequence[AttentionFacts], size: tuple[int, ...], parts: Parts = MappingProxyType({})) -> Grid:
    """The grid that the caller states; the rest of the picture's tokens come first.

    Args:
        blocks: the attentions.
        size: the grid.
        parts: which of their tokens come from the picture, as `picture_tokens` finds them.

    Raises:
        MethodError: the grid has more positions than there are tokens.
        LayerError: nothing tells which tokens are the picture's, or there are fewer than positions.
    """
    tokens, name = blocks[-1].shape[-1], f"attention {blocks[-1].name!r}"
    part = parts.get(tokens, (0, tokens - 1))
    if part is None:
        raise no_words(name, tokens)
    if part != (0, tokens - 1):
        return joined_grid("nlc", size, part, tokens, name)
    if prod(size) > tokens:
        raise MethodError(
            f"{name} has {tokens} tokens, and grid={size} has {prod(size)} positions: expected at most as many"
        )
    return Grid("nlc", size, tokens - prod(size))


def queries_read(blocks: Sequence[AttentionFacts], grid: Grid, facts: Facts, position: int) -> tuple[int, ...]:
    """The queries of the last attention that the output is read from; empty where nothing shows them.

    These are the tokens of the last layer at which the gradient of the output arrives: prefix tokens, such as a class
    token, if it arrives at any; else positions. Attention pooling has queries of its own, which are all read.
    """
    *_, queries, tokens = blocks[-1].shape
    if queries != tokens:
        return tuple(range(queries))
    positions = range(tokens)[grid.tokens]
    others = [token for token in range(tokens) if token not in positions]
    channels = channel_axes(facts.layers)
    for layer in reversed(facts.layers):
        is_over = layer.reads is None or position in layer.reads
        axes = [axis for axis, length in enumerate(layer.shape) if length == tokens and axis != channels[layer.name]]
        if not is_over or len(layer.shape) != 3 or len(axes) != 1 or axes[0] not in (layer.reached or ()):
            continue
        reached = (layer.reached or {})[axes[0]]
        return tuple(i for i in others if reached[i]) or tuple(i for i in positions if reached[i])
    return () if others else tuple(positions)
