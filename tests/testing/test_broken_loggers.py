"""Loggers that are broken on purpose are caught, by the clause that names the fault."""

from __future__ import annotations

import json
import random
import socket
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from framework import failures

from xaicore import Explanation, Logger, Run, hookimpl, show, testing

BROKEN: dict[type[Logger], str] = {}


def breaks(clause: str) -> Any:
    def register(logger: type[Logger]) -> type[Logger]:
        BROKEN[logger] = clause
        return logger

    return register


class Sound(Logger):
    """Writes a file of JSON, row by row."""

    name = "sound"

    def __init__(self, root: str | Path = "results") -> None:
        self.root = Path(root)
        self.kept: dict[Any, dict[str, Any]] | None = None

    def open(self, run: Run) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        self.kept = {}
        self.where = f"rows: {self.root}"

    def log(self, explanation: Explanation, step: int | None = None) -> None:
        if self.kept is None:
            raise self.not_open()
        for m in range(len(explanation)):
            row = explanation.row(m)
            one = {"step": step, "id": show.escape_surrogates(row["id"]), "k": row["k"], "score": row["score"]}
            self.put((step, row["id"], row["k"], row["method"], row["group"]), one)

    def put(self, key: Any, row: dict[str, Any]) -> None:
        assert self.kept is not None
        self.kept[key] = row
        self.write(list(self.kept.values()))

    def write(self, rows: list[dict[str, Any]]) -> None:
        (self.root / "rows.json").write_text(json.dumps(rows))

    def close(self) -> None:
        self.kept = None


class Plugin:
    def __init__(self, make: Any) -> None:
        self.make = make

    @hookimpl
    def xaicore_logger(self, options: Mapping[str, Any]) -> Any:
        return self.make(**options)


class Suite(testing.LoggerTests):
    plugin: Any = Plugin(Sound)

    def options(self, folder: Path) -> dict[str, Any]:
        return {"root": folder}

    def rows(self, folder: Path) -> list[dict[str, Any]]:
        return json.loads((folder / "rows.json").read_text())


class TestSound(Suite):
    """The logger that all of them derive from is in order."""


@breaks("logger-hook")
class NeedsOptions(Sound):
    def __init__(self, root: Path) -> None:
        super().__init__(root)


@breaks("logger-hook")
class SpeaksAnotherVersion(Sound):
    api_version = 2


@breaks("logger-options")
class SwallowsOptions(Sound):
    def __init__(self, root: str | Path = "results", **options: Any) -> None:
        super().__init__(root)


@breaks("logger-open")
class OpensLater(Sound):
    def open(self, run: Run) -> None:
        self.kept = {}

    def write(self, rows: list[dict[str, Any]]) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        super().write(rows)


@breaks("logger-open")
class IsNotWritten(Sound):
    def open(self, run: Run) -> None:
        raise NotImplementedError("open the place where results go")


@breaks("logger-where")
class TellsAStory(Sound):
    def open(self, run: Run) -> None:
        super().open(run)
        self.where = "see\nthere"


@breaks("logger-closed")
class WorksWithoutBeingOpened(Sound):
    def log(self, explanation: Explanation, step: int | None = None) -> None:
        if self.kept is None:
            self.open(Run())
        super().log(explanation, step)


@breaks("logger-closed")
class FallsOverAfterwards(Sound):
    def log(self, explanation: Explanation, step: int | None = None) -> None:
        self.kept = dict(self.kept)  # type: ignore[arg-type]
        super().log(explanation, step)


@breaks("logger-rows")
class KeepsTheFirstTarget(Sound):
    def put(self, key: Any, row: dict[str, Any]) -> None:
        if row["k"] == 0:
            super().put(key, row)


@breaks("logger-rows")
class TakesTheScoreOfTheFirstStep(Sound):
    def put(self, key: Any, row: dict[str, Any]) -> None:
        first = next((other for other in (self.kept or {}).values() if other["id"] == row["id"]), row)
        super().put(key, {**row, "score": first["score"]})


@breaks("logger-flush")
class ShipsWhenFlushed(Sound):
    def write(self, rows: list[dict[str, Any]]) -> None:
        self.waiting = rows

    def flush(self) -> None:
        super().write(getattr(self, "waiting", []))


@breaks("logger-flush")
class ShipsTwiceWhenFlushedTwice(Sound):
    def flush(self) -> None:
        for key, row in list((self.kept or {}).items()):
            self.put((*key, len(self.kept or {})), row)


@breaks("logger-repeated")
class AppendsWhatIsRepeated(Sound):
    def put(self, key: Any, row: dict[str, Any]) -> None:
        super().put((*key, len(self.kept or {})), row)


@breaks("logger-repeated")
class KeepsTheFirstOfAStep(Sound):
    def put(self, key: Any, row: dict[str, Any]) -> None:
        super().put(key, (self.kept or {}).get(key, row))


