"""The base of loggers of trackers: what a subclass is given, and when."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from explanations import example, explanation

import xaicore


class Toy(xaicore.Tracker):
    """Writes down what it is given."""

    name = "toy"

    def __init__(self, root: str = "", **drawing: Any) -> None:
        super().__init__(**drawing)
        self.root, self.events = root, []
        self.maps: list[tuple[dict[str, Any], Mapping[str, np.ndarray]]] = []
        self.steps: list[tuple[int | None, list[dict[str, Any]]]] = []

    def connect(self, run: xaicore.Run) -> None:
        self.events.append(f"connect {run.name}")

    def log_map(self, row: dict[str, Any], images: Mapping[str, np.ndarray]) -> None:
        self.maps.append((row, images))
        row["mark"] = len(self.maps)

    def log_step(self, step: int | None, rows: Sequence[dict[str, Any]]) -> None:
        self.events.append(f"step {step}")
        self.steps.append((step, list(rows)))

    def disconnect(self) -> None:
        self.events.append("disconnect")


class Zero(Toy):
    no_step = 0


def log(logger: Toy, *steps: tuple[xaicore.Explanation, int | None]) -> Toy:
    with xaicore.open_loggers(logger, name="n", on_error="raise", quiet=True) as loggers:
        for one, step in steps:
            loggers(one, step)
    return logger


def test_maps_are_given_one_by_one_with_their_images() -> None:
    one = example(n=2, k=2, truth=[0, 1])
    toy = log(Toy(colormap="magma", alpha=0.8, outline=0.3), (one, 4))
    assert toy.drawing == xaicore.Drawing("magma", 0.8, 0.3)
    for m, (row, images) in enumerate(toy.maps):
        assert row == {"step": 4, **one.row(m), "mark": m + 1}
        np.testing.assert_array_equal(images["overlay"], one.overlays("magma", 0.8, 0.3)[m])
        assert set(images) == {"picture", "overlay", "heatmap"}
    (signal, images), _ = log(Toy(), (explanation(np.ones((2, 1, 9))), 0)).maps
    assert (signal["id"], set(images)) == ("0", {"picture", "overlay", "heatmap"})
    (nothing, images), _ = log(Toy(), (explanation(np.ones((2, 1, 2, 2, 2, 2))), 0)).maps
    assert (nothing["id"], images) == ("0", {})


def test_a_volumes_row_and_images_have_the_slices_that_the_option_asks_for() -> None:
    one = explanation(np.random.default_rng(0).random((1, 1, 9, 4, 5)))
    [(row, images)] = log(Toy(axis=2, slices=3), (one, 0)).maps
    assert (row["views"], row["columns"]) == (["slice 0", "slice 2", "slice 4"], 3)
    assert images["overlay"].shape == (9, 12, 3)


def test_a_map_is_drawn_after_the_one_before_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many large pictures at once would fill the memory."""
    given, toy = [], Toy()
    monkeypatch.setattr(xaicore.Explanation, "draw", lambda _, m, drawing: given.append((m, len(toy.maps))) or {})
    log(toy, (example(n=2, k=2), 0))
    assert given == [(m, m) for m in range(4)]


def test_rows_are_held_back_until_their_step_is_complete() -> None:
    toy, one = Toy(), example(n=1, k=2)
    with xaicore.open_loggers(toy, name="n", on_error="raise", quiet=True) as loggers:
        loggers(one, 0)
        loggers(dataclasses.replace(one, method="other"), np.int64(0))
        assert toy.events == ["connect n"]
        loggers.flush()
        loggers.flush()
        loggers(one, 1)
        loggers(one, 2)
        loggers(one, 3)
        loggers.flush()
        loggers(one, 4)
    assert toy.events == ["connect n", *(f"step {step}" for step in range(5)), "disconnect"]
    assert [[(row["method"], row["k"]) for row in rows] for _, rows in toy.steps] == [
        [("given", 0), ("given", 1), ("other", 0), ("other", 1)],
        *[[("given", 0), ("given", 1)]] * 4,
    ]
    assert [type(step) for step, _ in toy.steps] == [int] * 5
    assert [row["mark"] for row in toy.steps[0][1]] == [1, 2, 3, 4]  # what `log_map` puts in


