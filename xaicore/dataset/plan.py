"""Which items are of which shard: the same in every process and in every run."""

from __future__ import annotations

from dataclasses import dataclass

from xaicore.data.numbers import check_whole
from xaicore.errors import InputError

__all__ = ["Plan", "read_share", "usual_shard_size"]

MOST = 512
"""Items per shard at most, where nobody says it: a run that dies loses those of one."""

EACH = 4
"""Shards per process at least: all of them then end at about the same time."""


@dataclass(frozen=True)
class Plan:
    """Items in shards of one size; only the last one may be smaller.

    Args:
        count: how many items there are.
        shard_size: items per shard.

    Raises:
        InputError: a number is not whole, or less than 1.
    """

    count: int
    shard_size: int

    def __post_init__(self) -> None:
        check_whole(self.count, "count", 1)
        check_whole(self.shard_size, "shard_size", 1)

    def __len__(self) -> int:
        """How many shards there are."""
        return -(-self.count // self.shard_size)

    def items(self, shard: int) -> range:
        """The positions of a shard's items."""
        start = shard * self.shard_size
        return range(start, min(start + self.shard_size, self.count))

    def shard_of(self, position: int) -> int:
        """The shard of an item."""
        return position // self.shard_size

    def batches(self, shard: int, size: int) -> list[range]:
        """The positions of a shard's items, `size` at a time; a batch does not reach into the next shard."""
        items = self.items(shard)
        return [items[start : start + size] for start in range(0, len(items), size)]

    def share(self, part: int, parts: int) -> range:
        """The shards of one of several jobs that divide the plan: every `parts`-th one, from `part` on."""
        return range(part, len(self), parts)


def read_share(shard: str | tuple[int, int] | None) -> tuple[int, int]:
    """(i, n) of a job that is number i of n, from 0; (0, 1) for None.

    Args:
        shard: "0/8", or (0, 8).

    Raises:
        InputError: it is none of these, or i is not below n.
    """
    if shard is None:
        return 0, 1
    try:
        i, n = map(int, shard.split("/") if isinstance(shard, str) else shard)
    except (TypeError, ValueError):
        i, n = -1, 0
    if not 0 <= i < n:
        raise InputError(f"shard={shard!r}: expected 'i/n', job i of n jobs, with i from 0 to n - 1, such as '0/8'")
    return i, n


def usual_shard_size(count: int, batch_size: int, processes: int) -> int:
    """Items per shard where nobody says it: whole batches, and few enough that each process has some.

    One process has some, too: what is written stays when it ends.

    Args:
        count: how many items there are.
        batch_size: items per pass of the model.
        processes: how many make shards at a time, in all jobs.
    """
    return min(MOST, -(-count // (EACH * processes * batch_size)) * batch_size)
