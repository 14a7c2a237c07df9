"""A run before its first picture: what it is of, and whether its folder, its disk and its processes can take it."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from xaicore.data.names import as_class_names
from xaicore.data.targets import TRUTH, read_target
from xaicore.dataset.compiled import check_can_compile, compiled_difference
from xaicore.dataset.execution import Execution, Make
from xaicore.dataset.fingerprint import Fingerprint, describe
from xaicore.dataset.folder import RunFolder
from xaicore.dataset.plan import Plan
from xaicore.dataset.precision import Difference, difference
from xaicore.dataset.recipe import Recipe
from xaicore.dataset.settings import settings_of
from xaicore.dataset.shard import Job
from xaicore.dataset.space import bytes_per_picture, check_space, explained_probe
from xaicore.dataset.start import Start
from xaicore.errors import InputError
from xaicore.explainer import Explainer
from xaicore.explanation import Explanation
from xaicore.files.arrow import arrow
from xaicore.pictures import File
from xaicore.source.listing import Listing
from xaicore.targets import Target

__all__ = ["Opening"]

COMPARED = 8
"""Pictures that are explained in two ways, to say what the other one changes."""

APART = ("method", "preprocess", "class_names")
"""Options of `Explainer` that have a field of their own in a fingerprint."""


@dataclass(frozen=True, eq=False)
class Opening:
    """A run that is checked and may begin. It holds a model, which the run's own processes have no need of.

    Attributes:
        asked: the recipe as other processes get it.
        recipe: the same with a model that is found already.
        explainer: of that model, not called yet.
        listing: the pictures.
        target: what is explained in them.
        folder: of the run.
        plan: its shards.
        execution: how they are made.
        start: notes what is read before the run.
    """

    asked: Recipe
    recipe: Recipe
    explainer: Explainer
    listing: Listing
    target: Target
    folder: RunFolder
    plan: Plan
    execution: Execution
    start: Start

    @classmethod
    def of(
        cls,
        asked: Recipe,
        read: Callable[..., Listing],
        targets: Any,
        execution: Execution,
        folder: RunFolder,
        start: Start,
    ) -> Opening:
        """The run that a caller asks for.

        Args:
            asked: of the explainer.
            read: `Listing.read` with the caller's arguments; those of the model are still to come.
            targets: as `Explainer` takes them.
            execution: how it is made.
            folder: of the run.
            start: notes what is read.

        Raises:
            XaicoreError: model, pictures and arguments do not fit each other.
        """
        recipe = asked.carried()
        explainer = recipe.explainer()
        listing = read(explainer.class_names, explainer.preparation is not None, explainer.backend, start)
        execution.check(listing, explainer.backend)
        with explainer.backend.undisturbed(listing.origin):
            said = settings_of(listing, explainer.class_names, asked.options["preprocess"])
        if said:
            asked, recipe = asked.having(said), recipe.having(said)
            explainer = recipe.explainer()
        target = _read_target(targets, listing, explainer.class_names)
        folder.check_outside(str(one.path) for one in listing.sources if isinstance(one, File))
        plan = execution.plan(len(listing), folder)
        if execution.is_compiled:
            check_can_compile(explainer, target)
            count = min(execution.batch_size, plan.shard_size, plan.count)  # of the first batch
            asked, recipe = replace(asked, compiled=count), replace(recipe, compiled=count)
            explainer = recipe.explainer()
        return cls(asked, recipe, explainer, listing, target, folder, plan, execution, start)

    def begin(self, resume: bool) -> tuple[Job, Make]:
        """Open the folder; the job, and what makes its shards.

        Raises:
            InputError: the folder has another run, the job cannot be sent to another process, or a true class does not
                exist.
            LoggerError: the disk has too little space, or cannot be written.
        """
        fingerprint = self._fingerprint()
        recipe = self.recipe if self.execution.asked is None else self.asked
        if self.execution.devices:
            recipe.check_copies("devices")
        if self.execution.changes_devices:
            recipe = recipe.on_host()
        size = (self.execution.batch_size, self.execution.readers)
        job = Job(recipe, self.listing, self.target, self.plan, self.folder, *size)
        make = self.execution.maker(job)
        self._check_probe()
        self.folder.open(fingerprint, self._about(), resume)
        self.start.hand_over(self.folder, self.plan)
        return job, make

    @property
    def shards(self) -> range:
        """The shards of this job."""
        return self.plan.share(self.execution.part, self.execution.parts)

    def _fingerprint(self) -> Fingerprint:
        is_compiled = self.execution.is_compiled or None
        given = {**self.asked.options, "precision": self.asked.precision, "compile": is_compiled}
        known = {name: value for name, value in given.items() if name not in APART and value is not None}
        return describe(self.explainer, self.recipe.spec, known, self.target, self.listing, self.plan)

    def _check_probe(self) -> None:
        """Compare true classes and the disk with what a test picture shows."""
        left = sum(len(self.plan.items(one)) for one in self.folder.missing(self.shards))
        with self.explainer.backend.undisturbed(self.listing.origin):
            probe = self._probe()
        if probe is not None and self.target.of_class_axis:
            self.listing.check_classes(probe.outputs, probe.outputs_kind)
        check_space(self.folder.root, left, None if probe is None else bytes_per_picture(probe, self.listing[0]))

    def _probe(self) -> Explanation | None:
        """A test picture, or one of the model's own inputs, explained; None where that fails."""
        explainer = self.explainer.quiet()
        if not self.listing.is_input:
            return explained_probe(explainer, self.target, self.listing[0])
        positions = self.start.spared(len(self.listing), 1)
        with self.start.noting(positions):
            return explained_probe(explainer, self.target, self.listing[positions[0]]) if positions else None

    def _about(self) -> dict[str, Any]:
        """What run.json has beside the fingerprint."""
        plan = self.plan
        about: dict[str, Any] = {
            "plan": {"pictures": plan.count, "shard_size": plan.shard_size, "shards": len(plan)},
            "batch_size": self.execution.batch_size,
            "name": self.recipe.name,
            "backend": type(self.explainer.backend).__module__,
            "versions": {
                "xaicore": importlib.metadata.version("xaicore"),
                "numpy": np.__version__,
                "pyarrow": arrow().__version__,
            },
        }
        if self.folder.read() is None:
            about.update(self._differences())
        return about

    def _differences(self) -> dict[str, Any]:
        """What the precision and compiling change in the first pictures."""
        found: dict[str, Difference | None] = {}
        precise = replace(self.recipe, compiled=None)
        if precise.precision is None and self.recipe.compiled is None:
            return {}
        positions = self.start.spared(len(self.listing), COMPARED)
        pictures = (self.target, [self.listing[position] for position in positions])
        with self.explainer.backend.undisturbed(self.listing.origin), self.start.noting(positions):
            if precise.precision is not None:
                own = replace(precise, precision=None).explainer().quiet()
                found["precision"] = difference(own, precise.explainer().quiet(), *pictures)
            if self.recipe.compiled is not None:
                same, compiled = precise.explainer().quiet(), self.explainer.quiet()
                found["compile"] = compiled_difference(same, compiled, *pictures, self.recipe.compiled)
        return {name: None if one is None else {**asdict(one), "text": str(one)} for name, one in found.items()}


def _read_target(targets: Any, listing: Listing, names: Any) -> Target:
    """What `targets` means for the whole data set."""
    if isinstance(targets, str) and targets == TRUTH and listing.truth is None and listing.origin is not None:
        raise InputError(
            "targets='truth' needs all true classes before the run, and this data set has no list of them: pass "
            "truth=[label for _, label in source]"
        )
    target = read_target(targets, listing.truth, as_class_names(names))
    check = getattr(target, "check_count", None)
    if check is not None:
        check(len(listing))
    return target
