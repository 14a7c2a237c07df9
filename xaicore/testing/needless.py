"""Checks that `lacks` names nothing that a backend has: what it leaves out would pass."""

from __future__ import annotations

import copy
import unittest
import warnings

from xaicore.testing.case import BackendCase
from xaicore.testing.checks import checks, deviate

__all__ = ["NeedlessChecks"]

LEFT_OUT = {
    "heads": ("test_kinds_and_links",),
    "logits": ("test_logits_are_reached",),
    "bias": ("test_outputs",),
    "takes": ("test_facts_are_reported_or_declared", "test_what_layers_take"),
    "reads": ("test_facts_are_reported_or_declared",),
    "reached": ("test_facts_are_reported_or_declared", "test_what_reaches_no_output"),
    "reader": ("test_facts_are_reported_or_declared", "test_what_the_reader_takes"),
    "moves": ("test_where_tokens_come_from", "test_where_what_the_reader_takes_comes_from"),
    "class_axis": ("test_the_classes_of_a_score_map",),
    "frames": ("test_which_runs_of_the_reader_a_run_depends_on",),
    "parts": ("test_which_tokens_are_of_the_picture",),
    "float16": ("test_other_precisions",),
    "bfloat16": ("test_other_precisions",),
    "values": ("test_what_weights_are_multiplied_with",),
    "covariance": ("test_softmaxes_over_channels",),
}
"""{name in `lacks`: the tests that are skipped, or ask for less, because of it}. Nets are seen by their methods."""


class NeedlessChecks(BackendCase):
    """A reason that no longer holds hides what later breaks."""

    @checks("kit-declared", since=2)
    def test_nothing_is_declared_that_is_there(self) -> None:
        """The tests that a name leaves out run without it: one of them fails, or the name is needless."""
        if "facts" in self.lacks and self.subject().facts is not None:
            deviate("lacks['facts']", "no such name, since `observe` reports facts", self.lacks["facts"])
        found = {name: self._passed_without(name) for name in LEFT_OUT if name in self.lacks}
        needless = {name: passed for name, passed in found.items() if passed}
        if needless:
            why = "; ".join(f"without {name!r}, {' and '.join(passed)} passes" for name, passed in needless.items())
            deviate("names in `lacks`", f"none that is needless: {why}", {name: self.lacks[name] for name in needless})

    def _passed_without(self, name: str) -> list[str]:
        """The tests that pass where this is not said to be lacking; none if any of them fails."""
        other = copy.copy(self)
        other.lacks = {one: why for one, why in self.lacks.items() if one != name}  # type: ignore[misc]  # of this copy
        passed = []
        for test in LEFT_OUT[name]:
            checked = getattr(type(self), test)
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    getattr(checked, "__wrapped__", checked)(other)
            except unittest.SkipTest:
                continue
            except Exception:
                return []
            passed.append(test)
        return passed
