"""The suite of model sources: backends whose hooks answer for models by name."""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from xaicore import plugins
from xaicore.backend import Backend
from xaicore.errors import XaicoreError
from xaicore.models import ModelLibrary, NamedModel
from xaicore.models.typed import read_spec
from xaicore.pictures.preparation import Preparation, stack
from xaicore.testing.checks import checks, deviate, refused, same
from xaicore.testing.kit import Kit, ask
from xaicore.testing.state import bits

__all__ = ["ModelSourceTests"]

FOREIGN = ("nobodys/net", "nobodys-net", "best.nobodys", "nobodys.module:build")
SIZES = ((40, 60, 3), (60, 40, 3))
"""Of pictures: one lies, one stands."""

QUIET = """
import importlib, sys
sys.path[:] = {path!r}
import xaicore
from xaicore.testing.kit import ask
plugin = importlib.import_module({module!r})
for library in ask(plugin, "xaicore_model_libraries") if {has_names!r} else ():
    library.name, library.example, library.defaults, library.common
    [library.has_weights(name) for name in library.defaults]
for text in {foreign!r}:
    library, _, name = text.rpartition("/")
    ask(plugin, "xaicore_model", spec=xaicore.ModelSpec(text, library or None, name))
brought = sorted(set({frameworks!r}) & set(sys.modules))
print("it imports", *brought) if brought else None
"""
"""Lists libraries and asks for models of others, in a process of its own; whatever is printed is too much."""


