"""The pictures of shards: read beside the model, and noted in the shard's journal before they are in work."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from xaicore.dataset.folder import Claim
from xaicore.dataset.trial import EXPLAINED, NOTHING, PREPARED, deadly
from xaicore.source.items import ENDS_PROCESS, Item, Prepared
from xaicore.source.reading import Batch, Reading

__all__ = ["ShardBatch", "read_ahead", "read_alone"]


class ShardBatch(Batch):
    """Some items of one shard.

    Attributes:
        claim: of the shard.
        positions: of the items.
        is_last: the shard ends with them.
    """

    def __init__(self, claim: Claim, positions: range, is_last: bool) -> None:
        super().__init__(positions)
        self.claim, self.is_last = claim, is_last


def read_ahead(batches: Iterator[ShardBatch], reading: Reading) -> Iterator[ShardBatch]:
    """The batches in order, each read while those before it are explained."""
    return reading.ahead(batches, _note)


def read_alone(
    batches: Iterator[ShardBatch], reading: Reading, attempt: Callable[[Item], object]
) -> Iterator[ShardBatch]:
    """The batches of shards that a process died with, no two pictures at a time.

    What was in work then is tried in another process first, and noted one by one where that does not show everything.
    """
    listing = reading.listing
    tried, far = None, NOTHING
    for batch in batches:
        journal = batch.claim.journal
        if batch.claim is not tried:
            tried = batch.claim
            found, far = deadly([listing[position] for position in sorted(journal.suspects)], reading.prepare, attempt)
            journal.give_up(found)
            journal.are_tried = far == EXPLAINED
        journal.begin(list(batch.positions))
        items = []
        for position in batch.positions:
            if position in journal.given_up:
                items.append(given_up(listing[position]))
            elif position in journal.suspects and far < PREPARED:
                with journal.alone(position):
                    items.append(reading.item(position))
            else:
                items.append(reading.item(position))
        batch.give(items)
        yield batch


def given_up(item: Item) -> Prepared:
    """The item that ends a process."""
    return Prepared(item, error=f"{item.source.id}: {ENDS_PROCESS}")


def _note(waiting: Sequence[ShardBatch], batch: ShardBatch) -> None:
    """What is in work of a batch's shard, in its journal; that of a shard which is done is gone."""
    if batch in waiting or not batch.is_last:
        batch.claim.journal.begin([at for one in waiting if one.claim is batch.claim for at in one.positions])
