"""Checks of what arrives where a logger ships it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from xaicore.explanation import Explanation
from xaicore.logger import Run
from xaicore.testing.checks import checks, same
from xaicore.testing.explanations import example, explanation
from xaicore.testing.logger_case import LoggerCase, folder

__all__ = ["ShippingChecks"]

TEXTS = (
    *("../../outside", "/absolute", "a/b\\c", "-rf", "~", "con", "a" * 300, "line\nbreak\ttab", "quote\"',;"),
    *("<script>alert(1)</script>", "{braces} %s $HOME", "\u00e9\u4e2d\U0001f600\u202e", "byte \udcff", " ", "None"),
)
"""Names that somebody else chose."""


class ShippingChecks(LoggerCase):
    """Every map arrives, whatever it is called, and in whatever order steps come."""

    @checks("logger-rows")
    def test_rows_are_there(self) -> None:
        """Three steps of two images and two targets, with the scores of each step."""
        logged = [(example(2, 2, seed, ids=["a.png", "b.png"], truth=[0, 1]), seed) for seed in (1, 2, 3)]
        with folder() as place:
            self.log_all(place, logged)
            self.check_rows("three steps", place, logged)

    @checks("logger-flush")
    def test_flush_may_be_left_out(self) -> None:
        """Whoever logs by hand may never call it; a monitor calls it after each step."""
        one = example(2, 1)
        for times in (0, 2):
            with folder() as place:
                logger = self.build(place)
                logger.open(Run(name="run"))
                logger.log(one, 0)
                for _ in range(times):
                    logger.flush()
                logger.close()
                self.check_rows(f"{times} calls of flush", place, [(one, 0)])

    @checks("logger-flush")
    def test_nothing_was_logged(self) -> None:
        """Open, flush, close."""
        with folder() as place:
            self.log_all(place, [])
            logger = self.build(place)
            logger.open(Run(name="another"))
            logger.flush()
            logger.close()

    @checks("logger-repeated")
    def test_a_repeated_step_replaces(self) -> None:
        """The scores of the last time."""
        first, again = example(2, 1, 1, ids=["a", "b"]), _with_scores(example(2, 1, 1, ids=["a", "b"]), 0.25)
        with folder() as place:
            self.log_all(place, [(first, 0), (first, 1), (again, 1)])
            self.check_rows("a repeated step", place, [(first, 0), (again, 1)])

    @checks("logger-steps")
    def test_steps_in_any_order(self) -> None:
        """Step 7, then 2, then 7 of another method."""
        one, other = example(2, 1, 1), example(2, 1, 2)
        second = dataclasses.replace(other, method="another", ids=("c", "d"))
        with folder() as place:
            self.log_all(place, [(one, 7), (other, 2), (second, 7)])
            self.check_rows("steps out of order", place, [(one, 7), (other, 2), (second, 7)])

    @checks("logger-steps")
    def test_no_step(self) -> None:
        """One explanation without a step."""
        one = example(2, 2)
        with folder() as place:
            self.log_all(place, [(one, None)])
            if "rows" not in self.lacks:
                same("rows after a log without a step", len(self.rows(place)), len(one))

    @checks("logger-texts")
    def test_untrusted_texts(self) -> None:
        """As ids, class names, groups and names of runs; nothing is written outside of the folder."""
        odd = example(len(TEXTS), 1, ids=TEXTS, class_names=[*TEXTS[:3], "<b>"])
        grouped = dataclasses.replace(example(2, 1), group="../group\n<i>", method="../m", layer="a/../b")
        for name in ("run", "../../run", "r/u\\n:*?\n", "\u4e2d" * 100):
            one = odd if name == "run" else odd.take([0])
            with folder() as place:
                work = place.parent
                self.log_all(place, [(one, 0), (grouped, 0)], name)
                same(f"what lies beside the folder of run {name!r}", _beside(place), ["work"])
                same(f"what lies in the current folder of run {name!r}", _inside(work), ["results"])
                self.check_rows(f"a run called {name!r}", place, [(one, 0), (grouped, 0)], has_ids=False)

    @checks("logger-evidence")
    def test_maps_without_evidence_and_unknown_facts(self) -> None:
        """Zeros, NaN, no truth, no prediction, no class names, no pictures."""
        empty = explanation(np.zeros((2, 1, 5, 7)), (14, 18), ids=["a", "b"], truth=[-1, 2])
        nan = _with_scores(example(2, 1, ids=["c", "d"]), float("nan"))
        bare = dataclasses.replace(example(2, 1, ids=["e", "f"]), predicted=None, truth=None, class_names=None)
        without = explanation(np.ones((1, 1, 5, 7)), (14, 18), images=None, ids=["g"])
        logged = [(empty, 0), (nan, 1), (bare, 2), (without, 3)]
        with folder() as place:
            self.log_all(place, logged)
            self.check_rows("maps without evidence", place, logged, has_ids=False)

    @checks("logger-forms")
    def test_forms(self) -> None:
        """A signal, a volume, and a signed map."""
        rng = np.random.default_rng(0)
        signal, volume = explanation(rng.random((1, 1, 9))), explanation(rng.random((1, 1, 3, 4, 5)))
        signed = explanation(rng.normal(size=(1, 1, 5, 7)), signed=True)
        logged = [(signal, 0), (volume, 1), (signed, 2)]
        with folder() as place:
            self.log_all(place, logged)
            self.check_rows("other forms than pictures", place, logged)

    @checks("logger-two")
    def test_two_at_once(self) -> None:
        """Each into its own folder, in turn."""
        one, other = example(2, 1, 1, ids=["a", "b"]), example(2, 1, 2, ids=["c", "d"])
        with folder() as place:
            places = (place / "one", place / "other")
            loggers = [self.build(each) for each in places]
            for i, logger in enumerate(loggers):
                logger.open(Run(name=f"run {i}"))
            for logger, given in zip(loggers, (one, other), strict=True):
                logger.log(given, 0)
            for logger in loggers:
                logger.close()
            for each, given in zip(places, (one, other), strict=True):
                self.check_rows("two loggers at once", each, [(given, 0)])


def _with_scores(one: Explanation, score: float) -> Explanation:
    return dataclasses.replace(one, scores=np.full(len(one), score))


def _inside(place: Path) -> list[str]:
    return sorted(path.name for path in place.iterdir())


def _beside(place: Path) -> list[str]:
    return _inside(place.parent.parent)
