"""Parts of a nested answer: their names, and which lists are of one entry per image."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from xaicore import OutputError, outputs


def parts(answer: Any, count: int = 2) -> dict[int | str, Any]:
    return outputs.parts_of(answer, lambda value: isinstance(value, np.ndarray), count)


def array(*shape: int) -> np.ndarray:
    return np.zeros(shape)


@dataclass
class Answer:
    scores: np.ndarray
    hidden: Any = None


Pair = namedtuple("Pair", ["first", "second"])


class Plain:
    logits = array(2, 3)
    hidden = array(2, 5)


A, B, C = array(2, 3), array(2, 5), array(2, 7)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (A, {0: A}),
        ((A, B), {0: A, 1: B}),
        ([A, [B, C]], {0: A, "1.0": B, "1.1": C}),
        ({"out": A, "aux": {"out": B}, "loss": None, "size": 3}, {"out": A, "aux.out": B}),
        (OrderedDict(a=A, b=(B, C)), {"a": A, "b.0": B, "b.1": C}),
        (Answer(A, (B, C)), {"scores": A, "hidden.0": B, "hidden.1": C}),
        (Answer(A), {"scores": A}),
        (Pair(A, {"x": [B]}), {"first": A, "second.x.0": B}),
        ({1: A, (2, 3): B}, {1: A, "(2, 3)": B}),
        (Plain(), {"logits": A}),
        ("text", {}),
        (None, {}),
        ([{"out": A}, {"out": B}, {"out": C}], {"0.out": A, "1.out": B, "2.out": C}),
        ([{"out": A}, {"out": B}], {"0.out": A, "1.out": B}),  # two stages, a row per image
        ({"boxes": [array(2, 6, 4)] * 2}, {"boxes.0": None, "boxes.1": None}),  # of two layers
    ],
    ids=str,
)
def test_parts_are_named_by_their_way(answer: Any, expected: dict[int | str, Any]) -> None:
    found = parts(answer)
    assert list(found) == list(expected)
    for name, part in expected.items():
        assert part is None or np.array_equal(found[name], part)


@pytest.mark.parametrize("found", [(3, 5), (2, 2), (0, 0), (2, 0), (1, 2)])
@pytest.mark.parametrize("form", ["dicts", "lists", "inside"])
def test_what_a_detector_found_in_each_image(found: tuple[int, ...], form: str) -> None:
    rows = [{"boxes": array(k, 4), "labels": array(k), "masks": array(k, 1, 6 + k, 6)} for k in found]
    lists = {key: [row[key] for row in rows] for key in rows[0]}
    answer = {"dicts": rows, "lists": lists, "inside": (A, rows)}[form]
    named = parts(answer)
    before = "1." if form == "inside" else ""
    assert list(named) == [*([0] if before else []), *(before + key for key in lists)]
    for key, expected in lists.items():
        assert all(one is other for one, other in zip(named[before + key], expected, strict=True))
    most = max(found)
    assert outputs.part_shape(named[before + "masks"]) == (2, most, 1, 6 + most, 6)


def test_one_image_with_one_box() -> None:
    assert list(parts([{"boxes": array(1, 4), "scores": array(1)}], 1)) == ["boxes", "scores"]
    assert list(parts([{"logits": array(1, 4)}], 1)) == ["0.logits"]


@pytest.mark.parametrize(
    ("output", "chosen"),
    [("aux", "aux.out"), ("hidden.1", "hidden.1"), (0, "logits"), (-1, "hidden.1"), ("hidden", None), ("au", None)],
)
def test_an_output_inside_of_another(output: int | str, chosen: str | None) -> None:
    named = parts({"logits": A, "aux": {"out": B}, "hidden": (B, C)})
    if chosen is not None:
        assert outputs.choose_name(named, output, None) == chosen
        return
    with pytest.raises(OutputError, match=r"none of the model's outputs: 'logits' \(2, 3\), 'aux.out'"):
        outputs.choose_name(named, output, None)
