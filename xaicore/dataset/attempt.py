"""One picture explained by a model of its own, in a process that may die of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from xaicore.dataset.explaining import Work
from xaicore.dataset.recipe import Recipe
from xaicore.errors import InputError
from xaicore.source.items import Item, Prepared, prepared_as
from xaicore.source.listing import Listing
from xaicore.targets import Target

__all__ = ["Attempt"]


@dataclass(frozen=True, eq=False)
class Attempt:
    """Reads, prepares and explains items as a run does; can be sent to another process where its parts can.

    Attributes:
        recipe: of the explainer, which is built for the first item.
        listing: the data set.
        target: what is explained.
        batch_size: of the run: the item has all places of a batch.
    """

    recipe: Recipe
    listing: Listing
    target: Target
    batch_size: int

    def __call__(self, item: Item) -> Any:
        """The item's rows.

        Raises:
            XaicoreError: it cannot be explained; whatever else the model and the preparation raise.
        """
        work = self.work
        prepare = work.explainer.preparation
        if prepare is None:
            raise InputError("nothing says how this model's pictures are prepared: pass preprocess=f")
        found = item.read()
        x, image = prepared_as(prepare, found.picture, item.id)
        return work.run([Prepared(item, x, image, truth=found.truth)] * self.batch_size, [0])

    @cached_property
    def work(self) -> Work:
        """How items are explained; builds the model."""
        return Work(self.recipe.explainer().quiet(), self.target, self.listing)
