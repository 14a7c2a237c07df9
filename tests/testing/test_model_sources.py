"""The contract of model sources, checked on one that keeps it, and on sources that are broken on purpose."""

from __future__ import annotations

import dataclasses
import pickle
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest
from framework import Model, Sound, failures

from xaicore import InputError, ModelLibrary, NamedModel, hookimpl, models, testing
from xaicore.testing import ConvNet

NAMES = ("cat", "dog", "fox", "ant")


class Source:
    """The hooks, as an object, whose parts the broken ones replace."""

    library = ModelLibrary("zoo", "zoo", lambda: ["small", "wide"], "small", "pip install zoo", ("wide",))

    @hookimpl
    def xaicore_backend(self, model: Any) -> Any:
        return Sound(model) if isinstance(model, Model) else None

    @hookimpl
    def xaicore_model_libraries(self) -> Any:
        return [self.library]

    @hookimpl
    def xaicore_model(self, spec: Any) -> Any:
        if spec.library != "zoo":
            return None
        if spec.name not in self.library.names():
            raise self.unknown(spec.name)
        net = ConvNet()
        if spec.pretrained and spec.weights is not None:
            vars(net).update(self.read(spec.weights))
        elif not spec.pretrained:
            net.dense = np.random.default_rng().normal(size=net.dense.shape).astype(np.float32)
        return self.named(NamedModel(Model(net), f"{spec.name}, zoo", self.prepare, NAMES, spec.pretrained))

    def unknown(self, name: str) -> Exception:
        return models.unknown_name(self.library, name)

    def read(self, file: str) -> dict[str, Any]:
        try:
            with np.load(file, allow_pickle=False) as found:
                return dict(found)
        except (OSError, ValueError) as exc:
            raise InputError(f"weights={file!r} cannot be read: {exc}") from exc

    def named(self, answer: NamedModel) -> Any:
        return answer

    @staticmethod
    def prepare(picture: np.ndarray) -> Any:
        seen = cv2.resize(picture, (8, 6))
        return np.float32(seen.transpose(2, 0, 1)) / 255, seen


class Suite(testing.ModelSourceTests):
    """The author's part."""

    plugin: Any = Source()
    model = "zoo/small"
    suffix = ".npz"

    def save(self, model: Any, file: Path) -> None:
        np.savez(file, dense=model.net.dense)


class TestSound(Suite):
    """The source that all of them derive from is in order."""


BROKEN: dict[type[Source], str] = {}


def breaks(clause: str) -> Any:
    def register(source: type[Source]) -> type[Source]:
        BROKEN[source] = clause
        return source

    return register


@breaks("models-declines")
class TakesEveryName(Source):
    @hookimpl
    def xaicore_model(self, spec: Any) -> Any:
        return super().xaicore_model(dataclasses.replace(spec, library="zoo", name=self.short(spec.name)))

    @staticmethod
    def short(name: str) -> str:
        return name if name.startswith("small") else "small"


@breaks("models-declines")
class RaisesWhatItDoesNotKnow(Source):
    @hookimpl
    def xaicore_model(self, spec: Any) -> Any:
        if spec.library != "zoo":
            raise self.unknown(spec.name)
        return super().xaicore_model(spec)


@breaks("models-declines")
class TakesTheModelOfCode(Source):
    @hookimpl
    def xaicore_model(self, spec: Any) -> Any:
        return NamedModel(spec.model, "yours") if spec.model is not None else super().xaicore_model(spec)


@breaks("models-libraries")
class ListsNothing(Source):
    @hookimpl
    def xaicore_model_libraries(self) -> Any:
        return []


@breaks("models-libraries")
class ListsNames(Source):
    @hookimpl
    def xaicore_model_libraries(self) -> Any:
        return ["zoo"]


@breaks("models-libraries")
class HasAnExampleThatIsNone(Source):
    library = dataclasses.replace(Source.library, example="large")


@breaks("models-libraries")
class ForgetsItsNames(Source):
    library = dataclasses.replace(Source.library, names=lambda: ["wide"], example="wide")


@breaks("models-libraries")
class DoesNotKnowWhetherWeightsAreHere(Source):
    library = dataclasses.replace(Source.library, has_weights=lambda name: None)  # type: ignore[arg-type, return-value]


