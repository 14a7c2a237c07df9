"""What the authors of backends are told of what they declare to be lacking, and of facts that do not suffice."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from broken_backends import OtherFacts
from framework import Plugin, Sound, Suite, failures
from test_broken_backends import SeesNotWhatLayersTake, suite_of

from xaicore import BackendError, LayerFacts, testing


@pytest.mark.parametrize("name", testing.BackendTests.can_lack)
def test_whatever_is_needlessly_lacking_is_named(name: str) -> None:
    """Of a backend that has it all."""
    suite = suite_of(Plugin(Sound))
    suite.lacks = {name: "as it was once"}  # type: ignore[misc]  # of this instance alone
    said = [str(error) for error in failures(suite, "kit-declared")]
    assert any(repr(name) in one and "as it was once" in one for one in said), said


class LacksMuchThatItHas(Suite):
    lacks = dict.fromkeys(("heads", "moves", "turned"), "not written yet")


def test_all_that_is_needless_is_named_at_once() -> None:
    said = "\n".join(str(error) for error in failures(LacksMuchThatItHas(), "kit-declared"))
    assert (
        "none that is needless: without 'heads', test_kinds_and_links passes; without 'moves', test_where_tokens"
        in said
    )
    assert "no 'turned' in `lacks`, since a method build_turned supplies it" in said


class LacksWhatItDoesNotSee(SeesNotWhatLayersTake):
    lacks = {"takes": "layers hand on copies"}  # noqa: RUF012


def test_what_is_lacking_for_a_reason_is_not_needless() -> None:
    assert failures(LacksWhatItDoesNotSee(), "kit-declared") == []


class HasNoBfloat16(Sound):
    def in_precision(self, precision: str) -> Any:
        if precision == "bfloat16":
            raise BackendError("NumPy has no bfloat16: pass 'float16'")
        return super().in_precision(precision)


class RefusesWithoutTheName(HasNoBfloat16):
    def in_precision(self, precision: str) -> Any:
        try:
            return super().in_precision(precision)
        except BackendError as exc:
            raise BackendError("no such type") from exc


class RefusesByAnotherError(HasNoBfloat16):
    def in_precision(self, precision: str) -> Any:
        try:
            return super().in_precision(precision)
        except BackendError as exc:
            raise TypeError(str(exc)) from exc


NO_BFLOAT16 = {"bfloat16": "NumPy does not have it"}


@pytest.mark.parametrize(
    ("backend", "lacks", "said"),
    [
        (HasNoBfloat16, NO_BFLOAT16, None),
        (HasNoBfloat16, {}, r"expected: a copy, or lacks = {'bfloat16': 'why the framework has no such type'}"),
        (RefusesWithoutTheName, NO_BFLOAT16, r"expected: a BackendError that says 'bfloat16'"),
        (RefusesByAnotherError, NO_BFLOAT16, r"came: TypeError: NumPy has no bfloat16"),
        (Sound, NO_BFLOAT16, r"which is lacking.*(?s:.)*came: no error, but Model"),
    ],
)
def test_a_type_that_a_framework_does_not_have(backend: type, lacks: dict[str, str], said: str | None) -> None:
    suite = suite_of(Plugin(backend))
    suite.lacks = lacks  # type: ignore[misc]  # of this instance alone
    found = [str(error) for error in failures(suite, "backend-precision")]
    assert len(found) == (said is not None)
    assert said is None or re.search(said, found[0])
    assert failures(suite, "kit-declared") == [] or backend is Sound


class SaysNowhereWhereChannelsAre(OtherFacts):
    def of_layer(self, layer: LayerFacts) -> LayerFacts:
        return replace(layer, channel_axis=None, vectors=(), takes=()) if len(layer.shape) == 3 else layer


class TakesTokensForChannels(OtherFacts):
    def of_layer(self, layer: LayerFacts) -> LayerFacts:
        return replace(layer, channel_axis=1, vectors=(), takes=())


@pytest.mark.parametrize(
    ("backend", "said"),
    [
        (
            SaysNowhereWhereChannelsAre,
            "(1, 13, 10): nothing says where its channels are; set `channel_axis` of it, or of a layer that takes it",
        ),
        (
            TakesTokensForChannels,
            "(1, 13, 10), whose channels are said to lie along axis 1: the others are no",
        ),
    ],
)
def test_a_map_that_is_not_read_is_told_with_what_the_facts_should_say(backend: type, said: str) -> None:
    for clause in ("backend-activations", "facts-axes"):
        found = [str(error) for error in failures(suite_of(Plugin(backend)), clause)]
        assert any(f"no map is read for {said}" in one for one in found)
