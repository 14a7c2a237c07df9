"""All shards in this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from xaicore.dataset.shard import Job, ShardExplainer

__all__ = ["run"]


def run(job: Job, shards: Sequence[int], done: Callable[[int], object]) -> None:
    """Make the parts of these shards that nobody has made or is making.

    Args:
        job: what to make.
        shards: their numbers.
        done: called with a number of pictures each time some are done.

    Raises:
        XaicoreError: as `ShardExplainer.run` does.
    """
    ShardExplainer(job).run(shards, done)