class ModelSourceTests(Kit):
    """Whether the hooks `xaicore_model` and `xaicore_model_libraries` keep the contract. Name a small model::

        class TestMyzoo(xaicore.testing.ModelSourceTests):
            kit_version = 2
            plugin = xaicore_mine
            frameworks = ("mine", "myzoo")
            model = "myzoo/small"

            def save(self, model, file): ...   # its weights
            suffix = ".npz"

    Nothing is downloaded: models are built with random weights, and with those of a file. `lacks` may name "random" (a
    model cannot be had without trained weights), "files" (weights are not loaded from files), "preprocess" and
    "class_names" (nothing says how pictures are prepared, or what classes are called).

    A source of files that hold whole models has no names: it lacks "names", and `write` takes the place of `save`.

    docs/testing.md walks through it.

    Attributes:
        model: what a user types, "library/name".
        suffix: of files of weights, or of models.
    """

    can_lack: ClassVar[tuple[str, ...]] = ("names", "random", "files", "preprocess", "class_names")
    model: ClassVar[str] = ""
    suffix: ClassVar[str] = ""

    def save(self, model: Any, file: Path) -> None:
        """Write the weights of a model into a file, as the framework does."""
        deviate(type(self).__name__, "a method save, or lacks = {'files': 'why'}", "neither")

    def write(self, file: Path) -> None:
        """Write a small model into a file, as the framework does."""
        deviate(type(self).__name__, "a method write, since it lacks names", "none")

    @contextlib.contextmanager
    def small(self) -> Iterator[NamedModel]:
        """The model: of random weights, or of a file where models have no names."""
        if "names" in self.lacks:
            with _folder() as folder:
                file = folder / f"small{self.suffix}"
                self.write(file)
                yield self.named(str(file), None)
        else:
            self.need("random")
            yield self.named()

    def backend(self, model: Any) -> Backend:
        """The plugin's backend for a model, or that of another plugin."""
        found = ask(self.plugin, "xaicore_backend", model=model, output=None)
        return found if isinstance(found, Backend) else plugins.installed().backend(model)

    def named(self, text: str = "", weights: str | None = "none", model: Any = None) -> NamedModel:
        """What the plugin answers for a name; without trained weights if none are given."""
        found = self.asked(text or self.model, weights, model)
        if not isinstance(found, NamedModel):
            deviate(f"what xaicore_model returns for {text or self.model!r}", "an xaicore.NamedModel", repr(found))
        return found

    def asked(self, text: str, weights: str | None = "none", model: Any = None) -> Any:
        """The same, whatever it is."""
        spec = read_spec(text, weights)
        return ask(self.plugin, "xaicore_model", spec=type(spec)(**{**vars(spec), "model": model}))

    def libraries(self) -> Mapping[str, ModelLibrary]:
        """{name: library} that the plugin lists."""
        found = ask(self.plugin, "xaicore_model_libraries")
        for library in found or ():
            if not isinstance(library, ModelLibrary):
                deviate("an entry of xaicore_model_libraries()", "an xaicore.ModelLibrary", repr(library))
        return {library.name: library for library in found or ()}

    def outputs(self, named: NamedModel) -> np.ndarray:
        """Of the model for two pictures, prepared as it says."""
        prepared = Preparation(named.preprocess, "preprocess") if named.preprocess else None
        if prepared is None:
            deviate("NamedModel.preprocess", "a function, or lacks = {'preprocess': 'why'}", "None")
        x = stack([prepared(picture, "a picture")[0] for picture in _pictures()], ["a", "b"], "inputs", "")
        outputs = self.backend(named.model).predict(x)
        same("how many rows of outputs come for two pictures", len(outputs), 2)
        return outputs

    @checks("models-declines")
    def test_what_is_not_its_own_is_declined(self) -> None:
        """Names of other libraries, files of other kinds, code, and a model of code without weights for it."""
        for text in FOREIGN:
            same(f"what xaicore_model returns for {text!r}", self.asked(text), None)
        with _folder() as folder:
            (folder / "best.nobodys").write_bytes(b"1234")
            same("what it returns for a file of another kind", self.asked(str(folder / "best.nobodys")), None)
        same("what it returns for code's model", self.asked("nobodys.module:build", None, model=object()), None)

    @checks("models-light")
    def test_listing_and_declining_import_no_framework(self) -> None:
        """In a process of its own."""
        module = self.module_name()
        has_names = "names" not in self.lacks
        asked = {"foreign": FOREIGN, "frameworks": self.frameworks, "has_names": has_names}
        code = QUIET.format(path=sys.path, module=module, **asked)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        same("what listing and declining print", (done.stdout + done.stderr).strip()[-1000:], "")

    @checks("models-libraries")
    def test_libraries_are_listed(self) -> None:
        """Their names, and what is typed to install them."""
        self.need("names")
        libraries = self.libraries()
        mine = self.model.partition("/")[0]
        if mine not in libraries:
            deviate("xaicore_model_libraries()", f"one called {mine!r}, as in {self.model!r}", sorted(libraries))
        for library in libraries.values():
            for text in (library.name, library.package, library.example, library.install):
                if not isinstance(text, str) or not text.strip() or "\n" in text:
                    deviate(f"texts of the library {library.name!r}", "one line each", repr(text))
            same(f"whether the name {library.name!r} has a slash", "/" in library.name, False)
            for name in library.defaults:
                if not isinstance(library.has_weights(name), bool):
                    deviate(f"has_weights({name!r})", "True or False", repr(library.has_weights(name)))
        known = list(libraries[mine].names())
        for name in (self.model.partition("/")[2], libraries[mine].example, *libraries[mine].defaults):
            if name not in known:
                deviate(f"names of the library {mine!r}", f"{name!r} among them", f"{len(known)} others")

    @checks("models-named")
    def test_a_model_is_named(self) -> None:
        """With one line for people, and for a model of random weights the news that they are."""
        with self.small() as named:
            if not isinstance(named.title, str) or not named.title.strip() or "\n" in named.title:
                deviate("NamedModel.title", "one line for people", repr(named.title))
            of = "a file" if "names" in self.lacks else "random weights"
            same(f"whether a model of {of} counts as random", named.is_pretrained is False, of != "a file")
            self.backend(named.model)

    @checks("models-unknown")
    def test_unknown_names_are_refused(self) -> None:
        """With the name, and the nearest one."""
        self.need("names")
        library, _, name = self.model.partition("/")
        wrong = f"{name}x"
        refused(f"{library}/{wrong}", lambda: self.asked(f"{library}/{wrong}"), XaicoreError, wrong, name)

    @checks("models-preprocess")
    def test_pictures_are_prepared(self) -> None:
        """One that lies and one that stands; the model takes both in a batch."""
        self.need("preprocess")
        pictures = _pictures()
        before = bits({str(n): picture for n, picture in enumerate(pictures)})
        with self.small() as named:
            self.outputs(named)
            for picture in pictures:
                assert named.preprocess is not None
                named.preprocess(picture)
        if bits({str(n): picture for n, picture in enumerate(pictures)}) != before:
            deviate("a picture that is prepared", "as before", "written into")

    @checks("models-classes")
    def test_classes_have_names(self) -> None:
        """As many as there are outputs."""
        self.need("preprocess", "class_names")
        with self.small() as named:
            if named.class_names is None:
                deviate("NamedModel.class_names", "names, or lacks = {'class_names': 'why'}", "None")
            count = self.outputs(named).shape[1]
        indices = named.class_names if isinstance(named.class_names, Mapping) else range(len(named.class_names))
        outside = [index for index in indices if not 0 <= index < count]
        if outside or not (isinstance(named.class_names, Mapping) or len(named.class_names) == count):
            deviate("NamedModel.class_names", f"names of {count} classes", f"{len(named.class_names)} names")

    @checks("models-weights")
    def test_weights_of_a_file(self) -> None:
        """They are those of the model that was saved, and the model counts as trained."""
        self.need("names", "random", "files", "preprocess")
        with _folder() as folder:
            first = self.named()
            file = folder / f"best{self.suffix}"
            self.save(first.model, file)
            again = self.named(weights=str(file))
            if not np.allclose(self.outputs(again), self.outputs(first), self.rtol, self.atol):
                deviate(
                    "outputs of the model with the weights of a file", "those of the model that was saved", "others"
                )
            if again.is_pretrained is False:
                deviate("is_pretrained of a model with the weights of a file", "True or None", "False")

    @checks("models-files")
    def test_files_that_are_none(self) -> None:
        """One that does not exist, and one that is damaged: the error names the file."""
        self.need("files")
        with _folder() as folder:
            absent, damaged = folder / f"absent{self.suffix}", folder / f"damaged{self.suffix}"
            damaged.write_bytes(b"no weights at all")
            for file in (absent, damaged):
                refused(f"the file {file.name!r}", lambda file=file: self._of(file), XaicoreError, file.name)  # type: ignore[misc]

    @checks("models-trust")
    def test_a_file_runs_no_code(self) -> None:
        """A pickle that would make a file where it is loaded, under the suffix of weights; `trust` is False."""
        self.need("files")
        with _folder() as folder:
            marker, file = folder / "it-ran", folder / f"evil{self.suffix}"
            file.write_bytes(pickle.dumps(Evil(str(marker)), protocol=2))
            with contextlib.suppress(XaicoreError):
                self._of(file)
            same("whether a file of weights ran code", marker.exists(), False)

    def _of(self, file: Path) -> Any:
        """What is answered for a file of weights, or of a model."""
        return self.asked(str(file), None) if "names" in self.lacks else self.asked(self.model, str(file))


class Evil:
    """Makes a file as it is unpickled."""

    def __init__(self, marker: str) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (self.marker,))


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as place:
        yield Path(place).resolve()


def _pictures() -> list[np.ndarray]:
    return [np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8) for size in SIZES]
