"""Shards, explained one after the other: the same class in this process, in a worker, and in an actor of Ray."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from xaicore.dataset.attempt import Attempt
from xaicore.dataset.explaining import Explained, Work, explain_batch
from xaicore.dataset.folder import Claim, RunFolder
from xaicore.dataset.plan import Plan
from xaicore.dataset.reading import ShardBatch, read_ahead, read_alone
from xaicore.dataset.recipe import Recipe
from xaicore.dataset.rows import error_rows, joined
from xaicore.dataset.writing import Writer
from xaicore.errors import InputError
from xaicore.outputs import true_classes
from xaicore.source.listing import Listing
from xaicore.source.reading import Reading
from xaicore.targets import Target

__all__ = ["Job", "ShardExplainer"]

PATIENCE = 32
"""Readable pictures that may fail before the first one succeeds: more, and it is not the pictures."""


@dataclass(frozen=True, eq=False)
class Job:
    """All that a process needs to make a run's shards.

    Attributes:
        recipe: of the explainer.
        listing: the pictures.
        target: what is explained in them.
        plan: their shards.
        folder: where the parts go.
        batch_size: pictures per pass.
        readers: threads that read and prepare pictures.
    """

    recipe: Recipe
    listing: Listing
    target: Target
    plan: Plan
    folder: RunFolder
    batch_size: int
    readers: int


class ShardExplainer:
    """Makes shards; the model is loaded once.

    Args:
        job: what to make.

    Raises:
        XaicoreError: the model cannot be had, or an option does not fit.
    """

    def __init__(self, job: Job) -> None:
        explainer = job.recipe.explainer().quiet()
        if explainer.preparation is None:
            raise InputError("nothing says how this model's pictures are prepared: pass preprocess=f")
        self.job, self._reading = job, Reading(job.listing, explainer.preparation, job.readers)
        self._work = Work(explainer, job.target, job.listing)
        self._is_proven = any(map(job.folder.is_done, range(len(job.plan))))  # by an earlier run, or another process
        self._failed = self._suspicious = 0
        self._claims: dict[int, Claim] = {}

    def shard(self, shard: int) -> bool:
        """Make one part; whether it is there, which it is not while another process makes it."""
        self.run([shard])
        return self.job.folder.is_done(shard)

    def run(self, shards: Iterable[int], done: Callable[[int], object] = lambda count: None) -> None:
        """Make the parts of these shards that nobody has made or is making.

        Args:
            shards: their numbers.
            done: called with a number of pictures after each batch, and for shards that are there already.

        Raises:
            InputError: none of the first pictures could be explained.
            LoggerError: a part cannot be written. Those that are written are kept.
        """
        job, shards = self.job, list(shards)
        died = set(job.folder.orphans(shards))
        with self._work.explainer.backend.undisturbed(job.listing.origin):
            # First, and without anything beside them, the shards that a process died with.
            alone = self._batches((k for k in shards if k in died), done)
            attempt = Attempt(job.recipe, job.listing, job.target, job.batch_size)
            self._make(read_alone(alone, self._reading, attempt), done)
            rest = self._batches((k for k in shards if k not in died), done)
            self._make(read_ahead(rest, self._reading), done)

    def _batches(self, shards: Iterator[int], done: Callable[[int], object]) -> Iterator[ShardBatch]:
        """The batches of shards that can be claimed, one claim after the other."""
        for shard in shards:
            claim = self.job.folder.claim(shard)
            if claim is None:
                done(len(self.job.plan.items(shard)))
                continue
            self._claims[shard] = claim
            batches = self.job.plan.batches(shard, self.job.batch_size)
            for number, positions in enumerate(batches, 1):
                yield ShardBatch(claim, positions, number == len(batches))

    def _make(self, batches: Iterator[ShardBatch], done: Callable[[int], object]) -> None:
        """Explain batches, and write the shards that they complete."""
        parts: list[Any] = []
        try:
            with Writer(self.job.folder) as writer, contextlib.closing(batches):  # type: ignore[type-var]
                for batch in batches:
                    found = explain_batch(self._work, batch.read(), batch.claim.journal)
                    self._check(found)
                    parts += [self._rows(one) for one in found]
                    batch.claim.journal.clear(list(batch.positions))
                    if batch.is_last:
                        writer.put(self._claims.pop(batch.claim.shard), joined(parts))
                        parts = []
                    done(len(batch.positions))
        finally:
            for claim in self._claims.values():
                claim.release(False)
            self._claims.clear()

    def _check(self, found: list[Explained]) -> None:
        """Stop where nothing can be explained, and it is not the pictures."""
        if self._is_proven or any(one.rows is not None for one in found):
            self._is_proven = True
            return
        suspicious = [one for one in found if any(item.is_read for item in one.items)]
        self._failed += sum(len(one.items) for one in found)
        self._suspicious += sum(len(one.items) for one in suspicious)
        if self._suspicious < PATIENCE and self._failed < len(self.job.listing):
            return
        raised = next((one.cause for one in found if one.cause is not None), None)
        if raised is not None:
            raise raised
        error = (suspicious or found)[0].error
        raise InputError(f"none of the first {self._failed} pictures could be explained: {error}")

    def _rows(self, found: Explained) -> Any:
        if found.rows is not None:
            return found.rows
        items, truth = [one.item for one in found.items], self.job.listing.truth_of(found.items)
        return error_rows(
            [one.id for one in items],
            [found.error] * len(items),
            positions=[one.position for one in items],
            paths=[one.path for one in items],
            truth=[true_classes(truth, n) for n in range(len(items))],
            class_names=self._work.explainer.class_names,
        )
