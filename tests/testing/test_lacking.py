"""What the tests of a backend may leave out: one list for the kit, the page and new packages."""

from __future__ import annotations

import re
import sys
import unittest
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from framework import Plugin, Sound, Suite

from xaicore import Backend, Layer, testing
from xaicore.backend import POWERS
from xaicore.layers import listing
from xaicore.testing import checks
from xaicore.testing.__main__ import main
from xaicore.testing.case import METHODS
from xaicore.testing.lacking import FEATURES
from xaicore.testing.state import differences

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "plugins.md").read_text()


def test_all_that_can_be_lacking_is_described() -> None:
    assert {*FEATURES} == {*testing.BackendTests.can_lack}
    for name, one in FEATURES.items():
        assert one.text, name
        assert not one.by or hasattr(testing.BackendTests, one.by), name
        assert one.needs in {"", *FEATURES, *POWERS} or hasattr(testing.ReferenceBackend, one.needs), name


def test_every_method_that_an_author_may_write_supplies_something() -> None:
    methods = {name for name in dir(testing.BackendTests) if name.startswith("build_")}
    assert methods | {*METHODS.values()} == {one.by for one in FEATURES.values() if one.by}


def test_the_page_lists_them() -> None:
    listed = re.findall(r"^\| `(\w+)` \| (.*) \| (?:`(\w+)`)? \| (?:[`\"](\w+)[`\"])? \|$", PAGE, re.M)
    assert listed == [(name, one.text, one.by, one.needs) for name, one in FEATURES.items()]


def test_they_are_printed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """For those who have only the wheel."""
    monkeypatch.setattr("sys.argv", ["xaicore.testing", "--lacks"])
    main()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [*FEATURES]
    assert "tokens       a transformer of one block, whose class token is read (build_tokens)" in lines


class Bare(Sound):
    """A backend without powers and facts, and without the methods that a backend may leave out."""

    powers = frozenset()
    in_precision, weights_hash, observe = Backend.in_precision, Backend.weights_hash, Backend.observe
    attention, resume, second, biases = Backend.attention, Backend.resume, Backend.second, Backend.biases

    def layers(self, inputs: Any) -> Sequence[Layer]:
        return listing(Sound.observe(self, inputs))


NETS = {name: "none was built" for name, one in FEATURES.items() if one.by not in ("", "build_conv")}

SUITES = [
    (Sound, {}, {"test_gradients_that_there_are_none_of_are_refused"}),
    (
        Sound,
        NETS,
        {"test_attention", "test_one_of_two_outputs", "test_leaky_relus"},
    ),
    (
        Bare,
        {"facts": "none were written", "heads": "none", **NETS},
        {"test_channels_on_the_other_side", "test_other_precisions", "test_the_hash_of_weights", "test_reduced_layers"},
    ),
]
"""(A backend, what it lacks, tests that are skipped, among others)."""

BY_ITSELF = {"test_where_what_the_reader_takes_comes_from"}
"""It deviates where it sees None, and compares nothing else."""


@pytest.mark.parametrize(("backend", "lacks", "are_skipped"), SUITES, ids=["all", "one net", "bare"])
def test_what_passes_has_compared_something(
    backend: type[Backend], lacks: dict[str, str], are_skipped: set[str]
) -> None:
    """Everything else is skipped with a reason, so that a report does not count what was not looked at."""
    suite = Suite()
    suite.plugin, suite.lacks = Plugin(backend), lacks
    comparisons = {one.__code__ for one in (checks.same, checks.close, checks.refused, differences)}
    calls: list[str] = []

    def count(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code in comparisons:
            calls.append(frame.f_code.co_name)

    idle: set[str] = set()
    skipped: set[str] = set()
    for name in (name for name in dir(suite) if name.startswith("test_")):
        test = getattr(suite, name)
        if test.clause == "kit-declared":
            continue  # which compares what an author has declared
        calls.clear()
        sys.setprofile(count)
        try:
            test.__wrapped__(suite)
        except unittest.SkipTest:
            skipped.add(name)
            continue
        finally:
            sys.setprofile(None)
        idle |= set() if calls else {name}
    assert idle <= BY_ITSELF
    assert are_skipped <= skipped