@breaks("logger-steps")
class RefusesEarlierSteps(Sound):
    def log(self, explanation: Explanation, step: int | None = None) -> None:
        if step is not None and self.kept and max(one["step"] for one in self.kept.values()) > step:
            raise ValueError("steps must grow")
        super().log(explanation, step)


@breaks("logger-steps")
class NeedsAStep(Sound):
    def log(self, explanation: Explanation, step: int | None = None) -> None:
        super().log(explanation, int(step))  # type: ignore[arg-type]


@breaks("logger-steps")
class ReplacesOtherMethods(Sound):
    def put(self, key: Any, row: dict[str, Any]) -> None:
        assert self.kept is not None
        self.kept = {other: one for other, one in self.kept.items() if other[0] != key[0] or other[3] == key[3]}
        super().put(key, row)


@breaks("logger-host-data")
class ScalesMapsInPlace(Sound):
    def log(self, explanation: Explanation, step: int | None = None) -> None:
        explanation.maps[:] /= explanation.maps.max()
        super().log(explanation, step)


@breaks("logger-host-data")
class DrawsIntoThePictures(Sound):
    def log(self, explanation: Explanation, step: int | None = None) -> None:
        explanation.images[:, :2] = 255  # type: ignore[index]
        super().log(explanation, step)


@breaks("logger-random")
class ChoosesItsNameAtRandom(Sound):
    def open(self, run: Run) -> None:
        super().open(run)
        self.suffix = random.random(), np.random.rand()


@breaks("logger-texts")
class MakesPathsOfIds(Sound):
    def put(self, key: Any, row: dict[str, Any]) -> None:
        (self.root / row["id"]).write_text("a map")
        super().put(key, row)


@breaks("logger-texts")
class MakesPathsOfRuns(Sound):
    def open(self, run: Run) -> None:
        super().open(run)
        (self.root / run.name[:9]).mkdir(parents=True, exist_ok=True)


@breaks("logger-texts")
class EncodesIds(Sound):
    def log(self, explanation: Explanation, step: int | None = None) -> None:
        [name.encode() for name in explanation.ids]
        super().log(explanation, step)


@breaks("logger-evidence")
class DoesNotExpectNaN(Sound):
    def put(self, key: Any, row: dict[str, Any]) -> None:
        super().put(key, {**row, "percent": round(100 * row["score"])})


@breaks("logger-evidence")
class ExpectsAPicture(Sound):
    def log(self, explanation: Explanation, step: int | None = None) -> None:
        [explanation.draw(m)["overlay"] for m in range(len(explanation))]
        super().log(explanation, step)


@breaks("logger-evidence")
class ExpectsAPrediction(Sound):
    def log(self, explanation: Explanation, step: int | None = None) -> None:
        explanation.predicted.tolist()  # type: ignore[union-attr]
        super().log(explanation, step)


@breaks("logger-forms")
class ExpectsPicturesAlone(Sound):
    def log(self, explanation: Explanation, step: int | None = None) -> None:
        explanation.boxes()
        super().log(explanation, step)


@breaks("logger-thread")
class BelongsToItsThread(Sound):
    def open(self, run: Run) -> None:
        super().open(run)
        self.thread = threading.get_ident()

    def put(self, key: Any, row: dict[str, Any]) -> None:
        assert threading.get_ident() == self.thread
        super().put(key, row)


@breaks("logger-failure")
class CannotBeClosedAfterAFailure(Sound):
    failed = False

    def log(self, explanation: Explanation, step: int | None = None) -> None:
        self.failed = True
        super().log(explanation, step)
        self.failed = False

    def close(self) -> None:
        assert not self.failed
        super().close()


@breaks("logger-failure")
class WritesAtTheEnd(Sound):
    def log(self, explanation: Explanation, step: int | None = None) -> None:
        try:
            super().log(explanation, step)
        except ArithmeticError:
            self.kept = {}
            self.write([])
            raise


@breaks("logger-network")
class CallsHome(Sound):
    def open(self, run: Run) -> None:
        super().open(run)
        socket.create_connection(("192.0.2.1", 9), timeout=0.1)


@breaks("logger-two")
class SharesWhatItKeeps(Sound):
    shared: dict[Any, Any] = {}  # noqa: RUF012

    def open(self, run: Run) -> None:
        super().open(run)
        self.kept = self.shared

    def close(self) -> None:
        self.shared.clear()
        super().close()


@pytest.mark.parametrize(("logger", "clause"), BROKEN.items(), ids=lambda one: getattr(one, "__name__", one))
def test_each_fault_is_named(logger: type, clause: str) -> None:
    suite = Suite()
    suite.plugin = Plugin(logger)
    assert {error.clause.id for error in failures(suite, clause)} == {clause}


def test_there_are_enough_of_them() -> None:
    assert len(BROKEN) > 25
