"""The one input on which commands run a model to see what fits it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xaicore import plugins
from xaicore.backend import Backend
from xaicore.cli.model import Model, as_output
from xaicore.errors import BackendError, InputError
from xaicore.pictures import picture_id, read_picture
from xaicore.pictures.imagenet import SIZE

__all__ = ["Trial"]


@dataclass(frozen=True)
class Trial:
    """A model, its backend, and a batch of one picture, prepared or, where nothing says how, `is_guess`."""

    model: Any
    backend: Backend
    x: Any
    is_guess: bool = False

    @staticmethod
    def of(
        path: str | None,
        found: Model,
        backend: str | None,
        output: str | None,
    ) -> Trial:
        """A model that was found, and a picture's path; without one, a picture of random dots.

        Dots mean nothing, so that they need no preparation: where nothing says one, they are an input themselves.

        Raises:
            PictureError, InputError, PluginError: the picture cannot be read, nothing says how it is prepared, or no
                backend takes the model.
        """
        of_model = plugins.installed().backend(found.model, as_output(output), backend)
        if path is None and found.prepare is None:
            return Trial(found.model, of_model, _dots_as_input(of_model)[None], True)
        file = "random dots" if path is None else picture_id(Path(path))
        picture = _dots() if path is None else read_picture(Path(path))
        x, _ = found.preparation(of_model)(picture, file)
        return Trial(found.model, of_model, x[None])

    @contextmanager
    def run(self) -> Iterator[None]:
        """Say in the error of a model that does not take such dots what makes its input."""
        try:
            yield
        except (BackendError, InputError) as exc:
            if not self.is_guess or type(exc) not in (BackendError, InputError):
                raise
            raise type(exc)(
                f"{exc}. This input is random dots: add --preprocess prepare.py:f, a function from a picture, "
                "(H, W, 3) uint8 RGB, to what the model takes, without a batch axis"
            ) from exc


def _dots() -> np.ndarray:
    """A picture to run a model on: upright, so that swapped axes show."""
    return np.random.default_rng(0).integers(0, 256, (480, 320, 3), np.uint8)


def _dots_as_input(backend: Backend) -> np.ndarray:
    """Dots from -1 to 1 in the size and layout that the backend's model takes."""
    x = np.random.default_rng(0).uniform(-1, 1, (*(backend.picture_size or SIZE), 3)).astype(np.float32)
    return x if backend.channels_last else np.ascontiguousarray(x.transpose(2, 0, 1))