def test_the_same_map_again_replaces_the_row() -> None:
    first, other, again = example(n=2, k=1, seed=1), example(n=1, k=1, ids=["x"]), example(n=2, k=1, seed=2)
    ((_, rows),) = log(Toy(), (first, 0), (other, 0), (again, 0)).steps
    assert [(row["id"], row["mark"]) for row in rows] == [("0", 4), ("1", 5), ("x", 3)]
    worst = [dataclasses.replace(example(n=1, k=1, ids=[name]), group="worst") for name in "ab"]
    ((_, rows),) = log(Toy(), (worst[0], 0), (worst[1], 0)).steps
    assert [(row["id"], row["slot"]) for row in rows] == [("b", 0)]


def test_without_a_step() -> None:
    one = example(n=1, k=1)
    assert [step for step, _ in log(Toy(), (one, None), (one, None), (one, 0)).steps] == [None, None, 0]
    zero = log(Zero(), (one, None), (example(n=1, k=1, ids=["b"]), 0), (one, 1))
    assert [(step, [row["id"] for row in rows]) for step, rows in zero.steps] == [(0, ["0", "b"]), (1, ["0"])]


def test_an_empty_run_has_no_step() -> None:
    assert log(Toy()).events == ["connect n", "disconnect"]


def test_it_disconnects_also_when_the_last_step_fails() -> None:
    class Broken(Toy):
        def log_step(self, step: int | None, rows: Sequence[dict[str, Any]]) -> None:
            raise OSError("no space")

    toy = Broken()
    with pytest.raises(OSError, match="no space"):
        log(toy, (example(n=1, k=1), 0))
    assert toy.events == ["connect n", "disconnect"]
    with pytest.raises(xaicore.LoggerError, match="the toy logger is not open"):
        toy.close()


@pytest.mark.parametrize("action", ["log", "flush", "close"])
def test_one_that_is_not_open_says_so(action: str) -> None:
    toy = Toy()
    for _ in range(2):
        with pytest.raises(xaicore.LoggerError) as caught:
            getattr(toy, action)(*[example()] * (action == "log"))
        assert str(caught.value) == ("the toy logger is not open; write: with xaicore.open_loggers('toy') as log")
        toy.open(xaicore.Run("n"))
        toy.close()
    toy.open(xaicore.Run("n"))  # and once more
    toy.flush()


def test_unknown_options_are_refused_and_its_own_are_named() -> None:
    with pytest.raises(xaicore.PluginError) as caught:
        Toy(root="a", path="b", alpha=1)
    known = "known: root, colormap, alpha, outline, diverging, axis, slices, boxes"
    assert str(caught.value) == f"the toy logger has no option 'path'; {known}"

    class Taking(Toy):
        more_options = ("mode",)

        def __init__(self, root: str = "", **options: Any) -> None:
            self.mode = options.pop("mode", None)
            super().__init__(root, **options)

    assert Taking("a", mode="b", alpha=1).mode == "b"
    known = "root, colormap, alpha, outline, diverging, axis, slices, boxes, mode"
    with pytest.raises(xaicore.PluginError, match=rf"no option 'x'; known: {known}$"):
        Taking(x=1)


def test_one_without_a_name_is_called_by_its_class() -> None:
    class Nameless(Toy):
        name = ""

    with pytest.raises(xaicore.PluginError, match="the Nameless logger has no option 'x'"):
        Nameless(x=1)
    with pytest.raises(xaicore.LoggerError, match="the Nameless logger is not open"):
        Nameless().flush()


def test_what_a_subclass_must_have() -> None:
    class Half(xaicore.Tracker):
        def log_map(self, row: dict[str, Any], images: Mapping[str, np.ndarray]) -> None: ...

    with pytest.raises(TypeError, match="log_step"):
        Half()


def test_signed_maps_have_the_diverging_colours_of_the_options() -> None:
    values = np.array([[[[-2.0, 0, 1]]]])
    one = explanation(values, signed=True, images=np.full((1, 1, 3, 3), 100, np.uint8))
    toy = log(Toy(diverging="purple-orange"), (one, 0))
    ((row, images),) = toy.maps
    assert (row["signed"], row["minimum"]) == (True, -2)
    assert xaicore.show.caption(row).endswith("given at conv | signed")
    assert [tuple(images["heatmap"][0, i]) for i in (0, 1)] == [(0x6A, 0x51, 0xA3), (0xF7, 0xF7, 0xF7)]
    np.testing.assert_array_equal(images["overlay"], one.overlays(diverging="purple-orange")[0])
    assert tuple(images["overlay"][0, 1]) == (100, 100, 100)