@breaks("models-named")
class GivesTheModelAlone(Source):
    def named(self, answer: NamedModel) -> Any:
        return answer.model


@breaks("models-named")
class CallsRandomWeightsTrained(Source):
    def named(self, answer: NamedModel) -> Any:
        return dataclasses.replace(answer, is_pretrained=True)


@breaks("models-named")
class TellsAStory(Source):
    def named(self, answer: NamedModel) -> Any:
        return dataclasses.replace(answer, title="small\nand much more")


@breaks("models-named")
class GivesAModelThatNoBackendTakes(Source):
    def named(self, answer: NamedModel) -> Any:
        return dataclasses.replace(answer, model=object())


@breaks("models-unknown")
class RaisesAKeyError(Source):
    def unknown(self, name: str) -> Exception:
        return KeyError(name)


@breaks("models-unknown")
class DoesNotSuggest(Source):
    def unknown(self, name: str) -> Exception:
        return InputError(f"no model called {name[:3]}...")


@breaks("models-preprocess")
class PreparesBatches(Source):
    @staticmethod
    def prepare(picture: np.ndarray) -> Any:
        x, seen = Source.prepare(picture)
        return x[None], seen


@breaks("models-preprocess")
class LeavesTheSize(Source):
    @staticmethod
    def prepare(picture: np.ndarray) -> Any:
        return np.float32(picture.transpose(2, 0, 1)) / 255


@breaks("models-preprocess")
class ShowsWhatWasScaled(Source):
    @staticmethod
    def prepare(picture: np.ndarray) -> Any:
        x, seen = Source.prepare(picture)
        return x, seen / 255


@breaks("models-preprocess")
class WritesIntoThePicture(Source):
    @staticmethod
    def prepare(picture: np.ndarray) -> Any:
        picture //= 2
        return Source.prepare(picture)


@breaks("models-preprocess")
class PreparesNothing(Source):
    def named(self, answer: NamedModel) -> Any:
        return dataclasses.replace(answer, preprocess=None)


@breaks("models-classes")
class HasTooManyNames(Source):
    def named(self, answer: NamedModel) -> Any:
        return dataclasses.replace(answer, class_names=("background", *NAMES))


@breaks("models-classes")
class CountsFromOne(Source):
    def named(self, answer: NamedModel) -> Any:
        return dataclasses.replace(answer, class_names=dict(enumerate(NAMES, start=1)))


@breaks("models-weights")
class ForgetsTheFile(Source):
    def read(self, file: str) -> dict[str, Any]:
        super().read(file)
        return {}


@breaks("models-weights")
class CallsTrainedWeightsRandom(Source):
    def named(self, answer: NamedModel) -> Any:
        return dataclasses.replace(answer, is_pretrained=False)


@breaks("models-files")
class RaisesWhatTheLibraryRaises(Source):
    def read(self, file: str) -> dict[str, Any]:
        return dict(np.load(file))


@breaks("models-files")
class DoesNotSayWhichFile(Source):
    def read(self, file: str) -> dict[str, Any]:
        try:
            return super().read(file)
        except InputError:
            raise InputError("the weights cannot be read") from None


@breaks("models-trust")
class TrustsEverybody(Source):
    def read(self, file: str) -> dict[str, Any]:
        try:
            return super().read(file)
        except InputError:
            with open(file, "rb") as stream:
                return pickle.load(stream) or {}


@pytest.mark.parametrize(("source", "clause"), BROKEN.items(), ids=lambda one: getattr(one, "__name__", one))
def test_each_fault_is_named(source: type[Source], clause: str) -> None:
    suite = Suite()
    suite.plugin = source()
    assert {error.clause.id for error in failures(suite, clause)} == {clause}


class Files(Source):
    """Takes files that hold whole models, and knows no names; has no hook for libraries."""

    xaicore_model_libraries = None  # type: ignore[assignment]

    @hookimpl
    def xaicore_model(self, spec: Any) -> Any:
        if not spec.text.endswith(".npz"):
            return None
        net = ConvNet()
        vars(net).update(self.read(spec.text))
        return self.named(NamedModel(Model(net), Path(spec.text).name, self.prepare, NAMES))


class FilesSuite(Suite):
    plugin: Any = Files()
    model = ""
    lacks = {"names": "a file holds the whole model"}  # noqa: RUF012

    def write(self, file: Path) -> None:
        np.savez(file, dense=ConvNet().dense)


