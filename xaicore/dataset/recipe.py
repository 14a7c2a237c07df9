"""How every process of a run gets its explainer."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from xaicore.backend import Backend
from xaicore.dataset.devices import GPU, HOST, Device
from xaicore.errors import InputError, XaicoreError, type_name
from xaicore.explainer import Explainer
from xaicore.models import NamedModel, find_model

__all__ = ["Recipe"]


@dataclass(frozen=True, eq=False)
class Recipe:
    """A model, or what finds or builds it, and how it is explained.

    Attributes:
        model: a model; a name, as `find_model` takes it; or a function without arguments that returns a model or a
            `NamedModel`.
        options: of `Explainer`.
        finding: of `find_model`: weights, trust, device.
        precision: what a copy of the model computes in; None: the model is explained as it is.
        device: where a copy of the model lies; None: it stays where it is.
        compiled: how many pictures a batch has that runs compiled; None: none does.
    """

    model: Any
    options: Mapping[str, Any]
    finding: Mapping[str, Any]
    precision: str | None = None
    device: Device | None = None
    compiled: int | None = None

    @property
    def spec(self) -> str:
        """What the model is called: by run.json once it is found, see `carried`, and by messages before."""
        if isinstance(self.model, (str, os.PathLike)):
            return os.fspath(self.model)
        if isinstance(self.model, NamedModel):
            return self.model.title
        return _name(self.model) if self.is_factory else type_name(self.model)

    @property
    def name(self) -> str | None:
        """What finds the model again; None where it was not found by name, or is not found yet, see `carried`."""
        return self.model.name if isinstance(self.model, NamedModel) else None

    @property
    def is_factory(self) -> bool:
        """Whether the model is built by a function."""
        kinds = (functools.partial, type)
        return inspect.isroutine(self.model) or isinstance(self.model, kinds)

    def explainer(self) -> Explainer:
        """A new explainer; a model that is not there yet is found or built.

        Raises:
            XaicoreError: it cannot be found or built, or an option does not fit.
        """
        found = self._find()
        own = {"preprocess": found.preprocess, "class_names": found.class_names}
        given = {name: value for name, value in self.options.items() if value is not None or name not in own}
        options = {**own, **given}
        model = found.model
        made = Explainer(model, **options)
        for argument, copied in self._copies():
            self.check_copies(argument)
            model = copied(made.backend)
            made = Explainer(model, **options)
        if self.compiled is None:
            return made
        of_backend = {"backend": made.backend.compiled(self.compiled), "output": None, "output_axes": None}
        return Explainer(model, **{**options, **of_backend})

    def _copies(self) -> Iterator[tuple[str, Callable[[Backend], Any]]]:
        """The argument that asks for each copy of the model, and what makes the copy, in their order."""
        if self.device is not None:
            yield f"device={str(self.device)!r}", self.device.model_of
        precision = self.precision
        if precision is not None:
            yield f"precision={precision!r}", lambda backend: backend.in_precision(precision)

    def check_copies(self, argument: str) -> None:
        """Refuse a backend that is built already: it would explain the model itself."""
        backend = self.options.get("backend")
        if isinstance(backend, Backend):
            raise InputError(
                f"{argument} makes a copy of the model, and backend={backend!r} is of the model itself: pass the "
                "backend's name"
            )

    def having(self, options: Mapping[str, Any]) -> Recipe:
        """The same with other options."""
        return replace(self, options={**self.options, **options})

    def carried(self) -> Recipe:
        """The same with a model that is found already, for this process.

        Its name does not depend on who asked for it: the command line has a function of its own, workers are sent one.
        """
        found = self._find()
        options = dict(self.options)
        for name in ("preprocess", "class_names"):
            if options.get(name) is None:
                options[name] = getattr(found, name)
        return replace(self, model=found, options=options, finding={})

    def on_host(self) -> Recipe:
        """The same for processes that see other devices: a model that is there already lies on the CPU.

        Raises:
            XaicoreError: it cannot be copied there.
        """
        is_built = isinstance(self.options.get("backend"), Backend)
        if is_built or self.is_factory or isinstance(self.model, (str, os.PathLike)):
            return self
        backend = replace(self, precision=None).explainer().backend
        if HOST.name_in(backend) is None:
            return self
        here = HOST.model_of(backend)
        return replace(self, model=replace(self.model, model=here) if isinstance(self.model, NamedModel) else here)

    def on_own_gpu(self) -> Recipe:
        """The same for a process that was given a GPU: the model lies there, if the model's framework sees one.

        A device that the caller names, and a backend that is built already, stay as they are.
        """
        if self.finding.get("device") or isinstance(self.options.get("backend"), Backend):
            return self
        carried = self.carried()
        is_seen = GPU.name_in(replace(carried, precision=None).explainer().backend) is not None
        return replace(carried, device=GPU) if is_seen else carried

    def _find(self) -> NamedModel:
        finding = {name: value for name, value in self.finding.items() if value}
        if isinstance(self.model, (str, os.PathLike)):
            return find_model(self.model, **finding)
        if finding:
            name = next(iter(finding))
            raise InputError(
                f"{name}={finding[name]!r} is for a model by name: pass model='torchvision/resnet50' or "
                "'net.py:build', or a model that has it already"
            )
        found = self._built() if self.is_factory else self.model
        return found if isinstance(found, NamedModel) else NamedModel(found, self.spec)

    def _built(self) -> Any:
        try:
            found = self.model()
        except XaicoreError:
            raise
        except Exception as exc:
            raise InputError(f"model={self.spec}: building it raised {type(exc).__name__}: {exc}") from exc
        if found is None:
            raise InputError(f"model={self.spec}: returned None; expected a model, or a NamedModel")
        return found


def _name(factory: Any) -> str:
    """The module and name of a function, and the arguments that it has already."""
    if isinstance(factory, functools.partial):
        given = [*map(repr, factory.args), *(f"{name}={value!r}" for name, value in factory.keywords.items())]
        return f"{_name(factory.func)}({', '.join(given)})"
    return f"{factory.__module__}:{factory.__qualname__}"