class TestSoundFiles(FilesSuite):
    """A source of files alone."""


class TakesAnythingForAModel(Files):
    @hookimpl
    def xaicore_model(self, spec: Any) -> Any:
        return self.named(NamedModel(Model(ConvNet()), "a model", self.prepare, NAMES))


class CallsAFileRandom(Files):
    def named(self, answer: NamedModel) -> Any:
        return dataclasses.replace(answer, is_pretrained=False)


class LeavesTheSizeOfAFilesPictures(Files):
    prepare = LeavesTheSize.prepare


class RaisesWhatTheLibraryRaisesForAFile(Files):
    read = RaisesWhatTheLibraryRaises.read


class RunsTheCodeOfAFile(Files):
    def read(self, file: str) -> dict[str, Any]:
        try:
            return super().read(file)
        except InputError:
            with open(file, "rb") as stream:
                return pickle.load(stream) or {}


@pytest.mark.parametrize(
    ("source", "clause"),
    [
        (TakesAnythingForAModel, "models-declines"),
        (TakesAnythingForAModel, "models-files"),
        (CallsAFileRandom, "models-named"),
        (LeavesTheSizeOfAFilesPictures, "models-preprocess"),
        (RaisesWhatTheLibraryRaisesForAFile, "models-files"),
        (RunsTheCodeOfAFile, "models-trust"),
    ],
)
def test_each_fault_of_a_source_of_files_is_named(source: type[Files], clause: str) -> None:
    suite = FilesSuite()
    suite.plugin = source()
    assert {error.clause.id for error in failures(suite, clause)} == {clause}


def test_a_source_of_files_says_how_one_is_written() -> None:
    suite = FilesSuite()
    suite.write = lambda file: testing.ModelSourceTests.write(suite, file)  # type: ignore[method-assign]
    (error,) = failures(suite, "models-named")
    assert "expected: a method write, since it lacks names" in str(error)


LIGHT = """
import sys, types
import xaicore

def heavy():
    sys.modules["heavy"] = types.ModuleType("heavy")

@xaicore.hookimpl
def xaicore_model_libraries():
    {listing}
    return [xaicore.ModelLibrary("zoo", "zoo", lambda: heavy() or [], "small", "pip install zoo", ("small",))]

@xaicore.hookimpl
def xaicore_model(spec):
    {asked}
"""


@pytest.mark.parametrize(
    ("listing", "asked", "said"),
    [
        ("pass", "pass", None),
        ("heavy()", "pass", "it imports heavy"),
        ("pass", "heavy()", "it imports heavy"),
        ("print('hello')", "pass", "hello"),
        ("pass", "spec.library.lower()", "AttributeError"),
    ],
)
def test_what_is_heavy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listing: str, asked: str, said: str | None
) -> None:
    (tmp_path / "heavy_source.py").write_text(LIGHT.format(listing=listing, asked=asked))
    monkeypatch.syspath_prepend(str(tmp_path))
    module = ModuleType("heavy_source")
    suite = type("Heavy", (Suite,), {"plugin": module, "frameworks": ("heavy",)})()
    found = failures(suite, "models-light")
    assert [said in str(error) for error in found] == [True] * (said is not None)
    assert "heavy" not in sys.modules


ELSEWHERE = ("models-light",)
"""Clauses that are broken above by modules that import a framework."""


@pytest.mark.parametrize(
    ("lacking", "clauses"),
    [
        ("random", {"named", "preprocess", "classes", "weights"}),
        ("files", {"weights", "files", "trust"}),
        ("class_names", {"classes"}),
    ],
)
def test_what_is_lacking_is_skipped(lacking: str, clauses: set[str]) -> None:
    suite = type("Lacking", (Suite,), {"lacks": {lacking: "a reason"}, "plugin": ListsNothing()})()
    suite.model = "nobody/knows"
    ran = {error.clause.id for name in dir(suite) if hasattr(getattr(suite, name, None), "clause")
           for error in failures(suite, getattr(suite, name).clause)}  # fmt: skip
    every = {f"models-{name}" for name in ("libraries", "named", "preprocess", "classes", "weights", "files")}
    assert ran - {"models-unknown", "models-trust"} == every - {f"models-{name}" for name in clauses}
